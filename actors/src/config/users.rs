//! Who has a mailbox: the entries of `[node] users`.

use super::setting::text_setting;
use super::values::{Domain, Malformed, TrustedPeer};
use super::{Node, Trust};
use ipnet::IpNet;
use std::fmt;
use std::str::FromStr;

/// A user of every served domain (`bob`), or of one (`bob@example.com`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRule {
    text: String,
    user: Vec<u8>,
    domain: Option<Domain>,
}

impl UserRule {
    /// Whether the rule names this user; `user` is unescaped and compared exactly, `domain` without case.
    pub fn names(&self, user: &[u8], domain: &str) -> bool {
        let here = self.domain.as_ref().is_none_or(|own| own.as_str().eq_ignore_ascii_case(domain));
        here && self.user == user
    }
}

impl fmt::Display for UserRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for UserRule {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (user, domain) = match text.split_once('@') {
            Some((user, domain)) => (user, Some(domain.parse()?)),
            None => (text, None),
        };
        let known_scheme = ["sip:", "sips:", "tel:"].iter().any(|scheme| user.starts_with(scheme));
        let plain = user.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"@".contains(&b));
        if user.is_empty() || known_scheme || !plain {
            return Err(Malformed);
        }
        Ok(Self { text: text.to_owned(), user: unescape(user).ok_or(Malformed)?, domain })
    }
}

text_setting!(UserRule, "a user, as bob or bob@example.com, escaped as in a SIP URI");

/// Undoes `%HH`; `None` if a `%` has no two digits behind it.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        plain.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(plain)
}

impl Node {
    /// Whether `domain` is one of the served ones, compared without case.
    pub fn serves(&self, domain: &str) -> bool {
        self.domains.iter().any(|own| own.as_str().eq_ignore_ascii_case(domain))
    }

    /// Whether the user of a served domain has a mailbox here; `user` is unescaped.
    pub fn accepts(&self, user: &[u8], domain: &str) -> bool {
        let named = self.users.is_empty() || self.users.iter().any(|rule| rule.names(user, domain));
        !user.is_empty() && self.serves(domain) && named
    }
}

impl Trust {
    /// The networks that are believed.
    pub fn networks(&self) -> impl Iterator<Item = &IpNet> {
        self.peers.iter().filter_map(|peer| match peer {
            TrustedPeer::Network(network) => Some(network),
            TrustedPeer::Certificate(_) => None,
        })
    }

    /// The domains whose certificates are believed, in lower case.
    pub fn certificates(&self) -> impl Iterator<Item = &str> {
        self.peers.iter().filter_map(|peer| match peer {
            TrustedPeer::Network(_) => None,
            TrustedPeer::Certificate(domain) => Some(domain.as_str()),
        })
    }
}

impl Trust {
    /// Whether one of the networks holds `peer`; an IPv4 address inside IPv6 counts as IPv4.
    #[must_use]
    pub fn names(&self, peer: std::net::IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks().any(|network| network.contains(&peer))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn node(users: &[&str]) -> Node {
        let users = users.iter().map(|user| user.parse().unwrap()).collect();
        Node { users, ..Node::default() }
    }

    #[test]
    fn without_a_list_every_user_of_the_domains_is_accepted() {
        let node = node(&[]);
        assert!(node.accepts(b"bob", "Example.COM"));
        assert!(!node.accepts(b"bob", "example.org"));
        assert!(!node.accepts(b"", "example.com"));
    }

    #[test]
    fn with_a_list_only_its_users_are_accepted() {
        let node = node(&["bob", "al%40ice@EXAMPLE.com", "carol@example.org"]);
        assert!(node.accepts(b"bob", "example.com"));
        assert!(!node.accepts(b"Bob", "example.com"));
        assert!(node.accepts(b"al@ice", "example.com"));
        assert!(!node.accepts(b"carol", "example.com"));
        assert!(!node.accepts(b"carol", "example.org"));
    }

    #[test]
    fn rules_are_users_not_uris() {
        for bad in
            ["", "@example.com", "sip:bob@example.com", "bob@", "b%4", "b%zz", "b ob", "<bob>", "a@b@c"]
        {
            assert_eq!(bad.parse::<UserRule>(), Err(Malformed), "{bad}");
        }
        assert_eq!("b%40b@example.com".parse::<UserRule>().unwrap().to_string(), "b%40b@example.com");
    }

    #[test]
    fn trust_knows_mapped_addresses() {
        let trust = Trust::default();
        for trusted in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(trust.names(trusted.parse().unwrap()), "{trusted}");
        }
        for stranger in ["10.0.0.1", "::2", "::ffff:10.0.0.1"] {
            assert!(!trust.names(stranger.parse().unwrap()), "{stranger}");
        }
    }
}
