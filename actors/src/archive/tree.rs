//! The engine under the records: fjall, with settings for many small durable batches.
//!
//! Contents and what leads to them lie apart, so that small records are not written again and again
//! together with large ones; one journal makes a batch of both durable, and is all that is synced.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fjall::compaction::Leveled;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Slice, Snapshot,
};
use restante::store::StoreError;
use rustc_hash::FxHashSet;

use super::gaps::Gaps;
use super::hints::Hints;
use super::keys::{self, Key};
use super::pool::lock;
use super::priority::giving_way;

/// How large a memtable grows before it is written out. A journal is kept until what is in it has
/// been written out, so these and the journal's own 64 MB bound the time to open after a crash. The
/// smaller one is written out more often than 64 MB of journal fill, so that it holds no journal up.
///
/// Whoever syncs the journal meanwhile waits until the disk has the table, and the last table of a compaction is
/// synced while nothing can be read or written: so neither is large, and twice as many as usual are
/// compacted together, for fewer compactions. A store keeps the sizes that it was made with: the engine writes them down.
const CONTENT_MEMTABLE: u64 = 8 << 20;
const INDEX_MEMTABLE: u64 = 4 << 20;
const TABLE: u64 = 8 << 20;
const COMPACTED_TOGETHER: u8 = 8;

/// The most the journals hold, if a memtable is not written out by itself.
const JOURNALS: u64 = 160 << 20;

/// Threads of the engine. Its first one compacts nothing, but queues each order to compact again: while every other one
/// is at one already, it spins. Each memtable that is written out gives as many orders as there are threads, mostly for
/// one keyspace, where a second thread finds nothing to do and takes the rest; beside one thread alone, the spinning was
/// a third of what the engine took of the processor.
const WORKERS: usize = 3;

/// Blocks kept in memory for reading.
const CACHE: u64 = 64 << 20;

/// How long a failure of the engine is not told again, and of how many it is known that they were told.
const SAY_AGAIN: Duration = Duration::from_secs(3600);
const CAUSES: usize = 1000;

/// How many damaged records are remembered as reported.
const REPORTS: usize = 10_000;

/// One record to be written; no value removes it.
pub(super) type Write = (Key, Option<Slice>);

/// When what is written is synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    /// Before the writing has ended.
    First,
    /// By a later write, or by [`Tree::sync`]. Until then it outlives the process, but not the machine's
    /// power.
    Soon,
}

/// Something that records are read from.
pub(super) trait Source {
    /// The record under `key`.
    fn fetch(&self, key: &[u8]) -> Result<Option<Slice>, StoreError>;

    /// Where damage is reported.
    fn tree(&self) -> &Tree;
}

/// The records, as bytes under keys.
pub(super) struct Tree {
    database: Database,
    index: Keyspace,
    contents: Keyspace,
    hints: Hints,
    gaps: Gaps,
    reported: Mutex<FxHashSet<Vec<u8>>>,
    /// How many sequences were walked over in search of items, be there one or not.
    #[cfg(test)]
    pub(super) passed: std::sync::atomic::AtomicU64,
    #[cfg(test)]
    pub(super) fails: std::sync::atomic::AtomicBool,
    #[cfg(test)]
    pub(super) unsyncable: std::sync::atomic::AtomicBool,
    #[cfg(test)]
    pub(super) unreadable: std::sync::atomic::AtomicBool,
    /// Records of this kind alone cannot be read.
    #[cfg(test)]
    pub(super) unreadable_kind: std::sync::atomic::AtomicU8,
    #[cfg(test)]
    pub(super) stopped: std::sync::atomic::AtomicBool,
}

/// One moment of all records.
pub(super) struct Moment<'a> {
    tree: &'a Tree,
    snapshot: Snapshot,
}

impl Tree {
    pub(super) fn open(directory: &Path) -> fjall::Result<Self> {
        // The engine's threads are started here. Each of them can fill a core for as long as it writes out or compacts.
        let database = giving_way(|| {
            Database::builder(directory)
                .cache_size(CACHE)
                .max_journaling_size(JOURNALS)
                .journal_compression(CompressionType::None)
                .manual_journal_persist(true)
                .worker_threads(WORKERS)
                .open()
        })??;
        let compaction =
            Leveled::default().with_table_target_size(TABLE).with_l0_threshold(COMPACTED_TOGETHER);
        let compaction = Arc::new(compaction);
        let options = |memtable| {
            KeyspaceCreateOptions::default()
                .max_memtable_size(memtable)
                .compaction_strategy(compaction.clone())
        };
        let index = database.keyspace("index", || options(INDEX_MEMTABLE))?;
        // Whoever asks for a content knows that it is there: filters of the last level save nothing.
        let contents =
            database.keyspace("contents", || options(CONTENT_MEMTABLE).expect_point_read_hits(true))?;
        Ok(Self {
            database,
            index,
            contents,
            hints: Hints::default(),
            gaps: Gaps::default(),
            reported: Mutex::default(),
            #[cfg(test)]
            passed: std::sync::atomic::AtomicU64::new(0),
            #[cfg(test)]
            fails: std::sync::atomic::AtomicBool::new(false),
            #[cfg(test)]
            unsyncable: std::sync::atomic::AtomicBool::new(false),
            #[cfg(test)]
            unreadable: std::sync::atomic::AtomicBool::new(false),
            #[cfg(test)]
            unreadable_kind: std::sync::atomic::AtomicU8::new(0),
            #[cfg(test)]
            stopped: std::sync::atomic::AtomicBool::new(false),
        })
    }

