//! The head of a frame: start line and header fields (RFC 4975 7.1, 7.2 and 9).

use std::fmt;

use bytes::Bytes;

use super::{ByteRange, MsrpUri};

/// The extension header field by which a store names the item that each SEND of a retrieval belongs to.
pub const DEFERRED_MESSAGE_ID: &str = "Deferred-Message-ID";

/// How a frame ends: the flag of the end-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Continuation {
    /// `$`: the message ends here.
    Complete,
    /// `+`: the message goes on in another chunk.
    More,
    /// `#`: the message is given up.
    Aborted,
}

impl Continuation {
    /// The flag character.
    #[must_use]
    pub const fn flag(self) -> u8 {
        match self {
            Self::Complete => b'$',
            Self::More => b'+',
            Self::Aborted => b'#',
        }
    }

    /// The continuation that a flag character stands for.
    #[must_use]
    pub const fn from_flag(flag: u8) -> Option<Self> {
        match flag {
            b'$' => Some(Self::Complete),
            b'+' => Some(Self::More),
            b'#' => Some(Self::Aborted),
            _ => None,
        }
    }
}

/// What the sender wants to hear of failures (RFC 4975 7.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FailureReport {
    /// Every request is answered. The value where the header field is missing.
    #[default]
    Yes,
    /// Nothing is answered.
    No,
    /// Errors alone are answered.
    Partial,
}

impl FailureReport {
    /// Whether a request that asks for this is to be answered with `status`.
    #[must_use]
    pub const fn wants(self, status: u16) -> bool {
        // RFC 4975 7.1.4: with "no", the endpoint MUST NOT send a transaction response; with
        // "partial" it MUST NOT send a 200, but SHOULD send a non-200 class response on failure.
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::Partial => status != 200,
        }
    }
}

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A SEND request: a message or a chunk of one.
    Send,
    /// A REPORT request: what became of a message.
    Report,
    /// A request of an extension method.
    Other(Bytes),
    /// A response to a request.
    Response {
        /// The status code, 0 to 999.
        status: u16,
        /// The comment after it; may be empty.
        comment: Bytes,
    },
}

/// The Status header field of a REPORT.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// Says how to read the code; 0 is that of MSRP responses.
    pub namespace: u16,
    /// The status code.
    pub code: u16,
    /// The comment after it; may be empty.
    pub comment: Bytes,
}

/// Start line and header fields of a frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// The transaction identifier: 4 to 32 characters.
    pub transaction: Bytes,
    /// Method or response.
    pub kind: FrameKind,
    /// Where the frame goes; the leftmost is visited first.
    pub to_path: Vec<MsrpUri>,
    /// Where the frame comes from; the leftmost is the previous hop.
    pub from_path: Vec<MsrpUri>,
    /// Message-ID.
    pub message_id: Option<Bytes>,
    /// Byte-Range.
    pub byte_range: Option<ByteRange>,
    /// Whether Success-Report is `yes`.
    pub success_report: bool,
    /// Failure-Report.
    pub failure_report: FailureReport,
    /// Status, in a REPORT.
    pub status: Option<Status>,
    /// Content-Type as written.
    pub content_type: Option<Bytes>,
    /// All other header fields in order: name and value as written.
    pub others: Vec<(Bytes, Bytes)>,
    /// Whether a body, be it empty, follows. Set by the decoder; the encoder is told.
    pub has_body: bool,
    /// What makes the head unintelligible, although its frame is delimited: answered with 400.
    pub fault: Option<&'static str>,
}

impl Head {
    /// A head with its start line and paths, and nothing else.
    #[must_use]
    pub const fn new(
        kind: FrameKind,
        transaction: Bytes,
        to_path: Vec<MsrpUri>,
        from_path: Vec<MsrpUri>,
    ) -> Self {
        Self {
            transaction,
            kind,
            to_path,
            from_path,
            message_id: None,
            byte_range: None,
            success_report: false,
            failure_report: FailureReport::Yes,
            status: None,
            content_type: None,
            others: Vec::new(),
            has_body: false,
            fault: None,
        }
    }

    /// Whether a body, be it empty, follows the head.
    #[must_use]
    pub const fn has_body(&self) -> bool {
        self.has_body
    }

    /// The first header field named `name` among [`Head::others`], without regard to case.
    #[must_use]
    pub fn other(&self, name: &str) -> Option<&Bytes> {
        self.others.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("transaction", &self.transaction)
            .field("kind", &self.kind)
            .field("to_path", &self.to_path)
            .field("from_path", &self.from_path)
            .field("message_id", &self.message_id)
            .field("byte_range", &self.byte_range)
            .field("success_report", &self.success_report)
            .field("failure_report", &self.failure_report)
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("others", &self.others.len())
            .field("has_body", &self.has_body)
            .field("fault", &self.fault)
            .finish()
    }
}
