//! The sending half of a session (RFC 4975 7.1.1): messages become chunks, chunks transactions.
//! One chunk may stand open; whatever else has to be written interrupts it.

use bytes::{Bytes, BytesMut};

use super::outbox::Outbox;
use super::token::{LONGEST, Tokens};
use super::transaction::{Subject, Transactions};
use super::{Event, Outgoing, OutgoingId, SessionConfig, SessionFailure, Window};
use crate::queue::Queue;
use crate::time::Instant;
use crate::wire::msrp::{ByteRange, Continuation, SendHead, Status, encode_end, end_line};

/// RFC 4975 7.1.1: a larger chunk has to be interruptible.
const INTERRUPTIBLE_ABOVE: u64 = 2048;

#[derive(Debug)]
pub(super) struct Sender {
    messages: Window<OutgoingId, Message>,
    open: Option<OpenChunk>,
    transactions: Transactions,
    /// `-------` and the identifier of the open chunk.
    end_line: Vec<u8>,
    /// The last bytes of the open chunk, where half an end-line could stand.
    tail: Vec<u8>,
    pub(super) out: Outbox,
    /// Why the session is over, once it is.
    pub(super) failure: Option<SessionFailure>,
}

#[derive(Debug)]
struct Message {
    message_id: Bytes,
    /// Nothing once the last chunk is out.
    fields: Option<Box<Fields>>,
    /// Its size in bytes.
    total: u64,
    /// Bytes handed to transmit.
    sent: u64,
    /// Chunks without a response.
    unanswered: usize,
}

/// The header fields that each chunk of a message has.
#[derive(Debug)]
struct Fields {
    content_type: Bytes,
    headers: Vec<(Bytes, Bytes)>,
}

impl Message {
    /// Whether its last chunk is out.
    const fn is_sent(&self) -> bool {
        self.fields.is_none()
    }
}

#[derive(Clone, Copy, Debug)]
struct OpenChunk {
    id: OutgoingId,
    number: u64,
    bytes: u64,
}

