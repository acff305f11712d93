//! What a session tells its user, and what its user tells it.

use bytes::Bytes;

/// Names a message that is being received; never used twice in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncomingId(pub(super) u64);

/// Names a message that is being sent; never used twice in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutgoingId(pub(super) u64);

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its Message-ID; 4 to 32 characters of `ident`.
    pub message_id: Bytes,
    /// Its Content-Type.
    pub content_type: Bytes,
    /// Further header fields, of which each chunk has its copy.
    pub headers: Vec<(Bytes, Bytes)>,
    /// Its size in bytes.
    pub total: u64,
}

/// What the user says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in safe hands.
    Stored,
    /// It is not taken: status code, and comment (if empty, that of RFC 4975 10).
    Refused(u16, Bytes),
}

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first frame came, or the connection that we opened stands: frames can be sent.
    Bound,
    /// A message begins to arrive.
    Started {
        /// Its name from now on.
        id: IncomingId,
        /// Its Message-ID.
        message_id: Bytes,
        /// Its Content-Type as written.
        content_type: Option<Bytes>,
        /// The other header fields of the chunk that came first.
        headers: Vec<(Bytes, Bytes)>,
        /// Its size, as far as its sender said.
        total: Option<u64>,
        /// Whether its sender wants to be told that it is stored (RFC 4975 7.1.1: Failure-Report is `yes`).
        answered: bool,
    },
    /// The chunk with the first byte of a message has come behind others: what it says of the message takes the place of
    /// what they said.
    Described {
        /// The message.
        id: IncomingId,
        /// Its Content-Type as written.
        content_type: Bytes,
        /// The other header fields.
        headers: Vec<(Bytes, Bytes)>,
    },
    /// Bytes of a message. They may come out of order, and twice: what comes last counts.
    Data {
        /// The message.
        id: IncomingId,
        /// Where the bytes begin, counted from zero.
        offset: u64,
        /// A slice of what was received.
        bytes: Bytes,
    },
    /// All bytes of a message are there. Its last response waits for [`super::Session::answer`].
    Complete {
        /// The message.
        id: IncomingId,
        /// Its size; data beyond it does not count.
        size: u64,
    },
    /// A message will not be completed.
    Dropped {
        /// The message.
        id: IncomingId,
        /// Why.
        cause: DropCause,
    },
    /// The last byte of a message was handed to transmit.
    Sent {
        /// The message.
        id: OutgoingId,
    },
    /// Every chunk of a message was answered 200.
    Delivered {
        /// The message.
        id: OutgoingId,
    },
    /// The peer does not take a message; nothing more of it is sent.
    Refused {
        /// The message.
        id: OutgoingId,
        /// The status code of the response or report; 408 too where none came in time.
        status: u16,
    },
    /// The session is over. No event follows but those already on their way.
    Failed(SessionFailure),
}

/// Why a message that was being received ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// Its sender gave it up (`#`).
    Aborted,
    /// It is larger than the limit; its sender was told 413.
    TooLarge,
    /// It came in too many pieces out of order; its sender was told 413.
    Fragmented,
    /// Its first chunk, which came behind others, has a type that is not received; its sender was told 415.
    Unsupported,
    /// The session ended.
    Closed,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFailure {
    /// The connection is gone.
    ConnectionClosed,
    /// The peer does not know the session (481), or has it on another connection (506), or refused
    /// the request that was to bind it.
    Refused(u16),
    /// A failure REPORT said that bytes were not received.
    Reported(u16),
    /// The request that was to bind the session was not answered.
    ProbeTimeout,
}
