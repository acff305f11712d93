//! The SIP sockets of a client: one UDP socket, one TCP listener of the same port, and the connections it opened
//! (TCP or TLS) or accepted. What is read becomes messages; what cannot be sent is reported.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use restante::machine::sip::{Flow, Transmit, TransmitId, Transport};
use restante::wire::sip::{Limits, Message, StreamDecoder, StreamEvent, parse_datagram};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::observer::{Observer, Seen, SeenProtocol};
use super::secure::{self, Secure};
use super::stream::{Fault, Stream, dial};
use crate::clock;

/// Messages read and not yet worked on.
const RECEIVED: usize = 256;
/// Messages waiting to be written to one connection.
const UNSENT: usize = 256;
/// How often a free port is looked for that both UDP and TCP have.
const ATTEMPTS: usize = 32;
/// Messages written to a connection last, of which nothing may have been read when it breaks.
const IN_FLIGHT: usize = 32;

/// What comes up from the sockets.
#[derive(Debug)]
pub(super) enum Inbound {
    /// A message.
    Message(Box<Message>, Flow),
    /// Something could not be sent, for this reason.
    Unsent(TransmitId, Fault),
    /// A connection is no more.
    Closed(u64),
}

/// Shows the observer, if there is one, what goes over a wire.
#[derive(Clone)]
pub(super) struct Eye(pub Option<Observer>);

impl Eye {
    pub(super) fn see(
        &self,
        sent: bool,
        protocol: SeenProtocol,
        transport: Transport,
        (local, peer): (SocketAddr, SocketAddr),
        bytes: &Bytes,
    ) {
        if let Some(observer) = &self.0 {
            let (at, since, bytes) = (clock::wall(), clock::now().since_origin(), bytes.clone());
            observer(&Seen { at, since, sent, protocol, transport, local, peer, bytes });
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.0.is_some()
    }
}

/// All SIP sockets.
pub(super) struct SipSockets {
    udp: Arc<UdpSocket>,
    local: SocketAddr,
    connections: HashMap<u64, Connection>,
    next: u64,
    inbound: mpsc::Sender<Inbound>,
    limits: Limits,
    timeout: Duration,
    secure: Arc<Secure>,
    eye: Eye,
    /// Readers of the UDP socket and of the listener: they end with the sockets.
    _tasks: JoinSet<()>,
    /// The connections: each ends when it is let go.
    writers: JoinSet<()>,
    accepted: mpsc::Receiver<(TcpStream, SocketAddr)>,
}

struct Connection {
    peer: SocketAddr,
    transport: Transport,
    domain: Option<Arc<str>>,
    outgoing: mpsc::Sender<Transmit>,
}

impl SipSockets {
    /// Binds UDP and TCP to one port at `local`.
    pub(super) async fn bind(
        local: SocketAddr,
        timeout: Duration,
        secure: Arc<Secure>,
        eye: Eye,
    ) -> io::Result<(Self, mpsc::Receiver<Inbound>)> {
        let (udp, tcp) = bind_both(local).await?;
        let local = udp.local_addr()?;
        let (inbound, received) = mpsc::channel(RECEIVED);
        let limits = Limits { message: 1 << 20, headers: 256, body: 1 << 20 };
        // Before the first datagram: what is not known to be writable is not tried.
        udp.writable().await?;
        let udp = Arc::new(udp);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_udp(Arc::clone(&udp), local, inbound.clone(), limits, eye.clone()));
        let (arrived, accepted) = mpsc::channel(16);
        tasks.spawn(accept(tcp, arrived));
        let sockets = Self {
            udp,
            local,
            connections: HashMap::new(),
            next: 0,
            inbound,
            limits,
            timeout,
            secure,
            eye,
            _tasks: tasks,
            writers: JoinSet::new(),
            accepted,
        };
        Ok((sockets, received))
    }

    /// The address bound.
    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The next connection somebody opened to us; to be handed to [`Self::adopt`].
    pub(super) async fn accepted(&mut self) -> Option<(TcpStream, SocketAddr)> {
        self.accepted.recv().await
    }

    /// Reads from and writes to a connection that somebody opened to us.
    pub(super) fn adopt(&mut self, (stream, peer): (TcpStream, SocketAddr)) {
        self.open(Transport::Tcp, peer, None, Some(stream));
    }

    /// A connection is no more; gives the other side of it.
    pub(super) fn closed(&mut self, connection: u64) -> Option<(Transport, SocketAddr)> {
        self.connections.remove(&connection).map(|it| (it.transport, it.peer))
    }

