//! [`Session`]: one MSRP session, both directions.

use bytes::Bytes;

use super::receiver::Receiver;
use super::sender::Sender;
use super::token::Tokens;
use super::{Event, IncomingId, Outgoing, OutgoingId, SessionConfig, SessionFailure, Verdict};
use crate::entropy::Entropy;
use crate::queue::Queue;
use crate::time::Instant;
use crate::wire::msrp::{FrameKind, Head, MsrpUri, Piece};

/// One MSRP session (RFC 4975), without IO.
///
/// Give it what comes from the connection ([`Session::handle_piece`] and the other `handle_*`),
/// and commands ([`Session::answer`], [`Session::begin`], [`Session::data`] ...). After each call,
/// drain [`Session::poll_transmit`] and [`Session::poll_event`], and arm one alarm for
/// [`Session::poll_timeout`].
///
/// A chunk may stand open between two calls. Where several sessions share a connection, call
/// [`Session::interrupt`] and drain before another one writes.
#[derive(Debug)]
pub struct Session {
    /// With the peer's path as it was told last.
    config: SessionConfig,
    state: State,
    tokens: Tokens,
    /// How many messages were begun.
    begun: u64,
    /// Each half comes with its first work: most sessions that wait have none yet.
    sender: Option<Box<Sender>>,
    receiver: Option<Box<Receiver>>,
    events: Queue<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection yet: what is sent waits.
    Unbound,
    /// Frames flow.
    Bound,
    /// The session failed: nothing is taken, what was written before still goes out.
    Failed,
    /// The connection is gone: nothing goes out.
    Closed,
}

impl Session {
    /// A session whose transaction identifiers begin with bits from `entropy`.
    #[must_use]
    pub fn new(config: SessionConfig, entropy: &mut dyn Entropy) -> Self {
        Self {
            state: State::Unbound,
            tokens: Tokens::new(entropy),
            begun: 0,
            sender: None,
            receiver: None,
            events: Queue::new(),
            config,
        }
    }

    /// What the session was given at birth, with the peer's path as it was told last.
    #[must_use]
    pub const fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// Tells the peer's path, before anything is sent.
    pub fn set_remote(&mut self, remote: Vec<MsrpUri>) {
        self.config.remote = remote;
    }

    /// The peer's path, as it was told last.
    #[must_use]
    pub fn remote(&self) -> &[MsrpUri] {
        &self.config.remote
    }

    /// The session gets another connection, and the peer's path anew (RFC 4975 5.4, by a new exchange of
    /// descriptions). It is unbound again; what was being sent is forgotten without an event, and what was
    /// arriving is dropped. What was received before is still known: a message that comes again is a
    /// duplicate.
    pub fn renew(&mut self, remote: Vec<MsrpUri>) {
        self.stop_receiving();
        if let Some(receiver) = &mut self.receiver {
            receiver.replies.buffer.clear();
        }
        if let Some(sender) = &mut self.sender {
            sender.renew();
        }
        self.set_remote(remote);
        self.state = State::Unbound;
    }

