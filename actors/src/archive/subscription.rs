//! Subscriptions, which outlive the process.

use bytes::Bytes;
use restante::store::{MAX_KEY, Owner, StoreError, SubscriptionCursor, SubscriptionRecord};
use restante::time::Timestamp;

use super::ends::End;
use super::keys;
use super::mailbox::check;
use super::record::{decode_subscription, encode_subscription};
use super::transaction::Transaction;

impl Transaction<'_> {
    pub(super) fn put_subscription(&mut self, subscription: SubscriptionRecord) -> Result<(), StoreError> {
        let SubscriptionRecord { owner, key, record, expires } = subscription;
        check(&owner)?;
        if key.len() > MAX_KEY {
            return Err(StoreError::TooLarge { what: "subscription key" });
        }
        self.write(keys::subscription(&owner, &key), |encoder| {
            encode_subscription(&record, expires, encoder)
        });
        self.add_end(expires, End::Subscription(SubscriptionCursor { owner, key }));
        Ok(())
    }

    pub(super) fn remove_subscription(&mut self, owner: &Owner, name: &Bytes) -> Result<(), StoreError> {
        check(owner)?;
        let key = keys::subscription(owner, name);
        if self.get(&key, |_| ())?.is_some() {
            self.remove(key);
        }
        Ok(())
    }

    /// Removes a subscription that has ended by `now`; whether it had.
    pub(super) fn end_subscription(
        &mut self,
        now: Timestamp,
        cursor: &SubscriptionCursor,
    ) -> Result<bool, StoreError> {
        let key = keys::subscription(&cursor.owner, &cursor.key);
        let record = self.get(&key, decode_subscription)?;
        // One that was renewed has its end elsewhere in the index.
        let ended = record.is_some_and(|record| record.is_none_or(|(_, expires)| expires <= now));
        if ended {
            self.remove(key);
        }
        Ok(ended)
    }
}
