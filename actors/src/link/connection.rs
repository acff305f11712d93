//! One connection, whatever it carries: read and written by a task each, ended when its peer, its limits
//! or the node's stop say so.
//!
//! What SIP and MSRP do with the bytes is their [`Traffic`].

use super::close_cause::CloseCause;
use super::intake::{Intake, Read};
use super::open::see_off;
use super::outbox::Outbox;
use super::stop::Stop;
use super::stream::Stream;
use super::writer;
use crate::seldom::seldom;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::debug;

/// How long a peer that has closed its own side may wait for what it has asked before.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What one connection carries: how its bytes are understood, and who is told.
pub(crate) trait Traffic: Send + 'static {
    /// `sip` or `msrp`.
    const PROTOCOL: &'static str;
    /// How long the answer to what broke the framing may take.
    const LAST_WORDS: Duration;
    /// What is written bears such a token.
    type Token: Send + 'static;

    /// The number of the connection, for the log.
    fn id(&self) -> impl fmt::Display;

    /// The address of its other end.
    fn peer(&self) -> SocketAddr;

    /// What waits to be written.
    fn outbox(&self) -> &Arc<Outbox<Self::Token>>;

    /// There is room to write again.
    fn drained(&self) -> impl Fn() + Send + Sync + 'static;

    /// What to do with the tokens of what was not written.
    fn lost(tokens: Vec<Self::Token>);

    /// Understands all that was read and hands it over. Waits where there is no room for it: meanwhile
    /// nothing is read, and TCP pushes back.
    fn take(&mut self, intake: &mut Intake) -> impl Future<Output = Result<(), CloseCause>> + Send;

    /// How long to wait for more, and what it means if nothing comes.
    fn deadline(&self, intake: &Intake) -> (Instant, CloseCause);

    /// [`Outbox::stir`] was called: [`Traffic::deadline`] may have changed while nothing comes.
    fn stirred(&mut self);

    /// The peer says nothing more, and may listen still: whether it waits for answers. [`Outbox::stir`] is called
    /// when it does no longer.
    fn owes(&self) -> bool {
        false
    }

    /// The connection takes and gives nothing any more.
    fn closed(&mut self, cause: CloseCause);
}

/// What a connection carries where its first bytes tell for whom it is.
pub(crate) trait Addressed: Traffic {
    /// The runtime of whoever is to be told of the bytes that came first, where that is another than this one.
    fn home(&self, intake: &Intake) -> Option<Handle>;
}

/// Reads and writes a connection to its end, and tells the log and the metrics.
///
/// No `async fn`, whose task would keep what it was called with beside what becomes of it.
pub(crate) fn serve<T: Traffic>(
    traffic: T,
    stream: Stream,
    stop: Stop,
    direction: &'static str,
) -> impl Future<Output = ()> + Send {
    opened(&traffic, direction);
    go_on(traffic, Intake::new(Arc::new(stream), stop), Ok(Read::Nothing))
}

/// As [`serve`], but from the first bytes on the connection is served where those are at home whom they are for: what
/// passes between the two changes no thread. Nothing must be queued to be written before.
pub(crate) fn settle<T: Addressed>(
    mut traffic: T,
    stream: Stream,
    stop: Stop,
    direction: &'static str,
) -> impl Future<Output = ()> + Send {
    opened(&traffic, direction);
    let mut intake = Intake::new(Arc::new(stream), stop);
    async move {
        let first = first_bytes(&mut traffic, &mut intake).await;
        match traffic.home(&intake).filter(|_| first.is_ok()) {
            Some(home) => {
                home.spawn(async move {
                    match intake.here() {
                        Ok(intake) => drop(tokio::spawn(go_on(traffic, intake, first))),
                        Err(error) => lost(&mut traffic, CloseCause::Network(error.kind())),
                    }
                });
            }
            None => drop(tokio::spawn(go_on(traffic, intake, first))),
        }
    }
}

fn opened<T: Traffic>(traffic: &T, direction: &'static str) {
    let protocol = T::PROTOCOL;
    metrics::counter!("restante_connections_total", "protocol" => protocol, "direction" => direction)
        .increment(1);
    metrics::gauge!("restante_connections", "protocol" => protocol).increment(1.0);
    debug!(protocol, connection = %traffic.id(), peer = %traffic.peer(), direction, "connection opened");
}

/// Waits until something was read.
async fn first_bytes<T: Traffic>(traffic: &mut T, intake: &mut Intake) -> Result<Read, CloseCause> {
    loop {
        match intake.read(T::PROTOCOL)? {
            Read::Nothing => wait(traffic, intake).await?,
            Read::Some => return Ok(Read::Some),
        }
    }
}

/// Reads and writes a connection to its end, behind what its `first` read gave.
fn go_on<T: Traffic>(
    mut traffic: T,
    mut intake: Intake,
    first: Result<Read, CloseCause>,
) -> impl Future<Output = ()> + Send {
    let (outbox, stream) = (Arc::clone(traffic.outbox()), Arc::clone(&intake.stream));
    let writer = tokio::spawn(writer::write(outbox, stream, traffic.drained(), T::lost));
    async move {
        let Err(cause) = read_on(&mut traffic, &mut intake, first).await;
        // Boxed, since a connection that lives does not need it yet.
        Box::pin(leave(&mut traffic, &intake, cause, writer)).await;
    }
}

