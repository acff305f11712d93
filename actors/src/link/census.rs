//! How many connections there may be: in all, and from one address.
//!
//! A connection holds a [`Seat`] as long as it lives. IPv6 peers are counted by /64, which is what one
//! site has; mapped IPv4 addresses count as IPv4.

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections one kind of link may have.
#[derive(Clone)]
pub struct ConnectionLimits {
    /// Open connections in all; further ones are sent away.
    pub total: usize,
    /// How many of these are kept for peers that are exempt, and for those that the node opens.
    pub reserved: usize,
    /// Open connections from one IPv4 address or one IPv6 /64.
    pub per_address: usize,
    /// Peers to whom `per_address` and `reserved` do not apply; `None`: they apply to all.
    pub exempt: Option<Arc<dyn Fn(IpAddr) -> bool + Send + Sync>>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 10_000, reserved: 0, per_address: 100, exempt: None }
    }
}

impl std::fmt::Debug for ConnectionLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionLimits")
            .field("total", &self.total)
            .field("reserved", &self.reserved)
            .field("per_address", &self.per_address)
            .field("exempt", &self.exempt.is_some())
            .finish()
    }
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The node has as many connections as it may.
    #[error("too many connections")]
    Total,
    /// The address has as many connections as it may.
    #[error("too many connections from this address")]
    Address,
}

impl Full {
    /// The value of the metric label `cause`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
        }
    }
}

/// The count of open connections of one kind of link.
pub(crate) struct Census {
    limits: ConnectionLimits,
    total: AtomicUsize,
    addresses: DashMap<IpAddr, usize>,
}

impl Census {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, total: AtomicUsize::new(0), addresses: DashMap::new() })
    }

    /// How many seats are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// A seat for a connection that came from `peer`.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Seat, Full> {
        let site = site(peer);
        let counted = !self.limits.exempt.as_ref().is_some_and(|exempt| exempt(peer.to_canonical()));
        let kept = if counted { self.limits.reserved } else { 0 };
        let mut seat = self.seat_of(self.limits.total.saturating_sub(kept))?;
        if counted {
            let mut count = self.addresses.entry(site).or_insert(0);
            if *count >= self.limits.per_address {
                let empty = *count == 0;
                drop(count);
                if empty {
                    self.addresses.remove_if(&site, |_, count| *count == 0);
                }
                return Err(Full::Address);
            }
            *count = count.saturating_add(1);
            seat.site = Some(site);
        }
        Ok(seat)
    }

    /// Whether all seats are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.total.load(Ordering::Relaxed) >= self.limits.total
    }

    /// A seat for a connection the node opens itself: it counts in all, not by address.
    pub(crate) fn seat(self: &Arc<Self>) -> Result<Seat, Full> {
        self.seat_of(self.limits.total)
    }

    /// A seat, if fewer than `most` are taken.
    fn seat_of(self: &Arc<Self>, most: usize) -> Result<Seat, Full> {
        let taken = self.total.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { census: Arc::clone(self), site: None };
        if taken >= most { Err(Full::Total) } else { Ok(seat) }
    }
}

/// The place of one open connection, given back when dropped.
pub(crate) struct Seat {
    census: Arc<Census>,
    site: Option<IpAddr>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.census.total.fetch_sub(1, Ordering::Relaxed);
        let Some(site) = self.site else { return };
        if let Entry::Occupied(mut entry) = self.census.addresses.entry(site) {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// What counts as one address.
fn site(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn census(total: usize, per_address: usize) -> Arc<Census> {
        Census::new(ConnectionLimits { total, per_address, ..ConnectionLimits::default() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn limits_the_total_and_takes_seats_back() {
        let census = census(2, 9);
        let first = census.admit(ip("10.0.0.1")).ok().unwrap();
        let _second = census.admit(ip("10.0.0.2")).ok().unwrap();
        assert_eq!(census.admit(ip("10.0.0.3")).err(), Some(Full::Total));
        assert_eq!(census.seat().err(), Some(Full::Total));
        drop(first);
        assert!(census.admit(ip("10.0.0.3")).is_ok());
        assert_eq!(census.taken(), 1);
        assert_eq!(census.addresses.len(), 1);
    }

    #[test]
    fn limits_each_address_and_forgets_it() {
        let census = census(9, 1);
        let seat = census.admit(ip("10.0.0.1")).ok().unwrap();
        assert_eq!(census.admit(ip("::ffff:10.0.0.1")).err(), Some(Full::Address));
        assert!(census.admit(ip("10.0.0.2")).is_ok());
        drop(seat);
        assert!(census.addresses.is_empty());
        assert!(census.admit(ip("10.0.0.1")).is_ok());
        assert_eq!(census.taken(), 0);
    }

    #[test]
    fn counts_ipv6_by_site() {
        let census = census(9, 1);
        let _seat = census.admit(ip("2001:db8::1")).ok().unwrap();
        assert_eq!(census.admit(ip("2001:db8::2")).err(), Some(Full::Address));
        assert!(census.admit(ip("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn exempts_whom_it_is_told_to() {
        let exempt: Arc<dyn Fn(IpAddr) -> bool + Send + Sync> = Arc::new(|peer| peer.is_loopback());
        let limits =
            ConnectionLimits { total: 3, per_address: 0, exempt: Some(exempt), ..Default::default() };
        let census = Census::new(limits);
        let _seats: Vec<_> = (0..3).map(|_| census.admit(ip("127.0.0.1")).ok().unwrap()).collect();
        assert_eq!(census.admit(ip("127.0.0.1")).err(), Some(Full::Total));
        drop(_seats);
        assert_eq!(census.admit(ip("10.0.0.1")).err(), Some(Full::Address));
        assert!(census.addresses.is_empty());
    }

    #[test]
    fn keeps_some_for_whom_it_is_told_to() {
        let exempt: Arc<dyn Fn(IpAddr) -> bool + Send + Sync> = Arc::new(|peer| peer.is_loopback());
        let limits = ConnectionLimits { total: 4, reserved: 2, per_address: 9, exempt: Some(exempt) };
        let census = Census::new(limits);
        let _strangers: Vec<_> = (0..2).map(|_| census.admit(ip("10.0.0.1")).ok().unwrap()).collect();
        assert_eq!(census.admit(ip("10.0.0.2")).err(), Some(Full::Total));
        let _peer = census.admit(ip("127.0.0.1")).ok().unwrap();
        let _own = census.seat().ok().unwrap();
        assert_eq!(census.admit(ip("127.0.0.1")).err(), Some(Full::Total));
        assert!(census.is_full());
    }
}
