//! Listening sockets, and what every TCP connection has in common.

use super::census::{Census, Seat};
use super::cores::Cores;
use super::lobby::Lobby;
use super::net::{self, TcpListener, TcpStream};
use super::stop::{Stop, Stopper};
use crate::seldom::{Seldom, seldom};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// Connections the system holds until they are accepted.
const BACKLOG: i32 = 1024;
/// How long to wait when the system has no more descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// Silence after which the system probes whether the peer still exists.
const PROBE_AFTER: Duration = Duration::from_secs(120);
/// Bytes that the system takes before it can send them, about. It would take megabytes, which on a slow way stand for half a
/// minute before a small message, and before its answer is due.
const UNSENT: u32 = 128 << 10;

/// A socket of the family of `addr`; an IPv6 one takes no IPv4.
pub(crate) fn socket(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A bound, listening socket.
pub(crate) fn bind_tcp(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket(addr, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether the node has the address `ip`: nobody binds another's.
pub(crate) fn is_ours(ip: IpAddr) -> bool {
    let bound = std::net::UdpSocket::bind((ip, 0));
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// Sets what every connection wants: no delay, little that the system keeps, and a probe of silent peers.
pub(crate) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    net::unsent(stream, UNSENT);
    net::keep_alive(stream, &TcpKeepalive::new().with_time(PROBE_AFTER));
}

/// A connection that a peer has opened, on the core that shakes hands with it.
pub(crate) struct Accepted {
    pub(crate) tcp: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) seat: Seat,
    pub(crate) stop: Stop,
}

/// What the listeners of one kind of connection share.
#[derive(Clone)]
pub(crate) struct Reception {
    /// `sip` or `msrp`.
    pub(crate) protocol: &'static str,
    pub(crate) census: Arc<Census>,
    pub(crate) cores: Cores,
    pub(crate) stopper: Stopper,
    /// Where who finds no seat is told so; without one he is closed at once.
    pub(crate) lobby: Option<Lobby>,
}

impl Reception {
    /// Listens at `addr` (port 0: any free one) and serves what is accepted, until the stop; returns the
    /// address bound.
    pub(crate) fn listen<F, S>(&self, addr: SocketAddr, serve: F) -> io::Result<SocketAddr>
    where
        F: Fn(Accepted) -> S + Clone + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let core = self.cores.next();
        let _context = core.enter();
        let listener = net::listen(addr)?;
        let bound = listener.local_addr()?;
        core.spawn(accept(self.clone(), listener, self.stopper.signal(), serve));
        Ok(bound)
    }
}

/// Accepts until told to stop; each connection gets a seat and a core, or is sent away.
async fn accept<F, S>(reception: Reception, listener: TcpListener, mut stop: Stop, serve: F)
where
    F: Fn(Accepted) -> S + Clone + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let Reception { protocol, census, cores, lobby, .. } = reception;
    let refused = Seldom::new(10);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.stopped() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                failed(protocol, &error).await;
                continue;
            }
        };
        match census.admit(peer.ip()) {
            Ok(seat) => match stream.into_std() {
                Ok(stream) => {
                    let (serve, stop) = (serve.clone(), stop.clone());
                    cores.next().spawn(async move {
                        // On its core, where the socket's events are to be told.
                        match TcpStream::from_std(stream) {
                            Ok(tcp) => {
                                tune(&tcp);
                                serve(Accepted { tcp, peer, seat, stop }).await;
                            }
                            Err(error) => seldom!(warn, protocol, %peer, cause = %error, "connection lost"),
                        }
                    });
                }
                Err(error) => seldom!(warn, protocol, %peer, cause = %error, "connection lost"),
            },
            Err(full) => {
                metrics::counter!("restante_connections_refused_total",
                    "protocol" => protocol, "cause" => full.label())
                .increment(1);
                if let Some(left_out) = refused.tell(Instant::now()) {
                    warn!(protocol, %peer, cause = %full, left_out, "connection refused");
                }
                if let Some(lobby) = &lobby {
                    lobby.turn_away(stream, peer, stop.clone());
                }
            }
        }
    }
}

/// An `accept` that failed: the peer was gone already, or the system has no descriptor left.
async fn failed(protocol: &'static str, error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {
            debug!(protocol, cause = %error, "peer gone before it was accepted");
        }
        _ => {
            tracing::error!(protocol, cause = %error, "cannot accept");
            tokio::time::sleep(EXHAUSTED).await;
        }
    }
}
