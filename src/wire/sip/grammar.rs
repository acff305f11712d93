//! Character classes and small parsers of the RFC 3261 25.1 grammar that several headers share.

use bytes::Bytes;

const TOKEN: u16 = 1;
const WORD: u16 = 2;
const USER: u16 = 4;
const PASSWORD: u16 = 8;
const URI_PARAM: u16 = 16;
const URI_HEADER: u16 = 32;
const HOST: u16 = 64;
const PARAM_VALUE: u16 = 128;
const URI: u16 = 256;

const fn mark(mut table: [u16; 256], chars: &[u8], class: u16) -> [u16; 256] {
    let mut index = 0;
    while index < chars.len() {
        table[chars[index] as usize] |= class;
        index += 1;
    }
    table
}

static CLASSES: [u16; 256] = {
    let alphanum = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut table = mark([0; 256], alphanum, u16::MAX);
    table = mark(table, b"-.!%*_+`'~", TOKEN | WORD | PARAM_VALUE);
    table = mark(table, b"()<>:\\\"/[]?{}", WORD);
    // mark = "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
    table = mark(table, b"-_.!~*'()", USER | PASSWORD | URI_PARAM | URI_HEADER);
    table = mark(table, b"&=+$,;?/", USER);
    table = mark(table, b"&=+$,", PASSWORD);
    table = mark(table, b"[]/:&+$", URI_PARAM);
    table = mark(table, b"[]/?:+$", URI_HEADER);
    table = mark(table, b"-_.", HOST);
    table = mark(table, b"!#$%&'()*+,-./:;=?@[\\]^_`{|}~", URI);
    // gen-value = token / host / quoted-string; a host may be an IPv6 reference
    mark(table, b"[]:", PARAM_VALUE)
};

const fn is(class: u16, byte: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// `token`
pub(super) const fn is_token_char(byte: u8) -> bool {
    is(TOKEN, byte)
}

/// Whether `text` is one `token`.
pub(in crate::wire) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is(TOKEN, *byte))
}

/// `word [ "@" word ]`, the form of a Call-ID.
pub(super) fn is_call_id(text: &[u8]) -> bool {
    let word = |part: &[u8]| !part.is_empty() && part.iter().all(|byte| is(WORD, *byte));
    match memchr::memchr(b'@', text) {
        Some(at) => {
            let (left, right) = text.split_at(at);
            word(left) && word(right.get(1..).unwrap_or_default())
        }
        None => word(text),
    }
}

/// Whether `byte` may stand unescaped in the user part of a SIP URI.
pub(super) const fn is_user_char(byte: u8) -> bool {
    is(USER, byte)
}

/// Whether `byte` may stand in a URI of whatever scheme, as it is met: printable, and ends neither brackets nor
/// quotes.
pub(super) const fn is_uri_char(byte: u8) -> bool {
    is(URI, byte)
}

/// Whether `byte` may stand in a host name; the underscore is tolerated.
pub(super) const fn is_host_char(byte: u8) -> bool {
    is(HOST, byte)
}

fn escaped_text(class: u16, text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            (byte, tail) if is(class, byte) => tail,
            _ => return false,
        };
    }
    true
}

/// Whether `text` is the `user` of a SIP URI.
pub(super) fn is_user(text: &[u8]) -> bool {
    !text.is_empty() && escaped_text(USER, text)
}

/// Whether `text` is the `password` of a SIP URI.
pub(super) fn is_password(text: &[u8]) -> bool {
    escaped_text(PASSWORD, text)
}

/// Whether `text` is a `pname` or `pvalue` of a URI parameter.
pub(super) fn is_uri_param(text: &[u8]) -> bool {
    !text.is_empty() && escaped_text(URI_PARAM, text)
}

/// Whether `text` is an `hname` or `hvalue` of a URI header.
pub(super) fn is_uri_header(text: &[u8]) -> bool {
    escaped_text(URI_HEADER, text)
}

/// Space or tab: what is left of linear white space once folds are undone.
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `text` without blanks at either end.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// The bytes of `part`, which lies inside `whole`, not copied.
pub(super) fn share(whole: &Bytes, part: &[u8]) -> Bytes {
    whole.slice_ref(part)
}

