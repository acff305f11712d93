//! What was answered and not kept: requests of which the fingerprint alone is remembered, because the answer to
//! a repetition can be made again from the repetition itself (RFC 3261 17.2.2, 8.2.7).

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use rustc_hash::FxBuildHasher;

use super::fingerprint::Fingerprint;
use crate::time::Instant;

/// Fingerprints by generation, the youngest first. The oldest one is forgotten as a whole, so that no timer is
/// kept for any of them and memory is bounded.
#[derive(Debug)]
pub(super) struct Repeats {
    generations: VecDeque<HashSet<Fingerprint, FxBuildHasher>>,
    /// How long a generation is the youngest.
    span: Duration,
    /// How many a generation holds at most.
    most: usize,
    /// Since when the youngest one is.
    turned: Instant,
}

impl Repeats {
    /// Remembers each for `kept` at least, and for a `generations - 1`st part of it longer at most. More than
    /// `most` in such a part have the oldest forgotten sooner.
    pub(super) fn new(kept: Duration, generations: u32, most: usize) -> Self {
        let generations = generations.max(2);
        Self {
            generations: (0..generations).map(|_| HashSet::default()).collect(),
            span: kept / (generations - 1),
            most,
            turned: Instant::default(),
        }
    }

    pub(super) fn note(&mut self, now: Instant, key: Fingerprint) {
        self.forget(now);
        if self.generations.front().is_some_and(|youngest| youngest.len() >= self.most) {
            self.turn();
            self.turned = now;
        }
        if let Some(youngest) = self.generations.front_mut() {
            youngest.insert(key);
        }
    }

    pub(super) fn holds(&mut self, now: Instant, key: Fingerprint) -> bool {
        self.forget(now);
        self.generations.iter().any(|generation| !generation.is_empty() && generation.contains(&key))
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.generations.iter().map(HashSet::len).sum()
    }

    /// Forgets what is too old.
    fn forget(&mut self, now: Instant) {
        if now - self.turned < self.span {
            return;
        }
        for _ in 0..self.generations.len() {
            self.turn();
            self.turned += self.span;
            if now - self.turned < self.span {
                return;
            }
        }
        self.turned = now;
    }

    fn turn(&mut self) {
        self.generations.rotate_right(1);
        if let Some(youngest) = self.generations.front_mut() {
            // A new one and not an empty one: what a flood has made large is given back.
            *youngest = HashSet::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::sip::test_support::at;

    const KEPT: Duration = Duration::from_secs(32);

    fn key(number: u128) -> Fingerprint {
        Fingerprint::numbered(number)
    }

    #[test]
    fn each_is_held_for_the_time_at_least_and_not_much_longer() {
        for noted in [0, 1, 7_999, 8_000, 31_000, 1_000_000] {
            let mut repeats = Repeats::new(KEPT, 5, 10);
            repeats.note(at(noted), key(1));
            assert!(repeats.holds(at(noted + 31_999), key(1)), "{noted}");
            assert!(!repeats.holds(at(noted), key(2)));
            assert!(!repeats.holds(at(noted + 40_001), key(1)), "{noted}");
            assert_eq!(repeats.len(), 0);
        }
    }

    #[test]
    fn a_flood_has_the_oldest_forgotten_and_the_youngest_held() {
        let mut repeats = Repeats::new(KEPT, 5, 10);
        for number in 0..1000 {
            repeats.note(at(0), key(number));
            assert!(repeats.len() <= 50, "{}", repeats.len());
        }
        assert!((960..1000).all(|number| repeats.holds(at(1), key(number))));
        assert!(!repeats.holds(at(1), key(900)));
    }
}
