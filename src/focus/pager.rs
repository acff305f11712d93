//! The deposit of a pager message (RFC 3428): what is kept of a MESSAGE.

use std::time::Duration;

use bytes::Bytes;

use super::privacy;
use super::rejection::Rejection;
use crate::store::{DepositKey, Envelope};
use crate::time::Timestamp;
use crate::wire::sip::{HeaderError, HeaderName, MediaType, Request, StatusCode};
use crate::wire::{cpim, date, mime};

/// A request is not longer on its way: an older Date is that of a wrong clock, or of a wrong time zone.
const LONGEST_WAY: Duration = Duration::from_secs(3600);

/// Bytes of the header fields that describe a content, at most: a client need not read MSRP heads of more than a few
/// kilobytes, nor does this node.
pub(super) const LONGEST_DESCRIPTION: usize = 4096;

/// Bytes of the header fields that are kept beside a content, at most: what a mailbox may hold in bytes is counted by
/// contents, and how many items it may hold bounds the rest.
const LONGEST_ENVELOPE: usize = 16 << 10;

/// That somebody is writing (RFC 3994) is of no use to who is away.
const TYPING: &str = "application/im-iscomposing+xml";

/// What the node limits and assumes about deposits.
#[derive(Clone, Debug)]
pub struct DepositRules {
    /// Content types (essence, lower case) that are accepted and not stored, as typing indications always are.
    pub ignore_types: Vec<String>,
    /// The largest body of a pager message, in bytes.
    pub max_body: usize,
    /// How long an item lives that does not say.
    pub lifetime: Duration,
    /// The longest that an item may ask to live.
    pub max_lifetime: Duration,
}

impl DepositRules {
    /// Whether a content is taken and not stored: by its type, as `is` knows it, or of message/cpim by what that wraps. Of a
    /// long content its beginning is enough.
    pub fn ignores(&self, is: impl Fn(&str) -> bool, content: impl FnOnce() -> Bytes) -> bool {
        let wrapped = || {
            let wrapped = wrapped_type(&content()).map(|wrapped| mime::value(&wrapped));
            wrapped.is_some_and(|wrapped| self.ignored().any(|kind| kind == wrapped))
        };
        self.ignored().any(&is) || is(cpim::MEDIA_TYPE) && wrapped()
    }

    fn ignored(&self) -> impl Iterator<Item = &str> {
        [TYPING].into_iter().chain(self.ignore_types.iter().map(String::as_str))
    }
}

/// What becomes of a MESSAGE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pager {
    /// Answered 202 and forgotten: an is-composing indication, or one that has expired.
    Ignored,
    /// To be stored under this key, until this time.
    Kept {
        /// Tells a repetition from another message.
        key: DepositKey,
        /// What is kept beside the body.
        envelope: Box<Envelope>,
        /// When the item ends.
        ends: Timestamp,
    },
}

/// Judges a MESSAGE that arrived at `now` for a mailbox of this store.
///
/// # Errors
/// 400 for headers that cannot be kept, 500 for privacy that cannot be given, 413 for a body, a description of it, or an envelope over the limit, 415 for
/// a content coding: MSRP, by which it would be retrieved, has none.
pub fn pager(request: &Request, rules: &DepositRules, now: Timestamp) -> Result<Pager, Rejection> {
    if request.body.len() > rules.max_body {
        return Err(Rejection::new(StatusCode::REQUEST_ENTITY_TOO_LARGE));
    }
    if coded(request) {
        return Err(Rejection::unsupported_encoding());
    }
    let content_type = request.headers.content_type();
    if let Ok(Some(content_type)) = &content_type
        && rules.ignores(|kind| content_type.is(kind), || request.body.clone())
    {
        return Ok(Pager::Ignored);
    }
    let mut envelope = envelope(request, now)?;
    envelope.content = content_headers(request)?;
    // A body without a type is text (RFC 2045 5.2).
    envelope.text = content_type.is_ok_and(|kind| kind.is_none_or(|kind| is_text(&kind, &request.body)));
    let ends = ends(envelope.expires, rules, now);
    // RFC 3428 7: a message MAY be dropped once it has expired.
    if envelope.expires.is_some_and(|expires| expires <= now) {
        return Ok(Pager::Ignored);
    }
    Ok(Pager::Kept { key: key(request)?, envelope: Box::new(envelope), ends })
}

