//! The engine under the records: one fjall keyspace, with settings for many small durable batches.

use std::path::Path;
use std::sync::Mutex;

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use restante::store::{Owner, StoreError};
use rustc_hash::FxHashSet;

use super::pool::lock;

/// How large a memtable grows before it is written out. A journal is kept until what is in it has
/// been written out, so this and the journal's own 64 MB bound the time to open after a crash.
const MEMTABLE: u64 = 16 << 20;

/// The most the journals hold, if a memtable is not written out by itself.
const JOURNALS: u64 = 128 << 20;

/// Blocks kept in memory for reading.
const CACHE: u64 = 64 << 20;

/// How many damaged records are remembered as reported.
const REPORTS: usize = 10_000;

/// The records, as bytes under keys.
pub(super) struct Tree {
    pub(super) database: Database,
    pub(super) records: Keyspace,
    reported: Mutex<FxHashSet<Vec<u8>>>,
}

impl Tree {
    pub(super) fn open(directory: &Path) -> fjall::Result<Self> {
        let database = Database::builder(directory)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .journal_compression(CompressionType::None)
            .manual_journal_persist(true)
            .worker_threads(2)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
        let records = database.keyspace("records", options)?;
        Ok(Self { database, records, reported: Mutex::default() })
    }

    /// Writes everything in `writes` or nothing, and syncs it to the disk.
    pub(super) fn commit(
        &self,
        writes: impl ExactSizeIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> fjall::Result<()> {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), writes.len())
            .durability(Some(PersistMode::SyncData));
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(&self.records, key, value),
                None => batch.remove(&self.records, key),
            }
        }
        batch.commit()
    }

    /// Reports a record that cannot be read, once while the process lives, and gives the error.
    pub(super) fn damaged(&self, owner: &Owner, what: &str, key: &[u8]) -> StoreError {
        let mut reported = lock(&self.reported);
        if reported.len() < REPORTS && reported.insert(key.to_vec()) {
            drop(reported);
            tracing::error!(mailbox = %mailbox_tag(owner), record = what, key = %key_tag(key), "damaged record skipped");
        }
        StoreError::Damaged { what: what.to_owned() }
    }
}

/// Names a mailbox in the log without naming its owner.
fn mailbox_tag(owner: &Owner) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(owner.key()))
}

/// Names a record in the log: its kind and what follows the mailbox in its key.
fn key_tag(key: &[u8]) -> String {
    let kind = key.get(..1).unwrap_or_default().escape_ascii();
    let rest = super::keys::split(key).map(|(_, rest)| rest).unwrap_or_default();
    format!("{kind}:{}", rest.escape_ascii())
}

/// What a failure of the engine means to the caller; the log has the details.
pub(super) fn failed(error: impl Into<fjall::Error>) -> StoreError {
    let error = error.into();
    tracing::error!(cause = ?error, "the store's engine failed");
    StoreError::Unavailable("its engine failed".into())
}
