//! MSRP URIs (RFC 4975 section 6; syntax in section 9): parsing, comparison, and the exact bytes
//! they came as. Does not resolve hosts.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;

use bytes::Bytes;
use percent_encoding::percent_decode;

/// Names one MSRP session at one device: `msrp://host:port/session-id;tcp`.
///
/// Made by [`MsrpUri::parse`] or [`MsrpUri::new`]. It is its text, and where the parts lie in it: every session that waits keeps
/// several of these. Userinfo and further parameters are checked, and stand in [`MsrpUri::as_bytes`]: nobody asks for them. Two
/// values are `==` when their bytes are the same; [`MsrpUri::same_as`] compares by the rules of RFC 4975 6.1.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MsrpUri {
    raw: Bytes,
    secure: bool,
    port: Option<NonZeroU16>,
    host: Part,
    session_id: Part,
    transport: Part,
}

/// Where a part lies in the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    start: u16,
    end: u16,
}

impl Part {
    /// The place of `part`, which ends at `end`.
    fn ending(end: usize, part: &[u8]) -> Result<Self, UriError> {
        let place = |at: usize| u16::try_from(at).map_err(|_| UriError::Length);
        Ok(Self { start: place(end.saturating_sub(part.len()))?, end: place(end)? })
    }

    fn of(self, raw: &[u8]) -> &[u8] {
        raw.get(self.range()).unwrap_or_default()
    }

    fn range(self) -> std::ops::Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// Tells why bytes are not an MSRP URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The scheme is neither `msrp` nor `msrps`.
    #[error("scheme is neither msrp nor msrps")]
    Scheme,
    /// The userinfo has a character that RFC 3986 does not allow.
    #[error("malformed userinfo")]
    Userinfo,
    /// The host is missing, or no registered name or IP literal of RFC 3986.
    #[error("malformed host")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("malformed port")]
    Port,
    /// The host is a numeric address, which must have a port (RFC 4975 6).
    #[error("numeric address without a port")]
    PortMissing,
    /// The session-id is empty after its slash, or has a character outside the grammar.
    #[error("malformed session-id")]
    SessionId,
    /// The transport parameter is missing or not alphanumeric.
    #[error("missing or malformed transport")]
    Transport,
    /// A parameter after the transport is no token.
    #[error("malformed parameter")]
    Parameter,
    /// It has more than 65535 bytes.
    #[error("longer than 65535 bytes")]
    Length,
}

impl MsrpUri {
    /// Makes the URI of a session at `host` (an IPv6 address with or without brackets) over TCP.
    ///
    /// # Errors
    /// [`UriError`] where the parts do not make a URI.
    pub fn new(secure: bool, host: &str, port: u16, session_id: &str) -> Result<Self, UriError> {
        let scheme = if secure { "msrps" } else { "msrp" };
        let bracketed = host.parse::<Ipv6Addr>().is_ok();
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        Self::parse(format!("{scheme}://{open}{host}{close}:{port}/{session_id};tcp").as_bytes())
    }

    /// Reads a URI from bytes, which are copied.
    ///
    /// # Errors
    /// [`UriError`] names the part that is malformed.
    pub fn parse(raw: &[u8]) -> Result<Self, UriError> {
        Self::from_bytes(Bytes::copy_from_slice(raw))
    }

    /// Reads a URI from `Bytes`, which it keeps.
    ///
    /// # Errors
    /// [`UriError`] names the part that is malformed.
    pub fn from_bytes(raw: Bytes) -> Result<Self, UriError> {
        let (secure, rest) = scheme(&raw)?;
        let authority_end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let (before_path, path) = rest.split_at(authority_end);
        let (userinfo, rest) = match memchr::memrchr(b'@', before_path) {
            Some(at) => (Some(before_path.get(..at).unwrap_or_default()), skip(rest, at + 1)),
            None => (None, rest),
        };
        if userinfo.is_some_and(|u| !is_escaped_text(u, Class::USERINFO)) {
            return Err(UriError::Userinfo);
        }
        let host_and_port_end = if path.is_empty() { semicolon(rest) } else { rest.len() - path.len() };
        let (host_and_port, rest) = rest.split_at(host_and_port_end);
        let (host, port) = split_port(host_and_port)?;
        let address = check_host(host)?;
        // RFC 4975 6: if the authority contains a numeric IP address, it MUST also contain a port.
        if address && port.is_none() {
            return Err(UriError::PortMissing);
        }
        let port_and_rest = host_and_port.len() - host.len() + rest.len();
        let host = Part::ending(raw.len() - port_and_rest, host)?;
        let (session_id, rest) = rest.split_at(semicolon(rest));
        let session_id = Part::ending(raw.len() - rest.len(), check_session_id(session_id)?)?;
        let params = rest.get(1..).unwrap_or_default();
        let (transport, rest) = params.split_at(semicolon(params));
        // RFC 4975 6: URIs designating MSRP over TCP MUST include the "tcp" transport parameter.
        if !is_all(transport, Class::ALPHANUMERIC) {
            return Err(UriError::Transport);
        }
        let transport = Part::ending(raw.len() - rest.len(), transport)?;
        if !rest.split(|b| *b == b';').skip(1).all(is_parameter) {
            return Err(UriError::Parameter);
        }
        Ok(Self { secure, port, host, session_id, transport, raw })
    }

