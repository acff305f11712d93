//! Requests that wait until a connection has room for them: [`Pacing`]. A proxy has its subscribers behind one
//! connection; when they are all to be told something at once, more comes together than the proxy reads.
//!
//! What waits is not the request but whoever is to send it, so that a request that waits takes no memory, and says what is
//! true when it goes. Nothing is said here of answers and of what ends a dialog: they do not wait.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::time::Instant;

/// How many may be composing at once, of those who wait for one connection. When the first of them are sent the
/// connection may be full again, and the rest have composed in vain.
const MOST_LEAVES: usize = 16;

/// What is to be told to somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<W> {
    /// There is room on this connection: he may send, and gives his leave back when he has, or has nothing to
    /// send any more ([`Pacing::handle_returned`]).
    Go(u64, W),
    /// The connection has taken nothing in all the time that a transaction has.
    TimedOut(u64, W),
}

/// Who waits for which connection, in the order in which they came.
///
/// * Commands: [`wait`](Self::wait), where a connection has no room or somebody [waits](Self::is_waited_for) already.
/// * Inputs: [`handle_room`](Self::handle_room), [`handle_returned`](Self::handle_returned),
///   [`handle_timeout`](Self::handle_timeout).
/// * After each, drain [`poll_turn`](Self::poll_turn), and arm an alarm for [`poll_timeout`](Self::poll_timeout).
///
/// Connections are told apart by the number their owner gave them. Bounded by its user, who has each `W` wait once.
#[derive(Debug)]
pub struct Pacing<W> {
    patience: Duration,
    lines: FxHashMap<u64, Line<W>>,
    turns: VecDeque<Turn<W>>,
    /// Before this nobody's patience ends.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Line<W> {
    waiting: VecDeque<W>,
    /// How many may go and have not come back.
    leaves: usize,
    /// When the connection was last seen to have room, or the line began.
    since: Instant,
}

impl<W> Line<W> {
    /// Lets the next ones go.
    fn advance(&mut self, link: u64, turns: &mut VecDeque<Turn<W>>) {
        while self.leaves < MOST_LEAVES
            && let Some(who) = self.waiting.pop_front()
        {
            self.leaves += 1;
            turns.push_back(Turn::Go(link, who));
        }
    }
}

impl<W> Pacing<W> {
    /// Nobody waits; where a connection has no room for as long as `patience`, those who wait are let down.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { patience, lines: FxHashMap::default(), turns: VecDeque::new(), next: None }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }

    /// Whether somebody waits for this connection: who comes now stands behind him, also where there is room.
    #[must_use]
    pub fn is_waited_for(&self, link: u64) -> bool {
        self.lines.get(&link).is_some_and(|line| !line.waiting.is_empty())
    }

    /// Has `who` wait for a connection: behind all others, or before them where he had leave and there was no
    /// room any more.
    pub fn wait(&mut self, now: Instant, link: u64, who: W, had_leave: bool) {
        let begun = || Line { waiting: VecDeque::new(), leaves: 0, since: now };
        let line = self.lines.entry(link).or_insert_with(begun);
        if line.waiting.is_empty() {
            line.since = now;
        }
        if had_leave {
            line.waiting.push_front(who);
        } else {
            line.waiting.push_back(who);
        }
        let ends = line.since + self.patience;
        self.next = Some(self.next.map_or(ends, |next| next.min(ends)));
    }

    /// The connection has room again, or is gone: who goes then finds another way, or none.
    pub fn handle_room(&mut self, now: Instant, link: u64) {
        if let Some(line) = self.lines.get_mut(&link) {
            line.since = now;
            line.advance(link, &mut self.turns);
        }
    }

    /// Somebody has made use of his leave, or has not; `room`: whether the connection has room now.
    pub fn handle_returned(&mut self, now: Instant, link: u64, room: bool) {
        let Some(line) = self.lines.get_mut(&link) else { return };
        line.leaves = line.leaves.saturating_sub(1);
        if room {
            self.handle_room(now, link);
        }
        self.lines.retain(|known, line| *known != link || line.leaves > 0 || !line.waiting.is_empty());
    }