impl Sender {
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            messages: Window::default(),
            open: None,
            transactions: Transactions::new(config.limits.transaction_timeout),
            end_line: Vec::new(),
            tail: Vec::new(),
            out: Outbox::default(),
            failure: None,
        }
    }

    pub(super) fn begin(&mut self, id: OutgoingId, outgoing: Outgoing) {
        let Outgoing { message_id, content_type, headers, total } = outgoing;
        let fields = Some(Box::new(Fields { content_type, headers }));
        self.messages.insert(id, Message { message_id, fields, total, sent: 0, unanswered: 0 });
    }

    /// Sends the next bytes of a message.
    pub(super) fn data(
        &mut self,
        now: Instant,
        id: OutgoingId,
        mut bytes: Bytes,
        config: &SessionConfig,
        tokens: &mut Tokens,
        events: &mut Queue<Event>,
    ) {
        let Some(message) = self.messages.get(id).filter(|m| !m.is_sent()) else { return };
        let mut left = message.total - message.sent;
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        while !bytes.is_empty() || left == 0 {
            self.open_for(now, id, &bytes, config, tokens);
            let room = self.open.map_or(0, |chunk| config.limits.chunk() - chunk.bytes);
            let piece = bytes.split_to(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            left -= piece.len() as u64;
            self.write(piece);
            if left == 0 {
                self.close(now, Continuation::Complete);
                events.push_back(Event::Sent { id });
                return self.settle(id, events);
            }
            if self.open.is_some_and(|chunk| chunk.bytes >= config.limits.chunk()) {
                self.close(now, Continuation::More);
            }
        }
    }

    /// Makes sure that the open chunk is one of this message, and that its end-line does not
    /// occur in what comes next.
    fn open_for(
        &mut self,
        now: Instant,
        id: OutgoingId,
        next: &[u8],
        config: &SessionConfig,
        tokens: &mut Tokens,
    ) {
        if let Some(chunk) = self.open {
            let next = within(next, config.limits.chunk() - chunk.bytes);
            if chunk.id == id && !self.collides(next) {
                return;
            }
            self.close(now, Continuation::More);
        }
        let next = within(next, config.limits.chunk());
        // RFC 4975 7.1: if the end-line is present in the body, the sender MUST choose a new
        // transaction identifier that is not present in the body.
        self.end_line.clear();
        self.end_line.reserve_exact(end_line::DASHES.len() + LONGEST);
        self.end_line.extend_from_slice(end_line::DASHES);
        let number = loop {
            let number = tokens.mint();
            self.end_line.truncate(end_line::DASHES.len());
            tokens.write(number, &mut self.end_line);
            if !end_line::occurs(&self.end_line, next) {
                break number;
            }
        };
        self.open_chunk(id, number, next.len() as u64, config);
    }

    fn collides(&self, next: &[u8]) -> bool {
        let reach = self.end_line.len().saturating_sub(1);
        let mut seam = [0; 128];
        let begin = next.get(..next.len().min(reach)).unwrap_or_default();
        let mut seam_length = 0;
        for (to, from) in seam.iter_mut().zip(self.tail.iter().chain(begin)) {
            *to = *from;
            seam_length += 1;
        }
        end_line::occurs(&self.end_line, seam.get(..seam_length).unwrap_or_default())
            || end_line::occurs(&self.end_line, next)
    }

    fn open_chunk(&mut self, id: OutgoingId, number: u64, at_hand: u64, config: &SessionConfig) {
        let Some(message) = self.messages.get_mut(id) else { return };
        let Message { message_id, fields: Some(fields), total, sent, unanswered } = message else { return };
        *unanswered += 1;
        let left = *total - *sent;
        // RFC 4975 7.1.1: range-end MUST be "*" if the request needs to be interruptible; senders
        // MUST NOT send chunks larger than 2048 octets unless they are.
        let ends = left == at_hand && left <= INTERRUPTIBLE_ABOVE;
        let head = SendHead {
            transaction: self.end_line.get(end_line::DASHES.len()..).unwrap_or_default(),
            to_path: &config.remote,
            from_path: std::slice::from_ref(&config.local),
            message_id,
            byte_range: ByteRange { start: *sent + 1, end: ends.then_some(*total), total: Some(*total) },
            others: &fields.headers,
            content_type: Some(&fields.content_type),
        };
        head.encode(self.out.buffer());
        self.transactions.begin(number, Subject::Chunk(id));
        self.tail.clear();
        self.open = Some(OpenChunk { id, number, bytes: 0 });
    }

    fn write(&mut self, piece: Bytes) {
        let Some(chunk) = &mut self.open else { return };
        chunk.bytes += piece.len() as u64;
        if let Some(message) = self.messages.get_mut(chunk.id) {
            message.sent += piece.len() as u64;
        }
        let reach = self.end_line.len().saturating_sub(1);
        self.tail.extend_from_slice(piece.get(piece.len().saturating_sub(reach)..).unwrap_or_default());
        self.tail.drain(..self.tail.len().saturating_sub(reach));
        self.out.push(piece);
    }

    fn close(&mut self, now: Instant, continuation: Continuation) {
        let Some(chunk) = self.open.take() else { return };
        // RFC 4975 7.1: if a body is present, the end-line MUST be preceded by a CRLF.
        let out = self.out.buffer();
        out.extend_from_slice(b"\r\n");
        encode_end(self.end_line.get(end_line::DASHES.len()..).unwrap_or_default(), continuation, out);
        self.transactions.sent(now, chunk.number);
        if continuation == Continuation::Complete
            && let Some(message) = self.messages.get_mut(chunk.id)
        {
            // Nothing more is written of it: what its chunks had is not kept until it is acknowledged.
            message.fields = None;
        }
    }

    /// Writes what is no chunk of ours: responses and reports.
    pub(super) fn write_between(&mut self, now: Instant, frames: &mut BytesMut) {
        if !frames.is_empty() {
            // RFC 4975 7.1.1: SEND requests larger than 2048 octets MUST be interrupted if the
            // sender needs to send pending responses or REPORT requests.
            self.interrupt(now);
            self.out.buffer().extend_from_slice(frames);
            frames.clear();
        }
    }

    /// Gives back what was needed to write the last chunk.
    pub(super) fn rest(&mut self) {
        if self.open.is_none() {
            self.tail = Vec::new();
            self.end_line = Vec::new();
        }
    }

    /// Ends the open chunk, whose message goes on in another.
    pub(super) fn interrupt(&mut self, now: Instant) {
        self.close(now, Continuation::More);
    }

    pub(super) const fn has_open_chunk(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn abort(
        &mut self,
        now: Instant,
        id: OutgoingId,
        config: &SessionConfig,
        tokens: &mut Tokens,
    ) {
        let begun = self.messages.get(id).is_some_and(|m| m.sent > 0 && !m.is_sent());
        if begun && self.open.is_none_or(|chunk| chunk.id != id) {
            self.open_for(now, id, b"", config, tokens);
        }
        self.stop(now, id);
    }

    /// Stops a message: its open chunk ends with `#`, nothing more is sent.
    fn stop(&mut self, now: Instant, id: OutgoingId) -> bool {
        // RFC 4975 7.3.2: the entire message SHOULD be aborted by including the "#" character.
        if let Some(chunk) = self.open.filter(|chunk| chunk.id == id) {
            self.close(now, Continuation::Aborted);
            self.transactions.forget(chunk.number);
        }
        self.forget(id)
    }

    fn forget(&mut self, id: OutgoingId) -> bool {
        self.messages.remove(id).is_some()
    }

    /// Sends an empty SEND, which binds the connection to the session.
    pub(super) fn probe(&mut self, now: Instant, config: &SessionConfig, tokens: &mut Tokens) {
        self.interrupt(now);
        let number = tokens.mint();
        let mut identifier = Vec::new();
        tokens.write(number, &mut identifier);
        let head = SendHead {
            transaction: &identifier,
            to_path: &config.remote,
            from_path: std::slice::from_ref(&config.local),
            message_id: &identifier,
            // RFC 4975 7.1.1: a Byte-Range referring to zero-length content: "1-0/0".
            byte_range: ByteRange::whole(0),
            others: &[],
            content_type: None,
        };
        head.encode(self.out.buffer());
        encode_end(&identifier, Continuation::Complete, self.out.buffer());
        self.transactions.begin(number, Subject::Probe);
        self.transactions.sent(now, number);
    }

    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        number: u64,
        status: u16,
        events: &mut Queue<Event>,
    ) {
        match self.transactions.answered(now, number) {
            Some(Subject::Chunk(id)) if matches!(status, 200..=299) => self.acknowledge(id, events),
            Some(Subject::Chunk(id)) => self.refuse(now, id, status, events),
            Some(Subject::Probe) if !matches!(status, 200..=299) => {
                self.fail(SessionFailure::Refused(status));
            }
            Some(Subject::Probe) | None => {}
        }
    }

    fn acknowledge(&mut self, id: OutgoingId, events: &mut Queue<Event>) {
        let Some(message) = self.messages.get_mut(id) else { return };
        message.unanswered = message.unanswered.saturating_sub(1);
        self.settle(id, events);
    }

    fn settle(&mut self, id: OutgoingId, events: &mut Queue<Event>) {
        if self.messages.get(id).is_some_and(|m| m.is_sent() && m.unanswered == 0) {
            self.forget(id);
            events.push_back(Event::Delivered { id });
        }
    }

    fn refuse(&mut self, now: Instant, id: OutgoingId, status: u16, events: &mut Queue<Event>) {
        // RFC 4975 10.5: after a 413 it MUST NOT send any further chunks in the message; an
        // interruptible chunk MUST be interrupted. RFC 4975 10.4: 408 is as a local timeout.
        if !self.stop(now, id) {
            return;
        }
        events.push_back(Event::Refused { id, status });
        // RFC 4975 10.8, 10.10: the sender should terminate the session, cease sending.
        if matches!(status, 481 | 506) {
            self.fail(SessionFailure::Refused(status));
        }
    }

    pub(super) fn handle_report(
        &mut self,
        now: Instant,
        message_id: &[u8],
        status: &Status,
        events: &mut Queue<Event>,
    ) {
        // RFC 4975 7.3.2: namespace 000 is interpreted as the status code of a response.
        // RFC 4975 7.1.1: a REPORT for a Message-ID it does not recognize is silently ignored.
        if status.namespace != 0 || matches!(status.code, 200..=299) {
            return;
        }
        // Failures are rare: no index is kept for them.
        let last = self.messages.iter().rev().find(|(_, it)| it.message_id == message_id);
        let Some((id, _)) = last else { return };
        self.refuse(now, id, status.code, events);
        // RFC 4975 7.3.2: a failure REPORT that bytes were not received: it MUST treat the session
        // as failed. 413 and 415 say that they are not wanted (RFC 4975 10.5, 10.6).
        if !matches!(status.code, 413 | 415 | 481 | 506) {
            self.fail(SessionFailure::Reported(status.code));
        }
    }

    pub(super) fn postpone(&mut self, now: Instant) {
        self.transactions.postpone(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, events: &mut Queue<Event>) {
        while let Some(subject) = self.transactions.expired(now) {
            match subject {
                Subject::Chunk(id) => self.refuse(now, id, 408, events),
                Subject::Probe => self.fail(SessionFailure::ProbeTimeout),
            }
        }
    }

    fn fail(&mut self, failure: SessionFailure) {
        self.failure.get_or_insert(failure);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.transactions.deadline()
    }

    pub(super) fn unanswered(&self) -> usize {
        self.transactions.len()
    }

    /// Forgets everything but which identifiers were used.
    pub(super) fn renew(&mut self) {
        self.clear();
        self.out.clear();
        self.failure = None;
    }

    /// Forgets every message.
    pub(super) fn clear(&mut self) {
        self.messages = Window::default();
        self.transactions.clear();
        self.open = None;
    }
}

fn within(bytes: &[u8], limit: u64) -> &[u8] {
    bytes.get(..usize::try_from(limit).unwrap_or(usize::MAX)).unwrap_or(bytes)
}
