//! What a request outside of a dialog wants of the store: deposit, summary or retrieval, and of
//! which mailbox (RFC 3261 8.2's order of checks).

use bytes::Bytes;

use super::identity;
use super::realm::{Place, Realm};
use super::recipient_list;
use super::rejection::Rejection;
use crate::store::{MessageId, Owner};
use crate::wire::sip::{HeaderName, Method, Request, StatusCode, UriError, unescape};

/// The user part of a focus' Contact begins with this; the focus' id follows (RFC 4579 5.1).
pub const FOCUS_PREFIX: &str = "focus-";
/// So begins that of a retrieval of one, which is no focus to its client.
pub const RETRIEVAL_PREFIX: &str = "retrieval-";
/// So begins that of whoever answers a session in its owner's place.
pub const DEPOSIT_PREFIX: &str = "deposit-";

/// What is asked, of whose mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// MESSAGE to a mailbox.
    DepositPager(Owner),
    /// INVITE to a mailbox by somebody else than its owner.
    DepositSession(Owner),
    /// INVITE to a message URI by the mailbox's owner.
    RetrieveOne(Owner, MessageId),
    /// INVITE with a recipient list (RFC 5366) by the mailbox's owner.
    RetrieveList(Owner),
    /// INVITE to the mailbox by its owner.
    RetrieveAll(Owner),
    /// SUBSCRIBE to message-summary (RFC 3842) by the mailbox's owner.
    Summary(Owner),
    /// SUBSCRIBE to conference (RFC 4575) of the focus with this id; the focus knows its owner.
    Conference(Owner, String),
    /// OPTIONS (RFC 3261 11).
    Capabilities,
}

/// Reads what `request` of `caller` asks for.
///
/// # Errors
/// The refusal that tells the caller why it can not be had.
pub fn intent(realm: &Realm, request: &Request, caller: &Owner) -> Result<Intent, Rejection> {
    // RFC 3261 8.2.1: MUST refuse a method that is not supported, with Allow.
    match request.method {
        Method::Invite | Method::Message | Method::Subscribe | Method::Options => {}
        Method::Other(_) => {
            return Err(
                Rejection::new(StatusCode::NOT_IMPLEMENTED).with(HeaderName::Allow, super::rejection::ALLOW)
            );
        }
        // RFC 3261 15.1.2: a BYE of no dialog SHOULD be answered 481, also where it bears no tag.
        Method::Bye => return Err(Rejection::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)),
        _ => return Err(Rejection::method_not_allowed(&request.method)),
    }
    let place = place(realm, &request.uri)?;
    let lists = required(request)?;
    match request.method {
        Method::Message => message(realm, place),
        Method::Invite => invite(realm, request, caller, place, lists),
        Method::Subscribe => subscribe(realm, request, caller, place),
        _ => options(realm, request, place),
    }
}

/// The focus id in a raw URI, if it is a focus' Contact.
#[must_use]
pub fn focus_id(uri: &Bytes) -> Option<String> {
    let uri = crate::wire::sip::SipUri::parse(uri).ok()?;
    // RFC 3261 19.1.4: a character and its escaped form are equal.
    let user = unescape(&uri.user?);
    let id = user.strip_prefix(FOCUS_PREFIX.as_bytes())?;
    String::from_utf8(id.to_vec()).ok()
}

fn place(realm: &Realm, uri: &Bytes) -> Result<Place, Rejection> {
    realm.place(uri).map_err(|error| match error {
        UriError::UnknownScheme => Rejection::new(StatusCode::UNSUPPORTED_URI_SCHEME),
        UriError::Malformed(_) => Rejection::because(StatusCode::BAD_REQUEST, "Malformed Request-URI"),
    })
}

/// Whether `recipient-list-invite` is required; of anything else only `path` is not refused (RFC 3327 5.2: a
/// proxy that put itself into the Path may require it).
///
/// # Errors
/// 420 with what is required and not supported.
pub fn required(request: &Request) -> Result<bool, Rejection> {
    let mut lists = false;
    let mut unknown: Vec<String> = Vec::new();
    // RFC 3261 20.32: a list of option tags; where it holds none, nothing is required.
    for option in request.headers.values(&HeaderName::Require).filter(|option| !option.is_empty()) {
        if option.eq_ignore_ascii_case(recipient_list::OPTION.as_bytes()) && request.method == Method::Invite
        {
            lists = true;
        } else if !option.eq_ignore_ascii_case(b"path") {
            unknown.push(String::from_utf8_lossy(&option).into_owned());
        }
    }
    // RFC 3261 8.2.2.3: MUST answer 420 with the unsupported options.
    if unknown.is_empty() { Ok(lists) } else { Err(Rejection::bad_extension(&unknown.join(", "))) }
}

