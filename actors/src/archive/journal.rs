//! The engine's journals, looked through before the engine opens them.
//!
//! The engine replays a journal up to the first thing that it does not understand, and takes that for the end: what lies
//! behind it is gone without a word. A batch that is whole but for a hole it takes for an error, and does not open at all.
//! Both are decided here, before: what was never acknowledged is cut off, what was is not.
//!
//! A batch is `1 count sequence`, so many entries, then `3 checksum "FJL" 3`; numbers are little-endian. An entry is `2` with what
//! becomes of a key, or `4`, which empties a keyspace. The checksum is that of the entries. The rest of a file is zeros, or nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use restante::store::StoreError;
use xxhash_rust::xxh3::Xxh3;

use super::keys;

/// Ends a batch, and is what the engine's `version` holds: of any other the engine may judge for itself.
const MAGIC: [u8; 4] = [b'F', b'J', b'L', 3];

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// What an item has before its key, behind its tag.
const ITEM_HEAD: usize = 20;

/// How much of a journal is read at once.
const READ: usize = 64 << 10;

/// A journal is made with 64 MB of them.
static ZEROS: [u8; READ] = [0; READ];

/// Batches that were synced one after the other cannot both have been under way when the power failed: if there are two
/// behind a damaged one, that one was acknowledged.
const SYNCED: usize = 2;

/// How far numbers of batches that are looked for behind damage may be ahead: what is found may be part of a content.
const AHEAD: u64 = 1 << 24;

/// A batch as it was found.
#[derive(Debug)]
struct Batch {
    len: u64,
    sequence: u64,
    /// Whether it is what was written.
    sound: bool,
    /// Whether it holds nothing but what may be synced later: the next may have been written before it was on the disk.
    marks: bool,
}

/// Cuts off what was never acknowledged and cannot be replayed from the journals of the engine in `directory`. A copy of it
/// stays in `aside`.
///
/// # Errors
/// What was acknowledged would be lost, or a journal cannot be read: nothing was changed.
pub(super) fn check(directory: &Path, aside: &Path) -> Result<(), StoreError> {
    match fs::read(directory.join("version")) {
        Ok(version) if version == MAGIC => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(directory, &error)),
    }
    let journals = journals(directory).map_err(|error| unreadable(directory, &error))?;
    for (at, (number, path)) in journals.iter().enumerate() {
        let Some(torn) = Torn::find(path).map_err(|error| unreadable(path, &error))? else { continue };
        let mut synced = torn.synced_behind();
        for (_, later) in journals.iter().skip(at + 1) {
            synced += synced_in(later, SYNCED).map_err(|error| unreadable(later, &error))?;
        }
        if synced >= SYNCED {
            return Err(torn.refusal(path));
        }
        let copy = aside.join(format!("torn-{number}-{}", torn.at));
        torn.cut(path, &copy, aside).map_err(|error| unreadable(path, &error))?;
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

/// The journal of a number.
pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number}.jnl"))
}

/// The journals of a directory, in the order in which they were written.
pub(super) fn journals(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jnl"));
        if let Some(number) = name.and_then(|name| name.parse().ok()) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals)
}

/// What cannot be replayed of a journal.
struct Torn {
    /// Where it begins.
    at: u64,
    /// The number of the last batch before it.
    last: u64,
    /// It, up to the zeros behind it.
    rest: Vec<u8>,
}

impl Torn {
    /// Reads a journal; `None` when all of it can be replayed.
    fn find(path: &Path) -> io::Result<Option<Self>> {
        let mut file = BufReader::with_capacity(READ, File::open(path)?);
        let (mut at, mut last) = (0, 0);
        while let Some(batch) = walk(&mut file)?.filter(|batch| batch.sound) {
            at += batch.len;
            last = batch.sequence;
        }
        file.seek(SeekFrom::Start(at))?;
        let written = last_written(&mut file)?;
        if written == 0 {
            return Ok(None);
        }
        let mut rest = Vec::new();
        file.seek(SeekFrom::Start(at))?;
        file.take(written).read_to_end(&mut rest)?;
        Ok(Some(Self { at, last, rest }))
    }

    /// How many batches that were synced lie behind, up to [`SYNCED`].
    fn synced_behind(&self) -> usize {
        let mut synced = 0;
        let mut rest = self.rest.as_slice();
        while synced < SYNCED && !rest.is_empty() {
            // Of a batch that only its values are damaged of, nothing within is looked at.
            let batch = walk(&mut &*rest).ok().flatten();
            let in_order = |batch: &Batch| batch.sequence.wrapping_sub(self.last).wrapping_sub(1) < AHEAD;
            synced += usize::from(batch.as_ref().is_some_and(|it| it.sound && in_order(it) && !it.marks));
            let skipped = batch.map_or(1, |batch| usize::try_from(batch.len).unwrap_or(usize::MAX));
            rest = rest.get(skipped..).unwrap_or_default();
            let next = memchr::memchr(START, rest).unwrap_or(rest.len());
            rest = rest.get(next..).unwrap_or_default();
        }
        synced
    }

    fn refusal(&self, path: &Path) -> StoreError {
        let (path, at) = (path.display(), self.at);
        StoreError::Unavailable(format!(
            "{path} is damaged at byte {at}, and what was acknowledged lies behind it. Put back a copy of the file that is \
             whole, if there is one; or give up all that lies behind it: cp {path} {path}.damaged && truncate -s {at} {path}"
        ))
    }

