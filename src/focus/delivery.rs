//! How a stored message is presented to the client that retrieves it: wrapped as message/cpim
//! where the client accepts that, bare otherwise. What is in a transfer encoding is told to be, which CPIM alone can do.

use bytes::Bytes;

use super::pager::LONGEST_DESCRIPTION;
use crate::machine::offer_answer::AcceptTypes;
use crate::store::{Content, ItemHead, ItemKind, StoredMessage};
use crate::wire::cpim::{self, Party, Wrapper};
use crate::wire::date::{self, Date};
use crate::wire::line::beginning;
use crate::wire::mime;
use crate::wire::msrp::DEFERRED_MESSAGE_ID;

/// A message as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The Content-Type of the MSRP message.
    pub content_type: Bytes,
    /// The other headers of each SEND.
    pub headers: Vec<(Bytes, Bytes)>,
    /// What goes before the stored content: the CPIM wrapping, or nothing.
    pub prefix: Bytes,
    /// The size of the whole MSRP message, in bytes.
    pub total: u64,
}

/// What the client can take (RFC 4975 8.6).
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Its accept-types and accept-wrapped-types.
    pub accepts: AcceptTypes,
    /// Its max-size.
    pub max_size: Option<u64>,
}

impl ClientLimits {
    /// RFC 4975 8.6: a sender SHOULD NOT send a message larger than max-size.
    fn may_have(&self, total: u64) -> bool {
        self.max_size.is_none_or(|max| total <= max)
    }
}

/// Presents `message` of `item`; `None` when the client takes neither form of it.
#[must_use]
pub fn present(item: &ItemHead, message: &StoredMessage, client: &ClientLimits) -> Option<Presented> {
    let presented = Form::of(item, message, &client.accepts)?.write(item, message);
    client.may_have(presented.total).then_some(presented)
}

/// Whether `message` of `item` can be [presented](present) to the client.
#[must_use]
pub fn is_presentable(item: &ItemHead, message: &StoredMessage, client: &ClientLimits) -> bool {
    Form::of(item, message, &client.accepts).is_some_and(|form| {
        // Only to be measured is it written.
        client.max_size.is_none() || client.may_have(form.write(item, message).total)
    })
}

/// The media type of a stored message; without a Content-Type it is text/plain (RFC 2045 5.2). Of one that is too long for
/// the head of a SEND the parameters are left out.
#[must_use]
pub fn content_type(item: &ItemHead, message: &StoredMessage) -> Bytes {
    let is_type = |(name, _): &&(Bytes, Bytes)| name.eq_ignore_ascii_case(b"content-type");
    let of_item = || fields(item, message).find(is_type).map(|(_, value)| value.clone());
    let told = message.content_type.clone().or_else(of_item);
    match told {
        Some(long) if long.len() > LONGEST_DESCRIPTION => {
            Some(Bytes::from(mime::value(&long))).filter(|essence| essence.len() <= LONGEST_DESCRIPTION)
        }
        told => told.filter(|value| !value.is_empty()),
    }
    .unwrap_or(Bytes::from_static(b"text/plain"))
}

/// The headers kept with a message: those of a pager request are kept with its item.
fn fields<'a>(item: &'a ItemHead, message: &'a StoredMessage) -> impl Iterator<Item = &'a (Bytes, Bytes)> {
    let of_item: &[(Bytes, Bytes)] = match item.kind {
        ItemKind::Pager => &item.envelope.content,
        ItemKind::Session => &[],
    };
    message.headers.iter().chain(of_item)
}

/// The form in which a client takes a message, with the media type of its content.
enum Form {
    /// As message/cpim around the content.
    Wrapped(Bytes),
    /// The content as it is stored.
    Bare(Bytes),
}

impl Form {
    fn of(item: &ItemHead, message: &StoredMessage, accepts: &AcceptTypes) -> Option<Self> {
        let content_type = content_type(item, message);
        let essence = mime::value(&content_type);
        let encoded = is_encoded(item, message);
        // What is called message/cpim and is encoded is none as it stands: it is wrapped as any other content.
        let is_cpim = !encoded && essence.eq_ignore_ascii_case(cpim::MEDIA_TYPE);
        if !is_cpim && accepts.wants_cpim() && accepts.accepts_wrapped(&essence) {
            return Some(Self::Wrapped(content_type));
        }
        // RFC 4975 8.6: what is wrapped must be signaled, too.
        if is_cpim && wrapped(message, accepts).is_some_and(|kind| !accepts.accepts_wrapped(&kind)) {
            return None;
        }
        // RFC 4975 7.1: transfer-encoding parameters MUST NOT be present; and no content is converted here.
        (!encoded && accepts.accepts(&essence)).then_some(Self::Bare(content_type))
    }

