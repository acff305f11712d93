//! Totals: the sessions of the node, in all shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use restante::store::Owner;

/// Sessions of the node, in all shards.
#[derive(Debug, Default)]
pub struct Totals {
    pub(super) recorders: AtomicUsize,
    pub(super) focuses: AtomicUsize,
    /// The retrievals of each owner: unlike the deposits of a mailbox they are not all in one shard.
    pub(super) retrieving: DashMap<Owner, usize>,
}

impl Totals {
    /// A seat for one more retrieval of `owner`, unless he has `most` of them.
    pub(super) fn seat(self: &Arc<Self>, owner: &Owner, most: usize) -> Option<Seat> {
        let mut held = self.retrieving.entry(owner.clone()).or_default();
        if *held >= most {
            return None;
        }
        *held += 1;
        self.focuses.fetch_add(1, Ordering::Relaxed);
        Some(Seat(Box::new((Arc::clone(self), owner.clone()))))
    }
}

/// A retrieval's place among those that its owner may have at once, and all owners together; it is free when this is
/// dropped. Boxed, since thousands of retrievals wait with it.
#[derive(Debug)]
pub struct Seat(Box<(Arc<Totals>, Owner)>);

impl Drop for Seat {
    fn drop(&mut self) {
        let (totals, owner) = &*self.0;
        totals.focuses.fetch_sub(1, Ordering::Relaxed);
        totals.retrieving.remove_if_mut(owner, |_, held| {
            *held = held.saturating_sub(1);
            *held == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_when_it_is_left() {
        let totals = Arc::new(Totals::default());
        let [bob, carol] = [b"bob", b"eve"].map(|name| Owner::new(name, "example.com"));
        let seats: Vec<Seat> = std::iter::from_fn(|| totals.seat(&bob, 2)).collect();
        assert_eq!((seats.len(), totals.focuses.load(Ordering::Relaxed)), (2, 2));
        let other = totals.seat(&carol, 1);
        assert!(other.is_some() && totals.seat(&carol, 1).is_none());
        drop(seats);
        assert_eq!(totals.seat(&bob, 2).map(|_| ()), Some(()));
        drop(other);
        assert_eq!((totals.focuses.load(Ordering::Relaxed), totals.retrieving.len()), (0, 0));
    }
}
