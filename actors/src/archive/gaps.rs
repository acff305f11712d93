//! Stretches of mailboxes that hold nothing of what is sought. The engine walks over every item that has gone until it
//! has compacted it, and whoever seeks new items over all old ones: what one has walked over in vain is spared the next.
//!
//! Neither ever comes back: no sequence is given twice, and what is old never becomes new. So a stretch that was empty
//! at one moment is empty for ever, and nothing has to be kept in step with it.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use rustc_hash::FxHashMap;

use super::keys::MailboxId;
use super::pool::lock;

/// How many sequences are walked over in vain before that is remembered: to begin anew behind them costs about as much.
pub(super) const WIDE: u64 = 32;

/// How many gaps are remembered, at 16 bytes each, and of how many mailboxes.
const GAPS: usize = 1 << 16;

/// How many gaps of one mailbox are remembered.
const OF_ONE: usize = 1 << 10;

/// What is sought in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sought {
    /// Items that are there.
    Items,
    /// Those of them that are new.
    New,
}

/// Sequences of which none is that of what is sought.
pub(super) type Gap = Range<u64>;

/// The gaps that were found.
#[derive(Debug, Default)]
pub(super) struct Gaps(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    of: FxHashMap<(MailboxId, Sought), Arc<[Gap]>>,
    /// How many that are.
    held: usize,
}

impl Gaps {
    /// The gaps of a mailbox, in order; none touches another.
    pub(super) fn of(&self, mailbox: MailboxId, sought: Sought) -> Arc<[Gap]> {
        lock(&self.0).of.get(&(mailbox, sought)).cloned().unwrap_or_default()
    }

    /// Remembers gaps beside those that are known.
    pub(super) fn note(&self, mailbox: MailboxId, sought: Sought, gaps: &[Gap]) {
        if gaps.is_empty() {
            return;
        }
        let mut found = lock(&self.0);
        let known = found.of.remove(&(mailbox, sought)).unwrap_or_default();
        let gaps = merged(known.iter().chain(gaps).cloned().collect());
        found.held = found.held + gaps.len() - known.len();
        if found.held > GAPS {
            // They are found again, each by one walk.
            *found = Found { held: gaps.len(), ..Found::default() };
        }
        found.of.insert((mailbox, sought), gaps.into());
    }

    /// Forgets the gaps of a mailbox: its sequences may be given again.
    pub(super) fn forget(&self, mailbox: MailboxId) {
        let mut found = lock(&self.0);
        for sought in [Sought::Items, Sought::New] {
            found.held -= found.of.remove(&(mailbox, sought)).map_or(0, |gaps| gaps.len());
        }
    }
}

/// Gaps in order, those that touch made one. Of too many the widest stay.
fn merged(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_unstable_by_key(|gap| gap.start);
    gaps.dedup_by(|next, gap| {
        let touches = next.start <= gap.end;
        if touches {
            gap.end = gap.end.max(next.end);
        }
        touches
    });
    if gaps.len() > OF_ONE {
        gaps.sort_unstable_by_key(|gap| std::cmp::Reverse(gap.end - gap.start));
        gaps.truncate(OF_ONE / 2);
        gaps.sort_unstable_by_key(|gap| gap.start);
    }
    gaps
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)]
    use super::*;

    const BOBS: MailboxId = MailboxId(1);

    #[test]
    fn gaps_that_touch_are_one() {
        let gaps = Gaps::default();
        gaps.note(BOBS, Sought::New, &[50..90, 1..40]);
        assert_eq!(*gaps.of(BOBS, Sought::New), [1..40, 50..90]);
        gaps.note(BOBS, Sought::New, &[40..45, 60..70, 88..120]);
        assert_eq!(*gaps.of(BOBS, Sought::New), [1..45, 50..120]);
        gaps.note(BOBS, Sought::New, &[45..50]);
        assert_eq!(*gaps.of(BOBS, Sought::New), [1..120]);
        assert!(gaps.of(BOBS, Sought::Items).is_empty() && gaps.of(MailboxId(2), Sought::New).is_empty());
        gaps.forget(BOBS);
        assert!(gaps.of(BOBS, Sought::New).is_empty());
        assert_eq!(lock(&gaps.0).held, 0);
    }

    #[test]
    fn of_too_many_gaps_the_widest_are_remembered() {
        let gaps = Gaps::default();
        let many: Vec<_> = (0..=OF_ONE as u64).map(|at| at * 3000..at * 3000 + 40 + at).collect();
        gaps.note(BOBS, Sought::New, &many);
        assert_eq!(*gaps.of(BOBS, Sought::New), many[many.len() - OF_ONE / 2..]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let gaps = Gaps::default();
        let some: Vec<_> = (0..OF_ONE as u64).map(|at| at * 100..at * 100 + 40).collect();
        for mailbox in 0..2 * GAPS as u64 / OF_ONE as u64 {
            gaps.note(MailboxId(mailbox), Sought::Items, &some);
            let found = lock(&gaps.0);
            assert!(found.held <= GAPS);
            assert_eq!(found.of.values().map(|gaps| gaps.len()).sum::<usize>(), found.held);
        }
    }
}
