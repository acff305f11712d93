//! What a message store promises: the trait [`Store`], the records it keeps, [`memory`], an
//! in-memory store that is the reference for every other one, and [`faulty`], which gives any store
//! the faults that its users have to stand.
//!
//! A store keeps *items* (one pager message, RFC 3428, or one whole session, RFC 4975) in
//! *mailboxes*, one for each [`Owner`]. It knows nothing of SIP or MSRP syntax: headers are bytes
//! that come back as they went in. It reads no clock: whoever calls says what time it is.
//!
//! Every method returns at once with a `'static` future, so that an actor can hold it beside
//! itself. The operation is under way when the method returns; a future that is dropped does not
//! take its operation back. Operations of one caller take effect in the order of the calls, except
//! that a [`Body::Inline`] which is too large to be kept inline is set aside first (see
//! [`Store::append`]).

pub mod faulty;
pub mod memory;

mod change;
mod counts;
mod deposit;
mod error;
mod item;
mod message_id;
mod owner;
mod query;
mod quota;
mod session;
mod staging;
mod subscription;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::time::Timestamp;

pub use change::{Change, ChangeSink};
pub use counts::{Counts, Overview, Tally};
pub use deposit::{Body, DepositKey, Deposited, PagerDeposit};
pub use error::StoreError;
pub use item::{Content, ContentId, Envelope, Item, ItemHead, ItemKind, ItemState, RecordId, StoredMessage};
pub use message_id::MessageId;
pub use owner::Owner;
pub use query::{After, Expired, ListQuery};
pub use quota::{Held, Quota};
pub use session::{NewMessage, SessionDeposit, SessionId, beside_content};
pub use staging::{Staged, Staging};
pub use subscription::{SubscriptionCursor, SubscriptionRecord};

/// What every operation of a store returns: a future that owns all it needs.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'static>>;

/// The most bytes one [`Store::read`] returns, whatever was asked.
pub const MAX_READ: usize = 1 << 20;

/// The largest content that a store keeps in its records, in bytes; a larger one has a place of its own, to which it is written
/// before the record that names it.
pub const MAX_INLINE: usize = 32 << 10;

/// The most items or subscriptions one call lists, whatever was asked.
pub const MAX_LIST: usize = 10_000;

/// The most messages one session holds; appending another is refused with
/// [`StoreError::TooLarge`].
pub const MAX_SESSION_MESSAGES: u32 = 100_000;

/// The most bytes that the messages of one session have beside their contents, as [`beside_content`] counts them: whoever opens
/// it has all of them in memory. Appending more is refused with [`StoreError::TooLarge`].
pub const MAX_BESIDE: u64 = 2 << 20;

/// The longest owner, Call-ID, tag or other key a store takes, in bytes.
pub const MAX_KEY: usize = 8192;

