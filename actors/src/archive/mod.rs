//! The embedded store: [`Store`] on fjall, in a directory of its own.
//!
//! * `lock`: held while the store is open; a second process is refused.
//! * `format`: which version of all this it is; others are refused.
//! * `engine/`: the records. One thread writes whatever is queued as one batch with one sync (group
//!   commit), but marks, whose sync may come later; a few threads read.
//! * `content/`: contents over 32 KiB, a file each.
//!
//! Nothing here blocks the thread that calls: what waits for the disk runs on threads of the store.

mod claims;
mod codec;
mod content;
mod desk;
mod directory;
mod ends;
mod expiry;
mod floor;
mod gaps;
mod handle;
mod hints;
mod journal;
mod keys;
mod lookup;
mod losses;
mod mailbox;
mod mend;
mod pool;
mod presence;
mod priority;
mod quota;
mod reader;
mod record;
mod remains;
mod retired;
mod salvage;
mod session;
mod staging;
mod standing;
mod subscription;
mod transaction;
mod tree;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use restante::store::{
    After, Answer, Body, ChangeSink, Content, Counts, Deposited, Expired, Item, ItemHead, ListQuery,
    MAX_INLINE, MessageId, NewMessage, Overview, Owner, PagerDeposit, Quota, SessionDeposit, SessionId,
    Staging, Store, StoreError, SubscriptionCursor, SubscriptionRecord,
};
use restante::time::Timestamp;
use tokio::sync::oneshot;

pub use self::salvage::{Salvaged, salvage};

use self::claims::Claims;
use self::content::Contents;
use self::desk::Desk;
use self::directory::{DirectoryLock, Found};
use self::handle::WriterHandle;
use self::pool::{Pool, lock};
use self::presence::Presence;
use self::reader::Reader;
use self::standing::closed;
use self::tree::{Durable, Tree};
use self::writer::{Sinks, Writer};

/// Contents up to this size lie in the item's or the message's own record.
const INLINE_IN_ITEM: usize = 4 << 10;

/// Threads that read, and threads that write contents.
const READERS: usize = 2;
const CONTENT_WRITERS: usize = 2;

/// How much waits, and how much is written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many operations, reads, or writes of contents may wait; one more is answered
    /// [`StoreError::Busy`].
    pub queue: usize,
    /// The most operations of one batch.
    pub batch: usize,
    /// A batch takes no further operation once its values have so many bytes.
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 8192, batch: 1024, batch_bytes: 8 << 20 }
    }
}

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
    presence: Presence,
    _lock: DirectoryLock,
}

impl Archive {
    /// Opens the store in `directory`, making it if there is none. Sessions that an earlier process
    /// left become items, and contents that it left without a record are removed.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open, [`StoreError::Unavailable`] saying
    /// what is wrong with it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_with(directory, Limits::default())
    }

    /// [`Archive::open`], with other limits than the usual ones.
    ///
    /// # Errors
    /// Those of [`Archive::open`].
    pub fn open_with(directory: &Path, limits: Limits) -> Result<Self, StoreError> {
        let broken = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", directory.display()));
        let lock = directory::acquire(directory)?;
        let found = directory::examine(directory)?;
        journal::check(&directory.join("engine"), directory)?;
        let tree =
            Arc::new(Tree::open(&directory.join("engine")).map_err(|error| cannot_open(directory, &error))?);
        if found == Found::New {
            directory::made(directory)?;
        }
        let readers = Pool::start("archive-reader", READERS, limits.queue).map_err(broken)?;
        let content_writers =
            Pool::start("archive-content", CONTENT_WRITERS, limits.queue).map_err(broken)?;
        let contents = Arc::new(Contents::open(directory.join("content"), &tree, content_writers.handle())?);
        let presence = Presence::of(directory, &lock).map_err(broken)?;
        let last = tree.moment().prefix(&keys::LEDGERS).next_back().transpose()?;
        let last = last.and_then(|(key, _)| keys::mailbox_of(&key));
        let mut desk = Desk::new(last.map_or(1, |last| last.0.saturating_add(1)));
        let recovered = session::recover_drafts(&tree, &mut desk)?;
        if recovered.items > 0 {
            tracing::info!(sessions = recovered.items, "sessions left by an earlier process kept as items");
        }
        if recovered.unread > 0 {
            tracing::error!(
                sessions = recovered.unread,
                "sessions left by an earlier process cannot be read"
            );
        }
        let sinks = Sinks::default();
        let reader = Arc::new(Reader::new(tree.clone(), contents.clone()));
        let writer = Writer::start(limits, tree, desk, contents.clone(), sinks.clone()).map_err(broken)?;
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
            presence,
            _lock: lock,
        })
    }

    fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        // What is on the disk can be read as long as the store is open, be the writer broken or not.
        if self.orders.standing().is_closed() {
            return Box::pin(std::future::ready(Err(closed())));
        }
        let reader = self.reader.clone();
        Contents::answer(&self.readers.handle(), move || work(&reader))
    }
}

fn cannot_open(directory: &Path, error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Locked => StoreError::Locked { directory: directory.display().to_string() },
        fjall::Error::Storage(error) => StoreError::Unavailable(format!(
            "{}: a table of its engine is damaged ({error}): see Operations, `When the disk, or the clock, fails`",
            directory.display()
        )),
        error => StoreError::Unavailable(format!("{}: {error}", directory.display())),
    }
}

