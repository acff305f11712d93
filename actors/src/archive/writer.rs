//! The writer: one thread that takes whatever is queued, writes it as one batch with one sync to
//! the disk, and only then answers (group commit).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use restante::store::{Answer, ChangeSink, StoreError};
use tokio::sync::oneshot;

use super::content::Contents;
use super::pool::lock;
use super::transaction::{Committed, Desk, Transaction};
use super::tree::Tree;

/// How many operations may wait.
const QUEUE: usize = 8192;

/// The most operations of one batch.
const BATCH: usize = 1024;

/// A batch takes no further operation once its values have so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Tells the caller of an operation, when it is known whether the batch is on the disk.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// An operation, which writes into the batch.
type Operation = Box<dyn FnOnce(&mut Transaction<'_>) -> Reply + Send>;

enum Order {
    Apply(Operation),
    Stop,
}

/// Whom to tell of changes.
pub(super) type Sinks = Arc<Mutex<Vec<ChangeSink>>>;

/// The way to the writer; cheap to clone.
#[derive(Clone)]
pub(super) struct WriterHandle {
    orders: SyncSender<Order>,
    closed: Arc<AtomicBool>,
}

impl WriterHandle {
    /// Queues an operation at once; the answer comes when it is durable.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        if self.closed() {
            return Box::pin(std::future::ready(Err(closed())));
        }
        let (answer, answered) = oneshot::channel();
        let apply: Operation = Box::new(move |transaction| {
            let outcome = operation(transaction);
            if matches!(outcome, Err(StoreError::Unavailable(_))) {
                transaction.fail();
            }
            Box::new(move |committed| {
                // The caller may have gone; the operation stands all the same.
                let _ = answer.send(outcome.and_then(|value| committed.map(|()| value)));
            })
        });
        match self.orders.try_send(Order::Apply(apply)) {
            Ok(()) => Box::pin(async move { answered.await.unwrap_or_else(|_| Err(closed())) }),
            Err(TrySendError::Full(_)) => Box::pin(std::future::ready(Err(StoreError::Busy))),
            Err(TrySendError::Disconnected(_)) => Box::pin(std::future::ready(Err(closed()))),
        }
    }

    pub(super) fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses everything from now on; the answer comes when all that was queued before is done.
    pub(super) fn close(&self) -> Answer<()> {
        let last = self.submit(|_| Ok(()));
        self.closed.store(true, Ordering::Release);
        last
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

/// The thread. Dropped, it finishes what is queued and waits for that.
pub(super) struct Writer {
    handle: WriterHandle,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        tree: Arc<Tree>,
        desk: Desk,
        contents: Arc<Contents>,
        sinks: Sinks,
    ) -> io::Result<Self> {
        let (orders, queue) = sync_channel(QUEUE);
        let closed = Arc::new(AtomicBool::new(false));
        let handle = WriterHandle { orders, closed: closed.clone() };
        let desk = Mutex::new(desk);
        let work = move || {
            run(&queue, &tree, &mut lock(&desk), &contents, &sinks);
            closed.store(true, Ordering::Release);
        };
        let thread = std::thread::Builder::new().name("archive-writer".into()).spawn(work)?;
        Ok(Self { handle, thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.handle.closed.store(true, Ordering::Release);
        // Fails only when the thread has ended already.
        let _ = self.handle.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(queue: &Receiver<Order>, tree: &Tree, desk: &mut Desk, contents: &Arc<Contents>, sinks: &Sinks) {
    while let Ok(Order::Apply(first)) = queue.recv() {
        let mut replies = Vec::with_capacity(64);
        let mut transaction = Transaction::new(tree, desk);
        replies.push(first(&mut transaction));
        let mut stop = false;
        while replies.len() < BATCH && transaction.bytes() < BATCH_BYTES {
            match queue.try_recv() {
                Ok(Order::Apply(operation)) => replies.push(operation(&mut transaction)),
                Ok(Order::Stop) => {
                    stop = true;
                    break;
                }
                Err(_) => break,
            }
        }
        let committed = transaction.commit().map(|committed| tell(committed, contents, sinks));
        for reply in replies {
            reply(committed.clone());
        }
        if stop {
            return;
        }
    }
}

/// Does what waits for the batch to be on the disk.
fn tell(committed: Committed, contents: &Arc<Contents>, sinks: &Sinks) {
    contents.unlink(committed.unlinked);
    if committed.changes.is_empty() {
        return;
    }
    let sinks = lock(sinks).clone();
    for change in committed.changes {
        for sink in &sinks {
            sink(change.clone());
        }
    }
}
