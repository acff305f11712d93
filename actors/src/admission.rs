//! Admission: whether new work is taken, by how long work takes at present.
//!
//! A node that is asked for more than it can do must say so early, and go on doing what it can. What is in
//! work is counted from its arrival to its answer. While answers take longer than the target, fewer are
//! let in at once, down to a floor; while they are quick, more, up to the limit configured. So what is let in
//! is served in about the target's time, whatever makes the node slow: its cores, its disk, or both.
//!
//! Deposits (MESSAGE) and everything else that begins outside of dialogs (INVITE, SUBSCRIBE) are counted apart:
//! a flood of deposits leaves room for who comes to fetch his messages. What belongs to a dialog, responses,
//! ACK and CANCEL are never refused here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use restante::time::Instant;
use restante::wire::sip::Method;

use crate::seldom::Seldom;

/// So much is let in however slow the node is: a store that commits in groups needs a group.
const FLOOR: usize = 64;
/// How often the limit is reconsidered.
const WINDOW: Duration = Duration::from_millis(100);

/// Lets work in, or not; clones are the same.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    target: Duration,
    deposits: Lane,
    visits: Lane,
}

/// How many of one kind are in work, and may be.
#[derive(Debug)]
struct Lane {
    name: &'static str,
    most: usize,
    in_work: AtomicUsize,
    limit: AtomicUsize,
    /// When the present window began, in microseconds since the clock's origin.
    begun: AtomicU64,
    /// How many were served in it, and how long they took together, in microseconds.
    served: AtomicU64,
    spent: AtomicU64,
    refused: Seldom,
}

/// Work that was let in, until it is served or given up.
#[derive(Debug)]
pub struct Admitted {
    admission: Admission,
    deposit: bool,
    since: Instant,
}

impl Admission {
    /// Lets in at most `most` of either kind, and fewer while they take longer than `target`.
    #[must_use]
    pub fn new(most: usize, target: Duration) -> Self {
        let lane = |name| Lane::new(name, most);
        Self(Arc::new(Inner { target, deposits: lane("deposits"), visits: lane("visits") }))
    }

    /// Lets a request in that has arrived at `since`, or not.
    #[must_use]
    pub fn admit(&self, now: Instant, since: Instant, method: &Method) -> Option<Admitted> {
        let deposit = *method == Method::Message;
        let lane = self.lane(deposit);
        // What has waited so long already would only make the others wait.
        let late = now - since > self.0.target;
        if late || !lane.enter() {
            lane.refuse(now - since);
            return None;
        }
        Some(Admitted { admission: self.clone(), deposit, since })
    }

    fn lane(&self, deposit: bool) -> &Lane {
        if deposit { &self.0.deposits } else { &self.0.visits }
    }

    /// How many are in work.
    #[must_use]
    pub fn in_work(&self) -> usize {
        [&self.0.deposits, &self.0.visits].map(|lane| lane.in_work.load(Ordering::Relaxed)).iter().sum()
    }
}