    fn write(self, item: &ItemHead, message: &StoredMessage) -> Presented {
        let mut headers = vec![deferred(item)];
        match self {
            Self::Wrapped(content_type) => {
                let prefix = wrapper(item, message, &content_type).prefix();
                let total = message.size.saturating_add(prefix.len() as u64);
                Presented { content_type: Bytes::from_static(b"message/cpim"), headers, prefix, total }
            }
            Self::Bare(content_type) => {
                let described = described(item, message).filter(|(name, _)| !is_transfer_encoding(name));
                headers.extend(described.cloned());
                Presented { content_type, headers, prefix: Bytes::new(), total: message.size }
            }
        }
    }
}

/// The media type of what a deposited CPIM wraps, where that decides, and can be told without reading from the disk.
fn wrapped(message: &StoredMessage, accepts: &AcceptTypes) -> Option<String> {
    let Content::Inline(content) = &message.content else { return None };
    let cpim = accepts.tells_wrapped().then(|| cpim::parse(content).ok()).flatten()?;
    Some(cpim.content_type().map_or_else(|| "text/plain".to_owned(), |kind| mime::value(&kind)))
}

fn deferred(item: &ItemHead) -> (Bytes, Bytes) {
    (Bytes::from_static(DEFERRED_MESSAGE_ID.as_bytes()), item.message_id.bytes().clone())
}

/// The Content-* headers beside Content-Type that describe the content, as many as the head of a SEND has room for.
fn described<'a>(item: &'a ItemHead, message: &'a StoredMessage) -> impl Iterator<Item = &'a (Bytes, Bytes)> {
    let mut room = LONGEST_DESCRIPTION;
    let fits = move |(name, value): &&(Bytes, Bytes)| {
        room.checked_sub(name.len() + value.len()).map(|left| room = left).is_some()
    };
    let describes = |(name, _): &&(Bytes, Bytes)| {
        name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
            && !name.eq_ignore_ascii_case(b"content-type")
            && !name.eq_ignore_ascii_case(b"content-length")
    };
    fields(item, message).filter(describes).filter(fits)
}

/// Whether the content, as it is stored, is in a transfer encoding (RFC 2045 6).
fn is_encoded(item: &ItemHead, message: &StoredMessage) -> bool {
    fields(item, message)
        .any(|(name, value)| is_transfer_encoding(name) && !mime::is_identity(&mime::value(value)))
}

/// MSRP carries binary (RFC 4975 7.1: no Content-Transfer-Encoding), so it is told in CPIM only.
fn is_transfer_encoding(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-transfer-encoding")
}

fn wrapper(item: &ItemHead, message: &StoredMessage, content_type: &Bytes) -> Wrapper {
    // Readers need not take header fields of any length.
    let shortened =
        |text: Bytes| String::from_utf8_lossy(&beginning(&text, LONGEST_DESCRIPTION)).into_owned();
    let party = |value: &Bytes| match Party::from_sip(value) {
        Some(Party { display, uri }) => Party { display: display.map(|name| shortened(name.into())), uri },
        None => Party { display: None, uri: "sip:anonymous@anonymous.invalid".into() },
    };
    let mut content = vec![(Bytes::from_static(b"Content-Type"), content_type.clone())];
    content.extend(described(item, message).cloned());
    Wrapper {
        from: party(&item.envelope.from),
        to: party(&item.envelope.to),
        date_time: Some(date_time(item, message)),
        subject: item.envelope.subject.clone().map(shortened),
        content,
    }
}

