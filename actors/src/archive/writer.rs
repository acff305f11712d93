//! The writer: one thread that takes whatever is queued, writes it as one batch with one sync to
//! the disk, and only then answers (group commit). A batch in which nothing has to be durable when it is
//! answered is synced a little later, with what comes after it or by itself.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use restante::store::{Answer, ChangeSink, StoreError};
use tokio::sync::oneshot;

use super::Limits;
use super::content::Contents;
use super::desk::Desk;
use super::pool::lock;
use super::retired::Retired;
use super::session::{self, NotRecovered};
use super::transaction::{CommitError, Committed, Transaction, unavailable};
use super::tree::{Durable, Tree, failed};
use crate::seldom::seldom;

/// Tells the caller of an operation, when it is known whether the batch was written as durably as was asked.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// An operation, which writes into the batch.
type Operation = Box<dyn FnOnce(&mut Transaction<'_>) -> Reply + Send>;

/// How long what may be synced later ([`Durable::Soon`]) waits for that.
const SOON: Duration = Duration::from_millis(50);

/// How soon sessions that were cut off and could not be read are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often what the engine no longer needs is looked for where nothing is written: it compacts for a while after.
const QUIET: Duration = Duration::from_secs(1);

enum Order {
    Apply(Operation, Durable),
    Stop,
}

/// Whom to tell of changes.
pub(super) type Sinks = Arc<Mutex<Vec<ChangeSink>>>;

/// The way to the writer; cheap to clone.
#[derive(Clone)]
pub(super) struct WriterHandle {
    orders: SyncSender<Order>,
    closed: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    /// Why it was given up, if it was.
    cause: Arc<OnceLock<String>>,
}

impl WriterHandle {
    /// Queues an operation at once; the answer comes when it is durable.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        self.submit_as(Durable::First, operation)
    }

    /// Queues an operation at once; the answer comes when it is as `durable` as is asked for.
    pub(super) fn submit_as<T: Send + 'static>(
        &self,
        durable: Durable,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        if let Err(error) = self.refusal() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (order, answer) = order(durable, operation);
        match self.orders.try_send(order) {
            Ok(()) => answer,
            Err(TrySendError::Full(_)) => Box::pin(std::future::ready(Err(StoreError::Busy))),
            Err(TrySendError::Disconnected(_)) => Box::pin(std::future::ready(Err(closed()))),
        }
    }

    /// Why nothing more is taken, if so.
    pub(super) fn refusal(&self) -> Result<(), StoreError> {
        match (self.closed(), self.broken()) {
            (true, _) => Err(closed()),
            (false, true) if self.stopped.load(Ordering::Acquire) => Err(stopped()),
            (false, true) => Err(self.cause.get().map_or_else(broken, |cause| given_up(cause))),
            (false, false) => Ok(()),
        }
    }

    pub(super) fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether a batch could not be written: nothing more is taken until the store is opened again.
    pub(super) fn broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Takes nothing more until the store is opened again, for this `cause`.
    pub(super) fn give_up(&self, cause: &str) {
        if !self.broken() && self.cause.set(cause.to_owned()).is_ok() {
            self.broken.store(true, Ordering::Release);
            tracing::error!(
                cause,
                "the store is broken: nothing more is taken until the node is started again"
            );
        }
    }

    /// Refuses everything from now on; the answer comes when all that was queued before is done.
    pub(super) fn close(&self) -> Answer<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Box::pin(std::future::ready(Err(closed())));
        }
        let (last, answer) = order(Durable::First, |_| Ok(()));
        if let Err(TrySendError::Full(last)) = self.orders.try_send(last) {
            // The end is never refused for want of room: it waits, but not on the caller's thread.
            let orders = self.orders.clone();
            let wait = move || drop(orders.send(last));
            if let Err(error) = std::thread::Builder::new().name("archive-close".into()).spawn(wait) {
                return Box::pin(std::future::ready(Err(StoreError::Unavailable(error.to_string()))));
            }
        }
        answer
    }
}

