//! [`Lockout`]: addresses whose authentication failed too often are refused for a while (RFC 7616 5.1, 5.6:
//! guessing passwords online).
//!
//! An IPv6 host has a whole /64 to choose from, so that counts as one address ([`Neighbour`]).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::time::Instant;

/// Who is counted as one: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour(u128);

impl From<IpAddr> for Neighbour {
    fn from(peer: IpAddr) -> Self {
        const NETWORK: u128 = !(u64::MAX as u128);
        Self(match peer.to_canonical() {
            IpAddr::V4(peer) => peer.to_ipv6_mapped().into(),
            IpAddr::V6(peer) => u128::from(peer) & NETWORK,
        })
    }
}

impl Neighbour {
    /// An address that stands for it.
    #[must_use]
    pub fn address(self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }
}

/// When and for how long.
#[derive(Clone, Copy, Debug)]
pub struct LockoutRules {
    /// Failures within [`Self::window`] that are too many; 0 = never.
    pub failures: u32,
    /// The time in which they are counted, from the first one on.
    pub window: Duration,
    /// How long an address is refused.
    pub block: Duration,
}

/// Failures by address. Bounded: what is over is dropped when room is needed, then what is oldest.
#[derive(Debug)]
pub struct Lockout {
    rules: LockoutRules,
    most: usize,
    records: FxHashMap<Neighbour, Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    /// When it may be forgotten: the end of the window, or of the block.
    until: Instant,
    blocked: bool,
}

impl Lockout {
    /// Counts for at most `most` addresses.
    #[must_use]
    pub fn new(rules: LockoutRules, most: usize) -> Self {
        Self { rules, most: most.max(2), records: FxHashMap::default() }
    }

    /// How much longer `peer` is refused; `None` when it is not.
    #[must_use]
    pub fn refused(&self, peer: Neighbour, now: Instant) -> Option<Duration> {
        let record = self.records.get(&peer).filter(|record| record.blocked)?;
        Some(record.until.saturating_since(now)).filter(|left| !left.is_zero())
    }

    /// Counts a failure of `peer`; whether it is refused from now on.
    pub fn fail(&mut self, peer: Neighbour, now: Instant) -> bool {
        if self.rules.failures == 0 {
            return false;
        }
        if self.records.len() >= self.most && !self.records.contains_key(&peer) {
            self.make_room(now);
        }
        let fresh = Record { failures: 0, until: now + self.rules.window, blocked: false };
        let record = self.records.entry(peer).or_insert(fresh);
        if record.until <= now {
            *record = fresh;
        }
        record.failures = record.failures.saturating_add(1);
        if record.blocked || record.failures < self.rules.failures {
            return false;
        }
        record.blocked = true;
        record.until = now + self.rules.block;
        true
    }

    /// Forgets the failures of `peer`, who has proved himself; a block stands until its end.
    pub fn succeed(&mut self, peer: Neighbour) {
        if self.records.get(&peer).is_some_and(|record| !record.blocked) {
            self.records.remove(&peer);
        }
    }

    /// How many addresses are counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Makes room for many at once, so that a flood of addresses does not cost a search for each.
    fn make_room(&mut self, now: Instant) {
        self.records.retain(|_, record| record.until > now);
        if self.records.len() <= self.most / 2 {
            return;
        }
        let mut ends: Vec<Instant> = self.records.values().map(|record| record.until).collect();
        let half = ends.len() / 2;
        let (_, middle, _) = ends.select_nth_unstable(half);
        let middle = *middle;
        self.records.retain(|_, record| record.until > middle);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RULES: LockoutRules =
        LockoutRules { failures: 3, window: Duration::from_secs(60), block: Duration::from_secs(300) };

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn peer(text: &str) -> Neighbour {
        text.parse::<IpAddr>().unwrap().into()
    }

    // proves RFC 7616 5.1: who guesses is slowed down
    #[test]
    fn too_many_failures_are_refused_for_a_while() {
        let mut lockout = Lockout::new(RULES, 100);
        let eve = peer("192.0.2.1");
        assert!(!lockout.fail(eve, at(0)));
        assert!(!lockout.fail(eve, at(1)));
        assert_eq!(lockout.refused(eve, at(2)), None);
        assert!(lockout.fail(eve, at(2)));
        assert_eq!(lockout.refused(eve, at(2)), Some(Duration::from_secs(300)));
        assert!(!lockout.fail(eve, at(3)), "it is told once");
        assert_eq!(lockout.refused(eve, at(301)), Some(Duration::from_secs(1)));
        assert_eq!(lockout.refused(eve, at(302)), None);
        assert!(!lockout.fail(eve, at(303)), "counted anew");
        assert_eq!(lockout.refused(peer("192.0.2.2"), at(3)), None);
    }

    #[test]
    fn slow_failures_and_success_are_forgiven() {
        let mut lockout = Lockout::new(RULES, 100);
        let alice = peer("192.0.2.1");
        for minute in 0..10 {
            assert!(!lockout.fail(alice, at(minute * 61)));
            assert!(!lockout.fail(alice, at(minute * 61 + 1)));
        }
        lockout.succeed(alice);
        assert!(lockout.is_empty());
        let mut never = Lockout::new(LockoutRules { failures: 0, ..RULES }, 100);
        assert!((0..1000).all(|_| !never.fail(alice, at(0))));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_ipv4() {
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("192.0.2.1").address().to_string(), "192.0.2.1");
        assert_eq!(peer("2001:db8:1:2::1").address().to_string(), "2001:db8:1:2::");
    }

    #[test]
    fn a_hundred_thousand_addresses_need_no_more_room_than_is_allowed() {
        let mut lockout = Lockout::new(RULES, 1000);
        let eve = peer("203.0.113.1");
        for number in 0..100_000_u32 {
            let address = IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + number));
            lockout.fail(address.into(), at(u64::from(number / 1000)));
            assert!(lockout.len() <= 1000, "{}", lockout.len());
        }
        for _ in 0..3 {
            lockout.fail(eve, at(101));
        }
        assert!(lockout.refused(eve, at(102)).is_some());
    }
}
