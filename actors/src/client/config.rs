//! What a client is set up with: who it is, where its requests go, how long it waits.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use restante::client::Account;
use restante::machine::digest::Login;
use restante::machine::sip::{Timers, Transport};

use super::error::ClientError;
use super::observer::Observer;

/// Where requests go: a transport, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// The transport.
    pub transport: Transport,
    /// A name, or an address (IPv6 without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for NodeAddress {
    type Err = ClientError;

    /// Reads `tcp:host:port`, `udp:host`, `tls:[::1]:5061`; without a transport it is TCP.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let fault = |problem: &str| ClientError::Node { text: text.to_owned(), problem: problem.to_owned() };
        let (transport, rest) = match text.split_once(':') {
            Some((name, rest)) if !name.contains(['.', '[']) => match Transport::parse(name.as_bytes()) {
                Some(transport) => (transport, rest),
                None if rest.parse::<u16>().is_ok() => (Transport::Tcp, text),
                None => return Err(fault("not one of udp:HOST:PORT, tcp:HOST:PORT, tls:HOST:PORT")),
            },
            _ => (Transport::Tcp, text),
        };
        if !matches!(transport, Transport::Udp | Transport::Tcp | Transport::Tls) {
            return Err(fault("the client speaks UDP, TCP and TLS"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, port) = inner.split_once(']').ok_or_else(|| fault("`]` is missing"))?;
                (host, port.strip_prefix(':'))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() || host.contains([' ', '/', '@']) {
            return Err(fault("no host"));
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| fault("the port is no number up to 65535"))?,
            None => transport.default_port(),
        };
        Ok(Self { transport, host: host.to_owned(), port })
    }
}

impl From<SocketAddr> for NodeAddress {
    /// TCP at this address.
    fn from(addr: SocketAddr) -> Self {
        Self { transport: Transport::Tcp, host: addr.ip().to_string(), port: addr.port() }
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.transport.via_name().to_ascii_lowercase();
        match self.host.contains(':') {
            true => write!(f, "{name}:[{}]:{}", self.host, self.port),
            false => write!(f, "{name}:{}:{}", self.host, self.port),
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
    /// The address it sends from and listens at; without it, the one that leads to the node, and any port.
    pub local: Option<SocketAddr>,
    /// How long it waits for the first answer to a request, and for a session to go on.
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
            ("TCP:sip.example.com", "tcp:sip.example.com:5060"),
            ("tls:[::1]", "tls:[::1]:5061"),
            ("[::1]:5080", "tcp:[::1]:5080"),
            ("sip.example.com:5080", "tcp:sip.example.com:5080"),
            ("localhost:5080", "tcp:localhost:5080"),
            ("127.0.0.1", "tcp:127.0.0.1:5060"),
        ] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), written, "{text}");
            assert_eq!(address.to_string().parse::<NodeAddress>().unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["", "udp:", "sctp:host:1", "ws:host:80", "tcp:host:99999", "[::1", "a b"] {
            let problem = text.parse::<NodeAddress>().unwrap_err().to_string();
            assert!(problem.starts_with(&format!("`{text}`: ")), "{problem}");
        }
    }
}
