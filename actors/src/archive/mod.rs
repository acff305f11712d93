//! The embedded store: [`Store`] on fjall, in a directory of its own.
//!
//! * `lock`: held while the store is open; a second process is refused.
//! * `engine/`: the records. One thread writes whatever is queued as one batch with one sync (group
//!   commit); a few threads read.
//! * `content/`: contents over 32 KiB, a file each.
//!
//! Nothing here blocks the thread that calls: what waits for the disk runs on threads of the store.

mod claims;
mod codec;
mod content;
mod expiry;
mod keys;
mod mailbox;
mod pool;
mod reader;
mod record;
mod session;
mod staging;
mod transaction;
mod tree;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use restante::store::{
    After, Answer, Body, ChangeSink, Content, Counts, Deposited, Expired, Item, ItemHead, ListQuery,
    MessageId, NewMessage, Owner, PagerDeposit, SessionDeposit, SessionId, Staging, Store, StoreError,
    SubscriptionCursor, SubscriptionRecord,
};
use restante::time::Timestamp;

use self::claims::Claims;
use self::content::Contents;
use self::pool::{Pool, lock};
use self::reader::Reader;
use self::transaction::Desk;
use self::tree::Tree;
use self::writer::{Sinks, Writer, WriterHandle, closed};

/// Contents up to this size lie in the item's or the message's own record.
const INLINE_IN_ITEM: usize = 4 << 10;

/// Contents up to this size lie in a record, larger ones in a file.
const INLINE_BODY: usize = 32 << 10;

/// Threads that read, and threads that write contents.
const READERS: usize = 2;
const CONTENT_WRITERS: usize = 2;

/// How many reads, or writes of contents, may wait.
const QUEUE: usize = 8192;

/// The embedded store. Dropped, it finishes what is queued and gives its directory free.
pub struct Archive {
    // Dropped in this order: no thread uses what comes after it.
    _writer: Writer,
    orders: WriterHandle,
    readers: Pool,
    _content_writers: Pool,
    reader: Arc<Reader>,
    contents: Arc<Contents>,
    claims: Claims,
    sinks: Sinks,
    next_session: AtomicU64,
    _lock: File,
}

impl Archive {
    /// Opens the store in `directory`, making it if there is none. Sessions that an earlier process
    /// left become items, and contents that it left without a record are removed.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open, [`StoreError::Unavailable`] saying
    /// what is wrong with it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let broken = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", directory.display()));
        fs::create_dir_all(directory).map_err(broken)?;
        let lock = acquire(directory)?;
        let tree =
            Arc::new(Tree::open(&directory.join("engine")).map_err(|error| cannot_open(directory, &error))?);
        let readers = Pool::start("archive-reader", READERS, QUEUE).map_err(broken)?;
        let content_writers = Pool::start("archive-content", CONTENT_WRITERS, QUEUE).map_err(broken)?;
        let contents = Arc::new(Contents::open(directory.join("content"), &tree, content_writers.handle())?);
        let mut desk = Desk::default();
        let recovered = session::recover_drafts(&tree, &mut desk)?;
        if recovered > 0 {
            tracing::info!(sessions = recovered, "sessions left by an earlier process kept as items");
        }
        let sinks = Sinks::default();
        let reader = Arc::new(Reader::new(tree.clone(), contents.clone()));
        let writer = Writer::start(tree, desk, contents.clone(), sinks.clone()).map_err(broken)?;
        Ok(Self {
            orders: writer.handle(),
            _writer: writer,
            readers,
            _content_writers: content_writers,
            reader,
            contents,
            claims: Claims::default(),
            sinks,
            next_session: AtomicU64::new(1),
            _lock: lock,
        })
    }

    /// Whether operations are still taken; `false` after [`Store::close`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.orders.closed()
    }

    fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        if self.orders.closed() {
            return Box::pin(std::future::ready(Err(closed())));
        }
        let reader = self.reader.clone();
        Contents::answer(&self.readers.handle(), move || work(&reader))
    }
}

/// Locks the directory against other processes, until the file is closed.
fn acquire(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let broken = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(broken)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Locked { directory: directory.display().to_string() })
        }
        Err(TryLockError::Error(error)) => Err(broken(error)),
    }
}

fn cannot_open(directory: &Path, error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Locked => StoreError::Locked { directory: directory.display().to_string() },
        error => StoreError::Unavailable(format!("{}: {error}", directory.display())),
    }
}

/// Whether a body must be set aside before the writer takes it.
const fn is_large(body: &Body) -> bool {
    matches!(body, Body::Inline(bytes) if bytes.len() > INLINE_BODY)
}

