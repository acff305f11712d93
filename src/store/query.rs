//! What is asked of a mailbox, and what an expiry step did.

use super::{ItemState, Owner};

/// Which items are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Only those in this state.
    pub state: Option<ItemState>,
    /// Only those that arrived after the item of this sequence.
    pub after: Option<u64>,
    /// At most so many, and at most [`super::MAX_LIST`].
    pub limit: usize,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { state: None, after: None, limit: super::MAX_LIST }
    }
}

/// What becomes of an item that its owner has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It becomes old.
    Keep,
    /// It is removed.
    Delete,
}

/// What one step of [`super::Store::expire`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Whose mailboxes lost an item, each once.
    pub owners: Vec<Owner>,
    /// How many items, remembered deposits and subscriptions were removed.
    pub removed: usize,
    /// How many of them were items.
    pub items: usize,
    /// Whether more has ended by then, or is left of what is gone: another step is due.
    pub more: bool,
}
