//! Which faults strike, and how often: a [`Plan`], and the [`Dice`] that follow it.

use crate::entropy::{Entropy, Sequence};

/// Which faults a [`super::Faulty`] store has, each in so many of a thousand calls.
///
/// The first three exclude each other; an answer that is not refused may also be late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Refused with [`crate::store::StoreError::Busy`]; nothing was done.
    pub busy: u32,
    /// Refused with [`crate::store::StoreError::Unavailable`]; nothing was done.
    pub unavailable: u32,
    /// Done, and answered with [`crate::store::StoreError::Unavailable`]: as when the disk has the
    /// batch and the acknowledgement is lost. Who asked may not count on either.
    pub lost: u32,
    /// Done, and answered late.
    pub late: u32,
    /// How many calls of [`super::Faulty::tick`] a late answer takes: from 1 to this many.
    pub late_ticks: u32,
    /// From the call of this number on, counted from 0, every call is refused with
    /// [`crate::store::StoreError::Unavailable`]: the disk has failed for good.
    pub breaks_at: Option<u64>,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Busy,
    Unavailable,
    Lost,
    /// Done; the answer takes so many ticks, 0 = it comes at once.
    Done(u32),
}

/// Decides the fate of each call; the same seed and the same plan, the same fates.
#[derive(Debug)]
pub(super) struct Dice(Sequence);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(Sequence::new(seed))
    }

    /// The fate of the call of this number. Draws the same amount whatever the plan says, so that a
    /// plan changed midway leaves the later draws alone.
    pub(super) fn throw(&mut self, plan: &Plan, number: u64) -> Fate {
        let (first, second) = (self.0.next_u64(), self.0.next_u64());
        if plan.breaks_at.is_some_and(|at| number >= at) {
            return Fate::Unavailable;
        }
        let of_thousand = (first % 1000) as u32;
        if of_thousand < plan.busy {
            return Fate::Busy;
        }
        if of_thousand < plan.busy.saturating_add(plan.unavailable) {
            return Fate::Unavailable;
        }
        if of_thousand < plan.busy.saturating_add(plan.unavailable).saturating_add(plan.lost) {
            return Fate::Lost;
        }
        let late = ((first >> 32) % 1000) < u64::from(plan.late);
        Fate::Done(if late { 1 + (second % u64::from(plan.late_ticks.max(1))) as u32 } else { 0 })
    }
}
