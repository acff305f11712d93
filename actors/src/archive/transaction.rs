//! What one batch will write. Operations of one batch see each other's writes, and all of them
//! reach the disk together or none does.

use fjall::Slice;
use restante::store::{Change, ContentId, Owner, Staged, StoreError};
use restante::time::Timestamp;
use std::collections::{BTreeMap, HashMap};

use super::codec::Encoder;
use super::desk::{Desk, Seat, SeatId};
use super::ends::{self, End, Ending};
use super::keys::{self, Key, MailboxId};
use super::lookup;
use super::record::{Ledger, encode_mailbox};
use super::tree::{Durable, Source, Tree, failed};

/// For how many records there is room before memory has to be found for more.
const EXPECTED: usize = 256;

/// How many places that cannot be read are tried for a new record.
const UNREAD: usize = 8;

/// The writes of one batch.
pub(super) struct Transaction<'a> {
    pub(super) tree: &'a Tree,
    pub(super) desk: &'a mut Desk,
    writes: HashMap<Key, Option<Slice>>,
    /// Seats whose ledgers are written, or whose changes are told.
    seats: Vec<SeatId>,
    ends: Vec<Ending>,
    kept: Vec<Staged>,
    unlinked: Vec<ContentId>,
    bytes: usize,
    /// What the operation under way has changed, as it was before.
    before: Before,
}

/// How things were before an operation, for when it fails midway.
#[derive(Default)]
struct Before {
    writes: Vec<(Key, Option<Option<Slice>>)>,
    /// Each seat once for every [`Transaction::whole`] that is under way.
    seats: Vec<(SeatId, Seat)>,
    /// Where in `seats` those of the innermost begin.
    innermost: usize,
}

/// How much there was of everything when an operation began.
struct Point {
    writes: usize,
    before_seats: usize,
    innermost: usize,
    seats: usize,
    ends: usize,
    kept: usize,
    unlinked: usize,
    bytes: usize,
}

/// What is to be done when the batch is written.
pub(super) struct Committed {
    pub(super) changes: Vec<Change>,
    pub(super) unlinked: Vec<ContentId>,
    /// Whether anything was written.
    pub(super) written: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(tree: &'a Tree, desk: &'a mut Desk) -> Self {
        let leaving = desk.make_room();
        desk.ends.begin();
        desk.remains.begin();
        let mut transaction = Self {
            tree,
            desk,
            writes: HashMap::with_capacity(EXPECTED),
            seats: Vec::new(),
            ends: Vec::new(),
            kept: Vec::new(),
            unlinked: Vec::new(),
            bytes: 0,
            before: Before::default(),
        };
        for (mailbox, ledger) in leaving {
            transaction.write(keys::ledger(mailbox), |encoder| ledger.encode(encoder));
        }
        transaction.before.writes.clear();
        transaction
    }

