//! One connection, whatever it carries: read and written by a task each, ended when its peer, its limits
//! or the node's stop say so.
//!
//! What SIP and MSRP do with the bytes is their [`Traffic`].

use super::intake::{Intake, Read};
use super::open::see_off;
use super::outbox::{CloseCause, Outbox};
use super::stop::Stop;
use super::stream::Stream;
use super::writer;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, info, warn};

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

    /// The connection takes and gives nothing any more.
    fn closed(&mut self, cause: CloseCause);
}

/// Reads and writes a connection to its end, and tells the log and the metrics.
///
/// No `async fn`, whose task would keep what it was called with beside what becomes of it.
pub(crate) fn serve<T: Traffic>(
    mut traffic: T,
    stream: Stream,
    stop: Stop,
    direction: &'static str,
) -> impl Future<Output = ()> + Send {
    let protocol = T::PROTOCOL;
    metrics::counter!("restante_connections_total", "protocol" => protocol, "direction" => direction)
        .increment(1);
    metrics::gauge!("restante_connections", "protocol" => protocol).increment(1.0);
    debug!(protocol, connection = %traffic.id(), peer = %traffic.peer(), direction, "connection opened");
    let stream = Arc::new(stream);
    let outbox = Arc::clone(traffic.outbox());
    let writer = tokio::spawn(writer::write(outbox, Arc::clone(&stream), traffic.drained(), T::lost));
    let mut intake = Intake::new(stream, stop);
    async move {
        let Err(cause) = read_on(&mut traffic, &mut intake).await;
        // Boxed, since a connection that lives does not need it yet.
        Box::pin(leave(&mut traffic, &intake, cause, writer)).await;
    }
}

/// Sees a connection off that is read no more.
async fn leave<T: Traffic>(traffic: &mut T, intake: &Intake, cause: CloseCause, writer: JoinHandle<()>) {
    let protocol = T::PROTOCOL;
    let cause = end(Arc::clone(traffic.outbox()), T::LAST_WORDS, cause).await;
    traffic.closed(cause);
    if cause.is_normal() || cause == CloseCause::Broken {
        see_off(&intake.stream).await;
    }
    let _ = writer.await;
    metrics::gauge!("restante_connections", "protocol" => protocol).decrement(1.0);
    metrics::counter!("restante_connections_closed_total", "protocol" => protocol, "cause" => cause.label())
        .increment(1);
    let peer = traffic.peer();
    if cause.is_normal() {
        info!(protocol, connection = %traffic.id(), %peer, %cause, "connection closed");
    } else {
        warn!(protocol, connection = %traffic.id(), %peer, %cause, "connection broken");
    }
}

/// Reads to the end; by reference, so that the task carries traffic and intake only once.
async fn read_on<T: Traffic>(traffic: &mut T, intake: &mut Intake) -> Result<Infallible, CloseCause> {
    loop {
        match intake.read(T::PROTOCOL)? {
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
