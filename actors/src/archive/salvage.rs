//! A store whose tables are damaged, made anew from all that can be read of it.
//!
//! Each table is read block by block, and what cannot be read is left out. Then what is found by other records is written
//! down again where it is missing: whose mailbox is which, which id is taken, what ends when, which files are named. Items that have
//! lost their content go, and sessions go on without the messages that they have lost.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use fjall::{AbstractTree, Keyspace};
use restante::store::StoreError;

use super::content::Files;
use super::desk::Desk;
use super::directory;
use super::ends::End;
use super::journal;
use super::keys::{self, MailboxId};
use super::lookup::{self, Standing};
use super::record::{
    ItemRecord, Ledger, MessageRecord, Place, decode_mailbox, decode_subscription, encode_mailbox,
};
use super::transaction::{Transaction, unavailable};
use super::tree::{Durable, Tree, Write};

/// How many records are written at once.
const BATCH: usize = 4096;

/// How often in a row a table may fail before the rest of it is given up.
const FAILURES: usize = 100_000;

/// How long the engine may take to write out what it has from its journals.
const FLUSH: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Records that were read and written again.
    pub records: u64,
    /// Blocks that could not be read.
    pub unread: u64,
}

/// Makes the engine of the store in `directory` anew from what can be read of it. The damaged one is kept beside it, as
/// `engine.damaged`.
///
/// # Errors
/// A node has it open, `engine.damaged` is there already, the engine cannot be opened at all, or the disk fails: nothing was changed then.
pub fn salvage(directory: &Path) -> Result<Salvaged, StoreError> {
    if !directory::is_kept(directory)? {
        let nothing = format!("{} holds no store", directory.display());
        return Err(StoreError::Unavailable(nothing));
    }
    let _lock = directory::acquire(directory)?;
    directory::examine(directory)?;
    let [engine, damaged, mended] =
        ["engine", "engine.damaged", "engine.mended"].map(|name| directory.join(name));
    let failed = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", directory.display()));
    if damaged.exists() {
        return Err(failed(io::Error::other("engine.damaged is there already: move it away first")));
    }
    journal::check(&engine, directory)?;
    if mended.exists() {
        fs::remove_dir_all(&mended).map_err(failed)?;
    }
    let files = Files::of(&directory.join("content"))?;
    let salvaged = {
        let old = Tree::open(&engine).map_err(super::tree::failed)?;
        let new = Tree::open(&mended).map_err(super::tree::failed)?;
        let mut salvaged = Salvaged::default();
        for keyspace in old.keyspaces() {
            copy(&keyspace, &new, &mut salvaged)?;
        }
        complete(&new, &files)?;
        new.sync().map_err(super::tree::failed)?;
        salvaged
    };
    let swap = || -> io::Result<()> {
        fs::rename(&engine, &damaged)?;
        fs::rename(&mended, &engine)?;
        File::open(directory)?.sync_all()
    };
    swap().map_err(failed)?;
    Ok(salvaged)
}