    /// All that records are kept in.
    pub(super) fn keyspaces(&self) -> [Keyspace; 2] {
        [self.index.clone(), self.contents.clone()]
    }

    /// Where items were found last.
    pub(super) const fn hints(&self) -> &Hints {
        &self.hints
    }

    /// Where nothing was found.
    pub(super) const fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    fn room(&self, key: &[u8]) -> &Keyspace {
        if keys::is_content(key) { &self.contents } else { &self.index }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        #[cfg(test)]
        fault(&self.unreadable).map_err(failed)?;
        #[cfg(test)]
        if key.first() == Some(&self.unreadable_kind.load(std::sync::atomic::Ordering::Relaxed)) {
            return Err(failed(std::io::Error::other("a fault was injected")));
        }
        self.room(key).get(key).map_err(failed)
    }

    /// This moment of all records.
    pub(super) fn moment(&self) -> Moment<'_> {
        Moment { tree: self, snapshot: self.database.snapshot() }
    }

    /// Writes everything in `writes` or nothing, as `durable` as is asked for.
    pub(super) fn commit(
        &self,
        writes: impl ExactSizeIterator<Item = Write>,
        durable: Durable,
    ) -> fjall::Result<()> {
        #[cfg(test)]
        fault(&self.fails)?;
        #[cfg(test)]
        fault(&self.stopped).map_err(|_| fjall::Error::Poisoned)?;
        let mode = match durable {
            Durable::First => PersistMode::SyncData,
            Durable::Soon => PersistMode::Buffer,
        };
        let mut batch =
            fjall::OwnedWriteBatch::with_capacity(self.database.clone(), writes.len()).durability(Some(mode));
        for (key, value) in writes {
            let room = self.room(&key);
            match value {
                Some(value) => batch.insert(room, key, value),
                None => batch.remove(room, key),
            }
        }
        batch.commit()
    }

    /// Syncs what was written and is not synced yet.
    pub(super) fn sync(&self) -> fjall::Result<()> {
        #[cfg(test)]
        fault(&self.unsyncable)?;
        self.database.persist(PersistMode::SyncData)
    }

    /// Reports a record that cannot be read, once while the process lives, and gives the error.
    pub(super) fn damaged(&self, what: &str, key: &[u8]) -> StoreError {
        let mut reported = lock(&self.reported);
        if reported.len() < REPORTS && reported.insert(key.to_vec()) {
            drop(reported);
            tracing::error!(record = what, key = %keys::tag(key), "damaged record skipped");
        }
        StoreError::Damaged { what: what.to_owned() }
    }
}

impl Source for Tree {
    fn fetch(&self, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        self.get(key)
    }

    fn tree(&self) -> &Tree {
        self
    }
}

impl Source for Moment<'_> {
    fn fetch(&self, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        self.snapshot.get(self.tree.room(key), key).map_err(failed)
    }

    fn tree(&self) -> &Tree {
        self.tree
    }
}

impl Moment<'_> {
    /// Behind what cannot be read: the first number, greater than `last` and as near as can be found out, from which on
    /// records up to `end` can be read; `key` is that of a number.
    pub(super) fn behind_damage(&self, last: u64, key: impl Fn(u64) -> Key, end: &Key) -> u64 {
        let can_be_read = |number| {
            let first = key(number);
            first >= *end || !matches!(self.range(first, end.clone()).next(), Some(Err(_)))
        };
        // Not further than need be: there may be another such place behind it.
        let (mut unread, mut step) = (last, 1);
        let mut readable = last.saturating_add(step);
        while readable < u64::MAX && !can_be_read(readable) {
            unread = readable;
            step *= 2;
            readable = last.saturating_add(step);
        }
        while readable - unread > 1 {
            let middle = unread + (readable - unread) / 2;
            match can_be_read(middle) {
                true => readable = middle,
                false => unread = middle,
            }
        }
        readable
    }

    /// The records from `first` up to, but not with, `end`, in order of their keys.
    pub(super) fn range(
        &self,
        first: Key,
        end: Key,
    ) -> impl DoubleEndedIterator<Item = Result<(Key, Slice), StoreError>> + use<> {
        let room = self.tree.room(&first);
        self.snapshot.range(room, first..end).map(|guard| guard.into_inner().map_err(failed))
    }

    /// The records whose keys begin with `prefix`.
    pub(super) fn prefix(
        &self,
        prefix: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(Key, Slice), StoreError>> + use<> {
        let room = self.tree.room(prefix);
        self.snapshot.prefix(room, prefix).map(|guard| guard.into_inner().map_err(failed))
    }
}

/// What a failure of the engine means to the caller; the log has the details, of the same one once an hour.
pub(super) fn failed(error: impl Into<fjall::Error>) -> StoreError {
    static SAID: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());
    let cause = format!("{:?}", error.into());
    let mut said = lock(&SAID);
    let now = Instant::now();
    let is_new = said.get(&cause).is_none_or(|last| now.duration_since(*last) > SAY_AGAIN);
    if is_new && (said.len() < CAUSES || said.contains_key(&cause)) {
        tracing::error!(cause, "the store's engine failed");
        said.insert(cause, now);
    }
    StoreError::Unavailable("its engine failed".into())
}

#[cfg(test)]
fn fault(wanted: &std::sync::atomic::AtomicBool) -> std::io::Result<()> {
    if wanted.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(std::io::Error::other("a fault was injected"));
    }
    Ok(())
}
