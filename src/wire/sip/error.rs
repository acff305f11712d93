//! What can be wrong with a header field, a URI or a whole message, and how large a message may be.

use std::fmt;

use super::header_name::HeaderName;
use super::message::Request;
use super::status::StatusCode;

/// A header field that is absent where it must not be, repeated, or malformed.
///
/// Its display (`Malformed From: ...`, `Missing Call-ID`) is fit for the reason phrase of a 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    /// The field at fault.
    pub header: HeaderName,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl HeaderError {
    const MISSING: &'static str = "missing";
    const REPEATED: &'static str = "repeated";

    /// The field is absent.
    #[must_use]
    pub const fn missing(header: HeaderName) -> Self {
        Self { header, problem: Self::MISSING }
    }

    /// The field may stand once and stands more often.
    #[must_use]
    pub const fn repeated(header: HeaderName) -> Self {
        Self { header, problem: Self::REPEATED }
    }

    /// The field's value breaks the grammar.
    #[must_use]
    pub const fn malformed(header: HeaderName, problem: &'static str) -> Self {
        Self { header, problem }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Self::MISSING => write!(f, "Missing {}", self.header),
            Self::REPEATED => write!(f, "Repeated {}", self.header),
            problem => write!(f, "Malformed {}: {problem}", self.header),
        }
    }
}

impl std::error::Error for HeaderError {}

/// Why a text is no SIP URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// A well-formed scheme other than `sip` and `sips`.
    #[error("unknown URI scheme")]
    UnknownScheme,
    /// The grammar of RFC 3261 25.1 is broken; says where.
    #[error("malformed URI: {0}")]
    Malformed(&'static str),
}

/// How much of a message is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole message, start line to the end of the body.
    pub message: usize,
    /// Number of header fields.
    pub headers: usize,
    /// Bytes of the body.
    pub body: usize,
}

impl Default for Limits {
    /// 1 MiB a message, 128 header fields, a body up to the message's limit.
    fn default() -> Self {
        Self { message: 1 << 20, headers: 128, body: 1 << 20 }
    }
}

/// A message that cannot be processed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ParseError {
    /// Nothing can or may be answered: no request, an ACK, a response, or too little of a request.
    #[error("dropped: {0}")]
    Silent(String),
    /// A request that is to be refused.
    #[error("{status} {reason}")]
    Reject {
        /// What could be read of it: enough for [`Request::respond_with`].
        request: Box<Request>,
        /// The status to refuse it with.
        status: StatusCode,
        /// The reason phrase, naming the field at fault.
        reason: String,
    },
}

impl ParseError {
    /// The status of a [`ParseError::Reject`].
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Silent(_) => None,
            Self::Reject { status, .. } => Some(*status),
        }
    }
}