    /// True for `msrps`: the connection must be protected with TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host as written; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        self.host.of(&self.raw)
    }

    /// The explicit port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port.map(NonZeroU16::get)
    }

    /// The session-id, compared with case; empty when the URI has none.
    #[must_use]
    pub fn session_id(&self) -> &[u8] {
        self.session_id.of(&self.raw)
    }

    /// The session-id as a slice that shares the URI's memory.
    #[must_use]
    pub fn shared_session_id(&self) -> Bytes {
        self.raw.slice(self.session_id.range())
    }

    /// The transport parameter; `tcp` in all that RFC 4975 defines.
    #[must_use]
    pub fn transport(&self) -> &[u8] {
        self.transport.of(&self.raw)
    }

    /// The URI as it was written.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// A copy that shares no memory with what it was parsed from.
    #[must_use]
    pub fn detached(&self) -> Self {
        // The bytes have been parsed before: the fallback only keeps the sharing.
        Self::parse(&self.raw).unwrap_or_else(|_| self.clone())
    }

    /// The host as a numeric address, where it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        address(self.host())
    }

    /// Whether both URIs name the same session, by RFC 4975 6.1.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        // RFC 4975 6.1 rule 2: userinfo parts are not considered.
        // RFC 4975 6.1 rule 3: if the port exists explicitly in either URI, it MUST match exactly.
        // RFC 4975 6.1 rule 4: the session-id is compared as case sensitive.
        // RFC 4975 6.1 rule 5: URIs with different transport never match; case insensitive.
        self.raw == other.raw
            || (self.session_id() == other.session_id()
                && self.port == other.port
                && self.secure == other.secure
                && self.transport().eq_ignore_ascii_case(other.transport())
                && same_host(self.host(), other.host()))
    }
}

impl fmt::Display for MsrpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.raw))
    }
}

impl fmt::Debug for MsrpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MsrpUri({self})")
    }
}

impl std::str::FromStr for MsrpUri {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text.as_bytes())
    }
}

fn skip(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(count..).unwrap_or_default()
}

fn semicolon(bytes: &[u8]) -> usize {
    memchr::memchr(b';', bytes).unwrap_or(bytes.len())
}

/// RFC 4975 6.1 rule 1: scheme comparison is case insensitive.
fn scheme(raw: &[u8]) -> Result<(bool, &[u8]), UriError> {
    let colon = memchr::memchr(b':', raw).ok_or(UriError::Scheme)?;
    let (scheme, rest) = raw.split_at(colon);
    let secure = scheme.eq_ignore_ascii_case(b"msrps");
    if !secure && !scheme.eq_ignore_ascii_case(b"msrp") {
        return Err(UriError::Scheme);
    }
    rest.strip_prefix(b"://").map(|rest| (secure, rest)).ok_or(UriError::Scheme)
}

fn split_port(host_and_port: &[u8]) -> Result<(&[u8], Option<NonZeroU16>), UriError> {
    let bracket = memchr::memrchr(b']', host_and_port).map_or(0, |at| at + 1);
    let Some(colon) = memchr::memchr(b':', skip(host_and_port, bracket)) else {
        return Ok((host_and_port, None));
    };
    let (host, port) = host_and_port.split_at(bracket + colon);
    let digits = skip(port, 1);
    if digits.len() > 5 || !is_all(digits, Class::DIGIT) {
        return Err(UriError::Port);
    }
    let number = digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'));
    let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
    port.map(|port| (host, Some(port))).ok_or(UriError::Port)
}

