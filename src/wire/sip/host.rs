//! Hosts: names, IPv4 addresses and IPv6 references (RFC 3261 25.1, RFC 5954).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::grammar::{is_host_char, share};

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
        if let Some(inner) = text.strip_prefix(b"[") {
            let inner = std::str::from_utf8(inner.strip_suffix(b"]")?).ok()?;
            return inner.parse().ok().map(Self::V6);
        }
        let utf8 = std::str::from_utf8(text).ok()?;
        if let Ok(address) = utf8.parse() {
            return Some(Self::V4(address));
        }
        is_name(text).then(|| Self::Name(text.clone()))
    }

    /// Reads `host [ ":" port ]`, blanks around the colon allowed (`sent-by`, RFC 3261 25.1).
    pub(super) fn parse_with_port(text: &Bytes) -> Option<(Self, Option<u16>)> {
        let host_end = match memchr::memchr(b']', text) {
            Some(end) => end + 1,
            None => memchr::memchr(b':', text).unwrap_or(text.len()),
        };
        let (host, rest) = (text.get(..host_end)?, text.get(host_end..)?);
        let host = Self::parse(&share(text, super::grammar::trim(host)))?;
        let rest = super::grammar::trim(rest);
        if rest.is_empty() {
            return Some((host, None));
        }
        let port = super::grammar::decimal(super::grammar::trim(rest.strip_prefix(b":")?))?;
        Some((host, Some(u16::try_from(port).ok()?)))
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

/// `hostname`: labels of letters, digits and hyphens, the last one no number.
fn is_name(text: &[u8]) -> bool {
    let name = text.strip_suffix(b".").unwrap_or(text);
    let label = |label: &[u8]| !label.is_empty() && label.iter().all(|byte| is_host_char(*byte));
    let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    name.split(|byte| *byte == b'.').all(label) && !last.iter().all(u8::is_ascii_digit)
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
        let parse = |text: &'static str| Host::parse_with_port(&Bytes::from_static(text.as_bytes()));
        assert_eq!(parse("a.example : 5060").unwrap().1, Some(5060));
        assert_eq!(parse("[::1]:65535").unwrap(), (Host::V6(Ipv6Addr::LOCALHOST), Some(65535)));
        assert_eq!(parse("a").unwrap().1, None);
        for bad in ["a:", "a:65536", "a:-1", "[::1]x", ":5060", "a:1:2"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
