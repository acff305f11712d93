//! Totals: the sessions of the node, in all shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use restante::store::Owner;

/// Sessions of the node, in all shards.
#[derive(Debug, Default)]
pub struct Totals {
    pub(super) recorders: Arc<Seats>,
    pub(super) focuses: Arc<Seats>,
}

/// The places of sessions of one kind.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: AtomicUsize,
    /// How many each owner has: the retrievals of one are not all in one shard.
    owners: DashMap<Owner, usize>,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The owner has all that he may have.
    Owner,
    /// All are taken.
    Node,
}

impl Seats {
    /// A seat for one more session of `owner`, unless he has `most` of them, or there are `most_in_all`.
    pub(super) fn seat(
        self: &Arc<Self>,
        owner: &Owner,
        most: usize,
        most_in_all: usize,
    ) -> Result<Seat, Full> {
        let entry = self.owners.entry(owner.clone());
        let held = if let Entry::Occupied(held) = &entry { *held.get() } else { 0 };
        if held >= most {
            return Err(Full::Owner);
        }
        // One step: other shards take seats at the same time.
        let take = |taken| (taken < most_in_all).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_err(|_| Full::Node)?;
        entry.insert(held + 1);
        Ok(Seat(Box::new((Arc::clone(self), owner.clone()))))
    }

    /// How many are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many owners have one.
    #[cfg(test)]
    pub(super) fn owners(&self) -> usize {
        self.owners.len()
    }
}

/// A session's place among those that its owner may have at once, and all owners together; it is free when this is
/// dropped. Boxed, since thousands of retrievals wait with it.
#[derive(Debug)]
pub struct Seat(Box<(Arc<Seats>, Owner)>);

impl Drop for Seat {
    fn drop(&mut self) {
        let (seats, owner) = &*self.0;
        seats.taken.fetch_sub(1, Ordering::Relaxed);
        seats.owners.remove_if_mut(owner, |_, held| {
            *held = held.saturating_sub(1);
            *held == 0
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Barrier;

    fn owner(name: &str) -> Owner {
        Owner::new(name.as_bytes(), "example.com")
    }

    #[test]
    fn a_seat_is_free_when_it_is_left() {
        let all = Arc::new(Seats::default());
        let [bob, carol] = ["bob", "carol"].map(owner);
        let seats: Vec<Seat> = std::iter::from_fn(|| all.seat(&bob, 2, 9).ok()).collect();
        assert_eq!((seats.len(), all.taken()), (2, 2));
        let other = all.seat(&carol, 1, 9).unwrap();
        assert_eq!(all.seat(&carol, 1, 9).unwrap_err(), Full::Owner);
        drop(seats);
        assert!(all.seat(&bob, 2, 9).is_ok());
        assert_eq!(all.seat(&bob, 2, 1).unwrap_err(), Full::Node);
        drop(other);
        assert_eq!((all.taken(), all.owners()), (0, 0));
    }

    #[test]
    fn shards_together_give_no_seat_too_many() {
        const SHARDS: usize = 8;
        let (all, begin) = (Seats::default(), Barrier::new(SHARDS));
        let all = Arc::new(all);
        for most in 1..=200 {
            let held: Vec<Seat> = std::thread::scope(|scope| {
                let shard = |number: usize| {
                    let (all, begin) = (&all, &begin);
                    scope.spawn(move || {
                        let owner = owner(&number.to_string());
                        begin.wait();
                        let seats: Vec<Seat> =
                            std::iter::from_fn(|| all.seat(&owner, most, most).ok()).collect();
                        seats
                    })
                };
                let shards: Vec<_> = (0..SHARDS).map(shard).collect();
                shards.into_iter().flat_map(|shard| shard.join().unwrap()).collect()
            });
            assert_eq!((held.len(), all.taken()), (most, most));
        }
        assert_eq!((all.taken(), all.owners()), (0, 0));
    }
}
