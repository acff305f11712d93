//! [`belongs`]: what a request outside of every dialog belongs to, by which a node of several shards places it.
//!
//! Only that is asked which its repetitions have as well and, where it is an INVITE, its CANCEL (RFC 3261 9.1): they
//! have to find its transaction. So it is not asked who sends it: a CANCEL asserts nobody, and the owner of a
//! mailbox, who has proved himself by digest, may call himself anonymous in From (RFC 3323 4.1.1.3).

use bytes::Bytes;

use super::intent::{self, Package};
use super::realm::{Place, Realm};
use crate::store::Owner;
use crate::wire::sip::{Method, Request};

/// What a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// The mailbox that it names: all that is kept for one owner, or told of it, is in one place.
    Mailbox(Owner),
    /// The focus with this id.
    Focus(String),
    /// Nothing but its own call: wherever all of that goes is as good as anywhere else.
    Call,
}

/// What `request` belongs to.
#[must_use]
pub fn belongs(realm: &Realm, request: &Request) -> Belongs {
    let subscribes = request.method == Method::Subscribe;
    if subscribes && intent::package(request) == Ok(Package::Conference) {
        return intent::focus_id(&request.uri).map_or(Belongs::Call, Belongs::Focus);
    }
    match realm.place(&request.uri) {
        Ok(Place::Mailbox(owner)) => Belongs::Mailbox(owner),
        // A summary at the store's host is that of the name that stands there. An INVITE names there an item or any
        // focus, and many may name the same one.
        Ok(Place::Store(Some(user))) if subscribes => summary(realm, &user),
        _ => Belongs::Call,
    }
}

fn summary(realm: &Realm, user: &Bytes) -> Belongs {
    realm.home().map_or(Belongs::Call, |home| Belongs::Mailbox(Owner::new(user, home)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::intent::{Intent, intent};
    use super::*;
    use crate::wire::sip::HeaderName;

    fn realm() -> Realm {
        Realm::new(&["Example.com".into(), "example.net".into()], "mailserver.example.com", None)
    }

    fn request(method: Method, uri: &'static str, headers: &[(HeaderName, &'static str)]) -> Request {
        let mut request = Request::new(method, uri);
        for (name, value) in headers {
            request.headers.push(name.clone(), *value);
        }
        request
    }

    fn bob() -> Owner {
        Owner::new(b"bob", "example.com")
    }

    #[test]
    fn every_summary_of_a_mailbox_belongs_to_it_whoever_its_from_names() {
        for uri in ["sip:bob@example.com", "sip:bob@mailserver.example.com", "sips:%62ob@EXAMPLE.com:5061"] {
            for from in ["<sip:bob@example.com>;tag=1", "<sip:anonymous@anonymous.invalid>;tag=1"] {
                let headers = [(HeaderName::Event, "message-summary"), (HeaderName::From, from)];
                let request = request(Method::Subscribe, uri, &headers);
                assert_eq!(belongs(&realm(), &request), Belongs::Mailbox(bob()), "{uri}");
                assert_eq!(intent(&realm(), &request, &bob()).unwrap(), Intent::Summary(bob()));
            }
        }
        let other = [(HeaderName::Event, "message-summary")];
        let other = request(Method::Subscribe, "sip:bob@example.net", &other);
        assert_eq!(belongs(&realm(), &other), Belongs::Mailbox(Owner::new(b"bob", "example.net")));
    }

    // proves RFC 3261 9.1: a CANCEL has the Request-URI, Call-ID and From of its INVITE, and asserts nobody
    #[test]
    fn a_cancel_belongs_to_what_its_invite_belongs_to() {
        let asserted = [
            (HeaderName::From, "<sip:anonymous@anonymous.invalid>;tag=1"),
            (HeaderName::PAssertedIdentity, "<sip:bob@example.com>"),
        ];
        for uri in [
            "sip:bob@example.com",
            "sip:bob@mailserver.example.com",
            "sip:id%40host@mailserver.example.com",
            "sip:mailserver.example.com",
            "sip:x@elsewhere.example",
        ] {
            let invite = belongs(&realm(), &request(Method::Invite, uri, &asserted));
            let cancel = belongs(&realm(), &request(Method::Cancel, uri, &asserted[..1]));
            assert_eq!(invite, cancel, "{uri}");
        }
        let to_item = request(Method::Invite, "sip:id%40host@mailserver.example.com", &asserted);
        assert_eq!(belongs(&realm(), &to_item), Belongs::Call);
        let deposit = request(Method::Message, "sip:bob@example.com", &[]);
        assert_eq!(belongs(&realm(), &deposit), Belongs::Mailbox(bob()));
    }

    #[test]
    fn who_watches_a_conference_belongs_to_its_focus() {
        let event = [(HeaderName::Event, "conference")];
        for uri in ["sip:focus-abc@192.0.2.1:5060", "sip:focus-abc@mailserver.example.com"] {
            let request = request(Method::Subscribe, uri, &event);
            assert_eq!(belongs(&realm(), &request), Belongs::Focus("abc".into()), "{uri}");
        }
        let nothing = request(Method::Subscribe, "sip:bob@example.com", &event);
        assert_eq!(belongs(&realm(), &nothing), Belongs::Call);
    }
}
