//! A walk through the items of a mailbox, past the gaps that are known, noting those that are found.

use std::ops::ControlFlow;

use restante::store::ItemState;

use super::gaps::{Gap, Gaps, Sought, WIDE};
use super::keys::{self, Key, MailboxId};
use super::tree::{Moment, Source};

/// Through whose items it goes, and what for.
pub(super) struct Walk<'a> {
    pub(super) moment: &'a Moment<'a>,
    pub(super) mailbox: MailboxId,
    pub(super) sought: Sought,
    /// The last sequence that was given at that moment, if that is known.
    pub(super) last: Option<u64>,
}

/// What a visit to a record came to.
pub(super) enum Visit {
    /// It is one of those that are sought.
    Found,
    /// It is another.
    Passed,
}

impl Walk<'_> {
    /// What a visit to an item in this state came to.
    pub(super) fn visited(&self, state: ItemState) -> Visit {
        match (self.sought, state) {
            (Sought::New, ItemState::Old) => Visit::Passed,
            (Sought::New, ItemState::New) | (Sought::Items, _) => Visit::Found,
        }
    }

    /// Visits the records from the sequence `first` on until one breaks it off, and gives the sequence behind which they
    /// cannot be read, if so. A visit that breaks off has found what is sought.
    pub(super) fn from(
        &self,
        first: u64,
        visit: impl FnMut(u64, &Key, &[u8]) -> ControlFlow<(), Visit>,
    ) -> Option<u64> {
        let gaps = self.gaps().of(self.mailbox, self.sought);
        let mut track = Track { from: first, at: first, passed: 0, found: Vec::new() };
        let unread = self.along(&gaps, &mut track, visit);
        self.gaps().note(self.mailbox, self.sought, &track.found);
        unread
    }

    fn along(
        &self,
        gaps: &[Gap],
        track: &mut Track,
        mut visit: impl FnMut(u64, &Key, &[u8]) -> ControlFlow<(), Visit>,
    ) -> Option<u64> {
        // No item has the greatest number.
        let end = self.last.map_or(u64::MAX, |last| last.saturating_add(1));
        let behind = gaps.partition_point(|gap| gap.end <= track.at);
        let mut gaps = gaps.iter().skip(behind);
        loop {
            let gap = gaps.next();
            let until = gap.map_or(end, |gap| gap.start.min(end));
            if track.at < until {
                let mut last = track.at;
                let span = keys::item(self.mailbox, last)..keys::item(self.mailbox, until);
                for record in self.moment.range(span.start, span.end) {
                    let Ok((key, value)) = record else { return Some(last) };
                    last = keys::last_number(&key).unwrap_or_default();
                    match visit(last, &key, &value) {
                        ControlFlow::Continue(Visit::Passed) => {}
                        ControlFlow::Continue(Visit::Found) => self.find(track, last),
                        ControlFlow::Break(()) => {
                            self.find(track, last);
                            return None;
                        }
                    }
                }
                if until < u64::MAX {
                    self.pass(track, until);
                }
            }
            match gap {
                Some(gap) if gap.end < end => track.at = track.at.max(gap.end),
                _ => break,
            }
        }
        track.end();
        None
    }

    /// What is sought is there.
    fn find(&self, track: &mut Track, sequence: u64) {
        self.pass(track, sequence);
        track.end();
        track.at = sequence.saturating_add(1);
        track.from = track.at;
    }

    /// All before `sequence` has been walked over.
    fn pass(&self, track: &mut Track, sequence: u64) {
        let passed = sequence.saturating_sub(track.at);
        track.passed += passed;
        track.at = sequence;
        #[cfg(test)]
        self.moment.tree().passed.fetch_add(passed, std::sync::atomic::Ordering::Relaxed);
    }

    fn gaps(&self) -> &Gaps {
        self.moment.tree().gaps()
    }
}

/// How far a walk has come.
struct Track {
    /// From here on nothing was found.
    from: u64,
    at: u64,
    /// How much of that was walked over, and not left out.
    passed: u64,
    found: Vec<Gap>,
}

impl Track {
    /// Ends a stretch in which nothing was found.
    fn end(&mut self) {
        if std::mem::take(&mut self.passed) >= WIDE {
            self.found.push(self.from..self.at);
        }
    }
}
