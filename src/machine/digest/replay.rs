//! [`Replays`]: which nonce counts were used (RFC 7616 3.4, 5.5). Bounded: a nonce that falls out is stale,
//! and so is every older one that is not known, so that nothing is ever taken twice.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::nonce::NonceId;
use crate::time::Instant;

/// The nonces in use, and their counts.
#[derive(Debug)]
pub struct Replays {
    most: usize,
    lifetime: Duration,
    windows: FxHashMap<NonceId, Window>,
    /// In the order of their first use.
    order: VecDeque<NonceId>,
    /// Nonces made until then are not taken up any more.
    floor: Option<Instant>,
}

/// The counts of one nonce: the highest, and which of the 128 up to it were used. Those may come in any
/// order: requests overtake each other.
#[derive(Clone, Copy, Debug)]
struct Window {
    highest: u32,
    used: u128,
}

/// Why a nonce count is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It was used.
    Replayed,
    /// It lies so far below the highest that nobody knows.
    Behind,
    /// The nonce is not known any more.
    Forgotten,
}

impl Replays {
    /// A table of at most `most` nonces, each of which lives for `lifetime`.
    #[must_use]
    pub fn new(most: usize, lifetime: Duration) -> Self {
        Self {
            most: most.max(1),
            lifetime,
            windows: FxHashMap::default(),
            order: VecDeque::new(),
            floor: None,
        }
    }

    /// Takes the count `nc` of a nonce that is genuine and has not expired, once.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn take(&mut self, id: NonceId, nc: u32, now: Instant) -> Result<(), NotTaken> {
        if let Some(window) = self.windows.get_mut(&id) {
            return window.take(nc);
        }
        if self.floor.is_some_and(|floor| id.made() <= floor) {
            return Err(NotTaken::Forgotten);
        }
        self.make_room(now);
        self.windows.insert(id, Window { highest: nc, used: 1 });
        self.order.push_back(id);
        Ok(())
    }

    fn make_room(&mut self, now: Instant) {
        while let Some(&first) = self.order.front() {
            let expired = now.saturating_since(first.made()) > self.lifetime;
            if !expired && self.order.len() < self.most {
                break;
            }
            self.order.pop_front();
            self.windows.remove(&first);
            if !expired {
                self.floor = self.floor.max(Some(first.made()));
            }
        }
    }

    /// How many nonces are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}

impl Window {
    fn take(&mut self, nc: u32) -> Result<(), NotTaken> {
        if let Some(ahead) = nc.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.used = self.used.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = nc;
            return Ok(());
        }
        let bit = 1_u128.checked_shl(self.highest - nc).ok_or(NotTaken::Behind)?;
        if self.used & bit != 0 {
            return Err(NotTaken::Replayed);
        }
        self.used |= bit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::algorithm::Algorithm;
    use super::super::nonce::NonceKey;
    use super::*;
    use crate::entropy::Sequence;
    use std::net::{IpAddr, Ipv4Addr};

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn ids(made: impl IntoIterator<Item = u64>) -> Vec<NonceId> {
        let mut entropy = Sequence::new(3);
        let key = NonceKey::draw(&mut entropy);
        let mut mint = |millis| {
            let nonce = key.mint(Algorithm::Sha256, PEER, at(millis), &mut entropy);
            key.open(nonce.as_bytes(), Algorithm::Sha256, PEER).unwrap()
        };
        made.into_iter().map(&mut mint).collect()
    }

    // proves RFC 7616 3.4: the same nc twice is a replay
    #[test]
    fn each_count_is_taken_once_in_whatever_order_it_comes() {
        let nonce = ids([0])[0];
        let mut replays = Replays::new(10, Duration::from_secs(60));
        let mut take = |nc| replays.take(nonce, nc, at(1));
        for nc in [3, 1, 2] {
            assert_eq!((take(nc), take(nc)), (Ok(()), Err(NotTaken::Replayed)), "{nc}");
        }
        for nc in [134, 7, 135] {
            assert_eq!(take(nc), Ok(()), "{nc}");
        }
        for nc in [134, 135] {
            assert_eq!(take(nc), Err(NotTaken::Replayed), "{nc}");
        }
        assert_eq!(take(8), Ok(()), "127 behind the highest");
        assert_eq!(take(6), Err(NotTaken::Behind), "129 behind: nobody knows");
        assert_eq!(take(u32::MAX), Ok(()));
        assert_eq!(take(u32::MAX), Err(NotTaken::Replayed));
        assert_eq!(take(72), Err(NotTaken::Behind));
    }

    #[test]
    fn what_falls_out_is_forgotten_and_never_taken_again() {
        let nonces = ids(0..100);
        let mut replays = Replays::new(10, Duration::from_secs(60));
        for nonce in &nonces {
            replays.take(*nonce, 1, at(100)).unwrap();
            assert!(replays.len() <= 10);
        }
        let (fallen, held) = nonces.split_at(90);
        for nonce in fallen {
            assert_eq!(replays.take(*nonce, 2, at(100)), Err(NotTaken::Forgotten));
        }
        for nonce in held {
            assert_eq!(replays.take(*nonce, 1, at(100)), Err(NotTaken::Replayed));
            assert_eq!(replays.take(*nonce, 2, at(100)), Ok(()));
        }
    }

    #[test]
    fn expired_ones_make_room_without_harm_to_others() {
        let nonces = ids([0, 5, 70_000, 70_001]);
        let mut replays = Replays::new(2, Duration::from_secs(60));
        let mut take = |at_index: usize, millis| replays.take(nonces[at_index], 1, at(millis));
        assert_eq!((take(0, 10), take(1, 10)), (Ok(()), Ok(())));
        assert_eq!((take(2, 70_002), take(3, 70_002)), (Ok(()), Ok(())));
        assert_eq!(replays.floor, None, "none fell out before its time");
    }
}
