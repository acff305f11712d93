//! How records are found from others, for whoever reads them: the writer in its batch, a reader at
//! one moment.

use restante::store::{MAX_KEY, MessageId, Owner, StoreError};

use super::keys::{self, IdHash, MailboxId};
use super::record::{Gone, IdRecord, ItemRecord, Ledger, decode_ids, decode_mailbox};
use super::tree::Source;

/// How many pager messages come before a ledger is written again: whoever reads the ledger finds
/// those behind it by as many point reads.
pub(super) const BEHIND: u64 = 8;

/// What an id stands for.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nothing: it is free. With it comes what is written of other ids at its place.
    Free(IdRecord),
    /// An item that is there; `None` when its record is damaged.
    Live(u64, Option<Box<ItemRecord>>),
    /// An item that is gone.
    Gone(u64, Gone),
    /// Nobody knows: the record of the id is damaged.
    Damaged,
}

/// The number of an owner's mailbox; `None` when he has none yet.
///
/// # Errors
/// [`StoreError::Damaged`] when it cannot be read.
pub(super) fn mailbox(source: &impl Source, owner: &Owner) -> Result<Option<MailboxId>, StoreError> {
    if owner.key().len() > MAX_KEY {
        return Ok(None);
    }
    let key = keys::mailbox(owner);
    match source.fetch(&key)? {
        None => Ok(None),
        Some(value) => decode_mailbox(&value).map(Some).ok_or_else(|| source.tree().damaged("mailbox", &key)),
    }
}

/// The taken ids of a place; `None` when the record is damaged.
pub(super) fn ids(
    source: &impl Source,
    mailbox: MailboxId,
    place: u64,
) -> Result<Option<IdRecord>, StoreError> {
    let key = keys::ids(mailbox, place);
    let Some(value) = source.fetch(&key)? else { return Ok(Some(IdRecord::new())) };
    let ids = decode_ids(&value);
    if ids.is_none() {
        source.tree().damaged("id", &key);
    }
    Ok(ids)
}

/// What an id stands for in a mailbox.
pub(super) fn standing(
    source: &impl Source,
    mailbox: MailboxId,
    id: &MessageId,
) -> Result<Standing, StoreError> {
    let hash = IdHash::of(id);
    let Some(entries) = ids(source, mailbox, hash.place)? else { return Ok(Standing::Damaged) };
    for entry in entries.iter().filter(|entry| entry.check == hash.check) {
        match &entry.gone {
            Some(gone) if gone.message_id == *id => return Ok(Standing::Gone(entry.sequence, gone.clone())),
            Some(_) => {}
            None => match item(source, mailbox, entry.sequence)? {
                // One that is damaged cannot say that it is another's.
                Some(None) => return Ok(Standing::Live(entry.sequence, None)),
                Some(Some(record)) if record.head.message_id == *id => {
                    return Ok(Standing::Live(entry.sequence, Some(Box::new(record))));
                }
                Some(Some(_)) | None => {}
            },
        }
    }
    Ok(Standing::Free(entries))
}

/// As [`standing`], for whoever expects an item there: most likely it was found before.
pub(super) fn known(
    source: &impl Source,
    mailbox: MailboxId,
    id: &MessageId,
) -> Result<Standing, StoreError> {
    let (hints, hash) = (source.tree().hints(), IdHash::of(id));
    if let Some(sequence) = hints.get(mailbox, hash)
        && let Some(Some(record)) = item(source, mailbox, sequence)?
        && record.head.message_id == *id
    {
        return Ok(Standing::Live(sequence, Some(Box::new(record))));
    }
    let standing = standing(source, mailbox, id)?;
    if let Standing::Live(sequence, Some(_)) = &standing {
        hints.note(mailbox, hash, *sequence);
    }
    Ok(standing)
}

/// The item of a sequence: `None` when there is none, `Some(None)` when its record is damaged.
pub(super) fn item(
    source: &impl Source,
    mailbox: MailboxId,
    sequence: u64,
) -> Result<Option<Option<ItemRecord>>, StoreError> {
    let key = keys::item(mailbox, sequence);
    let Some(value) = source.fetch(&key)? else { return Ok(None) };
    let record = ItemRecord::decode(&value, sequence);
    if record.is_none() {
        source.tree().damaged("item", &key);
    }
    Ok(Some(record))
}

/// A mailbox's ledger as it was written; `Some(None)` when it is damaged.
pub(super) fn written_ledger(
    source: &impl Source,
    mailbox: MailboxId,
) -> Result<Option<Option<Ledger>>, StoreError> {
    let key = keys::ledger(mailbox);
    let Some(value) = source.fetch(&key)? else { return Ok(None) };
    let ledger = Ledger::decode(&value);
    if ledger.is_none() {
        source.tree().damaged("ledger", &key);
    }
    Ok(Some(ledger))
}

/// Adds to a ledger what came behind it; how many items that were.
///
/// Nothing but pager messages lies behind a ledger, without a gap: every other change writes it
/// again in its own batch.
pub(super) fn add_behind(
    source: &impl Source,
    mailbox: MailboxId,
    ledger: &mut Ledger,
) -> Result<u64, StoreError> {
    let written = ledger.last_sequence;
    while let Some(record) = item(source, mailbox, ledger.last_sequence.saturating_add(1))? {
        ledger.last_sequence += 1;
        if let Some(record) = record {
            ledger.add(&record);
        }
    }
    Ok(ledger.last_sequence - written)
}
