//! Transfer encodings of body parts (RFC 2045 section 6, RFC 5621 section 3.2).

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

/// Careless writers leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The content behind the encoding `name` (in lower case); `None` where the encoding is not known, or the
/// body is not written in it. What is not encoded comes back as it is, without a copy.
pub(crate) fn decode(name: &str, body: &Bytes) -> Option<Bytes> {
    match name {
        _ if is_identity(name) => Some(body.clone()),
        "base64" => base64(body),
        "quoted-printable" => quoted_printable(body),
        _ => None,
    }
}

/// Whether what is said to be in the encoding `name` (in lower case) is in none.
pub(crate) fn is_identity(name: &str) -> bool {
    matches!(name, "" | "7bit" | "8bit" | "binary")
}

// RFC 2045 6.8: all line breaks MUST be ignored.
fn base64(body: &[u8]) -> Option<Bytes> {
    let digits: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(digits).ok().map(Bytes::from)
}

fn quoted_printable(body: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let (text, end) = split_end(line);
        // RFC 2045 6.7 (3): white space at the end of a line was added on the way.
        let text = text.trim_ascii_end();
        let soft = unquote(text, &mut out)?;
        if !soft {
            out.extend_from_slice(end);
        }
    }
    Some(Bytes::from(out))
}

fn split_end(line: &[u8]) -> (&[u8], &[u8]) {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    line.split_at(text.len())
}

/// Whether the line break behind `text` is soft: not part of the content.
fn unquote(mut text: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    while let Some(at) = memchr::memchr(b'=', text) {
        let (plain, quoted) = text.split_at(at);
        out.extend_from_slice(plain);
        match quoted.get(1..3) {
            Some(digits) => {
                let digits = std::str::from_utf8(digits).ok()?;
                out.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
            }
            None if quoted == b"=" => return Some(true),
            None => return None,
        }
        text = quoted.get(3..).unwrap_or_default();
    }
    out.extend_from_slice(text);
    Some(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn decoded(name: &str, body: &'static [u8]) -> Option<String> {
        decode(name, &Bytes::from_static(body)).map(|it| String::from_utf8(it.to_vec()).unwrap())
    }

    // proves RFC 2045 section 6.8
    #[test]
    fn base64_is_read_over_line_breaks_and_without_padding() {
        assert_eq!(decoded("base64", b"dj0w\r\nDQo=\r\n").as_deref(), Some("v=0\r\n"));
        assert_eq!(decoded("base64", b"dj0wDQo").as_deref(), Some("v=0\r\n"));
        assert_eq!(decoded("base64", b"").as_deref(), Some(""));
        assert_eq!(decoded("base64", b"v=0"), None);
    }

    // proves RFC 2045 section 6.7
    #[test]
    fn quoted_printable_is_read() {
        let text = b"v=3D0  \r\ns=3Da=\r\nb =\r\n=C3=a4\r\nlast";
        assert_eq!(decoded("quoted-printable", text).as_deref(), Some("v=0\r\ns=ab \u{e4}\r\nlast"));
        for broken in [&b"a=3"[..], b"a=XY", b"a=+1"] {
            assert_eq!(decoded("quoted-printable", broken), None, "{broken:?}");
        }
    }

    #[test]
    fn other_encodings_are_not_known() {
        assert_eq!(decoded("binary", b"=3D").as_deref(), Some("=3D"));
        assert_eq!(decoded("x-uuencode", b"="), None);
    }
}