    /// Cuts the journal where it begins, after it was copied.
    fn cut(&self, path: &Path, copy: &Path, aside: &Path) -> io::Result<()> {
        fs::write(copy, &self.rest)?;
        File::open(copy)?.sync_all()?;
        File::open(aside)?.sync_all()?;
        let journal = OpenOptions::new().write(true).open(path)?;
        journal.set_len(self.at)?;
        journal.sync_all()?;
        tracing::warn!(
            journal = %path.display(),
            at = self.at,
            bytes = self.rest.len(),
            copy = %copy.display(),
            "the end of the journal cannot be replayed and was cut off: a write that was under way when the node was stopped"
        );
        Ok(())
    }
}

/// How many batches of a journal were synced, up to `enough`.
fn synced_in(path: &Path, enough: usize) -> io::Result<usize> {
    let mut file = BufReader::with_capacity(READ, File::open(path)?);
    let mut synced = 0;
    while synced < enough
        && let Some(batch) = walk(&mut file)?.filter(|batch| batch.sound)
    {
        synced += usize::from(!batch.marks);
    }
    Ok(synced)
}

/// Behind how many bytes there is nothing but zeros.
fn last_written(from: &mut impl BufRead) -> io::Result<u64> {
    let (mut at, mut written) = (0, 0);
    loop {
        let bytes = from.fill_buf()?;
        let len = bytes.len();
        if len == 0 {
            return Ok(written);
        }
        if ZEROS.get(..len) != Some(bytes)
            && let Some(last) = bytes.iter().rposition(|byte| *byte != 0)
        {
            written = at + last as u64 + 1;
        }
        at += len as u64;
        from.consume(len);
    }
}

/// Reads the batch that begins here; `None` where none does, or it does not end.
fn walk(from: &mut impl BufRead) -> io::Result<Option<Batch>> {
    let mut walk = Walk { from, len: 0, entries: Xxh3::new(), marks: true };
    match walk.batch() {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        outcome => outcome,
    }
}

struct Walk<'a, R> {
    from: &'a mut R,
    len: u64,
    entries: Xxh3,
    marks: bool,
}

impl<R: BufRead> Walk<'_, R> {
    fn batch(&mut self) -> io::Result<Option<Batch>> {
        if self.take()? != [START] {
            return Ok(None);
        }
        let count = u32::from_le_bytes(self.take()?);
        let sequence = u64::from_le_bytes(self.take()?);
        let mut found = 0_u32;
        loop {
            let tag = self.take::<1>()?;
            if tag != [END] {
                self.entries.update(&tag);
            }
            let sound = match tag {
                [ITEM] => self.item()?,
                [CLEAR] => self.clear()?,
                [END] => {
                    let checksum = u64::from_le_bytes(self.take()?);
                    let ended = self.take()? == MAGIC;
                    let sound = found == count && checksum == self.entries.digest();
                    let Self { len, marks, .. } = *self;
                    return Ok(ended.then_some(Batch { len, sequence, sound, marks }));
                }
                _ => false,
            };
            if !sound {
                return Ok(None);
            }
            found = found.saturating_add(1);
        }
    }

    fn clear(&mut self) -> io::Result<bool> {
        let keyspace = self.take::<8>()?;
        self.entries.update(&keyspace);
        self.marks = false;
        Ok(true)
    }

    /// Reads an item; whether it can be one. Nothing in the journal is compressed.
    fn item(&mut self) -> io::Result<bool> {
        let head = self.take::<ITEM_HEAD>()?;
        self.entries.update(&head);
        let [kind, compression, _, _, _, _, _, _, _, _, k0, k1, v0, v1, v2, v3, d0, d1, d2, d3] = head;
        let (value, stored) = (u32::from_le_bytes([v0, v1, v2, v3]), u32::from_le_bytes([d0, d1, d2, d3]));
        if !matches!(kind, 0..=2 | 4) || compression != 0 || value != stored {
            return Ok(false);
        }
        let mut key = vec![0; usize::from(u16::from_le_bytes([k0, k1]))];
        self.from.read_exact(&mut key)?;
        self.len += key.len() as u64;
        self.entries.update(&key);
        self.marks &= kind == 0 && keys::is_mark(&key);
        self.pass(u64::from(stored))?;
        Ok(true)
    }

    /// Goes past a value.
    fn pass(&mut self, mut left: u64) -> io::Result<()> {
        self.len += left;
        while left > 0 {
            let bytes = self.from.fill_buf()?;
            let bytes = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.entries.update(bytes);
            let len = bytes.len();
            left -= len as u64;
            self.from.consume(len);
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.len += N as u64;
        Ok(bytes)
    }
}

/// All batches up to the first that is damaged: where each ends, whether it is sound, whether it holds marks alone.
#[cfg(test)]
pub(super) fn batches(from: &mut impl BufRead) -> Vec<(u64, bool, bool)> {
    let mut batches = Vec::new();
    let mut end = 0;
    while let Ok(Some(batch)) = walk(from) {
        end += batch.len;
        batches.push((end, batch.sound, batch.marks));
    }
    batches
}
