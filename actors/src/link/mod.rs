//! Everything that touches sockets: SIP over UDP, MSRP, both over TCP, TLS and WebSocket; names to
//! addresses.
//!
//! - [`SipTransport`] listens ([`SipTransport::listen_udp`], [`SipTransport::listen`]), hands what
//!   arrives to the [`SipPorts`] given at birth, and gives every shard a [`SipSender`].
//! - [`MsrpTransport`] listens and connects; a session [registers](MsrpTransport::register) its id with an
//!   [`MsrpPort`] and gets the frames addressed to it, however many connections and sessions there are.
//! - [`Resolver`] finds the places a SIP or MSRP URI stands for, by the DNS.
//!
//! Nothing here knows an actor: ports are closures. Memory per connection is
//! bounded both ways: what is read by permits that travel with it, what is written by an [`OutboxLimits`].
//! Every task ends with its connection, or soon after [`Stopper::stop`]. Handshakes are bounded in time and number.

mod census;
mod close_cause;
mod connection;
mod cores;
mod dns;
mod first;
mod guard;
mod intake;
mod listen;
mod lobby;
mod msrp;
#[cfg(test)]
mod msrp_limits_tests;
mod msrp_link;
mod msrp_reader;
mod msrp_registry;
#[cfg(test)]
mod msrp_tests;
mod net;
mod open;
mod outbox;
mod resolve;
mod sip;
mod sip_connection;
mod sip_stream;
#[cfg(test)]
mod sip_tests;
mod stop;
mod stream;
mod tls;
mod turns;
mod udp;
mod udp_socket;
mod web;
mod writer;

pub use census::ConnectionLimits;
pub use cores::Cores;
pub use dns::DnsSettings;
pub(crate) use first::first_of;
pub use guard::Guard;
pub(crate) use listen::is_ours;
pub use msrp::{MsrpConnectError, MsrpLimits, MsrpTarget, MsrpTransport};
pub use msrp_link::{MsrpEvent, MsrpFrames, MsrpLink, MsrpPort};
pub use msrp_registry::MsrpRegistration;
pub use open::HandshakeLimits;
pub use outbox::OutboxLimits;
pub use resolve::Resolver;
pub use sip::{
    Backlog, LineAhead, SipLimits, SipPorts, SipReceived, SipSender, SipTransport, TransportFailed,
};
pub use stop::Stopper;
pub(crate) use tls::{Expect, config as tls_config, is_authority, provider as tls_provider};
pub use tls::{Tls, TlsError, TlsFiles};
pub use web::WebLimits;
#[cfg(test)]
pub(crate) use {
    listen::bind_tcp,
    net::limit_unsent,
    udp_socket::{Datagram, UdpSocket},
};

/// How long an ending connection may take to write what is queued and to see the peer close.
pub const LINGER: std::time::Duration = std::time::Duration::from_secs(2);
