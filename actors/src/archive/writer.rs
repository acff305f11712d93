//! The writer: one thread that takes whatever is queued, writes it as one batch with one sync to
//! the disk, and only then answers (group commit). A batch in which nothing has to be durable when it is
//! answered is synced a little later, with what comes after it or by itself.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use restante::store::{ChangeSink, StoreError};

use super::Limits;
use super::content::Contents;
use super::desk::Desk;
use super::handle::{Operation, Order, WriterHandle};
use super::pool::lock;
use super::retired::Retired;
use super::session::{self, NotRecovered};
use super::standing::{Broken, Standing};
use super::transaction::{CommitError, Committed, Transaction, unavailable};
use super::tree::{Durable, Tree, failed};
use crate::seldom::seldom;

/// How long what may be synced later ([`Durable::Soon`]) waits for that.
const SOON: Duration = Duration::from_millis(50);

/// How soon sessions that were cut off and could not be read are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often what the engine no longer needs is looked for where nothing is written: it compacts for a while after.
const QUIET: Duration = Duration::from_secs(1);

/// Whom to tell of changes.
pub(super) type Sinks = Arc<Mutex<Vec<ChangeSink>>>;

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
        let standing = Arc::<Standing>::default();
        let handle = WriterHandle::new(orders, Arc::clone(&standing));
        let retired = Retired::new(tree.keyspaces())?;
        let mut work =
            Work { limits, retired, tree, desk, contents, sinks, standing, orphaned: None, unsynced: None };
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
        self.handle.standing().close();
        let Some(thread) = self.thread.take() else { return };
        let (mut told, begun) = (false, Instant::now());
        // An engine whose own threads have failed may never let the writer go.
        while !thread.is_finished() && begun.elapsed() < END {
            told = told || self.handle.stop();
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
    standing: Arc<Standing>,
    /// When drafts on the disk that nobody goes on with are to become items, if there are any.
    orphaned: Option<Instant>,
    /// By when what was answered and not yet synced has to be.
    unsynced: Option<Instant>,
}

impl Drop for Work {
    /// Nobody shall wait for a thread that has panicked.
    fn drop(&mut self) {
        self.standing.close();
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
        let committed = match self.standing.breakage() {
            Ok(()) => transaction.commit(durable).map_err(|error| self.failed(error, replies.len())),
            Err(broken) => Err(broken),
        };
        let committed = committed.and_then(|committed| {
            let written = committed.written;
            if written && durable == Durable::First {
                metrics::histogram!("restante_store_commit_seconds").record(begun.elapsed());
            }
            self.tell(committed);
            self.settle(written, durable)
        });
        if committed.is_err() && !self.standing.is_broken() {
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
        if !self.standing.is_broken() {
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
        if self.unsynced.take().is_none() || self.standing.is_broken() {
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
        if self.orphaned.is_none_or(|due| due > Instant::now()) || self.standing.is_broken() {
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
                self.standing.fail(Broken::Write);
                tracing::error!(
                    operations,
                    "the store is broken: a batch could not be written or synced. Nothing more is taken; free \
                     space or mend the disk, then start the node again"
                );
            }
            CommitError::Stopped => {
                self.standing.fail(Broken::Engine);
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
