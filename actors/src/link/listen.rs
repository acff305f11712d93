//! Listening sockets, and what every TCP connection has in common.

use super::census::{Census, Seat};
use super::cores::Cores;
use super::net::{self, HandedOver, TcpListener, TcpStream};
use super::seldom::Seldom;
use super::stop::Stop;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// Connections the system holds until they are accepted.
const BACKLOG: i32 = 1024;
/// How long to wait when the system has no more descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// Silence after which the system probes whether the peer still exists.
const PROBE_AFTER: Duration = Duration::from_secs(120);

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

/// Sets what every connection wants: no delay, and a probe of silent peers.
pub(crate) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    net::keep_alive(stream, &TcpKeepalive::new().with_time(PROBE_AFTER));
}

/// What the accept loop of one listener needs.
pub(crate) struct Accept<F> {
    /// `sip` or `msrp`.
    pub(crate) protocol: &'static str,
    pub(crate) listener: TcpListener,
    pub(crate) census: Arc<Census>,
    pub(crate) cores: Cores,
    pub(crate) stop: Stop,
    /// Serves one connection on the core it was placed on.
    pub(crate) serve: F,
}

/// Accepts until told to stop; each connection gets a seat and a core, or is closed at once.
pub(crate) async fn accept<F, S>(accept: Accept<F>)
where
    F: Fn(HandedOver, SocketAddr, Seat) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let Accept { protocol, listener, census, cores, mut stop, serve } = accept;
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
                Ok(stream) => drop(cores.next().spawn(serve(stream, peer, seat))),
                Err(error) => warn!(protocol, %peer, cause = %error, "connection lost"),
            },
            Err(full) => {
                metrics::counter!("restante_connections_refused_total",
                    "protocol" => protocol, "cause" => full.label())
                .increment(1);
                if let Some(left_out) = refused.tell(Instant::now()) {
                    warn!(protocol, %peer, cause = %full, left_out, "connection refused");
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

/// Reads and discards until the peer closes, so that what was written last is not lost to a reset.
pub(crate) async fn see_off(stream: &TcpStream) {
    net::shutdown_write(stream);
    let discard = async {
        while stream.readable().await.is_ok() && discard_some(stream) {
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(super::LINGER, discard).await;
}

/// Discards some of what is there; `false` at the end. The buffer is on the stack here so that no waiting
/// task carries it.
fn discard_some(stream: &TcpStream) -> bool {
    let mut scratch = [0_u8; 4096];
    match stream.try_read(&mut scratch) {
        Ok(count) => count > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
