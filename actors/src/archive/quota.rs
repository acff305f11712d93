//! What a mailbox may hold, and what of it is whose: counted in the batch of what it counts.

use restante::store::{Held, Owner, Quota, StoreError};

use super::desk::SeatId;
use super::keys;
use super::mailbox::check;
use super::record::{decode_held, encode_held};
use super::transaction::Transaction;

impl Transaction<'_> {
    /// Whether so much more of this sender fits into the mailbox.
    pub(super) fn admit(
        &mut self,
        seat: SeatId,
        sender: &Owner,
        quota: &Quota,
        items: u64,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let ledger = &self.at(seat).ledger;
        quota.admit(&ledger.counts, items, bytes)?;
        if quota.leaves_shares(&ledger.counts, items, bytes) {
            return Ok(());
        }
        if !ledger.by_sender {
            self.count_senders(seat)?;
        }
        quota.admit_sender(&self.held(seat, sender)?, items, bytes)
    }

    /// What a sender has of a mailbox whose senders are counted.
    fn held(&mut self, seat: SeatId, sender: &Owner) -> Result<Held, StoreError> {
        let key = keys::sender(self.at(seat).mailbox, sender);
        match self.get(&key, decode_held)? {
            None => Ok(Held::default()),
            Some(Some(held)) => Ok(held),
            Some(None) => {
                self.tree.damaged("sender", &key);
                self.count_senders(seat)?;
                Ok(self.get(&key, decode_held)?.flatten().unwrap_or_default())
            }
        }
    }

    /// Counts so much against the quota. Where senders are counted the ledger is written with it.
    pub(super) fn charge(
        &mut self,
        seat: SeatId,
        sender: &Owner,
        items: u64,
        bytes: u64,
    ) -> Result<(), StoreError> {
        self.at_mut(seat).ledger.counts.charge(items, bytes);
        self.change_held(seat, sender, |held| held.charge(items, bytes))
    }

    /// Takes back [`Transaction::charge`].
    pub(super) fn discharge(
        &mut self,
        seat: SeatId,
        sender: &Owner,
        items: u64,
        bytes: u64,
    ) -> Result<(), StoreError> {
        self.change_held(seat, sender, |held| held.discharge(items, bytes))?;
        let ledger = self.ledger_mut(seat);
        ledger.counts.discharge(items, bytes);
        // A mailbox that is empty begins anew.
        ledger.by_sender &= ledger.counts.items > 0;
        Ok(())
    }

    fn change_held(
        &mut self,
        seat: SeatId,
        sender: &Owner,
        change: impl FnOnce(&mut Held),
    ) -> Result<(), StoreError> {
        if !self.at(seat).ledger.by_sender {
            return Ok(());
        }
        let mut held = self.held(seat, sender)?;
        change(&mut held);
        let key = keys::sender(self.at(seat).mailbox, sender);
        if held == Held::default() {
            self.remove(key);
        } else {
            self.write(key, |encoder| encode_held(held, encoder));
        }
        self.touch(seat);
        Ok(())
    }

    pub(super) fn room(&mut self, owner: &Owner, sender: &Owner, quota: &Quota) -> Result<(), StoreError> {
        check(owner)?;
        check(sender)?;
        let seat = self.mailbox_or_new(owner)?;
        self.admit(seat, sender, quota, 1, 1)
    }
}
