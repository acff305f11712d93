//! One MSRP connection: reads frames, finds the session of each, hands them over in batches against
//! credit (RFC 4975 5.4, 7.3).

use super::census::Seat;
use super::close_cause::CloseCause;
use super::connection::{self, Addressed, Traffic, acquire};
use super::intake::Intake;
use super::msrp::Hub;
use super::msrp_link::{LinkClosed, MsrpEvent, MsrpFrames, MsrpLink, MsrpPort};
use super::msrp_registry::Lookup;
use super::outbox::Outbox;
use super::stop::Stop;
use super::stream::Stream;
use bytes::{Bytes, BytesMut};
use restante::wire::msrp::{Decoder, DecoderLimits, Head, MsrpUri, Piece, refuse};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::debug;

/// Frames handed over in one batch.
const FRAMES: usize = 64;
/// How long a connection may come before the answer to our offer.
const ANSWER: Duration = Duration::from_secs(5);
/// What a parsed head costs in memory beyond its bytes.
const HEAD_COST: usize = 512;

/// A connection that is open and not yet served.
pub(crate) struct Opened {
    pub(crate) hub: Arc<Hub>,
    pub(crate) link: MsrpLink,
    pub(crate) stream: Stream,
    pub(crate) stop: Stop,
    pub(crate) seat: Seat,
}

/// Serves a connection that the node has opened for a session to its end.
pub(crate) fn serve(opened: Opened) -> impl Future<Output = ()> + Send {
    let Opened { hub, link, stream, stop, seat } = opened;
    connection::serve(MsrpTraffic::new(hub, link, seat, true), stream, stop, "out")
}

/// Serves a connection that a peer has opened to its end, from its first frame on where the session is that it is for.
pub(crate) fn settle(opened: Opened) -> impl Future<Output = ()> + Send {
    let Opened { hub, link, stream, stop, seat } = opened;
    connection::settle(MsrpTraffic::new(hub, link, seat, false), stream, stop, "in")
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

/// What holds up a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// The batch has to be handed over first, and its session has too much in hand.
    Credit,
    /// The answer to our offer is still to come, which tells who may connect.
    Answer,
    /// The peer is not who the session's description says.
    Identity,
}

/// MSRP frames on one connection.
struct MsrpTraffic {
    hub: Arc<Hub>,
    link: MsrpLink,
    decoder: Decoder,
    /// What may be handed over; it comes with the first bytes.
    credit: Option<Arc<Semaphore>>,
    /// What is to be handed over; while nothing is, it takes no room.
    batch: Option<Box<Batch>>,
    route: Route,
    /// When the header that is not complete yet began.
    header_since: Option<Instant>,
    /// Since when the connection has no session.
    unbound_since: Option<Instant>,
    _seat: Seat,
}

impl Traffic for MsrpTraffic {
    const PROTOCOL: &'static str = "msrp";
    const LAST_WORDS: Duration = Duration::ZERO;
    type Token = ();

    fn id(&self) -> impl fmt::Display {
        self.link.id()
    }

    fn peer(&self) -> SocketAddr {
        self.link.peer()
    }

    fn outbox(&self) -> &Arc<Outbox<()>> {
        self.link.outbox()
    }

    fn drained(&self) -> impl Fn() + Send + Sync + 'static {
        let link = self.link.clone();
        move || link.tell_drained()
    }

    fn lost(_: Vec<()>) {}

    async fn take(&mut self, intake: &mut Intake) -> Result<(), CloseCause> {
        loop {
            let before = intake.buffer.len();
            match self.decoder.decode(&mut intake.buffer) {
                Ok(Some(piece)) => {
                    let bytes = before.saturating_sub(intake.buffer.len());
                    if let Err((why, piece)) = self.piece(intake, piece, bytes) {
                        // Boxed, since it is rare: a connection that waits does not carry what a stall needs.
                        Box::pin(self.held(intake, why, piece, bytes)).await?;
                    }
                }
                // RFC 7977 5.1: each chunk MUST be carried within a single WebSocket message
                Ok(None)
                    if self.link.carries_messages()
                        && (self.route != Route::Between || !intake.buffer.is_empty()) =>
                {
                    self.flush(intake).await?;
                    return Err(CloseCause::Broken);
                }
                Ok(None) => break,
                Err(error) => {
                    self.flush(intake).await?;
                    debug!(link = %self.link.id(), peer = %self.link.peer(), %error, "broken frame");
                    return Err(CloseCause::Broken);
                }
            }
        }
        if self.route == Route::Between && !intake.buffer.is_empty() {
            self.header_since.get_or_insert(intake.active);
        }
        self.flush(intake).await
    }

    fn deadline(&self, intake: &Intake) -> (Instant, CloseCause) {
        let limits = &self.hub.limits;
        let quiet = match self.unbound_since {
            Some(since) => (after(since, limits.bind_timeout), CloseCause::Unbound),
            None => (after(intake.active, limits.idle_timeout), CloseCause::Idle),
        };
        match self.header_since.map(|since| after(since, limits.header_timeout)) {
            Some(header) if header < quiet.0 => (header, CloseCause::SlowSender),
            _ => quiet,
        }
    }

    fn stirred(&mut self) {
        if self.link.sessions() == 0 {
            self.unbound_since = Some(Instant::now());
        }
    }

    fn closed(&mut self, cause: CloseCause) {
        for port in self.hub.registry.release(&self.link) {
            port.tell(MsrpEvent::Closed(LinkClosed { link: self.link.id(), cause }));
        }
    }
}

