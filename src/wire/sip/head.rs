//! The head of a message: start line and header fields up to the empty line (RFC 3261 7.1 to 7.3).
//!
//! A fault does not end the reading: the rest is gathered, so that a bad request can be answered.

use bytes::Bytes;

use super::error::{HeaderError, Limits, ParseError};
use super::grammar::{decimal, is_blank, is_token, share, trim};
use super::header_name::HeaderName;
use super::headers::Headers;
use super::message::{Message, Request, Response};
use super::method::Method;
use super::status::StatusCode;

/// A head that has been read, with the first fault that was found.
pub(super) struct Head {
    pub(super) message: Message,
    pub(super) fault: Option<Fault>,
    /// Whether line ends can be trusted; when not, a stream cannot be kept in step.
    pub(super) framed: bool,
}

/// Why a message is refused.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl From<HeaderError> for Fault {
    fn from(error: HeaderError) -> Self {
        Self::bad(error.to_string())
    }
}

impl Head {
    /// Reads `text`, which ends before or with the empty line.
    pub(super) fn parse(text: &Bytes, limits: &Limits) -> Self {
        let mut lines = Lines::new(text);
        let start = lines.next().unwrap_or_default();
        let (mut message, mut fault) = start_line(text, start);
        let framed = fields(text, &mut lines, &mut message, &mut fault, limits);
        Self { message, fault, framed }
    }

    /// The declared length of the body. The one decision about it, for datagrams and streams alike.
    pub(super) fn content_length(&self) -> Result<Option<usize>, Fault> {
        Ok(self.message.headers().content_length()?)
    }

    /// The message, or what is to be done about its fault.
    pub(super) fn finish(self) -> Result<Message, ParseError> {
        match self.fault {
            None => Ok(self.message),
            Some(fault) => Err(refuse(self.message, fault)),
        }
    }
}

/// What is to be done about a message that has `fault`.
pub(super) fn refuse(message: Message, fault: Fault) -> ParseError {
    let Fault { status, reason } = fault;
    match message {
        // RFC 3261 8.1.3.1, RFC 4475 3.1.2.5: a malformed response is discarded
        Message::Response(_) => ParseError::Silent(reason),
        // RFC 3261 17.1.1.3: an ACK is never answered
        Message::Request(request) if request.method == Method::Ack => ParseError::Silent(reason),
        // RFC 3261 18.2.2: without a Via no response finds its way
        Message::Request(request) if !request.headers.contains(&HeaderName::Via) => {
            ParseError::Silent(reason)
        }
        Message::Request(request) => ParseError::Reject { request: Box::new(request), status, reason },
    }
}

/// The length of the head at the start of `text`, the empty line included; `None` where that has not come.
pub(super) fn head_length(text: &[u8]) -> Option<usize> {
    // Line ends are few, and setting up a search for all four bytes costs more than to look at each.
    let mut ends = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
    ends.find(|end| text.get(..*end).is_some_and(|head| head.ends_with(b"\r\n\r\n")))
}

/// The lines of a head without their line ends.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    /// Whether a CR or LF stood alone.
    stray: bool,
}

impl<'a> Lines<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, stray: false }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        // RFC 3261 25.1: lines end with CRLF. A lone CR or LF is taken as a line end, so that
        // nothing hides behind it, and remembered as a fault.
        let skip = match rest.get(end..end + 2) {
            Some(b"\r\n") => 2,
            _ => {
                self.stray |= end < rest.len();
                1
            }
        };
        self.at += end + skip;
        rest.get(..end)
    }
}

/// Reads a start line; what comes back is a request unless the line begins with `SIP/`.
fn start_line(text: &Bytes, line: &[u8]) -> (Message, Option<Fault>) {
    if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        let (response, fault) = status_line(text, line);
        (Message::Response(response), fault)
    } else {
        let (request, fault) = request_line(text, line);
        (Message::Request(request), fault)
    }
}

/// `SIP-Version SP Status-Code SP Reason-Phrase`
fn status_line(text: &Bytes, line: &[u8]) -> (Response, Option<Fault>) {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let version = parts.next().unwrap_or_default();
    let code = parts.next().unwrap_or_default();
    // The space before an empty reason phrase is often forgotten, and means nothing.
    let reason = parts.next().unwrap_or_default();
    let number =
        decimal(code).filter(|code| (100..=699).contains(code)).and_then(|code| u16::try_from(code).ok());
    let fault = match number {
        _ if !version.eq_ignore_ascii_case(b"SIP/2.0") => {
            Some(Fault::bad("Malformed version in status line"))
        }
        Some(_) if code.len() == 3 => None,
        // RFC 4475 3.1.2.19: a response with a code over 699 is dropped
        _ => Some(Fault::bad("Malformed status code")),
    };
    let status = StatusCode(number.unwrap_or(StatusCode::SERVER_INTERNAL_ERROR.0));
    (Response { status, reason: share(text, reason), headers: Headers::new(), body: Bytes::new() }, fault)
}

