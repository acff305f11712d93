//! The store of a simulation: the in-memory model, slow and faulty as a disk is, and gone with the
//! process that used it.
//!
//! What is asked takes effect in the order of the calls, after a while, and is answered a while after
//! that. A node that answers before its store did is found out when the process dies in between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use restante::entropy::{Entropy, Sequence};
use restante::store::memory::Memory;
use restante::store::{
    After, Answer, Body, ChangeSink, Content, Counts, Deposited, Expired, Item, ItemHead, ListQuery,
    MessageId, NewMessage, Overview, Owner, PagerDeposit, Quota, SessionDeposit, SessionId, Staging, Store,
    StoreError, SubscriptionCursor, SubscriptionRecord,
};
use restante::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::sabotage::{self, Sabotage};

/// How bad the disk is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disk {
    /// The longest an operation waits before it takes effect, and again before it is answered, in ms.
    pub(crate) slow: u64,
    /// Operations that are refused as too many, in percent.
    pub(crate) busy: u64,
    /// Operations that fail, in percent: half of them after they took effect.
    pub(crate) failing: u64,
}

struct Work {
    before: Duration,
    run: Box<dyn FnOnce() + Send>,
}

/// The store as one run of the node sees it.
#[derive(Clone)]
pub(crate) struct Weathered {
    memory: Memory,
    alive: Arc<AtomicBool>,
    disk: Arc<Mutex<(Disk, Sequence)>>,
    queue: mpsc::UnboundedSender<Work>,
    sabotage: Option<Sabotage>,
}

impl Weathered {
    /// A run of the node opens the store.
    pub(crate) fn open(memory: Memory, seed: u64) -> Self {
        let (queue, mut works) = mpsc::unbounded_channel::<Work>();
        tokio::spawn(async move {
            while let Some(work) = works.recv().await {
                if !work.before.is_zero() {
                    tokio::time::sleep(work.before).await;
                }
                (work.run)();
            }
        });
        Self {
            memory,
            alive: Arc::new(AtomicBool::new(true)),
            disk: Arc::new(Mutex::new((Disk::default(), Sequence::new(seed)))),
            queue,
            sabotage: sabotage::present(),
        }
    }

    pub(crate) fn set_disk(&self, disk: Disk) {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).0 = disk;
    }

    /// The process is dead: what has not taken effect never will.
    pub(crate) fn die(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }

    /// Which rule is to be broken this time.
    fn sabotage(&self) -> Option<Sabotage> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        self.sabotage.filter(|sabotage| sabotage.strikes(&mut disk.1))
    }

    fn operate<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Memory) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let (before, after, fault) = {
            let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
            let (Disk { slow, busy, failing }, dice) = &mut *disk;
            let mut wait = || Duration::from_millis(dice.next_u64() % (*slow + 1));
            let (before, after) = (wait(), wait());
            let fault = match dice.next_u64() % 200 {
                drawn if drawn < *busy * 2 => Some((StoreError::Busy, false)),
                drawn if drawn < (*busy + *failing) * 2 => {
                    Some((StoreError::Unavailable("the disk fails".to_owned()), drawn % 2 == 0))
                }
                _ => None,
            };
            (before, after, fault)
        };
        let (memory, alive) = (self.memory.clone(), Arc::clone(&self.alive));
        let (tell, told) = oneshot::channel();
        let run = move || {
            if !alive.load(Ordering::Relaxed) {
                return;
            }
            let answer = match fault {
                Some((error, false)) => Err(error),
                Some((error, true)) => now(operation(&memory)).and(Err(error)),
                None => now(operation(&memory)),
            };
            let _ = tell.send(answer);
        };
        let _ = self.queue.send(Work { before, run: Box::new(run) });
        let alive = Arc::clone(&self.alive);
        Box::pin(async move {
            let gone = || StoreError::Unavailable("the process is dead".to_owned());
            let answer = told.await.map_err(|_| gone())?;
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            if alive.load(Ordering::Relaxed) { answer } else { Err(gone()) }
        })
    }
}

/// The model answers at once.
pub(super) fn now<T>(answer: Answer<T>) -> Result<T, StoreError> {
    use std::task::{Context, Poll, Waker};
    let mut answer = answer;
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the model never waits"),
    }
}

impl Store for Weathered {
    fn deposit(&self, mut deposit: PagerDeposit) -> Answer<Deposited> {
        let Some(sabotage) = self.sabotage() else {
            return self.operate(move |memory| memory.deposit(deposit));
        };
        sabotage.before(&mut deposit);
        self.operate(move |memory| {
            let owner = deposit.owner.clone();
            let deposited = now(memory.deposit(deposit));
            if let Ok(deposited) = &deposited {
                sabotage.after(memory, owner, deposited);
            }
            Box::pin(std::future::ready(deposited))
        })
    }

    fn room(&self, owner: Owner, sender: Owner, quota: Quota) -> Answer<()> {
        self.operate(move |memory| memory.room(owner, sender, quota))
    }

