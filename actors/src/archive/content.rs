//! Large contents: a file each under `content/`, written while it arrives, synced before a record
//! names it, unlinked after the last record that named it is gone.

use std::collections::HashMap;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use restante::store::{Answer, Body, ContentId, MAX_INLINE, Staged, Staging, StoreError};
use tokio::sync::oneshot;

use super::keys;
use super::pool::{self, PoolHandle, lock};
use super::staging::FileStaging;
use super::tree::Tree;
use crate::seldom::seldom;

/// The directory of the large contents.
pub(super) struct Contents {
    directory: PathBuf,
    /// The open directory, to sync names in it.
    names: File,
    next: AtomicU64,
    discarded: Mutex<Vec<ContentId>>,
    pub(super) pool: PoolHandle,
    /// Whether the next file that is made is a panic.
    #[cfg(test)]
    pub(super) panics: std::sync::atomic::AtomicBool,
}

impl Contents {
    /// Opens the directory and removes what no record names: a crash left it.
    pub(super) fn open(directory: PathBuf, tree: &Tree, pool: PoolHandle) -> Result<Self, StoreError> {
        let broken = |error| unavailable(&directory, &error);
        fs::create_dir_all(&directory).map_err(broken)?;
        let names = File::open(&directory).map_err(broken)?;
        let mut highest = last_named(tree)?;
        for (id, entry) in entries(&directory).map_err(broken)? {
            highest = highest.max(id.0);
            // Where nobody can tell whether a record names it, it stays.
            if matches!(tree.get(&keys::file(id)), Ok(None)) {
                fs::remove_file(entry.path()).map_err(broken)?;
                tracing::info!(content = id.0, "content without a record swept");
            }
        }
        let next = AtomicU64::new(highest.saturating_add(1));
        Ok(Self {
            names,
            next,
            discarded: Mutex::default(),
            pool,
            directory,
            #[cfg(test)]
            panics: std::sync::atomic::AtomicBool::default(),
        })
    }

    fn path(&self, id: ContentId) -> PathBuf {
        self.directory.join(format!("{:016x}", id.0))
    }

    /// Makes a new, empty file.
    pub(super) fn create(&self) -> Result<(ContentId, File), StoreError> {
        #[cfg(test)]
        assert!(!self.panics.swap(false, Ordering::Relaxed), "a panic was asked for");
        let id = ContentId(self.next.fetch_add(1, Ordering::Relaxed));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(id));
        Ok((id, file.map_err(|error| self.broken(&error))?))
    }

    /// Syncs a file, and its name, to the disk.
    pub(super) fn sync(&self, file: &File) -> Result<(), StoreError> {
        file.sync_all().and_then(|()| self.names.sync_all()).map_err(|error| self.broken(&error))
    }

    pub(super) fn broken(&self, error: &io::Error) -> StoreError {
        unavailable(&self.directory, error)
    }

    /// Reads up to `len` bytes from `offset`; `None` when the file is not there.
    pub(super) fn read(&self, id: ContentId, offset: u64, len: usize) -> Result<Option<Bytes>, StoreError> {
        let mut file = match File::open(self.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.broken(&error)),
        };
        let size = file.metadata().map_err(|error| self.broken(&error))?.len();
        let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        if len == 0 {
            return Ok(Some(Bytes::new()));
        }
        let mut bytes = Vec::with_capacity(len);
        // Read to the end of the part: so the memory is not cleared first.
        let read = file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| file.take(len as u64).read_to_end(&mut bytes))
            .map_err(|error| self.broken(&error))?;
        if read < len {
            return Err(self.broken(&io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some(bytes.into()))
    }

    /// Unlinks contents that no record names, as soon as a thread is free.
    pub(super) fn unlink(self: &Arc<Self>, ids: Vec<ContentId>) {
        if ids.is_empty() {
            return;
        }
        lock(&self.discarded).extend(ids);
        let contents = self.clone();
        // When the queue is full the next call takes them along, or the next opening sweeps them.
        let _ = self.pool.submit(move || contents.unlink_discarded());
    }

    fn unlink_discarded(&self) {
        let ids = std::mem::take(&mut *lock(&self.discarded));
        for id in ids {
            if let Err(error) = fs::remove_file(self.path(id)) {
                seldom!(error, content = id.0, cause = %error, "content not unlinked");
            }
        }
    }

    /// A finished content that is unlinked when nothing comes to name it.
    pub(super) fn staged(self: &Arc<Self>, id: ContentId, size: u64) -> Staged {
        let contents = self.clone();
        Staged::new(id, size, move |id| contents.unlink(vec![id]))
    }

    pub(super) fn stage(self: &Arc<Self>) -> FileStaging {
        FileStaging::new(self.clone())
    }

    /// Sets a large inline body aside in a file; other bodies come back as they are.
    pub(super) fn set_aside(self: &Arc<Self>, body: Body) -> Answer<Body> {
        let bytes = match body {
            Body::Inline(bytes) if bytes.len() > MAX_INLINE => bytes,
            body => return Box::pin(std::future::ready(Ok(body))),
        };
        let staging = Box::new(self.stage());
        let written = staging.write(0, bytes);
        let finished = staging.finish();
        Box::pin(async move {
            written.await?;
            finished.await
        })
    }

    /// Runs `work` on a thread that may wait for the disk.
    pub(super) fn answer<T: Send + 'static>(
        pool: &PoolHandle,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        let submitted = pool.submit(move || {
            // The caller may have gone.
            let _ = answer.send(work());
        });
        pool::answer(submitted, answered)
    }
}

/// The files in the directory of large contents, with their sizes in bytes.
#[derive(Debug, Default)]
pub(super) struct Files(HashMap<ContentId, u64>);

impl Files {
    /// Looks into the directory.
    pub(super) fn of(directory: &Path) -> Result<Self, StoreError> {
        let sizes = entries(directory)
            .and_then(|all| all.into_iter().map(|(id, entry)| Ok((id, entry.metadata()?.len()))).collect());
        sizes.map(Self).map_err(|error| unavailable(directory, &error))
    }

    /// Whether so many bytes of a content are there.
    pub(super) fn have(&self, id: ContentId, size: u64) -> bool {
        self.0.get(&id).is_some_and(|held| *held >= size)
    }
}

/// The contents in the directory.
fn entries(directory: &Path) -> io::Result<Vec<(ContentId, DirEntry)>> {
    let named = |entry: DirEntry| Some((parse_name(&entry.path())?, entry));
    fs::read_dir(directory)?.filter_map(|entry| entry.map(named).transpose()).collect()
}

fn unavailable(directory: &Path, error: &io::Error) -> StoreError {
    seldom!(error, directory = %directory.display(), cause = %error, "content directory failed");
    StoreError::Unavailable(format!("{}: {error}", directory.display()))
}

fn parse_name(path: &Path) -> Option<ContentId> {
    let name = path.file_name()?.to_str()?;
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok().map(ContentId)).flatten()
}

/// The highest content that a record names.
fn last_named(tree: &Tree) -> Result<u64, StoreError> {
    let last = tree.moment().prefix(&keys::FILES).next_back().transpose()?;
    Ok(last.and_then(|(key, _)| keys::last_number(&key)).unwrap_or_default())
}
