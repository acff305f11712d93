//! Who sends a request: what a trusted peer asserts (RFC 3325), or who has proved himself by digest
//! (RFC 3261 22.1).

use bytes::Bytes;

use super::realm::Realm;
use super::rejection::Rejection;
use crate::store::Owner;
use crate::wire::sip::{HeaderError, HeaderName, NameAddr, Request, SipUri, StatusCode, UriError};

/// The domain of identities that are no SIP URIs: nobody has a mailbox in it (RFC 2606 2).
const OTHER_SCHEME: &str = "invalid";
/// Who stands in it for all that are unknown.
const NOBODY: &[u8] = b"nobody";

/// The caller's address of record, as asserted by a peer that is believed: its P-Asserted-Identity, else the
/// From, or, where `from_counts` is not set, [`nobody`]. Who is asserted by a telephone number alone is that number,
/// whatever From he has written.
///
/// # Errors
/// 400 when what is to be believed, or kept as the sender, cannot be read.
pub fn asserted(realm: &Realm, request: &Request, from_counts: bool) -> Result<Owner, Rejection> {
    let bad = |error: HeaderError| Rejection::because(StatusCode::BAD_REQUEST, error.to_string());
    let told = request.headers.p_asserted_identity().map_err(bad)?;
    for identity in &told {
        if let Err(UriError::Malformed(problem)) = SipUri::parse(&identity.uri) {
            return Err(bad(HeaderError::malformed(HeaderName::PAssertedIdentity, problem)));
        }
    }
    // RFC 3325 9.1: there may be two values, of which one is a sip or sips URI and the other a tel URI.
    if let Some(owner) = by_sip_uri(realm, &told).or_else(|| by_other_scheme(&told)) {
        return Ok(owner);
    }
    let written = from(realm, request);
    let written = written.ok_or_else(|| Rejection::because(StatusCode::BAD_REQUEST, "Malformed From"))?;
    Ok(if from_counts { written } else { nobody() })
}

/// Whom no peer asserts, and who has not proved who he is: he can send, but owns nothing here. All of them are one, so
/// that together they have one sender's share of a mailbox.
#[must_use]
pub fn nobody() -> Owner {
    // Who is asserted so, by a URI of a domain that nobody can have (RFC 6761 6.4), owns nothing either.
    Owner::new(NOBODY, OTHER_SCHEME)
}

/// Whether `caller` is [`nobody`].
#[must_use]
pub fn is_nobody(caller: &Owner) -> bool {
    caller.user() == NOBODY && caller.domain() == OTHER_SCHEME
}

/// The address of record of the user who authenticates by `username`: `alice@example.com`, or `alice` for
/// the first served domain; the user part escaped as in a SIP URI. `None` when it is no such name.
#[must_use]
pub fn of_user(realm: &Realm, username: &[u8]) -> Option<Owner> {
    let mut uri = b"sip:".to_vec();
    uri.extend_from_slice(username);
    if !username.contains(&b'@') {
        uri.push(b'@');
        uri.extend_from_slice(realm.home()?.as_bytes());
    }
    let uri = Bytes::from(uri);
    let parsed = SipUri::parse(&uri).ok()?;
    let plain = parsed.password.is_none() && parsed.port.is_none() && parsed.params.is_empty();
    (plain && parsed.user.is_some() && parsed.headers.is_none())
        .then(|| realm.address_of_record(&uri))
        .flatten()
}

/// Whether `user`, who has proved himself, may send a request with this From: his own, or an anonymous one
/// (RFC 3323 4.1.1.3). What a stranger asserts of himself elsewhere is of no account (RFC 3325 8).
#[must_use]
pub fn is_sender(realm: &Realm, request: &Request, user: &Owner) -> bool {
    let Some(from) = from(realm, request) else { return false };
    from == *user || from.domain() == "anonymous.invalid"
}

