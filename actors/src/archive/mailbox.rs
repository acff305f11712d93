//! The rules of a mailbox, written into a batch: what enters, becomes old, and leaves.

use bytes::Bytes;
use restante::store::{
    After, Body, Counts, Deposited, ItemHead, ItemKind, ItemState, MAX_KEY, MessageId, Owner, PagerDeposit,
    RecordId, StoreError, SubscriptionRecord,
};
use restante::time::Timestamp;

use super::INLINE_IN_ITEM;
use super::keys::{self, End};
use super::record::{
    IdRecord, ItemRecord, MessageRecord, Origin, Place, decode_outcome, decode_subscription, encode_body,
    encode_outcome, encode_subscription,
};
use super::transaction::Transaction;

/// Refuses an owner that no key can hold.
pub(super) fn check(owner: &Owner) -> Result<(), StoreError> {
    if owner.key().len() > MAX_KEY { Err(StoreError::TooLarge { what: "owner" }) } else { Ok(()) }
}

impl Transaction<'_> {
    pub(super) fn deposit(&mut self, deposit: PagerDeposit) -> Result<Deposited, StoreError> {
        let PagerDeposit { owner, key, envelope, body, quota, now, ends, remember } = deposit;
        check(&owner)?;
        key.check()?;
        let mut ledger = self.ledger(&owner)?;
        let known = self.get(&keys::deposit(&owner, &key), decode_outcome)?;
        if let Some((message_id, sequence)) = known.flatten() {
            return Ok(Deposited { message_id, repeated: true, counts: ledger.counts, sequence });
        }
        let bytes = body.size();
        quota.admit(&ledger.counts, 1, bytes)?;
        ledger.counts.charge(1, bytes);
        ledger.last_bundle += 1;
        let bundle = ledger.last_bundle;
        self.set_ledger(&owner, ledger);
        let inline = match body {
            Body::Inline(body) if body.len() <= INLINE_IN_ITEM => Some(body),
            body => {
                self.put_message(
                    &RecordId { owner: owner.clone(), bundle, index: 0 },
                    body,
                    pager_message(bytes, now),
                );
                None
            }
        };
        let head = ItemHead {
            message_id: MessageId::EMPTY,
            kind: ItemKind::Pager,
            state: ItemState::New,
            sequence: 0,
            arrived: now,
            ends,
            envelope,
            messages: 1,
            bytes,
        };
        let origin = Origin { key, remember_until: now.after(remember) };
        self.enter(&owner, ItemRecord { head, origin, bundle, body: inline })
    }

    /// Writes a message's record, and its content where that belongs.
    pub(super) fn put_message(&mut self, id: &RecordId, body: Body, mut record: MessageRecord) {
        record.place = match body {
            Body::Inline(bytes) if bytes.len() <= INLINE_IN_ITEM => Place::Here(bytes),
            Body::Inline(bytes) => {
                self.put(keys::body(id), encode_body(&bytes));
                Place::Beside
            }
            Body::Staged(staged) => Place::File(self.keep(staged)),
        };
        self.put(keys::message(id), record.encode());
    }

    /// Makes an item of the record: chooses its id and its sequence, counts it, and writes it with
    /// all that leads to it. Its share of the quota is charged before.
    pub(super) fn enter(&mut self, owner: &Owner, mut record: ItemRecord) -> Result<Deposited, StoreError> {
        let key = &record.origin.key;
        let message_id = MessageId::choose(&key.call_id, key.cseq, |id| {
            self.get(&keys::id(owner, id), |_| ()).map(|id| id.is_some())
        })?;
        let mut ledger = self.ledger(owner)?;
        ledger.last_sequence += 1;
        let sequence = ledger.last_sequence;
        record.head.message_id = message_id.clone();
        record.head.sequence = sequence;
        ledger.counts.enter(&record.head.envelope, record.head.state);
        self.set_ledger(owner, ledger);
        let deposit = keys::deposit(owner, key);
        if self.get(&deposit, |_| ())?.is_none() {
            self.put(deposit, encode_outcome(&message_id, sequence));
        }
        self.put(keys::id(owner, &message_id), IdRecord::Live(sequence).encode());
        self.add_end(record.head.ends, &End::Item(owner.clone(), sequence));
        self.put(keys::item(owner, sequence), record.encode());
        self.changed(owner);
        Ok(Deposited { message_id, repeated: false, counts: ledger.counts, sequence })
    }

    /// The sequence of the item with this id.
    fn sequence(&self, owner: &Owner, id: &MessageId) -> Result<Option<u64>, StoreError> {
        match self.get(&keys::id(owner, id), IdRecord::decode)? {
            Some(Some(IdRecord::Live(sequence))) => Ok(Some(sequence)),
            Some(None) => Err(self.tree.damaged(owner, "id", &keys::id(owner, id))),
            Some(Some(IdRecord::Gone(_))) | None => Ok(None),
        }
    }

    pub(super) fn retrieved(
        &mut self,
        owner: &Owner,
        id: &MessageId,
        after: After,
    ) -> Result<Option<Counts>, StoreError> {
        let Some(sequence) = self.sequence(owner, id)? else { return Ok(None) };
        match after {
            After::Keep => self.mark_old(owner, sequence),
            After::Delete => self.delete_item(owner, sequence),
        }
    }

    pub(super) fn delete(&mut self, owner: &Owner, id: &MessageId) -> Result<Option<Counts>, StoreError> {
        let Some(sequence) = self.sequence(owner, id)? else { return Ok(None) };
        self.delete_item(owner, sequence)
    }

    fn mark_old(&mut self, owner: &Owner, sequence: u64) -> Result<Option<Counts>, StoreError> {
        let key = keys::item(owner, sequence);
        let Some(record) = self.get(&key, |value| ItemRecord::decode(value, sequence))? else {
            return Ok(None);
        };
        let mut record = record.ok_or_else(|| self.tree.damaged(owner, "item", &key))?;
        let mut ledger = self.ledger(owner)?;
        if record.head.state == ItemState::New {
            ledger.counts.leave(&record.head.envelope, ItemState::New);
            ledger.counts.enter(&record.head.envelope, ItemState::Old);
            record.head.state = ItemState::Old;
            self.set_ledger(owner, ledger);
            self.put(key, record.encode());
            self.changed(owner);
        }
        Ok(Some(ledger.counts))
    }

    /// Removes an item and all that leads to it but its id and its deposit's memory.
    pub(super) fn delete_item(&mut self, owner: &Owner, sequence: u64) -> Result<Option<Counts>, StoreError> {
        let key = keys::item(owner, sequence);
        let Some(record) = self.get(&key, |value| ItemRecord::decode(value, sequence))? else {
            return Ok(None);
        };
        self.remove(key.clone());
        self.changed(owner);
        let Some(record) = record else {
            self.tree.damaged(owner, "item", &key);
            return Ok(Some(self.correct(owner)?.counts));
        };
        let mut ledger = self.ledger(owner)?;
        ledger.counts.leave(&record.head.envelope, record.head.state);
        ledger.counts.discharge(1, record.head.bytes);
        self.set_ledger(owner, ledger);
        self.remove_end(record.head.ends, &End::Item(owner.clone(), sequence));
        let id = record.head.message_id;
        self.put(keys::id(owner, &id), IdRecord::Gone(record.origin.key).encode());
        self.add_end(record.origin.remember_until, &End::Memory(owner.clone(), id));
        if record.body.is_none() {
            self.remove_messages(owner, record.bundle, record.head.messages)?;
        }
        Ok(Some(ledger.counts))
    }

    fn remove_messages(&mut self, owner: &Owner, bundle: u64, messages: u32) -> Result<(), StoreError> {
        for index in 0..messages {
            let id = RecordId { owner: owner.clone(), bundle, index };
            let key = keys::message(&id);
            let place = self.get(&key, MessageRecord::decode)?.flatten().map(|message| message.place);
            match place {
                Some(Place::File(file)) => self.unlink(file),
                Some(Place::Here(_)) => {}
                Some(Place::Beside) | None => self.remove(keys::body(&id)),
            }
            self.remove(key);
        }
        Ok(())
    }

    /// Forgets an id whose item is gone, and its deposit.
    pub(super) fn forget(&mut self, owner: &Owner, id: &MessageId) -> Result<(), StoreError> {
        let key = keys::id(owner, id);
        let gone = match self.get(&key, IdRecord::decode)?.flatten() {
            Some(IdRecord::Live(_)) => return Ok(()),
            Some(IdRecord::Gone(deposit)) => Some(keys::deposit(owner, &deposit)),
            None => None,
        };
        self.remove(key);
        if let Some(deposit) = gone
            && let Some(outcome) = self.get(&deposit, decode_outcome)?
            && outcome.is_none_or(|(of, _)| of == *id)
        {
            self.remove(deposit);
        }
        Ok(())
    }

    pub(super) fn put_subscription(&mut self, subscription: &SubscriptionRecord) -> Result<(), StoreError> {
        let SubscriptionRecord { owner, key, record, expires } = subscription;
        check(owner)?;
        if key.len() > MAX_KEY {
            return Err(StoreError::TooLarge { what: "subscription key" });
        }
        self.remove_subscription(owner, key)?;
        self.add_end(*expires, &End::Subscription(owner.clone(), key.clone()));
        self.put(keys::subscription(owner, key), encode_subscription(record, *expires));
        Ok(())
    }

    pub(super) fn remove_subscription(&mut self, owner: &Owner, name: &Bytes) -> Result<(), StoreError> {
        let key = keys::subscription(owner, name);
        let Some(record) = self.get(&key, decode_subscription)? else { return Ok(()) };
        if let Some((_, expires)) = record {
            self.remove_end(expires, &End::Subscription(owner.clone(), name.clone()));
        }
        self.remove(key);
        Ok(())
    }
}

/// The record of a pager message whose content is not in the item's own.
const fn pager_message(size: u64, received: Timestamp) -> MessageRecord {
    MessageRecord {
        message_id: Bytes::new(),
        content_type: None,
        headers: Vec::new(),
        size,
        received,
        text: false,
        place: Place::Beside,
    }
}
