//! How much a mailbox may hold, and how much of that one sender may take.

use super::{Counts, StoreError};

/// How much a mailbox may hold; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quota {
    /// The most items, old ones and sessions under way included.
    pub items: u64,
    /// The most bytes, as items [count](super::ItemHead::bytes) them.
    pub bytes: u64,
    /// The most items of one sender.
    pub sender_items: u64,
    /// The most bytes of one sender.
    pub sender_bytes: u64,
}

/// What a mailbox holds of one sender; counted as [`Counts::items`] and [`Counts::bytes`] are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Held {
    /// Items, old ones and sessions under way included.
    pub items: u64,
    /// Bytes, as items [count](super::ItemHead::bytes) them.
    pub bytes: u64,
}

impl Held {
    /// Counts `items` and `bytes` more.
    pub const fn charge(&mut self, items: u64, bytes: u64) {
        self.items = self.items.saturating_add(items);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Takes back [`Held::charge`].
    pub const fn discharge(&mut self, items: u64, bytes: u64) {
        self.items = self.items.saturating_sub(items);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Quota {
    /// A mailbox of `items` and `bytes`, of which one sender may take `percent`, but always
    /// `least` items of `largest` bytes each, where the mailbox has room for so many: a mailbox so
    /// small has nothing to share.
    ///
    /// What is left over is for everybody else: whoever floods a mailbox does not shut out others.
    #[must_use]
    pub fn shared(items: u64, bytes: u64, percent: u64, least: u64, largest: u64) -> Self {
        let share = |whole: u64, least: u64| {
            let part = (u128::from(whole) * u128::from(percent.min(100))).div_ceil(100);
            u64::try_from(part).unwrap_or(whole).max(whole.min(least))
        };
        Self {
            items,
            bytes,
            sender_items: share(items, least),
            sender_bytes: share(bytes, least.saturating_mul(largest)),
        }
    }

    /// Whether `items` and `bytes` more fit into a mailbox that holds `counts`.
    ///
    /// # Errors
    /// [`StoreError::QuotaItems`] or [`StoreError::QuotaBytes`], whichever limit is exceeded.
    pub const fn admit(&self, counts: &Counts, items: u64, bytes: u64) -> Result<(), StoreError> {
        if exceeds(counts.items, items, self.items) && items != 0 {
            return Err(StoreError::QuotaItems { limit: self.items });
        }
        if exceeds(counts.bytes, bytes, self.bytes) {
            return Err(StoreError::QuotaBytes { limit: self.bytes });
        }
        Ok(())
    }

    /// Whether `items` and `bytes` more of a sender fit, of whom the mailbox holds `held`.
    ///
    /// # Errors
    /// [`StoreError::SenderItems`] or [`StoreError::SenderBytes`], whichever limit is exceeded.
    pub const fn admit_sender(&self, held: &Held, items: u64, bytes: u64) -> Result<(), StoreError> {
        if exceeds(held.items, items, self.sender_items) && items != 0 {
            return Err(StoreError::SenderItems { limit: self.sender_items });
        }
        if exceeds(held.bytes, bytes, self.sender_bytes) {
            return Err(StoreError::SenderBytes { limit: self.sender_bytes });
        }
        Ok(())
    }

    /// Whether nobody can exceed his share of a mailbox that holds `counts` by `items` and `bytes`
    /// more, even if all of it is his.
    #[must_use]
    pub const fn leaves_shares(&self, counts: &Counts, items: u64, bytes: u64) -> bool {
        !exceeds(counts.items, items, self.sender_items) && !exceeds(counts.bytes, bytes, self.sender_bytes)
    }
}

const fn exceeds(held: u64, more: u64, limit: u64) -> bool {
    limit != 0 && held.saturating_add(more) > limit
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_quota_of_zero_is_none() {
        let mut counts = Counts::default();
        counts.charge(u64::MAX, u64::MAX);
        assert_eq!(Quota::default().admit(&counts, 1, 1), Ok(()));
        assert!(Quota::default().leaves_shares(&counts, 1, 1));
    }

    #[test]
    fn the_quota_admits_up_to_its_limit() {
        let quota = Quota { items: 2, bytes: 10, ..Quota::default() };
        let mut counts = Counts::default();
        counts.charge(1, 10);
        assert_eq!(quota.admit(&counts, 1, 0), Ok(()));
        assert_eq!(quota.admit(&counts, 2, 0), Err(StoreError::QuotaItems { limit: 2 }));
        assert_eq!(quota.admit(&counts, 0, 1), Err(StoreError::QuotaBytes { limit: 10 }));
    }

    #[test]
    fn a_share_is_a_part_of_a_large_mailbox_and_all_of_a_small_one() {
        let quota = Quota::shared(10_000, 1 << 30, 80, 100, 65_536);
        assert_eq!((quota.sender_items, quota.sender_bytes), (8_000, 858_993_460));
        let small = Quota::shared(20, 5_000, 80, 100, 65_536);
        assert_eq!((small.sender_items, small.sender_bytes), (20, 5_000));
        let literal = Quota::shared(10, 1_001, 50, 0, 65_536);
        assert_eq!((literal.sender_items, literal.sender_bytes), (5, 501));
        assert_eq!(Quota::shared(0, 0, 80, 100, 1), Quota::default());
        assert_eq!(Quota::shared(u64::MAX, 0, 100, 0, 1).sender_items, u64::MAX);
    }

    #[test]
    fn a_sender_is_held_to_his_share() {
        let quota = Quota { sender_items: 2, sender_bytes: 10, ..Quota::default() };
        let mut held = Held::default();
        held.charge(1, 4);
        assert_eq!(quota.admit_sender(&held, 1, 6), Ok(()));
        assert_eq!(quota.admit_sender(&held, 2, 0), Err(StoreError::SenderItems { limit: 2 }));
        assert_eq!(quota.admit_sender(&held, 0, 7), Err(StoreError::SenderBytes { limit: 10 }));
        held.discharge(1, 4);
        assert_eq!(held, Held::default());
    }
}
