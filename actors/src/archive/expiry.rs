//! Expiry in small steps, along the index of ends.

use std::collections::BTreeSet;

use restante::store::{Expired, Owner, StoreError};
use restante::time::Timestamp;

use super::keys::{self, End};
use super::record::decode_subscription;
use super::transaction::Transaction;

/// The most one step removes, whatever was asked: deposits wait meanwhile.
const STEP: usize = 1024;

impl Transaction<'_> {
    pub(super) fn expire(&mut self, now: Timestamp, limit: usize) -> Result<Expired, StoreError> {
        let limit = limit.clamp(1, STEP);
        let mut owners = BTreeSet::new();
        let mut removed = 0;
        let due = self.ended(now, limit)?;
        // A step that was full, or that ended anything, may have more behind it: an item that is
        // gone may be one to be forgotten at once.
        let more = !due.is_empty();
        for key in due {
            if self.get(&key, |_| ())?.is_none() {
                continue;
            }
            removed += 1;
            self.remove(key.clone());
            if let Some((_, end)) = keys::parse_end(&key)
                && let Some(owner) = self.end(now, end)?
            {
                owners.insert(owner);
            }
        }
        Ok(Expired { owners: owners.into_iter().collect(), removed, more })
    }

    /// Ends one thing; the owner if an item of his went.
    fn end(&mut self, now: Timestamp, end: End) -> Result<Option<Owner>, StoreError> {
        match end {
            End::Item(owner, sequence) => {
                let gone = self.delete_item(&owner, sequence)?;
                Ok(gone.map(|_| owner))
            }
            End::Memory(owner, id) => {
                self.forget(&owner, &id)?;
                Ok(None)
            }
            End::Subscription(owner, name) => {
                let record = self.get(&keys::subscription(&owner, &name), decode_subscription)?;
                // One that was renewed has its end elsewhere in the index.
                if record.is_some_and(|record| record.is_none_or(|(_, expires)| expires <= now)) {
                    self.remove_subscription(&owner, &name)?;
                }
                Ok(None)
            }
        }
    }
}
