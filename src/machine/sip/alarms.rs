//! The timers of all transactions of an endpoint: a heap with one entry per transaction, and for
//! each transaction the two timers it can have at once ([`Clock`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::timers::{Timer, Timers};
use crate::time::Instant;

/// When to look at which transaction again. Entries are left in the heap when a transaction ends
/// or is put off, and dropped when they come to the top or outnumber the living.
#[derive(Debug)]
pub(super) struct Alarms<Id> {
    heap: BinaryHeap<Reverse<(Instant, Id)>>,
}

impl<Id: Ord + Copy> Alarms<Id> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    pub(super) fn push(&mut self, at: Instant, id: Id) {
        self.heap.push(Reverse((at, id)));
    }

    /// The earliest entry.
    pub(super) fn next(&self) -> Option<(Instant, Id)> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    pub(super) fn pop(&mut self) {
        self.heap.pop();
    }

    /// Drops entries `is_current` denies: those on top, and all of them where most must be old.
    pub(super) fn prune(&mut self, living: usize, is_current: impl Fn(Instant, Id) -> bool) {
        if self.heap.len() > 2 * living + 1024 {
            self.heap.retain(|Reverse((at, id))| is_current(*at, *id));
        }
        while let Some((at, id)) = self.next() {
            if is_current(at, id) {
                break;
            }
            self.pop();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// The timers of one transaction: one that paces (A, E, G, the 100), one that ends the state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    pacing: Option<(Timer, Instant, Duration)>,
    ending: Option<(Timer, Instant)>,
    alarm: Option<Instant>,
    ran: Duration,
}

impl Clock {
    /// Starts `timer`; says `true` where it has fired at once, having no length.
    pub(super) fn start(&mut self, now: Instant, timer: Timer, timers: &Timers, reliable: bool) -> bool {
        if timer.is_for_datagrams() && reliable {
            return false;
        }
        let length = timers.duration(timer, reliable);
        if length.is_zero() {
            self.ending = None;
            return true;
        }
        if timer.is_pacing() {
            self.pacing = Some((timer, now + length, length));
        } else {
            self.ending = Some((timer, now + length));
        }
        false
    }

    /// Starts the pacing `timer` again, for longer than it ran when it fired.
    pub(super) fn again(&mut self, now: Instant, timer: Timer, timers: &Timers) {
        let length = timers.again(timer, self.ran);
        self.pacing = Some((timer, now + length, length));
    }

    /// Starts the pacing `timer` again, for T2.
    pub(super) fn slowly(&mut self, now: Instant, timer: Timer, timers: &Timers) {
        self.pacing = Some((timer, now + timers.t2, timers.t2));
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        if self.pacing.is_some_and(|(running, ..)| running == timer) {
            self.pacing = None;
        }
        if self.ending.is_some_and(|(running, _)| running == timer) {
            self.ending = None;
        }
    }

    /// Takes out a timer that has fired by `now`; the one that ends the state first, so that nothing
    /// is sent by a transaction that is over.
    pub(super) fn fired(&mut self, now: Instant) -> Option<Timer> {
        if let Some((timer, at)) = self.ending
            && at <= now
        {
            self.ending = None;
            return Some(timer);
        }
        if let Some((timer, at, length)) = self.pacing
            && at <= now
        {
            self.pacing = None;
            self.ran = length;
            return Some(timer);
        }
        None
    }

    /// Stops everything.
    pub(super) fn clear(&mut self) {
        self.pacing = None;
        self.ending = None;
    }

    fn due(&self) -> Option<Instant> {
        let pacing = self.pacing.map(|(_, at, _)| at);
        let ending = self.ending.map(|(_, at)| at);
        match (pacing, ending) {
            (Some(pacing), Some(ending)) => Some(pacing.min(ending)),
            (one, other) => one.or(other),
        }
    }

    /// The instant to enter in the heap, where no earlier entry is there already.
    pub(super) fn arm(&mut self) -> Option<Instant> {
        let due = self.due()?;
        if self.alarm.is_some_and(|alarm| alarm <= due) {
            return None;
        }
        self.alarm = Some(due);
        Some(due)
    }

    /// Whether `at` is this transaction's entry in the heap.
    pub(super) fn is_armed(&self, at: Instant) -> bool {
        self.alarm == Some(at)
    }

    /// Forgets the entry, which was taken from the heap.
    pub(super) fn disarm(&mut self) {
        self.alarm = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn the_timer_that_ends_a_state_fires_before_the_one_that_paces() {
        let timers = Timers::default();
        let mut clock = Clock::default();
        assert!(!clock.start(at(0), Timer::E, &timers, false));
        assert!(!clock.start(at(0), Timer::F, &timers, false));
        assert_eq!(clock.arm(), Some(at(0) + timers.t1));
        assert_eq!(clock.arm(), None);
        assert_eq!(clock.fired(at(0)), None);
        assert_eq!(clock.fired(at(40)), Some(Timer::F));
        assert_eq!(clock.fired(at(40)), Some(Timer::E));
        assert_eq!(clock.fired(at(40)), None);
        clock.again(at(40), Timer::E, &timers);
        clock.disarm();
        assert_eq!(clock.arm(), Some(at(41)));
    }

    #[test]
    fn reliable_transports_start_no_retransmission_and_end_at_once() {
        let timers = Timers::default();
        let mut clock = Clock::default();
        assert!(!clock.start(at(0), Timer::E, &timers, true));
        assert!(clock.start(at(0), Timer::K, &timers, true));
        assert_eq!(clock.arm(), None);
    }

    #[test]
    fn old_entries_do_not_pile_up() {
        let mut alarms = Alarms::new();
        for n in 0..10_000_u32 {
            alarms.push(at(u64::from(n) + 10), n);
            alarms.prune(1, |_, id| id == n);
        }
        assert!(alarms.len() <= 1027, "{}", alarms.len());
        assert_eq!(alarms.next().unwrap().1, 9_999);
    }
}
