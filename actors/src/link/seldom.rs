//! Log lines that a flood must not multiply: a few a second, and the number of those left out.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Lets a few events a second through.
#[derive(Debug)]
pub(crate) struct Seldom {
    per_second: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    passed: u32,
    left_out: u64,
}

impl Seldom {
    pub(crate) const fn new(per_second: u32) -> Self {
        Self { per_second, state: Mutex::new(State { since: None, passed: 0, left_out: 0 }) }
    }

    /// `Some(left_out)` when the event at `now` may be told: how many were not since the last one told.
    pub(crate) fn tell(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            state.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1));
        if fresh {
            state.since = Some(now);
            state.passed = 0;
        }
        if state.passed >= self.per_second {
            state.left_out = state.left_out.saturating_add(1);
            return None;
        }
        state.passed = state.passed.saturating_add(1);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_few_a_second_and_counts_the_rest() {
        let seldom = Seldom::new(2);
        let start = Instant::now();
        assert_eq!(seldom.tell(start), Some(0));
        assert_eq!(seldom.tell(start), Some(0));
        assert_eq!(seldom.tell(start), None);
        assert_eq!(seldom.tell(start), None);
        assert_eq!(seldom.tell(start + Duration::from_secs(1)), Some(2));
    }
}
