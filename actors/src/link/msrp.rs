//! MSRP over TCP, TLS and WebSocket (RFC 4975 5.4, 14, RFC 7977): listeners, connections the node opens, sessions.

use super::census::{Census, ConnectionLimits, Seat};
use super::close_cause::CloseCause;
use super::cores::Cores;
use super::first::first_of;
use super::guard::Guard;
use super::listen::{Accepted, Reception, tune};
use super::msrp_link::{Carrier, LinkId, MsrpLink, MsrpPort};
use super::msrp_reader::{self, Opened};
use super::msrp_registry::{By, Lookup, MsrpRegistration, Registry};
use super::net::TcpStream;
use super::open::{HandshakeLimits, Opening};
use super::outbox::{Outbox, OutboxLimits};
use super::stop::{Stop, Stopper};
use super::stream::Stream;
use super::tls::{Expect, Tls};
use crate::seldom::seldom;
use bytes::Bytes;
use restante::machine::sip::Transport;
use restante::wire::fingerprint::Fingerprint;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// Limits of MSRP connections.
#[derive(Clone, Debug)]
pub struct MsrpLimits {
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// Bytes of the header of one frame.
    pub header: usize,
    /// A frame's header that has begun must be complete within this time.
    pub header_timeout: Duration,
    /// A connection without a session ends after this time.
    pub bind_timeout: Duration,
    /// A connection on which nothing came for so long ends.
    pub idle_timeout: Duration,
    /// How long the peer may take to accept a connection, all its addresses together.
    pub connect_timeout: Duration,
    /// Bytes handed to sessions in one batch.
    pub batch: usize,
    /// Bytes of one connection that sessions may hold; beyond this nothing is read. At least `batch`.
    pub credit: usize,
    /// Limits of TLS and WebSocket handshakes.
    pub handshake: HandshakeLimits,
    /// What may wait to be written.
    pub outbox: Arc<OutboxLimits>,
}

impl Default for MsrpLimits {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            header: 8 << 10,
            header_timeout: Duration::from_secs(10),
            bind_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30 * 60),
            connect_timeout: Duration::from_secs(10),
            batch: 256 << 10,
            credit: 512 << 10,
            handshake: HandshakeLimits::default(),
            outbox: Arc::default(),
        }
    }
}

/// Why no connection was opened for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MsrpConnectError {
    /// The node has as many connections as it may.
    #[error("too many connections")]
    Full,
    /// There was no address to connect to.
    #[error("no address")]
    NoAddress,
    /// None of the addresses accepted; the last one's reason.
    #[error("connect failed: {0}")]
    Refused(io::ErrorKind),
    /// None of the addresses answered in time.
    #[error("connect timed out")]
    Timeout,
    /// The session is not registered, or not any more.
    #[error("no such session")]
    NoSession,
    /// The session got another connection meanwhile.
    #[error("the session has a connection already")]
    Bound,
    /// The peer did not prove to be who it must be, or TLS failed otherwise.
    #[error("the peer did not prove who it is")]
    Identity,
    /// The node stops.
    #[error("the node stops")]
    Stopped,
}

/// Where and how to connect for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MsrpTarget {
    /// The addresses, best first.
    pub addrs: Vec<SocketAddr>,
    /// Where the connection is to be secured by TLS: the host of the peer's URI, which its certificate must
    /// name unless the description told fingerprints.
    pub secure: Option<(String, Vec<Fingerprint>)>,
}

/// All MSRP connections of the node; clones are the same.
#[derive(Clone)]
pub struct MsrpTransport(Arc<Hub>);

/// What every connection shares.
pub(crate) struct Hub {
    pub(crate) limits: MsrpLimits,
    pub(crate) registry: Arc<Registry>,
    census: Arc<Census>,
    opening: Opening,
    cores: Cores,
    stopper: Stopper,
    serial: AtomicU64,
}

impl MsrpTransport {
    /// Nothing listening yet, no session.
    #[must_use]
    pub fn new(limits: MsrpLimits, tls: Arc<Tls>, cores: Cores, stopper: Stopper) -> Self {
        let census = Census::new(limits.connections.clone());
        let opening = Opening::new("msrp", limits.handshake.clone(), tls);
        let registry = Arc::new(Registry::default());
        Self(Arc::new(Hub { limits, registry, census, opening, cores, stopper, serial: AtomicU64::new(0) }))
    }

