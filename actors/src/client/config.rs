//! What a client is set up with: who it is, where its requests go, how long it waits.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use restante::client::Account;
use restante::machine::digest::Login;
use restante::machine::sip::locate::{LocateError, Target, TargetHost};
use restante::machine::sip::{Timers, Transport};

use super::error::ClientError;
use super::observer::Observer;
use super::secure::TlsSettings;

/// Where requests go: a host, and as much of the way to it as is known. What is left open the DNS says (RFC 3263).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// A name, or an address (IPv6 without brackets).
    pub host: String,
    /// The port; without it, what the DNS says, or that of the transport.
    pub port: Option<u16>,
    /// The transport; without it, what the DNS says, or UDP.
    pub transport: Option<Transport>,
    /// Whether it must be TLS, by the way that the DNS says: a SIPS URI.
    pub secure: bool,
}

impl FromStr for NodeAddress {
    type Err = ClientError;

    /// Reads `tcp:host:port`, `tls:host`, `udp:[::1]:5070`; `sip:host;transport=tls`, `sips:host`; a host alone, which
    /// is looked up. A host with a port, an address and `localhost` mean TCP where nothing else is said.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let fault = |problem: &str| ClientError::Node { text: text.to_owned(), problem: problem.to_owned() };
        let (secure, named, rest) = match text.split_once(':') {
            Some((name, rest)) if !name.contains(['.', '[']) => match name.to_ascii_lowercase().as_str() {
                "sips" => (true, None, rest),
                "sip" => (false, None, rest),
                other => match Transport::parse(other.as_bytes()) {
                    Some(transport) => (false, Some(transport), rest),
                    None if rest.parse::<u16>().is_ok() => (false, None, text),
                    None => return Err(fault("not one of tcp:, tls:, udp:, sip: or sips: and a host")),
                },
            },
            _ => (false, None, text),
        };
        let is_uri = rest.len() != text.len() && named.is_none();
        let (rest, transport) = match rest.split_once(';') {
            None => (rest, named),
            Some((rest, parameter)) => {
                let value = parameter.strip_prefix("transport=").filter(|_| is_uri);
                let transport = value.and_then(|value| Transport::parse(value.as_bytes()));
                (rest, Some(transport.ok_or_else(|| fault("only ;transport= of a URI is understood"))?))
            }
        };
        let speaks = |it: &Transport| matches!(it, Transport::Udp | Transport::Tcp | Transport::Tls);
        if transport.as_ref().is_some_and(|it| !speaks(it)) {
            return Err(fault("the client speaks UDP, TCP and TLS"));
        }
        if secure && transport == Some(Transport::Udp) {
            return Err(fault("sips: is TLS, never UDP"));
        }
        // What carries SIPS is TLS over TCP, whichever of the two is named.
        let transport = transport.filter(|_| !secure);
        let (host, port) = host_and_port(rest).ok_or_else(|| fault("no host, or no port up to 65535"))?;
        let mut address = Self { host: host.to_owned(), port, transport, secure };
        if !secure && (address.is_known() || (port.is_some() && !is_uri)) {
            let transport = transport.unwrap_or(Transport::Tcp);
            address.transport = Some(transport);
            address.port = port.or_else(|| address.is_known().then(|| transport.default_port()));
        }
        address.target().map(|_| address)
    }
}

/// `host`, `host:port`, `[address]`, `[address]:port`.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, port) = inner.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map(str::parse).transpose().ok()?;
    (!host.is_empty() && !host.contains([' ', '/', '@'])).then_some((host, port))
}

impl NodeAddress {
    /// Whether no DNS is needed to find the host: an address, or this machine (RFC 6761 6.3).
    fn is_known(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok() || self.host.eq_ignore_ascii_case("localhost")
    }

    /// What is to be looked for.
    pub(super) fn target(&self) -> Result<Target, ClientError> {
        let fault = |error: LocateError| ClientError::Node {
            text: self.to_string(),
            problem: error.to_string().replace("not a SIP URI", "not the name of a host"),
        };
        let host = match self.host.parse::<IpAddr>() {
            Ok(ip) => TargetHost::Address(ip),
            Err(_) => TargetHost::named(self.host.as_bytes()).map_err(fault)?,
        };
        let secure = self.secure || self.transport == Some(Transport::Tls);
        Ok(Target { host, port: self.port, secure, transport: self.transport })
    }
}

