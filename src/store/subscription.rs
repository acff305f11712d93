//! Subscriptions, kept so that they outlive the process (RFC 6665 calls for no particular form:
//! the record is the caller's).

use bytes::Bytes;

use super::Owner;
use crate::time::Timestamp;

/// A subscription as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRecord {
    /// Whose mailbox it is about.
    pub owner: Owner,
    /// What tells it from the owner's others.
    pub key: Bytes,
    /// All the caller needs to go on with it.
    pub record: Bytes,
    /// When it ends, unless put again with a later time.
    pub expires: Timestamp,
}

/// Where a listing of subscriptions goes on: behind this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionCursor {
    /// The last one's owner.
    pub owner: Owner,
    /// The last one's key.
    pub key: Bytes,
}

impl SubscriptionRecord {
    /// The cursor that goes on behind this one.
    #[must_use]
    pub fn cursor(&self) -> SubscriptionCursor {
        SubscriptionCursor { owner: self.owner.clone(), key: self.key.clone() }
    }
}
