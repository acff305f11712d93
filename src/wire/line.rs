//! What may stand in a line of text that goes to a peer: UTF-8 without control characters, but the tab
//! (RFC 3261 25.1, TEXT-UTF8-TRIM; RFC 4975 9, utf8text).

use std::borrow::Cow;

use bytes::Bytes;

/// `text` as one line: what is no UTF-8 becomes U+FFFD, and a control character a space.
#[must_use]
pub fn printable(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Cow::Borrowed(text);
    }
    let is_wrong = |character: &char| character.is_control() && *character != '\t';
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(whole) if !whole.chars().any(|character| is_wrong(&character)) => Cow::Borrowed(text),
        lossy => {
            let clean: String = lossy.chars().map(|it| if is_wrong(&it) { ' ' } else { it }).collect();
            Cow::Owned(clean.into_bytes())
        }
    }
}

/// The beginning of a text: `most` bytes, up to the end of a UTF-8 character.
#[must_use]
pub fn beginning(text: &Bytes, most: usize) -> Bytes {
    let is_boundary = |at: &usize| text.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80);
    // A character has at most three bytes behind its first; where there are more, it is no UTF-8.
    let end = (most.saturating_sub(3)..=most).rev().find(is_boundary).unwrap_or(most);
    text.slice(..end.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_with_a_character() {
        let text = Bytes::from("aé\u{1F4EC}");
        for (most, length) in [(0, 0), (1, 1), (2, 1), (3, 3), (6, 3), (7, 7), (100, 7)] {
            assert_eq!(beginning(&text, most).len(), length, "{most}");
        }
        assert_eq!(beginning(&Bytes::from(vec![0x80; 9]), 5).len(), 5, "what is no UTF-8 is cut anywhere");
    }

    #[test]
    fn what_is_text_stays_as_it_is() {
        for text in ["", "a b\tc~", "déjà vu: \u{1F4EC}"] {
            assert!(
                matches!(printable(text.as_bytes()), Cow::Borrowed(same) if same == text.as_bytes()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_no_line_may_have_is_replaced() {
        for (text, clean) in [
            (&b"a\r\nb\0c"[..], "a  b c"),
            (b"\x1b[31mred\x07\x7f", " [31mred  "),
            (b"\xc2\x85next", " next"),
            (b"caf\xe9 \xff", "caf\u{FFFD} \u{FFFD}"),
        ] {
            assert_eq!(printable(text).as_ref(), clean.as_bytes());
        }
    }
}
