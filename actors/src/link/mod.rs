//! Everything that touches sockets: SIP over UDP and TCP, MSRP over TCP, names to addresses.
//!
//! - [`SipTransport`] listens ([`SipTransport::listen_udp`], [`SipTransport::listen_tcp`]), hands what
//!   arrives to the [`SipPorts`] given at birth, and gives every shard a [`SipSender`].
//! - [`MsrpTransport`] listens and connects; a session [registers](MsrpTransport::register) its id with an
//!   [`MsrpPort`] and gets the frames addressed to it, however many connections and sessions there are.
//! - [`Resolver`] finds the places a SIP or MSRP URI stands for, by the DNS.
//!
//! Nothing here knows an actor: ports are closures or `actix::Recipient`s. Memory per connection is
//! bounded both ways: what is read by permits that travel with it, what is written by an [`OutboxLimits`].
//! Every task ends with its connection, or soon after [`Stopper::stop`]. TLS is not done here yet.

mod census;
mod connection;
mod cores;
mod dns;
mod intake;
mod listen;
mod msrp;
#[cfg(test)]
mod msrp_limits_tests;
mod msrp_link;
mod msrp_reader;
mod msrp_registry;
#[cfg(test)]
mod msrp_tests;
mod net;
mod outbox;
mod resolve;
mod seldom;
mod sip;
mod sip_connection;
mod sip_stream;
#[cfg(test)]
mod sip_tests;
mod stop;
mod stream;
mod udp;

pub use census::{ConnectionLimits, Full};
pub use cores::{ArbiterGone, Cores};
pub use dns::{DnsSettings, DnsUnusable};
pub use msrp::{MsrpConnectError, MsrpLimits, MsrpTransport};
pub use msrp_link::{LinkClosed, LinkDrained, LinkGone, LinkId, MsrpEvent, MsrpFrames, MsrpLink, MsrpPort};
pub use msrp_registry::MsrpRegistration;
pub use outbox::{CloseCause, OutboxLimits};
pub use resolve::Resolver;
pub use sip::{
    Admission, FlowClosed, SipLimits, SipPorts, SipReceived, SipSender, SipTransport, TransportFailed,
};
pub use stop::Stopper;
#[cfg(test)]
pub(crate) use {listen::bind_tcp, udp::bind as bind_udp};

/// How long an ending connection may take to write what is queued and to see the peer close.
pub const LINGER: std::time::Duration = std::time::Duration::from_secs(2);
