//! Escaping in URIs: `%HH` (RFC 3261 19.1.2, RFC 2396 2.4).

use super::grammar::is_user_char;

/// Escapes what may not stand in the user part of a SIP URI; an at sign becomes `%40`, a percent
/// sign `%25`.
#[must_use]
pub fn escape_user(raw: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(raw.len() + 8);
    for &byte in raw {
        if is_user_char(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}

/// Undoes `%HH`; a percent sign without two hexadecimal digits stays as it is.
#[must_use]
pub fn unescape(raw: &[u8]) -> Vec<u8> {
    decode(raw, |_| true)
}

/// Undoes `%HH` where it stands for a character that is not reserved, and writes the rest with
/// capital digits: what is equivalent becomes equal (RFC 3261 19.1.4).
pub(super) fn normalise(raw: &[u8]) -> Vec<u8> {
    const RESERVED: &[u8] = b";/?:@&=+$,";
    // A percent sign stays escaped too: the result must not read as another escape.
    decode(raw, |byte| !RESERVED.contains(&byte) && byte != b'%')
}

fn decode(raw: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let (plain, mut rest) = raw.split_at(memchr::memchr(b'%', raw).unwrap_or(raw.len()));
    out.extend_from_slice(plain);
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(h), Some(l)) => {
                    rest = after;
                    if wanted(h * 16 + l) {
                        out.push(h * 16 + l);
                    } else {
                        out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                    }
                }
                _ => out.push(byte),
            },
            _ => out.push(byte),
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::grammar::is_user;
    use proptest::prelude::*;

    #[test]
    fn message_ids_are_escaped_as_a_user() {
        assert_eq!(escape_user(b"d0982dkjs@Joemobile.example.net"), "d0982dkjs%40Joemobile.example.net");
        assert_eq!(escape_user(b"a%b:c#\xff&=+$,;?/"), "a%25b%3Ac%23%FF&=+$,;?/");
        assert_eq!(unescape(b"a%4"), b"a%4");
        assert_eq!(unescape(b"%zz%%41"), b"%zz%A");
        assert_eq!(unescape(b"%00%c3%BC"), b"\x00\xc3\xbc");
    }

    proptest! {
        // proves RFC 3261 19.1.2: any bytes can be a user, and come back
        #[test]
        fn unescape_undoes_escape(raw in proptest::collection::vec(any::<u8>(), 1..64)) {
            let escaped = escape_user(&raw);
            prop_assert!(is_user(escaped.as_bytes()));
            prop_assert_eq!(unescape(escaped.as_bytes()), raw);
        }
    }
}
