//! What waits to be written to one connection: a queue bounded in bytes.
//!
//! Actors push from any thread and never wait; the writer takes all that is queued. Every piece bears a token,
//! by which its owner is told if it was not written.

use super::close_cause::CloseCause;
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Bounds of an outbox, in bytes.
#[derive(Clone, Debug)]
pub struct OutboxLimits {
    /// Above this the connection is given up: the peer does not read.
    pub max: usize,
    /// From here on a sender with a backlog should wait.
    pub high: usize,
    /// Down here it may go on.
    pub low: usize,
    /// How long the peer may take nothing while something waits.
    pub stall: Duration,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        // NOTIFYs wait from `high` on, however many subscribers are behind a proxy. What does not wait has room: the answers
        // to all requests that are in work at once ([sip] max_inflight, half a KiB each), which a slow sync lets go
        // together, or as many BYEs of a node that stops.
        Self { max: 2 << 20, high: 256 << 10, low: 64 << 10, stall: Duration::from_secs(60) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nothing new; what is queued is still written.
    Closing(CloseCause),
    /// Writes nothing more.
    Closed(CloseCause),
}

struct State<T> {
    queue: VecDeque<(Bytes, T)>,
    /// Bytes in `queue` and in the writer's hands.
    bytes: usize,
    /// Bytes that were ever queued.
    pushed: u64,
    /// `high` was reached and `low` not since.
    full: bool,
    phase: Phase,
    /// [`Outbox::stir`] was called and nobody has been told yet.
    stirred: bool,
    /// The task that reads and the one that writes, while they wait for something to change.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The queue of one connection.
pub(crate) struct Outbox<T> {
    limits: Arc<OutboxLimits>,
    state: Mutex<State<T>>,
}

impl<T> Outbox<T> {
    pub(crate) fn new(limits: Arc<OutboxLimits>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                bytes: 0,
                pushed: 0,
                full: false,
                phase: Phase::Open,
                stirred: false,
                reader: None,
                writer: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a piece, or gives the token back: the outbox takes nothing any more, or this piece made it
    /// overflow, which closes it.
    pub(crate) fn push(&self, bytes: Bytes, token: T) -> Result<(), T> {
        let size = bytes.len();
        self.queue([(bytes, token)], size).map_err(|[(_, token)]| token)
    }

    /// Queues `pieces` of so many bytes in all, with nothing in between, or gives them back.
    fn queue<P>(&self, pieces: P, size: usize) -> Result<(), P>
    where
        P: IntoIterator<Item = (Bytes, T)>,
    {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return Err(pieces);
        }
        let total = state.bytes.saturating_add(size);
        if total > self.limits.max {
            state.phase = Phase::Closed(CloseCause::SlowReader);
            rouse(state);
            return Err(pieces);
        }
        state.bytes = total;
        state.pushed += size as u64;
        state.full |= total >= self.limits.high;
        // Who waits for something to write does so while there is nothing.
        let writer = if state.queue.is_empty() { state.writer.take() } else { None };
        state.queue.extend(pieces);
        drop(state);
        wake(writer);
        Ok(())
    }

    /// Queues pieces that belong together, as [`Outbox::push`] does one: what others push comes before or behind them.
    pub(crate) fn push_all(&self, pieces: Vec<(Bytes, T)>) -> Result<(), Vec<(Bytes, T)>> {
        let size = pieces.iter().map(|(bytes, _)| bytes.len()).sum();
        if size == 0 { Ok(()) } else { self.queue(pieces, size) }
    }

    /// Queues a piece that is worth nothing twice, as [`Outbox::push`] does, unless the last that waits is the same.
    pub(crate) fn push_once(&self, bytes: Bytes, token: T) -> Result<(), T> {
        if self.state().queue.back().is_some_and(|(last, _)| *last == bytes) {
            return Ok(());
        }
        self.push(bytes, token)
    }

    /// Bytes that are queued and not yet written.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.state().bytes
    }

    /// The place behind what is queued, in all that ever was.
    pub(crate) fn end(&self) -> u64 {
        self.state().pushed
    }

    /// Whether what is queued before this place has been written.
    pub(crate) fn has_written(&self, place: u64) -> bool {
        let state = self.state();
        state.pushed - state.bytes as u64 >= place
    }

    /// How much may be queued before a sender with a backlog should wait.
    pub(crate) fn high(&self) -> usize {
        self.limits.high
    }

    /// Whether a sender with a backlog may go on.
    pub(crate) fn has_room(&self) -> bool {
        !self.state().full
    }

