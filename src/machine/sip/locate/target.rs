//! What a URI or a Via says about the way to somebody ([`Target`]), and where that may lead
//! ([`Place`]).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::machine::sip::transport::Transport;
use crate::wire::sip::{Host, Scheme, SipUri, Via};

/// Why a URI leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// It is no SIP or SIPS URI.
    #[error("not a SIP URI")]
    Malformed,
    /// Its transport, or each that its domain offers, is none of ours.
    #[error("transport not supported")]
    Transport,
    /// Its domain says that it has no such service (RFC 2782: a target of `.`).
    #[error("the domain does not offer the service")]
    NotOffered,
    /// Its host has no address.
    #[error("no address for the host")]
    NotFound,
    /// The DNS did not answer in time.
    #[error("the name was not resolved in time")]
    Timeout,
}

/// Somewhere to send to, found for a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The transport protocol.
    pub transport: Transport,
    /// The address and port.
    pub addr: SocketAddr,
    /// Whether a large request may go over TCP instead of UDP: nobody asked for UDP by name
    /// (RFC 3263 4.1, RFC 3261 18.1.1).
    pub upgrade: bool,
    /// The TARGET that led here, where it is a name: what a TLS peer must prove to be (RFC 5922 7.3,
    /// RFC 3263 4.1).
    pub domain: Option<Arc<str>>,
}

/// The host of a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetHost {
    /// A numeric address.
    Address(IpAddr),
    /// A domain name in lower case, without the dot of the root.
    Name(Arc<str>),
}

impl TargetHost {
    fn new(host: &Host) -> Result<Self, LocateError> {
        match host {
            Host::V4(address) => Ok(Self::Address((*address).into())),
            Host::V6(address) => Ok(Self::Address((*address).into())),
            Host::Name(name) => Self::named(name),
        }
    }

    /// A host that is a name.
    ///
    /// # Errors
    /// It cannot be asked for.
    pub fn named(name: &[u8]) -> Result<Self, LocateError> {
        domain(name).map(Self::Name)
    }
}

/// A domain name as it is asked for.
pub(super) fn domain(name: &[u8]) -> Result<Arc<str>, LocateError> {
    let name = std::str::from_utf8(name).map_err(|_| LocateError::Malformed)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    // RFC 1035 2.3.4: a name has at most 255 octets on the wire, 253 as text; a label has 63.
    if name.is_empty()
        || name.len() > 253
        || name.split('.').any(|label| label.is_empty() || label.len() > 63)
    {
        return Err(LocateError::Malformed);
    }
    Ok(name.to_ascii_lowercase().into())
}

/// What a URI or a Via says about the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The TARGET of RFC 3263 4.
    pub host: TargetHost,
    /// The port, if one is written.
    pub port: Option<u16>,
    /// Whether every hop must be secured: a SIPS URI.
    pub secure: bool,
    /// The transport, if one is written.
    pub transport: Option<Transport>,
}

impl Target {
    /// Reads a raw URI: a Request-URI or that of a route (RFC 3263 4).
    ///
    /// # Errors
    /// It is no SIP or SIPS URI, or names a transport that nobody knows or that cannot be secured.
    pub fn parse(raw: &Bytes) -> Result<Self, LocateError> {
        let uri = SipUri::parse(raw).map_err(|_| LocateError::Malformed)?;
        let secure = uri.scheme == Scheme::Sips;
        let transport = match uri.params.value("transport") {
            Some(name) => Some(Transport::parse(&name).ok_or(LocateError::Transport)?),
            None => None,
        };
        // RFC 3263 4: the TARGET is the maddr parameter, if present, else the host.
        let host = match uri.params.value("maddr") {
            Some(maddr) => TargetHost::new(&maddr_host(&maddr).ok_or(LocateError::Malformed)?)?,
            None => TargetHost::new(&uri.host)?,
        };
        let transport = transport.map(|transport| secured(transport, secure)).transpose()?;
        Ok(Self { host, port: uri.port, secure, transport })
    }

    /// Reads the sender out of the topmost Via of a request whose response cannot be sent the way
    /// the request came (RFC 3263 5).
    ///
    /// # Errors
    /// Its transport is one that nobody knows, or its name cannot be asked for.
    pub fn of_via(via: &Via) -> Result<Self, LocateError> {
        let transport = Transport::parse(&via.transport).ok_or(LocateError::Transport)?;
        let host = TargetHost::new(&via.host)?;
        // RFC 3263 5: a transport of TLS MUST be answered over TLS, and found as `_sips`.
        Ok(Self { host, port: via.port, secure: transport.is_secure(), transport: Some(transport) })
    }

    /// The domain name that is to be found.
    #[must_use]
    pub const fn name(&self) -> Option<&Arc<str>> {
        match &self.host {
            TargetHost::Name(name) => Some(name),
            TargetHost::Address(_) => None,
        }
    }

    /// RFC 3263 4.1: the transport where neither the URI nor the DNS says one.
    pub(super) const fn default_transport(&self) -> Transport {
        if self.secure { Transport::Tls } else { Transport::Udp }
    }
}

/// A maddr may name an IPv6 address with or without brackets (RFC 3261 25.1 wants them).
fn maddr_host(text: &Bytes) -> Option<Host> {
    let bare = || std::str::from_utf8(text).ok()?.parse::<IpAddr>().ok().map(Host::from);
    Host::parse(text).or_else(bare)
}

/// RFC 3261 26.2.2: in a SIPS URI the transport is what TLS runs over.
const fn secured(transport: Transport, secure: bool) -> Result<Transport, LocateError> {
    match transport {
        Transport::Tcp if secure => Ok(Transport::Tls),
        Transport::Ws if secure => Ok(Transport::Wss),
        Transport::Udp if secure => Err(LocateError::Transport),
        other => Ok(other),
    }
}
