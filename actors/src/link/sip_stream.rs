//! One SIP connection (RFC 3261 18.3, RFC 5626 3.5.1): opened, and its bytes understood.

use super::census::Seat;
use super::close_cause::CloseCause;
use super::connection::{self, Traffic, acquire};
use super::intake::Intake;
use super::listen::{Accepted, tune};
use super::net::{self, TcpStream};
use super::outbox::Outbox;
use super::sip::{FlowClosed, Hub, SipReceived};
use super::sip_connection::{Connection, Pending, report};
use super::stop::Stop;
use super::stream::Stream;
use super::tls::Expect;
use crate::clock;
use crate::seldom::seldom;
use restante::machine::sip::{Flow, Transport};
use restante::wire::sip::{Message, Method, ParseError, StreamDecoder, StreamEvent, parse_datagram};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::debug;

/// Messages decoded before other tasks of the core have their turn.
const BATCH: u32 = 64;

/// Serves a connection that a peer opened.
pub(crate) async fn serve_accepted(hub: Arc<Hub>, transport: Transport, accepted: Accepted) {
    let Accepted { tcp, peer, seat, mut stop } = accepted;
    net::receive_buffer(&tcp, hub.limits.tcp_buffer);
    if let Some((stream, proven)) = hub.opening.accept(transport, tcp, peer, &mut stop).await {
        let connection = hub.connections.accepted(transport, peer, proven.domains, &hub.limits.outbox);
        serve(hub, connection, stream, stop, "in").await;
    }
    drop(seat);
}

/// Opens a connection for what already waits in its outbox, and serves it.
pub(crate) async fn connect(hub: Arc<Hub>, connection: Arc<Connection>, seat: Seat, mut stop: Stop) {
    let attempt = Box::pin(open(&hub, &connection));
    let opened = tokio::select! {
        biased;
        () = stop.stopped() => Err(CloseCause::Stopped),
        // What waits may overflow before the peer has answered.
        cause = connection.outbox().ended() => Err(cause),
        opened = attempt => opened,
    };
    match opened {
        Ok(stream) => serve(hub, connection, stream, stop, "out").await,
        Err(cause) => give_up(&hub, &connection, cause),
    }
    drop(seat);
}

/// Connects, and verifies who is there where that is asked for.
async fn open(hub: &Hub, connection: &Connection) -> Result<Stream, CloseCause> {
    let attempt = tokio::time::timeout(hub.limits.connect_timeout, TcpStream::connect(connection.peer()));
    let tcp = match attempt.await {
        Ok(connected) => connected.map_err(|error| CloseCause::Connect(error.kind()))?,
        Err(_) => return Err(CloseCause::Connect(io::ErrorKind::TimedOut)),
    };
    tune(&tcp);
    net::receive_buffer(&tcp, hub.limits.tcp_buffer);
    let target = connection.target();
    if !target.transport.is_secure() {
        return Ok(Stream::Plain(tcp));
    }
    let host = target.domain.as_deref().map_or_else(|| target.addr.ip().to_string(), str::to_owned);
    hub.opening.connect(tcp, &host, Expect::Authority).await.map(|(stream, _)| stream)
}

fn give_up(hub: &Hub, connection: &Connection, cause: CloseCause) {
    seldom!(warn, protocol = "sip", peer = %connection.peer(), %cause, "connection not opened");
    hub.gone(connection);
    connection.give_up(cause);
}

async fn serve(
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    stream: Stream,
    stop: Stop,
    direction: &'static str,
) {
    match stream.local() {
        Ok(local) => {
            let flow = connection.flow(local);
            let decoder = StreamDecoder::new(hub.limits.message);
            let traffic = SipTraffic { hub, connection, flow, decoder, begun: None };
            connection::serve(traffic, stream, stop, direction).await;
        }
        Err(error) => give_up(&hub, &connection, CloseCause::Network(error.kind())),
    }
}

/// Whether what came gets a response: an ACK does not, nor does a response (RFC 3261 8.2.7, 17.1.1.3).
fn is_answered(message: &Result<Message, ParseError>) -> bool {
    match message {
        Ok(Message::Request(request)) => request.method != Method::Ack,
        Ok(Message::Response(_)) => false,
        Err(_) => true,
    }
}

/// SIP messages on one connection.
struct SipTraffic {
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    flow: Flow,
    decoder: StreamDecoder,
    /// When the message that is not complete yet began.
    begun: Option<Instant>,
}

impl Traffic for SipTraffic {
    const PROTOCOL: &'static str = "sip";
    const LAST_WORDS: Duration = Duration::from_secs(1);
    type Token = Option<Pending>;

    fn id(&self) -> impl fmt::Display {
        self.flow.connection
    }

