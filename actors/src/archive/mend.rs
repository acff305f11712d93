//! What is done where a record that others are found by, or counted in, is damaged: it is made
//! anew from the records that are left.

use restante::store::{Counts, Held, Owner, StoreError};
use std::collections::HashMap;

use super::desk::SeatId;
use super::keys::{self, MailboxId};
use super::record::{
    DraftRecord, ItemRecord, Ledger, MessageRecord, decode_ids, decode_mailbox, encode_held, encode_mailbox,
};
use super::transaction::Transaction;

/// What the messages of a bundle amount to.
pub(super) struct BundleTally {
    pub(super) messages: u32,
    pub(super) bytes: u64,
    pub(super) text: bool,
    pub(super) damaged: bool,
}

impl Transaction<'_> {
    /// Sets a mailbox's ledger right from its records; numbers it gave are not given again.
    pub(super) fn correct(&mut self, seat: SeatId) -> Result<(), StoreError> {
        let (mailbox, before) = (self.at(seat).mailbox, self.at(seat).ledger.clone());
        let mut ledger = self.recount(&before.owner, mailbox)?;
        ledger.last_sequence = ledger.last_sequence.max(before.last_sequence);
        ledger.last_bundle = ledger.last_bundle.max(before.last_bundle);
        *self.ledger_mut(seat) = ledger;
        if before.by_sender {
            self.count_senders(seat)?;
        }
        Ok(())
    }

    /// What a mailbox holds, after setting right what could not be read of it.
    pub(super) fn mended_counts(&mut self, owner: &Owner) -> Result<Counts, StoreError> {
        let Some(seat) = self.mailbox(owner)? else { return Ok(Counts::default()) };
        self.correct(seat)?;
        Ok(self.at(seat).ledger.counts)
    }

    /// Counts a mailbox from its records, where its ledger cannot be trusted.
    pub(super) fn recount(&self, owner: &Owner, mailbox: MailboxId) -> Result<Ledger, StoreError> {
        let mut ledger = Ledger { owner: owner.clone(), ..Ledger::default() };
        for (key, value) in self.scan(&keys::items(mailbox))? {
            let sequence = keys::last_number(&key).unwrap_or_default();
            ledger.last_sequence = ledger.last_sequence.max(sequence);
            if let Some(record) = ItemRecord::decode(&value, sequence) {
                ledger.add(&record);
            }
        }
        for value in self.scan(&keys::all_ids(mailbox))?.values() {
            for id in decode_ids(value).unwrap_or_default() {
                ledger.last_sequence = ledger.last_sequence.max(id.sequence);
            }
        }
        ledger.apart = self.scan(&keys::deposits(mailbox))?.len() as u64;
        for (key, value) in self.scan(&keys::drafts(mailbox))? {
            let bundle = keys::last_number(&key).unwrap_or_default();
            ledger.last_bundle = ledger.last_bundle.max(bundle);
            if DraftRecord::decode(&value).is_some() {
                ledger.counts.charge(1, self.tally(mailbox, bundle)?.bytes);
            }
        }
        for key in self.scan(&keys::all_remains(mailbox))?.into_keys() {
            ledger.last_bundle = ledger.last_bundle.max(keys::last_number(&key).unwrap_or_default());
        }
        Ok(ledger)
    }

    /// Writes down what each sender has of a mailbox, from its records.
    ///
    /// It is done when a mailbox first holds so much that somebody might exceed his share: until
    /// then, which is for ever with most, deposits do not pay for it.
    pub(super) fn count_senders(&mut self, seat: SeatId) -> Result<(), StoreError> {
        let mailbox = self.at(seat).mailbox;
        let mut senders: HashMap<Owner, Held> = HashMap::new();
        for (key, value) in self.scan(&keys::items(mailbox))? {
            if let Some(record) = ItemRecord::decode(&value, keys::last_number(&key).unwrap_or_default()) {
                senders.entry(record.origin.sender).or_default().charge(1, record.head.bytes);
            }
        }
        for (key, value) in self.scan(&keys::drafts(mailbox))? {
            if let Some(draft) = DraftRecord::decode(&value) {
                let tally = self.tally(mailbox, keys::last_number(&key).unwrap_or_default())?;
                senders.entry(draft.origin.sender).or_default().charge(1, tally.bytes);
            }
        }
        for key in self.scan(&keys::senders(mailbox))?.into_keys() {
            self.remove(key);
        }
        for (sender, held) in senders {
            self.write(keys::sender(mailbox, &sender), |encoder| encode_held(held, encoder));
        }
        self.ledger_mut(seat).by_sender = true;
        Ok(())
    }

    /// What the message records of a bundle amount to.
    pub(super) fn tally(&self, mailbox: MailboxId, bundle: u64) -> Result<BundleTally, StoreError> {
        let mut tally = BundleTally { messages: 0, bytes: 0, text: true, damaged: false };
        for (key, value) in self.scan(&keys::messages(mailbox, bundle))? {
            tally.messages = keys::index(&key).unwrap_or_default().saturating_add(1);
            match MessageRecord::decode(&value) {
                Some(message) => {
                    tally.bytes = tally.bytes.saturating_add(message.size).saturating_add(message.beside());
                    tally.text &= message.text;
                }
                None => tally.damaged = true,
            }
        }
        Ok(tally)
    }

    /// Finds an owner's mailbox by the ledgers, and writes down its number again.
    pub(super) fn search_mailbox(&mut self, owner: &Owner) -> Result<Option<MailboxId>, StoreError> {
        let owned = |value: &[u8]| Ledger::decode(value).is_some_and(|ledger| ledger.owner == *owner);
        let ledgers = self.scan(&keys::LEDGERS)?;
        let found = ledgers.iter().find(|(_, value)| owned(value)).and_then(|(key, _)| keys::mailbox_of(key));
        match found {
            Some(mailbox) => {
                self.write(keys::mailbox(owner), |encoder| encode_mailbox(mailbox, encoder));
                tracing::info!(mailbox = mailbox.0, "mailbox found again by its ledger");
            }
            None => tracing::error!("a mailbox is lost: neither its number nor its ledger can be read"),
        }
        Ok(found)
    }

    /// Finds the owner of a mailbox whose ledger is damaged.
    pub(super) fn search_owner(&self, mailbox: MailboxId) -> Result<Option<Owner>, StoreError> {
        let numbers = self.scan(&keys::MAILBOXES)?;
        let found = numbers.iter().find(|(_, value)| decode_mailbox(value) == Some(mailbox));
        Ok(found.and_then(|(key, _)| keys::owner(key)))
    }
}
