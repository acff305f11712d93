//! One MSRP message on its way in: its bytes put in order, and taken out of their CPIM wrapping (RFC 3862) and the
//! transfer encoding that is told there (RFC 2045 6).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::reception::MessageHead;
use crate::wire::cpim::{self, Cpim, Party};
use crate::wire::mime;
use crate::wire::msrp::DEFERRED_MESSAGE_ID;

/// Bytes that came too early are kept up to this.
const EARLY: usize = 1 << 20;

/// Bytes within which the headers of a CPIM message must end.
const HEADERS: usize = 64 * 1024;

/// Bytes that are gathered to be decoded. What is longer stays in its transfer encoding.
const ENCODED: usize = 1 << 20;

/// A message that is arriving.
#[derive(Debug)]
pub(super) struct Arrival {
    message_id: Bytes,
    content_type: Bytes,
    headers: Vec<(Bytes, Bytes)>,
    total: Option<u64>,
    /// Where the next byte in order belongs.
    next: u64,
    early: BTreeMap<u64, Bytes>,
    early_bytes: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was told yet; the bytes so far may not hold all headers.
    Headers(BytesMut),
    /// Nothing was told yet: the content is to be decoded when it is whole.
    Encoded(Box<Encoded>),
    /// The head was told: what comes is content.
    Content,
}

/// A content in a transfer encoding.
#[derive(Debug)]
struct Encoded {
    /// What is told of the content as it is.
    head: MessageHead,
    /// Bytes of the message before it.
    before: u64,
    content: BytesMut,
}

impl Encoded {
    /// Tells the content without its encoding, or where that cannot be undone, as it is and with its encoding.
    fn tell(self, told: &mut Vec<Told>) {
        let Self { mut head, content, .. } = self;
        let content = content.freeze();
        let encoding = head.transfer_encoding.as_deref().unwrap_or_default();
        let content = match mime::decode(encoding, &content) {
            Some(decoded) => {
                head.transfer_encoding = None;
                head.size = Some(decoded.len() as u64);
                decoded
            }
            None => content,
        };
        tell(head, content, told);
    }
}

/// What can be told of the message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Head(Box<MessageHead>),
    Data(Bytes),
}

/// Bytes came further ahead than is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooEarly;

/// The bytes that came in order are not as many as the message has: some are missing, or were told of that are behind the
/// end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongSize;

impl Arrival {
    pub(super) fn new(
        message_id: Bytes,
        content_type: Bytes,
        headers: Vec<(Bytes, Bytes)>,
        total: Option<u64>,
    ) -> Self {
        Self {
            message_id,
            content_type,
            headers,
            total,
            next: 0,
            early: BTreeMap::new(),
            early_bytes: 0,
            stage: Stage::Headers(BytesMut::new()),
        }
    }

    /// The chunk with the first byte says what the message is, as those before it may have said otherwise.
    pub(super) fn describe(&mut self, content_type: Bytes, headers: Vec<(Bytes, Bytes)>) {
        (self.content_type, self.headers) = (content_type, headers);
    }

    /// Takes bytes that belong at `offset`; bytes that were there before do not count.
    pub(super) fn push(&mut self, offset: u64, bytes: Bytes, told: &mut Vec<Told>) -> Result<(), TooEarly> {
        if offset > self.next {
            return self.keep(offset, bytes);
        }
        self.in_order(offset, bytes, told);
        while let Some((offset, bytes)) = self.early.pop_first() {
            if offset > self.next {
                self.early.insert(offset, bytes);
                break;
            }
            self.early_bytes -= bytes.len();
            self.in_order(offset, bytes, told);
        }
        Ok(())
    }

    /// Keeps bytes that come before those in front of them.
    fn keep(&mut self, offset: u64, bytes: Bytes) -> Result<(), TooEarly> {
        // RFC 4975 7.3.1: chunks may come again, and cut in another way: what a shorter one lacks is not lost.
        let known = self.early.get(&offset).map_or(0, Bytes::len);
        if bytes.len() > known {
            self.early_bytes = self.early_bytes - known + bytes.len();
            self.early.insert(offset, bytes);
        }
        if self.early_bytes > EARLY { Err(TooEarly) } else { Ok(()) }
    }

    /// All bytes are there, and the message has `size`: tells what was held back.
    // RFC 4975 7.3.1: the chunk with "$" defines the total length.
    pub(super) fn finish(&mut self, size: u64, told: &mut Vec<Told>) -> Result<(), WrongSize> {
        if self.next < size {
            return Err(WrongSize);
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Content);
        let was_told = matches!(stage, Stage::Content);
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        let encoded = match stage {
            Stage::Headers(mut gathered) => {
                gathered.truncate(most);
                let whole = gathered.freeze();
                self.total.get_or_insert(whole.len() as u64);
                self.open(&whole, told);
                std::mem::replace(&mut self.stage, Stage::Content)
            }
            stage => stage,
        };
        if let Stage::Encoded(mut encoded) = encoded {
            encoded.content.truncate(usize::try_from(size.saturating_sub(encoded.before)).unwrap_or(most));
            encoded.tell(told);
        }
        if was_told && self.next > size { Err(WrongSize) } else { Ok(()) }
    }

