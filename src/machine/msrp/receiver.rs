//! The receiving half of a session (RFC 4975 7.1.2 to 7.1.4, 7.2 and 7.3): chunks become messages,
//! and their senders hear what they asked to hear.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::coverage::Coverage;
use super::reply::{Replies, Transaction};
use super::token::Tokens;
use super::{DropCause, Event, IncomingId, SessionConfig, Verdict};
use crate::queue::Queue;
use crate::wire::msrp::{Continuation, FailureReport, FrameKind, Head, MsrpUri};

/// Bytes of memory, about, for the Message-IDs of messages that have ended: of usual ones some eight thousand. Whose
/// answers are lost with a connection sends those messages again.
const REMEMBERED: usize = 1 << 20;

/// What a Message-ID costs there beyond its own bytes.
const COST: usize = 96;

/// What the rest of a message is answered whose beginning went with its connection: as if it had not been answered in time
/// (RFC 4975 10.4).
const CUT_OFF: u16 = 408;

/// Complete messages that may wait for the user's answer.
const MAX_UNANSWERED: usize = 16 * 1024;

/// Repetitions of a chunk that may wait for the same answer.
const MAX_WAITING: usize = 16;

#[derive(Debug)]
pub(super) struct Receiver {
    next: u64,
    incoming: FxHashMap<IncomingId, Incoming>,
    /// Of `incoming`, those that are not complete.
    unfinished: usize,
    /// By Message-ID. The peer chooses these: an ordered map has no collisions to exploit.
    known: BTreeMap<Bytes, Known>,
    /// Message-IDs of ended messages with the numbers of their ends, oldest first. One that has ended again since stands
    /// there twice.
    ended: VecDeque<(u64, Bytes)>,
    /// How many have ended.
    ends: u64,
    /// What `ended` costs, of [`REMEMBERED`].
    remembered: usize,
    current: Current,
    /// What was answered, to be written.
    pub(super) replies: Replies,
}

/// What is known of a Message-ID.
#[derive(Clone, Copy, Debug)]
enum Known {
    Active(IncomingId),
    Ended(Ended, u64),
}

/// How a message has ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Stored { size: u64 },
    Refused(u16),
}

/// A message that is not answered yet.
#[derive(Debug)]
struct Incoming {
    message_id: Bytes,
    path: Arc<[MsrpUri]>,
    success_report: bool,
    /// Whether the chunk with the first byte has come, whose header fields describe the message.
    described: bool,
    coverage: Coverage,
    /// What the chunk that ended with `$` said.
    size: Option<u64>,
    /// Transactions that wait for the user; none while bytes are missing.
    waiting: Option<SmallVec<[Transaction; 1]>>,
}

/// The frame that is being read.
#[derive(Debug)]
enum Current {
    /// Nothing that counts.
    Skipped,
    /// A SEND without content.
    Empty(Transaction),
    /// A chunk of a message that was stored before.
    Repeated { transaction: Transaction, message_id: Bytes, success_report: bool, size: u64 },
    /// A chunk; `at` is the position of its next byte.
    Chunk { transaction: Transaction, id: IncomingId, at: u64 },
}