/// Whether a peer that is believed asserts that the request is another's than `user`'s. In a dialog it need not
/// assert anything again, and a telephone number may be that of whoever is known by a SIP URI. Whom it names later may be
/// whoever it did not name at first.
#[must_use]
pub fn is_anothers(realm: &Realm, request: &Request, user: &Owner) -> bool {
    if is_nobody(user) {
        return false;
    }
    let told = identities(request);
    let asserted =
        if user.domain() == OTHER_SCHEME { by_other_scheme(&told) } else { by_sip_uri(realm, &told) };
    asserted.is_some_and(|asserted| asserted != *user)
}

fn identities(request: &Request) -> Vec<NameAddr> {
    request.headers.p_asserted_identity().unwrap_or_default()
}

fn by_sip_uri(realm: &Realm, identities: &[NameAddr]) -> Option<Owner> {
    identities.iter().find_map(|identity| realm.address_of_record(&identity.uri))
}

fn by_other_scheme(identities: &[NameAddr]) -> Option<Owner> {
    let other = identities.iter().find(|identity| SipUri::parse(&identity.uri).is_err())?;
    other_scheme(&other.uri)
}

fn from(realm: &Realm, request: &Request) -> Option<Owner> {
    let uri = request.headers.from_uri().ok()?;
    realm.address_of_record(&uri).or_else(|| other_scheme(&uri))
}