    /// Whether waiting helps: pieces are still taken, and a sender with a backlog may not go on.
    pub(crate) fn is_crowded(&self) -> bool {
        let state = self.state();
        state.full && state.phase == Phase::Open
    }

    /// Whether pieces are still taken.
    pub(crate) fn is_open(&self) -> bool {
        self.state().phase == Phase::Open
    }

    /// Takes nothing new, and ends when what is queued has been written.
    pub(crate) fn close(&self, cause: CloseCause) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing(cause);
            let writer = state.writer.take();
            drop(state);
            wake(writer);
        }
    }

    /// Ends now. The first cause given stays.
    pub(crate) fn abort(&self, cause: CloseCause) {
        let mut state = self.state();
        match state.phase {
            Phase::Open => state.phase = Phase::Closed(cause),
            Phase::Closing(first) => state.phase = Phase::Closed(first),
            Phase::Closed(_) => return,
        }
        rouse(state);
    }

    /// Has both tasks look again at what they wait for.
    pub(super) fn rouse(&self) {
        rouse(self.state());
    }

    /// Has the task that reads look again at what it waits for.
    pub(crate) fn stir(&self) {
        let mut state = self.state();
        state.stirred = true;
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// Why it ended, once it has.
    pub(crate) fn cause(&self) -> Option<CloseCause> {
        match self.state().phase {
            Phase::Closed(cause) => Some(cause),
            Phase::Open | Phase::Closing(_) => None,
        }
    }

    /// Why it is about to end, or has.
    pub(crate) fn ending(&self) -> Option<CloseCause> {
        match self.state().phase {
            Phase::Closing(cause) | Phase::Closed(cause) => Some(cause),
            Phase::Open => None,
        }
    }

    /// Waits for the end. Only the task that reads waits here and in [`Outbox::stirred`], once at a time.
    pub(crate) fn ended(&self) -> impl Future<Output = CloseCause> {
        self.closed(|state| &mut state.reader)
    }

    /// Has `task` wait for the end.
    fn closed(&self, task: fn(&mut State<T>) -> &mut Option<Waker>) -> impl Future<Output = CloseCause> {
        poll_fn(move |context| {
            let mut state = self.state();
            match state.phase {
                Phase::Closed(cause) => Poll::Ready(cause),
                Phase::Open | Phase::Closing(_) => await_change(task(&mut state), context),
            }
        })
    }

    /// Waits until [`Outbox::stir`] is called, or was since this last told of it; the end comes first.
    pub(crate) async fn stirred(&self) -> Option<CloseCause> {
        poll_fn(|context| {
            let mut state = self.state();
            let stirred = std::mem::take(&mut state.stirred);
            match state.phase {
                Phase::Closed(cause) => Poll::Ready(Some(cause)),
                Phase::Open | Phase::Closing(_) if stirred => Poll::Ready(None),
                Phase::Open | Phase::Closing(_) => await_change(&mut state.reader, context),
            }
        })
        .await
    }

    /// Waits for something to write, or for the end. Only the task that writes waits here and in
    /// [`Outbox::given_up`].
    pub(super) async fn filled(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            match state.phase {
                Phase::Open if state.queue.is_empty() => await_change(&mut state.writer, context),
                Phase::Open | Phase::Closing(_) | Phase::Closed(_) => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Waits until nothing more is to be written.
    pub(super) fn given_up(&self) -> impl Future<Output = CloseCause> {
        self.closed(|state| &mut state.writer)
    }

    /// How long the peer may take nothing while something waits.
    pub(super) fn stall(&self) -> Duration {
        self.limits.stall
    }

    /// The tokens of all that will not be written, after the end.
    pub(crate) fn take_lost(&self) -> Vec<T> {
        let mut state = self.state();
        state.bytes = 0;
        std::mem::take(&mut state.queue).into_iter().map(|(_, token)| token).collect()
    }

    /// Moves all that is queued into `hands`, which is empty.
    pub(super) fn take(&self, hands: &mut VecDeque<(Bytes, T)>) -> Taken {
        let mut state = self.state();
        match state.phase {
            Phase::Closed(_) => Taken::End,
            _ if !state.queue.is_empty() => {
                std::mem::swap(&mut state.queue, hands);
                Taken::Some
            }
            Phase::Open => {
                // A connection that waits holds no queue.
                state.queue = VecDeque::new();
                Taken::Nothing
            }
            Phase::Closing(cause) => {
                state.phase = Phase::Closed(cause);
                Taken::End
            }
        }
    }

    /// Notes that `count` bytes were written; whether a waiting sender may go on now.
    pub(super) fn written(&self, count: usize) -> bool {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(count);
        let drained = state.full && state.bytes <= self.limits.low;
        if drained {
            state.full = false;
        }
        drained
    }
}

/// Has `task` woken at the next change.
fn await_change<R>(task: &mut Option<Waker>, context: &Context<'_>) -> Poll<R> {
    *task = Some(context.waker().clone());
    Poll::Pending
}

/// Wakes both tasks.
fn rouse<T>(mut state: MutexGuard<'_, State<T>>) {
    let (reader, writer) = (state.reader.take(), state.writer.take());
    drop(state);
    wake(reader);
    wake(writer);
}

fn wake(task: Option<Waker>) {
    task.into_iter().for_each(Waker::wake);
}

/// What there is to write.
pub(super) enum Taken {
    /// What was queued is in hand.
    Some,
    /// Nothing is queued.
    Nothing,
    /// Nothing more is to be written.
    End,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::pin::{Pin, pin};

    fn is_pending<F: Future>(future: Pin<&mut F>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn the_reader_is_told_of_a_stir_once_also_where_it_came_before_he_waited() {
        let outbox = Outbox::<()>::new(Arc::default());
        outbox.stir();
        assert_eq!(outbox.stirred().await, None);
        let mut again = pin!(outbox.stirred());
        assert!(is_pending(again.as_mut()));
        outbox.stir();
        outbox.abort(CloseCause::Peer);
        assert_eq!(again.await, Some(CloseCause::Peer), "the end comes first");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_by_what_he_waits_for() {
        let outbox = Outbox::new(Arc::default());
        let waiting = |outbox: &Arc<Outbox<()>>| {
            let (reading, writing) = (Arc::clone(outbox), Arc::clone(outbox));
            (
                tokio::spawn(async move { reading.ended().await }),
                tokio::spawn(async move {
                    writing.filled().await;
                    writing.given_up().await
                }),
            )
        };
        let (reader, writer) = waiting(&outbox);
        tokio::task::yield_now().await;
        outbox.push(Bytes::from_static(b"x"), ()).unwrap();
        outbox.stir();
        tokio::task::yield_now().await;
        assert!(!reader.is_finished() && !writer.is_finished(), "neither has ended");
        outbox.abort(CloseCause::Idle);
        for task in [reader, writer] {
            let ended = tokio::time::timeout(Duration::from_secs(1), task).await;
            assert_eq!(ended.expect("it is woken").unwrap(), CloseCause::Idle);
        }
    }

    // proves RFC 4975 5.1: several sessions share a connection, and none writes into the chunk of another
    #[test]
    fn what_belongs_together_stays_together() {
        const TURNS: u8 = 200;
        let outbox = Outbox::<()>::new(Arc::new(OutboxLimits { max: usize::MAX, ..OutboxLimits::default() }));
        std::thread::scope(|scope| {
            for who in 0..2 {
                let outbox = &outbox;
                scope.spawn(move || {
                    for turn in 0..TURNS {
                        let piece = |part| (Bytes::from(vec![who, turn, part]), ());
                        outbox.push_all((0..20).map(piece).collect()).unwrap();
                    }
                });
            }
        });
        let pieces: Vec<Bytes> = outbox.state().queue.drain(..).map(|(bytes, ())| bytes).collect();
        assert_eq!(pieces.len(), usize::from(TURNS) * 40);
        for turn in pieces.chunks(20) {
            let whole: Vec<Vec<u8>> = (0..20).map(|part| vec![turn[0][0], turn[0][1], part]).collect();
            assert_eq!(turn, whole);
        }
    }

    #[test]
    fn what_belongs_together_overflows_together() {
        let outbox = Outbox::new(Arc::new(OutboxLimits { max: 5, ..OutboxLimits::default() }));
        let pieces = |sizes: &[usize]| sizes.iter().map(|size| (Bytes::from(vec![0; *size]), ())).collect();
        assert!(outbox.push_all(Vec::new()).is_ok() && outbox.push_all(pieces(&[2, 3])).is_ok());
        assert_eq!((outbox.queued(), outbox.cause()), (5, None));
        assert_eq!(outbox.push_all(pieces(&[0, 1])).unwrap_err().len(), 2);
        assert_eq!((outbox.queued(), outbox.cause()), (5, Some(CloseCause::SlowReader)));
    }
}
