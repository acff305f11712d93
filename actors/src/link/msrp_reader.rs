//! One MSRP connection: reads frames, finds the session of each, hands them over in batches against
//! credit (RFC 4975 5.4, 7.3).

use super::census::Seat;
use super::intake::{Intake, Read};
use super::listen::see_off;
use super::msrp::Hub;
use super::msrp_link::{LinkClosed, MsrpEvent, MsrpFrames, MsrpLink, MsrpPort};
use super::msrp_registry::Lookup;
use super::net::TcpStream;
use super::outbox::{self, CloseCause};
use super::stop::Stop;
use bytes::Bytes;
use restante::wire::msrp::{Decoder, DecoderLimits, Head, Piece, refuse};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Frames handed over in one batch.
const FRAMES: usize = 64;
/// What a parsed head costs in memory beyond its bytes.
const HEAD_COST: usize = 512;

/// A connection that is open and not yet served.
pub(crate) struct Opened {
    pub(crate) hub: Arc<Hub>,
    pub(crate) link: MsrpLink,
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) stop: Stop,
    pub(crate) seat: Seat,
    /// Whether a session is bound to it already: the node opened it.
    pub(crate) bound: bool,
}

/// Serves a connection to its end.
pub(crate) async fn serve(opened: Opened) {
    let Opened { hub, link, stream, stop, seat, bound } = opened;
    let direction = if bound { "out" } else { "in" };
    metrics::counter!("restante_connections_total", "protocol" => "msrp", "direction" => direction)
        .increment(1);
    metrics::gauge!("restante_connections", "protocol" => "msrp").increment(1.0);
    debug!(protocol = "msrp", link = %link.id(), peer = %link.peer(), direction, "connection opened");
    let writer = tokio::spawn(write(link.clone(), Arc::clone(&stream)));
    let mut reader = Reader::new(&hub, link.clone(), Arc::clone(&stream), stop, bound);
    let Err(cause) = reader.read_on().await;
    let cause = end(&link, cause).await;
    for port in hub.registry.release(&link) {
        port.tell(MsrpEvent::Closed(LinkClosed { link: link.id(), cause }));
    }
    if cause.is_normal() || cause == CloseCause::Broken {
        see_off(&stream).await;
    }
    let _ = writer.await;
    metrics::gauge!("restante_connections", "protocol" => "msrp").decrement(1.0);
    metrics::counter!("restante_connections_closed_total", "protocol" => "msrp", "cause" => cause.label())
        .increment(1);
    if cause.is_normal() {
        info!(protocol = "msrp", link = %link.id(), peer = %link.peer(), %cause, "connection closed");
    } else {
        warn!(protocol = "msrp", link = %link.id(), peer = %link.peer(), %cause, "connection broken");
    }
    drop((reader, seat));
}

async fn write(link: MsrpLink, stream: Arc<TcpStream>) {
    outbox::write(link.outbox(), &stream, || link.tell_drained()).await;
}

/// Lets the writer finish, for a while; returns why the connection ended.
async fn end(link: &MsrpLink, cause: CloseCause) -> CloseCause {
    link.outbox().close(cause);
    match tokio::time::timeout(super::LINGER, link.outbox().ended()).await {
        Ok(cause) => cause,
        Err(_) => {
            link.outbox().abort(cause);
            cause
        }
    }
}

/// Where the pieces of the present frame go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// No frame has begun.
    Between,
    /// To the batch.
    Deliver,
    /// Nowhere: the frame was refused.
    Skip,
}

#[derive(Default)]
struct Batch {
    to: Option<(Bytes, MsrpPort)>,
    pieces: Vec<Piece>,
    frames: usize,
    bytes: usize,
}

struct Reader<'a> {
    hub: &'a Hub,
    link: MsrpLink,
    intake: Intake,
    stop: Stop,
    decoder: Decoder,
    credit: Arc<Semaphore>,
    batch: Batch,
    route: Route,
    /// When the header that is not complete yet began.
    header_since: Option<Instant>,
    /// Since when the connection has no session.
    unbound_since: Option<Instant>,
    active: Instant,
}

