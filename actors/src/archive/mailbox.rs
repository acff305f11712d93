//! The rules of a mailbox, written into a batch: what enters, becomes old, and leaves.

use bytes::Bytes;
use restante::store::{
    After, Body, Counts, DepositKey, Deposited, ItemHead, ItemKind, ItemState, MAX_KEY, MessageId, Owner,
    PagerDeposit, StoreError,
};
use restante::time::Timestamp;

use super::INLINE_IN_ITEM;
use super::desk::SeatId;
use super::ends::End;
use super::keys::{self, IdHash, MailboxId, MessageKey};
use super::lookup::{self, Standing};
use super::record::{
    Gone, IdEntry, IdRecord, ItemRecord, MessageRecord, Origin, Place, decode_outcome, encode_body,
    encode_ids, encode_outcome, is_of,
};
use super::transaction::Transaction;

/// Where an item is, and its record; none where that is damaged.
type Found = (SeatId, u64, Option<Box<ItemRecord>>);

/// Refuses an owner, or a sender, that no key can hold.
pub(super) fn check(owner: &Owner) -> Result<(), StoreError> {
    if owner.key().len() > MAX_KEY { Err(StoreError::TooLarge { what: "owner" }) } else { Ok(()) }
}

impl Transaction<'_> {
    pub(super) fn deposit(&mut self, deposit: PagerDeposit) -> Result<Deposited, StoreError> {
        let PagerDeposit { owner, sender, key, envelope, body, quota, now, ends, remember } = deposit;
        check(&owner)?;
        check(&sender)?;
        key.check()?;
        let seat = self.mailbox_or_new(&owner)?;
        let plain = self.standing(seat, &MessageId::new(key.call_id.clone()))?;
        if let Some((message_id, sequence)) = self.outcome(seat, &plain, &key, &sender)? {
            return Ok(Deposited {
                message_id,
                repeated: true,
                counts: self.at(seat).ledger.counts,
                sequence,
            });
        }
        let bytes = body.size();
        self.admit(seat, &sender, &quota, 1, bytes)?;
        self.charge(seat, &sender, 1, bytes)?;
        let mut bundle = 0;
        let inline = match body {
            Body::Inline(body) if body.len() <= INLINE_IN_ITEM => Some(body),
            body => {
                // Whoever adds the item to a ledger that was written before finds the number in it.
                let seat = self.at_mut(seat);
                seat.ledger.last_bundle += 1;
                bundle = seat.ledger.last_bundle;
                let id = MessageKey { mailbox: seat.mailbox, bundle, index: 0 };
                self.put_message(id, body, pager_message(bytes, now));
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
        let origin = Origin { key, sender, remember_until: now.after(remember) };
        let deposited = self.enter(seat, plain, ItemRecord { head, origin, bundle, body: inline })?;
        self.came_behind(seat);
        Ok(deposited)
    }

    /// What an id stands for; a mailbox of which nothing is written has none.
    pub(super) fn standing(&self, seat: SeatId, id: &MessageId) -> Result<Standing, StoreError> {
        let seat = self.at(seat);
        if seat.fresh && seat.ledger.last_sequence == 0 {
            return Ok(Standing::Free(Vec::new()));
        }
        lookup::standing(self, seat.mailbox, id)
    }

    /// Writes a message's record, and its content where that belongs.
    pub(super) fn put_message(&mut self, id: MessageKey, body: Body, mut record: MessageRecord) {
        record.place = match body {
            Body::Inline(bytes) if bytes.len() <= INLINE_IN_ITEM => Place::Here(bytes),
            Body::Inline(bytes) => {
                self.write(keys::body(id), |encoder| encode_body(&bytes, encoder));
                Place::Beside
            }
            Body::Staged(staged) => Place::File(self.keep(staged)),
        };
        self.write(keys::message(id), |encoder| record.encode(encoder));
    }

    /// Makes an item of the record: chooses its id and its sequence, counts it, and writes it with
    /// all that leads to it. Its share of the quota is charged before; `plain` is what its Call-ID
    /// stands for. Unless the item is an ordinary pager message, the ledger is written with it.
    pub(super) fn enter(
        &mut self,
        seat: SeatId,
        plain: Standing,
        mut record: ItemRecord,
    ) -> Result<Deposited, StoreError> {
        let key = &record.origin.key;
        let (message_id, beside) = self.choose(seat, plain, key)?;
        let ledger = &mut self.at_mut(seat).ledger;
        ledger.last_sequence += 1;
        ledger.counts.enter(&record.head.envelope, record.head.state);
        let (sequence, counts) = (ledger.last_sequence, ledger.counts);
        let mailbox = self.at(seat).mailbox;
        if *message_id.bytes() != key.call_id && record.known_by().is_some() {
            let place = keys::deposit(mailbox, key, Some(&record.origin.sender));
            self.write(place, |encoder| encode_outcome(&message_id, sequence, encoder));
            self.ledger_mut(seat).apart += 1;
        }
        record.head.message_id = message_id.clone();
        record.head.sequence = sequence;
        self.take_id(mailbox, &message_id, sequence, beside);
        self.add_end(record.head.ends, End::Item(mailbox, sequence));
        self.write(keys::item(mailbox, sequence), |encoder| record.encode(encoder));
        self.changed(seat);
        Ok(Deposited { message_id, repeated: false, counts, sequence })
    }

    /// Chooses a free id; with it comes what is written of others at its place.
    fn choose(
        &self,
        seat: SeatId,
        plain: Standing,
        key: &DepositKey,
    ) -> Result<(MessageId, IdRecord), StoreError> {
        if let Standing::Free(beside) = plain {
            return Ok((MessageId::new(key.call_id.clone()), beside));
        }
        let mut beside = IdRecord::new();
        let id = MessageId::choose(&key.call_id, key.cseq, |id| match self.standing(seat, id)? {
            Standing::Free(others) => {
                beside = others;
                Ok::<_, StoreError>(false)
            }
            Standing::Live(..) | Standing::Gone(..) | Standing::Damaged => Ok(true),
        })?;
        Ok((id, beside))
    }

    /// Notes that an id is taken by a live item.
    pub(super) fn take_id(&mut self, mailbox: MailboxId, id: &MessageId, sequence: u64, mut ids: IdRecord) {
        let hash = IdHash::of(id);
        ids.push(IdEntry { check: hash.check, sequence, gone: None });
        self.write(keys::ids(mailbox, hash.place), |encoder| encode_ids(&ids, encoder));
    }

    /// Changes, or takes away, what is written of the id of this place and sequence; whether it was
    /// there.
    fn change_id(
        &mut self,
        mailbox: MailboxId,
        place: u64,
        sequence: u64,
        change: impl FnOnce(IdEntry) -> Option<IdEntry>,
    ) -> Result<bool, StoreError> {
        let Some(mut ids) = lookup::ids(self, mailbox, place)? else { return Ok(false) };
        let Some(at) = ids.iter().position(|id| id.sequence == sequence) else { return Ok(false) };
        let entry = ids.swap_remove(at);
        ids.extend(change(entry));
        let key = keys::ids(mailbox, place);
        if ids.is_empty() {
            self.remove(key);
        } else {
            self.write(key, |encoder| encode_ids(&ids, encoder));
        }
        Ok(true)
    }

    /// What became of this deposit, if it came before: what its Call-ID stands for says so, or a
    /// record that is there only when the item had to have another id.
    fn outcome(
        &self,
        seat: SeatId,
        plain: &Standing,
        key: &DepositKey,
        sender: &Owner,
    ) -> Result<Option<(MessageId, u64)>, StoreError> {
        let (known, sequence) = match plain {
            Standing::Live(sequence, Some(record)) => (record.known_by(), *sequence),
            Standing::Gone(sequence, gone) => (gone.known_by(), *sequence),
            Standing::Live(_, None) | Standing::Free(_) | Standing::Damaged => (None, 0),
        };
        if known.is_some_and(|(known, of)| known == key && is_of(sender, of)) {
            return Ok(Some((MessageId::new(key.call_id.clone()), sequence)));
        }
        let seat = self.at(seat);
        if seat.ledger.apart == 0 {
            return Ok(None);
        }
        let written = |sender| self.get(&keys::deposit(seat.mailbox, key, sender), decode_outcome);
        match written(Some(sender))? {
            Some(outcome) => Ok(outcome),
            None => Ok(written(None)?.flatten()),
        }
    }

    // ---- what becomes of items ----

    /// The mailbox of the item with this id, its sequence, and its record; `None` in place of a record that
    /// is damaged.
    fn found(&mut self, owner: &Owner, id: &MessageId) -> Result<Option<Found>, StoreError> {
        let Some(seat) = self.mailbox(owner)? else { return Ok(None) };
        match lookup::known(self, self.at(seat).mailbox, id)? {
            Standing::Live(sequence, record) => Ok(Some((seat, sequence, record))),
            Standing::Damaged => Err(StoreError::Damaged { what: "id".into() }),
            Standing::Free(_) | Standing::Gone(..) => Ok(None),
        }
    }

    pub(super) fn retrieved(
        &mut self,
        owner: &Owner,
        id: &MessageId,
        after: After,
    ) -> Result<Option<Counts>, StoreError> {
        let Some((seat, sequence, record)) = self.found(owner, id)? else { return Ok(None) };
        match after {
            After::Keep => {
                let record = record.ok_or_else(|| StoreError::Damaged { what: "item".into() })?;
                self.mark_old(seat, sequence, *record);
            }
            After::Delete => self.remove_item(seat, sequence, record)?,
        }
        Ok(Some(self.at(seat).ledger.counts))
    }

    pub(super) fn delete(&mut self, owner: &Owner, id: &MessageId) -> Result<Option<Counts>, StoreError> {
        let Some((seat, sequence, record)) = self.found(owner, id)? else { return Ok(None) };
        self.remove_item(seat, sequence, record)?;
        Ok(Some(self.at(seat).ledger.counts))
    }

    fn mark_old(&mut self, seat: SeatId, sequence: u64, mut record: ItemRecord) {
        if record.head.state == ItemState::New {
            let counts = &mut self.ledger_mut(seat).counts;
            counts.leave(&record.head.envelope, ItemState::New);
            counts.enter(&record.head.envelope, ItemState::Old);
            record.head.state = ItemState::Old;
            let key = keys::item(self.at(seat).mailbox, sequence);
            self.write(key, |encoder| record.encode(encoder));
            self.changed(seat);
        }
    }

    /// Removes an item and all that leads to it but its id and its deposit's memory.
    pub(super) fn remove_item(
        &mut self,
        seat: SeatId,
        sequence: u64,
        record: Option<Box<ItemRecord>>,
    ) -> Result<(), StoreError> {
        let mailbox = self.at(seat).mailbox;
        self.remove(keys::item(mailbox, sequence));
        self.changed(seat);
        let Some(record) = record else { return self.correct(seat) };
        let ItemRecord { head, origin, bundle, body } = *record;
        self.ledger_mut(seat).counts.leave(&head.envelope, head.state);
        self.discharge(seat, &origin.sender, 1, head.bytes)?;
        let place = IdHash::of(&head.message_id).place;
        let key = (head.kind == ItemKind::Pager).then_some(origin.key);
        let gone = Gone { message_id: head.message_id, key, sender: origin.sender };
        self.change_id(mailbox, place, sequence, |id| Some(IdEntry { gone: Some(gone), ..id }))?;
        self.add_end(origin.remember_until, End::Memory(mailbox, place, sequence));
        if body.is_none() {
            self.remove_messages(mailbox, bundle, head.messages)?;
        }
        Ok(())
    }

    /// Forgets an id whose item is gone, and its deposit; whether it was remembered.
    pub(super) fn forget(
        &mut self,
        mailbox: MailboxId,
        place: u64,
        sequence: u64,
    ) -> Result<bool, StoreError> {
        let mut gone = None;
        let known = self.change_id(mailbox, place, sequence, |id| {
            let live = id.gone.is_none();
            gone.clone_from(&id.gone);
            live.then_some(id)
        })?;
        let Some(Gone { message_id, key, sender }) = gone else { return Ok(false) };
        if let Some(key) = key.filter(|key| key.call_id != *message_id.bytes()) {
            for sender in [Some(&sender), None] {
                let deposit = keys::deposit(mailbox, &key, sender);
                if let Some(outcome) = self.get(&deposit, decode_outcome)?
                    && outcome.is_none_or(|(of, _)| of == message_id)
                    && let Some(seat) = self.mailbox_of_number(mailbox)?
                {
                    self.remove(deposit);
                    let ledger = self.ledger_mut(seat);
                    ledger.apart = ledger.apart.saturating_sub(1);
                }
            }
        }
        Ok(known)
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
