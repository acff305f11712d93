//! Which places failed lately, so that the next request need not find it out again: [`FailedPlaces`]
//! (RFC 3263 4.3, RFC 3261 21.5.4). A place that failed is not left out but put last: where all have failed,
//! all are tried, in the order of the DNS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::locate::Place;
use super::transport::{Destination, Transport};
use crate::time::Instant;

/// A place that fails again each time it is tried is avoided up to so many times as long.
const LONGEST: u32 = 8;

/// What an attempt has told about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Somebody answered.
    Answered,
    /// Nobody did in all the time that a transaction has.
    Silent,
    /// It cannot be reached: the connection is refused, the network knows no way.
    Unreachable,
    /// It asked to be left alone for so long (503 with Retry-After).
    Busy(Duration),
}

/// The places that failed, each with the time until which others come first.
///
/// * Input: [`note`](Self::note), after each attempt at one of several places.
/// * Question: [`sort`](Self::sort), before the first.
///
/// Bounded: where it is full, the place that is avoided for the shortest time is forgotten.
#[derive(Debug)]
pub struct FailedPlaces {
    avoid: Duration,
    capacity: usize,
    places: FxHashMap<Key, Failed>,
}

/// RFC 5922 7.3: a TLS peer is one domain's; it may fail as another's and be well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    transport: Transport,
    addr: SocketAddr,
    domain: Option<Arc<str>>,
}

impl Key {
    fn new(transport: Transport, addr: SocketAddr, domain: Option<&Arc<str>>) -> Self {
        Self { transport, addr, domain: domain.filter(|_| transport.is_secure()).cloned() }
    }
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    until: Instant,
    /// How often in a row.
    times: u32,
}

impl FailedPlaces {
    /// Remembers up to `capacity` places, each for `avoid` at first, for longer if it fails again and again;
    /// zero: none.
    #[must_use]
    pub fn new(avoid: Duration, capacity: usize) -> Self {
        Self { avoid, capacity, places: FxHashMap::default() }
    }

    /// Takes note of what was found at `to`; where it is to be avoided from now on, for how long.
    pub fn note(&mut self, to: &Destination, finding: Finding, now: Instant) -> Option<Duration> {
        let key = Key::new(to.transport, to.addr, to.domain.as_ref());
        let known = self.places.get(&key).copied();
        let (asked, times) = match finding {
            Finding::Answered => {
                self.places.remove(&key);
                return None;
            }
            // Several requests may have been on their way when it failed: that is one failure.
            Finding::Silent | Finding::Unreachable => match known {
                Some(known) if known.times > 0 && known.until > now => return None,
                known => {
                    let times = known.map_or(0, |known| known.times);
                    (
                        self.avoid.saturating_mul((1 << times).min(LONGEST)),
                        times.saturating_add(1).min(LONGEST),
                    )
                }
            },
            // RFC 3261 21.5.4: it SHOULD NOT get any other request for the duration of Retry-After; whoever
            // says so has no claim to be believed for ever.
            Finding::Busy(asked) => {
                (asked.min(self.avoid.saturating_mul(LONGEST)), known.map_or(0, |known| known.times))
            }
        };
        if asked.is_zero() || self.capacity == 0 {
            return None;
        }
        if known.is_none() && self.places.len() >= self.capacity {
            self.forget_one();
        }
        self.places.insert(key, Failed { until: now + asked, times });
        Some(asked)
    }