/// A store of deferred messages.
///
/// *Durable* means: survives the end of the process and of the machine's power at any later
/// moment.
pub trait Store: Send + Sync + 'static {
    /// Keeps one pager message; durable when it resolves.
    ///
    /// The same [`DepositKey`] of the same sender again is answered with the first outcome and
    /// [`Deposited::repeated`], whether the item still exists or not, as long as it is remembered.
    ///
    /// # Errors
    /// [`StoreError::QuotaItems`] or [`StoreError::QuotaBytes`] when the mailbox is full,
    /// [`StoreError::SenderItems`] or [`StoreError::SenderBytes`] when the sender has had his share
    /// of it, [`StoreError::Busy`] when the store has too much waiting already.
    fn deposit(&self, deposit: PagerDeposit) -> Answer<Deposited>;

    /// Whether an item more of this sender fits into the mailbox.
    ///
    /// # Errors
    /// [`StoreError::QuotaItems`], [`StoreError::QuotaBytes`], [`StoreError::SenderItems`] or
    /// [`StoreError::SenderBytes`] when it does not.
    fn room(&self, owner: Owner, sender: Owner, quota: Quota) -> Answer<()>;

    /// Begins a session, of which nothing is kept until its first message.
    ///
    /// # Errors
    /// As [`Store::room`].
    fn open_session(&self, session: SessionDeposit) -> Answer<SessionId>;

    /// Adds a complete message to a session; durable when it resolves. Of its headers [those that are
    /// presented](NewMessage::keep_presented) are kept; with them it counts against the quota.
    ///
    /// A large [`Body::Inline`] is set aside before the message takes its place in the order: with
    /// such bodies wait for the answer before the next call, or use [`Store::stage`].
    ///
    /// # Errors
    /// [`StoreError::UnknownSession`], those of a full mailbox as in [`Store::deposit`],
    /// [`StoreError::TooLarge`] when the session holds [`MAX_SESSION_MESSAGES`] already, or more than [`MAX_BESIDE`] beside
    /// its contents.
    fn append(&self, session: SessionId, message: NewMessage) -> Answer<()>;

    /// Ends a session: it becomes an item of the mailbox, or nothing when it has no message.
    ///
    /// Sessions which were open when the process ended become items when the store is opened
    /// again.
    ///
    /// # Errors
    /// [`StoreError::UnknownSession`] when it is closed already.
    fn close_session(&self, session: SessionId) -> Answer<Option<Deposited>>;

    /// Begins the writing of a content whose bytes come little by little.
    fn stage(&self) -> Box<dyn Staging>;

    /// The items of a mailbox in order of arrival.
    ///
    /// Items that cannot be read are reported in the log and left out.
    fn list(&self, owner: Owner, query: ListQuery) -> Answer<Vec<ItemHead>>;

    /// Of each id, when the item of it ends, if one is there, in the order of `ids`.
    ///
    /// One that is there but cannot be read counts, and never ends: whoever opens it is told.
    fn held(&self, owner: Owner, ids: Vec<MessageId>) -> Answer<Vec<Option<Timestamp>>>;

    /// One item with its messages; `None` when there is none of this id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is there but cannot be read.
    fn open(&self, owner: Owner, id: MessageId) -> Answer<Option<Item>>;

    /// Opens several items of one owner, each as [`Store::open`] does; the answers are in the order of `ids`,
    /// and come one by one.
    ///
    /// A store that has to go to its disk goes there once for all.
    fn open_all(&self, owner: Owner, ids: Vec<MessageId>) -> Vec<Answer<Option<Item>>> {
        ids.into_iter().map(|id| self.open(owner.clone(), id)).collect()
    }

    /// Up to `len` (and [`MAX_READ`]) bytes of a content from `offset`; fewer at its end, none
    /// behind it.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when the item was removed meanwhile.
    fn read(&self, content: Content, offset: u64, len: usize) -> Answer<Bytes>;

    /// Notes that the owner has received the item: it becomes old, or is removed.
    ///
    /// A removal is durable when it resolves. That the item is old outlives the process then, but for a
    /// moment not yet the machine's power: after that it is new once more, which costs a delivery, not a
    /// message.
    ///
    /// Resolves to the counts of the mailbox after that; `None` when there is no such item.
    fn retrieved(&self, owner: Owner, id: MessageId, after: After) -> Answer<Option<Counts>>;

    /// Notes of several items of one owner that he has received them, each as [`Store::retrieved`] does; the
    /// outcomes are as many as `ids`, and in their order. Whatever is asked of the store after this was called comes after all of it.
    ///
    /// # Errors
    /// Those of [`Store::retrieved`], for each; what concerns all of them is told once.
    fn retrieved_all(
        &self,
        owner: Owner,
        ids: Vec<MessageId>,
        after: After,
    ) -> Answer<Vec<Result<Option<Counts>, StoreError>>> {
        // All are asked for before any is waited for.
        let marks: Vec<_> = ids.into_iter().map(|id| self.retrieved(owner.clone(), id, after)).collect();
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(marks.len());
            for mark in marks {
                outcomes.push(mark.await);
            }
            Ok(outcomes)
        })
    }

    /// Removes an item, whose deposit stays remembered.
    ///
    /// Resolves to the counts of the mailbox after that; `None` when there is no such item.
    fn delete(&self, owner: Owner, id: MessageId) -> Answer<Option<Counts>>;

    /// How much a mailbox holds, and the items that `query` names, both of one moment.
    fn summary(&self, owner: Owner, query: Option<ListQuery>) -> Answer<Overview>;

    /// How much a mailbox holds.
    fn counts(&self, owner: Owner) -> Answer<Counts> {
        let summary = self.summary(owner, None);
        Box::pin(async move { Ok(summary.await?.counts) })
    }

    /// Removes what has ended by `now`: items, remembered deposits, subscriptions; at most `limit`
    /// of them, so that deposits do not wait long. What the contents of items that are gone have taken of the disk it gives
    /// back little by little.
    ///
    /// Until then an item is listed and opened: who asks for it looks whether it [has ended](ItemHead::has_ended).
    fn expire(&self, now: Timestamp, limit: usize) -> Answer<Expired>;

    /// Keeps a subscription's record under (`owner`, `key`), in place of an earlier one; durable
    /// when it resolves.
    fn put_subscription(&self, subscription: SubscriptionRecord) -> Answer<()>;

    /// Forgets a subscription; no error when there is none.
    fn remove_subscription(&self, owner: Owner, key: Bytes) -> Answer<()>;

    /// All subscriptions, `limit` at a time, those behind `after` in an order of the store's own, in which
    /// those of one owner stand together. A cursor with an empty key stands before all of its owner.
    fn subscriptions(
        &self,
        after: Option<SubscriptionCursor>,
        limit: usize,
    ) -> Answer<Vec<SubscriptionRecord>>;

    /// Leases `key` to `holder` until `until`; `false` when another holds it. The holder renews by
    /// claiming again.
    fn claim(&self, key: Bytes, holder: Bytes, now: Timestamp, until: Timestamp) -> Answer<bool>;

    /// Gives up a lease; no effect when `holder` does not hold it.
    fn release(&self, key: Bytes, holder: Bytes) -> Answer<()>;

    /// Calls `sink` after each change that is durable (or, where an item became old, written), once for
    /// each mailbox changed, and before the operation that changed it resolves.
    ///
    /// The sink runs on the store's own thread: it only passes on what it is told.
    fn on_change(&self, sink: ChangeSink);

    /// Whether it takes what it is asked: not after [`Store::close`], and not once it has failed so
    /// that it must be opened again.
    fn working(&self) -> bool;

    /// Why it does not take what it is asked, while it does not.
    fn ailment(&self) -> Option<StoreError> {
        (!self.working()).then(|| StoreError::Unavailable("it takes nothing".into()))
    }

    /// Finishes what was asked before, and refuses what is asked later with
    /// [`StoreError::Unavailable`].
    fn close(&self) -> Answer<()>;
}
