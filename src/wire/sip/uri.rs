//! SIP and SIPS URIs (RFC 3261 19.1).

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::error::UriError;
use super::escape::{normalise, unescape};
use super::grammar::{is_password, is_uri_header, is_user, share};
use super::host::{Host, HostText};
use super::name_addr::is_scheme;
use super::params::{Params, is_uri_params};

/// The scheme of a [`SipUri`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip`
    Sip,
    /// `sips`: every hop secured.
    Sips,
}

/// A SIP or SIPS URI; all text as it came, escapes included.
///
/// `==` compares the spelling; [`SipUri::equivalent`] the meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipUri {
    /// `sip` or `sips`.
    pub scheme: Scheme,
    /// The user, escaped.
    pub user: Option<Bytes>,
    /// The password, escaped.
    pub password: Option<Bytes>,
    /// The host.
    pub host: Host,
    /// The port, if it is written.
    pub port: Option<u16>,
    /// The URI parameters.
    pub params: Params,
    /// What stands behind the question mark.
    pub headers: Option<Bytes>,
}

/// Where the pieces of a URI stand.
pub(super) struct Parts<'a> {
    scheme: Scheme,
    user: Option<&'a [u8]>,
    password: Option<&'a [u8]>,
    host: HostText<'a>,
    port: Option<u16>,
    params: &'a [u8],
    pub(super) headers: Option<&'a [u8]>,
}

impl SipUri {
    /// Reads a URI.
    pub fn parse(text: &Bytes) -> Result<Self, UriError> {
        let parts = parts(text)?;
        let shared = |part: &[u8]| share(text, part);
        Ok(Self {
            scheme: parts.scheme,
            user: parts.user.map(shared),
            password: parts.password.map(shared),
            host: parts.host.share(text),
            port: parts.port,
            params: Params::shared(text, parts.params),
            headers: parts.headers.map(shared),
        })
    }

    /// The URI as it may stand in a Request-URI: without what is not allowed there.
    pub fn in_request(text: &Bytes) -> Result<Bytes, UriError> {
        let Parts { params, headers, .. } = parts(text)?;
        // RFC 3261 19.1.1, table 1: neither headers nor a method parameter are allowed in a Request-URI.
        let is_method = |param: &[u8]| {
            let name = param.split(|byte| *byte == b'=').next().unwrap_or_default();
            name.eq_ignore_ascii_case(b"method")
        };
        if headers.is_none() && !params.split(|byte| *byte == b';').any(is_method) {
            return Ok(text.clone());
        }
        let behind = params.len() + headers.map_or(0, |headers| headers.len() + 1);
        let before = text.get(..text.len().saturating_sub(behind)).unwrap_or_default();
        let kept: Vec<&[u8]> = params.split(|byte| *byte == b';').filter(|param| !is_method(param)).collect();
        Ok(Bytes::from([before, &kept.join(&b';')].concat()))
    }

    /// The user with its escapes undone; empty when there is none.
    #[must_use]
    pub fn user_unescaped(&self) -> Vec<u8> {
        self.user.as_deref().map(unescape).unwrap_or_default()
    }

    /// Whether the URI names a loose router (RFC 3261 16.12).
    #[must_use]
    pub fn is_loose_route(&self) -> bool {
        self.params.has("lr")
    }

    /// The `transport` parameter, as it came.
    #[must_use]
    pub fn transport(&self) -> Option<Bytes> {
        self.params.value("transport")
    }

    /// The `maddr` parameter.
    #[must_use]
    pub fn maddr(&self) -> Option<Host> {
        self.params.value("maddr").and_then(|host| Host::parse(&host))
    }

    /// Whether two URIs mean the same (RFC 3261 19.1.4). Not transitive.
    #[must_use]
    pub fn equivalent(&self, other: &Self) -> bool {
        let userinfo = |text: &Option<Bytes>| text.as_deref().map(normalise);
        // RFC 3261 19.1.4: a SIP and a SIPS URI are never equivalent; userinfo is compared with its case;
        // a component left out does not match one written with its default value
        self.scheme == other.scheme
            && userinfo(&self.user) == userinfo(&other.user)
            && userinfo(&self.password) == userinfo(&other.password)
            && self.host == other.host
            && self.port == other.port
            && same_params(&self.params, &other.params)
            && same_headers(self.headers.as_deref(), other.headers.as_deref())
    }
}

