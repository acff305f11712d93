//! The change feed: which mailbox changed, and what it holds now.

use std::sync::Arc;

use super::{Counts, Owner};

/// Says that a mailbox changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose mailbox.
    pub owner: Owner,
    /// What it holds after the change.
    pub counts: Counts,
}

/// Where changes are told; see [`super::Store::on_change`].
pub type ChangeSink = Arc<dyn Fn(Change) + Send + Sync>;
