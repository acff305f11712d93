//! The node's listeners: bound as the configuration writes them, with the ports that were found.

use std::io;
use std::net::SocketAddr;

use anyhow::Context as _;
use restante::machine::sip::Transport;

use crate::config::{Config, Listen};
use crate::link::{MsrpTransport, SipTransport};

/// Binds the SIP listeners.
pub(super) fn sip(sip: &SipTransport, config: &Config) -> anyhow::Result<Vec<Listen>> {
    bind(&config.sip.listen, |listen| match listen.transport {
        Transport::Udp => sip.listen_udp(listen.address),
        stream => sip.listen(stream, listen.address),
    })
}

/// Binds the MSRP listeners.
pub(super) fn msrp(msrp: &MsrpTransport, config: &Config) -> anyhow::Result<Vec<Listen>> {
    bind(&config.msrp.listen, |listen| msrp.listen(listen.transport, listen.address))
}

fn bind(
    wanted: &[Listen],
    bind_one: impl Fn(&Listen) -> io::Result<SocketAddr>,
) -> anyhow::Result<Vec<Listen>> {
    let bound = wanted.iter().map(|listen| {
        let address = bind_one(listen).with_context(|| format!("cannot listen at {listen}"))?;
        Ok(Listen { address, ..*listen })
    });
    bound.collect()
}