impl Receiver {
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            next: 0,
            incoming: FxHashMap::default(),
            unfinished: 0,
            known: BTreeMap::new(),
            ended: VecDeque::new(),
            ends: 0,
            remembered: 0,
            current: Current::Skipped,
            replies: Replies::new(config.local.clone()),
        }
    }

    /// Whether nothing has come that it must remember, or has to answer yet.
    pub(super) fn is_blank(&self) -> bool {
        self.next == 0
            && self.known.is_empty()
            && matches!(self.current, Current::Skipped)
            && self.replies.buffer.is_empty()
    }

    /// Passes over a frame that needs no reading.
    pub(super) fn skip(&mut self) {
        self.current = Current::Skipped;
    }

    /// A request begins that is no REPORT.
    pub(super) fn handle_head(&mut self, head: &Head, config: &SessionConfig, events: &mut Queue<Event>) {
        self.current = Current::Skipped;
        match self.classify(head, config, events) {
            Ok(current) => self.current = current,
            Err(status) => self.replies.refuse(head, status),
        }
    }

    fn classify(
        &mut self,
        head: &Head,
        config: &SessionConfig,
        events: &mut Queue<Event>,
    ) -> Result<Current, u16> {
        // RFC 4975 10.9: the recipient does not understand the request method.
        if head.kind != FrameKind::Send {
            return Err(501);
        }
        if head.fault.is_some() {
            return Err(400);
        }
        if head.has_body && !config.limits.receives {
            return Err(403);
        }
        let known = head.message_id.as_ref().and_then(|id| self.known.get(id)).copied();
        let continues = head.byte_range.is_some() && matches!(known, Some(Known::Active(_)));
        let transaction = self.replies.transaction(head);
        if !head.has_body && !continues {
            return Ok(Current::Empty(transaction));
        }
        // RFC 4975 7.1.1: each chunk of a message MUST contain a Message-ID header field.
        let message_id = head.message_id.as_ref().ok_or(400_u16)?;
        // RFC 4975 7.3.1: no Byte-Range is as a range-start value of 1.
        let at = head.byte_range.map_or(0, |range| range.start.saturating_sub(1));
        let id = match known {
            Some(Known::Active(id)) => id,
            // RFC 4975 5.4: a message with the same Message-ID is a duplicate, not presented again;
            // acknowledgments are still necessary.
            Some(Known::Ended(Ended::Stored { size }, _)) => {
                let (message_id, success_report) = (Bytes::copy_from_slice(message_id), head.success_report);
                return Ok(Current::Repeated { transaction, message_id, success_report, size });
            }
            Some(Known::Ended(Ended::Refused(status), _)) if at > 0 => return Err(status),
            Some(Known::Ended(Ended::Refused(_), _)) | None => {
                self.start(head, message_id, at, config, events)?
            }
        };
        self.continue_message(head, id, at, config, events)?;
        Ok(Current::Chunk { transaction, id, at })
    }

    fn start(
        &mut self,
        head: &Head,
        message_id: &Bytes,
        at: u64,
        config: &SessionConfig,
        events: &mut Queue<Event>,
    ) -> Result<IncomingId, u16> {
        // RFC 4975 7.1: if the request has a body, it MUST contain a Content-Type header field.
        let content_type = head.content_type.as_ref().ok_or(400_u16)?;
        // RFC 4975 7.3.1: unsupported media-type: the receiver MUST generate a 415.
        if !config.limits.accepts(content_type) {
            return Err(415);
        }
        let message_id = Bytes::copy_from_slice(message_id);
        let total = head.byte_range.and_then(|range| range.total);
        // RFC 4975 10.5: the receiver wishes the sender to stop sending the particular message.
        if total.is_some_and(|total| total > config.limits.max_message) || self.is_full(config) {
            self.end(message_id, Ended::Refused(413));
            return Err(413);
        }
        self.next += 1;
        let id = IncomingId(self.next);
        self.known.insert(message_id.clone(), Known::Active(id));
        let incoming = Incoming {
            message_id: message_id.clone(),
            path: self.replies.path_of(&head.from_path),
            success_report: false,
            described: at == 0,
            coverage: Coverage::default(),
            size: None,
            waiting: None,
        };
        self.incoming.insert(id, incoming);
        self.unfinished += 1;
        events.push_back(Event::Started {
            id,
            message_id,
            content_type: Some(Bytes::copy_from_slice(content_type)),
            headers: copied(&head.others),
            total,
            answered: head.failure_report == FailureReport::Yes,
        });
        Ok(id)
    }

    fn is_full(&self, config: &SessionConfig) -> bool {
        self.unfinished >= config.limits.max_incoming
            || self.incoming.len() - self.unfinished >= MAX_UNANSWERED
    }

    fn continue_message(
        &mut self,
        head: &Head,
        id: IncomingId,
        at: u64,
        config: &SessionConfig,
        events: &mut Queue<Event>,
    ) -> Result<(), u16> {
        let Some(incoming) = self.incoming.get_mut(&id) else { return Ok(()) };
        incoming.success_report |= head.success_report;
        if incoming.path.is_empty() {
            incoming.path = self.replies.path_of(&head.from_path);
        }
        let total = head.byte_range.and_then(|range| range.total);
        if incoming.waiting.is_none() && at.max(total.unwrap_or(0)) > config.limits.max_message {
            self.drop_message(id, DropCause::TooLarge, 413, events);
            return Err(413);
        }
        // RFC 4975 7.3.1: MUST NOT assume that the chunks will be delivered in order.
        if at == 0
            && !std::mem::replace(&mut incoming.described, true)
            && let Some(content_type) = &head.content_type
        {
            if !config.limits.accepts(content_type) {
                self.drop_message(id, DropCause::Unsupported, 415, events);
                return Err(415);
            }
            let content_type = Bytes::copy_from_slice(content_type);
            events.push_back(Event::Described { id, content_type, headers: copied(&head.others) });
        }
        Ok(())
    }

    /// Bytes of the body of the current frame.
    pub(super) fn handle_body(&mut self, bytes: Bytes, config: &SessionConfig, events: &mut Queue<Event>) {
        let Current::Chunk { id, at, .. } = &mut self.current else { return };
        let (id, offset) = (*id, *at);
        *at = at.saturating_add(bytes.len() as u64);
        let end = *at;
        let Some(incoming) = self.incoming.get_mut(&id).filter(|m| m.waiting.is_none()) else { return };
        if end > config.limits.max_message {
            return self.stop_message(id, DropCause::TooLarge, events);
        }
        // RFC 4975 7.3.1: the chunk with a termination character of "$" defines the total length.
        let end = incoming.size.map_or(end, |size| end.min(size));
        if end <= offset {
            return;
        }
        if incoming.coverage.add(offset..end).is_err() {
            return self.stop_message(id, DropCause::Fragmented, events);
        }
        let mut bytes = bytes;
        bytes.truncate(usize::try_from(end - offset).unwrap_or(usize::MAX));
        events.push_back(Event::Data { id, offset, bytes });
    }

    /// The current frame ends.
    pub(super) fn handle_end(
        &mut self,
        continuation: Continuation,
        tokens: &mut Tokens,
        events: &mut Queue<Event>,
    ) {
        match std::mem::replace(&mut self.current, Current::Skipped) {
            Current::Skipped => {}
            Current::Empty(transaction) => self.replies.answer(&transaction, 200, b""),
            Current::Repeated { transaction, message_id, success_report, size } => {
                self.replies.answer(&transaction, 200, b"");
                if success_report && continuation == Continuation::Complete {
                    self.replies.report_success(&message_id, &transaction.path, size, tokens);
                }
            }
            Current::Chunk { transaction, id, at } => {
                self.end_chunk(transaction, id, at, continuation, events);
            }
        }
    }

    fn end_chunk(
        &mut self,
        transaction: Transaction,
        id: IncomingId,
        at: u64,
        continuation: Continuation,
        events: &mut Queue<Event>,
    ) {
        let Some(incoming) = self.incoming.get_mut(&id) else {
            return self.replies.answer(&transaction, 200, b"");
        };
        if let Some(waiting) = &mut incoming.waiting {
            if waiting.len() < MAX_WAITING {
                return waiting.push(transaction);
            }
            return self.replies.answer(&transaction, 413, b"");
        }
        if continuation == Continuation::Aborted {
            self.unfinished -= 1;
            let message_id = self.incoming.remove(&id).map(|m| m.message_id).unwrap_or_default();
            self.known.remove(&message_id);
            events.push_back(Event::Dropped { id, cause: DropCause::Aborted });
            return self.replies.answer(&transaction, 200, b"");
        }
        if continuation == Continuation::Complete {
            incoming.size = incoming.size.or(Some(at));
        }
        // RFC 4975 7.3.1: receivers MUST NOT assume that they will receive all the chunks with "+"
        // flags before they receive the chunk with the "$" flag.
        match incoming.size.filter(|size| incoming.coverage.is_whole(*size)) {
            Some(size) => {
                self.unfinished -= 1;
                incoming.waiting = Some(smallvec![transaction]);
                events.push_back(Event::Complete { id, size });
            }
            None => self.replies.answer(&transaction, 200, b""),
        }
    }

    /// Gives up the message of the current chunk, and says 413.
    fn stop_message(&mut self, id: IncomingId, cause: DropCause, events: &mut Queue<Event>) {
        if let Current::Chunk { transaction, .. } = std::mem::replace(&mut self.current, Current::Skipped) {
            self.replies.answer(&transaction, 413, b"");
        }
        self.drop_message(id, cause, 413, events);
    }

    fn drop_message(&mut self, id: IncomingId, cause: DropCause, status: u16, events: &mut Queue<Event>) {
        if let Some(incoming) = self.incoming.remove(&id) {
            self.unfinished -= 1;
            self.end(incoming.message_id, Ended::Refused(status));
            events.push_back(Event::Dropped { id, cause });
        }
    }

    /// The user's answer to a complete message, or its refusal of one that is still arriving.
    pub(super) fn answer(&mut self, id: IncomingId, verdict: &Verdict, tokens: &mut Tokens) {
        let is_complete = self.incoming.get(&id).is_some_and(|m| m.waiting.is_some());
        if !is_complete && *verdict == Verdict::Stored {
            return;
        }
        let Some(incoming) = self.incoming.remove(&id) else { return };
        let size = incoming.size.unwrap_or(0);
        let mut waiting = incoming.waiting.unwrap_or_default();
        if !is_complete {
            self.unfinished -= 1;
        }
        self.take_current_of(id, verdict, &mut waiting);
        match verdict {
            Verdict::Stored => {
                waiting.iter().for_each(|transaction| self.replies.answer(transaction, 200, b""));
                // RFC 4975 7.1.3: it MUST send a success report covering all bytes; the endpoint
                // MUST NOT send one that was not asked for.
                if incoming.success_report {
                    self.replies.report_success(&incoming.message_id, &incoming.path, size, tokens);
                }
                self.end(incoming.message_id, Ended::Stored { size });
            }
            Verdict::Refused(status, comment) => {
                // RFC 4975 7.1.4: it SHOULD simply include the appropriate error code in the
                // transaction response; with "no", it MUST NOT send a failure REPORT either.
                waiting.iter().for_each(|transaction| self.replies.answer(transaction, *status, comment));
                self.end(incoming.message_id, Ended::Refused(*status));
            }
        }
    }

    /// A chunk of an answered message that is being read: refused at once, or acknowledged at its end.
    fn take_current_of(
        &mut self,
        id: IncomingId,
        verdict: &Verdict,
        waiting: &mut SmallVec<[Transaction; 1]>,
    ) {
        let is_its_own = matches!(self.current, Current::Chunk { id: current, .. } if current == id);
        if is_its_own
            && matches!(verdict, Verdict::Refused(..))
            && let Current::Chunk { transaction, .. } = std::mem::replace(&mut self.current, Current::Skipped)
        {
            waiting.push(transaction);
        }
    }

    /// The connection is gone: messages that are not complete will not be. Those that are wait on for
    /// the user, and all that has ended is known on.
    pub(super) fn close(&mut self, events: &mut Queue<Event>) {
        let unfinished = self.incoming.iter().filter(|(_, m)| m.waiting.is_none());
        let mut ids: Vec<_> = unfinished.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            if let Some(incoming) = self.incoming.remove(&id) {
                // RFC 4975 5.4: the chunks of a message MAY be split across the sessions: who sends only the rest of
                // this one must hear that its beginning is gone. From its first byte on it is taken.
                self.end(incoming.message_id, Ended::Refused(CUT_OFF));
            }
            events.push_back(Event::Dropped { id, cause: DropCause::Closed });
        }
        // Their transactions ended with the connection; who sends them again says where he is now.
        for incoming in self.incoming.values_mut() {
            incoming.waiting = Some(SmallVec::new());
            incoming.success_report = false;
            incoming.path = Arc::from([]);
        }
        self.unfinished = 0;
        self.current = Current::Skipped;
        self.replies.buffer.clear();
    }

    fn end(&mut self, message_id: Bytes, ended: Ended) {
        self.ends += 1;
        self.remembered += COST + message_id.len();
        self.known.insert(message_id.clone(), Known::Ended(ended, self.ends));
        self.ended.push_back((self.ends, message_id));
        while self.remembered > REMEMBERED
            && let Some((number, oldest)) = self.ended.pop_front()
        {
            self.remembered -= COST + oldest.len();
            if matches!(self.known.get(&oldest), Some(Known::Ended(_, last)) if *last == number) {
                self.known.remove(&oldest);
            }
        }
    }
}

/// Fields that do not keep the frame they came in.
fn copied(fields: &[(Bytes, Bytes)]) -> Vec<(Bytes, Bytes)> {
    let copy = |(name, value): &(Bytes, Bytes)| (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
    fields.iter().map(copy).collect()
}