/// `text` behind the blanks at its start (`SWS`).
pub(super) fn skip_blanks(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

/// Splits `text` behind the `token` at its start; `None` where there is none.
pub(super) fn split_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| !is_token_char(*byte)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(token, _)| !token.is_empty())
}

/// `text` behind the separator at its start and the blanks around it (`SEMI`, `EQUAL`, `SLASH` ...); `None`
/// where it begins with something else.
pub(super) fn behind(separator: u8, text: &[u8]) -> Option<&[u8]> {
    match skip_blanks(text).split_first() {
        Some((first, rest)) if *first == separator => Some(skip_blanks(rest)),
        _ => None,
    }
}

/// `text` behind the parameter value at its start: a token, a host or a quoted string, in which a backslash
/// takes the next byte with it. `None` where there is none.
pub(super) fn behind_param_value(text: &[u8]) -> Option<&[u8]> {
    let end = match text.first()? {
        b'"' => closing_quote(text)?,
        _ => text.iter().position(|byte| !is(PARAM_VALUE, *byte)).unwrap_or(text.len()),
    };
    text.get(end..).filter(|_| end > 0)
}

/// The length of the quoted string at the start of `input`, quotes included.
pub(super) fn closing_quote(input: &[u8]) -> Option<usize> {
    if input.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        let rest = input.get(at..)?;
        let found = memchr::memchr2(b'"', b'\\', rest)?;
        match rest.get(found) {
            Some(b'"') => return Some(at + found + 1),
            _ => at += found + 2,
        }
    }
}

/// The text of a quoted string inside `whole` without quotes and backslashes; anything else as it is.
pub(super) fn unquote(whole: &Bytes, text: &[u8]) -> Bytes {
    let Some(inner) = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return share(whole, text);
    };
    if memchr::memchr(b'\\', inner).is_none() {
        return share(whole, inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'\\' { out.extend(bytes.next()) } else { out.push(byte) }
    }
    Bytes::from(out)
}

/// A decimal number of digits only; `None` when it is none, saturating when it is too large.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quoted_strings_end_at_the_unescaped_quote() {
        assert_eq!(closing_quote(br#""a\"b" c"#), Some(6));
        assert_eq!(closing_quote(br#""a\\" c"#), Some(5));
        assert_eq!(closing_quote(br#""open\""#), None);
        assert_eq!(closing_quote(br#""open\"#), None);
        let unquoted = |text: &'static [u8]| unquote(&Bytes::from_static(text), text);
        assert_eq!(unquoted(br#""a\"b""#), "a\"b");
        assert_eq!(unquoted(b"plain"), "plain");
    }

    #[test]
    fn a_uri_is_printable_and_holds_no_brackets_and_quotes() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"');
            assert_eq!(is_uri_char(byte), expected, "{byte}");
        }
    }

    #[test]
    fn numbers_are_digits_and_saturate() {
        assert_eq!(decimal(b"0068"), Some(68));
        assert_eq!(decimal(b"-1"), None);
        assert_eq!(decimal(b"+1"), None);
        assert_eq!(decimal(b""), None);
        assert_eq!(decimal(b"99999999999999999999999999"), Some(u64::MAX));
    }

    #[test]
    fn escapes_need_two_hexadecimal_digits() {
        assert!(is_user(b"sips%3Auser%40example.com"));
        assert!(!is_user(b"a%4"));
        assert!(!is_user(b"a%zz"));
        assert!(!is_user(b"a@b"));
        assert!(!is_user(b""));
        assert!(is_user(b"(to-be!sure)&isn't+it$/crazy?,/;;*"));
    }

    #[test]
    fn a_call_id_is_one_or_two_words() {
        assert!(is_call_id(br#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#));
        assert!(is_call_id(b"plain"));
        assert!(!is_call_id(b"two words"));
        assert!(!is_call_id(b"a@b@c"));
        assert!(!is_call_id(b""));
    }

    #[test]
    fn trimming_leaves_the_middle() {
        assert_eq!(trim(b" \t a b \t"), b"a b");
        assert_eq!(trim(b"  "), b"");
    }
}
