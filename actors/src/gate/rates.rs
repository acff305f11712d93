//! [`Rate`]: so many a second for each key, and a burst on top (`governor`'s GCRA).

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};

use super::bounded::Bounded;
use crate::clock;

/// The node's monotonic clock, as `governor` reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeClock;

impl Clock for NodeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        clock::now().since_origin()
    }
}

type Limiter<K, C> = RateLimiter<K, Bounded<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A rate for each key; none where it is not limited.
pub struct Rate<K: Hash + Eq + Clone, C: Clock = NodeClock>(Option<Limiter<K, C>>);

impl<K: Hash + Eq + Clone, C: Clock> Rate<K, C> {
    /// `per_second` for each of at most `most` keys, and at once what `burst` allows in sum; 0: no limit.
    #[must_use]
    pub fn new(per_second: u32, burst: Duration, most: usize, clock: C) -> Self {
        let Some(per_second) = NonZeroU32::new(per_second) else { return Self(None) };
        let cells = u64::from(per_second.get()).saturating_mul(burst.as_secs());
        let cells = u32::try_from(cells).unwrap_or(u32::MAX);
        let cells = NonZeroU32::new(cells).map_or(per_second, |cells| cells.max(per_second));
        let quota = Quota::per_second(per_second).allow_burst(cells);
        Self(Some(RateLimiter::new(quota, Bounded::new(most), clock)))
    }

    /// One for each of at most `most` keys in every `period`.
    #[must_use]
    pub fn one_every(period: Duration, most: usize, clock: C) -> Self {
        Self(Quota::with_period(period).map(|quota| RateLimiter::new(quota, Bounded::new(most), clock)))
    }

    /// Counts one for `key`.
    ///
    /// # Errors
    /// It is too many; in this many seconds, at least one, it may be tried again.
    pub fn take(&self, key: &K) -> Result<(), u64> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(limiter.clock().now());
            (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
        })
    }
}

impl<K: Hash + Eq + Clone, C: Clock> std::fmt::Debug for Rate<K, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Rate" } else { "Rate(none)" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use restante::focus::lockout::Neighbour;
    use std::net::{IpAddr, Ipv4Addr};

    fn address(number: u32) -> Neighbour {
        IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number)).into()
    }

    #[test]
    fn a_burst_then_so_many_a_second() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(10, Duration::from_secs(3), 1000, clock.clone());
        let taken = |key: u32| (0..100).filter(|_| rate.take(&address(key)).is_ok()).count();
        assert_eq!(taken(1), 30);
        assert_eq!(rate.take(&address(1)), Err(1));
        assert_eq!(taken(2), 30, "another address has its own");
        clock.advance(Duration::from_secs(1));
        assert_eq!(taken(1), 10);
        clock.advance(Duration::from_secs(100));
        assert_eq!(taken(1), 30);
    }

    #[test]
    fn slow_rates_tell_how_long_to_wait_and_zero_is_no_limit() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(1, Duration::ZERO, 1000, clock);
        assert_eq!(rate.take(&1), Ok(()));
        assert_eq!(rate.take(&1), Err(1));
        let open = Rate::new(0, Duration::from_secs(1), 1000, NodeClock);
        assert!((0..10_000).all(|_| open.take(&1).is_ok()));
    }

    #[test]
    fn a_hundred_thousand_addresses_need_no_more_room_than_is_allowed() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(1, Duration::from_secs(100), 1024, clock.clone());
        for number in 0..100_000 {
            for _ in 0..3 {
                assert_eq!(rate.take(&address(number)), Ok(()));
            }
            clock.advance(Duration::from_micros(10));
        }
        let store = rate.0.unwrap().into_state_store();
        assert!(store.len() <= 1024 && store.len() > 256, "{}", store.len());
    }

    #[test]
    fn who_is_quiet_is_dropped_before_who_is_not() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(1, Duration::from_secs(1000), 64, clock.clone());
        for _ in 0..500 {
            rate.take(&0).unwrap();
        }
        clock.advance(Duration::from_secs(10));
        for key in 1..=60 {
            rate.take(&key).unwrap();
            clock.advance(Duration::from_secs(3));
        }
        let left = (0..2000).take_while(|_| rate.take(&0).is_ok()).count();
        assert!(left < 800, "the flood of others did not give it a new burst: {left}");
    }
}
