//! From the bytes of a head to a [`Head`] (RFC 4975 9). What is wrong inside a delimited head
//! becomes its [`Head::fault`], so that the frame can be answered and the stream goes on.

use bytes::Bytes;

use super::{ByteRange, FailureReport, FrameError, FrameKind, Head, MsrpUri, Status};

/// The longest Message-ID that is taken. The grammar says 32; peers in the field say more.
const MESSAGE_ID_BYTES: usize = 256;

/// What every start line begins with.
pub(super) const MAGIC: &[u8] = b"MSRP ";

/// Where the transaction identifier ends in a start line that the grammar allows.
pub(super) fn transaction_end(line: &[u8]) -> Result<usize, FrameError> {
    let rest = line.strip_prefix(MAGIC).ok_or(FrameError::NotMsrp)?;
    let space = memchr::memchr(b' ', rest).ok_or(FrameError::StartLine)?;
    let (transaction, rest) = rest.split_at(space);
    if !is_ident(transaction) {
        return Err(FrameError::Transaction);
    }
    match kind(rest.get(1..).unwrap_or_default()) {
        Some(_) => Ok(MAGIC.len() + space),
        None => Err(FrameError::StartLine),
    }
}

/// Parses a head: `block` runs from the start line to the CRLF of the last header field, and its
/// transaction identifier ends at `transaction_end`.
pub(super) fn head(block: &Bytes, transaction_end: usize, has_body: bool) -> Head {
    let mut lines = Lines(block);
    let start = lines.next().unwrap_or_default();
    let transaction = start.get(MAGIC.len()..transaction_end).unwrap_or_default();
    let kind = match kind(start.get(transaction_end + 1..).unwrap_or_default()) {
        Some(Kind::Send) => FrameKind::Send,
        Some(Kind::Report) => FrameKind::Report,
        Some(Kind::Response(status, comment)) => {
            FrameKind::Response { status, comment: block.slice_ref(comment) }
        }
        Some(Kind::Other(method)) => FrameKind::Other(block.slice_ref(method)),
        None => FrameKind::Other(Bytes::new()),
    };
    let mut head = Head::new(kind, block.slice_ref(transaction), Vec::new(), Vec::new());
    head.has_body = has_body;
    for line in lines {
        if let Err(fault) = field(block, line, &mut head) {
            head.fault = head.fault.or(Some(fault));
        }
    }
    if head.fault.is_none() {
        head.fault = missing(&head);
    }
    head
}

fn missing(head: &Head) -> Option<&'static str> {
    match head {
        _ if head.to_path.is_empty() => Some("no To-Path"),
        _ if head.from_path.is_empty() => Some("no From-Path"),
        // RFC 4975 7.1.2: REPORT requests MUST contain Status and the Message-ID.
        Head { kind: FrameKind::Report, status: None, .. } => Some("no Status"),
        Head { kind: FrameKind::Report, message_id: None, .. } => Some("no Message-ID"),
        _ => None,
    }
}

fn field(block: &Bytes, line: &[u8], head: &mut Head) -> Result<(), &'static str> {
    let colon = memchr::memchr(b':', line).ok_or("header field without a colon")?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return Err("malformed header field name");
    }
    if value.iter().fold(false, |bad, b| bad | (*b < b' ') & (*b != b'\t') | (*b == 0x7F)) {
        return Err("control character in a header field");
    }
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        7 if is("To-Path") => once(&mut head.to_path, |p| p.is_empty(), path(block, value)?),
        9 if is("From-Path") => once(&mut head.from_path, |p| p.is_empty(), path(block, value)?),
        10 if is("Message-ID") => {
            once(&mut head.message_id, Option::is_none, Some(message_id(block, value)?))
        }
        10 if is("Byte-Range") => {
            let range = ByteRange::parse(value).ok_or("malformed Byte-Range")?;
            once(&mut head.byte_range, Option::is_none, Some(range))
        }
        12 if is("Content-Type") => {
            let content_type = (!value.is_empty()).then(|| block.slice_ref(value));
            once(&mut head.content_type, Option::is_none, content_type)
        }
        14 if is("Success-Report") => {
            head.success_report = yes(value)?;
            Ok(())
        }
        14 if is("Failure-Report") => {
            head.failure_report = failure_report(value)?;
            Ok(())
        }
        6 if is("Status") => once(&mut head.status, Option::is_none, Some(status(block, value)?)),
        _ => {
            head.others.push((block.slice_ref(name), block.slice_ref(value)));
            Ok(())
        }
    }
}

