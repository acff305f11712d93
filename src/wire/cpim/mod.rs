//! Message/CPIM (RFC 3862): a message's own headers around its MIME headers and content.
//!
//! [`Cpim`] is read, [`Wrapper`] is written. Namespaces (`NS`) are kept as headers and not resolved.

mod escape;
mod party;

use bytes::Bytes;

use super::line::printable;
use super::mime::{self, Fields, MimeError};
use escape::{escape_into, unescape};
pub use party::Party;

/// The media type of CPIM.
pub const MEDIA_TYPE: &str = "message/cpim";

/// Headers of one message.
const MOST_HEADERS: usize = 64;

/// Bytes of the message headers.
const LONGEST_HEADER: usize = 32 * 1024;

/// The type of a content that tells none (RFC 2045 5.2).
static TEXT: (Bytes, Bytes) = (Bytes::from_static(b"Content-Type"), Bytes::from_static(b"text/plain"));

/// Why bytes are not a CPIM message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpimError {
    /// The empty line after the message headers is missing, or they are too long.
    #[error("CPIM without an end of its message headers")]
    Unterminated,
    /// A line is no header, or not UTF-8.
    #[error("malformed CPIM header")]
    Header,
    /// More headers than anyone needs.
    #[error("CPIM with more than {MOST_HEADERS} headers")]
    TooMany,
    /// The MIME headers are broken.
    #[error(transparent)]
    Mime(#[from] MimeError),
}

/// One message header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name as written: names are compared exactly.
    pub name: String,
    /// The parameters as written: `lang=fr`.
    pub parameters: Option<String>,
    /// The value as written.
    pub value: String,
}

impl Header {
    /// The value without escapes.
    #[must_use]
    pub fn text(&self) -> String {
        unescape(&self.value)
    }
}

/// A CPIM message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpim {
    /// The message headers, in order.
    pub headers: Vec<Header>,
    /// The MIME headers of the content, in order.
    pub content_headers: Fields,
    /// The content, byte for byte.
    pub content: Bytes,
}

impl Cpim {
    /// Reads a message; its content is a slice of `message`. What is read can be wrapped by a [`Wrapper`], and read again.
    ///
    /// # Errors
    /// [`CpimError`] when the headers are broken.
    pub fn parse(message: &Bytes) -> Result<Self, CpimError> {
        let mut headers = Vec::new();
        let mut at = 0;
        loop {
            let rest = message.get(at..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest).ok_or(CpimError::Unterminated)?;
            let line = rest.get(..end).unwrap_or_default();
            at += end + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match (line.is_empty(), headers.len()) {
                (true, _) => break,
                (false, MOST_HEADERS..) => return Err(CpimError::TooMany),
                (false, _) if at > LONGEST_HEADER => return Err(CpimError::Unterminated),
                (false, _) => headers.push(header(line)?),
            }
        }
        let (content_headers, content) = mime::fields(&message.slice(at..))?;
        if !mime::are_readable(typed(&content_headers)) {
            return Err(MimeError::Header.into());
        }
        Ok(Self { headers, content_headers, content })
    }

    /// The first header `name`, compared exactly.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Header> {
        // RFC 3862 2.2: header names MUST match exactly.
        self.headers.iter().find(|header| header.name == name)
    }

    /// What the message is about, in the first language it is told in.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.header("Subject").map(Header::text)
    }

    /// When the message was sent, as an RFC 3339 timestamp.
    #[must_use]
    pub fn date_time(&self) -> Option<&str> {
        self.header("DateTime").map(|header| header.value.as_str())
    }

    /// The MIME header `name` of the content, compared without case.
    #[must_use]
    pub fn content_header(&self, name: &str) -> Option<&Bytes> {
        mime::named(&self.content_headers, name)
    }

    /// The Content-Type of the content, with its parameters.
    #[must_use]
    pub fn content_type(&self) -> Option<Bytes> {
        self.content_header("Content-Type").cloned()
    }

    /// Who sent the message.
    #[must_use]
    pub fn from(&self) -> Option<Party> {
        self.header("From").and_then(|header| Party::parse(&header.value))
    }

    /// The first recipient.
    #[must_use]
    pub fn to(&self) -> Option<Party> {
        self.header("To").and_then(|header| Party::parse(&header.value))
    }
}

/// Reads a message: [`Cpim::parse`].
///
/// # Errors
/// [`CpimError`] when the headers are broken.
pub fn parse(message: &Bytes) -> Result<Cpim, CpimError> {
    Cpim::parse(message)
}

/// RFC 3862 3.6: Header = Header-name ":" *( ";" Parameter ) SP Header-value. The space may be missing.
fn header(line: &[u8]) -> Result<Header, CpimError> {
    let line = std::str::from_utf8(line).map_err(|_| CpimError::Header)?;
    let (name, rest) = line.split_once(':').ok_or(CpimError::Header)?;
    if name.is_empty() || name.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(CpimError::Header);
    }
    let (parameters, value) = match rest.strip_prefix(';') {
        Some(rest) => {
            let (parameters, value) = rest.split_once(' ').unwrap_or((rest, ""));
            (Some(parameters.to_owned()), value)
        }
        None => (None, rest.strip_prefix(' ').unwrap_or(rest)),
    };
    Ok(Header { name: name.to_owned(), parameters, value: value.trim_end().to_owned() })
}

/// What is put before a content to make it a CPIM message: wrapped = `prefix()` ++ content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapper {
    /// Who sent the message.
    pub from: Party,
    /// To whom.
    pub to: Party,
    /// When, as an RFC 3339 timestamp.
    pub date_time: Option<String>,
    /// About what.
    pub subject: Option<String>,
    /// The MIME headers of the content; Content-Length is left out.
    pub content: Fields,
}

impl Wrapper {
    /// The message headers, an empty line, the MIME headers, an empty line.
    #[must_use]
    pub fn prefix(&self) -> Bytes {
        let mut text = String::with_capacity(384);
        text.push_str("From: ");
        self.from.write(&mut text);
        text.push_str("\r\nTo: ");
        self.to.write(&mut text);
        text.push_str("\r\n");
        plain(&mut text, "DateTime", self.date_time.as_deref());
        plain(&mut text, "Subject", self.subject.as_deref());
        text.push_str("\r\n");
        let mut out = text.into_bytes();
        for (name, value) in typed(&self.content) {
            if !name.eq_ignore_ascii_case(b"Content-Length") {
                mime_line(&mut out, name, value);
            }
        }
        out.extend_from_slice(b"\r\n");
        Bytes::from(out)
    }
}

/// RFC 3862 2.4: the MIME content headers MUST include at least a Content-Type header.
fn typed(content: &Fields) -> impl Iterator<Item = &(Bytes, Bytes)> {
    mime::named(content, "Content-Type").is_none().then_some(&TEXT).into_iter().chain(content)
}

/// Writes a header whose value is text; one without text is left out, for no line may end with white space.
fn plain(out: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else { return };
    out.push_str(name);
    out.push_str(": ");
    escape_into(out, value, false);
    out.push_str("\r\n");
}

/// Writes a MIME header on one line, whatever its bytes.
fn mime_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend(name.iter().filter(|byte| byte.is_ascii_graphic() && **byte != b':'));
    out.extend_from_slice(b": ");
    out.extend_from_slice(&printable(value));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