    fn in_order(&mut self, offset: u64, mut bytes: Bytes, told: &mut Vec<Told>) {
        let known = usize::try_from(self.next - offset).unwrap_or(usize::MAX).min(bytes.len());
        bytes = bytes.slice(known..);
        self.next += bytes.len() as u64;
        match &mut self.stage {
            Stage::Content if bytes.is_empty() => {}
            Stage::Content => told.push(Told::Data(bytes)),
            Stage::Encoded(encoded) => {
                encoded.content.extend_from_slice(&bytes);
                if encoded.content.len() > ENCODED
                    && let Stage::Encoded(long) = std::mem::replace(&mut self.stage, Stage::Content)
                {
                    tell(long.head, long.content.freeze(), told);
                }
            }
            Stage::Headers(gathered) => {
                gathered.extend_from_slice(&bytes);
                let wrapped = mime::value(&self.content_type) == cpim::MEDIA_TYPE;
                if !wrapped || has_all_headers(gathered) || gathered.len() > HEADERS {
                    let gathered = std::mem::take(gathered).freeze();
                    self.stage = Stage::Content;
                    self.open(&gathered, told);
                }
            }
        }
    }

    /// Tells the head, and what of the content is there, unless that has to be decoded. What cannot be unwrapped is told as
    /// it came.
    fn open(&mut self, gathered: &Bytes, told: &mut Vec<Told>) {
        let wrapped = mime::value(&self.content_type) == cpim::MEDIA_TYPE;
        let Some(cpim) = wrapped.then(|| Cpim::parse(gathered).ok()).flatten() else {
            return tell(self.bare(), gathered.clone(), told);
        };
        let before = (gathered.len() - cpim.content.len()) as u64;
        let head = self.unwrapped(&cpim, before);
        match &head.transfer_encoding {
            Some(encoding)
                if cpim.content.len() <= ENCODED && mime::decode(encoding, &Bytes::new()).is_some() =>
            {
                let content = BytesMut::from(&cpim.content[..]);
                self.stage = Stage::Encoded(Box::new(Encoded { head, before, content }));
            }
            _ => tell(head, cpim.content, told),
        }
    }

    fn bare(&self) -> MessageHead {
        let header = |name: &str| {
            let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
            found.map(|(_, value)| text(value))
        };
        MessageHead {
            item: header(DEFERRED_MESSAGE_ID),
            message_id: text(&self.message_id),
            content_type: text(&self.content_type),
            disposition: header("Content-Disposition"),
            size: self.total,
            ..MessageHead::default()
        }
    }

    fn unwrapped(&self, cpim: &Cpim, before: u64) -> MessageHead {
        let party = |party: Option<Party>| {
            party.map(|party| match party.display {
                Some(name) => format!("{name} <{}>", party.uri),
                None => format!("<{}>", party.uri),
            })
        };
        MessageHead {
            content_type: cpim.content_type().map_or_else(|| "text/plain".to_owned(), |value| text(&value)),
            disposition: cpim.content_header("Content-Disposition").map(|value| text(value)),
            transfer_encoding: transfer_encoding(cpim),
            from: party(cpim.from()),
            to: party(cpim.to()),
            subject: cpim.subject(),
            date: cpim.date_time().map(str::to_owned),
            size: self.total.map(|total| total.saturating_sub(before)),
            ..self.bare()
        }
    }
}

/// The transfer encoding of a content that is in one.
fn transfer_encoding(cpim: &Cpim) -> Option<String> {
    let told = cpim.content_header("Content-Transfer-Encoding").map(|value| mime::value(value))?;
    (!mime::is_identity(&told)).then_some(told)
}

fn tell(head: MessageHead, content: Bytes, told: &mut Vec<Told>) {
    told.push(Told::Head(Box::new(head)));
    if !content.is_empty() {
        told.push(Told::Data(content));
    }
}

/// Whether the message headers and the MIME headers of a CPIM message are there: two empty lines.
fn has_all_headers(gathered: &[u8]) -> bool {
    let mut start = 0;
    let mut empty = 0;
    for end in memchr::memchr_iter(b'\n', gathered) {
        let line = gathered.get(start..end).unwrap_or_default();
        empty += usize::from(line.is_empty() || line == b"\r");
        start = end + 1;
        if empty == 2 {
            return true;
        }
    }
    false
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
