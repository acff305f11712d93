//! A message that is being written into a folder ([`Part`]), under a name that nobody else uses; and what is left of such
//! by a client that was killed ([`sweep`]).
//!
//! Who writes a part holds a lock on it, which ends with the process however that ends: a part without a lock belongs to
//! nobody any more.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use restante::entropy::Entropy as _;

use crate::chance::Chance;

/// The characters of a part's name that were drawn.
const DRAWN: usize = 12;
const BEFORE: &str = ".restante-";
const BEHIND: &str = ".part";

/// A file that is being written, and is locked as long as it is.
pub(super) struct Part {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Part {
    /// Makes one in `folder`.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        loop {
            let path = folder.join(format!("{BEFORE}{}{BEHIND}", Chance.token(DRAWN)));
            let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.lock()?;
            // Another client may have taken it for a left-over before it was locked.
            if is_still(&path, &file.metadata()?) {
                return Ok(Self { file: BufWriter::new(file), path });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Has all of it on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    /// Removes it; what it was to become is not there.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the parts in `folder` that nobody writes any more. What only looks like one, as a link, stays.
///
/// # Errors
/// The folder cannot be read. That a part cannot be removed is no error: the next client tries again.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_name) {
            let _ = remove_abandoned(&entry.path());
        }
    }
    Ok(())
}

/// Whether a file of that name is a part.
fn is_name(name: &str) -> bool {
    let drawn = name.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(BEHIND));
    drawn.is_some_and(|drawn| drawn.len() == DRAWN && drawn.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn remove_abandoned(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let file = File::open(path)?;
    match file.try_lock() {
        // While it is locked here nobody begins to write it: it is the file that was looked at, or not removed.
        Ok(()) if is_still(path, &file.metadata()?) => fs::remove_file(path),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether `path` is that very file, and no link to it.
fn is_still(path: &Path, file: &Metadata) -> bool {
    let same = |now: Metadata| now.is_file() && (now.dev(), now.ino()) == (file.dev(), file.ino());
    fs::symlink_metadata(path).is_ok_and(same)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_writes_any_more_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut writing = Part::create(folder.path()).unwrap();
        writing.write(b"half").unwrap();
        let abandoned = at(".restante-abcdefghijkl.part");
        fs::write(&abandoned, "half").unwrap();
        for name in ["mine.part", ".restante-fetched", ".restante-short.part"] {
            fs::write(at(name), "mine").unwrap();
        }
        let target = at("target");
        fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, at(".restante-lmnopqrstuvw.part")).unwrap();
        fs::create_dir(at(".restante-xyzxyzxyzxyz.part")).unwrap();

        sweep(folder.path()).unwrap();
        assert!(!abandoned.exists());
        for kept in ["mine.part", ".restante-fetched", ".restante-short.part", "target"] {
            assert_eq!(fs::read(at(kept)).unwrap(), b"mine", "{kept}");
        }
        assert!(fs::symlink_metadata(at(".restante-lmnopqrstuvw.part")).unwrap().is_symlink());
        assert!(at(".restante-xyzxyzxyzxyz.part").is_dir());
        writing.sync().unwrap();
        assert_eq!(fs::read(writing.path()).unwrap(), b"half", "what is being written stays");
        // Its writer is gone, and was not able to say so.
        let Part { file, path } = writing;
        drop(file);
        sweep(folder.path()).unwrap();
        assert!(!path.exists());
    }
}