impl<'a> Reader<'a> {
    fn new(hub: &'a Hub, link: MsrpLink, stream: Arc<TcpStream>, stop: Stop, bound: bool) -> Self {
        let now = Instant::now();
        Self {
            link,
            intake: Intake::new("msrp", stream),
            stop,
            decoder: Decoder::new(DecoderLimits { header_bytes: hub.limits.header }),
            credit: Arc::new(Semaphore::new(hub.limits.credit.max(hub.limits.batch))),
            batch: Batch::default(),
            route: Route::Between,
            header_since: None,
            unbound_since: (!bound).then_some(now),
            active: now,
            hub,
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
                    if let Some(cause) = self.link.outbox().cause() {
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
        loop {
            let (deadline, late) = self.deadline();
            tokio::select! {
                biased;
                () = self.stop.stopped() => return Err(CloseCause::Stopped),
                cause = self.link.outbox().ended() => return Err(cause),
                ready = self.intake.stream.readable() => {
                    return ready.map_err(|error| CloseCause::Network(error.kind()));
                }
                () = self.link.orphaned() => {
                    if self.link.sessions() == 0 {
                        self.unbound_since = Some(Instant::now());
                    }
                }
                () = tokio::time::sleep_until(deadline) => return Err(late),
            }
        }
    }

    fn deadline(&self) -> (Instant, CloseCause) {
        let limits = &self.hub.limits;
        let quiet = match self.unbound_since {
            Some(since) => (after(since, limits.bind_timeout), CloseCause::Unbound),
            None => (after(self.active, limits.idle_timeout), CloseCause::Idle),
        };
        match self.header_since.map(|since| after(since, limits.header_timeout)) {
            Some(header) if header < quiet.0 => (header, CloseCause::SlowSender),
            _ => quiet,
        }
    }

    /// Decodes all that was read.
    async fn decode(&mut self) -> Result<(), CloseCause> {
        loop {
            let before = self.intake.buffer.len();
            match self.decoder.decode(&mut self.intake.buffer) {
                Ok(Some(piece)) => {
                    let bytes = before.saturating_sub(self.intake.buffer.len());
                    self.take(piece, bytes).await?;
                }
                Ok(None) => break,
                Err(error) => {
                    self.deliver().await?;
                    debug!(link = %self.link.id(), peer = %self.link.peer(), %error, "broken frame");
                    return Err(CloseCause::Broken);
                }
            }
        }
        if self.route == Route::Between && !self.intake.buffer.is_empty() {
            self.header_since.get_or_insert(self.active);
        }
        self.deliver().await
    }

    async fn take(&mut self, piece: Piece, bytes: usize) -> Result<(), CloseCause> {
        let mut cost = bytes;
        let ends = matches!(piece, Piece::End(_));
        if let Piece::Head(head) = &piece {
            self.header_since = None;
            cost = cost.saturating_add(HEAD_COST);
            self.route(head).await?;
        }
        let route = self.route;
        if ends {
            self.route = Route::Between;
        }
        if route != Route::Deliver {
            return Ok(());
        }
        self.batch.bytes = self.batch.bytes.saturating_add(cost);
        self.batch.frames = self.batch.frames.saturating_add(usize::from(ends));
        self.batch.pieces.push(piece);
        if self.batch.frames >= FRAMES || self.batch.bytes >= self.hub.limits.batch {
            self.deliver().await?;
        }
        Ok(())
    }

    /// Finds the session a frame is for.
    async fn route(&mut self, head: &Head) -> Result<(), CloseCause> {
        let Some(uri) = head.to_path.first() else {
            self.route = Route::Skip;
            return Ok(());
        };
        match self.hub.registry.lookup(&uri.session_id, &self.link) {
            Lookup::Found { port, bound_now } => {
                if bound_now {
                    self.unbound_since = None;
                }
                if self.batch.to.as_ref().is_none_or(|(session, _)| *session != uri.session_id) {
                    self.deliver().await?;
                }
                self.batch.to = Some((uri.session_id.clone(), port));
                self.route = Route::Deliver;
            }
            // RFC 4975 7.3: a request for no existing session MUST get 481, and is ignored
            Lookup::Unknown => self.refuse(head, 481),
            // RFC 4975 5.4: a session already in use on another connection: MUST reject with 506
            Lookup::Elsewhere => self.refuse(head, 506),
        }
        Ok(())
    }

    fn refuse(&mut self, head: &Head, status: u16) {
        self.route = Route::Skip;
        metrics::counter!("restante_msrp_refused_total", "status" => status.to_string()).increment(1);
        // RFC 4975 7.2, 7.3: none for responses, REPORTs, and requests that want no failure report
        if let Some(response) = refuse(head, status) {
            let _ = self.link.send(response);
        }
    }

    /// Hands the batch over, when the session has given back enough credit.
    async fn deliver(&mut self) -> Result<(), CloseCause> {
        let batch = std::mem::take(&mut self.batch);
        let Some((session, port)) = batch.to else { return Ok(()) };
        if batch.pieces.is_empty() {
            self.batch.to = Some((session, port));
            return Ok(());
        }
        metrics::counter!("restante_msrp_frames_total").increment(batch.frames as u64);
        let permit = self.credit(batch.bytes).await?;
        let link = self.link.clone();
        port.tell(MsrpEvent::Frames(MsrpFrames { link, pieces: batch.pieces, permit: Some(permit) }));
        // Within a frame the session stays the same; a new head looks it up again.
        self.batch.to = (self.route == Route::Deliver).then_some((session, port));
        Ok(())
    }

    async fn credit(&mut self, bytes: usize) -> Result<OwnedSemaphorePermit, CloseCause> {
        let most = self.hub.limits.credit.max(self.hub.limits.batch);
        let charge = u32::try_from(bytes.min(most)).unwrap_or(u32::MAX);
        if let Ok(permit) = Arc::clone(&self.credit).try_acquire_many_owned(charge) {
            return Ok(permit);
        }
        metrics::counter!("restante_msrp_stalls_total").increment(1);
        tokio::select! {
            biased;
            () = self.stop.stopped() => Err(CloseCause::Stopped),
            cause = self.link.outbox().ended() => Err(cause),
            permit = Arc::clone(&self.credit).acquire_many_owned(charge) => {
                permit.map_err(|_| CloseCause::Local)
            }
        }
    }
}

/// `since + wait`, or as good as never.
fn after(since: Instant, wait: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
    since.checked_add(wait.min(NEVER)).unwrap_or(since)
}