impl From<SocketAddr> for NodeAddress {
    /// TCP at this address.
    fn from(addr: SocketAddr) -> Self {
        let (host, port) = (addr.ip().to_string(), Some(addr.port()));
        Self { host, port, transport: Some(Transport::Tcp), secure: false }
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.secure, self.transport) {
            (true, _) => f.write_str("sips:")?,
            (false, Some(transport)) => write!(f, "{}:", transport.label())?,
            (false, None) => f.write_str("sip:")?,
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// What a client is set up with.
#[derive(Clone)]
pub struct ClientConfig {
    /// Who it is.
    pub account: Account,
    /// Where its requests go.
    pub node: NodeAddress,
    /// Name and password, for a node that asks for them.
    pub login: Option<Login>,
    /// The host of message URIs; without it, what the summary's Message-Account tells.
    pub store_host: Option<String>,
    /// Whom it believes over TLS, and who it proves to be.
    pub tls: TlsSettings,
    /// Whether sessions are carried within TLS; without it, as the requests are.
    pub secure_sessions: Option<bool>,
    /// The DNS servers it asks; none: the system's.
    pub dns: Vec<SocketAddr>,
    /// The address it sends from and listens at; without it, the one that leads to the node, and any port.
    pub local: Option<SocketAddr>,
    /// How long it waits for the first answer to a request, from each place that the node's name stands for, and for
    /// a session to go on.
    pub patience: Duration,
    /// The timers of its transactions.
    pub timers: Timers,
    /// Is shown everything that goes over the wire.
    pub observer: Option<Observer>,
}

impl ClientConfig {
    /// A client of `account` that asks `node`, and waits 10 seconds.
    #[must_use]
    pub fn new(account: Account, node: NodeAddress) -> Self {
        Self {
            account,
            node,
            login: None,
            store_host: None,
            tls: TlsSettings::default(),
            secure_sessions: None,
            dns: Vec::new(),
            local: None,
            patience: Duration::from_secs(10),
            timers: Timers::default(),
            observer: None,
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("account", &self.account)
            .field("node", &self.node)
            .field("store_host", &self.store_host)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [
            ("udp:127.0.0.1:5070", "udp:127.0.0.1:5070"),
            ("TCP:sip.example.com", "tcp:sip.example.com"),
            ("tls:sip.example.com:5062", "tls:sip.example.com:5062"),
            ("tls:127.0.0.1", "tls:127.0.0.1:5061"),
            ("udp:[::1]", "udp:[::1]:5060"),
            ("[::1]:5080", "tcp:[::1]:5080"),
            ("sip.example.com:5080", "tcp:sip.example.com:5080"),
            ("localhost:5080", "tcp:localhost:5080"),
            ("localhost", "tcp:localhost:5060"),
            ("127.0.0.1", "tcp:127.0.0.1:5060"),
            ("example.com", "sip:example.com"),
            ("sip:example.com", "sip:example.com"),
            ("SIPS:example.com:5062", "sips:example.com:5062"),
            ("sip:example.com;transport=tls", "tls:example.com"),
            ("sips:example.com;transport=tcp", "sips:example.com"),
        ] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), written, "{text}");
            let again: NodeAddress = address.to_string().parse().unwrap();
            assert_eq!(again.target().unwrap(), address.target().unwrap(), "{text}");
        }
    }

    // proves RFC 3263 4.1: what is not said is left to the DNS
    #[test]
    fn what_is_looked_for_says_no_more_than_was_said() {
        let of = |text: &str| {
            let target = text.parse::<NodeAddress>().unwrap().target().unwrap();
            (target.transport, target.port, target.secure)
        };
        assert_eq!(of("Example.com"), (None, None, false));
        assert_eq!(of("sips:example.com"), (None, None, true));
        assert_eq!(of("sip:example.com:5070"), (None, Some(5070), false));
        assert_eq!(of("tls:example.com"), (Some(Transport::Tls), None, true));
        assert_eq!(of("udp:example.com"), (Some(Transport::Udp), None, false));
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in [
            "",
            "udp:",
            "sctp:host:1",
            "ws:host:80",
            "tcp:host:99999",
            "[::1",
            "a b",
            "sip:bob@example.com",
            "tls:host;transport=tcp",
            "sip:host;transport=ws",
            "sips:host;transport=udp",
            "[sip.example.com]",
            "sip:host;lr",
            "a..b",
        ] {
            let problem = text.parse::<NodeAddress>().unwrap_err().to_string();
            assert!(problem.starts_with('`') && problem.contains("`: "), "{text}: {problem}");
        }
    }
}