/// Says whether the host is a numeric address.
fn check_host(host: &[u8]) -> Result<bool, UriError> {
    if host.first() == Some(&b'[') {
        return address(host).map(|_| true).ok_or(UriError::Host);
    }
    if host.is_empty() || !is_escaped_text(host, Class::REG_NAME) {
        return Err(UriError::Host);
    }
    Ok(host.last().is_some_and(u8::is_ascii_digit) && address(host).is_some())
}

fn check_session_id(path: &[u8]) -> Result<&[u8], UriError> {
    let Some(session_id) = path.strip_prefix(b"/") else { return Ok(path) };
    if is_all(session_id, Class::SESSION_ID) { Ok(session_id) } else { Err(UriError::SessionId) }
}

fn is_parameter(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |b| *b == b'=');
    parts.all(|part| is_all(part, Class::TOKEN))
}

/// RFC 4975 6.1 rule 2: addresses are compared for equivalence; of names, percent-encoded
/// unreserved characters are decoded, and the rest is compared without case.
fn same_host(one: &[u8], other: &[u8]) -> bool {
    if let (Some(one), Some(other)) = (address(one), address(other)) {
        return one == other;
    }
    let decode = |host: &[u8]| -> Vec<u8> { Cow::from(percent_decode(host)).to_ascii_lowercase() };
    one.eq_ignore_ascii_case(other) || decode(one) == decode(other)
}

