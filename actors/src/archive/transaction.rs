//! What one batch will write. Operations of one batch see each other's writes, and all of them
//! reach the disk together or none does.

use std::collections::{BTreeMap, BTreeSet};

use fjall::Readable;
use restante::store::{Change, ContentId, Owner, SessionId, Staged, StoreError};
use restante::time::Timestamp;
use rustc_hash::FxHashMap;

use super::keys::{self, End};
use super::record::{DraftRecord, IdRecord, ItemRecord, Ledger, MessageRecord};
use super::tree::{Tree, failed};
use crate::archive::session::Draft;

/// How many mailboxes' ledgers are kept in memory.
const LEDGERS: usize = 1 << 16;

/// What the writer keeps in memory from batch to batch.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) drafts: FxHashMap<SessionId, Draft>,
    ledgers: FxHashMap<Owner, Ledger>,
}

/// The writes of one batch.
pub(super) struct Transaction<'a> {
    pub(super) tree: &'a Tree,
    pub(super) desk: &'a mut Desk,
    writes: FxHashMap<Vec<u8>, Option<Vec<u8>>>,
    ledgers: BTreeSet<Owner>,
    changed: BTreeSet<Owner>,
    kept: Vec<Staged>,
    unlinked: Vec<ContentId>,
    bytes: usize,
    failed: bool,
}

/// What is to be done when the batch is on the disk.
pub(super) struct Committed {
    pub(super) changes: Vec<Change>,
    pub(super) unlinked: Vec<ContentId>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(tree: &'a Tree, desk: &'a mut Desk) -> Self {
        if desk.ledgers.len() > LEDGERS {
            desk.ledgers.clear();
        }
        Self {
            tree,
            desk,
            writes: FxHashMap::default(),
            ledgers: BTreeSet::new(),
            changed: BTreeSet::new(),
            kept: Vec::new(),
            unlinked: Vec::new(),
            bytes: 0,
            failed: false,
        }
    }

    /// An operation failed midway: nothing of the batch may reach the disk.
    pub(super) const fn fail(&mut self) {
        self.failed = true;
    }

    /// How many bytes of values it will write.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes = self.bytes.saturating_add(value.len());
        self.writes.insert(key, Some(value));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Reads what `decode` makes of the record under `key`.
    pub(super) fn get<T>(
        &self,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, StoreError> {
        if let Some(written) = self.writes.get(key) {
            return Ok(written.as_deref().map(decode));
        }
        Ok(self.tree.records.get(key).map_err(failed)?.map(|value| decode(&value)))
    }

    /// All records whose keys begin with `prefix`, the batch's own included.
    fn scan(&self, prefix: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
        let mut found = BTreeMap::new();
        for guard in self.tree.records.prefix(prefix) {
            let (key, value) = guard.into_inner().map_err(failed)?;
            found.insert(key.to_vec(), value.to_vec());
        }
        for (key, value) in self.writes.iter().filter(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => found.insert(key.clone(), value.clone()),
                None => found.remove(key),
            };
        }
        Ok(found)
    }

    /// Up to `limit` of the ends that have come by `now`, in their order, as the disk has them.
    pub(super) fn ended(&self, now: Timestamp, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let range = keys::ENDS.to_vec()..keys::ends_after(now);
        let due = self.tree.database.snapshot().range(&self.tree.records, range);
        due.take(limit).map(|guard| guard.key().map(|key| key.to_vec()).map_err(failed)).collect()
    }

    pub(super) fn add_end(&mut self, at: Timestamp, end: &End) {
        if let Some(key) = keys::end(at, end) {
            self.put(key, Vec::new());
        }
    }

    pub(super) fn remove_end(&mut self, at: Timestamp, end: &End) {
        if let Some(key) = keys::end(at, end) {
            self.remove(key);
        }
    }

    /// A content is named by a record of this batch.
    pub(super) fn keep(&mut self, staged: Staged) -> ContentId {
        let id = staged.content();
        self.put(keys::file(id), Vec::new());
        self.kept.push(staged);
        id
    }

    /// A content is named by no record any more.
    pub(super) fn unlink(&mut self, id: ContentId) {
        self.remove(keys::file(id));
        self.unlinked.push(id);
    }

    /// The owner's subscribers are to learn of the batch.
    pub(super) fn changed(&mut self, owner: &Owner) {
        self.changed.insert(owner.clone());
    }