/// An order for the writer, and the answer that comes when it is as `durable` as that.
fn order<T: Send + 'static>(
    durable: Durable,
    operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
) -> (Order, Answer<T>) {
    let (answer, answered) = oneshot::channel();
    let apply: Operation = Box::new(move |transaction| {
        let outcome = transaction.operation(operation);
        Box::new(move |committed| {
            // The caller may have gone; the operation stands all the same.
            let _ = answer.send(outcome.and_then(|value| committed.map(|()| value)));
        })
    });
    (Order::Apply(apply, durable), Box::pin(async move { answered.await.unwrap_or_else(|_| Err(closed())) }))
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

pub(super) fn broken() -> StoreError {
    StoreError::Unavailable("a write failed; it takes nothing more until the node is started again".into())
}

fn given_up(cause: &str) -> StoreError {
    StoreError::Unavailable(format!("{cause}; it takes nothing more until the node is started again"))
}

fn stopped() -> StoreError {
    StoreError::Unavailable(
        "its engine has stopped, for it could not read or write one of its tables; it takes nothing more until the node \
         is started again"
            .into(),
    )
}

/// The thread. Dropped, it finishes what is queued and waits for that.
pub(super) struct Writer {
    handle: WriterHandle,
    thread: Option<JoinHandle<()>>,
}

/// How long the end of the thread is waited for.
const END: Duration = Duration::from_secs(30);

impl Writer {
    pub(super) fn start(
        limits: Limits,
        tree: Arc<Tree>,
        desk: Desk,
        contents: Arc<Contents>,
        sinks: Sinks,
    ) -> io::Result<Self> {
        let (orders, queue) = sync_channel(limits.queue);
        let handle = WriterHandle {
            orders,
            closed: Arc::default(),
            broken: Arc::default(),
            stopped: Arc::default(),
            cause: Arc::default(),
        };
        let retired = Retired::new(tree.keyspaces())?;
        let mut work = Work {
            limits,
            retired,
            tree,
            desk,
            contents,
            sinks,
            closed: handle.closed.clone(),
            broken: handle.broken.clone(),
            stopped: handle.stopped.clone(),
            orphaned: None,
            unsynced: None,
        };
        let thread =
            std::thread::Builder::new().name("archive-writer".into()).spawn(move || work.run(&queue))?;
        Ok(Self { handle, thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.handle.closed.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        let (mut stop, begun) = (Some(Order::Stop), Instant::now());
        // An engine whose own threads have failed may never let the writer go.
        while !thread.is_finished() && begun.elapsed() < END {
            if let Some(Err(TrySendError::Full(order))) =
                stop.take().map(|stop| self.handle.orders.try_send(stop))
            {
                stop = Some(order);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            // A panic was reported by the hook already.
            let _ = thread.join();
        } else {
            tracing::error!("the store's writer does not end; what it has not answered is not kept");
        }
    }
}

/// What the thread works with.
struct Work {
    limits: Limits,
    /// Dropped before `tree`: what it unlinks must be gone before somebody else opens the engine.
    retired: Retired,
    tree: Arc<Tree>,
    desk: Desk,
    contents: Arc<Contents>,
    sinks: Sinks,
    closed: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    /// Whether it is broken because the engine has stopped.
    stopped: Arc<AtomicBool>,
    /// When drafts on the disk that nobody goes on with are to become items, if there are any.
    orphaned: Option<Instant>,
    /// By when what was answered and not yet synced has to be.
    unsynced: Option<Instant>,
}

impl Drop for Work {
    /// Nobody shall wait for a thread that has panicked.
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
    }
}

impl Work {
    fn run(&mut self, queue: &Receiver<Order>) {
        while let Some((first, durable)) = self.next(queue) {
            self.recover();
            let stop = self.batch(first, durable, queue);
            self.recover();
            if stop {
                break;
            }
        }
        // Nobody waits for it: what failed is in the log.
        let _ = self.sync();
    }

    /// The next operation; syncs what must not wait any longer, also where there always is a next one.
    fn next(&mut self, queue: &Receiver<Order>) -> Option<(Operation, Durable)> {
        loop {
            let left = self.unsynced.map(|due| due.saturating_duration_since(Instant::now()));
            let order = match left.or_else(|| self.retired.is_holding().then_some(QUIET)) {
                None => queue.recv().ok()?,
                Some(Duration::ZERO) => {
                    // The next that asks hears that the store is broken.
                    let _ = self.sync();
                    continue;
                }
                Some(left) => match queue.recv_timeout(left) {
                    Ok(order) => order,
                    Err(RecvTimeoutError::Timeout) => {
                        self.look();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return None,
                },
            };
            return match order {
                Order::Apply(operation, durable) => Some((operation, durable)),
                Order::Stop => None,
            };
        }
    }

    /// Writes this operation and those that wait behind it as one batch; whether the writer is to stop then.
    fn batch(&mut self, first: Operation, mut durable: Durable, queue: &Receiver<Order>) -> bool {
        let mut replies = Vec::with_capacity(64);
        let mut transaction = Transaction::new(&self.tree, &mut self.desk);
        replies.push(first(&mut transaction));
        let mut stop = false;
        while replies.len() < self.limits.batch && transaction.bytes() < self.limits.batch_bytes {
            match queue.try_recv() {
                Ok(Order::Apply(operation, wanted)) => {
                    replies.push(operation(&mut transaction));
                    if wanted == Durable::First {
                        durable = wanted;
                    }
                }
                Ok(Order::Stop) => {
                    stop = true;
                    break;
                }
                Err(_) => break,
            }
        }
        metrics::counter!("restante_store_operations_total").increment(replies.len() as u64);
        let begun = Instant::now();
        let committed = match self.broken.load(Ordering::Acquire) {
            true => Err(broken()),
            false => transaction.commit(durable).map_err(|error| self.failed(error, replies.len())),
        };
        let committed = committed.and_then(|committed| {
            let written = committed.written;
            if written && durable == Durable::First {
                metrics::histogram!("restante_store_commit_seconds").record(begun.elapsed());
            }
            self.tell(committed);
            self.settle(written, durable)
        });
        if committed.is_err() && !self.broken.load(Ordering::Acquire) {
            self.orphaned = Some(Instant::now());
        }
        for reply in replies {
            reply(committed.clone());
        }
        self.look();
        stop
    }

    /// Has what the engine no longer needs taken apart; of a broken engine nothing is expected.
    fn look(&mut self) {
        if !self.broken.load(Ordering::Acquire) {
            self.retired.look(Instant::now());
        }
    }

    /// Sees to what a batch has not synced.
    fn settle(&mut self, written: bool, durable: Durable) -> Result<(), StoreError> {
        match (durable, written) {
            (Durable::First, true) => self.unsynced = None,
            // What came before it is not on the disk by it.
            (Durable::First, false) => return self.sync(),
            (Durable::Soon, true) => {
                self.unsynced.get_or_insert_with(|| Instant::now() + SOON);
            }
            (Durable::Soon, false) => {}
        }
        Ok(())
    }

    /// Syncs what was answered before it was synced.
    fn sync(&mut self) -> Result<(), StoreError> {
        if self.unsynced.take().is_none() || self.broken.load(Ordering::Acquire) {
            return Ok(());
        }
        self.tree.sync().map_err(|error| {
            self.desk.clear();
            failed(error);
            self.failed(CommitError::Writing, 0)
        })
    }

    /// Makes items of the sessions that were under way when the desk was cleared: nobody can go on with them, and
    /// what was acknowledged of them must not be hidden until the store is opened again.
    fn recover(&mut self) {
        if self.orphaned.is_none_or(|due| due > Instant::now()) || self.broken.load(Ordering::Acquire) {
            return;
        }
        match session::recover_drafts(&self.tree, &mut self.desk) {
            Ok(recovered) => {
                self.orphaned = (recovered.unread > 0).then(|| Instant::now() + AGAIN);
                let (sessions, unread) = (recovered.items, recovered.unread);
                if sessions > 0 || unread > 0 {
                    tracing::warn!(sessions, unread, "sessions that were cut off have become items");
                }
                recovered.committed.into_iter().for_each(|committed| self.tell(committed));
            }
            Err(error) => {
                tracing::error!(%error, "sessions that were cut off are no items yet");
                self.orphaned = Some(Instant::now() + AGAIN);
                self.desk.clear();
                if let NotRecovered::Commit(error) = error {
                    self.failed(error, 0);
                }
            }
        }
    }

    /// After a write or a sync that failed nobody knows what the disk holds, and a later sync that
    /// succeeds would prove nothing: from then on nothing is acknowledged.
    fn failed(&self, error: CommitError, operations: usize) -> StoreError {
        match error {
            CommitError::Reading => {
                seldom!(error, operations, "batch given up: a record could not be read; nothing was written");
            }
            CommitError::Writing => {
                self.broken.store(true, Ordering::Release);
                tracing::error!(
                    operations,
                    "the store is broken: a batch could not be written or synced. Nothing more is taken; free \
                     space or mend the disk, then start the node again"
                );
            }
            CommitError::Stopped => {
                self.stopped.store(true, Ordering::Release);
                self.broken.store(true, Ordering::Release);
                tracing::error!(
                    operations,
                    "the store is broken: its engine has stopped, because it could not read or write one of its tables \
                     (`Worker ... crashed` in this log says why). Nothing more is taken. Where the disk was full, free \
                     space and start the node again; a table that is damaged has to be mended first (see Operations)"
                );
            }
        }
        unavailable(error)
    }

    /// Does what waits for the batch to be written.
    fn tell(&self, committed: Committed) {
        self.contents.unlink(committed.unlinked);
        if committed.changes.is_empty() {
            return;
        }
        let sinks = lock(&self.sinks).clone();
        for change in committed.changes {
            for sink in &sinks {
                sink(change.clone());
            }
        }
    }
}
