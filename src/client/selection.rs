//! What is to be retrieved: [`Selection`], and the message URIs that name it (RFC 5366 for several).

use bytes::Bytes;

use super::account::Account;
use crate::entropy::Entropy;
use crate::machine::sip::Body;
use crate::wire::mime::{self, Part};
use crate::wire::sip::{SipUri, escape_user};
use crate::wire::{resource_lists, sdp};

/// The option tag of URI-lists in an INVITE (RFC 5366 5).
pub(super) const OPTION: &str = "recipient-list-invite";

/// Which items an INVITE asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The item of this message URI.
    One(String),
    /// The items of these message URIs, in this order, by one INVITE with a URI-list.
    List(Vec<String>),
    /// Every new item: an INVITE to one's own address.
    New,
}

impl Selection {
    /// The items of these message URIs; one alone needs no list.
    #[must_use]
    pub fn of(mut uris: Vec<String>) -> Self {
        match (uris.pop(), uris.is_empty()) {
            (Some(only), true) => Self::One(only),
            (last, _) => {
                uris.extend(last);
                Self::List(uris)
            }
        }
    }

    /// The message URIs it names; none for [`Selection::New`].
    #[must_use]
    pub fn uris(&self) -> &[String] {
        match self {
            Self::One(uri) => std::slice::from_ref(uri),
            Self::List(uris) => uris,
            Self::New => &[],
        }
    }

    /// The Request-URI of the INVITE. A list goes to the host that its first URI names.
    #[must_use]
    pub fn request_uri(&self, account: &Account) -> String {
        match self {
            Self::One(uri) => uri.clone(),
            Self::List(uris) => {
                let first = uris.first().and_then(|uri| SipUri::parse(&Bytes::from(uri.clone())).ok());
                first.map_or_else(|| account.uri().to_owned(), |uri| server(&uri))
            }
            Self::New => account.uri().to_owned(),
        }
    }

    /// The body of the INVITE: the offer, with the list where there is one.
    #[must_use]
    pub fn body(&self, offer: Bytes, entropy: &mut dyn Entropy) -> Body {
        let Self::List(uris) = self else { return Body::sdp(offer) };
        let list = resource_lists::encode(uris);
        let boundary = super::opening::Draw(entropy).token(24);
        // RFC 5366 4: the URI-list's disposition is `recipient-list`.
        let parts = [
            Part::new(sdp::MEDIA_TYPE, offer),
            Part::new(resource_lists::MEDIA_TYPE, list)
                .with("Content-Disposition", resource_lists::DISPOSITION),
        ];
        let bytes = mime::encode(&parts, &boundary);
        Body::new(format!("multipart/mixed;boundary=\"{boundary}\""), bytes)
    }

    /// Whether the INVITE requires that the peer understands URI-lists.
    #[must_use]
    pub const fn needs_list(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

/// The server part of a URI: scheme, host, port.
fn server(uri: &SipUri) -> String {
    let scheme = match uri.scheme {
        crate::wire::sip::Scheme::Sip => "sip",
        crate::wire::sip::Scheme::Sips => "sips",
    };
    match uri.port {
        Some(port) => format!("{scheme}:{}:{port}", uri.host),
        None => format!("{scheme}:{}", uri.host),
    }
}

/// The message URI of a Message-ID at `store_host`.
#[must_use]
pub fn message_uri(id: &str, store_host: &str) -> String {
    format!("sip:{}@{store_host}", escape_user(id.as_bytes()))
}

/// The Message-ID that a message URI names; the text itself where it is no SIP URI with a user.
#[must_use]
pub fn message_id(uri: &str) -> String {
    match SipUri::parse(&Bytes::copy_from_slice(uri.as_bytes())) {
        Ok(parsed) if parsed.user.is_some() => String::from_utf8_lossy(&parsed.user_unescaped()).into_owned(),
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::entropy::Sequence;

    const STORE: &str = "mailserver.example.com";

    #[test]
    fn ids_and_uris_stand_for_each_other() {
        let uri = message_uri("d0982dkjs@Joemobile.example.net", STORE);
        assert_eq!(uri, "sip:d0982dkjs%40Joemobile.example.net@mailserver.example.com");
        assert_eq!(message_id(&uri), "d0982dkjs@Joemobile.example.net");
        for id in ["a/b;c?d", "100%", "\u{fc}\u{0}", "sip:x@y"] {
            assert_eq!(message_id(&message_uri(id, STORE)), id, "{id}");
        }
        assert_eq!(message_id("no uri"), "no uri");
    }

    // proves RFC 5366 4: the list stands beside the offer, with its disposition
    #[test]
    fn several_are_asked_for_by_a_list() {
        let account = Account::parse("bob@example.com").unwrap();
        let uris = vec![message_uri("a@b", STORE), message_uri("c", STORE)];
        let both = Selection::of(uris.clone());
        assert_eq!(both.request_uri(&account), "sip:mailserver.example.com");
        assert!(both.needs_list());
        let body = both.body(Bytes::from_static(b"v=0\r\n"), &mut Sequence::new(1));
        let whole = Part::new(body.content_type.clone(), body.bytes.clone());
        let leaves = whole.leaves().unwrap();
        assert_eq!(mime::body_of(&leaves, sdp::MEDIA_TYPE).unwrap(), "v=0\r\n");
        let xml = mime::body_of(&leaves, resource_lists::MEDIA_TYPE).unwrap();
        assert_eq!(resource_lists::uris(&xml, Default::default()).unwrap(), uris);
    }

    #[test]
    fn one_alone_and_all_new_ones_need_no_list() {
        let account = Account::parse("bob@example.com").unwrap();
        let one = Selection::of(vec![message_uri("a@b", STORE)]);
        assert_eq!(one.request_uri(&account), "sip:a%40b@mailserver.example.com");
        assert_eq!(one.body(Bytes::from_static(b"v=0"), &mut Sequence::new(1)), Body::sdp("v=0"));
        assert_eq!(Selection::New.request_uri(&account), "sip:bob@example.com");
        assert!(!one.needs_list() && Selection::New.uris().is_empty());
    }
}
