//! One mailbox of the in-memory store: its items, its ids, what it remembers.

use std::collections::{BTreeMap, HashMap};

use crate::store::{
    Counts, DepositKey, Held, Item, ItemHead, ItemKind, ItemState, ListQuery, MAX_LIST, MessageId, Owner,
    Quota, StoreError, StoredMessage,
};
use crate::time::Timestamp;

/// An item and what is known of its deposit.
pub(super) struct Kept {
    pub(super) head: ItemHead,
    pub(super) messages: Vec<StoredMessage>,
    pub(super) origin: Origin,
}

/// Which deposit an id came from.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) key: DepositKey,
    pub(super) sender: Owner,
    pub(super) remember_until: Timestamp,
}

impl Origin {
    /// What is known again.
    fn deposit(&self) -> (DepositKey, Owner) {
        (self.key.clone(), self.sender.clone())
    }
}

/// One mailbox.
#[derive(Default)]
pub(super) struct Mailbox {
    pub(super) counts: Counts,
    /// What each sender has of it.
    senders: HashMap<Owner, Held>,
    pub(super) items: BTreeMap<u64, Kept>,
    /// Every id that is taken, with the sequence it has or had.
    ids: HashMap<MessageId, u64>,
    /// Deposits that are known again.
    deposits: HashMap<(DepositKey, Owner), MessageId>,
    /// Ids whose items are gone.
    gone: HashMap<MessageId, Origin>,
    next_sequence: u64,
    pub(super) next_bundle: u64,
}

impl Mailbox {
    /// The first outcome of this deposit, if it came before.
    pub(super) fn repeated(&self, key: &DepositKey, sender: &Owner) -> Option<(MessageId, u64)> {
        let id = self.deposits.get(&(key.clone(), sender.clone()))?;
        Some((id.clone(), self.ids.get(id).copied().unwrap_or_default()))
    }

    /// Whether so much more of this sender fits.
    pub(super) fn admit(
        &self,
        quota: &Quota,
        sender: &Owner,
        items: u64,
        bytes: u64,
    ) -> Result<(), StoreError> {
        quota.admit(&self.counts, items, bytes)?;
        quota.admit_sender(&self.senders.get(sender).copied().unwrap_or_default(), items, bytes)
    }

    /// Counts so much against the quota.
    pub(super) fn charge(&mut self, sender: &Owner, items: u64, bytes: u64) {
        self.counts.charge(items, bytes);
        self.senders.entry(sender.clone()).or_default().charge(items, bytes);
    }

    /// Takes in an item, whose id and sequence are chosen here. The quota is charged elsewhere.
    pub(super) fn enter(
        &mut self,
        mut head: ItemHead,
        messages: Vec<StoredMessage>,
        origin: Origin,
    ) -> (MessageId, u64) {
        let ids = &self.ids;
        let chosen = MessageId::choose(&origin.key.call_id, origin.key.cseq, |id| {
            Ok::<_, std::convert::Infallible>(ids.contains_key(id))
        });
        let Ok(id) = chosen;
        self.next_sequence += 1;
        head.message_id = id.clone();
        head.sequence = self.next_sequence;
        self.counts.enter(&head.envelope, head.state);
        self.ids.insert(id.clone(), head.sequence);
        if head.kind == ItemKind::Pager {
            self.deposits.insert(origin.deposit(), id.clone());
        }
        self.items.insert(head.sequence, Kept { head, messages, origin });
        (id, self.next_sequence)
    }

    pub(super) fn item(&self, id: &MessageId) -> Option<Item> {
        let kept = self.items.get(self.ids.get(id)?)?;
        Some(Item { head: kept.head.clone(), messages: kept.messages.clone() })
    }

    pub(super) fn list(&self, query: ListQuery) -> Vec<ItemHead> {
        let first = query.after.map_or(0, |after| after.saturating_add(1));
        self.items
            .range(first..)
            .map(|(_, kept)| &kept.head)
            .filter(|head| query.state.is_none_or(|state| head.state == state))
            .take(query.limit.min(MAX_LIST))
            .cloned()
            .collect()
    }

    /// Makes an item old; whether it was new. `None` when there is none.
    pub(super) fn mark_old(&mut self, id: &MessageId) -> Option<bool> {
        let kept = self.items.get_mut(self.ids.get(id)?)?;
        let was_new = kept.head.state == ItemState::New;
        if was_new {
            self.counts.leave(&kept.head.envelope, ItemState::New);
            self.counts.enter(&kept.head.envelope, ItemState::Old);
            kept.head.state = ItemState::Old;
        }
        Some(was_new)
    }

    /// Removes an item; its id stays taken and its deposit known.
    pub(super) fn remove(&mut self, id: &MessageId) -> Option<Kept> {
        let kept = self.items.remove(self.ids.get(id)?)?;
        self.counts.leave(&kept.head.envelope, kept.head.state);
        self.counts.discharge(1, kept.head.bytes);
        if let Some(held) = self.senders.get_mut(&kept.origin.sender) {
            held.discharge(1, kept.head.bytes);
        }
        self.gone.insert(id.clone(), kept.origin.clone());
        Some(kept)
    }

    /// What has ended by `now`: when, and the id.
    pub(super) fn ended(&self, now: Timestamp) -> Vec<(Timestamp, MessageId)> {
        let items = self.items.values().filter(|kept| kept.head.ends <= now);
        items.map(|kept| (kept.head.ends, kept.head.message_id.clone())).collect()
    }

    /// Which ids need not be remembered longer than `now`.
    pub(super) fn forgettable(&self, now: Timestamp) -> Vec<(Timestamp, MessageId)> {
        let gone = self.gone.iter().filter(|(_, origin)| origin.remember_until <= now);
        gone.map(|(id, origin)| (origin.remember_until, id.clone())).collect()
    }

    /// Forgets an id whose item is gone, and its deposit.
    pub(super) fn forget(&mut self, id: &MessageId) {
        self.ids.remove(id);
        if let Some(origin) = self.gone.remove(id)
            && self.deposits.get(&origin.deposit()) == Some(id)
        {
            self.deposits.remove(&origin.deposit());
        }
    }
}
