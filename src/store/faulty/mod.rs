//! A store with faults: wraps any other and, as a [`Plan`] says and a seed decides, refuses calls,
//! loses or delays their answers, or breaks for good.
//!
//! It is for tests of those who use a store. It reads no clock: a late answer comes after so many
//! calls of [`Faulty::tick`], which whoever drives the test makes when time passes. Every operation
//! that is done at all is done when it is called, so their order is that of the inner store; only
//! answers change places. [`Store::close`], [`Store::on_change`] and the leases are never hit.

mod gate;
mod plan;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::gate::{Gate, Late};
pub use self::plan::Plan;
use self::plan::{Dice, Fate};
use super::{
    After, Answer, Body, ChangeSink, Content, Counts, Deposited, Expired, Item, ItemHead, ListQuery,
    MessageId, NewMessage, Overview, Owner, PagerDeposit, Quota, SessionDeposit, SessionId, Staging, Store,
    StoreError, SubscriptionCursor, SubscriptionRecord,
};
use crate::time::Timestamp;

/// How many calls met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Struck {
    /// All calls that could be hit.
    pub calls: u64,
    /// Refused as busy.
    pub busy: u64,
    /// Refused as unavailable.
    pub unavailable: u64,
    /// Done, but answered as unavailable.
    pub lost: u64,
    /// Done and answered late.
    pub late: u64,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    dice: Dice,
    struck: Struck,
    gates: Vec<Gate>,
}

/// A store with faults. Clones share the plan, the dice and the inner store.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

impl Faulty {
    /// Wraps `inner`; the same `seed` and the same calls bring the same faults.
    pub fn new(inner: impl Store, plan: Plan, seed: u64) -> Self {
        let state = State { plan, dice: Dice::new(seed), struck: Struck::default(), gates: Vec::new() };
        Self { inner: Arc::new(inner), state: Arc::new(Mutex::new(state)) }
    }

    /// Follows another plan from now on.
    pub fn follow(&self, plan: Plan) {
        lock(&self.state).plan = plan;
    }

    /// What has happened so far.
    #[must_use]
    pub fn struck(&self) -> Struck {
        lock(&self.state).struck
    }

    /// How many answers are kept back.
    #[must_use]
    pub fn held(&self) -> usize {
        lock(&self.state).gates.len()
    }

    /// Lets one tick pass: answers whose time has come are given.
    pub fn tick(&self) {
        self.pass(1);
    }

    /// Gives every answer that is kept back.
    pub fn release(&self) {
        self.pass(u32::MAX);
    }

    fn pass(&self, ticks: u32) {
        // Whom a gate wakes may call the store again: no lock is held meanwhile.
        let gates = std::mem::take(&mut lock(&self.state).gates);
        let closed: Vec<Gate> = gates.into_iter().filter(|gate| !gate.pass(ticks)).collect();
        lock(&self.state).gates.splice(0..0, closed);
    }

    /// Does `operation`, or not, as the dice fall.
    fn hit<T: Send + 'static>(&self, operation: impl FnOnce(&dyn Store) -> Answer<T>) -> Answer<T> {
        let refuse = |error| -> Answer<T> { Box::pin(std::future::ready(Err(error))) };
        match self.throw() {
            Fate::Busy => refuse(StoreError::Busy),
            Fate::Unavailable => refuse(failure()),
            Fate::Lost => {
                let answer = operation(&*self.inner);
                Box::pin(async move { answer.await.and(Err(failure())) })
            }
            Fate::Done(0) => operation(&*self.inner),
            Fate::Done(ticks) => {
                let gate = Gate::new(ticks);
                lock(&self.state).gates.push(gate.clone());
                Box::pin(Late { gate, answer: operation(&*self.inner) })
            }
        }
    }

    fn throw(&self) -> Fate {
        let mut state = lock(&self.state);
        let State { plan, dice, struck, .. } = &mut *state;
        let fate = dice.throw(plan, struck.calls);
        struck.calls += 1;
        match fate {
            Fate::Busy => struck.busy += 1,
            Fate::Unavailable => struck.unavailable += 1,
            Fate::Lost => struck.lost += 1,
            Fate::Done(0) => {}
            Fate::Done(_) => struck.late += 1,
        }
        fate
    }
}