    /// Lets the connections write what was handed to them, within a moment.
    pub(super) async fn flush(&mut self) {
        self.connections.clear();
        let written = async { while self.writers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(500), written).await;
    }

    /// Sends; gives back what cannot be, with the reason.
    pub(super) fn send(&mut self, transmit: Transmit) -> Result<(), (TransmitId, Fault)> {
        let (transport, addr, id) = (transmit.to.transport, transmit.to.addr, transmit.id);
        match transport {
            Transport::Udp => {
                // A datagram that finds the buffer full is lost as any other may be.
                self.eye.see(true, SeenProtocol::Sip, transport, (self.local, addr), &transmit.bytes);
                match self.udp.try_send_to(&transmit.bytes, addr) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err((id, error.into())),
                    _ => Ok(()),
                }
            }
            Transport::Tcp | Transport::Tls => {
                let domain = transmit.to.domain.clone();
                let flow = transmit.to.flow.map(|flow| flow.connection);
                let known =
                    flow.filter(|connection| self.connections.contains_key(connection)).or_else(|| {
                        let same = |it: &Connection| {
                            it.peer == addr && it.transport == transport && it.domain == domain
                        };
                        self.connections.iter().find(|(_, it)| same(it)).map(|(number, _)| *number)
                    });
                let number = known.unwrap_or_else(|| self.open(transport, addr, domain, None));
                let to = self.connections.get(&number);
                match to.is_some_and(|it| it.outgoing.try_send(transmit).is_ok()) {
                    true => Ok(()),
                    false => Err((id, Fault::Unreachable("the connection does not take more".to_owned()))),
                }
            }
            other => Err((id, Fault::Unreachable(format!("{other} is not spoken")))),
        }
    }

    fn open(
        &mut self,
        transport: Transport,
        peer: SocketAddr,
        domain: Option<Arc<str>>,
        stream: Option<TcpStream>,
    ) -> u64 {
        while self.writers.try_join_next().is_some() {}
        self.next += 1;
        let number = self.next;
        let (outgoing, unsent) = mpsc::channel(UNSENT);
        self.connections.insert(number, Connection { peer, transport, domain: domain.clone(), outgoing });
        let task = ConnectionTask {
            number,
            transport,
            peer,
            domain,
            unsent,
            in_flight: VecDeque::new(),
            inbound: self.inbound.clone(),
            limits: self.limits,
            secure: Arc::clone(&self.secure),
            eye: self.eye.clone(),
        };
        self.writers.spawn(task.run(stream, self.timeout));
        number
    }
}

/// One connection, for as long as it lives.
struct ConnectionTask {
    number: u64,
    transport: Transport,
    peer: SocketAddr,
    domain: Option<Arc<str>>,
    unsent: mpsc::Receiver<Transmit>,
    in_flight: VecDeque<TransmitId>,
    inbound: mpsc::Sender<Inbound>,
    limits: Limits,
    secure: Arc<Secure>,
    eye: Eye,
}

impl ConnectionTask {
    async fn run(mut self, stream: Option<TcpStream>, timeout: Duration) {
        let opened = match stream {
            Some(stream) => adopted(stream).map_err(Fault::from),
            None => self.open(timeout).await,
        };
        let ended = match opened {
            Ok((stream, local)) => self.serve(stream, local).await.map_err(|error| self.fault(&error)),
            Err(fault) => Err(fault),
        };
        self.unsent.close();
        let closed = || Fault::Unreachable("the connection was closed".to_owned());
        let mut fault = ended.err().unwrap_or_else(closed);
        if self.domain.is_some() {
            fault = fault.at(self.peer);
        }
        let _ = self.inbound.send(Inbound::Closed(self.number)).await;
        // RFC 3261 18.4: what was written and not answered fails with the connection; what was, knows it.
        for id in std::mem::take(&mut self.in_flight) {
            let _ = self.inbound.send(Inbound::Unsent(id, fault.clone())).await;
        }
        while let Some(transmit) = self.unsent.recv().await {
            let _ = self.inbound.send(Inbound::Unsent(transmit.id, fault.clone())).await;
        }
    }

    /// Connects, by TLS where that is the transport.
    async fn open(&self, timeout: Duration) -> Result<(Box<dyn Stream>, SocketAddr), Fault> {
        let tcp = dial(self.peer, timeout).await?;
        tcp.set_nodelay(true)?;
        let local = tcp.local_addr()?;
        if self.transport != Transport::Tls {
            return Ok((Box::new(tcp), local));
        }
        let host = self.host();
        match tokio::time::timeout(timeout, self.secure.signalling(tcp, &host)).await {
            Ok(stream) => Ok((Box::new(stream?), local)),
            Err(_) => Err(Fault::Unreachable("the TLS handshake was not completed in time".to_owned())),
        }
    }