/// Sees a connection off that is read no more.
async fn leave<T: Traffic>(traffic: &mut T, intake: &Intake, cause: CloseCause, writer: JoinHandle<()>) {
    let cause = end(Arc::clone(traffic.outbox()), T::LAST_WORDS, cause).await;
    traffic.closed(cause);
    if cause.leaves_a_peer() {
        see_off(&intake.stream).await;
    }
    let _ = writer.await;
    told_closed(traffic, cause);
}

/// Ends a connection that has no socket any more.
fn lost<T: Traffic>(traffic: &mut T, cause: CloseCause) {
    traffic.outbox().abort(cause);
    traffic.closed(cause);
    told_closed(traffic, cause);
}

/// Tells the log and the metrics that a connection has ended.
fn told_closed<T: Traffic>(traffic: &T, cause: CloseCause) {
    let protocol = T::PROTOCOL;
    metrics::gauge!("restante_connections", "protocol" => protocol).decrement(1.0);
    metrics::counter!("restante_connections_closed_total", "protocol" => protocol, "cause" => cause.label())
        .increment(1);
    let peer = traffic.peer();
    if cause.is_normal() {
        seldom!(info, protocol, connection = %traffic.id(), %peer, %cause, "connection closed");
    } else {
        seldom!(warn, protocol, connection = %traffic.id(), %peer, %cause, "connection broken");
    }
}

/// Reads to the end, behind what the `first` read gave; by reference, so that the task carries traffic and intake
/// only once.
async fn read_on<T: Traffic>(
    traffic: &mut T,
    intake: &mut Intake,
    first: Result<Read, CloseCause>,
) -> Result<Infallible, CloseCause> {
    let mut read = first;
    loop {
        match read? {
            Read::Nothing => wait(traffic, intake).await?,
            Read::Some => {
                traffic.take(intake).await?;
                tokio::task::yield_now().await;
                if let Some(cause) = traffic.outbox().cause() {
                    return Err(cause);
                }
                if intake.stop.is_set() {
                    return Err(CloseCause::Stopped);
                }
            }
        }
        read = intake.read(T::PROTOCOL);
        if read == Err(CloseCause::Peer) && traffic.owes() {
            // Boxed, since few peers end so.
            Box::pin(answer_out(traffic, intake)).await;
        }
    }
}

/// Waits until a peer that has closed its own side has what it is owed, or is gone.
// RFC 3261 18.2.2: the response MUST be sent on the connection of the request while that is open.
async fn answer_out<T: Traffic>(traffic: &mut T, intake: &mut Intake) {
    let until = Instant::now() + LAST_ANSWERS;
    while traffic.owes() {
        tokio::select! {
            biased;
            () = intake.stop.stopped() => return,
            ended = traffic.outbox().stirred() => if ended.is_some() { return },
            () = tokio::time::sleep_until(until) => return,
        }
    }
}

/// Waits for bytes, no longer than the limits allow.
async fn wait<T: Traffic>(traffic: &mut T, intake: &mut Intake) -> Result<(), CloseCause> {
    loop {
        let until = next_due(traffic, intake);
        tokio::select! {
            biased;
            () = intake.stop.stopped() => return Err(CloseCause::Stopped),
            ended = traffic.outbox().stirred() => match ended {
                Some(cause) => return Err(cause),
                None => traffic.stirred(),
            },
            ready = poll_fn(|context| intake.stream.poll_readable(context)) => {
                return ready.map_err(|error| CloseCause::Network(error.kind()));
            }
            () = tokio::time::sleep_until(until) => {
                let (deadline, late) = traffic.deadline(intake);
                match intake.stream.web().zip(next_ping(intake)) {
                    Some((socket, ping)) if ping < deadline => socket.ping(intake.heard)?,
                    _ => return Err(late),
                }
            }
        }
    }
}

/// When something is due while nothing comes.
fn next_due<T: Traffic>(traffic: &T, intake: &Intake) -> Instant {
    let (deadline, _) = traffic.deadline(intake);
    next_ping(intake).map_or(deadline, |ping| ping.min(deadline))
}

/// When the peer is to be asked for a sign of life.
fn next_ping(intake: &Intake) -> Option<Instant> {
    intake.stream.web()?.next_ping(intake.heard)
}

/// So many permits of `semaphore`, as soon as they are there; an end of the connection comes first.
pub(crate) async fn acquire<T>(
    intake: &mut Intake,
    outbox: &Outbox<T>,
    semaphore: &Arc<Semaphore>,
    count: u32,
) -> Result<OwnedSemaphorePermit, CloseCause> {
    tokio::select! {
        biased;
        () = intake.stop.stopped() => Err(CloseCause::Stopped),
        cause = outbox.ended() => Err(cause),
        permits = Arc::clone(semaphore).acquire_many_owned(count) => permits.map_err(|_| CloseCause::Local),
    }
}

/// Lets the writer finish, for a while; returns why the connection ended.
async fn end<T>(outbox: Arc<Outbox<T>>, last_words: Duration, cause: CloseCause) -> CloseCause {
    if cause == CloseCause::Broken && !last_words.is_zero() {
        let _ = tokio::time::timeout(last_words, outbox.ended()).await;
    }
    outbox.close(cause);
    match tokio::time::timeout(super::LINGER, outbox.ended()).await {
        Ok(cause) => cause,
        Err(_) => {
            outbox.abort(cause);
            cause
        }
    }
}