    fn peer(&self) -> SocketAddr {
        self.flow.peer
    }

    fn outbox(&self) -> &Arc<Outbox<Option<Pending>>> {
        self.connection.outbox()
    }

    fn drained(&self) -> impl Fn() + Send + Sync + 'static {
        let (hub, link) = (Arc::clone(&self.hub), self.connection.id());
        move || (hub.ports.drained)(link)
    }

    fn lost(tokens: Vec<Option<Pending>>) {
        report(tokens);
    }

    async fn take(&mut self, intake: &mut Intake) -> Result<(), CloseCause> {
        if intake.stream.web().is_some() {
            return self.take_one(intake).await;
        }
        let mut count = 0_u32;
        while let Some(event) = self.decoder.decode(&mut intake.buffer) {
            self.begun = None;
            self.event(intake, event).await?;
            count = count.wrapping_add(1);
            if count.is_multiple_of(BATCH) {
                tokio::task::yield_now().await;
            }
        }
        if !intake.buffer.is_empty() {
            self.begun.get_or_insert(intake.active);
        }
        Ok(())
    }

    fn deadline(&self, intake: &Intake) -> (Instant, CloseCause) {
        let idle = intake.heard + self.hub.limits.idle_timeout;
        let begun = self.begun.or_else(|| intake.stream.web()?.begun());
        match begun.map(|begun| begun + self.hub.limits.request_timeout) {
            Some(complete) if complete < idle => (complete, CloseCause::SlowSender),
            _ => (idle, CloseCause::Idle),
        }
    }

    fn stirred(&mut self) {}

    fn owes(&self) -> bool {
        self.connection.part()
    }

    fn closed(&mut self, cause: CloseCause) {
        self.hub.gone(&self.connection);
        (self.hub.ports.closed)(FlowClosed { flow: self.flow, cause });
    }
}

impl SipTraffic {
    /// RFC 7118 5: a WebSocket message holds exactly one SIP message, whose Content-Length may be absent.
    async fn take_one(&mut self, intake: &mut Intake) -> Result<(), CloseCause> {
        let message = std::mem::take(&mut intake.buffer).freeze();
        // RFC 7118 has no CRLF keep-alive; clients that send it anyway are not refused.
        if message.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        match parse_datagram(message, &self.hub.limits.message) {
            Ok(message) => self.dispatch(intake, Ok(message)).await,
            Err(error) => self.complain(intake, error).await,
        }
    }

    async fn event(&mut self, intake: &mut Intake, event: StreamEvent) -> Result<(), CloseCause> {
        match event {
            StreamEvent::Message(message) => self.dispatch(intake, Ok(message)).await,
            // RFC 5626 3.5.1, 4.4.1: the double CRLF of a keep-alive MUST be answered by a single one
            StreamEvent::Ping => {
                self.connection.pong();
                Ok(())
            }
            StreamEvent::Malformed(error) => self.complain(intake, error).await,
            StreamEvent::Broken(error) => {
                self.complain(intake, error).await?;
                Err(CloseCause::Broken)
            }
        }
    }

    async fn complain(&mut self, intake: &mut Intake, error: ParseError) -> Result<(), CloseCause> {
        metrics::counter!("restante_sip_malformed_total", "transport" => self.flow.transport.label())
            .increment(1);
        match error {
            ParseError::Silent(cause) => {
                debug!(connection = self.flow.connection, peer = %self.flow.peer, %cause, "malformed");
                Ok(())
            }
            reject => self.dispatch(intake, Err(reject)).await,
        }
    }

    /// Hands a message over, when there is room for it: meanwhile nothing is read, and TCP pushes back.
    async fn dispatch(
        &mut self,
        intake: &mut Intake,
        message: Result<Message, ParseError>,
    ) -> Result<(), CloseCause> {
        metrics::counter!("restante_sip_received_total", "transport" => self.flow.transport.label())
            .increment(1);
        let permit = self.permit(intake, &message).await?;
        let since = clock::now();
        if is_answered(&message) {
            self.connection.asked();
        }
        (self.hub.ports.received)(SipReceived { flow: self.flow, message, since, permit: Some(permit) });
        Ok(())
    }

    async fn permit(
        &mut self,
        intake: &mut Intake,
        message: &Result<Message, ParseError>,
    ) -> Result<OwnedSemaphorePermit, CloseCause> {
        let lane = self.hub.backlog.lane(message);
        if let Ok(permit) = Arc::clone(lane).try_acquire_owned() {
            return Ok(permit);
        }
        metrics::counter!("restante_sip_stalls_total").increment(1);
        acquire(intake, self.connection.outbox(), lane, 1).await
    }
}