    /// Does an operation of the batch: all of it, or nothing where a record cannot be read. The others of the batch
    /// have no part in that.
    pub(super) fn operation<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let outcome = self.whole(work);
        self.before.writes.clear();
        self.before.seats.clear();
        outcome
    }

    /// Does a part of an operation: all of it, or nothing where a record cannot be read.
    pub(super) fn whole<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let begun = Point {
            writes: self.before.writes.len(),
            before_seats: self.before.seats.len(),
            innermost: std::mem::replace(&mut self.before.innermost, self.before.seats.len()),
            seats: self.seats.len(),
            ends: self.ends.len(),
            kept: self.kept.len(),
            unlinked: self.unlinked.len(),
            bytes: self.bytes,
        };
        let innermost = begun.innermost;
        let outcome = work(self);
        if matches!(outcome, Err(StoreError::Unavailable(_))) {
            self.take_back(&begun);
        }
        self.before.innermost = innermost;
        outcome
    }

    /// Leaves everything as it was.
    fn take_back(&mut self, begun: &Point) {
        for (key, value) in self.before.writes.drain(begun.writes..).rev() {
            match value {
                Some(value) => self.writes.insert(key, value),
                None => self.writes.remove(&key),
            };
        }
        for (id, seat) in self.before.seats.drain(begun.before_seats..).rev() {
            *self.desk.at_mut(id) = seat;
        }
        self.seats.truncate(begun.seats);
        self.ends.truncate(begun.ends);
        // Their contents are discarded: no record names them.
        self.kept.truncate(begun.kept);
        self.unlinked.truncate(begun.unlinked);
        self.bytes = begun.bytes;
    }

    /// A mailbox in memory, to be changed.
    pub(super) fn at_mut(&mut self, id: SeatId) -> &mut Seat {
        let saved = self.before.seats.iter().skip(self.before.innermost).any(|(saved, _)| *saved == id);
        if !saved {
            let seat = self.desk.at(id).clone();
            self.before.seats.push((id, seat));
        }
        self.desk.at_mut(id)
    }

    /// How many bytes of values it will write.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn put(&mut self, key: Key, value: Slice) {
        self.bytes = self.bytes.saturating_add(value.len());
        self.set(key, Some(value));
    }

    fn set(&mut self, key: Key, value: Option<Slice>) {
        let before = self.writes.insert(key.clone(), value);
        self.before.writes.push((key, before));
    }

    pub(super) fn write(&mut self, key: Key, encode: impl FnOnce(&mut Encoder) -> Slice) {
        let value = encode(&mut self.desk.encoder);
        self.put(key, value);
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.set(key, None);
    }

    /// Reads what `decode` makes of the record under `key`.
    pub(super) fn get<T>(
        &self,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.fetch(key)?.map(|value| decode(&value)))
    }

    /// All records whose keys begin with `prefix`, the batch's own included.
    pub(super) fn scan(&self, prefix: &[u8]) -> Result<BTreeMap<Key, Slice>, StoreError> {
        let mut found = self.tree.moment().prefix(prefix).collect::<Result<BTreeMap<_, _>, _>>()?;
        for (key, value) in self.writes.iter().filter(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => found.insert(key.clone(), value.clone()),
                None => found.remove(key),
            };
        }
        Ok(found)
    }

    /// Notes when something ends; what never does is not noted.
    pub(super) fn add_end(&mut self, at: Timestamp, end: End) {
        if at.0 != u64::MAX {
            self.ends.push((at, end));
        }
    }

    /// A content is named by a record of this batch.
    pub(super) fn keep(&mut self, staged: Staged) -> ContentId {
        let id = staged.content();
        self.put(keys::file(id), Slice::empty());
        self.kept.push(staged);
        id
    }

    /// A content is named by no record any more.
    pub(super) fn unlink(&mut self, id: ContentId) {
        self.remove(keys::file(id));
        self.unlinked.push(id);
    }

    // ---- mailboxes ----

    /// The owner's mailbox, if he has one.
    pub(super) fn mailbox(&mut self, owner: &Owner) -> Result<Option<SeatId>, StoreError> {
        if let Some(seat) = self.desk.find(owner) {
            return Ok(Some(seat));
        }
        let mailbox = match lookup::mailbox(self, owner) {
            Ok(None) => return Ok(None),
            Ok(Some(mailbox)) => mailbox,
            Err(StoreError::Damaged { .. }) => match self.search_mailbox(owner)? {
                Some(mailbox) => mailbox,
                None => return Ok(None),
            },
            Err(error) => return Err(error),
        };
        self.load(owner, mailbox).map(Some)
    }

    /// The owner's mailbox; a new one if he has none, of which nothing is written unless it changes.
    pub(super) fn mailbox_or_new(&mut self, owner: &Owner) -> Result<SeatId, StoreError> {
        if let Some(seat) = self.mailbox(owner)? {
            return Ok(seat);
        }
        let ledger = Ledger { owner: owner.clone(), ..Ledger::default() };
        Ok(self.desk.seat(None, ledger, 0))
    }

    /// The mailbox of this number, if its owner can be found.
    pub(super) fn mailbox_of_number(&mut self, mailbox: MailboxId) -> Result<Option<SeatId>, StoreError> {
        let owner = match lookup::written_ledger(self, mailbox)? {
            Some(Some(ledger)) => Some(ledger.owner),
            Some(None) => self.search_owner(mailbox)?,
            None => None,
        };
        let Some(owner) = owner else { return Ok(None) };
        // A mailbox that could not be found once has been given up for a new one.
        let seat = self.mailbox(&owner)?;
        Ok(seat.filter(|seat| self.at(*seat).mailbox == mailbox))
    }

    /// Reads a mailbox's ledger and what came behind it.
    fn load(&mut self, owner: &Owner, mailbox: MailboxId) -> Result<SeatId, StoreError> {
        let written = lookup::written_ledger(self, mailbox)?.flatten();
        let damaged = written.is_none();
        let mut ledger = match written {
            Some(ledger) => ledger,
            None => {
                // Nobody knows which sequences it gave.
                self.tree.gaps().forget(mailbox);
                self.recount(owner, mailbox)?
            }
        };
        let behind = if damaged { 0 } else { lookup::add_behind(self, mailbox, &mut ledger)? };
        let seat = self.desk.seat(Some(mailbox), ledger, behind);
        if damaged {
            self.touch(seat);
        }
        Ok(seat)
    }

    pub(super) fn at(&self, seat: SeatId) -> &Seat {
        self.desk.at(seat)
    }

    /// The ledger, to be changed and written with the batch.
    pub(super) fn ledger_mut(&mut self, seat: SeatId) -> &mut Ledger {
        self.touch(seat);
        &mut self.at_mut(seat).ledger
    }

    /// The ledger is written with the batch.
    pub(super) fn touch(&mut self, id: SeatId) {
        let seat = self.at_mut(id);
        let known = std::mem::replace(&mut seat.touched, true) || seat.changed;
        if !known {
            self.seats.push(id);
        }
    }

    /// The owner's subscribers are to learn of the batch.
    pub(super) fn changed(&mut self, id: SeatId) {
        let seat = self.at_mut(id);
        let known = std::mem::replace(&mut seat.changed, true) || seat.touched;
        if !known {
            self.seats.push(id);
        }
    }

    /// A pager message has come that the ledger counts: it is written now and then, for whoever
    /// reads it finds the items behind it.
    pub(super) fn came_behind(&mut self, id: SeatId) {
        let seat = self.at_mut(id);
        seat.behind += 1;
        if seat.fresh || seat.behind >= lookup::BEHIND {
            self.touch(id);
        }
    }

    // ---- the end ----

    fn write_ends(&mut self) -> Result<(), StoreError> {
        for group in ends::groups(std::mem::take(&mut self.ends)) {
            self.put_group(&group)?;
        }
        Ok(())
    }

    /// Writes a group of ends under a key that no other has.
    pub(super) fn put_group(&mut self, group: &[Ending]) -> Result<(), StoreError> {
        let Some((first, _)) = group.first() else { return Ok(()) };
        let mut unread = 0;
        loop {
            self.desk.next_group = self.desk.next_group.wrapping_add(1);
            let key = keys::ends(*first, self.desk.next_group);
            match self.fetch(&key) {
                Ok(None) => {
                    self.desk.ends.written(&key);
                    self.write(key, |encoder| ends::encode(group, encoder));
                    return Ok(());
                }
                Ok(Some(_)) => {}
                // Where it would be cannot be read: its key need not be there.
                Err(_) if unread < UNREAD => {
                    unread += 1;
                    self.desk.next_group = self.desk.next_group.wrapping_add(1 << 40);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the ledgers, and gives what is to be told.
    fn write_ledgers(&mut self) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.seats.len());
        for id in std::mem::take(&mut self.seats) {
            let Desk { encoder, .. } = &mut *self.desk;
            let mut scratch = std::mem::take(encoder);
            let seat = self.desk.at_mut(id);
            if seat.changed {
                let Ledger { owner, counts, .. } = &seat.ledger;
                changes.push(Change { owner: owner.clone(), counts: *counts });
            }
            if seat.touched {
                let (key, value) = (keys::ledger(seat.mailbox), seat.ledger.encode(&mut scratch));
                if seat.fresh {
                    let number = encode_mailbox(seat.mailbox, &mut scratch);
                    self.writes.insert(keys::mailbox(&seat.ledger.owner), Some(number));
                }
                (seat.behind, seat.fresh) = (0, false);
                self.writes.insert(key, Some(value));
            }
            (seat.touched, seat.changed) = (false, false);
            self.desk.encoder = scratch;
        }
        changes
    }

    /// Writes all of it, as `durable` as is asked for. When that fails, what was in memory is forgotten.
    pub(super) fn commit(mut self, durable: Durable) -> Result<Committed, CommitError> {
        if self.write_ends().is_err() {
            // Nothing was written: the contents that it would have named are discarded with it.
            self.desk.clear();
            return Err(CommitError::Reading);
        }
        let changes = self.write_ledgers();
        let written = !self.writes.is_empty();
        let outcome = if written { self.tree.commit(self.writes.into_iter(), durable) } else { Ok(()) };
        // Even if that failed: nobody knows what the disk holds then, and what nothing names is swept at the next opening.
        self.kept.into_iter().for_each(Staged::keep);
        if let Err(error) = outcome {
            self.desk.clear();
            let stopped = matches!(error, fjall::Error::Poisoned);
            failed(error);
            return Err(if stopped { CommitError::Stopped } else { CommitError::Writing });
        }
        Ok(Committed { changes, unlinked: self.unlinked, written })
    }
}

/// Why a batch is not on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitError {
    /// A record that it needed could not be read; nothing was written.
    Reading,
    /// It could not be written or synced: nobody knows what the disk holds.
    Writing,
    /// The engine had stopped before: one of its own threads could not read or write a table.
    Stopped,
}

/// What that means to those who asked for the batch.
pub(super) fn unavailable(error: CommitError) -> StoreError {
    StoreError::Unavailable(match error {
        CommitError::Reading => "its engine failed to read".into(),
        CommitError::Writing => "its engine failed to write".into(),
        CommitError::Stopped => "its engine has stopped".into(),
    })
}

impl Source for Transaction<'_> {
    fn fetch(&self, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.tree.get(key),
        }
    }

    fn tree(&self) -> &Tree {
        self.tree
    }
}
