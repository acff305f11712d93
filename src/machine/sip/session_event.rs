//! What passes between an [`InviteSession`](super::InviteSession) and its user.

use bytes::Bytes;

use super::event::ServerTxn;
use crate::wire::sip::{HeaderName, Request, Response, StatusCode};

/// A body with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The Content-Type value.
    pub content_type: Bytes,
    /// The content.
    pub bytes: Bytes,
}

impl Body {
    /// A body of type `content_type`.
    #[must_use]
    pub fn new(content_type: impl Into<Bytes>, bytes: impl Into<Bytes>) -> Self {
        Self { content_type: content_type.into(), bytes: bytes.into() }
    }

    /// The body of an SDP offer or answer.
    #[must_use]
    pub fn sdp(bytes: impl Into<Bytes>) -> Self {
        Self::new(Bytes::from_static(b"application/sdp"), bytes)
    }
}

/// A final response other than 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status: 300 to 699.
    pub status: StatusCode,
    /// The reason phrase, where it says more than the standard one.
    pub reason: Option<String>,
    /// Header fields to add, such as Warning or Retry-After.
    pub headers: Vec<(HeaderName, Bytes)>,
}

impl From<StatusCode> for Rejection {
    fn from(status: StatusCode) -> Self {
        Self { status, reason: None, headers: Vec::new() }
    }
}

/// What a session wants done.
#[derive(Clone, Debug)]
pub enum SessionAction {
    /// To be handed to [`Endpoint::respond`](super::Endpoint::respond).
    Respond(ServerTxn, Response),
    /// To be sent by [`Endpoint::request`](super::Endpoint::request) to where
    /// [`Dialog::next_hop`](super::Dialog::next_hop) resolves; its response and failure belong to
    /// the session.
    Request(Request),
}

/// What a session tells its user.
#[derive(Debug)]
pub enum SessionEvent {
    /// The ACK to the INVITE came; where the INVITE bore no offer, it brings the answer.
    Confirmed {
        /// The session description in the ACK's body.
        answer: Option<Bytes>,
    },
    /// A re-INVITE or an UPDATE with an offer; to be answered by
    /// [`InviteSession::answer_reinvite`](super::InviteSession::answer_reinvite).
    Reinvite {
        /// The request as received.
        request: Request,
    },
    /// The ACK to a re-INVITE came.
    Reconfirmed {
        /// The session description in the ACK's body.
        answer: Option<Bytes>,
    },
    /// A re-INVITE was cancelled before it was answered; it needs no answer any more.
    ReinviteCancelled,
    /// A request in order, but none of the session's own; the user answers it.
    Unhandled {
        /// The transaction to answer.
        txn: ServerTxn,
        /// The request as received.
        request: Request,
    },
    /// The session is over. Comes exactly once, and nothing comes after it.
    Ended {
        /// By whom.
        by: EndedBy,
    },
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// The peer sent a BYE.
    Remote,
    /// The user asked for a BYE, and it was answered or given up.
    Local,
    /// The user rejected the INVITE.
    Rejected,
    /// The peer cancelled the INVITE before it was answered.
    Cancelled,
    /// No ACK came for a 2xx, and a BYE was sent for it.
    AckTimeout,
    /// The endpoint gave the INVITE up, the user not having answered it; or the user gave up the session.
    Failed,
}
