//! [`Bounded`]: what `governor` remembers of each key, in a table that cannot grow beyond its limit.
//!
//! A key that is dropped begins anew with its whole burst. Dropped first are those that have nothing left to
//! remember; should that not be enough, half of the rest: under a flood of addresses that can only be forged,
//! it is memory that is defended.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

/// Locks, so that cores do not wait for each other.
const PARTS: usize = 16;

type Part<K> = Mutex<HashMap<K, Nanos>>;

/// A state store of bounded size.
pub struct Bounded<K> {
    parts: Vec<Part<K>>,
    hasher: RandomState,
    most: usize,
}

impl<K: Hash + Eq + Clone> Bounded<K> {
    /// Room for `most` keys.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, hasher: RandomState::new(), most: (most / PARTS).max(2) }
    }

    /// How many keys are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn part(&self, key: &K) -> Option<&Part<K>> {
        let at = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or(0);
        self.parts.get(at % PARTS)
    }
}

impl<K: Hash + Eq + Clone> StateStore for Bounded<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Some(part) = self.part(key) else { return f(None).map(|(outcome, _)| outcome) };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = part.get_mut(key) {
            let (outcome, next) = f(Some(*known))?;
            *known = next;
            return Ok(outcome);
        }
        let (outcome, next) = f(None)?;
        if part.len() >= self.most {
            make_room(&mut part, next, self.most / 2);
        }
        part.insert(key.clone(), next);
        Ok(outcome)
    }
}

/// Drops until at most `left` are left. `fresh` is the state of a key that was seen now for the first time:
/// whoever has less has less to remember than a newcomer.
fn make_room<K: Hash + Eq + Clone>(part: &mut HashMap<K, Nanos>, fresh: Nanos, left: usize) {
    part.retain(|_, state| *state > fresh);
    let mut spare = part.len().saturating_sub(left);
    part.retain(|_, _| {
        let dropped = spare > 0;
        spare -= usize::from(dropped);
        !dropped
    });
}

impl<K> std::fmt::Debug for Bounded<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bounded({} keys at most)", self.most * PARTS)
    }
}