/// An identity that is no SIP URI (`tel:+1555`): it can send, but owns nothing here.
fn other_scheme(uri: &Bytes) -> Option<Owner> {
    (!uri.is_empty()).then(|| Owner::new(uri, OTHER_SCHEME))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::sip::Method;

    fn realm() -> Realm {
        Realm::new(&["example.com".into()], "mailserver.example.com", None)
    }

    fn request(from: &'static str, asserted: Option<&'static str>) -> Request {
        let mut request = Request::new(Method::Message, "sip:bob@example.com");
        request.headers.push(HeaderName::From, from);
        if let Some(asserted) = asserted {
            request.headers.push(HeaderName::PAssertedIdentity, asserted);
        }
        request
    }

    // proves RFC 3325 5: a trusted peer's assertion is the identity
    #[test]
    fn an_asserted_identity_goes_before_from() {
        let asserted = request(
            "<sip:anonymous@anonymous.invalid>;tag=1",
            Some("<tel:+15551234>, <sip:alice@example.org>"),
        );
        assert_eq!(super::asserted(&realm(), &asserted, true).unwrap(), Owner::new(b"alice", "example.org"));
        let plain = request("\"A\" <sip:alice@example.org>;tag=1", None);
        assert_eq!(super::asserted(&realm(), &plain, true).unwrap(), Owner::new(b"alice", "example.org"));
    }

    // proves RFC 3325 9.1: what is asserted and cannot be read is not passed over for the From
    #[test]
    fn an_assertion_that_cannot_be_read_is_bad() {
        for broken in ["garbage<", "<sip:bob@example.com", "<sip:@example.com>", "", "<tel:+1>, "] {
            let refused =
                super::asserted(&realm(), &request("<sip:eve@example.com>;tag=1", Some(broken)), true);
            let refused = refused.unwrap_err();
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{broken}");
            assert!(refused.reason.unwrap().starts_with("Malformed P-Asserted-Identity"), "{broken}");
        }
    }

    // proves RFC 3325 9.1: an assertion by a tel URI alone is one, too
    #[test]
    fn who_is_asserted_by_his_number_alone_is_not_whom_the_from_names() {
        for other in ["tel:+15551234", "urn:service:x"] {
            let asserted = format!("<{other}>").leak();
            let asserted =
                super::asserted(&realm(), &request("<sip:bob@example.com>;tag=1", Some(asserted)), true);
            let asserted = asserted.unwrap();
            assert_eq!(asserted, Owner::new(other.as_bytes(), "invalid"));
            assert!(!realm().serves(&asserted));
        }
    }

    // proves RFC 3325 5: what a user writes is no assertion
    #[test]
    fn a_from_that_does_not_count_proves_nobody() {
        let asked = |from, asserted| super::asserted(&realm(), &request(from, asserted), false);
        for from in ["<sip:bob@example.com>;tag=1", "<sip:nobody@invalid>;tag=1", "<tel:+15551234>;tag=1"] {
            let caller = asked(from, None).unwrap();
            assert!(is_nobody(&caller) && !realm().serves(&caller), "{from}");
        }
        let alice = asked("<sip:bob@example.com>;tag=1", Some("<sip:alice@example.com>")).unwrap();
        assert_eq!(alice, Owner::new(b"alice", "example.com"));
        assert!(!is_nobody(&asked("<sip:bob@example.com>;tag=1", Some("<tel:+1555>")).unwrap()));
        // It is kept as the sender all the same.
        assert_eq!(asked("garbage<", None).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn an_assertion_in_a_dialog_names_its_user_or_another() {
        let alice = Owner::new(b"alice", "example.org");
        let another = |asserted| is_anothers(&realm(), &request("<sip:x@y>;tag=1", asserted), &alice);
        assert!(!another(None));
        assert!(!another(Some("<sip:alice@example.org:5060>")));
        assert!(!another(Some("<tel:+15551234>")), "which may be hers");
        assert!(another(Some("<tel:+15551234>, <sip:eve@example.org>")));
        let number = other_scheme(&Bytes::from_static(b"tel:+15551234")).unwrap();
        let another = |asserted| is_anothers(&realm(), &request("<sip:x@y>;tag=1", Some(asserted)), &number);
        assert!(!another("<sip:alice@example.org>, <tel:+15551234>"));
        assert!(!another("<sip:alice@example.org>"), "who may have that number");
        assert!(another("<sip:alice@example.org>, <tel:+15559999>"));
        let known = request("<sip:x@y>;tag=1", Some("<sip:alice@example.org>, <tel:+15551234>"));
        assert!(!is_anothers(&realm(), &known, &nobody()), "who may be anybody");
    }

    #[test]
    fn a_name_at_the_store_is_the_one_of_the_first_domain() {
        let plain = request("<sip:bob@mailserver.example.com>;tag=1", None);
        assert_eq!(super::asserted(&realm(), &plain, true).unwrap(), Owner::new(b"bob", "example.com"));
    }

    #[test]
    fn a_user_name_stands_for_an_address_of_record() {
        let named = |name: &str| of_user(&realm(), name.as_bytes());
        let bob = Some(Owner::new(b"bob", "example.com"));
        assert_eq!((named("bob"), named("bob@Example.COM")), (bob.clone(), bob.clone()));
        assert_eq!(named("bob@mailserver.example.com"), bob);
        assert_eq!(named("b%40b"), Some(Owner::new(b"b@b", "example.com")));
        assert_eq!(named("eve@example.org"), Some(Owner::new(b"eve", "example.org")));
        for bad in
            ["", "@example.com", "a b", "bob:secret", "bob@example.com:5060", "bob@x;lr", "a@b@c", "b%4"]
        {
            assert_eq!(named(bad), None, "{bad}");
        }
    }

    // proves RFC 3261 22.1, RFC 3325 8: who proved himself is no other, whatever he asserts
    #[test]
    fn a_user_sends_as_himself_or_as_nobody() {
        let alice = Owner::new(b"alice", "example.com");
        let sends = |from, asserted| is_sender(&realm(), &request(from, asserted), &alice);
        assert!(sends("<sip:alice@example.com>;tag=1", None));
        assert!(sends("<sips:%61lice@EXAMPLE.com:5061;user=phone>;tag=1", None));
        assert!(sends(
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1",
            Some("<sip:bob@example.com>")
        ));
        assert!(!sends("<sip:bob@example.com>;tag=1", Some("<sip:alice@example.com>")));
        assert!(!sends("<sip:alice@example.org>;tag=1", None));
        assert!(!sends("<tel:+15551234>;tag=1", None));
        assert!(!sends("alice", None));
    }
}