fn once<T>(slot: &mut T, is_free: impl Fn(&T) -> bool, value: T) -> Result<(), &'static str> {
    if !is_free(slot) {
        return Err("header field given twice");
    }
    *slot = value;
    Ok(())
}

fn path(block: &Bytes, value: &[u8]) -> Result<Vec<MsrpUri>, &'static str> {
    if value.is_empty() {
        return Err("empty path");
    }
    let uris = value.split(|b| *b == b' ').map(|uri| MsrpUri::from_bytes(block.slice_ref(uri)));
    uris.collect::<Result<_, _>>().map_err(|_| "malformed URI in a path")
}

fn message_id(block: &Bytes, value: &[u8]) -> Result<Bytes, &'static str> {
    let taken =
        !value.is_empty() && value.len() <= MESSAGE_ID_BYTES && value.iter().all(u8::is_ascii_graphic);
    taken.then(|| block.slice_ref(value)).ok_or("malformed Message-ID")
}

fn yes(value: &[u8]) -> Result<bool, &'static str> {
    match value {
        _ if value.eq_ignore_ascii_case(b"yes") => Ok(true),
        _ if value.eq_ignore_ascii_case(b"no") => Ok(false),
        _ => Err("malformed Success-Report"),
    }
}

fn failure_report(value: &[u8]) -> Result<FailureReport, &'static str> {
    match value {
        _ if value.eq_ignore_ascii_case(b"yes") => Ok(FailureReport::Yes),
        _ if value.eq_ignore_ascii_case(b"no") => Ok(FailureReport::No),
        _ if value.eq_ignore_ascii_case(b"partial") => Ok(FailureReport::Partial),
        _ => Err("malformed Failure-Report"),
    }
}

fn status(block: &Bytes, value: &[u8]) -> Result<Status, &'static str> {
    const FAULT: &str = "malformed Status";
    let namespace = value.get(..3).and_then(three_digits).ok_or(FAULT)?;
    let rest = value.get(3..).and_then(|r| r.strip_prefix(b" ")).ok_or(FAULT)?;
    let (code, comment) = code_and_comment(rest).ok_or(FAULT)?;
    Ok(Status { namespace, code, comment: block.slice_ref(comment) })
}

enum Kind<'a> {
    Send,
    Report,
    Other(&'a [u8]),
    Response(u16, &'a [u8]),
}

fn kind(text: &[u8]) -> Option<Kind<'_>> {
    match text {
        b"SEND" => Some(Kind::Send),
        b"REPORT" => Some(Kind::Report),
        [first, ..] if first.is_ascii_digit() => {
            code_and_comment(text).map(|(code, comment)| Kind::Response(code, comment))
        }
        [_, ..] if text.iter().all(u8::is_ascii_uppercase) => Some(Kind::Other(text)),
        _ => None,
    }
}

fn code_and_comment(text: &[u8]) -> Option<(u16, &[u8])> {
    let code = text.get(..3).and_then(three_digits)?;
    match text.get(3..) {
        Some([]) => Some((code, &[])),
        Some([b' ', comment @ ..]) => Some((code, comment)),
        _ => None,
    }
}

fn three_digits(text: &[u8]) -> Option<u16> {
    text.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + u16::from(d - b'0')))
}

/// RFC 4975 9: `ident`.
fn is_ident(text: &[u8]) -> bool {
    let is_char = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'%' | b'=');
    (4..=32).contains(&text.len())
        && text.first().is_some_and(u8::is_ascii_alphanumeric)
        && text.iter().all(is_char)
}

/// The lines of a block, each ended by CRLF; a lone LF ends none.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut newlines = memchr::memchr_iter(b'\n', self.0);
        let end = newlines.find(|at| at.checked_sub(1).and_then(|cr| self.0.get(cr)) == Some(&b'\r'))?;
        let line = self.0.get(..end - 1)?;
        self.0 = self.0.get(end + 1..)?;
        Some(line)
    }
}