    /// Puts those places last that failed lately; otherwise the order stays as it is.
    pub fn sort(&self, places: &mut [Place], now: Instant) {
        if !self.places.is_empty() && places.len() > 1 {
            places.sort_by_key(|place| self.avoids(place, now));
        }
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn avoids(&self, place: &Place, now: Instant) -> bool {
        let key = Key::new(place.transport, place.addr, place.domain.as_ref());
        self.places.get(&key).is_some_and(|failed| failed.until > now)
    }

    fn forget_one(&mut self) {
        let first = self.places.iter().min_by_key(|(_, failed)| failed.until).map(|(key, _)| key.clone());
        if let Some(key) = first {
            self.places.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn place(port: u16) -> Place {
        let addr = SocketAddr::new([192, 0, 2, 1].into(), port);
        Place { transport: Transport::Udp, addr, upgrade: true, domain: Some("example.com".into()) }
    }

    fn to(port: u16) -> Destination {
        let place = place(port);
        Destination { domain: place.domain, ..Destination::new(place.transport, place.addr) }
    }

    /// The ports of three places in the order in which they are tried.
    fn order(failed: &FailedPlaces, now: Instant) -> Vec<u16> {
        let mut places = [place(1), place(2), place(3)];
        failed.sort(&mut places, now);
        places.iter().map(|place| place.addr.port()).collect()
    }

    // proves RFC 3263 4.3: a failure is known to the next request, too
    #[test]
    fn what_failed_is_tried_last_for_a_while() {
        let mut failed = FailedPlaces::new(MINUTE, 8);
        assert_eq!(failed.note(&to(1), Finding::Silent, at(0)), Some(MINUTE));
        assert_eq!(order(&failed, at(0)), [2, 3, 1]);
        assert_eq!(failed.note(&to(2), Finding::Unreachable, at(10)), Some(MINUTE));
        assert_eq!(order(&failed, at(59)), [3, 1, 2]);
        assert_eq!(order(&failed, at(60)), [1, 3, 2]);
        assert_eq!(order(&failed, at(70)), [1, 2, 3]);
    }

    #[test]
    fn where_all_failed_all_are_tried_in_order() {
        let mut failed = FailedPlaces::new(MINUTE, 8);
        for port in [3, 1, 2] {
            failed.note(&to(port), Finding::Silent, at(0));
        }
        assert_eq!(order(&failed, at(1)), [1, 2, 3]);
    }

    #[test]
    fn an_answer_is_the_end_of_it() {
        let mut failed = FailedPlaces::new(MINUTE, 8);
        failed.note(&to(1), Finding::Silent, at(0));
        assert_eq!(failed.note(&to(1), Finding::Answered, at(1)), None);
        assert_eq!(order(&failed, at(1)), [1, 2, 3]);
        assert!(failed.is_empty());
    }

    #[test]
    fn who_fails_again_is_avoided_for_longer_and_requests_of_one_time_count_once() {
        let mut failed = FailedPlaces::new(MINUTE, 8);
        let (mut now, mut minutes) = (at(0), Vec::new());
        for _ in 0..6 {
            let avoided = failed.note(&to(1), Finding::Silent, now).unwrap();
            assert_eq!(failed.note(&to(1), Finding::Silent, now + MINUTE / 2), None, "the same failure");
            minutes.push(avoided.as_secs() / 60);
            now += avoided;
        }
        assert_eq!(minutes, [1, 2, 4, 8, 8, 8]);
    }

    // proves RFC 3261 21.5.4
    #[test]
    fn who_asks_to_be_left_alone_is_but_not_for_ever() {
        let mut failed = FailedPlaces::new(MINUTE, 8);
        let busy = |seconds| Finding::Busy(Duration::from_secs(seconds));
        assert_eq!(failed.note(&to(1), busy(5), at(0)), Some(Duration::from_secs(5)));
        assert_eq!(order(&failed, at(4)), [2, 3, 1]);
        assert_eq!(order(&failed, at(5)), [1, 2, 3]);
        assert_eq!(failed.note(&to(1), busy(0), at(5)), None);
        assert_eq!(failed.note(&to(1), busy(u64::from(u32::MAX)), at(5)), Some(8 * MINUTE));
        assert_eq!(failed.note(&to(2), Finding::Silent, at(5)), Some(MINUTE));
    }

    #[test]
    fn a_tls_peer_fails_for_one_domain_only() {
        let mut failed = FailedPlaces::new(MINUTE, 8);
        let secure = |domain: &str| Place {
            transport: Transport::Tls,
            addr: "192.0.2.1:5061".parse().unwrap(),
            upgrade: false,
            domain: Some(domain.into()),
        };
        let mut places = [secure("one.example"), secure("two.example")];
        let to = Destination {
            domain: places[0].domain.clone(),
            ..Destination::new(Transport::Tls, places[0].addr)
        };
        failed.note(&to, Finding::Unreachable, at(0));
        failed.sort(&mut places, at(0));
        assert_eq!(places[0].domain.as_deref(), Some("two.example"));
    }

    #[test]
    fn memory_is_bounded_and_zero_is_none() {
        let mut failed = FailedPlaces::new(MINUTE, 8);
        for port in 1..1000 {
            failed.note(&to(port), Finding::Silent, at(u64::from(port) / 100));
            assert!(failed.len() <= 8);
        }
        assert!(failed.avoids(&place(999), at(10)), "the youngest are kept");
        for mut none in [FailedPlaces::new(Duration::ZERO, 8), FailedPlaces::new(MINUTE, 0)] {
            assert_eq!(none.note(&to(1), Finding::Silent, at(0)), None);
            assert!(none.is_empty());
        }
    }
}