    /// Listens for connections of any transport but UDP at `addr` (port 0: any free one) until the stop; returns the address bound.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen(&self, transport: Transport, addr: SocketAddr) -> io::Result<SocketAddr> {
        let hub = Arc::clone(&self.0);
        let reception = Reception {
            protocol: "msrp",
            census: Arc::clone(&self.0.census),
            cores: self.0.cores.clone(),
            stopper: self.0.stopper.clone(),
            lobby: None,
        };
        reception.listen(addr, move |accepted| serve_accepted(Arc::clone(&hub), transport, accepted))
    }

    /// Whether there is no room for another connection.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.census.is_full()
    }

    /// Makes a session known by the session-id of the node's own URI: frames that name it go to `port`
    /// until the registration is dropped, where `guard` admits the connection they come on.
    #[must_use]
    pub fn register(&self, session: Bytes, guard: Guard, port: MsrpPort) -> MsrpRegistration {
        self.0.registry.register(session, guard, port, self.0.cores.current())
    }

    /// The fingerprint of the certificate that secured connections show.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.opening.tls().fingerprint()
    }

    /// How many sessions are known.
    #[cfg(test)]
    pub(crate) fn sessions(&self) -> usize {
        self.0.registry.len()
    }

    /// Opens a connection to the first address of `target` that accepts, for a session that is registered, and does not leave
    /// for another meanwhile; its tasks run where the future is polled. The caller sends the first request at once (RFC 4975 5.4).
    pub fn connect(
        &self,
        registration: &MsrpRegistration,
        target: MsrpTarget,
    ) -> impl Future<Output = Result<MsrpLink, MsrpConnectError>> + Send + use<> {
        let hub = Arc::clone(&self.0);
        let (session, moves) = (registration.session().clone(), registration.moves());
        async move {
            let seat = hub.census.seat().map_err(|_| MsrpConnectError::Full)?;
            let mut stop = hub.stopper.signal();
            let connected = tokio::select! {
                biased;
                () = stop.stopped() => Err(MsrpConnectError::Stopped),
                connected = tokio::time::timeout(hub.limits.connect_timeout, hub.open(&target)) => {
                    connected.unwrap_or(Err(MsrpConnectError::Timeout))
                }
            };
            let (stream, carrier) = connected.inspect_err(|error| {
                seldom!(warn, protocol = "msrp", peer = ?target.addrs.first(), cause = %error, "connection not opened");
            })?;
            hub.adopt((&session, moves), stream, carrier, seat, stop)
        }
    }
}

impl fmt::Debug for MsrpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MsrpTransport").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Hub {
    /// Connects, and verifies who is there where that is asked for.
    async fn open(&self, target: &MsrpTarget) -> Result<(Stream, Carrier), MsrpConnectError> {
        let connect = |addr| TcpStream::connect(addr);
        let connected = first_of(&target.addrs, self.limits.connect_timeout, connect).await;
        let tcp = connected.map_err(|error| match target.addrs.as_slice() {
            [] => MsrpConnectError::NoAddress,
            _ => MsrpConnectError::Refused(error.kind()),
        })?;
        tune(&tcp);
        let Some((host, fingerprints)) = &target.secure else {
            return Ok((Stream::Plain(tcp), Carrier::default()));
        };
        let expect = match fingerprints.as_slice() {
            [] => Expect::Authority,
            some => Expect::Fingerprint(some.to_vec()),
        };
        match self.opening.connect(tcp, host, expect).await {
            Ok((stream, peer)) => {
                Ok((stream, Carrier { secure: true, web: false, certificate: peer.certificate }))
            }
            Err(CloseCause::Connect(kind)) => Err(MsrpConnectError::Refused(kind)),
            Err(_) => Err(MsrpConnectError::Identity),
        }
    }

    /// The runtime on which a session is told, where that is another than this one.
    pub(crate) fn home(&self, session: &[u8]) -> Option<Handle> {
        let home = self.cores.get(self.registry.home(session)?)?;
        (home.id() != Handle::current().id()).then(|| home.clone())
    }

    fn link(&self, stream: &Stream, carrier: Carrier) -> io::Result<MsrpLink> {
        let id = LinkId(self.serial.fetch_add(1, Ordering::Relaxed).saturating_add(1));
        Ok(MsrpLink::new(id, stream.peer()?, carrier, Outbox::new(Arc::clone(&self.limits.outbox))))
    }

    /// Binds a connection the node opened to the session it was opened for, and starts it.
    fn adopt(
        self: Arc<Self>,
        (session, moves): (&Bytes, u32),
        stream: Stream,
        carrier: Carrier,
        seat: Seat,
        stop: Stop,
    ) -> Result<MsrpLink, MsrpConnectError> {
        let link = self.link(&stream, carrier).map_err(|error| MsrpConnectError::Refused(error.kind()))?;
        match self.registry.bind(session, &link, By::Us { moves }) {
            Lookup::Found { .. } => {}
            Lookup::Unknown => return Err(MsrpConnectError::NoSession),
            Lookup::Elsewhere | Lookup::Stray => return Err(MsrpConnectError::Bound),
            Lookup::Forbidden | Lookup::Early(_) => return Err(MsrpConnectError::Identity),
        }
        let opened = Opened { hub: self, link: link.clone(), stream, stop, seat };
        tokio::spawn(msrp_reader::serve(opened));
        Ok(link)
    }
}

async fn serve_accepted(hub: Arc<Hub>, transport: Transport, accepted: Accepted) {
    let Accepted { tcp, peer, seat, mut stop } = accepted;
    let Some((stream, shown)) = hub.opening.accept(transport, tcp, peer, &mut stop).await else { return };
    let carrier =
        Carrier { secure: transport.is_secure(), web: transport.is_web(), certificate: shown.certificate };
    match hub.link(&stream, carrier) {
        // In a task of its own: this one has room for what only the handshake needed.
        Ok(link) => {
            tokio::spawn(msrp_reader::settle(Opened { hub, link, stream, stop, seat }));
        }
        Err(error) => {
            let cause = CloseCause::Network(error.kind());
            seldom!(warn, protocol = "msrp", %peer, %cause, "connection lost");
        }
    }
}