    pub(super) fn ledger(&mut self, owner: &Owner) -> Result<Ledger, StoreError> {
        if let Some(ledger) = self.desk.ledgers.get(owner) {
            return Ok(*ledger);
        }
        let key = keys::ledger(owner);
        let ledger = match self.get(&key, Ledger::decode)? {
            None => Ledger::default(),
            Some(Some(ledger)) => ledger,
            Some(None) => {
                self.tree.damaged(owner, "ledger", &key);
                self.recount(owner)?
            }
        };
        self.desk.ledgers.insert(owner.clone(), ledger);
        Ok(ledger)
    }

    pub(super) fn set_ledger(&mut self, owner: &Owner, ledger: Ledger) {
        self.desk.ledgers.insert(owner.clone(), ledger);
        self.ledgers.insert(owner.clone());
    }

    /// Sets a ledger right from the mailbox's records; numbers it gave are not given again.
    pub(super) fn correct(&mut self, owner: &Owner) -> Result<Ledger, StoreError> {
        let before = self.ledger(owner)?;
        let mut ledger = self.recount(owner)?;
        ledger.last_sequence = ledger.last_sequence.max(before.last_sequence);
        ledger.last_bundle = ledger.last_bundle.max(before.last_bundle);
        self.set_ledger(owner, ledger);
        Ok(ledger)
    }

    /// Counts a mailbox from its records, where its ledger cannot be trusted.
    fn recount(&self, owner: &Owner) -> Result<Ledger, StoreError> {
        let mut ledger = Ledger::default();
        for (key, value) in self.scan(&keys::items(owner))? {
            let sequence = keys::last_number(&key).unwrap_or_default();
            ledger.last_sequence = ledger.last_sequence.max(sequence);
            if let Some(record) = ItemRecord::decode(&value, sequence) {
                ledger.last_bundle = ledger.last_bundle.max(record.bundle);
                ledger.counts.enter(&record.head.envelope, record.head.state);
                ledger.counts.charge(1, record.head.bytes);
            }
        }
        for value in self.scan(&keys::ids(owner))?.values() {
            if let Some(IdRecord::Live(sequence)) = IdRecord::decode(value) {
                ledger.last_sequence = ledger.last_sequence.max(sequence);
            }
        }
        for (key, value) in self.scan(&keys::drafts(owner))? {
            let bundle = keys::last_number(&key).unwrap_or_default();
            ledger.last_bundle = ledger.last_bundle.max(bundle);
            if DraftRecord::decode(&value).is_some() {
                ledger.counts.charge(1, self.tally(owner, bundle)?.bytes);
            }
        }
        Ok(ledger)
    }

    /// What the message records of a bundle amount to.
    pub(super) fn tally(&self, owner: &Owner, bundle: u64) -> Result<BundleTally, StoreError> {
        let mut tally = BundleTally { messages: 0, bytes: 0, text: true, damaged: false };
        for (key, value) in self.scan(&keys::messages(owner, bundle))? {
            tally.messages = keys::index(&key).unwrap_or_default().saturating_add(1);
            match MessageRecord::decode(&value) {
                Some(message) => {
                    tally.bytes = tally.bytes.saturating_add(message.size);
                    tally.text &= message.text;
                }
                None => tally.damaged = true,
            }
        }
        Ok(tally)
    }

    /// Puts all of it on the disk.
    ///
    /// When that fails nobody knows what the disk holds: contents stay for the next opening to
    /// sweep, and what was in memory is forgotten.
    pub(super) fn commit(mut self) -> Result<Committed, StoreError> {
        if self.failed {
            self.kept.into_iter().for_each(Staged::keep);
            *self.desk = Desk::default();
            return Err(StoreError::Unavailable("its engine failed".into()));
        }
        for owner in std::mem::take(&mut self.ledgers) {
            let ledger = self.desk.ledgers.get(&owner).copied().unwrap_or_default();
            self.writes.insert(keys::ledger(&owner), Some(ledger.encode()));
        }
        let outcome = if self.writes.is_empty() { Ok(()) } else { self.tree.commit(self.writes.into_iter()) };
        self.kept.into_iter().for_each(Staged::keep);
        if let Err(error) = outcome {
            *self.desk = Desk::default();
            return Err(failed(error));
        }
        let ledgers = &self.desk.ledgers;
        let counts = |owner: &Owner| ledgers.get(owner).map(|ledger| ledger.counts).unwrap_or_default();
        let changes =
            self.changed.into_iter().map(|owner| Change { counts: counts(&owner), owner }).collect();
        Ok(Committed { changes, unlinked: self.unlinked })
    }
}

/// What the messages of a bundle amount to.
pub(super) struct BundleTally {
    pub(super) messages: u32,
    pub(super) bytes: u64,
    pub(super) text: bool,
    pub(super) damaged: bool,
}
