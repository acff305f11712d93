//! Header fields of body parts and their parameters (RFC 2045 section 5.1, RFC 5322 section 2.2).

use bytes::{BufMut, Bytes, BytesMut};

use super::MimeError;

/// Names and unfolded, trimmed values, in order.
pub type Fields = Vec<(Bytes, Bytes)>;

/// Header fields of one part.
const MOST_FIELDS: usize = 64;

/// Bytes of one part's header.
const LONGEST_HEADER: usize = 16 * 1024;

/// Reads the header fields before the first empty line; returns them and what comes after that line.
/// Where there is no empty line everything is header.
///
/// # Errors
/// [`MimeError::Header`] when a line is no header field or there is too much of them.
pub fn fields(block: &Bytes) -> Result<(Fields, Bytes), MimeError> {
    let mut fields = Fields::new();
    let mut folded = None;
    let mut at = 0;
    while at < block.len() {
        let (line, next) = line_at(block, at);
        at = next;
        if line.is_empty() {
            unfold(&mut fields, &mut folded);
            return Ok((fields, block.slice(at..)));
        }
        if at > LONGEST_HEADER || fields.len() >= MOST_FIELDS {
            return Err(MimeError::Header);
        }
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            let (_, value) = fields.last().ok_or(MimeError::Header)?;
            append(folded.get_or_insert_with(|| BytesMut::from(value.as_ref())), &line);
        } else {
            unfold(&mut fields, &mut folded);
            fields.push(field(&line)?);
        }
    }
    unfold(&mut fields, &mut folded);
    Ok((fields, Bytes::new()))
}

/// The value of the first field `name`, compared without case.
pub(crate) fn named<'a>(fields: &'a [(Bytes, Bytes)], name: &str) -> Option<&'a Bytes> {
    fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

/// Whether header fields that are written, each on one line, are few and short enough for [`fields()`].
pub(crate) fn are_readable<'a>(fields: impl Iterator<Item = &'a (Bytes, Bytes)>) -> bool {
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in fields {
        count += 1;
        bytes += name.len() + value.len() + ": \r\n".len();
    }
    count <= MOST_FIELDS && bytes <= LONGEST_HEADER
}

/// The value of a header field before its parameters, in lower case and without comments: `multipart/mixed`,
/// `recipient-list`.
#[must_use]
pub fn value(field: &[u8]) -> String {
    let (mut depth, mut escaped) = (0_usize, false);
    let mut bare = Vec::new();
    for byte in field {
        match byte {
            _ if depth > 0 && escaped => escaped = false,
            b'\\' if depth > 0 => escaped = true,
            // RFC 2045 5.1: comments are allowed as in any field that is structured (RFC 5322 3.2.2).
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            b';' => break,
            other => bare.push(other.to_ascii_lowercase()),
        }
    }
    String::from_utf8_lossy(bare.trim_ascii()).into_owned()
}

/// The value of the parameter `name` (compared without case) of a header field, without quotes and escapes.
#[must_use]
pub fn parameter(field: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut pieces = Pieces(field);
    pieces.next()?;
    pieces.find_map(|piece| {
        let equals = memchr::memchr(b'=', piece)?;
        let (key, value) = piece.split_at_checked(equals)?;
        let wanted = key.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        wanted.then(|| unquote(without_comment(value.get(1..).unwrap_or_default()).trim_ascii()))
    })
}

/// The pieces of a header field between semicolons that are not quoted.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.0.iter().position(|byte| {
            if escaped {
                escaped = false;
            } else if quoted && *byte == b'\\' {
                escaped = true;
            } else if *byte == b'"' {
                quoted = !quoted;
            }
            *byte == b';' && !quoted
        });
        let (piece, rest) = self.0.split_at_checked(end.unwrap_or(self.0.len()))?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(piece)
    }
}

/// What stands before a comment, if that is no quoted string, which may hold a parenthesis.
fn without_comment(value: &[u8]) -> &[u8] {
    if value.trim_ascii_start().starts_with(b"\"") {
        return value;
    }
    let end = memchr::memchr(b'(', value).unwrap_or(value.len());
    value.get(..end).unwrap_or_default()
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"") else { return value.to_vec() };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => out.extend(bytes.next()),
            other => out.push(*other),
        }
    }
    out
}

/// The line that begins at `at`, without its end, and where the next begins.
fn line_at(block: &Bytes, at: usize) -> (Bytes, usize) {
    let rest = block.slice(at..);
    let (end, next) = match memchr::memchr(b'\n', &rest) {
        Some(end) => (end, at + end + 1),
        None => (rest.len(), block.len()),
    };
    let line = rest.slice(..end);
    match line.strip_suffix(b"\r") {
        Some(bare) => (line.slice_ref(bare), next),
        None => (line, next),
    }
}

fn field(line: &Bytes) -> Result<(Bytes, Bytes), MimeError> {
    let colon = memchr::memchr(b':', line).ok_or(MimeError::Header)?;
    let (name, value) = line.split_at_checked(colon).ok_or(MimeError::Header)?;
    let name = name.trim_ascii_end();
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_graphic()) {
        return Err(MimeError::Header);
    }
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    Ok((line.slice_ref(name), line.slice_ref(value)))
}

fn append(value: &mut BytesMut, continuation: &[u8]) {
    let more = continuation.trim_ascii();
    if !value.is_empty() && !more.is_empty() {
        value.put_u8(b' ');
    }
    value.put_slice(more);
}

/// Gives the last field its value, if that was gathered from several lines.
fn unfold(fields: &mut Fields, folded: &mut Option<BytesMut>) {
    if let Some(whole) = folded.take()
        && let Some((_, value)) = fields.last_mut()
    {
        *value = whole.freeze();
    }
}