    /// Whether frames can be sent.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.state == State::Bound
    }

    /// Whether the session has failed or its connection is gone.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Failed | State::Closed)
    }

    /// Whether a chunk stands open: only this session may write to the connection.
    #[must_use]
    pub fn has_open_chunk(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| sender.has_open_chunk())
    }

    /// The connection can be used: we opened it, or the peer's first request came.
    pub fn handle_bound(&mut self, _now: Instant) {
        if self.state == State::Unbound {
            self.state = State::Bound;
            self.events.push_back(Event::Bound);
        }
    }

    /// A piece of a frame that came over the session's connection.
    pub fn handle_piece(&mut self, now: Instant, piece: Piece) {
        if self.is_over() {
            return;
        }
        match piece {
            Piece::Head(head) => self.handle_head(now, &head),
            Piece::Body(bytes) => {
                if let Some(receiver) = &mut self.receiver {
                    receiver.handle_body(bytes, &self.config, &mut self.events);
                }
            }
            Piece::End(end) => {
                if let Some(receiver) = &mut self.receiver {
                    receiver.handle_end(end, &mut self.tokens, &mut self.events);
                }
            }
        }
        self.settle(now);
    }

    fn handle_head(&mut self, now: Instant, head: &Head) {
        // RFC 4975 7.3: the To-Path will have exactly one URI, which MUST map to an existing
        // session; otherwise the receiver MUST generate a 481 error and ignore the request.
        if !matches!(head.to_path.as_slice(), [uri] if uri.same_as(&self.config.local)) {
            let status = if head.to_path.is_empty() { 400 } else { 481 };
            let receiver = receiver(&mut self.receiver, &self.config);
            receiver.skip();
            return receiver.replies.refuse(head, status);
        }
        if let FrameKind::Send | FrameKind::Other(_) = head.kind {
            // RFC 4975 5.4: the first request binds the connection. Nothing else does: it is of a former one.
            self.handle_bound(now);
            let receiver = receiver(&mut self.receiver, &self.config);
            return receiver.handle_head(head, &self.config, &mut self.events);
        }
        if let Some(receiver) = &mut self.receiver {
            receiver.skip();
        }
        if self.state == State::Unbound {
            return;
        }
        // What nothing was sent for is nobody's.
        let Some(sender) = &mut self.sender else { return };
        match &head.kind {
            FrameKind::Response { status, .. } => {
                if let Some(number) = self.tokens.number(&head.transaction) {
                    sender.handle_response(now, number, *status, &mut self.events);
                }
            }
            FrameKind::Report => {
                if let (None, Some(id), Some(status)) = (head.fault, &head.message_id, &head.status) {
                    sender.handle_report(now, id, status, &mut self.events);
                }
            }
            FrameKind::Send | FrameKind::Other(_) => {}
        }
    }

    /// The connection is gone.
    pub fn handle_closed(&mut self, _now: Instant) {
        if self.state == State::Closed {
            return;
        }
        // RFC 4975 5.4: if a connection fails for any reason, an endpoint MUST consider any
        // sessions associated with the connection as also having failed.
        if self.state != State::Failed {
            self.stop_receiving();
            if let Some(sender) = &mut self.sender {
                sender.clear();
            }
            self.events.push_back(Event::Failed(SessionFailure::ConnectionClosed));
        }
        if let Some(sender) = &mut self.sender {
            sender.out.clear();
        }
        self.state = State::Closed;
    }

    /// What was transmitted last still waited behind others' until now: for what has no response the time begins again.
    pub fn handle_held_up(&mut self, now: Instant) {
        if let Some(sender) = &mut self.sender {
            sender.postpone(now);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        if let Some(sender) = &mut self.sender {
            sender.handle_timeout(now, &mut self.events);
        }
        self.settle(now);
    }

    /// Says what became of a message after [`Event::Complete`]: sends the response of its last
    /// chunk and the report its sender asked for. A refusal may come earlier, and ends a message
    /// that is still arriving. An unknown `id` is ignored.
    pub fn answer(&mut self, now: Instant, id: IncomingId, verdict: &Verdict) {
        let over = self.is_over();
        let Some(receiver) = &mut self.receiver else { return };
        // Also where there is no connection to say it on: the session may get another.
        receiver.answer(id, verdict, &mut self.tokens);
        if over {
            receiver.replies.buffer.clear();
        } else {
            self.settle(now);
        }
    }

    /// Begins to send a message. One of no bytes is sent at once; of others, the bytes come with
    /// [`Session::data`].
    pub fn begin(&mut self, now: Instant, outgoing: Outgoing) -> OutgoingId {
        let is_empty = outgoing.total == 0;
        self.begun += 1;
        let id = OutgoingId(self.begun);
        sender(&mut self.sender, &self.config).begin(id, outgoing);
        if is_empty {
            self.data(now, id, Bytes::new());
        }
        id
    }

    /// Sends the next bytes of a message. It is complete with the last of its `total`; what goes
    /// beyond is ignored, as is data of a message that was refused or aborted.
    pub fn data(&mut self, now: Instant, id: OutgoingId, bytes: Bytes) {
        if !self.is_over()
            && let Some(sender) = &mut self.sender
        {
            sender.data(now, id, bytes, &self.config, &mut self.tokens, &mut self.events);
        }
    }

    /// Gives up a message; the peer is told with `#`, and no event follows.
    pub fn abort(&mut self, now: Instant, id: OutgoingId) {
        if !self.is_over()
            && let Some(sender) = &mut self.sender
        {
            sender.abort(now, id, &self.config, &mut self.tokens);
        }
    }

    /// Sends the empty SEND that binds a connection which we opened.
    pub fn probe(&mut self, now: Instant) {
        // RFC 4975 5.4: the active endpoint MUST immediately issue a SEND request.
        if !self.is_over() {
            sender(&mut self.sender, &self.config).probe(now, &self.config, &mut self.tokens);
        }
    }

    /// Ends the open chunk, if any, so that something else can be written to the connection.
    pub fn interrupt(&mut self, now: Instant) {
        if !self.is_over()
            && let Some(sender) = &mut self.sender
        {
            sender.interrupt(now);
        }
    }

    /// The next bytes to write, in order; before the session is bound only refusals.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        let next = match self.state {
            // What is refused before anything binds the connection is answered all the same.
            State::Unbound => self.receiver.as_mut().and_then(|receiver| receiver.replies.take()),
            _ => self.sender.as_mut().and_then(|sender| sender.out.pop()),
        };
        if next.is_none() {
            self.rest();
        }
        next
    }

    /// A session that waits holds no more than it must.
    fn rest(&mut self) {
        if let Some(sender) = &mut self.sender {
            sender.rest();
        }
        if self.receiver.as_ref().is_some_and(|receiver| receiver.is_blank()) {
            self.receiver = None;
        }
        if let Some(receiver) = &mut self.receiver {
            receiver.replies.rest();
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many requests of this side wait for a response. Who sends on without regard to it has everything under
    /// way that the connection's buffers hold.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.sender.as_ref().map_or(0, |sender| sender.unanswered())
    }

    /// When [`Session::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sender.as_ref()?.deadline()
    }

    /// Writes replies between chunks, and ends the session where something said that it failed.
    fn settle(&mut self, now: Instant) {
        let bound = self.state != State::Unbound;
        if let Some(receiver) = self.receiver.as_mut().filter(|it| bound && !it.replies.buffer.is_empty()) {
            sender(&mut self.sender, &self.config).write_between(now, &mut receiver.replies.buffer);
        }
        let Some(sender) = &mut self.sender else { return };
        let Some(failure) = sender.failure.take() else { return };
        sender.interrupt(now);
        sender.clear();
        self.stop_receiving();
        self.events.push_back(Event::Failed(failure));
        self.state = State::Failed;
    }

    fn stop_receiving(&mut self) {
        if let Some(receiver) = &mut self.receiver {
            receiver.close(&mut self.events);
        }
    }
}

fn sender<'a>(half: &'a mut Option<Box<Sender>>, config: &SessionConfig) -> &'a mut Sender {
    half.get_or_insert_with(|| Box::new(Sender::new(config)))
}

fn receiver<'a>(half: &'a mut Option<Box<Receiver>>, config: &SessionConfig) -> &'a mut Receiver {
    half.get_or_insert_with(|| Box::new(Receiver::new(config)))
}
