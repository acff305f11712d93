//! Expiry in small steps, along the index of ends.

use std::collections::BTreeSet;

use restante::store::{Expired, Owner, StoreError};
use restante::time::Timestamp;

use super::ends::{self, End, Ending};
use super::keys::{self, Key};
use super::lookup;
use super::transaction::Transaction;
use super::tree::Source;

/// The most one step removes, whatever was asked: deposits wait meanwhile.
const STEP: usize = 1024;

impl Transaction<'_> {
    pub(super) fn expire(&mut self, now: Timestamp, limit: usize) -> Result<Expired, StoreError> {
        let mut left = limit.clamp(1, STEP);
        let mut expired = Expired::default();
        let mut owners = BTreeSet::new();
        for key in self.due(now, left)? {
            if left == 0 {
                break;
            }
            // A step that ended anything may have more behind it: an item that is gone may be one
            // to be forgotten at once.
            expired.more = true;
            let Some(group) = self.take_group(&key)? else { continue };
            let (due, later): (Vec<_>, Vec<_>) = group.into_iter().partition(|(at, _)| *at <= now);
            let (ending, rest) = due.split_at(due.len().min(left));
            self.put_group(&[rest, &later].concat())?;
            left -= ending.len();
            for (_, end) in ending {
                expired.removed += usize::from(self.end(now, end, &mut owners)?);
            }
        }
        expired.owners = owners.into_iter().collect();
        Ok(expired)
    }

    /// The keys of up to `limit` groups that begin by `now`, as the disk has them.
    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>, StoreError> {
        let due = self.tree.moment().range(Key::from(keys::ENDS), keys::ends_after(now));
        due.take(limit).map(|record| record.map(|(key, _)| key)).collect()
    }

    /// Takes a group out of the index; `None` when it went in the same batch already.
    fn take_group(&mut self, key: &Key) -> Result<Option<Vec<Ending>>, StoreError> {
        let Some(value) = self.fetch(key)? else { return Ok(None) };
        self.remove(key.clone());
        let group = ends::decode(&value);
        if group.is_none() {
            // What it named stays until it is retrieved or deleted.
            self.tree.damaged("group of ends", key);
        }
        Ok(group)
    }

    /// Ends one thing; whether there was anything to end.
    fn end(&mut self, now: Timestamp, end: &End, owners: &mut BTreeSet<Owner>) -> Result<bool, StoreError> {
        match end {
            End::Item(mailbox, sequence) => {
                let Some(seat) = self.mailbox_of_number(*mailbox)? else { return Ok(false) };
                let Some(record) = lookup::item(self, *mailbox, *sequence)? else { return Ok(false) };
                self.remove_item(seat, *sequence, record.map(Box::new))?;
                owners.insert(self.at(seat).ledger.owner.clone());
                Ok(true)
            }
            End::Memory(mailbox, place, sequence) => self.forget(*mailbox, *place, *sequence),
            End::Subscription(cursor) => self.end_subscription(now, cursor),
        }
    }
}