fn failure() -> StoreError {
    StoreError::Unavailable("a fault was injected".into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A content written through the faults.
struct FaultyStaging {
    inner: Box<dyn Staging>,
    store: Faulty,
}

impl Staging for FaultyStaging {
    fn write(&self, offset: u64, bytes: Bytes) -> Answer<()> {
        self.store.hit(|_| self.inner.write(offset, bytes))
    }

    fn truncate(&self, size: u64) -> Answer<()> {
        self.store.hit(|_| self.inner.truncate(size))
    }

    fn finish(self: Box<Self>) -> Answer<Body> {
        let Self { inner, store } = *self;
        store.hit(|_| inner.finish())
    }
}

impl Store for Faulty {
    fn deposit(&self, deposit: PagerDeposit) -> Answer<Deposited> {
        self.hit(|store| store.deposit(deposit))
    }

    fn room(&self, owner: Owner, sender: Owner, quota: Quota) -> Answer<()> {
        self.hit(|store| store.room(owner, sender, quota))
    }

    fn open_session(&self, session: SessionDeposit) -> Answer<SessionId> {
        self.hit(|store| store.open_session(session))
    }

    fn append(&self, session: SessionId, message: NewMessage) -> Answer<()> {
        self.hit(|store| store.append(session, message))
    }

    fn close_session(&self, session: SessionId) -> Answer<Option<Deposited>> {
        self.hit(|store| store.close_session(session))
    }

    fn stage(&self) -> Box<dyn Staging> {
        Box::new(FaultyStaging { inner: self.inner.stage(), store: self.clone() })
    }

    fn list(&self, owner: Owner, query: ListQuery) -> Answer<Vec<ItemHead>> {
        self.hit(|store| store.list(owner, query))
    }

    fn held(&self, owner: Owner, ids: Vec<MessageId>) -> Answer<Vec<Option<Timestamp>>> {
        self.hit(|store| store.held(owner, ids))
    }

    fn open(&self, owner: Owner, id: MessageId) -> Answer<Option<Item>> {
        self.hit(|store| store.open(owner, id))
    }

    fn read(&self, content: Content, offset: u64, len: usize) -> Answer<Bytes> {
        self.hit(|store| store.read(content, offset, len))
    }

    fn retrieved(&self, owner: Owner, id: MessageId, after: After) -> Answer<Option<Counts>> {
        self.hit(|store| store.retrieved(owner, id, after))
    }

    fn delete(&self, owner: Owner, id: MessageId) -> Answer<Option<Counts>> {
        self.hit(|store| store.delete(owner, id))
    }

    fn summary(&self, owner: Owner, query: Option<ListQuery>) -> Answer<Overview> {
        self.hit(|store| store.summary(owner, query))
    }

    fn expire(&self, now: Timestamp, limit: usize) -> Answer<Expired> {
        self.hit(|store| store.expire(now, limit))
    }

    fn put_subscription(&self, subscription: SubscriptionRecord) -> Answer<()> {
        self.hit(|store| store.put_subscription(subscription))
    }

    fn remove_subscription(&self, owner: Owner, key: Bytes) -> Answer<()> {
        self.hit(|store| store.remove_subscription(owner, key))
    }

    fn subscriptions(
        &self,
        after: Option<SubscriptionCursor>,
        limit: usize,
    ) -> Answer<Vec<SubscriptionRecord>> {
        self.hit(|store| store.subscriptions(after, limit))
    }

    fn claim(&self, key: Bytes, holder: Bytes, now: Timestamp, until: Timestamp) -> Answer<bool> {
        self.inner.claim(key, holder, now, until)
    }

    fn release(&self, key: Bytes, holder: Bytes) -> Answer<()> {
        self.inner.release(key, holder)
    }

    fn on_change(&self, sink: ChangeSink) {
        self.inner.on_change(sink);
    }

    fn working(&self) -> bool {
        let state = lock(&self.state);
        let broken = state.plan.breaks_at.is_some_and(|at| state.struck.calls >= at);
        !broken && self.inner.working()
    }

    fn close(&self) -> Answer<()> {
        self.inner.close()
    }
}
