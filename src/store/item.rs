//! Items: what a mailbox holds, and how they look to those who list, open and read them.

use bytes::Bytes;

use super::{MessageId, Owner};
use crate::time::Timestamp;

/// What was deposited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// One pager message.
    Pager,
    /// One whole session, whose messages belong together.
    Session,
}

/// Whether the owner has received an item (RFC 3842 calls these classes new and old).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemState {
    /// Not yet received.
    New,
    /// Received at least once.
    Old,
}

/// What is kept of the request that brought an item. Header values are bytes as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// From.
    pub from: Bytes,
    /// To.
    pub to: Bytes,
    /// Subject, if there was one.
    pub subject: Option<Bytes>,
    /// Date as sent, else the arrival time as a SIP-date.
    pub date: Bytes,
    /// Priority, if there was one.
    pub priority: Option<Bytes>,
    /// The Content-* headers, names and values as sent.
    pub content: Vec<(Bytes, Bytes)>,
    /// When the message expires by its sender's wish.
    pub expires: Option<Timestamp>,
    /// Whether it counts as a text message. A session's is found from its messages.
    pub text: bool,
    /// Whether it counts as urgent.
    pub urgent: bool,
}

/// An item without its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemHead {
    /// The item's id, unique in its mailbox.
    pub message_id: MessageId,
    /// What was deposited.
    pub kind: ItemKind,
    /// Whether the owner has received it.
    pub state: ItemState,
    /// The place in the order of arrival: rising in the mailbox, never used twice.
    pub sequence: u64,
    /// When it arrived; a session: when it began.
    pub arrived: Timestamp,
    /// When it ends; `Timestamp(u64::MAX)` is never.
    pub ends: Timestamp,
    /// What is kept of the request.
    pub envelope: Envelope,
    /// How many messages it has: 1 for a pager message.
    pub messages: u32,
    /// How many bytes it counts of the quota: its content, and of a session what is kept with that
    /// ([`super::beside_content`]).
    pub bytes: u64,
}

impl ItemHead {
    /// Whether it has ended by `now`, though the store may not have removed it yet.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.ends <= now
    }
}

/// One message of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The MSRP Message-ID as sent; empty for a pager message.
    pub message_id: Bytes,
    /// The content type, if one was named.
    pub content_type: Option<Bytes>,
    /// Further headers to be kept with the content, names and values as sent.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The size of the content, in bytes.
    pub size: u64,
    /// When it was complete.
    pub received: Timestamp,
    /// The content, or where [`super::Store::read`] finds it.
    pub content: Content,
}

/// The content of a stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Inline(Bytes),
    /// Kept in a record of its own.
    Record(RecordId),
    /// Kept outside the records.
    File(ContentId),
}

/// Names a content that was too large to be kept in a record. Never used twice while the store is
/// open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub u64);

/// Names a message's record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// Whose mailbox it is in.
    pub owner: Owner,
    /// The number, in the mailbox, of the item's set of messages.
    pub bundle: u64,
    /// The message's place in the item, from 0.
    pub index: u32,
}

/// An item with its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// All about it but the messages.
    pub head: ItemHead,
    /// Its messages in order.
    pub messages: Vec<StoredMessage>,
}
