//! Multiparts (RFC 2046 section 5.1): parts between boundary lines.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;

use super::field::{fields, parameter};
use super::{MOST_PARTS, MimeError, Part};

/// RFC 2046 5.1.1 allows 70; some agents exceed it.
const LONGEST_BOUNDARY: usize = 200;

/// The boundary that a Content-Type tells, quoted or not.
#[must_use]
pub fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    parameter(content_type, "boundary").filter(|boundary| is_boundary(boundary))
}

fn is_boundary(boundary: &[u8]) -> bool {
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    !boundary.is_empty() && boundary.len() <= LONGEST_BOUNDARY && boundary.iter().all(printable)
}

/// The parts of a multipart body, slices of it. What stands before the first and after the last
/// boundary is passed over. Lines may end with a bare LF.
///
/// # Errors
/// [`MimeError`] when the boundary does not appear, the closing one is missing, or a part's header is broken.
pub fn parts(body: &Bytes, boundary: &[u8]) -> Result<Vec<Part>, MimeError> {
    if !is_boundary(boundary) {
        return Err(MimeError::NoBoundary);
    }
    let delimiter = [b"--", boundary].concat();
    let mut found = Vec::new();
    let mut open = None;
    for at in memmem::find_iter(body, &delimiter) {
        let Some((closes, next)) = delimiter_line(body, at, delimiter.len()) else { continue };
        if let Some(start) = open {
            if found.len() >= MOST_PARTS {
                return Err(MimeError::TooMany);
            }
            found.push(part(&body.slice(start..content_end(body, start, at)))?);
        }
        if closes {
            // One that closes what was not opened has no part before it.
            return if open.is_some() { Ok(found) } else { Err(MimeError::NoPart) };
        }
        open = Some(next);
    }
    Err(if open.is_some() { MimeError::NotClosed } else { MimeError::NoPart })
}

/// A multipart body of these parts. The boundary must not begin a line of any of them.
#[must_use]
pub fn encode(parts: &[Part], boundary: &str) -> Bytes {
    let mut out = BytesMut::new();
    for part in parts {
        out.put_slice(b"--");
        out.put_slice(boundary.as_bytes());
        out.put_slice(b"\r\n");
        for (name, value) in &part.headers {
            out.put_slice(name);
            out.put_slice(b": ");
            out.put_slice(value);
            out.put_slice(b"\r\n");
        }
        out.put_slice(b"\r\n");
        out.put_slice(&part.body);
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"--");
    out.put_slice(boundary.as_bytes());
    out.put_slice(b"--\r\n");
    out.freeze()
}

fn part(bytes: &Bytes) -> Result<Part, MimeError> {
    let (headers, body) = fields(bytes)?;
    Ok(Part { headers, body, ..Part::default() })
}

/// Whether the delimiter found at `at` is alone on its line: then whether it closes, and where the next
/// line begins.
fn delimiter_line(body: &[u8], at: usize, length: usize) -> Option<(bool, usize)> {
    let begins_line = at == 0 || body.get(at - 1) == Some(&b'\n');
    let rest = body.get(at + length..).filter(|_| begins_line)?;
    let (closes, after) = match rest.strip_prefix(b"--") {
        Some(after) => (true, after),
        None => (false, rest),
    };
    let (line, next) = match memchr::memchr(b'\n', after) {
        Some(end) => (after.get(..end)?, body.len() - after.len() + end + 1),
        None => (after, body.len()),
    };
    // RFC 2046 5.1.1: transport padding after a boundary MUST be ignored.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.iter().all(|byte| matches!(byte, b' ' | b'\t')).then_some((closes, next))
}

/// RFC 2046 5.1.1: the CRLF preceding the boundary delimiter line is considered to be attached to the
/// boundary.
fn content_end(body: &[u8], start: usize, at: usize) -> usize {
    let content = body.get(start..at).unwrap_or_default();
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    start + content.strip_suffix(b"\r").unwrap_or(content).len()
}
