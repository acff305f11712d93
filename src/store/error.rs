//! Why a store does not do what it was asked.

/// Why a store does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The mailbox holds as many items as it may.
    #[error("the mailbox is full: it may hold {limit} items")]
    QuotaItems {
        /// The limit in force.
        limit: u64,
    },
    /// The mailbox holds as many bytes as it may, or would with this message.
    #[error("the mailbox is full: it may hold {limit} bytes")]
    QuotaBytes {
        /// The limit in force.
        limit: u64,
    },
    /// The mailbox holds as many items of this sender as it may.
    #[error("the mailbox has no more room for this sender: it may hold {limit} items of his")]
    SenderItems {
        /// The limit in force.
        limit: u64,
    },
    /// The mailbox holds as many bytes of this sender as it may, or would with this message.
    #[error("the mailbox has no more room for this sender: it may hold {limit} bytes of his")]
    SenderBytes {
        /// The limit in force.
        limit: u64,
    },
    /// Too much is waiting already; the same may succeed a moment later.
    #[error("the store is busy")]
    Busy,
    /// The content that was to be read is no longer kept.
    #[error("the item is gone")]
    Gone,
    /// The session was never opened, or is closed.
    #[error("no such session")]
    UnknownSession,
    /// A key, or a session, is larger than a store takes.
    #[error("{what} is too large to be stored")]
    TooLarge {
        /// What it is that is too large.
        what: &'static str,
    },
    /// A record is there but cannot be read.
    #[error("{what} is damaged")]
    Damaged {
        /// Which record.
        what: String,
    },
    /// Another process uses the same store.
    #[error("{directory} is in use by another process")]
    Locked {
        /// Where the store is.
        directory: String,
    },
    /// The store cannot work: closed, or its disk or server fails.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}
