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

/// Tells what others can cause as often as they like: each line that is written so ten times a second at most, and the next one
/// says how many were left out, if any.
macro_rules! seldom {
    ($level:ident, parent: $parent:expr, $($line:tt)+) => {
        $crate::seldom::seldom!(@ $level, (parent: $parent,), $($line)+)
    };
    ($level:ident, $($line:tt)+) => { $crate::seldom::seldom!(@ $level, (), $($line)+) };
    (@ $level:ident, ($($parent:tt)*), $($line:tt)+) => {{
        static TOLD: $crate::seldom::Seldom = $crate::seldom::Seldom::new(10);
        if let Some(left_out) = TOLD.tell(std::time::Instant::now()) {
            let left_out = (left_out > 0).then_some(left_out);
            tracing::$level!($($parent)* left_out, $($line)+);
        }
    }};
}

pub(crate) use seldom;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::heard::Log;

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

    #[test]
    fn each_line_has_a_limit_of_its_own() {
        let log = Log::default();
        let begun = Instant::now();
        log.hear(|| {
            let span = tracing::info_span!("session");
            for number in 0..1000 {
                seldom!(info, parent: &span, number, "often");
                if number % 300 == 0 {
                    seldom!(warn, number, "{}", "seldom");
                }
            }
        });
        let text = log.text();
        let often = text.lines().filter(|line| line.contains("often")).collect::<Vec<_>>();
        let most = 10 * (usize::try_from(begun.elapsed().as_secs()).unwrap_or_default() + 1);
        assert!((10..=most).contains(&often.len()), "{text}");
        assert!(often.iter().take(10).all(|line| line.contains("session") && !line.contains("left_out")));
        assert_eq!(text.lines().filter(|line| line.contains("WARN") && line.contains("seldom")).count(), 4);
    }
}
