//! Whether a store is still where it was opened. What is written into files that nobody finds any more is not kept, and
//! no write fails of it.
//!
//! Looked at are the lock, the directories, which are the same as long as the store is open, and the engine's newest journal: a
//! deposit is in no other file until a table is written out. The engine gives journals numbers that rise by one. It begins the next when
//! one has 64 MB, and removes the oldest, but never the newest. So whoever looks from one that was the newest upwards, a number at a
//! time, comes to the newest before he is past it, however many of them come and go meanwhile.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::directory::DirectoryLock;
use super::journal;
use super::pool::lock;

/// How many journals may have come between two looks: 64 GB, within a second.
const AHEAD: u64 = 1000;

/// Which file it is, of all of the machine.
type Identity = (u64, u64);

/// What a store was opened with.
pub(super) struct Presence {
    /// Held open: as long as they are, no other has their identity.
    held: Vec<(PathBuf, File)>,
    engine: PathBuf,
    /// A journal that is the newest, or was.
    journal: Mutex<(u64, Identity)>,
}

impl Presence {
    /// Takes hold of the store in `directory`, whose engine is open.
    pub(super) fn of(directory: &Path, lock: &DirectoryLock) -> io::Result<Self> {
        let mut held = vec![lock.share()?];
        let [engine, content] = ["engine", "content"].map(|name| directory.join(name));
        hold(content, &mut held)?;
        hold(engine.clone(), &mut held)?;
        let Some((number, path)) = journal::journals(&engine)?.pop() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the engine has no journal"));
        };
        let journal = (number, identity(&fs::metadata(path)?));
        Ok(Self { held, engine, journal: Mutex::new(journal) })
    }

    /// What is not there any more, or is another, if anything is. Where that cannot be told nothing is missing.
    pub(super) fn missing(&self) -> Option<PathBuf> {
        let is_gone = |path: &Path, file: &File| match (look(path), file.metadata()) {
            (Ok(there), Ok(held)) => there != Some(identity(&held)),
            (_, _) => false,
        };
        let gone = self.held.iter().find(|(path, file)| is_gone(path, file)).map(|(path, _)| path.clone());
        gone.or_else(|| self.missing_journal())
    }

    fn missing_journal(&self) -> Option<PathBuf> {
        let mut known = lock(&self.journal);
        match self.newest(known.0) {
            Ok(Some(newest)) if newest.0 > known.0 => *known = newest,
            Ok(newest) if newest != Some(*known) => return Some(journal::path(&self.engine, known.0)),
            Ok(_) | Err(_) => {}
        }
        None
    }

    /// The newest journal, of which `number` or one after it is known to be it.
    fn newest(&self, number: u64) -> io::Result<Option<(u64, Identity)>> {
        let mut newest = None;
        for number in number..number.saturating_add(AHEAD) {
            match look(&journal::path(&self.engine, number))? {
                Some(identity) => newest = Some((number, identity)),
                None if newest.is_some() => break,
                None => {}
            }
        }
        Ok(newest)
    }
}

/// Takes hold of a directory and of all directories in it.
fn hold(directory: PathBuf, held: &mut Vec<(PathBuf, File)>) -> io::Result<()> {
    held.push((directory.clone(), File::open(&directory)?));
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            hold(entry.path(), held)?;
        }
    }
    Ok(())
}

/// What is at `path`, if anything is.
fn look(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(identity(&metadata))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::directory;
    use super::*;

    /// An engine of nothing but journals.
    struct Bench {
        place: tempfile::TempDir,
        _lock: DirectoryLock,
        presence: Presence,
    }

    impl Bench {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            fs::create_dir(place.path().join("content")).unwrap();
            fs::create_dir(place.path().join("engine")).unwrap();
            let lock = directory::acquire(place.path()).unwrap();
            fs::write(place.path().join("engine/7.jnl"), "").unwrap();
            let presence = Presence::of(place.path(), &lock).unwrap();
            Self { place, _lock: lock, presence }
        }

        fn journal(&self, number: u64) -> PathBuf {
            journal::path(&self.place.path().join("engine"), number)
        }

        fn make(&self, number: u64) {
            File::create_new(self.journal(number)).unwrap();
        }

        fn remove(&self, number: u64) {
            fs::remove_file(self.journal(number)).unwrap();
        }

        #[track_caller]
        fn assert_missing(&self, number: Option<u64>) {
            assert_eq!(self.presence.missing(), number.map(|number| self.journal(number)));
        }
    }

    #[test]
    fn journals_that_are_begun_and_removed_in_order_are_nothing_missing() {
        let bench = Bench::new();
        bench.make(8);
        bench.assert_missing(None);
        bench.remove(7);
        bench.assert_missing(None);
        for number in 9..30 {
            bench.make(number);
            bench.remove(number - 1);
        }
        bench.assert_missing(None);
        bench.remove(29);
        bench.assert_missing(Some(29));
    }

    #[test]
    fn an_older_journal_is_not_taken_for_the_newest() {
        let bench = Bench::new();
        bench.make(8);
        bench.assert_missing(None);
        bench.remove(8);
        bench.assert_missing(Some(8));
    }

    /// However they fall together with a look.
    #[test]
    fn journals_that_come_and_go_during_a_look_are_nothing_missing() {
        let bench = Bench::new();
        std::thread::scope(|scope| {
            let engine = scope.spawn(|| {
                for number in 8..3000 {
                    bench.make(number);
                    bench.remove(number - 1);
                }
            });
            let mut looks = 0_u32;
            while !engine.is_finished() || looks < 100 {
                bench.assert_missing(None);
                looks += 1;
            }
        });
        bench.assert_missing(None);
        bench.remove(2999);
        bench.assert_missing(Some(2999));
    }
}
