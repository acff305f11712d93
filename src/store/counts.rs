//! How much a mailbox holds, as RFC 3842 counts it.

use super::{Envelope, ItemHead, ItemState};
use crate::time::Timestamp;

/// Counts of one message class (RFC 3842 5.2): `new/old (urgent new/urgent old)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    /// Items not yet retrieved, urgent ones included.
    pub new: u64,
    /// Items retrieved, urgent ones included.
    pub old: u64,
    /// Urgent items not yet retrieved.
    pub urgent_new: u64,
    /// Urgent items retrieved.
    pub urgent_old: u64,
}

impl Tally {
    fn add(&mut self, state: ItemState, urgent: bool) {
        let (all, urgents) = self.of(state);
        *all = all.saturating_add(1);
        *urgents = urgents.saturating_add(u64::from(urgent));
    }

    fn remove(&mut self, state: ItemState, urgent: bool) {
        let (all, urgents) = self.of(state);
        *all = all.saturating_sub(1);
        *urgents = urgents.saturating_sub(u64::from(urgent));
    }

    fn of(&mut self, state: ItemState) -> (&mut u64, &mut u64) {
        match state {
            ItemState::New => (&mut self.new, &mut self.urgent_new),
            ItemState::Old => (&mut self.old, &mut self.urgent_old),
        }
    }
}

/// How much a mailbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Items whose content is text.
    pub text: Tally,
    /// All other items.
    pub multimedia: Tally,
    /// Items that count against the quota: all, and the sessions under way that hold a message.
    pub items: u64,
    /// Bytes of content that count against the quota, those of sessions under way included.
    pub bytes: u64,
}

/// A mailbox at one moment, as a summary tells it: whoever is told the counts is told of the items that they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// How much it holds.
    pub counts: Counts,
    /// The items that were asked for, in order.
    pub items: Vec<ItemHead>,
}

impl Overview {
    /// Leaves out, and does not count, items that have ended by `now` and were not removed yet.
    pub fn pass_over_ended(&mut self, now: Timestamp) {
        let counts = &mut self.counts;
        self.items.retain(|item| {
            let ended = item.has_ended(now);
            if ended {
                counts.leave(&item.envelope, item.state);
            }
            !ended
        });
    }
}

impl Counts {
    /// Items not yet retrieved, of both classes.
    #[must_use]
    pub const fn new_items(&self) -> u64 {
        self.text.new.saturating_add(self.multimedia.new)
    }

    /// Items in this state, or in either, of both classes.
    #[must_use]
    pub const fn items_in(&self, state: Option<ItemState>) -> u64 {
        let old = self.text.old.saturating_add(self.multimedia.old);
        match state {
            Some(ItemState::New) => self.new_items(),
            Some(ItemState::Old) => old,
            None => self.new_items().saturating_add(old),
        }
    }

    /// Counts an item that has come into the mailbox, but not its share of the quota.
    pub fn enter(&mut self, envelope: &Envelope, state: ItemState) {
        self.class(envelope).add(state, envelope.urgent);
    }

    /// Takes back [`Counts::enter`].
    pub fn leave(&mut self, envelope: &Envelope, state: ItemState) {
        self.class(envelope).remove(state, envelope.urgent);
    }

    /// Counts `items` and `bytes` against the quota.
    pub const fn charge(&mut self, items: u64, bytes: u64) {
        self.items = self.items.saturating_add(items);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Takes back [`Counts::charge`].
    pub const fn discharge(&mut self, items: u64, bytes: u64) {
        self.items = self.items.saturating_sub(items);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn class(&mut self, envelope: &Envelope) -> &mut Tally {
        if envelope.text { &mut self.text } else { &mut self.multimedia }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_has_ended_is_not_told_of() {
        let item = |sequence, ends| ItemHead {
            message_id: crate::store::MessageId::EMPTY,
            kind: crate::store::ItemKind::Pager,
            state: ItemState::New,
            sequence,
            arrived: Timestamp(0),
            ends: Timestamp(ends),
            envelope: Envelope { text: true, ..Envelope::default() },
            messages: 1,
            bytes: 1,
        };
        let text = Tally { new: 3, ..Tally::default() };
        let counts = Counts { text, ..Counts::default() };
        let mut overview = Overview { counts, items: vec![item(1, 5), item(2, 6)] };
        overview.pass_over_ended(Timestamp(5));
        assert_eq!(overview.items.iter().map(|item| item.sequence).collect::<Vec<_>>(), [2]);
        assert_eq!(overview.counts.text.new, 2, "another one was not asked for");
    }

    #[test]
    fn what_enters_and_leaves_counts_as_nothing() {
        let urgent = Envelope { text: true, urgent: true, ..Envelope::default() };
        let film = Envelope::default();
        let mut counts = Counts::default();
        counts.enter(&urgent, ItemState::New);
        counts.enter(&film, ItemState::Old);
        assert_eq!(counts.text, Tally { new: 1, urgent_new: 1, ..Tally::default() });
        assert_eq!(counts.multimedia, Tally { old: 1, ..Tally::default() });
        assert_eq!(counts.new_items(), 1);
        counts.leave(&urgent, ItemState::New);
        counts.leave(&film, ItemState::Old);
        counts.leave(&film, ItemState::Old);
        assert_eq!(counts, Counts::default());
    }
}