fn address(host: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(host).ok()?;
    match text.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// What a byte may be part of, one bit for each.
#[derive(Clone, Copy)]
struct Class(u8);

impl Class {
    const ALPHANUMERIC: Self = Self(1);
    /// `reg-name` of RFC 3986, without the semicolon that ends an MSRP authority.
    const REG_NAME: Self = Self(1 << 1);
    const USERINFO: Self = Self(1 << 2);
    const SESSION_ID: Self = Self(1 << 3);
    /// `token` of RFC 4975 9.
    const TOKEN: Self = Self(1 << 4);
    const DIGIT: Self = Self(1 << 5);

    /// The classes of each byte: a URI is checked for every frame, and a look is quicker than its comparisons.
    const OF: [u8; 256] = {
        let mut of = [0; 256];
        let mut byte = 0_u8;
        loop {
            of[byte as usize] = Self::classes(byte);
            if byte == u8::MAX {
                break of;
            }
            byte += 1;
        }
    };

    const fn classes(byte: u8) -> u8 {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let reg_name = unreserved
            || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=');
        let userinfo = reg_name || matches!(byte, b':' | b';');
        let session_id = unreserved || matches!(byte, b'+' | b'=' | b'/');
        let token = matches!(
            byte,
            0x21 | 0x23..=0x27 | 0x2A..=0x2B | 0x2D..=0x2E | 0x30..=0x39 | 0x41..=0x5A | 0x5E..=0x7E
        );
        (byte.is_ascii_alphanumeric() as u8 * Self::ALPHANUMERIC.0)
            | (reg_name as u8 * Self::REG_NAME.0)
            | (userinfo as u8 * Self::USERINFO.0)
            | (session_id as u8 * Self::SESSION_ID.0)
            | (token as u8 * Self::TOKEN.0)
            | (byte.is_ascii_digit() as u8 * Self::DIGIT.0)
    }

    fn has(self, byte: u8) -> bool {
        Self::OF.get(usize::from(byte)).is_some_and(|classes| classes & self.0 != 0)
    }
}

/// Whether the text is not empty and all of this class.
fn is_all(text: &[u8], class: Class) -> bool {
    !text.is_empty() && text.iter().all(|byte| class.has(*byte))
}

/// Whether every byte is of this class or part of a `%HH`.
fn is_escaped_text(text: &[u8], class: Class) -> bool {
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (byte, after) if class.has(*byte) => after,
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn uri(text: &str) -> MsrpUri {
        text.parse().unwrap()
    }

    // proves RFC 4975 6: the example URI and its parts
    #[test]
    fn the_example_has_its_parts() {
        let example = uri("msrp://host.example.com:8493/asfd34;tcp");
        assert!(!example.is_secure());
        assert_eq!(example.host(), b"host.example.com");
        assert_eq!(example.port(), Some(8493));
        assert_eq!(example.session_id(), b"asfd34");
        assert_eq!(example.transport(), b"tcp");
        assert_eq!(example.to_string(), "msrp://host.example.com:8493/asfd34;tcp");
    }

    /// Every session that waits keeps several.
    #[test]
    fn it_is_hardly_more_than_its_text() {
        assert_eq!(size_of::<MsrpUri>(), size_of::<Bytes>() + 16);
    }

    #[test]
    fn every_optional_part_is_read() {
        let full = uri("MSRPS://al%20ice;x@[2001:db8::1]:2855/a+b=/c;TCP;foo=bar;flag");
        assert!(full.is_secure());
        assert_eq!(full.host(), b"[2001:db8::1]");
        assert_eq!(full.address(), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(full.session_id(), b"a+b=/c");
        assert_eq!(full.transport(), b"TCP", "as written, and not what follows");
        let relay = uri("msrps://relay.example.com;tcp");
        assert_eq!((relay.session_id().len(), relay.port()), (0, None));
        assert_eq!(uri(&MsrpUri::new(true, "::1", 9, "s").unwrap().to_string()).host(), b"[::1]");
    }

    // proves RFC 4975 6 and 9: what the grammar refuses
    #[test]
    fn malformed_uris_are_refused_by_part() {
        let long = format!("msrp://h:1/{};tcp", "s".repeat(65_536));
        for (text, error) in [
            (long.as_str(), UriError::Length),
            ("", UriError::Scheme),
            ("sip://h:1/s;tcp", UriError::Scheme),
            ("msrp:h:1/s;tcp", UriError::Scheme),
            ("msrp://:1/s;tcp", UriError::Host),
            ("msrp://[::1/s;tcp", UriError::Port),
            ("msrp://[1.2.3.4]:1/s;tcp", UriError::Host),
            ("msrp://a%2/s;tcp", UriError::Host),
            ("msrp://a b/s;tcp", UriError::Host),
            ("msrp://a^b@h:1/s;tcp", UriError::Userinfo),
            ("msrp://h:/s;tcp", UriError::Port),
            ("msrp://h:0/s;tcp", UriError::Port),
            ("msrp://h:65536/s;tcp", UriError::Port),
            ("msrp://h:+80/s;tcp", UriError::Port),
            ("msrp://10.0.0.1/s;tcp", UriError::PortMissing),
            ("msrp://[::1]/s;tcp", UriError::PortMissing),
            ("msrp://h:1/;tcp", UriError::SessionId),
            ("msrp://h:1/s%20;tcp", UriError::SessionId),
            ("msrp://h:1/s", UriError::Transport),
            ("msrp://h:1/s;", UriError::Transport),
            ("msrp://h:1/s;t-p", UriError::Transport),
            ("msrp://h:1/s;tcp;", UriError::Parameter),
            ("msrp://h:1/s;tcp;a=", UriError::Parameter),
            ("msrp://h:1/s;tcp;a=(", UriError::Parameter),
        ] {
            assert_eq!(text.parse::<MsrpUri>(), Err(error), "{text}");
        }
    }

    // proves RFC 4975 6.1
    #[test]
    fn comparison_follows_the_five_rules() {
        let base = uri("msrp://host.example.com:8493/asfd34;tcp");
        for same in [
            "MSRP://HOST.example.COM:8493/asfd34;TCP",
            "msrp://bob@host.example.com:8493/asfd34;tcp;x=y",
            "msrp://h%6Fst.example.com:8493/asfd34;tcp",
        ] {
            assert!(base.same_as(&uri(same)) && uri(same).same_as(&base), "{same}");
        }
        for other in [
            "msrps://host.example.com:8493/asfd34;tcp",
            "msrp://host.example.com:8494/asfd34;tcp",
            "msrp://host.example.com/asfd34;tcp",
            "msrp://host.example.com:8493/ASFD34;tcp",
            "msrp://host.example.com:8493;tcp",
            "msrp://host.example.com:8493/asfd34;sctp",
            "msrp://host.example.org:8493/asfd34;tcp",
        ] {
            assert!(!base.same_as(&uri(other)) && !uri(other).same_as(&base), "{other}");
        }
        assert!(uri("msrp://[0:0::1]:1/s;tcp").same_as(&uri("msrp://[::1]:1/s;tcp")));
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        proptest::proptest!(|(tail in "[ -~]{0,40}", raw: Vec<u8>)| {
            let _ = MsrpUri::parse(&raw);
            let text = format!("msrp://{tail}");
            if let Ok(uri) = MsrpUri::parse(text.as_bytes()) {
                proptest::prop_assert_eq!(uri.to_string(), text);
                proptest::prop_assert!(uri.same_as(&uri.detached()));
            }
        });
    }
}