/// Reads a URI without taking its pieces out of it.
pub(super) fn parts(text: &[u8]) -> Result<Parts<'_>, UriError> {
    let (scheme, rest) = scheme(text)?;
    // The user may hold `;`, `?` and `/`; an at sign stands behind userinfo only.
    let (user, password, rest) = match memchr::memchr(b'@', rest) {
        Some(at) => {
            let (user, password) = userinfo(rest.get(..at).unwrap_or_default())?;
            (Some(user), password, rest.get(at + 1..).unwrap_or_default())
        }
        None => (None, None, rest),
    };
    let hostport = rest.iter().position(|byte| matches!(byte, b';' | b'?')).unwrap_or(rest.len());
    let (hostport, rest) = rest.split_at(hostport);
    let (host, port) = HostText::read_with_port(hostport).ok_or(UriError::Malformed("host"))?;
    let (params, headers) = match memchr::memchr(b'?', rest) {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
        None => (rest, None),
    };
    if !is_uri_params(params) {
        return Err(UriError::Malformed("parameters"));
    }
    if !headers.is_none_or(headers_are_well_formed) {
        return Err(UriError::Malformed("headers"));
    }
    Ok(Parts { scheme, user, password, host, port, params, headers })
}

/// `( "sip:" / "sips:" )`
fn scheme(text: &[u8]) -> Result<(Scheme, &[u8]), UriError> {
    if let Some(rest) = text.strip_prefix(b"sip:") {
        return Ok((Scheme::Sip, rest));
    }
    let colon = memchr::memchr(b':', text).ok_or(UriError::Malformed("no scheme"))?;
    let rest = text.get(colon + 1..).unwrap_or_default();
    match text.get(..colon).unwrap_or_default() {
        scheme if scheme.eq_ignore_ascii_case(b"sip") => Ok((Scheme::Sip, rest)),
        scheme if scheme.eq_ignore_ascii_case(b"sips") => Ok((Scheme::Sips, rest)),
        scheme if is_scheme(scheme) => Err(UriError::UnknownScheme),
        _ => Err(UriError::Malformed("scheme")),
    }
}

/// `user [ ":" password ]`
fn userinfo(text: &[u8]) -> Result<(&[u8], Option<&[u8]>), UriError> {
    let (user, password) = match memchr::memchr(b':', text) {
        Some(colon) => (text.get(..colon).unwrap_or_default(), text.get(colon + 1..)),
        None => (text, None),
    };
    if !is_user(user) {
        return Err(UriError::Malformed("user"));
    }
    if !password.is_none_or(is_password) {
        return Err(UriError::Malformed("password"));
    }
    Ok((user, password))
}

/// `header *( "&" header )`, `header = hname "=" hvalue`
fn headers_are_well_formed(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'&').all(|header| {
        memchr::memchr(b'=', header).is_some_and(|at| {
            let (name, value) = header.split_at(at);
            !name.is_empty() && is_uri_header(name) && is_uri_header(value.get(1..).unwrap_or_default())
        })
    })
}

fn folded(text: &[u8]) -> Vec<u8> {
    normalise(text).to_ascii_lowercase()
}

fn same_params(a: &Params, b: &Params) -> bool {
    let by_name = |params: &Params| {
        let mut names = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in params.iter() {
            names.entry(folded(&name)).or_default().push(value.map(|value| folded(&value)));
        }
        names
    };
    let (a, b) = (by_name(a), by_name(b));
    // RFC 3261 19.1.4: a parameter in both must match; these never match when they stand in one
    // only; all others in one only are ignored
    let must_stand_in_both =
        |name: &[u8]| matches!(name, b"user" | b"ttl" | b"method" | b"maddr" | b"transport");
    a.iter().all(|(name, values)| b.get(name).map_or(!must_stand_in_both(name), |other| other == values))
        && b.keys().all(|name| a.contains_key(name) || !must_stand_in_both(name))
}