/// Whether the body is in a content coding (RFC 3261 20.12).
#[must_use]
pub fn coded(request: &Request) -> bool {
    request
        .headers
        .get(&HeaderName::ContentEncoding)
        .is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// When an item ends that asks for `expires`: never later than the rules allow.
#[must_use]
pub fn ends(expires: Option<Timestamp>, rules: &DepositRules, now: Timestamp) -> Timestamp {
    expires.map_or_else(|| now.after(rules.lifetime), |expires| expires.min(now.after(rules.max_lifetime)))
}

/// What tells a repetition from another request: Call-ID, From tag and CSeq (RFC 3261 8.1.1).
///
/// # Errors
/// 400 naming the header that cannot be read.
pub fn key(request: &Request) -> Result<DepositKey, Rejection> {
    let from = request.headers.from().map_err(bad)?;
    Ok(DepositKey {
        call_id: request.headers.call_id().map_err(bad)?,
        from_tag: from.tag().unwrap_or_default(),
        cseq: request.headers.cseq().map_err(bad)?.number,
    })
}

/// What is kept of a request beside its body and what describes that; nothing that its sender wants hidden.
///
/// # Errors
/// 400 naming the header that cannot be read, 500 for privacy that cannot be given, 413 naming what is too long: a mailbox' bytes
/// are counted by its contents alone.
pub fn envelope(request: &Request, now: Timestamp) -> Result<Envelope, Rejection> {
    let headers = &request.headers;
    let privacy = privacy::privacy(request)?;
    let text = |name: &HeaderName| headers.get(name).filter(|value| !value.is_empty()).cloned();
    let expires = headers.expires().map_err(bad)?;
    let priority = text(&HeaderName::Priority);
    let mut envelope = Envelope {
        from: text(&HeaderName::From).unwrap_or_default(),
        to: text(&HeaderName::To).unwrap_or_default(),
        subject: text(&HeaderName::Subject),
        date: text(&HeaderName::Date).unwrap_or_else(|| Bytes::from(date::sip_date(now))),
        urgent: priority.as_deref().is_some_and(is_urgent),
        priority,
        expires: expires.map(|seconds| sent(request, now).after(Duration::from_secs(seconds.into()))),
        content: Vec::new(),
        text: false,
    };
    privacy.apply(&mut envelope);
    let fields = [
        (HeaderName::From, Some(&envelope.from)),
        (HeaderName::To, Some(&envelope.to)),
        (HeaderName::Subject, envelope.subject.as_ref()),
        (HeaderName::Date, Some(&envelope.date)),
        (HeaderName::Priority, envelope.priority.as_ref()),
    ];
    bounded(fields.iter().filter_map(|(name, value)| Some((name.as_bytes(), (*value)?))), LONGEST_ENVELOPE)?;
    Ok(envelope)
}

/// Refuses header fields that have more than `most` bytes in all, naming the longest.
fn bounded<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a Bytes)> + Clone,
    most: usize,
) -> Result<(), Rejection> {
    let size: usize = fields.clone().map(|(name, value)| name.len() + value.len()).sum();
    match fields.max_by_key(|(_, value)| value.len()).filter(|_| size > most) {
        Some((name, _)) => {
            let reason = format!("{} Too Long", String::from_utf8_lossy(name));
            Err(Rejection::because(StatusCode::REQUEST_ENTITY_TOO_LARGE, reason))
        }
        None => Ok(()),
    }
}

/// When the request was sent, for its Expires: at its Date, where that can be believed.
// RFC 3428 7: with a Date, Expires SHOULD be interpreted as delta time from it.
fn sent(request: &Request, now: Timestamp) -> Timestamp {
    let date = request.headers.get(&HeaderName::Date).and_then(|text| date::parse_date(text));
    let believed = |date: &date::Date| date.at <= now && now.saturating_since(date.at) <= LONGEST_WAY;
    date.filter(believed).map_or(now, |date| date.at)
}

/// The Content-* headers that describe the body, as sent; its length is the body's own affair. Refused where they are
/// longer than the head of an MSRP request should have to be, in which they leave again.
fn content_headers(request: &Request) -> Result<Vec<(Bytes, Bytes)>, Rejection> {
    let described = |name: &HeaderName| {
        name.is_content() && !matches!(name, HeaderName::ContentLength | HeaderName::MimeVersion)
    };
    let headers = request.headers.iter().filter(|header| described(&header.name));
    let headers: Vec<_> = headers.map(|header| (header.name.to_bytes(), header.value.clone())).collect();
    bounded(headers.iter().map(|(name, value)| (name.as_ref(), value)), LONGEST_DESCRIPTION)?;
    Ok(headers)
}

