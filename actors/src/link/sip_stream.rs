//! One SIP connection (RFC 3261 18.3, RFC 5626 3.5.1): opened, and its bytes understood.

use super::census::Seat;
use super::connection::{self, Traffic, acquire};
use super::intake::Intake;
use super::listen::{Accepted, tune};
use super::net::TcpStream;
use super::outbox::{CloseCause, Outbox};
use super::sip::{FlowClosed, Hub, SipReceived};
use super::sip_connection::{Connection, Pending, report};
use super::stop::Stop;
use super::stream::Stream;
use bytes::Bytes;
use restante::machine::sip::{Flow, Transport};
use restante::wire::sip::{Message, ParseError, StreamDecoder, StreamEvent};
use std::fmt;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{debug, warn};

/// Messages decoded before other tasks of the core have their turn.
const BATCH: u32 = 64;

/// Serves a connection that a peer opened.
pub(crate) async fn serve_accepted(hub: Arc<Hub>, accepted: Accepted) {
    let Accepted { tcp, peer, seat, stop } = accepted;
    let connection = hub.connections.accepted(Transport::Tcp, peer, hub.limits.outbox);
    serve(hub, connection, Stream::Plain(tcp), stop, "in").await;
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
        Ok(tcp) => {
            tune(&tcp);
            serve(hub, connection, Stream::Plain(tcp), stop, "out").await;
        }
        Err(cause) => give_up(&hub, &connection, cause),
    }
    drop(seat);
}

fn give_up(hub: &Hub, connection: &Connection, cause: CloseCause) {
    warn!(protocol = "sip", peer = %connection.peer(), %cause, "connection not opened");
    hub.connections.remove(connection);
    connection.give_up(cause);
}

async fn serve(
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    stream: Stream,
    stop: Stop,
    direction: &'static str,
) {
    let peer = connection.peer();
    match stream.local() {
        Ok(local) => {
            let flow = connection.flow(local);
            let decoder = StreamDecoder::new(hub.limits.message);
            let mut traffic = SipTraffic { hub, connection, flow, decoder, begun: None };
            connection::serve(&mut traffic, stream, peer, stop, direction).await;
        }
        Err(error) => give_up(&hub, &connection, CloseCause::Network(error.kind())),
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

    fn outbox(&self) -> &Arc<Outbox<Option<Pending>>> {
        self.connection.outbox()
    }

    fn drained(&self) -> impl Fn() + Send + Sync + 'static {
        || ()
    }

    fn lost(tokens: Vec<Option<Pending>>) {
        report(tokens);
    }

    async fn take(&mut self, intake: &mut Intake) -> Result<(), CloseCause> {
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

    fn deadline(&self, active: Instant) -> (Instant, CloseCause) {
        let idle = active + self.hub.limits.idle_timeout;
        match self.begun.map(|begun| begun + self.hub.limits.request_timeout) {
            Some(complete) if complete < idle => (complete, CloseCause::SlowSender),
            _ => (idle, CloseCause::Idle),
        }
    }

    async fn disturbed(&mut self) {
        pending().await
    }

    fn closed(&mut self, cause: CloseCause) {
        self.hub.connections.remove(&self.connection);
        (self.hub.ports.closed)(FlowClosed { flow: self.flow, cause });
    }
}

impl SipTraffic {
    async fn event(&mut self, intake: &mut Intake, event: StreamEvent) -> Result<(), CloseCause> {
        match event {
            StreamEvent::Message(message) => self.dispatch(intake, Ok(message)).await,
            // RFC 5626 3.5.1, 4.4.1: the double CRLF of a keep-alive MUST be answered by a single one
            StreamEvent::Ping => {
                let _ = self.connection.push(Bytes::from_static(b"\r\n"), None);
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
        metrics::counter!("restante_sip_malformed_total", "transport" => "tcp").increment(1);
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
        metrics::counter!("restante_sip_received_total", "transport" => "tcp").increment(1);
        let permit = self.permit(intake, &message).await?;
        (self.hub.ports.received)(SipReceived { flow: self.flow, message, permit: Some(permit) });
        Ok(())
    }

    async fn permit(
        &mut self,
        intake: &mut Intake,
        message: &Result<Message, ParseError>,
    ) -> Result<OwnedSemaphorePermit, CloseCause> {
        let lane = self.hub.admission.lane(message);
        if let Ok(permit) = Arc::clone(lane).try_acquire_owned() {
            return Ok(permit);
        }
        metrics::counter!("restante_sip_stalls_total").increment(1);
        acquire(intake, self.connection.outbox(), lane, 1).await
    }
}
