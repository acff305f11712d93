//! The directory of a store: who has it, and which version of it is there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use restante::store::StoreError;

/// The version of the directory that is written, and the only one read.
const FORMAT: &str = "restante store 2\n";

/// Holds a directory against other processes.
pub(super) struct DirectoryLock(File);

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started shares the open file for a moment.
        let _ = self.0.unlock();
    }
}

/// Makes the directory if there is none, and locks it against other processes.
pub(super) fn acquire(directory: &Path) -> Result<DirectoryLock, StoreError> {
    fs::create_dir_all(directory).map_err(|error| unusable(directory, &error))?;
    let path = directory.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| unusable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Locked { directory: directory.display().to_string() })
        }
        Err(TryLockError::Error(error)) => Err(unusable(&path, &error)),
    }
}

/// Refuses a directory that another version wrote, and marks a new one.
pub(super) fn check_format(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join("format");
    match fs::read_to_string(&path) {
        Ok(format) if format == FORMAT => Ok(()),
        Ok(format) => Err(other_format(directory, format.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if directory.join("engine").exists() {
                return Err(other_format(directory, "restante store 1"));
            }
            let mark = || -> io::Result<()> {
                let mut file = File::create(&path)?;
                file.write_all(FORMAT.as_bytes())?;
                file.sync_all()?;
                File::open(directory)?.sync_all()
            };
            mark().map_err(|error| unusable(&path, &error))
        }
        Err(error) => Err(unusable(&path, &error)),
    }
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