impl Addressed for MsrpTraffic {
    fn home(&self, intake: &Intake) -> Option<Handle> {
        // A copy: the frame is read for good where it is at home, and whether it may come to the session is judged there.
        let begin = intake.buffer.get(..intake.buffer.len().min(self.hub.limits.header)).unwrap_or_default();
        let (mut decoder, mut begin) = (Decoder::new(limits(&self.hub)), BytesMut::from(begin));
        let Ok(Some(Piece::Head(head))) = decoder.decode(&mut begin) else { return None };
        self.hub.home(head.to_path.first()?.session_id())
    }
}

impl MsrpTraffic {
    fn new(hub: Arc<Hub>, link: MsrpLink, seat: Seat, bound: bool) -> Self {
        Self {
            link,
            decoder: Decoder::new(limits(&hub)),
            credit: None,
            batch: None,
            route: Route::Between,
            header_since: None,
            unbound_since: (!bound).then(Instant::now),
            _seat: seat,
            hub,
        }
    }

    /// Takes a piece into the batch, or gives it back and says what holds it up.
    fn piece(&mut self, intake: &Intake, piece: Piece, bytes: usize) -> Result<(), (Hold, Piece)> {
        let most = self.hub.limits.batch;
        let full = |batch: &Batch| batch.frames >= FRAMES || batch.bytes >= most;
        if self.batch.as_deref().is_some_and(full) && !self.deliver() {
            return Err((Hold::Credit, piece));
        }
        let mut cost = bytes;
        let ends = matches!(piece, Piece::End(_));
        if let Piece::Head(head) = &piece {
            self.header_since = None;
            cost = cost.saturating_add(HEAD_COST);
            if let Err(why) = self.route(head) {
                self.header_since = Some(intake.active);
                return Err((why, piece));
            }
        }
        let route = self.route;
        if ends {
            self.route = Route::Between;
        }
        if route == Route::Deliver {
            let batch = self.batch.get_or_insert_default();
            batch.bytes = batch.bytes.saturating_add(cost);
            batch.frames = batch.frames.saturating_add(usize::from(ends));
            batch.pieces.push(piece);
        }
        Ok(())
    }

    /// Finds the session a frame is for.
    fn route(&mut self, head: &Head) -> Result<(), Hold> {
        let Some(uri) = head.to_path.first() else {
            self.route = Route::Skip;
            // RFC 4975 7.2, 10.2: it is answered 400. A response has our URI, which none but the only session can know.
            return match self.link.only_session() {
                Some((session, port)) => self.turn_to(&session, || session.clone(), port),
                None => Ok(()),
            };
        };
        match self.hub.registry.lookup(uri.session_id(), &self.link, head) {
            Lookup::Found { port, bound_now } => {
                if bound_now {
                    self.unbound_since = None;
                }
                self.turn_to(uri.session_id(), || uri.shared_session_id(), port)?;
            }
            // RFC 4975 7.3: a request for no existing session MUST get 481, and is ignored
            Lookup::Unknown => self.refuse(head, 481),
            // RFC 4975 5.4: a session already in use on another connection: MUST reject with 506
            Lookup::Elsewhere => self.refuse(head, 506),
            // What it tells of was sent over a connection that the session has left, and is sent again.
            Lookup::Stray => self.route = Route::Skip,
            Lookup::Early(_) => return Err(Hold::Answer),
            Lookup::Forbidden => return Err(Hold::Identity),
        }
        Ok(())
    }

    /// The present frame goes to this session, behind what another has in the batch.
    fn turn_to(
        &mut self,
        session: &[u8],
        shared: impl FnOnce() -> Bytes,
        port: MsrpPort,
    ) -> Result<(), Hold> {
        let to = self.batch.as_ref().and_then(|batch| batch.to.as_ref());
        if to.is_none_or(|(known, _)| known != session) {
            if !self.deliver() {
                return Err(Hold::Credit);
            }
            self.batch.get_or_insert_default().to = Some((shared(), port));
        }
        self.route = Route::Deliver;
        Ok(())
    }

