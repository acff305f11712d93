//! The character escapes of CPIM headers (RFC 3862 section 2.3).

use std::fmt::Write as _;

/// RFC 3862 2.3.1: control characters and the backslash MUST be escaped anywhere in a header, the
/// double quote within a quoted string, nothing else.
pub(super) fn escape_into(out: &mut String, text: &str, quoted: bool) {
    let is_plain = |byte: u8| !byte.is_ascii_control() && byte != b'\\' && (byte != b'"' || !quoted);
    if text.bytes().all(is_plain) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' if quoted => out.push_str("\\\""),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
}

/// RFC 3862 2.3.1: an unrecognized escape is the character after the backslash; an isolated last
/// backslash is ignored.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match rest.next() {
            Some('b') => out.push('\u{8}'),
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('u') => match code_point(rest.as_str()) {
                Some(decoded) => {
                    out.push(decoded);
                    rest = rest.as_str().get(4..).unwrap_or_default().chars();
                }
                None => out.push('u'),
            },
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// Four hexadecimal digits; a surrogate is no character of its own.
fn code_point(text: &str) -> Option<char> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}
