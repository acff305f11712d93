//! One SIP connection over TCP (RFC 3261 18.3, RFC 5626 3.5.1): opened, read, written, closed.

use super::census::Seat;
use super::intake::{Intake, Read};
use super::listen::{see_off, tune};
use super::net::{HandedOver, TcpStream};
use super::outbox::{self, CloseCause};
use super::sip::{FlowClosed, Hub, SipReceived};
use super::sip_connection::{Connection, report};
use super::stop::Stop;
use bytes::Bytes;
use restante::machine::sip::{Flow, Transport};
use restante::wire::sip::{Message, ParseError, StreamDecoder, StreamEvent};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Messages decoded before other tasks of the core have their turn.
const BATCH: u32 = 64;

/// Serves a connection that a peer opened.
pub(crate) async fn serve_accepted(
    hub: Arc<Hub>,
    stream: HandedOver,
    peer: SocketAddr,
    seat: Seat,
    stop: Stop,
) {
    match TcpStream::from_std(stream) {
        Ok(stream) => {
            let connection = hub.connections.accepted(Transport::Tcp, peer, hub.limits.outbox);
            serve(&hub, connection, stream, stop, "in").await;
        }
        Err(error) => warn!(protocol = "sip", %peer, cause = %error, "connection lost"),
    }
    drop(seat);
}

/// Opens a connection for what already waits in its outbox, and serves it.
pub(crate) async fn connect(hub: Arc<Hub>, connection: Arc<Connection>, seat: Seat, mut stop: Stop) {
    let attempt = tokio::time::timeout(hub.limits.connect_timeout, TcpStream::connect(connection.peer()));
    let opened = tokio::select! {
        biased;
        () = stop.stopped() => Err(CloseCause::Stopped),
        // What waits may overflow before the peer has answered.
        cause = connection.outbox().ended() => Err(cause),
        opened = attempt => match opened {
            Ok(opened) => opened.map_err(|error| CloseCause::Connect(error.kind())),
            Err(_) => Err(CloseCause::Connect(io::ErrorKind::TimedOut)),
        },
    };
    match opened {
        Ok(stream) => serve(&hub, connection, stream, stop, "out").await,
        Err(cause) => {
            warn!(protocol = "sip", peer = %connection.peer(), %cause, "connection not opened");
            hub.connections.remove(&connection);
            connection.give_up(cause);
        }
    }
    drop(seat);
}

async fn serve(
    hub: &Arc<Hub>,
    connection: Arc<Connection>,
    stream: TcpStream,
    stop: Stop,
    direction: &'static str,
) {
    let (id, peer) = (connection.id(), connection.peer());
    tune(&stream);
    metrics::counter!("restante_connections_total", "protocol" => "sip", "direction" => direction)
        .increment(1);
    metrics::gauge!("restante_connections", "protocol" => "sip").increment(1.0);
    debug!(protocol = "sip", connection = id, %peer, direction, "connection opened");
    let stream = Arc::new(stream);
    let writer = tokio::spawn(write(Arc::clone(&connection), Arc::clone(&stream)));
    let flow = stream.local_addr().map(|local| connection.flow(local));
    let cause = match flow {
        Ok(flow) => {
            let mut reader = Reader::new(hub, &connection, flow, Arc::clone(&stream), stop.clone());
            let Err(cause) = reader.read_on().await;
            cause
        }
        Err(ref error) => CloseCause::Network(error.kind()),
    };
    let cause = end(&connection, cause).await;
    hub.connections.remove(&connection);
    if let Ok(flow) = flow {
        (hub.ports.closed)(FlowClosed { flow, cause });
    }
    if cause.is_normal() || cause == CloseCause::Broken {
        see_off(&stream).await;
    }
    let _ = writer.await;
    metrics::gauge!("restante_connections", "protocol" => "sip").decrement(1.0);
    metrics::counter!("restante_connections_closed_total", "protocol" => "sip", "cause" => cause.label())
        .increment(1);
    if cause.is_normal() {
        info!(protocol = "sip", connection = id, %peer, %cause, "connection closed");
    } else {
        warn!(protocol = "sip", connection = id, %peer, %cause, "connection broken");
    }
    drop(stop);
}

async fn write(connection: Arc<Connection>, stream: Arc<TcpStream>) {
    report(outbox::write(connection.outbox(), &stream, || ()).await);
}

/// Lets the writer finish, for a while; returns why the connection ended.
async fn end(connection: &Connection, cause: CloseCause) -> CloseCause {
    if cause == CloseCause::Broken {
        // The answer to what broke the framing is still to come.
        let _ = tokio::time::timeout(super::LINGER / 2, connection.outbox().ended()).await;
    }
    connection.outbox().close(cause);
    match tokio::time::timeout(super::LINGER, connection.outbox().ended()).await {
        Ok(cause) => cause,
        Err(_) => {
            connection.outbox().abort(cause);
            cause
        }
    }
}

