//! SIP over UDP, TCP, TLS and WebSocket (RFC 3261 18, RFC 7118): what arrives goes to the ports given at birth, what is sent finds
//! its socket, its open connection, or a new one.

use super::census::{Census, ConnectionLimits};
use super::close_cause::CloseCause;
use super::cores::Cores;
use super::listen::Reception;
use super::lobby::Lobby;
use super::net;
use super::open::{HandshakeLimits, Opening};
use super::outbox::OutboxLimits;
use super::sip_connection::{Connection, Connections, Pending, Target, is_response};
use super::sip_stream;
use super::stop::Stopper;
use super::tls::Tls;
use super::udp::{self, UdpSender, Waiting};
use crate::seldom::seldom;
use actix::Message as ActorMessage;
use bytes::Bytes;
use restante::machine::sip::{Destination, Flow, TransmitId, Transport};
use restante::time::Instant;
use restante::wire::sip::{Limits, Message, Method, ParseError};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits of SIP sockets.
#[derive(Clone, Debug)]
pub struct SipLimits {
    /// Sizes of one message.
    pub message: Limits,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// A connection on which nothing came for so long ends.
    pub idle_timeout: Duration,
    /// A message that has begun on a connection must be complete within this time.
    pub request_timeout: Duration,
    /// How long a peer may take to accept a connection.
    pub connect_timeout: Duration,
    /// Limits of TLS and WebSocket handshakes.
    pub handshake: HandshakeLimits,
    /// What may wait to be written to one connection.
    pub outbox: Arc<OutboxLimits>,
    /// Bytes that the system may hold of what came on a connection and is not read yet. Left to itself it would hold
    /// tens of megabytes under load, and who waits behind them would be answered a second late.
    pub tcp_buffer: usize,
    /// Size asked of the system for the buffers of UDP sockets, in bytes.
    pub udp_buffer: usize,
    /// Datagrams that may wait for a UDP socket.
    pub udp_queue: usize,
}

impl Default for SipLimits {
    fn default() -> Self {
        Self {
            message: Limits { message: 512 << 10, headers: 128, body: 256 << 10 },
            connections: ConnectionLimits::default(),
            idle_timeout: Duration::from_secs(600),
            request_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            handshake: HandshakeLimits::default(),
            outbox: Arc::default(),
            tcp_buffer: 512 << 10,
            udp_buffer: 8 << 20,
            udp_queue: 4096,
        }
    }
}

/// How many messages may wait to be taken by their endpoint. Clones share the count.
///
/// Requests that begin work, and all that lets work go on and end (requests within dialogs, responses, ACK,
/// CANCEL), are counted apart: a node full of the former still takes the latter.
#[derive(Clone, Debug)]
pub struct Backlog {
    beginning: Arc<Semaphore>,
    ending: Arc<Semaphore>,
    #[cfg(test)]
    most: usize,
}

impl Backlog {
    /// `most` of either sort.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            beginning: Arc::new(Semaphore::new(most)),
            ending: Arc::new(Semaphore::new(most)),
            #[cfg(test)]
            most,
        }
    }

    /// How many messages wait, of both sorts.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        let [beginning, ending] = [&self.beginning, &self.ending].map(|lane| lane.available_permits());
        (self.most - beginning) + (self.most - ending)
    }

    /// What counts this message.
    pub(crate) fn lane(&self, message: &Result<Message, ParseError>) -> &Arc<Semaphore> {
        match message {
            Ok(Message::Request(request))
                if !matches!(request.method, Method::Ack | Method::Cancel)
                    && !request.headers.has_to_tag() =>
            {
                &self.beginning
            }
            _ => &self.ending,
        }
    }
}

/// A message that arrived, or what is wrong with it.
#[derive(Debug)]
pub struct SipReceived {
    /// How it came.
    pub flow: Flow,
    /// The message; an error is a `Reject`, to be answered (what cannot be answered is dropped before).
    pub message: Result<Message, ParseError>,
    /// When it came.
    pub since: Instant,
    /// Its place in the backlog, given back when the message is taken. `None` only in tests.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl ActorMessage for SipReceived {
    type Result = ();
}

/// Something handed to [`SipSender::send`] was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportFailed {
    /// Which.
    pub id: TransmitId,
    /// The message.
    pub bytes: Bytes,
}

impl ActorMessage for TransportFailed {
    type Result = ();
}

/// A connection has ended; what was received on it cannot be answered on it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowClosed {
    /// Which.
    pub flow: Flow,
    /// Why.
    pub cause: CloseCause,
}

