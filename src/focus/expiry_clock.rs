//! The time by which items expire: the wall clock, as long as it can be believed.
//!
//! A wall clock that jumps ahead would end everything that is kept, at once and for good. So a jump
//! is believed only after it has lasted; until then time goes on at the pace of the monotonic clock.
//! A clock that goes back ends nothing early that was there before, and is believed at once; what comes while it is wrong has
//! its times by it. One that is wrong from the start of the node on cannot be told from a right one.

use std::time::Duration;

use crate::time::{Instant, Timestamp};

/// How far the wall clock may run ahead of the monotonic one between two readings.
const TOLERANCE: Duration = Duration::from_secs(3600);

/// How long a jump ahead must last to be believed.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What is to be told of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// It has jumped ahead by this much: nothing expires by it yet.
    Ahead(Duration),
    /// It has jumped ahead, and has stayed there: it is believed.
    Believed,
    /// It has come back before it was believed.
    Over,
    /// It has gone back by this much.
    Back(Duration),
}

/// Watches the wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpiryClock {
    /// The last reading that was believed.
    believed: Option<(Timestamp, Instant)>,
    /// Since when the clock is ahead.
    ahead_since: Option<Instant>,
}

impl ExpiryClock {
    /// The time by which items expire `now`, as [`read`](Self::read) would give it, between two readings.
    #[must_use]
    pub fn peek(&self, wall: Timestamp, now: Instant) -> Timestamp {
        self.expected(now).filter(|expected| is_ahead(wall, *expected)).unwrap_or(wall)
    }

    /// What the wall clock should say `now`, by the last reading.
    fn expected(&self, now: Instant) -> Option<Timestamp> {
        self.believed.map(|(last, then)| last.after(now - then))
    }

    /// The time by which items expire `now`, when the wall clock says `wall`; and what is to be
    /// told, once each.
    pub fn read(&mut self, wall: Timestamp, now: Instant) -> (Timestamp, Option<Jump>) {
        let Some(expected) = self.expected(now) else {
            self.believed = Some((wall, now));
            return (wall, None);
        };
        if is_ahead(wall, expected) {
            let Some(since) = self.ahead_since else {
                self.ahead_since = Some(now);
                return (expected, Some(Jump::Ahead(wall.saturating_since(expected))));
            };
            if now - since < PATIENCE {
                return (expected, None);
            }
            self.ahead_since = None;
            self.believed = Some((wall, now));
            return (wall, Some(Jump::Believed));
        }
        self.believed = Some((wall, now));
        let over = self.ahead_since.take().map(|_| Jump::Over);
        let back = wall.after(TOLERANCE) < expected;
        (wall, over.or_else(|| back.then(|| Jump::Back(expected.saturating_since(wall)))))
    }
}

fn is_ahead(wall: Timestamp, expected: Timestamp) -> bool {
    wall > expected.after(TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(milliseconds: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_clock_that_runs_is_believed() {
        let mut clock = ExpiryClock::default();
        assert_eq!(clock.peek(Timestamp(7), at(0)), Timestamp(7));
        for hour in 0..5 {
            let wall = Timestamp(1000 + hour * HOUR + hour * 100);
            assert_eq!(clock.read(wall, at(hour * HOUR)), (wall, None));
            assert_eq!(clock.peek(Timestamp(wall.0 + 3), at(hour * HOUR + 2)), Timestamp(wall.0 + 3));
        }
    }

    #[test]
    fn a_jump_ahead_ends_nothing_until_it_has_lasted() {
        let mut clock = ExpiryClock::default();
        clock.read(Timestamp(0), at(0));
        assert_eq!(clock.peek(Timestamp(1000 * HOUR), at(5)), Timestamp(5));
        let ahead = |hour: u64| Timestamp(1000 * HOUR + hour * HOUR);
        let told = Jump::Ahead(Duration::from_millis(1000 * HOUR));
        assert_eq!(clock.read(ahead(1), at(HOUR)), (Timestamp(HOUR), Some(told)));
        assert_eq!(clock.read(ahead(1), at(HOUR + 1)), (Timestamp(HOUR + 1), None));
        assert_eq!(clock.read(ahead(2), at(2 * HOUR)), (ahead(2), Some(Jump::Believed)));
        assert_eq!(clock.read(ahead(3), at(3 * HOUR)), (ahead(3), None));
    }

    #[test]
    fn a_jump_that_is_mended_leaves_nothing() {
        let mut clock = ExpiryClock::default();
        clock.read(Timestamp(0), at(0));
        clock.read(Timestamp(u64::MAX), at(1));
        assert_eq!(clock.read(Timestamp(5), at(5)), (Timestamp(5), Some(Jump::Over)));
        assert_eq!(clock.read(Timestamp(6), at(6)), (Timestamp(6), None));
    }

    #[test]
    fn a_clock_that_goes_back_is_told_of_and_followed() {
        let mut clock = ExpiryClock::default();
        clock.read(Timestamp(9 * HOUR), at(0));
        let told = Jump::Back(Duration::from_millis(7 * HOUR));
        assert_eq!(clock.read(Timestamp(2 * HOUR), at(0)), (Timestamp(2 * HOUR), Some(told)));
        assert_eq!(clock.read(Timestamp(3 * HOUR), at(HOUR)), (Timestamp(3 * HOUR), None));
    }
}
