//! The Via header field: who sent a request, and where it came from (RFC 3261 18.2.1, 20.42; RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::digits::Digits;
use super::grammar::{behind, decimal, is_blank, share, skip_blanks, split_token};
use super::header_name::HeaderName;
use super::headers::element_end;
use super::host::{Host, HostText};
use super::message::Request;
use super::params::{Params, find_param, is_header_params, leading_params, name_and_value, raw_params};

/// What every branch minted by an RFC 3261 element begins with.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The transport, as it came: `UDP`, `TCP`, `TLS` ...
    pub transport: Bytes,
    /// The host of `sent-by`.
    pub host: Host,
    /// The port of `sent-by`, if it is written.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params,
}

/// Where the pieces of a Via value stand. The parameters may be malformed.
struct Parts<'a> {
    transport: &'a [u8],
    host: HostText<'a>,
    port: Option<u16>,
    params: &'a [u8],
}

impl Via {
    /// Reads one Via value; the error says what is wrong.
    pub fn parse(value: &Bytes) -> Result<Self, &'static str> {
        let parts = checked(value)?;
        Ok(Self::shared(value, &parts))
    }

    /// Whether [`Self::parse`] reads `value`.
    pub(super) fn check(value: &[u8]) -> Result<(), &'static str> {
        checked(value).map(|_| ())
    }

    fn shared(value: &Bytes, parts: &Parts<'_>) -> Self {
        Self {
            transport: share(value, parts.transport),
            host: parts.host.share(value),
            port: parts.port,
            params: Params::shared(value, parts.params),
        }
    }

    /// The branch parameter.
    #[must_use]
    pub fn branch(&self) -> Option<Bytes> {
        self.params.value("branch")
    }

    /// The branch, when it identifies a transaction by itself: the magic cookie and something
    /// behind it (RFC 3261 8.1.1.7). A bare cookie is matched as RFC 2543 did.
    #[must_use]
    pub fn unique_branch(&self) -> Option<Bytes> {
        self.branch().filter(|branch| {
            branch.len() > MAGIC_COOKIE.len()
                && branch
                    .get(..MAGIC_COOKIE.len())
                    .is_some_and(|c| c.eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes()))
        })
    }

    /// The address the request came from, as the next hop saw it.
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.value("received")?;
        let text = std::str::from_utf8(&value).ok()?;
        // RFC 5118 4.5: an address in brackets is met in the wild
        text.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The port the request came from, as the next hop saw it (RFC 3581).
    #[must_use]
    pub fn rport(&self) -> Option<u16> {
        self.params.value("rport").and_then(|port| u16::try_from(decimal(&port)?).ok())
    }

    /// Whether the sender asked for symmetric responses (RFC 3581 3), answered or not.
    #[must_use]
    pub fn wants_rport(&self) -> bool {
        self.params.has("rport")
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", String::from_utf8_lossy(&self.transport), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&String::from_utf8_lossy(self.params.as_bytes()))
    }
}

/// Splits a Via value into pieces of which each is well formed.
fn checked(value: &[u8]) -> Result<Parts<'_>, &'static str> {
    // What is wrong with the parameters is told before what is wrong with the sender.
    let (transport, sent_by, params) = split(value)?;
    if !is_header_params(params) {
        return Err("parameters");
    }
    let (host, port) = HostText::read_sent_by(sent_by).ok_or("sent-by")?;
    Ok(Parts { transport, host, port, params })
}

/// Splits a Via value without looking into its parameters.
fn parts(value: &[u8]) -> Result<Parts<'_>, &'static str> {
    let (transport, sent_by, params) = split(value)?;
    let (host, port) = HostText::read_sent_by(sent_by).ok_or("sent-by")?;
    Ok(Parts { transport, host, port, params })
}

/// Transport, sender and parameters.
type Pieces<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// `sent-protocol LWS sent-by *( SEMI via-params )`
fn split(value: &[u8]) -> Result<Pieces<'_>, &'static str> {
    let (transport, rest) = behind_version(value).and_then(split_token).ok_or("protocol")?;
    if !rest.first().is_some_and(|byte| is_blank(*byte)) {
        return Err("protocol");
    }
    let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
    let (sent_by, params) = rest.split_at(end);
    Ok((transport, sent_by, params))
}

/// `protocol-name SLASH protocol-version SLASH`: what stands behind.
fn behind_version(value: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = value.strip_prefix(b"SIP/2.0/") {
        return Some(skip_blanks(rest));
    }
    let (_, rest) = split_token(skip_blanks(value))?;
    let (_, rest) = split_token(behind(b'/', rest)?)?;
    behind(b'/', rest)
}

/// Writes into the topmost Via where the request came from.
///
/// Does nothing to a Via that cannot be read.
pub fn stamp_via(request: &mut Request, peer: SocketAddr) {
    if let Some(value) = request.headers.first_mut(&HeaderName::Via)
        && let Some(stamped) = stamped(value, peer)
    {
        *value = stamped;
    }
}

/// `value` with `received` and `rport` as `peer` demands; `None` when it may stay as it is.
fn stamped(value: &Bytes, peer: SocketAddr) -> Option<Bytes> {
    let top = value.get(..element_end(value))?;
    let via = parts(top).ok()?;
    let params = leading_params(via.params);
    let source = peer.ip().to_canonical();
    // RFC 3261 18.2.1: received is added when sent-by holds a name or another address;
    // RFC 3581 4: with rport it MUST be added even if the addresses are the same
    let received = find_param(params, "rport").is_some() || via.host.ip() != Some(source);
    if !received && find_param(params, "received").is_none() {
        return None;
    }
    let start = top.len() - via.params.len();
    let mut out = Vec::with_capacity(value.len() + 64);
    out.extend_from_slice(top.get(..start)?);
    if received {
        out.extend_from_slice(b";received=");
        put_address(&mut out, source);
    }
    if params.len() == via.params.len() {
        stamp_params(&mut out, params, peer.port());
        out.extend_from_slice(value.get(top.len()..)?);
    } else {
        // What is malformed stays as it is, and malformed.
        out.extend_from_slice(value.get(start..)?);
    }
    Some(Bytes::from(out))
}