/// Where the node is told what happens. The closures must neither block nor wait; they pick the shard.
#[derive(Clone)]
pub struct SipPorts {
    /// Told of every message.
    pub received: Arc<dyn Fn(SipReceived) + Send + Sync>,
    /// Told of every connection that ended, once.
    pub closed: Arc<dyn Fn(FlowClosed) + Send + Sync>,
    /// Told the number of a connection that was crowded ([`SipSender::line`]), when it is no longer: it has drained, or is
    /// gone.
    pub drained: Arc<dyn Fn(u64) + Send + Sync>,
}

impl fmt::Debug for SipPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SipPorts")
    }
}

/// All SIP sockets of the node; clones are the same.
#[derive(Clone)]
pub struct SipTransport(Arc<Hub>);

/// What every socket shares.
pub(crate) struct Hub {
    pub(crate) limits: SipLimits,
    pub(crate) ports: SipPorts,
    pub(crate) backlog: Backlog,
    pub(crate) census: Arc<Census>,
    lobby: Lobby,
    pub(crate) connections: Connections,
    pub(crate) opening: Opening,
    pub(crate) cores: Cores,
    pub(crate) stopper: Stopper,
    udp: RwLock<Vec<Arc<UdpSender>>>,
}

impl SipTransport {
    /// No socket yet.
    #[must_use]
    pub fn new(
        limits: SipLimits,
        ports: SipPorts,
        backlog: Backlog,
        tls: Arc<Tls>,
        cores: Cores,
        stopper: Stopper,
    ) -> Self {
        let census = Census::new(limits.connections.clone());
        let lobby = Lobby::new(&limits.message);
        let connections = Connections::default();
        let opening = Opening::new("sip", limits.handshake.clone(), tls);
        let udp = RwLock::new(Vec::new());
        Self(Arc::new(Hub {
            limits,
            ports,
            backlog,
            census,
            lobby,
            connections,
            opening,
            cores,
            stopper,
            udp,
        }))
    }

    /// Receives and sends datagrams at `addr` (port 0: any free one) until the stop; returns the address
    /// bound.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen_udp(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        let core = self.0.cores.next();
        let _context = core.enter();
        let socket = net::bind_udp(addr, self.0.limits.udp_buffer)?;
        let bound = socket.local_addr();
        let sender = UdpSender::new(socket, self.0.limits.udp_queue);
        core.spawn(udp::write(Arc::clone(&sender), self.0.stopper.signal()));
        core.spawn(udp::read(Arc::clone(&self.0), Arc::clone(&sender), self.0.stopper.signal()));
        self.0.udp.write().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(bound)
    }

    /// Accepts connections of any transport but UDP at `addr` (port 0: any free one) until the stop; returns
    /// the address bound.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen(&self, transport: Transport, addr: SocketAddr) -> io::Result<SocketAddr> {
        let hub = Arc::clone(&self.0);
        let serve = move |accepted| sip_stream::serve_accepted(Arc::clone(&hub), transport, accepted);
        self.0.reception(transport).listen(addr, serve)
    }

    /// The domains that the peer at the other end of `flow` has proved to speak for, by a certificate that
    /// one of the authorities of `client_ca` has signed.
    #[must_use]
    pub fn proven(&self, flow: &Flow) -> Vec<String> {
        self.0.connections.get(flow.connection).map(|found| found.domains().to_vec()).unwrap_or_default()
    }

    /// A sender whose failures go to `failed`: one for each shard, since its [`TransmitId`]s are its own.
    /// The closure must neither block nor wait.
    pub fn sender(&self, failed: impl Fn(TransportFailed) + Send + Sync + 'static) -> SipSender {
        SipSender { hub: Arc::clone(&self.0), failed: Arc::new(failed) }
    }

    /// Whether the connection of `flow` is [crowded](LineAhead::crowded); one that is gone is not, nor are datagrams.
    #[must_use]
    pub fn is_crowded(&self, flow: &Flow) -> bool {
        self.0.is_crowded(flow.connection)
    }

    /// How many messages wait to be taken.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.backlog.waiting()
    }

    /// How many connections are open or being opened.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.0.connections.count()
    }
}

impl fmt::Debug for SipTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipTransport").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// Sends what one shard has to send; clones are the same.
#[derive(Clone)]
pub struct SipSender {
    hub: Arc<Hub>,
    failed: Arc<dyn Fn(TransportFailed) + Send + Sync>,
}

impl SipSender {
    /// Sends `bytes`, without waiting: from the UDP socket that `to.flow` names (else any of the family),
    /// on the connection `to.flow` names while it lives, else on an open connection to `to.addr`, else on a
    /// new one. [`TransportFailed`] follows if the system refused it or its connection ended before it was
    /// written, and only then: a datagram may still be lost, here or on its way.
    pub fn send(&self, to: &Destination, bytes: Bytes, id: TransmitId) {
        let pending = Pending::new(id, bytes.clone(), Arc::clone(&self.failed));
        match to.transport {
            Transport::Udp => self.hub.send_datagram(to, bytes, pending),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                self.hub.send_stream(to, bytes, pending);
            }
        }
    }
}