    fn open_session(&self, session: SessionDeposit) -> Answer<SessionId> {
        self.operate(move |memory| memory.open_session(session))
    }

    fn append(&self, session: SessionId, message: NewMessage) -> Answer<()> {
        if self.sabotage() == Some(Sabotage::LosesAMessage) {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.operate(move |memory| memory.append(session, message))
    }

    fn close_session(&self, session: SessionId) -> Answer<Option<Deposited>> {
        self.operate(move |memory| memory.close_session(session))
    }

    fn stage(&self) -> Box<dyn Staging> {
        let staged = Arc::new(Mutex::new(Some(self.memory.stage())));
        Box::new(Slow { store: self.clone(), staged })
    }

    fn list(&self, owner: Owner, query: ListQuery) -> Answer<Vec<ItemHead>> {
        self.operate(move |memory| memory.list(owner, query))
    }

    fn held(&self, owner: Owner, ids: Vec<MessageId>) -> Answer<Vec<Option<Timestamp>>> {
        self.operate(move |memory| memory.held(owner, ids))
    }

    fn open(&self, owner: Owner, id: MessageId) -> Answer<Option<Item>> {
        self.operate(move |memory| memory.open(owner, id))
    }

    fn read(&self, content: Content, offset: u64, len: usize) -> Answer<Bytes> {
        self.operate(move |memory| memory.read(content, offset, len))
    }

    fn retrieved(&self, owner: Owner, id: MessageId, after: After) -> Answer<Option<Counts>> {
        self.operate(move |memory| memory.retrieved(owner, id, after))
    }

    fn delete(&self, owner: Owner, id: MessageId) -> Answer<Option<Counts>> {
        self.operate(move |memory| memory.delete(owner, id))
    }

    fn summary(&self, owner: Owner, query: Option<ListQuery>) -> Answer<Overview> {
        self.operate(move |memory| memory.summary(owner, query))
    }

    fn expire(&self, now: Timestamp, limit: usize) -> Answer<Expired> {
        self.operate(move |memory| memory.expire(now, limit))
    }

    fn put_subscription(&self, subscription: SubscriptionRecord) -> Answer<()> {
        self.operate(move |memory| memory.put_subscription(subscription))
    }

    fn remove_subscription(&self, owner: Owner, key: Bytes) -> Answer<()> {
        self.operate(move |memory| memory.remove_subscription(owner, key))
    }

    fn subscriptions(
        &self,
        after: Option<SubscriptionCursor>,
        limit: usize,
    ) -> Answer<Vec<SubscriptionRecord>> {
        self.operate(move |memory| memory.subscriptions(after, limit))
    }

    fn claim(&self, key: Bytes, holder: Bytes, now: Timestamp, until: Timestamp) -> Answer<bool> {
        self.operate(move |memory| memory.claim(key, holder, now, until))
    }

    fn release(&self, key: Bytes, holder: Bytes) -> Answer<()> {
        self.operate(move |memory| memory.release(key, holder))
    }

    fn on_change(&self, sink: ChangeSink) {
        let alive = Arc::clone(&self.alive);
        self.memory.on_change(Arc::new(move |change| {
            if alive.load(Ordering::Relaxed) {
                sink(change);
            }
        }));
    }

    fn working(&self) -> bool {
        self.alive.load(Ordering::Relaxed) && self.memory.working()
    }

    fn close(&self) -> Answer<()> {
        self.operate(|memory| memory.close())
    }
}

/// A content that is written as slowly as everything else.
struct Slow {
    store: Weathered,
    staged: Arc<Mutex<Option<Box<dyn Staging>>>>,
}

impl Staging for Slow {
    fn write(&self, offset: u64, bytes: Bytes) -> Answer<()> {
        let staged = Arc::clone(&self.staged);
        self.store.operate(move |_| {
            let staged = staged.lock().unwrap_or_else(PoisonError::into_inner);
            match &*staged {
                Some(staging) => staging.write(offset, bytes),
                None => Box::pin(std::future::ready(Err(StoreError::Gone))),
            }
        })
    }

    fn truncate(&self, size: u64) -> Answer<()> {
        let staged = Arc::clone(&self.staged);
        self.store.operate(move |_| {
            let staged = staged.lock().unwrap_or_else(PoisonError::into_inner);
            match &*staged {
                Some(staging) => staging.truncate(size),
                None => Box::pin(std::future::ready(Err(StoreError::Gone))),
            }
        })
    }

    fn finish(self: Box<Self>) -> Answer<Body> {
        let staged = Arc::clone(&self.staged);
        self.store.operate(move |_| {
            let staging = staged.lock().unwrap_or_else(PoisonError::into_inner).take();
            match staging {
                Some(staging) => staging.finish(),
                None => Box::pin(std::future::ready(Err(StoreError::Gone))),
            }
        })
    }
}
