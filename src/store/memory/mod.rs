//! An in-memory store: the reference model every other store is compared with, and the store of
//! tests. It keeps every promise of [`Store`] but durability.

mod mailbox;
mod staging;
mod state;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::staging::MemoryStaging;
use self::state::State;
use super::{
    After, Answer, Change, ChangeSink, Content, Counts, Deposited, Expired, Item, ItemHead, ListQuery,
    MAX_LIST, MAX_READ, MessageId, NewMessage, Overview, Owner, PagerDeposit, Quota, SessionDeposit,
    SessionId, Staging, Store, StoreError, SubscriptionCursor, SubscriptionRecord,
};
use crate::time::Timestamp;

/// A store in memory. Clones share what it holds.
#[derive(Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    sinks: Arc<Mutex<Vec<ChangeSink>>>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Behaves as if the process had ended and the store were opened again: sessions under way
    /// become items, leases are void, and a closed store is open.
    pub fn restart(&self) {
        lock(&self.state).restart();
    }

    /// Runs `operation`, tells the change of `owner` if there was one, and gives the outcome.
    fn run<T: Send + 'static>(
        &self,
        owner: Option<Owner>,
        operation: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Answer<T> {
        let mut state = lock(&self.state);
        let outcome = if state.closed {
            Err(StoreError::Unavailable("it is closed".into()))
        } else {
            operation(&mut state)
        };
        let mut changed = std::mem::take(&mut state.changed);
        changed.extend(owner.filter(|_| state.touched));
        state.touched = false;
        let changes: Vec<Change> =
            changed.into_iter().map(|owner| Change { counts: state.counts(&owner), owner }).collect();
        drop(state);
        let sinks = lock(&self.sinks).clone();
        for change in changes {
            for sink in &sinks {
                sink(change.clone());
            }
        }
        Box::pin(std::future::ready(outcome))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for Memory {
    fn deposit(&self, deposit: PagerDeposit) -> Answer<Deposited> {
        self.run(Some(deposit.owner.clone()), |state| state.deposit(deposit))
    }

    fn room(&self, owner: Owner, sender: Owner, quota: Quota) -> Answer<()> {
        self.run(None, |state| state.room(&owner, &sender, quota))
    }

    fn open_session(&self, session: SessionDeposit) -> Answer<SessionId> {
        self.run(None, |state| state.open_session(session))
    }

    fn append(&self, session: SessionId, message: NewMessage) -> Answer<()> {
        self.run(None, |state| state.append(session, message))
    }

    fn close_session(&self, session: SessionId) -> Answer<Option<Deposited>> {
        self.run(None, |state| state.close_session(session))
    }

    fn stage(&self) -> Box<dyn Staging> {
        Box::new(MemoryStaging::new(self.state.clone()))
    }

    fn list(&self, owner: Owner, query: ListQuery) -> Answer<Vec<ItemHead>> {
        self.run(None, |state| Ok(state.list(&owner, query)))
    }

    fn held(&self, owner: Owner, ids: Vec<MessageId>) -> Answer<Vec<Option<Timestamp>>> {
        self.run(None, |state| {
            Ok(ids.iter().map(|id| state.item(&owner, id).map(|item| item.head.ends)).collect())
        })
    }

    fn open(&self, owner: Owner, id: MessageId) -> Answer<Option<Item>> {
        self.run(None, |state| Ok(state.item(&owner, &id)))
    }

    fn read(&self, content: Content, offset: u64, len: usize) -> Answer<Bytes> {
        self.run(None, |state| {
            let whole = match content {
                Content::Inline(bytes) => bytes,
                Content::File(id) => state.contents.get(&id).cloned().ok_or(StoreError::Gone)?,
                Content::Record(_) => return Err(StoreError::Gone),
            };
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
            let end = start.saturating_add(len.min(MAX_READ)).min(whole.len());
            Ok(whole.slice(start..end))
        })
    }

    fn retrieved(&self, owner: Owner, id: MessageId, after: After) -> Answer<Option<Counts>> {
        self.run(Some(owner.clone()), |state| {
            Ok(match after {
                After::Keep => state.mark_old(&owner, &id),
                After::Delete => state.delete(&owner, &id),
            })
        })
    }

    fn delete(&self, owner: Owner, id: MessageId) -> Answer<Option<Counts>> {
        self.run(Some(owner.clone()), |state| Ok(state.delete(&owner, &id)))
    }

    fn summary(&self, owner: Owner, query: Option<ListQuery>) -> Answer<Overview> {
        self.run(None, |state| {
            let items = query.map(|query| state.list(&owner, query)).unwrap_or_default();
            Ok(Overview { counts: state.counts(&owner), items })
        })
    }

    fn expire(&self, now: Timestamp, limit: usize) -> Answer<Expired> {
        self.run(None, |state| Ok(state.expire(now, limit)))
    }

    fn put_subscription(&self, subscription: SubscriptionRecord) -> Answer<()> {
        self.run(None, |state| {
            let key = (subscription.owner.clone(), subscription.key.clone());
            state.subscriptions.insert(key, subscription);
            Ok(())
        })
    }

    fn remove_subscription(&self, owner: Owner, key: Bytes) -> Answer<()> {
        self.run(None, |state| {
            state.subscriptions.remove(&(owner, key));
            Ok(())
        })
    }

    fn subscriptions(
        &self,
        after: Option<SubscriptionCursor>,
        limit: usize,
    ) -> Answer<Vec<SubscriptionRecord>> {
        self.run(None, |state| {
            let after = after.map(|cursor| (cursor.owner, cursor.key));
            let records =
                state.subscriptions.iter().filter(|(key, _)| after.as_ref().is_none_or(|a| *key > a));
            Ok(records.map(|(_, record)| record.clone()).take(limit.min(MAX_LIST)).collect())
        })
    }

    fn claim(&self, key: Bytes, holder: Bytes, now: Timestamp, until: Timestamp) -> Answer<bool> {
        self.run(None, |state| Ok(state.claim(key, holder, now, until)))
    }

    fn release(&self, key: Bytes, holder: Bytes) -> Answer<()> {
        self.run(None, |state| {
            if state.claims.get(&key).is_some_and(|(held_by, _)| *held_by == holder) {
                state.claims.remove(&key);
            }
            Ok(())
        })
    }

    fn on_change(&self, sink: ChangeSink) {
        lock(&self.sinks).push(sink);
    }

    fn working(&self) -> bool {
        !lock(&self.state).closed
    }

    fn close(&self) -> Answer<()> {
        self.run(None, |state| {
            state.closed = true;
            Ok(())
        })
    }
}