/// The connection that a message would go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineAhead {
    /// Its number.
    pub link: u64,
    /// Whether so much waits to be written to it that what need not go at once should not;
    /// [`SipPorts::drained`] says when it may.
    pub crowded: bool,
}

impl SipSender {
    /// The open connection that [`Self::send`] would use for `to`, if there is one.
    #[must_use]
    pub fn line(&self, to: &Destination) -> Option<LineAhead> {
        let connection = self.hub.present(to)?;
        Some(LineAhead { link: connection.id(), crowded: connection.outbox().is_crowded() })
    }

    /// Whether the connection with this number is [crowded](LineAhead::crowded); one that is gone is not.
    #[must_use]
    pub fn is_crowded(&self, link: u64) -> bool {
        self.hub.is_crowded(link)
    }

    /// Whether the connection of `flow` is open.
    #[must_use]
    pub fn is_open(&self, flow: &Flow) -> bool {
        self.hub.connections.get(flow.connection).is_some_and(|connection| connection.takes_requests())
    }
}

impl fmt::Debug for SipSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SipSender")
    }
}

impl Hub {
    fn reception(&self, transport: Transport) -> Reception {
        Reception {
            protocol: "sip",
            census: Arc::clone(&self.census),
            cores: self.cores.clone(),
            stopper: self.stopper.clone(),
            // What begins with a handshake would have to be served for so long.
            lobby: (transport == Transport::Tcp).then(|| self.lobby.clone()),
        }
    }

    fn send_datagram(&self, to: &Destination, bytes: Bytes, pending: Pending) {
        let sender = {
            let sockets = self.udp.read().unwrap_or_else(PoisonError::into_inner);
            let of_flow = to.flow.and_then(|flow| sockets.iter().find(|sender| flow.came_to(sender.bound())));
            let any = || sockets.iter().find(|sender| sender.bound().is_ipv4() == to.addr.is_ipv4());
            of_flow.or_else(any).cloned()
        };
        let from = to.flow.map(|flow| flow.local);
        match sender {
            Some(sender) => sender.send(Waiting { datagram: bytes, to: to.addr, from, pending }),
            None => pending.fail(),
        }
    }

    /// The connection by which a message to `to` goes, where it is there.
    fn present(&self, to: &Destination) -> Option<Arc<Connection>> {
        if !to.transport.is_reliable() {
            return None;
        }
        let is_open = |connection: &Arc<Connection>| connection.takes_requests();
        let of_flow = to.flow.and_then(|flow| self.connections.get(flow.connection)).filter(is_open);
        of_flow.or_else(|| self.connections.to(&Target::of(to)).filter(is_open))
    }

    fn is_crowded(&self, link: u64) -> bool {
        self.connections.get(link).is_some_and(|connection| connection.outbox().is_crowded())
    }

    /// A connection takes nothing any more: whoever waits for it to drain need not.
    pub(crate) fn gone(&self, connection: &Connection) {
        self.connections.remove(connection);
        if !connection.outbox().has_room() {
            (self.ports.drained)(connection.id());
        }
    }

    fn send_stream(self: &Arc<Self>, to: &Destination, bytes: Bytes, pending: Pending) {
        let mut pending = pending;
        let of_flow = to.flow.and_then(|flow| self.connections.get(flow.connection));
        if let Some(connection) = of_flow.filter(|found| found.takes_requests() || is_response(&bytes)) {
            match connection.push(bytes.clone(), Some(pending)) {
                Ok(()) => return,
                Err(back) => match back {
                    Some(back) => pending = back,
                    None => return,
                },
            }
        }
        // RFC 3261 18.2.2: if that connection is no longer open, the server SHOULD open one to the address
        // RFC 7118 5.1: a WebSocket client cannot be connected to
        if matches!(to.transport, Transport::Ws | Transport::Wss) {
            return pending.fail();
        }
        match self.connections.queue(&Target::of(to), &self.limits.outbox, bytes, pending) {
            Ok(None) => {}
            Ok(Some(connection)) => self.open(connection),
            Err(pending) => pending.fail(),
        }
    }

    fn open(self: &Arc<Self>, connection: Arc<Connection>) {
        match self.census.seat() {
            Ok(seat) => {
                let hub = Arc::clone(self);
                let stop = self.stopper.signal();
                self.cores.here_or_next().spawn(sip_stream::connect(hub, connection, seat, stop));
            }
            Err(full) => {
                seldom!(warn, protocol = "sip", peer = %connection.peer(), cause = %full, "not connected");
                self.gone(&connection);
                connection.give_up(CloseCause::Connect(io::ErrorKind::QuotaExceeded));
            }
        }
    }
}
