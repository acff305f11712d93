//! Hosts: names, IPv4 addresses and IPv6 references (RFC 3261 25.1, RFC 5954).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::grammar::{decimal, is_host_char, share, trim};

/// The host of a URI or of a Via. Names are compared without case.
#[derive(Clone, Debug, Eq)]
pub enum Host {
    /// A domain name, as it came.
    Name(Bytes),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// Reads all of `text` as a host; an IPv6 address needs its brackets.
    #[must_use]
    pub fn parse(text: &Bytes) -> Option<Self> {
        HostText::read(text).map(|host| host.share(text))
    }

    /// The address, unless this is a name.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }
}

/// A [`Host`] inside a text.
#[derive(Clone, Copy)]
pub(super) enum HostText<'a> {
    Name(&'a [u8]),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'a> HostText<'a> {
    /// Reads all of `text` as a host.
    fn read(text: &'a [u8]) -> Option<Self> {
        let first = text.first()?;
        if *first == b'[' {
            let inner = std::str::from_utf8(text.strip_prefix(b"[")?.strip_suffix(b"]")?).ok()?;
            return inner.parse().ok().map(Self::V6);
        }
        if first.is_ascii_digit()
            && let Some(address) = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok())
        {
            return Some(Self::V4(address));
        }
        is_name(text).then_some(Self::Name(text))
    }

    /// Reads `host [ ":" port ]` (RFC 3261 25.1 `hostport`).
    pub(super) fn read_with_port(text: &'a [u8]) -> Option<(Self, Option<u16>)> {
        let (host, rest) = split_host(text)?;
        let port = match rest {
            [] => None,
            rest => Some(port(rest.strip_prefix(b":")?)?),
        };
        Some((Self::read(host)?, port))
    }

    /// Reads `host [ COLON port ]`, where blanks may stand around the colon (RFC 3261 25.1 `sent-by`).
    pub(super) fn read_sent_by(text: &'a [u8]) -> Option<(Self, Option<u16>)> {
        let (host, rest) = split_host(trim(text))?;
        let port = match trim(rest) {
            [] => None,
            rest => Some(port(trim(rest.strip_prefix(b":")?))?),
        };
        Some((Self::read(trim(host))?, port))
    }

    /// The host that keeps the text `whole`, in which it stands.
    pub(super) fn share(self, whole: &Bytes) -> Host {
        match self {
            Self::Name(name) => Host::Name(share(whole, name)),
            Self::V4(address) => Host::V4(address),
            Self::V6(address) => Host::V6(address),
        }
    }

    /// The address, unless this is a name.
    pub(super) const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(address)),
            Self::V6(address) => Some(IpAddr::V6(address)),
        }
    }
}

/// Splits at the colon of a port, which in an IPv6 reference stands behind the bracket.
fn split_host(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match text.first() {
        Some(b'[') => memchr::memchr(b']', text)? + 1,
        _ => text.iter().position(|byte| *byte == b':').unwrap_or(text.len()),
    };
    text.split_at_checked(end)
}

fn port(digits: &[u8]) -> Option<u16> {
    decimal(digits).and_then(|port| u16::try_from(port).ok())
}

/// `hostname`: labels of letters, digits and hyphens, the last one no number.
fn is_name(text: &[u8]) -> bool {
    let name = text.strip_suffix(b".").unwrap_or(text);
    let (mut empty, mut number) = (true, true);
    for byte in name {
        match byte {
            b'.' if empty => return false,
            b'.' => (empty, number) = (true, true),
            byte if is_host_char(*byte) => {
                empty = false;
                number &= byte.is_ascii_digit();
            }
            _ => return false,
        }
    }
    !empty && !number
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (Self::V4(a), Self::V4(b)) => a == b,
            (Self::V6(a), Self::V6(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(std::str::from_utf8(name).unwrap_or("?")),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn host(text: &'static str) -> Option<Host> {
        Host::parse(&Bytes::from_static(text.as_bytes()))
    }

    // proves RFC 3261 25.1 host, hostname, IPv4address, IPv6reference
    #[test]
    fn hosts_are_names_or_addresses() {
        assert_eq!(host("Example.COM"), host("example.com"));
        assert!(matches!(host("example.com."), Some(Host::Name(_))));
        assert_eq!(host("192.0.2.1"), Some(Host::V4(Ipv4Addr::new(192, 0, 2, 1))));
        assert_eq!(host("[2001:db8::1]").unwrap().to_string(), "[2001:db8::1]");
        for bad in ["", "256.1.1.1", "a..b", "a b", "2001:db8::1", "[1.2.3.4]", "[::1", "a/b", "."] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }

    #[test]
    fn ports_follow_a_colon() {
        let read = |text: &'static str| HostText::read_with_port(text.as_bytes()).map(|(_, port)| port);
        let sent_by = |text: &'static str| HostText::read_sent_by(text.as_bytes()).map(|(_, port)| port);
        for (text, port) in
            [("a.example:5060", Some(5060)), ("[::1]:65535", Some(65535)), ("a", None), ("[::1]", None)]
        {
            assert_eq!((read(text), sent_by(text)), (Some(port), Some(port)), "{text}");
        }
        assert_eq!(
            (sent_by(" a.example : 5060\t"), sent_by(" [::1] \t: 1")),
            (Some(Some(5060)), Some(Some(1)))
        );
        for bad in
            ["", "a:", "a:65536", "a:-1", "[::1]x", "[::1", ":5060", "a:1:2", "a]:1", "a:1]", "a b", "[::1 ]"]
        {
            assert_eq!((read(bad), sent_by(bad)), (None, None), "{bad}");
        }
        for bad in ["a :1", "a: 1", " a", "a ", "a:1 ", "[::1] :1", "a\n"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