/// RFC 3842 counts by message context: what is text is a Text-Message, all else is multimedia; of
/// message/cpim the wrapped type decides.
fn is_text(content_type: &MediaType, body: &Bytes) -> bool {
    if content_type.is("message/cpim") {
        return wraps_text(body);
    }
    content_type.kind.eq_ignore_ascii_case(b"text")
}

/// Whether a content counts as text in a message summary.
#[must_use]
pub fn content_is_text(essence: &str, content: &Bytes) -> bool {
    if essence.eq_ignore_ascii_case("message/cpim") {
        return wraps_text(content);
    }
    starts_with_text(essence.as_bytes())
}

fn wraps_text(cpim: &Bytes) -> bool {
    wrapped_type(cpim).is_none_or(|wrapped| starts_with_text(&wrapped))
}

fn wrapped_type(content: &Bytes) -> Option<Bytes> {
    cpim::parse(content).ok().and_then(|cpim| cpim.content_type())
}

fn starts_with_text(content_type: &[u8]) -> bool {
    content_type.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/"))
}

/// RFC 3842 5.2 counts as urgent what RFC 3261 20.26 calls urgent or emergency.
#[must_use]
pub fn is_urgent(priority: &[u8]) -> bool {
    priority.eq_ignore_ascii_case(b"urgent") || priority.eq_ignore_ascii_case(b"emergency")
}