/// An event package that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// RFC 3842.
    MessageSummary,
    /// RFC 4575.
    Conference,
}

/// The package that a SUBSCRIBE names.
///
/// # Errors
/// 489 where it is not served, 400 where it cannot be read.
pub fn package(request: &Request) -> Result<Package, Rejection> {
    let event = request
        .headers
        .event()
        .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
    // RFC 6665 4.2.1.1: MUST answer 489 with Allow-Events to a package that is not known.
    match event.map(|event| event.package.to_ascii_lowercase()).as_deref() {
        Some(b"message-summary") => Ok(Package::MessageSummary),
        Some(b"conference") => Ok(Package::Conference),
        _ => Err(Rejection::bad_event()),
    }
}

fn message(realm: &Realm, place: Place) -> Result<Intent, Rejection> {
    match place {
        Place::Mailbox(owner) if realm.accepts(&owner) => Ok(Intent::DepositPager(owner)),
        _ => Err(Rejection::not_found()),
    }
}

fn invite(
    realm: &Realm,
    request: &Request,
    caller: &Owner,
    place: Place,
    required: bool,
) -> Result<Intent, Rejection> {
    let listed = required || recipient_list::present(request);
    let own = realm.accepts(caller);
    let unknown = identity::is_nobody(caller);
    match place {
        Place::Mailbox(owner) if !realm.accepts(&owner) => Err(Rejection::not_found()),
        Place::Mailbox(_) if unknown && required => Err(Rejection::unasserted()),
        Place::Store(_) if unknown => Err(Rejection::unasserted()),
        Place::Mailbox(owner) if owner == *caller && listed => Ok(Intent::RetrieveList(owner)),
        Place::Mailbox(owner) if owner == *caller => Ok(Intent::RetrieveAll(owner)),
        // RFC 3261 8.2.2.3: a list is for a conference; a mailbox of somebody else is none.
        Place::Mailbox(_) if required => Err(Rejection::bad_extension(recipient_list::OPTION)),
        Place::Mailbox(owner) => Ok(Intent::DepositSession(owner)),
        Place::Store(_) if own && listed => Ok(Intent::RetrieveList(caller.clone())),
        Place::Store(Some(user)) if own && realm.is_own_name(caller, &user) => {
            Ok(Intent::RetrieveAll(caller.clone()))
        }
        Place::Store(Some(user)) if own => Ok(Intent::RetrieveOne(caller.clone(), MessageId::new(user))),
        _ => Err(Rejection::not_found()),
    }
}

fn subscribe(realm: &Realm, request: &Request, caller: &Owner, place: Place) -> Result<Intent, Rejection> {
    let package = package(request)?;
    if identity::is_nobody(caller) {
        return Err(Rejection::unasserted());
    }
    if package == Package::Conference {
        return match focus_id(&request.uri) {
            Some(id) => Ok(Intent::Conference(caller.clone(), id)),
            None => Err(Rejection::not_found()),
        };
    }
    match place {
        Place::Mailbox(owner) if !realm.accepts(&owner) => Err(Rejection::not_found()),
        Place::Mailbox(owner) if owner == *caller => Ok(Intent::Summary(owner)),
        Place::Store(Some(user)) if realm.accepts(caller) && realm.is_own_name(caller, &user) => {
            Ok(Intent::Summary(caller.clone()))
        }
        Place::Mailbox(_) | Place::Store(Some(_)) => Err(Rejection::new(StatusCode::FORBIDDEN)),
        Place::Store(None) | Place::Elsewhere => Err(Rejection::not_found()),
    }
}

fn options(realm: &Realm, request: &Request, place: Place) -> Result<Intent, Rejection> {
    // RFC 3261 11.2: the answer is the one that an INVITE would get.
    match place {
        Place::Mailbox(owner) if !realm.accepts(&owner) => Err(Rejection::not_found()),
        Place::Elsewhere if !names_a_server(&request.uri) => Err(Rejection::not_found()),
        _ => Ok(Intent::Capabilities),
    }
}

