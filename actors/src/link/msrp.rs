//! MSRP over TCP (RFC 4975 5.4): listeners, connections the node opens, sessions.

use super::census::{Census, ConnectionLimits, Seat};
use super::cores::Cores;
use super::listen::{Accepted, Reception, tune};
use super::msrp_link::{LinkId, MsrpLink, MsrpPort};
use super::msrp_reader::{self, Opened};
use super::msrp_registry::{Lookup, MsrpRegistration, Registry};
use super::net::TcpStream;
use super::outbox::{CloseCause, Outbox, OutboxLimits};
use super::stop::{Stop, Stopper};
use super::stream::Stream;
use bytes::Bytes;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::warn;

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
    /// What may wait to be written.
    pub outbox: OutboxLimits,
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
            outbox: OutboxLimits::default(),
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
    /// The node stops.
    #[error("the node stops")]
    Stopped,
}

/// All MSRP connections of the node; clones are the same.
#[derive(Clone)]
pub struct MsrpTransport(Arc<Hub>);

/// What every connection shares.
pub(crate) struct Hub {
    pub(crate) limits: MsrpLimits,
    pub(crate) registry: Arc<Registry>,
    census: Arc<Census>,
    cores: Cores,
    stopper: Stopper,
    serial: AtomicU64,
}

impl MsrpTransport {
    /// Nothing listening yet, no session.
    #[must_use]
    pub fn new(limits: MsrpLimits, cores: Cores, stopper: Stopper) -> Self {
        let census = Census::new(limits.connections.clone());
        let registry = Arc::new(Registry::default());
        Self(Arc::new(Hub { limits, registry, census, cores, stopper, serial: AtomicU64::new(0) }))
    }

    /// Listens at `addr` (port 0: any free one) until the stop; returns the address bound.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        let hub = Arc::clone(&self.0);
        let reception = Reception {
            protocol: "msrp",
            census: Arc::clone(&self.0.census),
            cores: self.0.cores.clone(),
            stopper: self.0.stopper.clone(),
        };
        reception.listen(addr, move |accepted| serve_accepted(Arc::clone(&hub), accepted))
    }

    /// Makes a session known by the session-id of the node's own URI: frames that name it go to `port`
    /// until the registration is dropped.
    #[must_use]
    pub fn register(&self, session: Bytes, port: MsrpPort) -> MsrpRegistration {
        self.0.registry.register(session, port)
    }

    /// How many sessions are known.
    #[cfg(test)]
    pub(crate) fn sessions(&self) -> usize {
        self.0.registry.len()
    }

    /// Opens a connection to the first of `addrs` that accepts, for a session that is registered; its tasks
    /// run where the future is polled. The caller sends the first request at once (RFC 4975 5.4).
    pub fn connect(
        &self,
        session: Bytes,
        addrs: Vec<SocketAddr>,
    ) -> impl Future<Output = Result<MsrpLink, MsrpConnectError>> + Send + use<> {
        let hub = Arc::clone(&self.0);
        async move {
            let seat = hub.census.seat().map_err(|_| MsrpConnectError::Full)?;
            let mut stop = hub.stopper.signal();
            let connected = tokio::select! {
                biased;
                () = stop.stopped() => Err(MsrpConnectError::Stopped),
                connected = tokio::time::timeout(hub.limits.connect_timeout, first_of(&addrs)) => {
                    connected.unwrap_or(Err(MsrpConnectError::Timeout))
                }
            };
            let stream = connected.inspect_err(|error| {
                warn!(protocol = "msrp", peer = ?addrs.first(), cause = %error, "connection not opened");
            })?;
            tune(&stream);
            hub.adopt(&session, Stream::Plain(stream), seat, stop)
        }
    }
}

impl fmt::Debug for MsrpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MsrpTransport").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Hub {
    fn link(&self, stream: &Stream) -> io::Result<MsrpLink> {
        let id = LinkId(self.serial.fetch_add(1, Ordering::Relaxed).saturating_add(1));
        Ok(MsrpLink::new(id, stream.local()?, stream.peer()?, Outbox::new(self.limits.outbox)))
    }

    /// Binds a connection the node opened to the session it was opened for, and starts it.
    fn adopt(
        self: Arc<Self>,
        session: &Bytes,
        stream: Stream,
        seat: Seat,
        stop: Stop,
    ) -> Result<MsrpLink, MsrpConnectError> {
        let link = self.link(&stream).map_err(|error| MsrpConnectError::Refused(error.kind()))?;
        match self.registry.bind(session, &link) {
            Lookup::Found { .. } => {}
            Lookup::Unknown => return Err(MsrpConnectError::NoSession),
            Lookup::Elsewhere => return Err(MsrpConnectError::Bound),
        }
        let opened = Opened { hub: self, link: link.clone(), stream, stop, seat, bound: true };
        tokio::spawn(msrp_reader::serve(opened));
        Ok(link)
    }
}

async fn serve_accepted(hub: Arc<Hub>, accepted: Accepted) {
    let Accepted { tcp, peer, seat, stop } = accepted;
    let stream = Stream::Plain(tcp);
    match hub.link(&stream) {
        Ok(link) => msrp_reader::serve(Opened { hub, link, stream, stop, seat, bound: false }).await,
        Err(error) => {
            let cause = CloseCause::Network(error.kind());
            warn!(protocol = "msrp", %peer, %cause, "connection lost");
        }
    }
}

async fn first_of(addrs: &[SocketAddr]) -> Result<TcpStream, MsrpConnectError> {
    let mut last = MsrpConnectError::NoAddress;
    for addr in addrs {
        match TcpStream::connect(addr).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = MsrpConnectError::Refused(error.kind()),
        }
    }
    Err(last)
}
