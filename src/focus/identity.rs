//! Who sends a request: the identity asserted by a trusted peer (RFC 3325), else its From.

use bytes::Bytes;

use super::realm::Realm;
use super::rejection::Rejection;
use crate::store::Owner;
use crate::wire::sip::{Request, StatusCode};

/// The caller's address of record, as asserted by a peer that is believed.
///
/// # Errors
/// 403 when the peer is not trusted, 400 when neither identity can be read.
pub fn caller(realm: &Realm, request: &Request, peer_trusted: bool) -> Result<Owner, Rejection> {
    if !peer_trusted {
        return Err(Rejection::because(StatusCode::FORBIDDEN, "Peer Not Trusted"));
    }
    claimed(realm, request).ok_or_else(|| Rejection::because(StatusCode::BAD_REQUEST, "Malformed From"))
}

/// The address of record that the request claims, believed or not: good enough to choose where it
/// is handled, never to grant anything.
#[must_use]
pub fn claimed(realm: &Realm, request: &Request) -> Option<Owner> {
    // RFC 3325 9.1: there may be two values, of which one is a sip or sips URI.
    let asserted =
        request.headers.p_asserted_identity().ok().and_then(|identities| {
            identities.iter().find_map(|identity| realm.address_of_record(&identity.uri))
        });
    asserted.or_else(|| from(realm, request))
}

fn from(realm: &Realm, request: &Request) -> Option<Owner> {
    let from = request.headers.from().ok()?;
    realm.address_of_record(&from.uri).or_else(|| other_scheme(&from.uri))
}

/// An identity that is no SIP URI (`tel:+1555`): it can send, but owns nothing here.
fn other_scheme(uri: &Bytes) -> Option<Owner> {
    (!uri.is_empty()).then(|| Owner::new(uri, "invalid"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::sip::{HeaderName, Method};

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
        assert_eq!(caller(&realm(), &asserted, true).unwrap(), Owner::new(b"alice", "example.org"));
        let plain = request("\"A\" <sip:alice@example.org>;tag=1", None);
        assert_eq!(caller(&realm(), &plain, true).unwrap(), Owner::new(b"alice", "example.org"));
    }

    #[test]
    fn a_name_at_the_store_is_the_one_of_the_first_domain() {
        let plain = request("<sip:bob@mailserver.example.com>;tag=1", None);
        assert_eq!(caller(&realm(), &plain, true).unwrap(), Owner::new(b"bob", "example.com"));
    }

    #[test]
    fn a_stranger_is_refused() {
        let plain = request("<sip:alice@example.org>;tag=1", None);
        assert_eq!(caller(&realm(), &plain, false).unwrap_err().status, StatusCode::FORBIDDEN);
    }
}