/// `Method SP Request-URI SP SIP-Version`
fn request_line(text: &Bytes, line: &[u8]) -> (Request, Option<Fault>) {
    // RFC 3261 7.1: no LWS but the single SP between the elements
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, uri, version) = (parts.next(), parts.next(), parts.next());
    if let (Some(method), Some(uri), Some(version), None) = (method, uri, version, parts.next())
        && is_token(method)
        && !uri.is_empty()
        && !uri.contains(&b'\t')
    {
        let request = Request::new(Method::from_token(&share(text, method)), share(text, uri));
        let fault = version_fault(version);
        return (request, fault);
    }
    let mut words = line.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty());
    let method = words.next().filter(|word| is_token(word)).map_or_else(
        || Method::Other(Bytes::from_static(b"?")),
        |word| Method::from_token(&share(text, word)),
    );
    let request = Request::new(method, share(text, words.next().unwrap_or_default()));
    (request, Some(Fault::bad("Malformed request line")))
}

fn version_fault(version: &[u8]) -> Option<Fault> {
    // RFC 3261 7.1: the version is compared without case
    if version.eq_ignore_ascii_case(b"SIP/2.0") {
        return None;
    }
    let sip = version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"));
    let number = version.get(4..).unwrap_or_default();
    let mut digits = number.split(|byte| *byte == b'.').map(decimal);
    match (sip, digits.next(), digits.next(), digits.next()) {
        // RFC 3261 21.5.6: another version of SIP
        (true, Some(Some(_)), Some(Some(_)), None) => {
            Some(Fault::new(StatusCode::VERSION_NOT_SUPPORTED, StatusCode::VERSION_NOT_SUPPORTED.reason()))
        }
        _ => Some(Fault::bad("Malformed version in request line")),
    }
}

/// Reads the header fields into `message`; says whether line ends can be trusted.
fn fields(
    text: &Bytes,
    lines: &mut Lines<'_>,
    message: &mut Message,
    fault: &mut Option<Fault>,
    limits: &Limits,
) -> bool {
    let mut gathered = Gathered::new(limits.headers);
    let mut line = lines.next();
    while let Some(first) = line.filter(|line| !line.is_empty()) {
        let start = offset(text, first);
        line = lines.next();
        // RFC 3261 7.3.1: a line that begins with a blank continues the one before
        let mut folded = false;
        let mut end = start + first.len();
        while let Some(more) = line.filter(|line| line.first().is_some_and(|byte| is_blank(*byte))) {
            folded = true;
            end = offset(text, more) + more.len();
            line = lines.next();
        }
        let found = field(text, text.get(start..end).unwrap_or_default(), folded);
        match found {
            Some((name, value)) => gathered.keep(name, value),
            None => {
                fault.get_or_insert_with(|| Fault::bad("Malformed header field"));
            }
        }
    }
    if gathered.overflowed {
        fault.get_or_insert_with(|| {
            Fault::new(StatusCode::REQUEST_ENTITY_TOO_LARGE, "Too many header fields")
        });
    }
    match message {
        Message::Request(request) => request.headers = gathered.headers,
        Message::Response(response) => response.headers = gathered.headers,
    }
    if lines.stray {
        fault.get_or_insert_with(|| Fault::bad("Line not ended by CRLF"));
    }
    !lines.stray
}

fn offset(text: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// `field-name HCOLON field-value`, with the folds undone.
fn field(text: &Bytes, raw: &[u8], folded: bool) -> Option<(HeaderName, Bytes)> {
    let colon = memchr::memchr(b':', raw)?;
    let name = raw.get(..colon)?;
    let known = HeaderName::known(name).or_else(|| HeaderName::known(trim_end(name)));
    let name = match known {
        Some(name) => name,
        None => {
            let name = trim_end(name);
            is_token(name).then(|| HeaderName::Other(share(text, name)))?
        }
    };
    let value = raw.get(colon + 1..).unwrap_or_default();
    let value = if folded { Bytes::from(unfold(value)) } else { share(text, trim(value)) };
    Some((name, value))
}

/// The blanks RFC 3261 25.1 allows before the colon.
fn trim_end(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
    name.get(..end).unwrap_or_default()
}

/// RFC 3261 7.3.1: each fold, with the blanks around it, is worth a single SP.
fn unfold(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for line in value.split(|byte| matches!(byte, b'\r' | b'\n')).map(trim).filter(|line| !line.is_empty()) {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(line);
    }
    out
}

/// Gathers fields up to the limit, and beyond it those that framing and a response need.
struct Gathered {
    headers: Headers,
    limit: usize,
    /// Which of the needed fields are there; one bit each, two for Content-Length.
    seen: u8,
    overflowed: bool,
}

impl Gathered {
    fn new(limit: usize) -> Self {
        Self { headers: Headers::with_capacity(limit.min(16)), limit, seen: 0, overflowed: false }
    }

    fn keep(&mut self, name: HeaderName, value: Bytes) {
        let bit = match name {
            HeaderName::Via => 1,
            HeaderName::From => 2,
            HeaderName::To => 4,
            HeaderName::CallId => 8,
            HeaderName::CSeq => 16,
            // A second Content-Length is one too many, and must be seen.
            HeaderName::ContentLength if self.seen & 32 != 0 => 64,
            HeaderName::ContentLength => 32,
            _ => 0,
        };
        let new = bit & !self.seen != 0;
        self.seen |= bit;
        let full = self.headers.len() >= self.limit;
        self.overflowed |= full;
        if !full || new {
            self.headers.push(name, value);
        }
    }
}

/// Whether a body of `length` bytes is too long.
pub(super) fn body_fault(length: usize, limits: &Limits) -> Option<Fault> {
    (length > limits.body).then(|| {
        Fault::new(StatusCode::REQUEST_ENTITY_TOO_LARGE, StatusCode::REQUEST_ENTITY_TOO_LARGE.reason())
    })
}