/// A pager message was sent at its Date; a message of a session when it was received.
fn date_time(item: &ItemHead, message: &StoredMessage) -> String {
    let sent = match item.kind {
        ItemKind::Pager => date::parse_date(&item.envelope.date),
        ItemKind::Session => None,
    };
    date::rfc3339(sent.unwrap_or_else(|| Date::utc(message.received)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{Envelope, ItemState, MessageId};
    use crate::time::Timestamp;

    fn item(kind: ItemKind) -> ItemHead {
        ItemHead {
            message_id: MessageId::new("32098d@alicepc.example.org"),
            kind,
            state: ItemState::New,
            sequence: 1,
            arrived: Timestamp(1_000),
            ends: Timestamp(9_000_000),
            envelope: Envelope {
                from: Bytes::from_static(b"\"Alice\" <sip:alice@example.org>;tag=1"),
                to: Bytes::from_static(b"<sip:charlie@example.com>"),
                subject: Some(Bytes::from_static(b"carpool tomorrow?")),
                date: Bytes::from_static(b"Sun, 09 Jul 2000 21:23:01 -0700"),
                ..Envelope::default()
            },
            messages: 1,
            bytes: 5,
        }
    }

    fn message(content_type: &'static str) -> StoredMessage {
        StoredMessage {
            message_id: Bytes::from_static(b"m1"),
            content_type: Some(Bytes::from_static(content_type.as_bytes())),
            headers: vec![(Bytes::from_static(b"Content-Language"), Bytes::from_static(b"en"))],
            size: 5,
            received: Timestamp(2_000),
            content: Content::Inline(Bytes::from_static(b"hello")),
        }
    }

    fn client(types: &[&str], max_size: Option<u64>) -> ClientLimits {
        let owned: Vec<String> = types.iter().map(|&kind| kind.to_owned()).collect();
        ClientLimits { accepts: AcceptTypes::new(&owned, &[]), max_size }
    }

    #[test]
    fn who_accepts_cpim_gets_it() {
        let presented = present(
            &item(ItemKind::Pager),
            &message("text/plain"),
            &client(&["message/cpim", "text/plain"], None),
        )
        .unwrap();
        assert_eq!(presented.content_type, "message/cpim");
        let mut whole = presented.prefix.to_vec();
        whole.extend_from_slice(b"hello");
        assert_eq!(presented.total, whole.len() as u64);
        let cpim = cpim::Cpim::parse(&Bytes::from(whole)).unwrap();
        assert_eq!(cpim.from().unwrap().uri, "sip:alice@example.org");
        assert_eq!(cpim.date_time(), Some("2000-07-09T21:23:01-07:00"));
        assert_eq!(cpim.subject().as_deref(), Some("carpool tomorrow?"));
        assert_eq!(cpim.content_header("Content-Language").unwrap(), "en");
        assert_eq!(cpim.content, "hello");
    }

    #[test]
    fn others_get_the_bare_content_or_nothing() {
        let presented =
            present(&item(ItemKind::Pager), &message("text/plain"), &client(&["text/*"], None)).unwrap();
        assert_eq!((presented.content_type.as_ref(), presented.total), (&b"text/plain"[..], 5));
        assert_eq!(presented.headers.first().unwrap().1, "32098d@alicepc.example.org");
        assert_eq!(
            present(&item(ItemKind::Pager), &message("image/png"), &client(&["text/plain"], None)),
            None
        );
        assert_eq!(present(&item(ItemKind::Pager), &message("text/plain"), &client(&["*"], Some(4))), None);
    }

    #[test]
    fn deposited_cpim_is_passed_as_it_came() {
        let presented =
            present(&item(ItemKind::Session), &message("message/cpim"), &client(&["message/cpim"], None))
                .unwrap();
        assert!(presented.prefix.is_empty());
        assert_eq!(presented.total, 5);
    }

    fn encoded(mut message: StoredMessage, encoding: &'static str) -> StoredMessage {
        message.headers.push(("Content-Transfer-Encoding".into(), encoding.into()));
        message
    }

    // proves RFC 4975 7.1.1: transfer encoding is always binary; and nothing is converted
    #[test]
    fn what_is_in_a_transfer_encoding_is_never_bare() {
        for encoding in ["base64", "Quoted-Printable", "x-own"] {
            for kind in [ItemKind::Pager, ItemKind::Session] {
                let item = item(kind);
                let text = encoded(message("text/plain"), encoding);
                let wrapped = present(&item, &text, &client(&["message/cpim", "text/plain"], None)).unwrap();
                let told = cpim::Cpim::parse(&wrapped.prefix).unwrap();
                assert_eq!(told.content_header("Content-Transfer-Encoding").unwrap(), encoding);
                assert_eq!(present(&item, &text, &client(&["text/plain"], None)), None);
                // One of message/cpim is no message/cpim before it is decoded: it is wrapped as any other content.
                let cpim = encoded(message("message/cpim"), encoding);
                let wrapped = present(&item, &cpim, &client(&["message/cpim"], None)).unwrap();
                let told = cpim::Cpim::parse(&wrapped.prefix).unwrap();
                assert_eq!(told.content_type().unwrap(), "message/cpim");
                assert_eq!(told.content_header("Content-Transfer-Encoding").unwrap(), encoding);
            }
        }
        let mut pager = item(ItemKind::Pager);
        pager.envelope.content = vec![("Content-Transfer-Encoding".into(), "base64".into())];
        assert_eq!(present(&pager, &message("text/plain"), &client(&["text/plain"], None)), None);
        for encoding in ["7bit", "8BIT", "binary ", ""] {
            let text = encoded(message("text/plain"), encoding);
            let bare = present(&item(ItemKind::Pager), &text, &client(&["text/plain"], None)).unwrap();
            assert!(!bare.headers.iter().any(|(name, _)| is_transfer_encoding(name)));
            let cpim = encoded(message("message/cpim"), encoding);
            let passed = present(&item(ItemKind::Pager), &cpim, &client(&["message/cpim"], None)).unwrap();
            assert!(passed.prefix.is_empty(), "{encoding}");
        }
    }

    // proves RFC 4975 8.6: MUST NOT send what is not signaled, also within a container
    #[test]
    fn deposited_cpim_is_passed_to_those_alone_who_take_what_it_wraps() {
        let cpim = |wrapped: &str| StoredMessage {
            content: Content::Inline(format!("From: <im:a@b>\r\n\r\n{wrapped}\r\n\r\nx").into()),
            ..message("message/cpim")
        };
        let taken = |message: &StoredMessage, types: &[&str], wrapped: &[&str]| {
            let client = ClientLimits { accepts: AcceptTypes::new(types, wrapped), max_size: None };
            is_presentable(&item(ItemKind::Pager), message, &client)
        };
        let image = cpim("Content-Type: Image/PNG; x=y");
        assert!(!taken(&image, &["message/cpim", "text/plain"], &["text/html"]));
        assert!(taken(&image, &["message/cpim"], &["image/*"]));
        assert!(taken(&image, &["message/cpim", "image/png"], &["text/html"]));
        assert!(taken(&image, &["message/cpim"], &[]), "who tells nothing takes what comes");
        assert!(!taken(&cpim("Content-ID: <x@y>"), &["message/cpim"], &["image/*"]), "text (RFC 2045 5.2)");
        // What cannot be read, or is not at hand, is passed.
        assert!(taken(&message("message/cpim"), &["message/cpim"], &["text/html"]));
        let far = StoredMessage { content: Content::File(crate::store::ContentId(1)), ..image };
        assert!(taken(&far, &["message/cpim"], &["text/html"]));
    }

    // What a peer has deposited long ago, or by MSRP, must not make a head that clients refuse to read.
    #[test]
    fn what_describes_a_content_is_never_longer_than_a_head_may_be() {
        let long = |length: usize| Bytes::from("A".repeat(length));
        let mut item = item(ItemKind::Pager);
        item.envelope.subject = Some(long(50_000));
        item.envelope.from = Bytes::from(format!("\"{}\" <sip:alice@example.org>;tag=1", "A".repeat(50_000)));
        let mut message = message("text/plain");
        message.content_type = Some(Bytes::from(format!("image/png;x={}", "A".repeat(20_000))));
        message.headers.push((Bytes::from_static(b"Content-Disposition"), long(20_000)));
        message.headers.push((Bytes::from_static(b"Content-ID"), long(100)));
        let bare = present(&item, &message, &client(&["image/*"], None)).unwrap();
        assert_eq!(bare.content_type, "image/png");
        let names: Vec<_> = bare.headers.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, ["Deferred-Message-ID", "Content-Language", "Content-ID"]);
        let wrapped = present(&item, &message, &client(&["message/cpim"], None)).unwrap();
        let cpim = cpim::Cpim::parse(&wrapped.prefix).unwrap();
        assert_eq!(cpim.from().unwrap().uri, "sip:alice@example.org");
        assert_eq!(cpim.subject().unwrap().len(), LONGEST_DESCRIPTION);
        assert!(wrapped.prefix.len() < 3 * LONGEST_DESCRIPTION, "{}", wrapped.prefix.len());
        message.content_type = Some(long(20_000));
        assert_eq!(content_type(&item, &message), "text/plain", "a type must be told");
    }

    #[test]
    fn what_is_presentable_is_presented() {
        let (pager, session) = (item(ItemKind::Pager), item(ItemKind::Session));
        let wrapped =
            present(&pager, &message("text/plain"), &client(&["message/cpim"], None)).unwrap().total;
        assert!(wrapped > 5, "the wrapping counts");
        let sizes = [None, Some(4), Some(5), Some(wrapped - 1), Some(wrapped)];
        let mut taken = 0;
        for item in [&pager, &session] {
            for kind in ["text/plain", "image/png", "message/cpim"] {
                for types in [&["message/cpim"][..], &["text/plain"], &["message/cpim", "text/plain"], &["*"]]
                {
                    for size in sizes {
                        let (message, client) = (message(kind), client(types, size));
                        let presented = present(item, &message, &client).is_some();
                        assert_eq!(is_presentable(item, &message, &client), presented, "{kind} {client:?}");
                        taken += usize::from(presented);
                    }
                }
            }
        }
        assert!((1..120).contains(&taken), "some are, some are not: {taken}");
    }
}
