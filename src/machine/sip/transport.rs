//! Where a message came from and where one goes: [`Transport`], [`Flow`], [`Destination`]
//! (RFC 3261 18, RFC 3581, RFC 7118). No socket here; whoever owns the sockets obeys these values.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A SIP transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Transport {
    /// Datagrams (RFC 3261 18).
    Udp,
    /// A stream (RFC 3261 18).
    Tcp,
    /// TLS over TCP (RFC 3261 26.3.1).
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS (RFC 7118).
    Wss,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Whether the transport delivers what it accepts, so that nothing is retransmitted over it.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether what is said over it is encrypted.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The name a Via header field carries, such as `UDP`.
    #[must_use]
    pub const fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The name in lower case, as it stands in configuration and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Whether messages come as WebSocket messages.
    #[must_use]
    pub const fn is_web(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The port meant where none is written (RFC 3261 19.1.2, RFC 7118 5).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Reads the name out of a Via header field or a `transport` parameter, in any case.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| name.eq_ignore_ascii_case(transport.via_name().as_bytes()))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via_name())
    }
}

/// The way a message came: a connection, or a pair of UDP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport protocol.
    pub transport: Transport,
    /// The number its owner gave the connection; 0 for UDP.
    pub connection: u64,
    /// The address of this node on which it came.
    pub local: SocketAddr,
    /// The address of the peer from which it came.
    pub peer: SocketAddr,
}

impl Flow {
    /// Whether it came to the socket that is bound to `bound`, which may be all addresses of a family.
    #[must_use]
    pub fn came_to(&self, bound: SocketAddr) -> bool {
        let of_all = bound.ip().is_unspecified()
            && (bound.port(), bound.is_ipv4()) == (self.local.port(), self.local.is_ipv4());
        of_all || bound == self.local
    }
}

/// The way a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The transport protocol.
    pub transport: Transport,
    /// Where to send, or to connect to where `flow` does not live any more.
    pub addr: SocketAddr,
    /// The open connection to reuse while it lives. For UDP: its `local` names the socket to send
    /// from (RFC 3581 4).
    pub flow: Option<Flow>,
    /// Whether a request of more than 1300 bytes may go over TCP instead of UDP (RFC 3261 18.1.1).
    pub upgrade: bool,
    /// The host of the URI that led here, in lower case: what the peer of a new TLS connection must prove
    /// to be (RFC 5922 7.3). `None`: the address itself.
    pub domain: Option<Arc<str>>,
}

impl Destination {
    /// The address `addr` over `transport`, by no particular connection; UDP may be upgraded.
    #[must_use]
    pub const fn new(transport: Transport, addr: SocketAddr) -> Self {
        Self { transport, addr, flow: None, upgrade: true, domain: None }
    }

    /// Back along `flow`; the peer's own address stands in where the connection is gone.
    #[must_use]
    pub const fn back(flow: Flow) -> Self {
        Self { transport: flow.transport, addr: flow.peer, flow: Some(flow), upgrade: true, domain: None }
    }

    /// Whether a response to a request that went here may come by `flow` (RFC 3261 18.2.2): by the same transport, and by a
    /// connection from this host only, be it another one. Of a datagram the source tells nothing: it can be forged, and a
    /// host with several addresses may answer by any.
    pub(super) fn may_answer_by(&self, flow: &Flow) -> bool {
        let same_host = || self.addr.ip().to_canonical() == flow.peer.ip().to_canonical();
        self.transport == flow.transport && (!self.transport.is_reliable() || same_host())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_written_in_capitals() {
        for transport in Transport::ALL {
            assert_eq!(Transport::parse(transport.via_name().as_bytes()), Some(transport));
            assert_eq!(Transport::parse(transport.label().as_bytes()), Some(transport));
            assert_eq!(transport.label(), transport.to_string().to_ascii_lowercase());
        }
        assert_eq!(Transport::parse(b"SCTP"), None);
    }

    #[test]
    fn a_flow_came_to_its_address_or_to_all_of_its_family() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let came = |local, bound| {
            Flow { transport: Transport::Udp, connection: 0, local: at(local), peer: at("192.0.2.2:9") }
                .came_to(at(bound))
        };
        assert!(came("192.0.2.1:5060", "192.0.2.1:5060") && came("192.0.2.1:5060", "0.0.0.0:5060"));
        assert!(came("[2001:db8::1]:5060", "[::]:5060") && came("0.0.0.0:5060", "0.0.0.0:5060"));
        for other in ["0.0.0.0:5070", "[::]:5060", "192.0.2.2:5060", "192.0.2.1:5070"] {
            assert!(!came("192.0.2.1:5060", other), "{other}");
        }
    }

    #[test]
    fn only_udp_loses_messages() {
        assert!(!Transport::Udp.is_reliable());
        assert!(Transport::Wss.is_reliable() && Transport::Wss.is_secure() && !Transport::Tcp.is_secure());
        assert_eq!((Transport::Tls.default_port(), Transport::Udp.default_port()), (5061, 5060));
    }
}
