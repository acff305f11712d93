//! The owner of a mailbox: an address of record in canonical form.

use std::fmt;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What RFC 3261 25.1 allows in the user part without an escape: unreserved and user-unreserved.
const USER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b';')
    .remove(b'?')
    .remove(b'/');

/// The owner of a mailbox: the user part, unescaped, and the domain in lower case.
///
/// Two are equal when their addresses of record are: RFC 3261 19.1.4 compares the user with case,
/// the domain without.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Bytes);

impl Owner {
    /// The owner of `user`, which is unescaped already, at `domain`.
    #[must_use]
    pub fn new(user: &[u8], domain: &str) -> Self {
        let mut key = Vec::with_capacity(user.len() + 1 + domain.len());
        key.extend_from_slice(user);
        key.push(b'@');
        key.extend_from_slice(domain.as_bytes());
        key.get_mut(user.len()..).unwrap_or_default().make_ascii_lowercase();
        Self(key.into())
    }

    /// The owner whose [`Owner::key`] this is; `None` when it is none.
    #[must_use]
    pub fn from_key(key: Bytes) -> Option<Self> {
        let at = memchr::memrchr(b'@', &key)?;
        let domain = key.get(at + 1..)?;
        let canonical = std::str::from_utf8(domain).is_ok_and(|d| !d.bytes().any(|b| b.is_ascii_uppercase()));
        canonical.then_some(Self(key))
    }

    /// The canonical form: user, `@`, domain. Equal for equal owners and for no others.
    #[must_use]
    pub const fn key(&self) -> &Bytes {
        &self.0
    }

    /// The user part, unescaped; it may hold any byte, `@` too.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        self.split().0
    }

    /// The domain, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        std::str::from_utf8(self.split().1).unwrap_or_default()
    }

    fn split(&self) -> (&[u8], &[u8]) {
        // A domain has no `@`, so the last one separates.
        match memchr::memrchr(b'@', &self.0) {
            Some(at) => (self.0.get(..at).unwrap_or_default(), self.0.get(at + 1..).unwrap_or_default()),
            None => (&self.0, &[]),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", percent_encode(self.user(), USER), self.domain())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    // proves RFC 3261 19.1.4
    #[test]
    fn users_differ_by_case_domains_do_not() {
        assert_eq!(Owner::new(b"bob", "Example.COM"), Owner::new(b"bob", "example.com"));
        assert_ne!(Owner::new(b"Bob", "example.com"), Owner::new(b"bob", "example.com"));
    }

    #[test]
    fn any_byte_of_the_user_survives_and_is_shown_escaped() {
        let owner = Owner::new(b"a@b \xff;x", "h.example");
        assert_eq!(owner.user(), b"a@b \xff;x");
        assert_eq!(owner.domain(), "h.example");
        assert_eq!(owner.to_string(), "a%40b%20%FF;x@h.example");
        assert_eq!(Owner::from_key(owner.key().clone()), Some(owner));
    }

    #[test]
    fn a_key_that_no_owner_has_is_none() {
        assert_eq!(Owner::from_key(Bytes::from_static(b"bob")), None);
        assert_eq!(Owner::from_key(Bytes::from_static(b"bob@Example.com")), None);
        assert_eq!(Owner::from_key(Bytes::from_static(b"bob@\xff")), None);
    }
}