    /// Whom the peer must prove to be: the domain that led here, or the address.
    fn host(&self) -> String {
        self.domain.as_deref().map_or_else(|| self.peer.ip().to_string(), str::to_owned)
    }

    fn fault(&self, error: &io::Error) -> Fault {
        match self.transport {
            // RFC 8446 4.4.2.4: that the client's certificate is not accepted is told after its handshake.
            Transport::Tls => secure::fault(error, &self.host(), false),
            _ => Fault::Unreachable(error.to_string()),
        }
    }

    async fn serve(&mut self, stream: Box<dyn Stream>, local: SocketAddr) -> io::Result<()> {
        let flow = Flow { transport: self.transport, connection: self.number, local, peer: self.peer };
        let mut decoder = StreamDecoder::new(self.limits);
        let mut buffer = BytesMut::with_capacity(8192);
        let mut raw = BytesMut::new();
        let (mut reader, mut writer) = tokio::io::split(stream);
        loop {
            tokio::select! {
                read = reader.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    while let Some(event) = self.decode(&mut decoder, &mut buffer, &mut raw) {
                        let seen = raw.split().freeze();
                        match event {
                            StreamEvent::Message(message) => self.received(message, flow, &seen).await,
                            // RFC 5626 3.5.1: a ping MUST be answered with a single CRLF.
                            StreamEvent::Ping => {
                                writer.write_all(b"\r\n").await?;
                                writer.flush().await?;
                            }
                            StreamEvent::Malformed(_) => {}
                            StreamEvent::Broken(error) => {
                                return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
                            }
                        }
                    }
                }
                transmit = self.unsent.recv() => {
                    let Some(transmit) = transmit else {
                        // The client lets go of it: that is no fault.
                        self.in_flight.clear();
                        let _ = writer.shutdown().await;
                        return Ok(());
                    };
                    self.eye.see(true, SeenProtocol::Sip, self.transport, (local, self.peer), &transmit.bytes);
                    self.in_flight.push_back(transmit.id);
                    if self.in_flight.len() > IN_FLIGHT {
                        self.in_flight.pop_front();
                    }
                    writer.write_all(&transmit.bytes).await?;
                    writer.flush().await?;
                }
            }
        }
    }

    /// Decodes; an open eye gathers in `raw` what the decoder has eaten.
    fn decode(
        &self,
        decoder: &mut StreamDecoder,
        buffer: &mut BytesMut,
        raw: &mut BytesMut,
    ) -> Option<StreamEvent> {
        if !self.eye.is_open() {
            return decoder.decode(buffer);
        }
        let before = Bytes::copy_from_slice(buffer);
        let event = decoder.decode(buffer);
        raw.extend_from_slice(before.get(..before.len() - buffer.len()).unwrap_or_default());
        event
    }

    async fn received(&self, message: Message, flow: Flow, seen: &Bytes) {
        self.eye.see(false, SeenProtocol::Sip, self.transport, (flow.local, flow.peer), seen);
        let _ = self.inbound.send(Inbound::Message(Box::new(message), flow)).await;
    }
}

/// A connection that somebody opened to us.
fn adopted(stream: TcpStream) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    Ok((Box::new(stream), local))
}

async fn read_udp(
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    inbound: mpsc::Sender<Inbound>,
    limits: Limits,
    eye: Eye,
) {
    let mut buffer = vec![0; 65_535];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            // Linux reports on a socket what became of datagrams sent: nothing was read.
            tokio::task::yield_now().await;
            continue;
        };
        let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        let Ok(message) = parse_datagram(bytes.clone(), &limits) else { continue };
        eye.see(false, SeenProtocol::Sip, Transport::Udp, (local, peer), &bytes);
        let flow = Flow { transport: Transport::Udp, connection: 0, local, peer };
        if inbound.send(Inbound::Message(Box::new(message), flow)).await.is_err() {
            return;
        }
    }
}

async fn accept(listener: TcpListener, arrived: mpsc::Sender<(TcpStream, SocketAddr)>) {
    loop {
        match listener.accept().await {
            Ok(connection) => {
                if arrived.send(connection).await.is_err() {
                    return;
                }
            }
            // Out of descriptors, mostly: the connections there are go on.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Binds both to the same port; where any will do, looks for one that both have.
async fn bind_both(local: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = if local.port() == 0 { ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let tcp = TcpListener::bind(local).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
    }
}