impl Store for Archive {
    fn deposit(&self, mut deposit: PagerDeposit) -> Answer<Deposited> {
        if !is_large(&deposit.body) {
            return self.orders.submit(|transaction| transaction.deposit(deposit));
        }
        let orders = self.orders.clone();
        let body = std::mem::replace(&mut deposit.body, Body::Inline(Bytes::new()));
        let aside = self.contents.set_aside(body);
        Box::pin(async move {
            deposit.body = aside.await?;
            orders.submit(|transaction| transaction.deposit(deposit)).await
        })
    }

    fn open_session(&self, session: SessionDeposit) -> Answer<SessionId> {
        let id = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        self.orders.submit(move |transaction| transaction.open_session(id, session))
    }

    fn append(&self, session: SessionId, mut message: NewMessage) -> Answer<()> {
        if !is_large(&message.body) {
            return self.orders.submit(move |transaction| transaction.append(session, message));
        }
        let orders = self.orders.clone();
        let body = std::mem::replace(&mut message.body, Body::Inline(Bytes::new()));
        let aside = self.contents.set_aside(body);
        Box::pin(async move {
            message.body = aside.await?;
            orders.submit(move |transaction| transaction.append(session, message)).await
        })
    }

    fn close_session(&self, session: SessionId) -> Answer<Option<Deposited>> {
        self.orders.submit(move |transaction| transaction.close_session(session))
    }

    fn stage(&self) -> Box<dyn Staging> {
        Box::new(self.contents.stage())
    }

    fn list(&self, owner: Owner, query: ListQuery) -> Answer<Vec<ItemHead>> {
        self.reading(move |reader| reader.list(&owner, query))
    }

    fn head(&self, owner: Owner, id: MessageId) -> Answer<Option<ItemHead>> {
        self.reading(move |reader| reader.head(&owner, &id))
    }

    fn open(&self, owner: Owner, id: MessageId) -> Answer<Option<Item>> {
        self.reading(move |reader| reader.open(&owner, &id))
    }

    fn read(&self, content: Content, offset: u64, len: usize) -> Answer<Bytes> {
        if matches!(content, Content::Inline(_)) {
            return Box::pin(std::future::ready(self.reader.read(&content, offset, len)));
        }
        self.reading(move |reader| reader.read(&content, offset, len))
    }

    fn retrieved(&self, owner: Owner, id: MessageId, after: After) -> Answer<Option<Counts>> {
        self.orders.submit(move |transaction| transaction.retrieved(&owner, &id, after))
    }

    fn delete(&self, owner: Owner, id: MessageId) -> Answer<Option<Counts>> {
        self.orders.submit(move |transaction| transaction.delete(&owner, &id))
    }

    fn counts(&self, owner: Owner) -> Answer<Counts> {
        let orders = self.orders.clone();
        let read = self.reading({
            let owner = owner.clone();
            move |reader| reader.counts(&owner)
        });
        Box::pin(async move {
            match read.await? {
                Some(counts) => Ok(counts),
                None => orders.submit(move |transaction| Ok(transaction.correct(&owner)?.counts)).await,
            }
        })
    }

    fn expire(&self, now: Timestamp, limit: usize) -> Answer<Expired> {
        self.claims.expire(now);
        self.orders.submit(move |transaction| transaction.expire(now, limit))
    }

    fn put_subscription(&self, subscription: SubscriptionRecord) -> Answer<()> {
        self.orders.submit(move |transaction| transaction.put_subscription(&subscription))
    }

    fn remove_subscription(&self, owner: Owner, key: Bytes) -> Answer<()> {
        self.orders.submit(move |transaction| transaction.remove_subscription(&owner, &key))
    }

    fn subscriptions(
        &self,
        after: Option<SubscriptionCursor>,
        limit: usize,
    ) -> Answer<Vec<SubscriptionRecord>> {
        self.reading(move |reader| reader.subscriptions(after.as_ref(), limit))
    }

    fn claim(&self, key: Bytes, holder: Bytes, now: Timestamp, until: Timestamp) -> Answer<bool> {
        let granted =
            if self.is_open() { Ok(self.claims.claim(key, holder, now, until)) } else { Err(closed()) };
        Box::pin(std::future::ready(granted))
    }

    fn release(&self, key: Bytes, holder: Bytes) -> Answer<()> {
        self.claims.release(&key, &holder);
        Box::pin(std::future::ready(Ok(())))
    }

    fn on_change(&self, sink: ChangeSink) {
        lock(&self.sinks).push(sink);
    }

    fn close(&self) -> Answer<()> {
        self.orders.close()
    }
}