struct Reader<'a> {
    hub: &'a Hub,
    connection: &'a Connection,
    flow: Flow,
    intake: Intake,
    stop: Stop,
    decoder: StreamDecoder,
    /// When the message that is not complete yet began.
    begun: Option<Instant>,
    active: Instant,
}

impl<'a> Reader<'a> {
    fn new(hub: &'a Hub, connection: &'a Connection, flow: Flow, stream: Arc<TcpStream>, stop: Stop) -> Self {
        Self {
            flow,
            intake: Intake::new("sip", stream),
            stop,
            decoder: StreamDecoder::new(hub.limits.message),
            begun: None,
            active: Instant::now(),
            hub,
            connection,
        }
    }

    /// Reads to the end; by reference, so that the task carries the reader only once.
    async fn read_on(&mut self) -> Result<Infallible, CloseCause> {
        loop {
            match self.intake.read()? {
                Read::Nothing => self.wait().await?,
                Read::Some => {
                    self.active = Instant::now();
                    self.decode().await?;
                    tokio::task::yield_now().await;
                    if let Some(cause) = self.connection.outbox().cause() {
                        return Err(cause);
                    }
                    if self.stop.is_set() {
                        return Err(CloseCause::Stopped);
                    }
                }
            }
        }
    }

    /// Waits for bytes, no longer than the limits allow.
    async fn wait(&mut self) -> Result<(), CloseCause> {
        let idle = self.active + self.hub.limits.idle_timeout;
        let complete = self.begun.map(|begun| begun + self.hub.limits.request_timeout);
        let (deadline, late) = match complete {
            Some(complete) if complete < idle => (complete, CloseCause::SlowSender),
            _ => (idle, CloseCause::Idle),
        };
        tokio::select! {
            biased;
            () = self.stop.stopped() => Err(CloseCause::Stopped),
            cause = self.connection.outbox().ended() => Err(cause),
            ready = self.intake.stream.readable() => {
                ready.map_err(|error| CloseCause::Network(error.kind()))
            }
            () = tokio::time::sleep_until(deadline) => Err(late),
        }
    }

    /// Decodes all that was read.
    async fn decode(&mut self) -> Result<(), CloseCause> {
        let mut count = 0_u32;
        while let Some(event) = self.decoder.decode(&mut self.intake.buffer) {
            self.begun = None;
            self.take(event).await?;
            count = count.wrapping_add(1);
            if count.is_multiple_of(BATCH) {
                tokio::task::yield_now().await;
            }
        }
        if !self.intake.buffer.is_empty() {
            self.begun.get_or_insert(self.active);
        }
        Ok(())
    }

    async fn take(&mut self, event: StreamEvent) -> Result<(), CloseCause> {
        match event {
            StreamEvent::Message(message) => self.dispatch(Ok(message)).await,
            // RFC 5626 3.5.1, 4.4.1: the double CRLF of a keep-alive MUST be answered by a single one
            StreamEvent::Ping => {
                let _ = self.connection.push(Bytes::from_static(b"\r\n"), None);
                Ok(())
            }
            StreamEvent::Malformed(error) => self.complain(error).await,
            StreamEvent::Broken(error) => {
                self.complain(error).await?;
                Err(CloseCause::Broken)
            }
        }
    }

    async fn complain(&mut self, error: ParseError) -> Result<(), CloseCause> {
        metrics::counter!("restante_sip_malformed_total", "transport" => "tcp").increment(1);
        match error {
            ParseError::Silent(cause) => {
                debug!(connection = self.flow.connection, peer = %self.flow.peer, %cause, "malformed");
                Ok(())
            }
            reject => self.dispatch(Err(reject)).await,
        }
    }

    /// Hands a message over, when there is room for it: meanwhile nothing is read, and TCP pushes back.
    async fn dispatch(&mut self, message: Result<Message, ParseError>) -> Result<(), CloseCause> {
        metrics::counter!("restante_sip_received_total", "transport" => "tcp").increment(1);
        let permit = self.permit(&message).await?;
        (self.hub.ports.received)(SipReceived { flow: self.flow, message, permit: Some(permit) });
        Ok(())
    }

    async fn permit(
        &mut self,
        message: &Result<Message, ParseError>,
    ) -> Result<OwnedSemaphorePermit, CloseCause> {
        let lane = self.hub.admission.lane(message);
        if let Ok(permit) = Arc::clone(lane).try_acquire_owned() {
            return Ok(permit);
        }
        metrics::counter!("restante_sip_stalls_total").increment(1);
        tokio::select! {
            biased;
            () = self.stop.stopped() => Err(CloseCause::Stopped),
            cause = self.connection.outbox().ended() => Err(cause),
            permit = Arc::clone(lane).acquire_owned() => permit.map_err(|_| CloseCause::Local),
        }
    }
}