    /// Waits until what holds a piece up is over, and takes it, or refuses its frame; or ends the connection.
    async fn held(
        &mut self,
        intake: &mut Intake,
        mut why: Hold,
        mut piece: Piece,
        bytes: usize,
    ) -> Result<(), CloseCause> {
        let mut waited = false;
        loop {
            match (why, &piece) {
                (Hold::Credit, _) => self.stalled(intake).await?,
                (Hold::Answer, Piece::Head(head)) if !waited => {
                    waited = true;
                    self.answered(intake, head).await?;
                }
                // RFC 4975 14.4: if the fingerprint does not match, the endpoint MUST tear down the media session
                (Hold::Answer | Hold::Identity, _) => {
                    if let Piece::Head(head) = &piece {
                        self.refuse(head, 403);
                    }
                    // The sessions that are carried as agreed have no part in it.
                    if self.link.sessions() > 0 {
                        self.header_since = None;
                        return Ok(());
                    }
                    self.flush(intake).await?;
                    return Err(CloseCause::Identity);
                }
            }
            match self.piece(intake, piece, bytes) {
                Ok(()) => return Ok(()),
                Err((next, back)) => (why, piece) = (next, back),
            }
        }
    }

    /// Waits, a while, for the answer to the offer of the session that a frame is for.
    async fn answered(&self, intake: &mut Intake, head: &Head) -> Result<(), CloseCause> {
        let Some(session) = head.to_path.first().map(MsrpUri::session_id) else { return Ok(()) };
        let lookup = || self.hub.registry.lookup(session, &self.link, head);
        let Lookup::Early(answered) = lookup() else { return Ok(()) };
        let come = async {
            let mut come = std::pin::pin!(answered.come());
            come.as_mut().enable();
            // It may have come before we began to wait.
            if matches!(lookup(), Lookup::Early(_)) {
                come.await;
            }
        };
        tokio::select! {
            biased;
            () = intake.stop.stopped() => Err(CloseCause::Stopped),
            cause = self.link.outbox().ended() => Err(cause),
            _ = tokio::time::timeout(ANSWER, come) => Ok(()),
        }
    }

    fn refuse(&mut self, head: &Head, status: u16) {
        self.route = Route::Skip;
        metrics::counter!("restante_msrp_refused_total", "status" => status.to_string()).increment(1);
        // RFC 4975 7.2, 7.3: none for responses, REPORTs, and requests that want no failure report
        if let Some(response) = refuse(head, status) {
            let _ = self.link.send(response);
        }
    }

    /// Hands the batch over; `false` where the session has not given back enough credit.
    fn deliver(&mut self) -> bool {
        if self.batch.as_ref().is_none_or(|batch| batch.pieces.is_empty()) {
            return true;
        }
        match self.credit().try_acquire_many_owned(self.charge()) {
            Ok(permit) => {
                self.hand_over(permit);
                true
            }
            Err(_) => false,
        }
    }

    /// Hands over what is there at last.
    async fn flush(&mut self, intake: &mut Intake) -> Result<(), CloseCause> {
        if !self.deliver() {
            Box::pin(self.stalled(intake)).await?;
        }
        Ok(())
    }

    /// Waits for credit, and hands the batch over.
    async fn stalled(&mut self, intake: &mut Intake) -> Result<(), CloseCause> {
        metrics::counter!("restante_msrp_stalls_total").increment(1);
        let (credit, charge) = (self.credit(), self.charge());
        let permit = acquire(intake, self.link.outbox(), &credit, charge).await?;
        self.hand_over(permit);
        Ok(())
    }

    /// Bytes that the session may have in hand.
    fn most(&self) -> usize {
        self.hub.limits.credit.max(self.hub.limits.batch)
    }

    fn credit(&mut self) -> Arc<Semaphore> {
        let most = self.most();
        Arc::clone(self.credit.get_or_insert_with(|| Arc::new(Semaphore::new(most))))
    }

    /// The credit that the batch costs.
    fn charge(&self) -> u32 {
        let bytes = self.batch.as_ref().map_or(0, |batch| batch.bytes);
        u32::try_from(bytes.min(self.most())).unwrap_or(u32::MAX)
    }

    fn hand_over(&mut self, permit: OwnedSemaphorePermit) {
        let Some(Batch { to: Some((session, port)), pieces, frames, .. }) = self.batch.take().map(|it| *it)
        else {
            return;
        };
        metrics::counter!("restante_msrp_frames_total").increment(frames as u64);
        let link = self.link.clone();
        port.tell(MsrpEvent::Frames(MsrpFrames { link, pieces, permit: Some(permit) }));
        // Within a frame the session stays the same; a new head looks it up again.
        if self.route == Route::Deliver {
            self.batch = Some(Box::new(Batch { to: Some((session, port)), ..Batch::default() }));
        }
    }
}

/// How much of a frame is held until it is understood.
fn limits(hub: &Hub) -> DecoderLimits {
    DecoderLimits { header_bytes: hub.limits.header }
}

/// `since + wait`, or as good as never.
fn after(since: Instant, wait: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
    since.checked_add(wait.min(NEVER)).unwrap_or(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`serve`] gives waits as long as its connection lives: what makes it larger should be worth it.
    #[test]
    fn a_connection_that_waits_is_small() {
        const fn of<F>(_: fn(Opened) -> F) -> usize {
            size_of::<F>()
        }
        assert!(of(serve) <= 656, "a reading task: {}", of(serve));
        assert!(of(settle) <= 656, "one that nothing was read from: {}", of(settle));
    }
}