fn bad(error: HeaderError) -> Rejection {
    Rejection::because(StatusCode::BAD_REQUEST, error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::wire::sip::Method;

    fn rules() -> DepositRules {
        DepositRules {
            ignore_types: vec!["text/x-msrp-heartbeat".into()],
            max_body: 100,
            lifetime: Duration::from_secs(1000),
            max_lifetime: Duration::from_secs(5000),
        }
    }

    fn message(headers: &[(HeaderName, &'static str)]) -> Request {
        let mut request = Request::new(Method::Message, "sip:bob@example.com");
        request.headers.push(HeaderName::From, "<sip:alice@example.org>;tag=a1");
        request.headers.push(HeaderName::To, "<sip:bob@example.com>");
        request.headers.push(HeaderName::CallId, "c1@alicepc");
        request.headers.push(HeaderName::CSeq, "7 MESSAGE");
        for (name, value) in headers {
            request.headers.push(name.clone(), *value);
        }
        request
    }

    fn kept(headers: &[(HeaderName, &'static str)]) -> (DepositKey, Box<Envelope>, Timestamp) {
        match pager(&message(headers), &rules(), Timestamp(5_000)).unwrap() {
            Pager::Kept { key, envelope, ends } => (key, envelope, ends),
            Pager::Ignored => panic!("ignored"),
        }
    }

    #[test]
    fn headers_are_kept_as_sent() {
        let (key, envelope, ends) = kept(&[
            (HeaderName::Subject, "carpool tomorrow?"),
            (HeaderName::Date, "Sun, 09 Jul 2000 21:23:01 -0700"),
            (HeaderName::ContentType, "text/plain;charset=UTF-8"),
            (HeaderName::ContentLanguage, "en"),
            (HeaderName::Priority, "Emergency"),
        ]);
        assert_eq!(key, DepositKey { call_id: "c1@alicepc".into(), from_tag: "a1".into(), cseq: 7 });
        assert_eq!(envelope.date, "Sun, 09 Jul 2000 21:23:01 -0700");
        assert_eq!(envelope.content.len(), 2);
        assert!(envelope.urgent && envelope.text);
        assert_eq!(ends, Timestamp(1_005_000));
    }

    // proves RFC 3325 7, RFC 3323 5.3
    #[test]
    fn who_asks_for_privacy_is_not_kept() {
        let (_, hidden, _) = kept(&[
            (HeaderName::Privacy, "user;id"),
            (HeaderName::PAssertedIdentity, "<sip:alice@example.org>"),
            (HeaderName::Subject, "it is Alice"),
            (HeaderName::Organization, "Alice Ltd"),
        ]);
        assert!(!format!("{hidden:?}").to_lowercase().contains("alice@"), "{hidden:?}");
        assert_eq!((hidden.from.starts_with(b"\"Anonymous\""), hidden.subject), (true, None));
    }

    #[test]
    fn the_arrival_stands_in_for_a_missing_date() {
        let (_, envelope, _) = kept(&[]);
        assert_eq!(envelope.date, "Thu, 01 Jan 1970 00:00:05 GMT");
        assert!(envelope.text && !envelope.urgent && envelope.priority.is_none());
    }

    // proves RFC 3428 7
    #[test]
    fn an_item_ends_when_its_sender_says() {
        assert_eq!(kept(&[(HeaderName::Expires, "60")]).2, Timestamp(65_000));
        assert_eq!(kept(&[(HeaderName::Expires, "999999")]).2, Timestamp(5_005_000));
        assert_eq!(
            pager(&message(&[(HeaderName::Expires, "0")]), &rules(), Timestamp(5_000)).unwrap(),
            Pager::Ignored
        );
    }

    // proves RFC 3428 7: Expires counts from Date
    #[test]
    fn expires_counts_from_a_date_that_can_be_believed() {
        let now = Timestamp(1_000_000_000_000);
        let ends = |date: &'static str| {
            let request = message(&[(HeaderName::Expires, "600"), (HeaderName::Date, date)]);
            match pager(&request, &rules(), now).unwrap() {
                Pager::Kept { ends, .. } => Some((ends.0 - now.0) / 1000),
                Pager::Ignored => None,
            }
        };
        // It is Sun, 09 Sep 2001 01:46:40 GMT.
        assert_eq!(ends("Sun, 09 Sep 2001 01:46:00 GMT"), Some(560));
        assert_eq!(ends("Sun, 09 Sep 2001 03:46:00 +0200"), Some(560));
        assert_eq!(ends("Sun, 09 Sep 2001 01:30:00 GMT"), None, "it has expired on its way");
        assert_eq!(ends("Sun, 09 Jul 2000 21:23:01 -0700"), Some(600), "no message is on its way for a year");
        assert_eq!(ends("Sun, 09 Sep 2001 01:47:00 GMT"), Some(600), "nor comes from the future");
        assert_eq!(ends("yesterday"), Some(600));
    }

    #[test]
    fn composing_indications_are_not_kept() {
        let composing =
            message(&[(HeaderName::ContentType, "application/IM-iscomposing+xml; charset=utf-8")]);
        assert_eq!(pager(&composing, &rules(), Timestamp(0)).unwrap(), Pager::Ignored);
        let mut wrapped = message(&[(HeaderName::ContentType, "message/cpim")]);
        let wrap =
            |kind: &str| Bytes::from(format!("From: <sip:a@b>\r\n\r\nContent-Type: {kind}\r\n\r\n<x/>"));
        for (kind, ignored) in [
            ("Application/im-iscomposing+xml;x=y", true),
            ("text/x-msrp-heartbeat", true),
            ("text/xml", false),
        ] {
            wrapped.body = wrap(kind);
            assert_eq!(pager(&wrapped, &rules(), Timestamp(0)).unwrap() == Pager::Ignored, ignored, "{kind}");
        }
    }

    // What could not be retrieved must not be taken.
    #[test]
    fn a_description_over_the_limit_is_refused() {
        let described = |length: usize| {
            let mut request = message(&[(HeaderName::ContentType, "text/plain")]);
            let value = format!("render;x={}", "A".repeat(length));
            request.headers.push(HeaderName::ContentDisposition, value);
            pager(&request, &rules(), Timestamp(0))
        };
        assert!(described(4000).is_ok());
        let refused = described(4100).unwrap_err();
        assert_eq!(refused.status, StatusCode::REQUEST_ENTITY_TOO_LARGE);
        assert_eq!(refused.reason.as_deref(), Some("Content-Disposition Too Long"));
    }

    #[test]
    fn an_envelope_has_an_end() {
        let long: &'static str = Box::leak("s".repeat(LONGEST_ENVELOPE - 150).into());
        assert_eq!(kept(&[(HeaderName::Subject, long)]).1.subject.map(|it| it.len()), Some(long.len()));
        let longer: &'static str = Box::leak("s".repeat(LONGEST_ENVELOPE).into());
        let refused = pager(&message(&[(HeaderName::Subject, longer)]), &rules(), Timestamp(0)).unwrap_err();
        assert_eq!(refused.status, StatusCode::REQUEST_ENTITY_TOO_LARGE);
        assert_eq!(refused.reason.as_deref(), Some("Subject Too Long"));
        // What is not kept does not count.
        assert_eq!(kept(&[(HeaderName::UserAgent, longer)]).1.subject, None);
    }

    #[test]
    fn a_body_over_the_limit_is_refused() {
        let mut large = message(&[(HeaderName::ContentType, "text/plain")]);
        large.body = Bytes::from(vec![b'x'; 101]);
        assert_eq!(
            pager(&large, &rules(), Timestamp(0)).unwrap_err().status,
            StatusCode::REQUEST_ENTITY_TOO_LARGE
        );
    }
}
