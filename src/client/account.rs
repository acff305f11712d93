//! Who the client is: [`Account`], an address of record with a name for people.

use bytes::Bytes;

use crate::wire::sip::{NameAddr, SipUri};

/// Whose messages are sent and retrieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    uri: String,
    user: String,
    domain: String,
    display: Option<String>,
}

/// Why a text is no address of record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Neither `sip:user@domain` nor `user@domain`.
    #[error("`{0}` is no address like sip:user@example.com")]
    Malformed(String),
    /// A SIP URI that names nobody.
    #[error("`{0}` names no user")]
    NoUser(String),
}

impl Account {
    /// Reads `sip:user@domain`, `user@domain`, or either with a name: `Alice <sip:alice@example.com>`.
    ///
    /// # Errors
    /// [`AccountError`] when it is no such address.
    pub fn parse(text: &str) -> Result<Self, AccountError> {
        let malformed = || AccountError::Malformed(text.to_owned());
        let address = parse_address(text).ok_or_else(malformed)?;
        let uri = SipUri::parse(&address.uri).map_err(|_| malformed())?;
        let user = uri.user.as_ref().ok_or_else(|| AccountError::NoUser(text.to_owned()))?;
        Ok(Self {
            uri: String::from_utf8_lossy(&address.uri).into_owned(),
            user: String::from_utf8_lossy(user).into_owned(),
            domain: uri.host.to_string(),
            display: address.display.map(|name| String::from_utf8_lossy(&name).into_owned()),
        })
    }

    /// The address of record as a SIP URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The user part, escaped as in the URI.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// A From value without tag.
    #[must_use]
    pub fn name_addr(&self) -> Bytes {
        let display = self.display.as_ref().map(|name| Bytes::from(name.clone()));
        NameAddr { display, ..NameAddr::from_uri(self.uri.clone()) }.encode()
    }
}

impl std::str::FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        Self::parse(text)
    }
}

/// Reads a SIP address of any form; `sip:` may be left out.
pub(super) fn parse_address(text: &str) -> Option<NameAddr> {
    let text = text.trim();
    let whole = Bytes::copy_from_slice(text.as_bytes());
    if let Ok(address) = NameAddr::parse(&whole)
        && SipUri::parse(&address.uri).is_ok()
    {
        return Some(address);
    }
    let prefixed = Bytes::from(format!("sip:{text}"));
    let uri = SipUri::parse(&prefixed).ok()?;
    uri.user.is_some().then(|| NameAddr::from_uri(prefixed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_come_with_and_without_scheme_and_name() {
        for text in ["sip:bob@example.com", "bob@example.com", " <sip:bob@example.com> "] {
            let account = Account::parse(text).unwrap();
            assert_eq!(
                (account.uri(), account.user(), account.domain()),
                ("sip:bob@example.com", "bob", "example.com")
            );
            assert_eq!(account.name_addr(), "<sip:bob@example.com>");
        }
        let named = Account::parse("\"Bob B.\" <sips:bob%40home@example.com:5061>").unwrap();
        assert_eq!((named.user(), named.domain()), ("bob%40home", "example.com"));
        assert_eq!(named.name_addr(), "\"Bob B.\" <sips:bob%40home@example.com:5061>");
    }

    #[test]
    fn what_names_nobody_is_refused() {
        assert_eq!(Account::parse("sip:example.com"), Err(AccountError::NoUser("sip:example.com".into())));
        for text in ["", "bob", "tel:+4930", "sip:", "bob@exa mple.com", "a@b\r\nX: y"] {
            assert!(matches!(Account::parse(text), Err(AccountError::Malformed(_))), "{text}");
        }
    }
}
