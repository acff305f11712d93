//! [`Realm`]: which URIs belong to this store, and what they name.
//!
//! A *mailbox* is one address of record of a served domain. At the store's own host a user part is
//! the caller's name or the escaped Message-ID of one of his items (OMA SIMPLE IM 7.3.3).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::Owner;
use crate::wire::sip::{Host, SipUri, UriError, escape_user};

/// The served domains and the store's own host.
#[derive(Clone)]
pub struct Realm {
    domains: Vec<String>,
    store_host: String,
    accepts: Option<Accepts>,
}

/// Says whether a user part (unescaped) has a mailbox in a served domain.
pub type Accepts = Arc<dyn Fn(&[u8], &str) -> bool + Send + Sync>;

impl fmt::Debug for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realm")
            .field("domains", &self.domains)
            .field("store_host", &self.store_host)
            .finish_non_exhaustive()
    }
}

/// What a URI names here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A mailbox of a served domain.
    Mailbox(Owner),
    /// The store's own host, with the unescaped user part.
    Store(Option<Bytes>),
    /// Nothing of ours.
    Elsewhere,
}

impl Realm {
    /// A realm of `domains` (the first one is home to the names at `store_host`). `accepts`
    /// says who of them has a mailbox; `None`: every user has.
    #[must_use]
    pub fn new(domains: &[String], store_host: &str, accepts: Option<Accepts>) -> Self {
        Self {
            domains: domains.iter().map(|domain| domain.to_ascii_lowercase()).collect(),
            store_host: store_host.to_ascii_lowercase(),
            accepts,
        }
    }

    /// The first served domain: that of names which stand alone.
    #[must_use]
    pub fn home(&self) -> Option<&str> {
        self.domains.first().map(String::as_str)
    }

    /// The host of message URIs and of Message-Account.
    #[must_use]
    pub fn store_host(&self) -> &str {
        &self.store_host
    }

    /// Finds what a raw URI names.
    ///
    /// # Errors
    /// The URI is malformed or not a SIP or SIPS URI.
    pub fn place(&self, uri: &Bytes) -> Result<Place, UriError> {
        let uri = SipUri::parse(uri)?;
        let host = host_name(&uri.host);
        if self.is_served(&host) {
            // Users are compared exactly, after unescaping; parameters are of no account.
            let user = uri.user_unescaped();
            if !user.is_empty() {
                return Ok(Place::Mailbox(Owner::new(&user, &host)));
            }
        }
        if host.eq_ignore_ascii_case(&self.store_host) {
            let user = uri.user_unescaped();
            return Ok(Place::Store((!user.is_empty()).then(|| Bytes::from(user))));
        }
        Ok(Place::Elsewhere)
    }

    /// The address of record behind a caller's URI: of any domain, since senders come from
    /// everywhere. A name at the store's own host stands for the one of the first served domain.
    #[must_use]
    pub fn address_of_record(&self, uri: &Bytes) -> Option<Owner> {
        let uri = SipUri::parse(uri).ok()?;
        let host = host_name(&uri.host);
        let home = self
            .domains
            .first()
            .filter(|_| host.eq_ignore_ascii_case(&self.store_host) && !self.is_served(&host));
        Some(Owner::new(&uri.user_unescaped(), home.map_or(&*host, String::as_str)))
    }

    /// Whether `owner` has a mailbox here.
    #[must_use]
    pub fn accepts(&self, owner: &Owner) -> bool {
        self.serves(owner)
            && self.accepts.as_ref().is_none_or(|accepts| accepts(owner.user(), owner.domain()))
    }

    /// Whether `owner` belongs to a served domain.
    #[must_use]
    pub fn serves(&self, owner: &Owner) -> bool {
        let named = owner.domain();
        self.domains.iter().any(|domain| domain == named)
    }

    fn is_served(&self, host: &str) -> bool {
        self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host))
    }

    /// Whether `user` at the store's host is `caller`'s own name: only callers of the first served
    /// domain have one.
    #[must_use]
    pub fn is_own_name(&self, caller: &Owner, user: &[u8]) -> bool {
        self.domains.first().is_some_and(|home| home == caller.domain()) && caller.user() == user
    }

    /// The `Message-Account` of a mailbox (RFC 3842 5.2): at the store's host for the first served
    /// domain, else the address of record.
    #[must_use]
    pub fn message_account(&self, owner: &Owner) -> String {
        let user = escape_user(owner.user());
        let host = match self.domains.first() {
            Some(home) if home == owner.domain() => self.store_host.as_str(),
            _ => owner.domain(),
        };
        format!("sip:{user}@{host}")
    }

    /// The message URI of an item: `sip:<escaped Message-ID>@<store host>`.
    #[must_use]
    pub fn message_uri(&self, message_id: &[u8]) -> String {
        format!("sip:{}@{}", escape_user(message_id), self.store_host)
    }
}

/// The host without the dot of the root; to be compared without case.
fn host_name(host: &Host) -> Cow<'_, str> {
    match host {
        Host::Name(name) => {
            let name = name.strip_suffix(b".").unwrap_or(name);
            Cow::Borrowed(std::str::from_utf8(name).unwrap_or("?"))
        }
        address => Cow::Owned(address.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn realm() -> Realm {
        Realm::new(&["Example.com".into(), "second.example".into()], "mailserver.example.com", None)
    }

    fn place(uri: &'static str) -> Place {
        realm().place(&Bytes::from_static(uri.as_bytes())).unwrap()
    }

    #[test]
    fn domains_are_compared_without_case_and_users_after_unescaping() {
        let bob = Owner::new(b"bob", "example.com");
        assert_eq!(place("sip:bob@EXAMPLE.com"), Place::Mailbox(bob.clone()));
        assert_eq!(place("sips:%62ob@example.com:5070;transport=tcp"), Place::Mailbox(bob.clone()));
        assert_ne!(place("sip:Bob@example.com"), Place::Mailbox(bob));
        assert_eq!(place("sip:bob@example.org"), Place::Elsewhere);
        assert_eq!(place("sip:example.com"), Place::Elsewhere);
    }

    #[test]
    fn a_user_part_at_the_store_is_unescaped() {
        assert_eq!(
            place("sip:d0982dkjs%40Joemobile.example.net@mailserver.example.com"),
            Place::Store(Some(Bytes::from_static(b"d0982dkjs@Joemobile.example.net")))
        );
        assert_eq!(place("sip:mailserver.example.com"), Place::Store(None));
    }

    #[test]
    fn only_the_first_domain_has_names_at_the_store() {
        let realm = realm();
        let home = Owner::new(b"bob", "example.com");
        let away = Owner::new(b"bob", "second.example");
        assert!(realm.is_own_name(&home, b"bob"));
        assert!(!realm.is_own_name(&away, b"bob"));
        assert_eq!(realm.message_account(&home), "sip:bob@mailserver.example.com");
        assert_eq!(realm.message_account(&away), "sip:bob@second.example");
    }

    #[test]
    fn users_may_be_listed() {
        let realm = Realm::new(&["example.com".into()], "store", Some(Arc::new(|user, _| user == b"bob")));
        assert!(realm.accepts(&Owner::new(b"bob", "example.com")));
        assert!(!realm.accepts(&Owner::new(b"eve", "example.com")));
    }
}