/// Copies parameters without what the sender claims to be its source.
fn stamp_params(out: &mut Vec<u8>, params: &[u8], port: u16) {
    for raw in raw_params(params) {
        let name = name_and_value(raw).0;
        if name.eq_ignore_ascii_case(b"rport") {
            // RFC 3581 4: the server MUST set rport to the source port of the request
            out.extend_from_slice(b";rport=");
            out.extend_from_slice(Digits::of(port.into()).as_bytes());
        } else if !name.eq_ignore_ascii_case(b"received") {
            out.push(b';');
            out.extend_from_slice(raw);
        }
    }
}

fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, others @ ..] = address.octets();
            out.extend_from_slice(Digits::of(first.into()).as_bytes());
            for octet in others {
                out.push(b'.');
                out.extend_from_slice(Digits::of(octet.into()).as_bytes());
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::sip::Method;

    fn parse(text: &'static str) -> Result<Via, &'static str> {
        Via::parse(&Bytes::from_static(text.as_bytes()))
    }

    fn stamp(via: &'static str, peer: &str) -> String {
        let mut request = Request::new(Method::Options, "sip:a");
        request.headers.push(HeaderName::Via, via);
        stamp_via(&mut request, peer.parse().unwrap());
        String::from_utf8(request.headers.get(&HeaderName::Via).unwrap().to_vec()).unwrap()
    }

    // proves RFC 3261 20.42, 25.1 via-parm
    #[test]
    fn blanks_may_stand_between_the_pieces() {
        let via =
            parse("SIP  / 2.0  / TCP     spindle.example.com : 5070  ;  branch  =   z9hG4bK9ikj8").unwrap();
        assert_eq!(via.transport, "TCP");
        assert_eq!((via.host.to_string().as_str(), via.port), ("spindle.example.com", Some(5070)));
        assert_eq!(via.branch().unwrap(), "z9hG4bK9ikj8");
        assert_eq!(
            parse("SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3").unwrap().host.to_string(),
            "[2001:db8::9:1]"
        );
        let odd = parse("SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~").unwrap();
        assert_eq!(odd.unique_branch().unwrap(), "z9hG4bK-.!%66*_+`'~");
        for bad in
            ["SIP/2.0/UDP 192.0.2.15;;", "SIP/2.0 a", "SIP/2.0/UDPa", "SIP/2.0/UDP ", "SIP/2.0/UDP a b", ""]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    // proves RFC 3261 8.1.1.7: a branch without the cookie, or with nothing behind it, identifies nothing
    #[test]
    fn a_bare_cookie_is_no_transaction() {
        assert_eq!(parse("SIP/2.0/UDP a;branch=z9hG4bK").unwrap().unique_branch(), None);
        assert_eq!(parse("SIP/2.0/UDP a;branch=1").unwrap().unique_branch(), None);
        assert_eq!(parse("SIP/2.0/UDP a").unwrap().unique_branch(), None);
    }

    // proves RFC 3261 18.2.1 and RFC 3581 4
    #[test]
    fn the_source_is_written_into_the_topmost_via() {
        let same = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1";
        assert_eq!(stamp(same, "192.0.2.1:9999"), same);
        assert_eq!(
            stamp("SIP/2.0/UDP a.example;branch=1", "192.0.2.1:5060"),
            "SIP/2.0/UDP a.example;received=192.0.2.1;branch=1"
        );
        assert_eq!(
            stamp("SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff", "192.0.2.1:9988"),
            "SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1;rport=9988;branch=z9hG4bKkjshdyff"
        );
        assert_eq!(
            stamp("SIP/2.0/UDP 192.0.2.1;rport , SIP/2.0/TCP b;received=1.1.1.1", "192.0.2.1:9"),
            "SIP/2.0/UDP 192.0.2.1;received=192.0.2.1;rport=9, SIP/2.0/TCP b;received=1.1.1.1"
        );
    }

    #[test]
    fn a_claimed_source_is_not_believed() {
        assert_eq!(
            stamp("SIP/2.0/UDP a;received=6.6.6.6;rport=1;x=\"y;\"", "[::ffff:192.0.2.1]:7"),
            "SIP/2.0/UDP a;received=192.0.2.1;rport=7;x=\"y;\""
        );
        assert_eq!(stamp("SIP/2.0/UDP 192.0.2.1;received=6.6.6.6", "192.0.2.1:7"), "SIP/2.0/UDP 192.0.2.1");
        assert_eq!(
            stamp("SIP/2.0/UDP [2001:db8::1];rport", "[2001:db8::1]:7"),
            "SIP/2.0/UDP [2001:db8::1];received=2001:db8::1;rport=7"
        );
    }

    #[test]
    fn a_via_that_cannot_be_read_stays_as_it_is() {
        assert_eq!(stamp("nonsense", "192.0.2.1:7"), "nonsense");
        assert_eq!(
            stamp("SIP/2.0/UDP 192.0.2.15;;,;,,", "192.0.2.1:7"),
            "SIP/2.0/UDP 192.0.2.15;received=192.0.2.1;;,;,,"
        );
    }
}