/// Copies what can be read of a keyspace, the oldest first.
fn copy(keyspace: &Keyspace, new: &Tree, salvaged: &mut Salvaged) -> Result<(), StoreError> {
    let begun = Instant::now();
    while keyspace.tree.sealed_memtable_count() > 0 {
        if begun.elapsed() > FLUSH {
            return Err(StoreError::Unavailable("its engine cannot write out what its journals hold".into()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let newest = keyspace.tree.active_memtable();
    let version = keyspace.tree.current_version();
    let levels: Vec<_> = version.iter_levels().collect();
    for run in levels.into_iter().rev().flat_map(|level| level.iter().rev()) {
        for table in run.iter() {
            let mut failures = 0;
            let records = table.iter().filter_map(|record| match record {
                Ok(record) => {
                    failures = 0;
                    Some(Ok(record))
                }
                Err(error) => {
                    salvaged.unread += 1;
                    failures += 1;
                    super::tree::failed(error);
                    (failures > FAILURES).then_some(Err(()))
                }
            });
            let records =
                records.map_while(Result::ok).map(|it| (it.key.user_key, it.key.value_type, it.value));
            let records = records.map(|(key, kind, value)| (key, (!kind.is_tombstone()).then_some(value)));
            salvaged.records += write(new, records)?;
        }
    }
    let records =
        newest.iter().map(|it| (it.key.user_key, (!it.key.value_type.is_tombstone()).then_some(it.value)));
    salvaged.records += write(new, records)?;
    Ok(())
}

/// Writes records that are in order, of one key the newest alone, which comes first; how many.
fn write(new: &Tree, records: impl Iterator<Item = Write>) -> Result<u64, StoreError> {
    let (mut written, mut last) = (0, None);
    let mut batch: Vec<Write> = Vec::with_capacity(BATCH);
    let mut commit = |batch: &mut Vec<Write>| {
        written += batch.len() as u64;
        new.commit(std::mem::take(batch).into_iter(), Durable::Soon).map_err(super::tree::failed)
    };
    for (key, value) in records {
        if last.as_ref() == Some(&key) {
            continue;
        }
        last = Some(key.clone());
        batch.push((key, value));
        if batch.len() >= BATCH {
            commit(&mut batch)?;
        }
    }
    commit(&mut batch)?;
    Ok(written)
}

/// Writes what others lead to where it is missing.
fn complete(tree: &Tree, contents: &Files) -> Result<(), StoreError> {
    let mut desk = Desk::new(u64::MAX);
    let moment = tree.moment();
    let ledgers = moment.prefix(&keys::LEDGERS).filter_map(|record| {
        let (key, value) = record.ok()?;
        let owner = Ledger::decode(&value)?.owner;
        Some((keys::mailbox(&owner), keys::mailbox_of(&key)?))
    });
    let mailboxes = moment.prefix(&keys::MAILBOXES).filter_map(|record| {
        let (key, value) = record.ok()?;
        Some((key, decode_mailbox(&value)?))
    });
    // A mailbox is known by either.
    for (key, mailbox) in mailboxes.chain(ledgers) {
        in_batch(tree, &mut desk, |it| it.complete_mailbox(&key, mailbox, contents))?;
    }
    let mut files: Vec<Write> = Vec::new();
    // Of those that are left.
    for (_, value) in tree.moment().prefix(&keys::MESSAGES).filter_map(Result::ok) {
        if let Some(Place::File(file)) = MessageRecord::decode(&value).map(|message| message.place) {
            files.push((keys::file(file), Some(fjall::Slice::empty())));
        }
    }
    tree.commit(files.into_iter(), Durable::Soon).map_err(super::tree::failed)?;
    for (key, value) in moment.prefix(&keys::SUBSCRIPTIONS).filter_map(Result::ok) {
        if let Some((cursor, (_, expires))) = keys::parse_subscription(&key).zip(decode_subscription(&value))
        {
            in_batch(tree, &mut desk, |it| {
                it.add_end(expires, End::Subscription(cursor));
                Ok(())
            })?;
        }
    }
    // A number that something is kept under must not be given again, whosoever it was.
    let last = moment.prefix(&keys::ITEMS).next_back().transpose()?;
    if let Some(last) = last.and_then(|(key, _)| keys::mailbox_of(&key)) {
        in_batch(tree, &mut desk, |it| it.take_number(last))?;
    }
    Ok(())
}

fn in_batch(
    tree: &Tree,
    desk: &mut Desk,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut transaction = Transaction::new(tree, desk);
    transaction.operation(work)?;
    transaction.commit(Durable::Soon).map_err(unavailable)?;
    Ok(())
}

impl Transaction<'_> {
    fn complete_mailbox(&mut self, key: &[u8], mailbox: MailboxId, files: &Files) -> Result<(), StoreError> {
        let Some(owner) = keys::owner(key) else { return Ok(()) };
        if self.get(key, |_| ())?.is_none() {
            self.write(keys::mailbox(&owner), |encoder| encode_mailbox(mailbox, encoder));
        }
        let Some(seat) = self.mailbox(&owner)?.filter(|seat| self.at(*seat).mailbox == mailbox) else {
            return Ok(());
        };
        for (key, value) in self.scan(&keys::items(mailbox))? {
            let sequence = keys::last_number(&key).unwrap_or_default();
            let Some(record) = ItemRecord::decode(&value, sequence) else { continue };
            let head = &record.head;
            if let Standing::Free(beside) = lookup::standing(self, mailbox, &head.message_id)? {
                self.take_id(mailbox, &head.message_id, sequence, beside);
            }
            self.add_end(head.ends, End::Item(mailbox, sequence));
            self.cut_item(seat, sequence, record, files)?;
        }
        self.cut_drafts(mailbox, files)?;
        self.correct(seat)
    }

    fn take_number(&mut self, mailbox: MailboxId) -> Result<(), StoreError> {
        let key = keys::ledger(mailbox);
        if self.get(&key, |_| ())?.is_none() {
            self.write(key, |encoder| Ledger::default().encode(encoder));
        }
        Ok(())
    }
}
