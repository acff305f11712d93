//! Where a client's node is ([`find`]): the places that its address stands for, best first (RFC 3263), and the
//! address of this machine from which they are reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use restante::machine::sip::{Destination, Transport};
use tokio::net::UdpSocket;

use super::config::ClientConfig;
use super::error::ClientError;
use crate::link::{DnsSettings, Resolver};

/// How long the DNS may take for one question.
const QUESTION: Duration = Duration::from_secs(5);
/// Sockets for it: a client asks little.
const SOCKETS: usize = 256;

/// What was found; at least one place.
pub(super) struct Found {
    pub(super) best: Destination,
    pub(super) others: Vec<Destination>,
    /// The address that leads to the best one.
    pub(super) local: IpAddr,
}

/// A resolver as the configuration wants it.
pub(super) fn resolver(config: &ClientConfig) -> Result<Resolver, ClientError> {
    // Three questions in a row, each of which may stay without an answer, take less than all the patience.
    let timeout = (config.patience * 3 / 10).min(QUESTION);
    let settings = DnsSettings { servers: config.dns.clone(), timeout, ipv6_first: false, sockets: SOCKETS };
    Resolver::new(&settings).map_err(|error| ClientError::Io(std::io::Error::other(error)))
}

/// Finds the places of the node.
pub(super) async fn find(config: &ClientConfig, resolver: &Resolver) -> Result<Found, ClientError> {
    let unreachable = |cause: String| ClientError::Unreachable { node: config.node.to_string(), cause };
    let located = tokio::time::timeout(config.patience, resolver.locate(config.node.target()?)).await;
    let located = match located {
        Ok(Ok(places)) => places,
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable("the name was not resolved in time".to_owned())),
    };
    let mut found: Option<Found> = None;
    let mut problem = None;
    for place in located {
        let local = match toward(place.addr).await {
            Ok(local) => local,
            Err(error) => {
                problem = Some(format!("{}: {error}", place.addr));
                continue;
            }
        };
        let to = Destination {
            transport: place.transport,
            addr: place.addr,
            flow: None,
            upgrade: place.upgrade,
            domain: place.domain,
        };
        match &mut found {
            None => found = Some(Found { best: to, others: Vec::new(), local }),
            Some(found) if is_reached_from(&to, found.local, local) => found.others.push(to),
            Some(_) => {}
        }
    }
    found.ok_or_else(|| unreachable(problem.unwrap_or_else(|| "no address for the host".to_owned())))
}

/// Whether a place can be sent to from a socket at `bound`, where `local` is the address that leads there: a datagram
/// has to come from that one, a connection is made from wherever it likes.
fn is_reached_from(to: &Destination, bound: IpAddr, local: IpAddr) -> bool {
    bound == local || (to.transport != Transport::Udp && bound.is_ipv4() == local.is_ipv4())
}

/// The address of this machine from which packets go to `peer`.
async fn toward(peer: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let probe = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    probe.connect(peer).await?;
    Ok(probe.local_addr()?.ip())
}