fn same_headers(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    let sorted = |headers: Option<&[u8]>| {
        let mut list: Vec<_> =
            headers.into_iter().flat_map(|text| text.split(|byte| *byte == b'&')).map(folded).collect();
        list.sort_unstable();
        list
    };
    // RFC 3261 19.1.4: header components are never ignored, their order is not significant
    sorted(a) == sorted(b)
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.write_str(if self.scheme == Scheme::Sips { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            f.write_str(&text(user))?;
            if let Some(password) = &self.password {
                write!(f, ":{}", text(password))?;
            }
            f.write_str("@")?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&text(self.params.as_bytes()))?;
        self.headers.as_deref().map_or(Ok(()), |headers| write!(f, "?{}", text(headers)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<SipUri, UriError> {
        SipUri::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    // proves RFC 3261 19.1.1, 25.1 SIP-URI
    #[test]
    fn the_pieces_of_a_uri_are_found() {
        let odd = parse("sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com").unwrap();
        assert_eq!(odd.user.unwrap(), "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
        assert_eq!(odd.password.unwrap(), "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)");
        let semi = parse("sip:user;par=u%40example.net@example.com").unwrap();
        assert_eq!(semi.user_unescaped(), b"user;par=u@example.net");
        assert!(semi.params.is_empty());
        let full = parse("SIPS:a:@[2001:db8::1]:5070;LR;transport=tcp?Route=%3Csip:x%3E&a=").unwrap();
        assert_eq!((full.scheme, full.port, full.is_loose_route()), (Scheme::Sips, Some(5070), true));
        assert_eq!(full.transport().unwrap(), "tcp");
        assert_eq!(full.to_string(), "sips:a:@[2001:db8::1]:5070;LR;transport=tcp?Route=%3Csip:x%3E&a=");
        assert_eq!(
            parse("sip:sips%3Auser%40example.com@example.net").unwrap().user_unescaped(),
            b"sips:user@example.com"
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for unknown in
            ["tel:+123", "nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002"]
        {
            assert_eq!(parse(unknown), Err(UriError::UnknownScheme), "{unknown}");
        }
        for bad in [
            "<sip:user@example.com>",
            "sip:",
            "sip:@x",
            "sip:a@",
            "sip:a@b@c",
            "sip:a b@c",
            "sip:a@b c",
            "sip:a@b; lr",
            "sip:a%4@b",
            "sip:a@b:70000",
            "sip:a@b:",
            "sip:a@b?x",
            "sip:a@b?",
            "sip:a@b?=y",
            "user@example.com",
            "",
            "sip:\u{e9}@b",
            "sip:a@b;x=\u{e9}",
        ] {
            assert!(matches!(parse(bad), Err(UriError::Malformed(_))), "{bad}");
        }
    }

    // proves RFC 3261 19.1.1, table 1
    #[test]
    fn what_a_request_uri_may_not_have_is_left_out() {
        let cases = [
            ("sip:a@b", "sip:a@b"),
            ("sips:a:p@[::1]:5061;lr;x=method", "sips:a:p@[::1]:5061;lr;x=method"),
            ("sip:a@b?Subject=x&Route=%3Csip:c%3E", "sip:a@b"),
            (
                "sip:a;method=x@b:5060;transport=tcp;Method=INVITE;lr?Subject=x",
                "sip:a;method=x@b:5060;transport=tcp;lr",
            ),
            ("sip:b;method=BYE", "sip:b"),
            ("sip:b;METHOD", "sip:b"),
        ];
        for (text, kept) in cases {
            assert_eq!(SipUri::in_request(&Bytes::from_static(text.as_bytes())).unwrap(), kept, "{text}");
        }
        assert_eq!(SipUri::in_request(&Bytes::from_static(b"tel:+1")), Err(UriError::UnknownScheme));
    }

    // proves RFC 3261 19.1.4: its own examples
    #[test]
    fn equivalence_follows_the_examples() {
        let same = [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a%3bb@x", "sip:a%3Bb@x"),
        ];
        for (a, b) in same {
            assert!(parse(a).unwrap().equivalent(&parse(b).unwrap()), "{a} {b}");
            assert!(parse(b).unwrap().equivalent(&parse(a).unwrap()), "{b} {a}");
        }
        let different = [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@x", "sips:a@x"),
            ("sip:a@x", "sip:x"),
            ("sip:a:p@x", "sip:a@x"),
            ("sip:a@x;maddr=1.2.3.4", "sip:a@x"),
            ("sip:a@x;user=phone", "sip:a@x"),
            ("sip:a%3Bb@x", "sip:a;b@x"),
            ("sip:a%2541@x", "sip:a%41@x"),
        ];
        for (a, b) in different {
            assert!(!parse(a).unwrap().equivalent(&parse(b).unwrap()), "{a} {b}");
            assert!(!parse(b).unwrap().equivalent(&parse(a).unwrap()), "{b} {a}");
        }
    }
}