/// OPTIONS to a bare host or address asks the server itself, as load balancers do.
fn names_a_server(uri: &Bytes) -> bool {
    crate::wire::sip::SipUri::parse(uri).is_ok_and(|uri| uri.user.is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn realm() -> Realm {
        Realm::new(&["example.com".into()], "mailserver.example.com", None)
    }

    fn ask(
        method: Method,
        uri: &'static str,
        caller: &str,
        headers: &[(HeaderName, &'static str)],
    ) -> Result<Intent, Rejection> {
        let mut request = Request::new(method, uri);
        for (name, value) in headers {
            request.headers.push(name.clone(), *value);
        }
        let (user, domain) = caller.split_once('@').unwrap();
        intent(&realm(), &request, &Owner::new(user.as_bytes(), domain))
    }

    fn refusal(asked: Result<Intent, Rejection>) -> StatusCode {
        asked.unwrap_err().status
    }

    fn bob() -> Owner {
        Owner::new(b"bob", "example.com")
    }

    #[test]
    fn a_message_goes_to_served_domains_only() {
        assert_eq!(
            ask(Method::Message, "sip:bob@example.com", "a@b", &[]).unwrap(),
            Intent::DepositPager(bob())
        );
        assert_eq!(refusal(ask(Method::Message, "sip:bob@example.org", "a@b", &[])), StatusCode::NOT_FOUND);
        assert_eq!(
            refusal(ask(Method::Message, "sip:bob@mailserver.example.com", "bob@example.com", &[])),
            StatusCode::NOT_FOUND
        );
    }

    #[test]
    fn an_invite_deposits_or_retrieves_by_who_calls_whom() {
        let invite = |uri, caller| ask(Method::Invite, uri, caller, &[]);
        assert_eq!(invite("sip:bob@example.com", "joe@example.com").unwrap(), Intent::DepositSession(bob()));
        assert_eq!(invite("sip:bob@example.com", "bob@example.com").unwrap(), Intent::RetrieveAll(bob()));
        assert_eq!(
            invite("sip:bob@mailserver.example.com", "bob@example.com").unwrap(),
            Intent::RetrieveAll(bob())
        );
        assert_eq!(
            invite("sip:x%40y@mailserver.example.com", "bob@example.com").unwrap(),
            Intent::RetrieveOne(bob(), MessageId::new(Bytes::from_static(b"x@y")))
        );
        // a stranger learns nothing of what there is
        assert_eq!(
            refusal(invite("sip:x%40y@mailserver.example.com", "eve@example.org")),
            StatusCode::NOT_FOUND
        );
        assert_eq!(refusal(invite("sip:mailserver.example.com", "bob@example.com")), StatusCode::NOT_FOUND);
    }

    // proves RFC 3261 19.1.4
    #[test]
    fn a_focus_is_known_in_whatever_way_its_contact_is_escaped() {
        for uri in ["sip:focus-a1@192.0.2.1", "sip:%66ocus%2da1@192.0.2.1;transport=tcp"] {
            assert_eq!(focus_id(&Bytes::from(uri)).as_deref(), Some("a1"), "{uri}");
        }
        assert_eq!(focus_id(&Bytes::from_static(b"sip:focus%252Da1@192.0.2.1")), None);
    }

    #[test]
    fn a_required_list_makes_any_uri_at_the_store_a_focus() {
        let required = [(HeaderName::Require, "recipient-list-invite")];
        assert_eq!(
            ask(Method::Invite, "sip:any@mailserver.example.com", "bob@example.com", &required).unwrap(),
            Intent::RetrieveList(bob())
        );
        assert_eq!(
            ask(Method::Invite, "sip:mailserver.example.com", "bob@example.com", &required).unwrap(),
            Intent::RetrieveList(bob())
        );
    }

    // proves RFC 3261 8.2.2.3
    #[test]
    fn an_unknown_requirement_is_named() {
        let refused = ask(
            Method::Invite,
            "sip:bob@example.com",
            "a@b",
            &[(HeaderName::Require, "100rel, recipient-list-invite")],
        )
        .unwrap_err();
        assert_eq!(refused.status, StatusCode::BAD_EXTENSION);
        assert_eq!(refused.headers, vec![(HeaderName::Unsupported, Bytes::from_static(b"100rel"))]);
    }

    // proves RFC 3261 20.32: an empty Require requires nothing
    #[test]
    fn where_nothing_is_required_nothing_is_unsupported() {
        for value in ["", ",", " , path"] {
            let required = [(HeaderName::Require, value)];
            assert_eq!(
                ask(Method::Message, "sip:bob@example.com", "a@b", &required).unwrap(),
                Intent::DepositPager(bob())
            );
        }
        let refused =
            ask(Method::Message, "sip:bob@example.com", "a@b", &[(HeaderName::Require, ", 100rel")]);
        assert_eq!(refused.unwrap_err().headers, [(HeaderName::Unsupported, Bytes::from_static(b"100rel"))]);
    }

    #[test]
    fn subscriptions_are_for_the_owner_and_for_known_packages() {
        let summary = [(HeaderName::Event, "message-summary")];
        let subscribe =
            |uri, caller, event: &[(HeaderName, &'static str)]| ask(Method::Subscribe, uri, caller, event);
        assert_eq!(
            subscribe("sip:bob@example.com", "bob@example.com", &summary).unwrap(),
            Intent::Summary(bob())
        );
        assert_eq!(
            subscribe("sip:bob@mailserver.example.com", "bob@example.com", &summary).unwrap(),
            Intent::Summary(bob())
        );
        assert_eq!(
            refusal(subscribe("sip:bob@example.com", "eve@example.com", &summary)),
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            refusal(subscribe("sip:bob@mailserver.example.com", "eve@example.com", &summary)),
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            refusal(subscribe("sip:bob@example.com", "bob@example.com", &[(HeaderName::Event, "presence")])),
            StatusCode::BAD_EVENT
        );
        assert_eq!(refusal(subscribe("sip:bob@example.com", "bob@example.com", &[])), StatusCode::BAD_EVENT);
        assert_eq!(
            subscribe(
                "sip:focus-abc@127.0.0.1:5060",
                "bob@example.com",
                &[(HeaderName::Event, "conference")]
            )
            .unwrap(),
            Intent::Conference(bob(), "abc".into())
        );
    }

    // proves RFC 3261 21.4.4: credentials would not help whom no peer asserts
    #[test]
    fn nobody_leaves_messages_and_asks_for_none() {
        let summary = [(HeaderName::Event, "message-summary")];
        let conference = [(HeaderName::Event, "conference")];
        let required = [(HeaderName::Require, "recipient-list-invite")];
        let nobody = |method, uri, headers: &[_]| ask(method, uri, "nobody@invalid", headers);
        assert_eq!(nobody(Method::Message, "sip:bob@example.com", &[]).unwrap(), Intent::DepositPager(bob()));
        assert_eq!(
            nobody(Method::Invite, "sip:bob@example.com", &[]).unwrap(),
            Intent::DepositSession(bob())
        );
        assert_eq!(nobody(Method::Options, "sip:bob@example.com", &[]).unwrap(), Intent::Capabilities);
        for (method, uri, headers) in [
            (Method::Invite, "sip:bob@mailserver.example.com", &[] as &[_]),
            (Method::Invite, "sip:x%40y@mailserver.example.com", &[]),
            (Method::Invite, "sip:mailserver.example.com", &required),
            (Method::Invite, "sip:bob@example.com", &required),
            (Method::Subscribe, "sip:bob@example.com", &summary),
            (Method::Subscribe, "sip:bob@mailserver.example.com", &summary),
            (Method::Subscribe, "sip:focus-abc@127.0.0.1:5060", &conference),
        ] {
            let refused = nobody(method, uri, headers).unwrap_err();
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{uri}");
            assert_eq!(refused.reason.as_deref(), Some("No Asserted Identity"), "{uri}");
        }
        let unknown = nobody(Method::Invite, "sip:bob@example.org", &[]).unwrap_err();
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn methods_are_told_apart() {
        assert_eq!(
            refusal(ask(Method::Register, "sip:example.com", "a@b", &[])),
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert_eq!(
            refusal(ask(Method::Other(Bytes::from_static(b"NEWMETHOD")), "sip:bob@example.com", "a@b", &[])),
            StatusCode::NOT_IMPLEMENTED
        );
        assert_eq!(
            refusal(ask(Method::Message, "tel:+15551234", "a@b", &[])),
            StatusCode::UNSUPPORTED_URI_SCHEME
        );
        assert_eq!(ask(Method::Options, "sip:127.0.0.1", "a@b", &[]).unwrap(), Intent::Capabilities);
        assert_eq!(refusal(ask(Method::Options, "sip:x@nowhere.example", "a@b", &[])), StatusCode::NOT_FOUND);
    }
}
