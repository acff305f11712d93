//! The deposit of a session: what is kept of an INVITE (RFC 3261 13) in the mailbox owner's place.

use bytes::Bytes;

use super::pager::{self, DepositRules, LONGEST_DESCRIPTION};
use super::rejection::Rejection;
use crate::store::{DepositKey, Envelope};
use crate::time::Timestamp;
use crate::wire::sip::Request;

/// What is kept of the INVITE of a deposited session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnvelope {
    /// Tells a repetition from another session.
    pub key: DepositKey,
    /// Headers of the INVITE; those that describe its body are left out: it is no content.
    pub envelope: Envelope,
    /// When the item ends.
    pub ends: Timestamp,
}

/// Reads what is kept of an INVITE that came at `now`. Its Expires bounds the invitation
/// (RFC 3261 20.19), not the life of what is said in the session.
///
/// # Errors
/// 400 naming the header that cannot be read.
pub fn session(invite: &Request, rules: &DepositRules, now: Timestamp) -> Result<SessionEnvelope, Rejection> {
    let envelope = pager::envelope(invite, now)?;
    let key = pager::key(invite)?;
    // What is kept for hours must not keep the whole INVITE.
    let own = |text: Bytes| Bytes::copy_from_slice(&text);
    let envelope = Envelope {
        from: own(envelope.from),
        to: own(envelope.to),
        subject: envelope.subject.map(own),
        date: own(envelope.date),
        priority: envelope.priority.map(own),
        expires: None,
        text: true,
        ..envelope
    };
    let key = DepositKey { call_id: own(key.call_id), from_tag: own(key.from_tag), cseq: key.cseq };
    Ok(SessionEnvelope { key, envelope, ends: pager::ends(None, rules, now) })
}

/// Whether what describes the content of a message of the session has room in the head of an MSRP request, in which it
/// leaves again: as much as [`pager::pager`] takes.
#[must_use]
pub fn has_room(content_type: &[u8], headers: &[(Bytes, Bytes)]) -> bool {
    let described = headers
        .iter()
        .filter(|(name, _)| name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-")));
    let size: usize = described.map(|(name, value)| name.len() + value.len()).sum();
    "Content-Type".len() + content_type.len() + size <= LONGEST_DESCRIPTION
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::time::Duration;

    use super::*;
    use crate::wire::sip::{HeaderName, Limits, Message, Method, parse_datagram};

    #[test]
    fn the_session_description_is_no_content() {
        let mut invite = Request::new(Method::Invite, "sip:charlie@example.com");
        for (name, value) in [
            (HeaderName::From, "<sip:Joe@example.com>;tag=j"),
            (HeaderName::To, "<sip:charlie@example.com>"),
            (HeaderName::CallId, "d0982dkjs@Joemobile.example.net"),
            (HeaderName::CSeq, "1 INVITE"),
            (HeaderName::ContentType, "application/sdp"),
            (HeaderName::Expires, "30"),
            (HeaderName::Priority, "urgent"),
        ] {
            invite.headers.push(name, value);
        }
        let rules = DepositRules {
            ignore_types: Vec::new(),
            max_body: 1,
            lifetime: Duration::from_secs(100),
            max_lifetime: Duration::from_secs(100),
        };
        let whole = invite.encode();
        let Ok(Message::Request(invite)) = parse_datagram(whole.clone(), &Limits::default()) else {
            panic!()
        };
        let session = session(&invite, &rules, Timestamp(1_000)).unwrap();
        drop(invite);
        assert!(whole.is_unique(), "nothing keeps the INVITE");
        assert!(session.envelope.content.is_empty() && session.envelope.urgent && session.envelope.text);
        assert_eq!(session.ends, Timestamp(101_000));
        assert_eq!(session.key.call_id, "d0982dkjs@Joemobile.example.net");
    }

    #[test]
    fn what_describes_a_message_has_a_bound() {
        let field = |name: &'static str, length: usize| (Bytes::from(name), Bytes::from("x".repeat(length)));
        let most = LONGEST_DESCRIPTION - "Content-Type".len();
        assert!(has_room(&vec![b'x'; most], &[]) && !has_room(&vec![b'x'; most + 1], &[]));
        let half = (most - "text/plain".len() - 2 * "Content-ID".len()) / 2;
        assert!(has_room(b"text/plain", &[field("Content-ID", half), field("content-id", half)]));
        assert!(!has_room(b"text/plain", &[field("Content-ID", half + 1), field("content-id", half + 1)]));
        assert!(has_room(b"text/plain", &[field("X-Own", 9000)]), "which is not kept");
    }
}