    /// Lets down who has waited in vain. A connection that has room when asked is not to blame.
    pub fn handle_timeout(&mut self, now: Instant, has_room: impl Fn(u64) -> bool) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        for (link, line) in self.lines.iter_mut().filter(|(_, line)| line.since + self.patience <= now) {
            if has_room(*link) {
                line.since = now;
                line.advance(*link, &mut self.turns);
            } else {
                self.turns.extend(line.waiting.drain(..).map(|who| Turn::TimedOut(*link, who)));
            }
        }
        self.lines.retain(|_, line| line.leaves > 0 || !line.waiting.is_empty());
        let waited_for = self.lines.values().filter(|line| !line.waiting.is_empty());
        self.next = waited_for.map(|line| line.since + self.patience).min();
    }

    /// Whose turn it is.
    pub fn poll_turn(&mut self) -> Option<Turn<W>> {
        self.turns.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); sometimes early, never late.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::at;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(32);

    fn turns(pacing: &mut Pacing<u32>) -> Vec<Turn<u32>> {
        std::iter::from_fn(|| pacing.poll_turn()).collect()
    }

    fn gone(pacing: &mut Pacing<u32>) -> Vec<u32> {
        let who = |turn| match turn {
            Turn::Go(_, who) => Some(who),
            Turn::TimedOut(..) => None,
        };
        turns(pacing).into_iter().filter_map(who).collect()
    }

    fn queue(pacing: &mut Pacing<u32>, now: Instant, who: std::ops::Range<u32>) {
        who.for_each(|who| pacing.wait(now, 1, who, false));
    }

    #[test]
    fn all_that_wait_go_in_their_order_and_few_at_a_time() {
        let mut pacing = Pacing::new(PATIENCE);
        queue(&mut pacing, at(0), 0..1000);
        assert!(turns(&mut pacing).is_empty() && pacing.is_waited_for(1) && !pacing.is_waited_for(2));
        pacing.handle_room(at(10), 1);
        let mut all = gone(&mut pacing);
        assert_eq!(all.len(), MOST_LEAVES);
        pacing.handle_room(at(11), 1);
        assert!(turns(&mut pacing).is_empty(), "no more at once, however often it drains");
        let mut returned = 0;
        while returned < all.len() {
            returned += 1;
            pacing.handle_returned(at(12), 1, true);
            all.extend(gone(&mut pacing));
            assert!(all.len() - returned <= MOST_LEAVES);
        }
        assert!(all.iter().copied().eq(0..1000));
        assert!(pacing.lines.is_empty(), "nothing is left of it");
    }

    #[test]
    fn who_finds_it_full_again_is_the_first_when_it_drains() {
        let mut pacing = Pacing::new(PATIENCE);
        queue(&mut pacing, at(0), 0..20);
        pacing.handle_room(at(1), 1);
        assert_eq!(gone(&mut pacing).len(), MOST_LEAVES);
        pacing.wait(at(2), 1, 0, true);
        pacing.handle_returned(at(2), 1, false);
        assert!(turns(&mut pacing).is_empty());
        pacing.handle_room(at(3), 1);
        assert_eq!(gone(&mut pacing), [0]);
    }

    #[test]
    fn lines_do_not_hold_each_other_up() {
        let mut pacing = Pacing::new(PATIENCE);
        pacing.wait(at(0), 1, 10, false);
        pacing.wait(at(0), 2, 20, false);
        pacing.handle_room(at(1), 2);
        assert_eq!(turns(&mut pacing), [Turn::Go(2, 20)]);
        assert_eq!(pacing.waiting(), 1);
    }

    // proves RFC 6665 4.2.2: a NOTIFY that cannot be delivered in the time of a transaction has timed out
    #[test]
    fn who_waits_for_a_connection_that_takes_nothing_is_let_down_in_time() {
        let mut pacing = Pacing::new(PATIENCE);
        queue(&mut pacing, at(0), 0..2);
        pacing.wait(at(5_000), 1, 2, false);
        assert_eq!(pacing.poll_timeout(), Some(at(32_000)));
        pacing.handle_timeout(at(31_999), |_| false);
        assert!(turns(&mut pacing).is_empty());
        pacing.handle_timeout(at(32_000), |_| false);
        assert_eq!(turns(&mut pacing), [0, 1, 2].map(|who| Turn::TimedOut(1, who)));
        assert_eq!(pacing.poll_timeout(), None);
        assert!(pacing.lines.is_empty());
    }

    #[test]
    fn a_connection_that_drains_now_and_then_is_waited_for() {
        let mut pacing = Pacing::new(PATIENCE);
        queue(&mut pacing, at(0), 0..40);
        pacing.handle_room(at(30_000), 1);
        assert_eq!(gone(&mut pacing).len(), MOST_LEAVES);
        (0..MOST_LEAVES).for_each(|_| pacing.handle_returned(at(30_001), 1, false));
        pacing.handle_timeout(at(32_000), |_| false);
        assert!(turns(&mut pacing).is_empty());
        assert_eq!(pacing.poll_timeout(), Some(at(62_000)));
        pacing.handle_timeout(at(62_000), |_| false);
        assert_eq!(turns(&mut pacing).len(), 40 - MOST_LEAVES);
    }

    #[test]
    fn where_there_is_room_nobody_is_let_down() {
        let mut pacing = Pacing::new(PATIENCE);
        queue(&mut pacing, at(0), 0..20);
        pacing.handle_room(at(0), 1);
        gone(&mut pacing);
        // Those who may go are held up by their store.
        pacing.handle_timeout(at(32_000), |_| true);
        assert!(turns(&mut pacing).is_empty());
        assert_eq!(pacing.waiting(), 4);
    }
}
