//! The deposit of a pager message (RFC 3428), and what makes two of them the same.

use std::time::Duration;

use bytes::Bytes;

use super::{Envelope, MAX_KEY, MessageId, Owner, Quota, Staged, StoreError};
use crate::time::Timestamp;

/// What tells a deposit from every other of its sender in the mailbox: the same three again, of the same
/// sender, are the same request again (RFC 3261 8.2.2.2), by whatever transport and however late. Who sends
/// chooses them, so that another sender's are no repetition, whether he has heard them or hit upon them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DepositKey {
    /// The Call-ID as sent.
    pub call_id: Bytes,
    /// The From tag; empty when there was none.
    pub from_tag: Bytes,
    /// The number of the CSeq.
    pub cseq: u32,
}

impl DepositKey {
    /// Refuses what no store could use as a key.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] naming the part that exceeds [`MAX_KEY`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.call_id.len() > MAX_KEY {
            return Err(StoreError::TooLarge { what: "Call-ID" });
        }
        if self.from_tag.len() > MAX_KEY {
            return Err(StoreError::TooLarge { what: "From tag" });
        }
        Ok(())
    }
}

/// The content of a message on its way into the store.
#[derive(Debug)]
pub enum Body {
    /// All of it, in memory.
    Inline(Bytes),
    /// Written before, through [`super::Store::stage`] of the same store.
    Staged(Staged),
}

impl Body {
    /// How many bytes it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Staged(staged) => staged.size(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Inline(bytes)
    }
}

/// A pager message to be kept.
#[derive(Debug)]
pub struct PagerDeposit {
    /// Whose mailbox it goes to.
    pub owner: Owner,
    /// Who deposits it, as he was identified: what he takes of the mailbox is counted.
    pub sender: Owner,
    /// What makes it the same as another of this sender.
    pub key: DepositKey,
    /// What is kept beside the content.
    pub envelope: Envelope,
    /// The content, byte for byte.
    pub body: Body,
    /// How much the mailbox may hold, this deposit included.
    pub quota: Quota,
    /// When it arrived.
    pub now: Timestamp,
    /// When the item ends: what its Expires says, or the longest the node keeps anything;
    /// `Timestamp(u64::MAX)` is never.
    pub ends: Timestamp,
    /// How long after `now` the same request is known again, even if the item is gone; as long as
    /// the item exists it always is.
    pub remember: Duration,
}

/// What became of a deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposited {
    /// The item's id in its mailbox.
    pub message_id: MessageId,
    /// Whether the same deposit came before, so that nothing was stored now.
    pub repeated: bool,
    /// What the mailbox holds now.
    pub counts: super::Counts,
    /// The item's place in the order of arrival.
    pub sequence: u64,
}
