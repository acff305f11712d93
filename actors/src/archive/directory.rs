//! The directory of a store: who has it, and which version of it is there.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use restante::store::StoreError;

use super::journal;

/// The version of the directory that is written, and the only one read.
const FORMAT: &str = "restante store 2\n";

/// Holds a directory against other processes.
pub(super) struct DirectoryLock {
    file: File,
    path: PathBuf,
}

impl DirectoryLock {
    /// The file that is locked, for whoever looks whether it is still there, and its path.
    pub(super) fn share(&self) -> io::Result<(PathBuf, File)> {
        Ok((self.path.clone(), self.file.try_clone()?))
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started shares the open file for a moment.
        let _ = self.file.unlock();
    }
}

/// Makes the directory if there is none, for nobody else to look into, and locks it against other processes.
pub(super) fn acquire(directory: &Path) -> Result<DirectoryLock, StoreError> {
    make(directory).map_err(|error| unusable(directory, &error))?;
    let path = directory.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| unusable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock { file, path }),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Locked { directory: directory.display().to_string() })
        }
        Err(TryLockError::Error(error)) => Err(unusable(&path, &error)),
    }
}

/// What people have written is in it. One that is there already is left as it is, and told of if others may enter it.
fn make(directory: &Path) -> io::Result<()> {
    match fs::metadata(directory) {
        Ok(there) => {
            let mode = there.permissions().mode() & 0o777;
            if mode & 0o007 != 0 {
                let (directory, mode) = (directory.display(), format_args!("{mode:04o}"));
                tracing::warn!(%directory, %mode, "other users of this machine may read what is stored: chmod o= keeps them out");
            }
            Ok(())
        }
        Err(_) => {
            if let Some(parent) = directory.parent() {
                fs::create_dir_all(parent)?;
            }
            DirBuilder::new().recursive(true).mode(0o700).create(directory)
        }
    }
}

/// Stands in a directory whose engine is being made: nothing is kept in it yet.
const MAKING: &str = "making";

/// What a directory is, before its engine is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// One that is kept.
    Kept,
    /// One whose engine is still to be made.
    New,
}

/// Refuses a directory that another version wrote, or of which a part is missing: opened, that would be a store without
/// items, which removes all contents that it knows nothing of.
pub(super) fn examine(directory: &Path) -> Result<Found, StoreError> {
    let (path, engine) = (directory.join("format"), directory.join("engine"));
    match fs::read_to_string(&path) {
        Ok(format) if format != FORMAT => Err(other_format(directory, format.trim())),
        Ok(_) if !has_journal(&engine)? => Err(StoreError::Unavailable(format!(
            "{} has no journal: a part of the store is missing. Bring back the whole of {}; to begin with an empty \
             store, move it away",
            engine.display(),
            directory.display()
        ))),
        Ok(_) => Ok(Found::Kept),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            begin(directory, &engine)?;
            Ok(Found::New)
        }
        Err(error) => Err(unusable(&path, &error)),
    }
}

/// Whether a store is kept in the directory, or was: one that is begun holds nothing yet. Nothing is changed.
pub(super) fn is_kept(directory: &Path) -> Result<bool, StoreError> {
    let is_there = |name: &str| {
        let path = directory.join(name);
        path.try_exists().map_err(|error| unusable(&path, &error))
    };
    Ok(is_there("format")? || is_there("engine")? && !is_there(MAKING)?)
}

/// Whether there is a journal of the engine, of which there always is one.
fn has_journal(engine: &Path) -> Result<bool, StoreError> {
    match journal::journals(engine) {
        Ok(journals) => Ok(!journals.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unusable(engine, &error)),
    }
}

/// Notes that an engine is being made; what an earlier attempt has left of one, on a full disk or killed, goes.
fn begin(directory: &Path, engine: &Path) -> Result<(), StoreError> {
    let making = directory.join(MAKING);
    if engine.exists() {
        if !making.exists() {
            return Err(StoreError::Unavailable(format!(
                "{} has an engine, and no `format` that says of which version: a part of the store is missing, and the whole \
                 has to be brought back; or it is `restante store 1`, which had none, and this node reads and writes `{}` only",
                directory.display(),
                FORMAT.trim()
            )));
        }
        fs::remove_dir_all(engine).map_err(|error| unusable(engine, &error))?;
    }
    write(directory, MAKING, "").map_err(|error| unusable(&making, &error))
}

/// Marks a directory whose engine was just made as one that is kept.
pub(super) fn made(directory: &Path) -> Result<(), StoreError> {
    let marked = write(directory, "format", FORMAT).and_then(|()| fs::remove_file(directory.join(MAKING)));
    marked.map_err(|error| unusable(&directory.join("format"), &error))
}

/// Writes a small file so that it stays. It is there whole, or not at all.
fn write(directory: &Path, name: &str, content: &str) -> io::Result<()> {
    let (path, new) = (directory.join(name), directory.join(format!("{name}.new")));
    let mut file = File::create(&new)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)?;
    File::open(directory)?.sync_all()
}

fn other_format(directory: &Path, found: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "{} holds `{}`, and this node reads and writes `{}` only: move it away, or run the node that wrote it",
        directory.display(),
        found.escape_debug(),
        FORMAT.trim()
    ))
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}
