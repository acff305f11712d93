//! Message summaries (RFC 3842): the body of `application/simple-message-summary`.
//!
//! Of the message context classes the two that instant messages belong to are written: text-message and
//! multimedia-message. Others are passed over when read.

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::line::printable;
use super::sip::is_token;

/// The media type of message summaries.
pub const MEDIA_TYPE: &str = "application/simple-message-summary";

/// The headers of an item, in the order in which they are usually told.
pub const FIELDS: [&str; 6] = ["To", "From", "Subject", "Date", "Priority", "Message-ID"];

/// What is read at most: 1 MiB.
const LARGEST: usize = 1 << 20;

/// How many messages of one class there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not yet retrieved.
    pub new: u64,
    /// Retrieved and kept.
    pub old: u64,
    /// Those of the new ones that are urgent.
    pub urgent_new: u64,
    /// Those of the old ones that are urgent.
    pub urgent_old: u64,
}

impl Counts {
    /// Whether there are no messages of this class.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.new == 0 && self.old == 0 && self.urgent_new == 0 && self.urgent_old == 0
    }

    /// Reads `2/0 (1/0)` or `2/0`.
    fn parse(text: &str) -> Option<Self> {
        let (all, urgent) = match text.split_once('(') {
            Some((all, rest)) => (all, Some(rest.trim_end().strip_suffix(')')?)),
            None => (text, None),
        };
        let (new, old) = pair(all)?;
        let (urgent_new, urgent_old) = urgent.map_or(Some((0, 0)), pair)?;
        Some(Self { new, old, urgent_new, urgent_old })
    }
}

impl fmt::Display for Counts {
    // RFC 3842 3.5: all counters have a maximum of 2^32-1; notifiers MUST NOT generate a larger value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [new, old, urgent_new, urgent_old] =
            [self.new, self.old, self.urgent_new, self.urgent_old].map(|count| count.min(u32::MAX.into()));
        write!(f, "{new}/{old} ({urgent_new}/{urgent_old})")
    }
}

/// The headers of one item, in the order in which they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemHeaders(pub Vec<(Cow<'static, str>, Bytes)>);

impl ItemHeaders {
    /// Adds a header.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) {
        self.0.push((name.into(), value.into()));
    }

    /// How many bytes they take in a summary, at most.
    #[must_use]
    pub fn written(&self) -> usize {
        let written =
            |(name, value): &(Cow<'static, str>, Bytes)| name.len() + printable(value).len() + ": \r\n".len();
        self.0.iter().map(written).sum::<usize>() + "\r\n".len()
    }

    /// The value of the header `name`, compared without case.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// One summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The URI of the account, without angle brackets.
    pub account: String,
    /// Items that are text.
    pub text: Counts,
    /// Items that are not.
    pub multimedia: Counts,
    /// The items told of.
    pub items: Vec<ItemHeaders>,
}

impl Summary {
    /// Whether something waits to be retrieved.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.text.new > 0 || self.multimedia.new > 0
    }

    /// The body: status line, account, a line per class, and after an empty line each the items. A
    /// class without messages has no line, except the text messages when there are no others.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(128 + self.items.len() * 256);
        line(&mut out, "Messages-Waiting", if self.is_waiting() { b"yes" } else { b"no" });
        // RFC 3842 3.5: the account URI MUST NOT be delimited with angle brackets.
        line(&mut out, "Message-Account", self.account.trim_matches(['<', '>']).as_bytes());
        if !self.text.is_zero() || self.multimedia.is_zero() {
            line(&mut out, "Text-Message", self.text.to_string().as_bytes());
        }
        if !self.multimedia.is_zero() {
            line(&mut out, "Multimedia-Message", self.multimedia.to_string().as_bytes());
        }
        for item in self.items.iter().filter(|item| !item.0.is_empty()) {
            out.put_slice(b"\r\n");
            for (name, value) in item.0.iter().filter(|(name, _)| is_token(name.as_bytes())) {
                line(&mut out, name, value);
            }
        }
        out.freeze()
    }

    /// Reads a summary. Lines may end with a bare LF and header names come in any case (RFC 3842
    /// section 5.2); counts above 2^32-1 are cut to that. `None` when it is not a summary.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        if body.len() > LARGEST {
            return None;
        }
        let mut lines =
            body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let (name, status) = header(lines.next()?)?;
        if !name.eq_ignore_ascii_case("Messages-Waiting") {
            return None;
        }
        if !status.eq_ignore_ascii_case(b"yes") && !status.eq_ignore_ascii_case(b"no") {
            return None;
        }
        let mut summary = Self::default();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            summary.take_line(line)?;
        }
        summary.items = items(lines)?;
        Some(summary)
    }

    fn take_line(&mut self, line: &[u8]) -> Option<()> {
        let (name, value) = header(line)?;
        let text = std::str::from_utf8(value).ok()?;
        if name.eq_ignore_ascii_case("Message-Account") {
            self.account = text.to_owned();
        } else if name.eq_ignore_ascii_case("Text-Message") {
            self.text = Counts::parse(text)?;
        } else if name.eq_ignore_ascii_case("Multimedia-Message") {
            self.multimedia = Counts::parse(text)?;
        }
        Some(())
    }
}

