//! The Byte-Range header field (RFC 4975 7.1.1): which bytes of the message a chunk carries.

use std::fmt;

/// `start-end/total`; the first byte of a message is number one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Number of the first byte, counted from one.
    pub start: u64,
    /// Number of the last byte; none for `*`: unknown, or the chunk can be interrupted.
    pub end: Option<u64>,
    /// Size of the whole message; none for `*`.
    pub total: Option<u64>,
}

impl ByteRange {
    /// The range of a whole message of `size` bytes; that of an empty one is `1-0/0`.
    #[must_use]
    pub const fn whole(size: u64) -> Self {
        Self { start: 1, end: Some(size), total: Some(size) }
    }

    /// Reads `start-end/total`; none where the grammar is not met, the start is zero, or the
    /// numbers contradict each other.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let dash = memchr::memchr(b'-', text)?;
        let slash = memchr::memchr(b'/', text)?;
        let start = number(text.get(..dash)?)?;
        let end = number_or_star(text.get(dash + 1..slash)?)?;
        let total = number_or_star(text.get(slash + 1..)?)?;
        // RFC 4975 7.1.1: the first octet has a position of one; zero-length content is "1-0/0".
        let ordered = start >= 1 && end.is_none_or(|end| end >= start - 1);
        let inside = end.zip(total).is_none_or(|(end, total)| end <= total);
        (ordered && inside).then_some(Self { start, end, total })
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.start)?;
        match self.end {
            Some(end) => write!(f, "{end}/")?,
            None => f.write_str("*/")?,
        }
        match self.total {
            Some(total) => write!(f, "{total}"),
            None => f.write_str("*"),
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, d| {
        let digit = d.is_ascii_digit().then(|| u64::from(d - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

#[allow(clippy::option_option)]
fn number_or_star(text: &[u8]) -> Option<Option<u64>> {
    if text == b"*" { Some(None) } else { number(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves RFC 4975 7.1.1 and 9: Byte-Range
    #[test]
    fn what_is_written_is_read_and_the_rest_refused() {
        for text in ["1-25/25", "1-*/8", "5-8/8", "1-*/*", "1-0/0", "138-148/148", "9-8/8", "1-10/*"] {
            let range = ByteRange::parse(text.as_bytes());
            assert_eq!(range.map(|r| r.to_string()).as_deref(), Some(text));
        }
        for text in
            ["", "1", "1-", "1-2", "1-2/", "0-1/1", "3-1/9", "1-9/8", "-1-2/3", "1-2/3 ", "a-b/c", "*-1/1"]
        {
            assert_eq!(ByteRange::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(ByteRange::parse(b"1-*/18446744073709551616"), None);
        assert_eq!(ByteRange::whole(0).to_string(), "1-0/0");
    }
}