impl Admitted {
    /// Notes that the work was done: how long it took says how much more there may be.
    pub fn served(self, now: Instant) {
        let inner = &self.admission.0;
        self.admission.lane(self.deposit).note(now, now - self.since, inner.target);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.lane(self.deposit).in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lane {
    const fn new(name: &'static str, most: usize) -> Self {
        Self {
            name,
            most,
            in_work: AtomicUsize::new(0),
            limit: AtomicUsize::new(most),
            begun: AtomicU64::new(0),
            served: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            refused: Seldom::new(1),
        }
    }

    fn enter(&self) -> bool {
        let enters = self.in_work.fetch_add(1, Ordering::Relaxed) < self.limit.load(Ordering::Relaxed);
        if !enters {
            self.in_work.fetch_sub(1, Ordering::Relaxed);
        }
        enters
    }

    fn refuse(&self, waited: Duration) {
        metrics::counter!("restante_overload_refused_total", "work" => self.name).increment(1);
        if let Some(left_out) = self.refused.tell(std::time::Instant::now()) {
            tracing::warn!(
                work = self.name,
                in_work = self.in_work.load(Ordering::Relaxed),
                limit = self.limit.load(Ordering::Relaxed),
                waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
                left_out,
                "more is asked for than can be done: new requests are answered 503"
            );
        }
    }

    /// Notes how long something took, and reconsiders the limit once in a window.
    fn note(&self, now: Instant, took: Duration, target: Duration) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.spent.fetch_add(micros(took), Ordering::Relaxed);
        let (at, begun) = (micros(now.since_origin()), self.begun.load(Ordering::Relaxed));
        let over = at.saturating_sub(begun) >= micros(WINDOW);
        if !over || self.begun.compare_exchange(begun, at, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let (served, spent) = (self.served.swap(0, Ordering::Relaxed), self.spent.swap(0, Ordering::Relaxed));
        if let Some(mean) = spent.checked_div(served) {
            self.reconsider(Duration::from_micros(mean), target);
        }
    }

    fn reconsider(&self, mean: Duration, target: Duration) {
        let limit = self.limit.load(Ordering::Relaxed);
        let next = if mean > target {
            // By steps: one slow sync is not yet an overload.
            (limit - limit / 4).max(FLOOR.min(self.most))
        } else if mean * 2 < target {
            // Nothing is slow any more: after an overload there is room again at once.
            limit.saturating_mul(2).min(self.most)
        } else {
            limit.saturating_add(limit / 4).saturating_add(8).min(self.most)
        };
        self.limit.store(next, Ordering::Relaxed);
        metrics::gauge!("restante_admission_limit", "work" => self.name).set(next as f64);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TARGET: Duration = Duration::from_millis(100);

    fn at(milliseconds: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(1_000_000 + milliseconds))
    }

    fn limit(admission: &Admission) -> usize {
        admission.0.deposits.limit.load(Ordering::Relaxed)
    }

    /// Serves `count` deposits, which take so long each, for so many windows.
    fn serve(admission: &Admission, begun: u64, windows: u64, took: u64) {
        for window in 0..windows {
            let end = at(begun + window * 101);
            let since = Instant::from_origin(end.since_origin() - Duration::from_millis(took));
            for _ in 0..10 {
                admission.admit(since, since, &Method::Message).unwrap().served(end);
            }
        }
    }

    #[test]
    fn beyond_the_limit_nothing_is_let_in_until_something_is_served() {
        let admission = Admission::new(2, TARGET);
        let first = admission.admit(at(0), at(0), &Method::Message).unwrap();
        let _second = admission.admit(at(0), at(0), &Method::Message).unwrap();
        assert!(admission.admit(at(0), at(0), &Method::Message).is_none());
        let visit = admission.admit(at(0), at(0), &Method::Invite);
        assert!(visit.is_some(), "who comes to fetch is counted apart");
        assert_eq!(admission.in_work(), 3);
        first.served(at(1));
        assert_eq!(admission.in_work(), 2);
        assert!(admission.admit(at(1), at(1), &Method::Message).is_some());
    }

    #[test]
    fn slow_answers_lower_the_limit_to_the_floor_and_quick_ones_raise_it_within_a_second() {
        let admission = Admission::new(4096, TARGET);
        serve(&admission, 0, 3, 150);
        assert!((1000..2500).contains(&limit(&admission)), "{}", limit(&admission));
        serve(&admission, 1_000, 30, 150);
        assert_eq!(limit(&admission), FLOOR);
        serve(&admission, 10_000, 3, 80);
        assert!((FLOOR..3 * FLOOR).contains(&limit(&admission)), "{}", limit(&admission));
        serve(&admission, 20_000, 7, 5);
        assert_eq!(limit(&admission), 4096);
    }

    #[test]
    fn what_has_waited_too_long_is_not_let_in() {
        let admission = Admission::new(10, TARGET);
        assert!(admission.admit(at(100), at(0), &Method::Message).is_some());
        assert!(admission.admit(at(101), at(0), &Method::Message).is_none());
    }

    #[test]
    fn work_that_is_given_up_says_nothing_of_how_long_work_takes() {
        let admission = Admission::new(4096, TARGET);
        for n in 0..100 {
            drop(admission.admit(at(n * 50), at(n * 50), &Method::Message));
        }
        assert_eq!((admission.in_work(), limit(&admission)), (0, 4096));
    }
}