/// Whether a body must be set aside before the writer takes it.
const fn is_large(body: &Body) -> bool {
    matches!(body, Body::Inline(bytes) if bytes.len() > MAX_INLINE)
}

/// A mark that is lost costs another delivery; what is removed must be gone before its content is.
const fn durable(after: After) -> Durable {
    match after {
        After::Keep => Durable::Soon,
        After::Delete => Durable::First,
    }
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

    fn room(&self, owner: Owner, sender: Owner, quota: Quota) -> Answer<()> {
        self.orders.submit(move |transaction| transaction.room(&owner, &sender, &quota))
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

    fn held(&self, owner: Owner, ids: Vec<MessageId>) -> Answer<Vec<Option<Timestamp>>> {
        self.reading(move |reader| reader.held(&owner, &ids))
    }

    fn open(&self, owner: Owner, id: MessageId) -> Answer<Option<Item>> {
        self.reading(move |reader| reader.open(&owner, &id))
    }

    fn open_all(&self, owner: Owner, ids: Vec<MessageId>) -> Vec<Answer<Option<Item>>> {
        let (answers, answered): (Vec<_>, Vec<_>) = ids.iter().map(|_| oneshot::channel()).unzip();
        let reader = self.reader.clone();
        let visit = move || {
            // Whoever asked may have gone.
            let tell = |answer: oneshot::Sender<_>| move |opened| drop(answer.send(opened));
            reader.open_all(&owner, ids.into_iter().zip(answers.into_iter().map(tell)));
        };
        let submitted = match self.orders.standing().is_closed() {
            true => Err(closed()),
            false => self.readers.handle().submit(visit),
        };
        answered.into_iter().map(|answered| pool::answer(submitted.clone(), answered)).collect()
    }

    fn read(&self, content: Content, offset: u64, len: usize) -> Answer<Bytes> {
        if matches!(content, Content::Inline(_)) {
            return Box::pin(std::future::ready(self.reader.read(&content, offset, len)));
        }
        self.reading(move |reader| reader.read(&content, offset, len))
    }

    fn retrieved(&self, owner: Owner, id: MessageId, after: After) -> Answer<Option<Counts>> {
        self.orders.submit_as(durable(after), move |transaction| transaction.retrieved(&owner, &id, after))
    }

    fn retrieved_all(
        &self,
        owner: Owner,
        ids: Vec<MessageId>,
        after: After,
    ) -> Answer<Vec<Result<Option<Counts>, StoreError>>> {
        self.orders.submit_as(durable(after), move |transaction| {
            Ok(ids.iter().map(|id| transaction.whole(|it| it.retrieved(&owner, id, after))).collect())
        })
    }

    fn delete(&self, owner: Owner, id: MessageId) -> Answer<Option<Counts>> {
        self.orders.submit(move |transaction| transaction.delete(&owner, &id))
    }

    fn summary(&self, owner: Owner, query: Option<ListQuery>) -> Answer<Overview> {
        let (orders, readers, reader) = (self.orders.clone(), self.readers.handle(), self.reader.clone());
        let read = self.reading({
            let owner = owner.clone();
            move |reader| reader.summary(&owner, query)
        });
        Box::pin(async move {
            if let Some(summary) = read.await? {
                return Ok(summary);
            }
            // What could not be read is set right by the writer; then the items can be read.
            let mended = owner.clone();
            let counts = orders.submit(move |transaction| transaction.mended_counts(&mended)).await?;
            let Some(query) = query else { return Ok(Overview { counts, items: Vec::new() }) };
            let items = Contents::answer(&readers, move || reader.list(&owner, query)).await?;
            Ok(Overview { counts, items })
        })
    }

    fn expire(&self, now: Timestamp, limit: usize) -> Answer<Expired> {
        self.claims.expire(now);
        self.orders.submit(move |transaction| transaction.expire(now, limit))
    }

    fn put_subscription(&self, subscription: SubscriptionRecord) -> Answer<()> {
        self.orders.submit(move |transaction| transaction.put_subscription(subscription))
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
        let granted = self.orders.standing().refusal().map(|()| self.claims.claim(key, holder, now, until));
        Box::pin(std::future::ready(granted))
    }

    fn release(&self, key: Bytes, holder: Bytes) -> Answer<()> {
        self.claims.release(&key, &holder);
        Box::pin(std::future::ready(Ok(())))
    }

    fn on_change(&self, sink: ChangeSink) {
        lock(&self.sinks).push(sink);
    }

    fn working(&self) -> bool {
        if self.orders.standing().refusal().is_ok()
            && let Some(missing) = self.presence.missing()
        {
            let missing = missing.display();
            let cause = format!("{missing} was removed, moved or replaced: what is written now is not kept");
            self.orders.standing().give_up(&cause);
        }
        self.orders.standing().refusal().is_ok()
    }

    fn ailment(&self) -> Option<StoreError> {
        self.orders.standing().refusal().err()
    }

    fn close(&self) -> Answer<()> {
        self.orders.close()
    }
}