/// The items: headers, with empty lines between.
fn items<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<ItemHeaders>> {
    let mut items = Vec::new();
    let mut current = ItemHeaders::default();
    for line in lines {
        if line.is_empty() {
            items.extend((!current.0.is_empty()).then(|| std::mem::take(&mut current)));
        } else {
            let (name, value) = header(line)?;
            current.push(name.to_owned(), Bytes::copy_from_slice(value));
        }
    }
    items.extend((!current.0.is_empty()).then_some(current));
    Some(items)
}

/// Name and trimmed value of `name: value`.
fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = std::str::from_utf8(name).ok()?.trim();
    is_token(name.as_bytes()).then_some((name, value.get(1..)?.trim_ascii()))
}

/// Reads `new/old`.
fn pair(text: &str) -> Option<(u64, u64)> {
    let (new, old) = text.split_once('/')?;
    Some((count(new)?, count(old)?))
}

// RFC 3842 3.5: subscribers MUST treat a larger value as 2^32-1.
fn count(text: &str) -> Option<u64> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX).min(u32::MAX.into()))
}

/// Writes one header line. RFC 3842 3.5: formatted like SIP extension-headers; a value is kept on its
/// line: every run of line ends and other control characters, with the white space around it, becomes one space.
fn line(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    let pieces = value.split(|byte| byte.is_ascii_control() && *byte != b'\t').map(<[u8]>::trim_ascii);
    for (index, piece) in pieces.filter(|piece| !piece.is_empty()).enumerate() {
        if index > 0 {
            out.put_u8(b' ');
        }
        out.put_slice(&printable(piece));
    }
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn item(headers: &[(&'static str, &'static str)]) -> ItemHeaders {
        ItemHeaders(headers.iter().map(|(name, value)| ((*name).into(), Bytes::from(*value))).collect())
    }

    fn carpool() -> Summary {
        Summary {
            account: "sip:charlie@mailserver.example.com".to_owned(),
            text: Counts { new: 2, urgent_new: 1, ..Counts::default() },
            multimedia: Counts::default(),
            items: vec![
                item(&[
                    ("To", "<charlie@example.com>"),
                    ("From", "<alice@example.org>"),
                    ("Subject", "carpool tomorrow?"),
                    ("Date", "Sun, 09 Jul 2000 21:23:01 -0700"),
                    ("Priority", "normal"),
                    ("Message-ID", "32098d@alicepc.example.org"),
                ]),
                item(&[("To", "<charlie@example.com>"), ("Message-ID", "d0982dkjs@Joemobile.example.net")]),
            ],
        }
    }

    const CARPOOL: &str = "Messages-Waiting: yes\r\n\
        Message-Account: sip:charlie@mailserver.example.com\r\n\
        Text-Message: 2/0 (1/0)\r\n\
        \r\n\
        To: <charlie@example.com>\r\n\
        From: <alice@example.org>\r\n\
        Subject: carpool tomorrow?\r\n\
        Date: Sun, 09 Jul 2000 21:23:01 -0700\r\n\
        Priority: normal\r\n\
        Message-ID: 32098d@alicepc.example.org\r\n\
        \r\n\
        To: <charlie@example.com>\r\n\
        Message-ID: d0982dkjs@Joemobile.example.net\r\n";

    // proves RFC 3842 section 5.2
    #[test]
    fn the_layout_is_that_of_the_figure() {
        assert_eq!(carpool().encode(), CARPOOL);
        assert_eq!(Summary::parse(CARPOOL.as_bytes()), Some(carpool()));
    }

    // proves RFC 3842 section 4.1: the bodies A3 and A5, bare line ends, a class of its own
    #[test]
    fn the_examples_of_rfc_3842_are_read() {
        let a3 = b"Messages-Waiting: yes\nMessage-Account: sip:alice@vmail.example.com\nVoice-Message: 2/8 (0/2)\n";
        assert_eq!(Summary::parse(a3).unwrap().account, "sip:alice@vmail.example.com");
        let a5 = b"Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\nVoice-Message: 4/8 (1/2)\r\n\r\n\
            To: <alice@atlanta.example.com>\r\nFrom: <bob@biloxi.example.com>\r\nSubject: carpool tomorrow?\r\n\
            Date: Sun, 09 Jul 2000 21:23:01 -0700\r\nPriority: normal\r\nMessage-ID: 13784434989@vmail.example.com\r\n\r\n\
            To: <alice@example.com>\r\nFrom: <cathy-the-bob@example.com>\r\nSubject: HELP! at home ill, present for me please\r\n\
            Date: Sun, 09 Jul 2000 21:25:12 -0700\r\nPriority: urgent\r\nMessage-ID: 13684434990@vmail.example.com\r\n";
        let summary = Summary::parse(a5).unwrap();
        assert_eq!(summary.items.len(), 2);
        assert_eq!(
            summary.items.last().unwrap().value("message-id").unwrap(),
            "13684434990@vmail.example.com"
        );
    }

    #[test]
    fn classes_without_messages_have_no_line() {
        let empty = Summary { account: "sip:a@b".to_owned(), ..Summary::default() };
        assert_eq!(
            empty.encode(),
            "Messages-Waiting: no\r\nMessage-Account: sip:a@b\r\nText-Message: 0/0 (0/0)\r\n"
        );
        let pictures = Summary { multimedia: Counts { old: 3, ..Counts::default() }, ..empty };
        assert_eq!(
            pictures.encode(),
            "Messages-Waiting: no\r\nMessage-Account: sip:a@b\r\nMultimedia-Message: 0/3 (0/0)\r\n"
        );
        let both = Summary { text: Counts { new: 1, ..Counts::default() }, ..pictures };
        let body = both.encode();
        assert!(body.starts_with(b"Messages-Waiting: yes\r\n"));
        assert!(body.ends_with(b"Text-Message: 1/0 (0/0)\r\nMultimedia-Message: 0/3 (0/0)\r\n"));
    }

    // proves RFC 3842 section 3.5: counters have a maximum of 2^32-1
    #[test]
    fn counters_are_cut_to_32_bits() {
        let huge = Counts { new: u64::MAX, ..Counts::default() };
        assert_eq!(huge.to_string(), "4294967295/0 (0/0)");
        assert_eq!(Counts::parse("99999999999999999999999/0").unwrap().new, u64::from(u32::MAX));
        assert_eq!(Counts::parse("1/-2"), None);
        assert_eq!(Counts::parse("1/2 (3/4"), None);
    }

    #[test]
    fn a_value_cannot_add_lines() {
        let mut summary = Summary { account: "<sip:a@b>\r\nX: y".to_owned(), ..Summary::default() };
        summary.items.push(item(&[("Subject", "one\r\n \r\nMessage-ID: forged"), ("Bad name\r\nX", "gone")]));
        let body = summary.encode();
        assert!(body.ends_with(b"\r\n\r\nSubject: one Message-ID: forged\r\n"), "{body:?}");
        assert_eq!(Summary::parse(&body).unwrap().items.len(), 1);
    }

    #[test]
    fn what_is_no_summary_is_none() {
        for body in
            ["", "Messages-Waiting: perhaps", "Text-Message: 1/0", "Messages-Waiting: yes\r\nno colon"]
        {
            assert_eq!(Summary::parse(body.as_bytes()), None, "{body}");
        }
        assert_eq!(Summary::parse(&vec![b'a'; LARGEST + 1]), None);
    }

    proptest! {
        #[test]
        fn encoded_summaries_come_back(
            account in "sip:[a-z]{1,8}@[a-z]{1,8}",
            counts in proptest::array::uniform8(any::<u32>()),
            values in proptest::collection::vec("[!-~]([ -~]{0,20}[!-~])?", 0..6),
        ) {
            let [a, b, c, d, e, f, g, h] = counts.map(u64::from);
            let summary = Summary {
                account,
                text: Counts { new: a, old: b, urgent_new: c, urgent_old: d },
                multimedia: Counts { new: e, old: f, urgent_new: g, urgent_old: h },
                items: values.iter().map(|value| ItemHeaders(vec![("Subject".into(), Bytes::from(value.clone()))])).collect(),
            };
            prop_assert_eq!(Summary::parse(&summary.encode()), Some(summary));
        }

        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Summary::parse(&body);
            let _ = Summary::parse(&[b"Messages-Waiting: no\r\n".as_slice(), &body].concat());
        }
    }
}
