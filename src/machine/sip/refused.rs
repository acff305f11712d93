//! What was refused without a transaction, so that its repetition gets the same answer (RFC 3261 8.2.7).

use std::collections::HashSet;
use std::time::Duration;

use rustc_hash::FxBuildHasher;

use super::fingerprint::Fingerprint;
use crate::time::Instant;

/// How long a request may be repeated (RFC 3261 17.1.2.2, Timer F), and is remembered at least.
const REPEATED: Duration = Duration::from_secs(32);
/// Refusals remembered at least; under a flood the older ones are forgotten sooner.
const MOST: usize = 32_768;

/// Two generations of refusals: the former is forgotten as a whole, so that memory is bounded.
#[derive(Debug, Default)]
pub(super) struct Refused {
    present: HashSet<Fingerprint, FxBuildHasher>,
    former: HashSet<Fingerprint, FxBuildHasher>,
    turned: Instant,
}

impl Refused {
    pub(super) fn note(&mut self, now: Instant, key: Fingerprint) {
        if self.present.len() >= MOST {
            self.turn(now);
        }
        self.present.insert(key);
    }

    pub(super) fn holds(&mut self, now: Instant, key: Fingerprint) -> bool {
        if self.present.is_empty() && self.former.is_empty() {
            return false;
        }
        if now - self.turned >= REPEATED {
            self.turn(now);
        }
        self.present.contains(&key) || self.former.contains(&key)
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.present.len() + self.former.len()
    }

    fn turn(&mut self, now: Instant) {
        self.former = std::mem::take(&mut self.present);
        self.turned = now;
    }
}
