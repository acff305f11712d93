//! What the engine is about to let go of: memtables that are being written out, and tables that are being compacted.
//!
//! The engine lets go of them under the lock that each read and write of a keyspace takes, and whoever lets go last
//! takes apart what is left: a memtable record by record, a table by unlinking its file. That takes 30-100 ms where
//! tens of thousands are deposited a second, and nothing is answered meanwhile. So they are held here until the engine has
//! forgotten them, and then taken apart by a thread of their own, which holds no lock.
//!
//! What is used of the engine for it is public, but not documented (`Keyspace::tree`): hence the
//! version of fjall is fixed but for its patches.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::{AbstractTree, Keyspace};

use super::pool::{Pool, PoolHandle};
use super::priority::giving_way;

/// How long it takes at least from one look to the next. A table or a memtable lives many times as long.
const LOOK: Duration = Duration::from_millis(20);

/// What may wait to be taken apart. What comes on top is taken apart by the caller of [`Retired::look`].
const WAITING: usize = 1024;

/// Holds what the engine has or had until just now. Dropped, it waits until all that the engine has forgotten is taken apart.
pub(super) struct Retired {
    keyspaces: Vec<Held>,
    next: Instant,
    /// One thread.
    undertaker: Pool,
}

impl Retired {
    pub(super) fn new(keyspaces: impl IntoIterator<Item = Keyspace>) -> io::Result<Self> {
        Ok(Self {
            keyspaces: keyspaces.into_iter().map(Held::new).collect(),
            next: Instant::now(),
            undertaker: giving_way(|| Pool::start("archive-retired", 1, WAITING))??,
        })
    }

    /// Takes hold of what the engine has now, and has what it has forgotten taken apart. To be called after each
    /// batch; most calls do nothing.
    pub(super) fn look(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + LOOK;
        let undertaker = self.undertaker.handle();
        for held in &mut self.keyspaces {
            held.look(&undertaker);
        }
    }
}

/// What is held of one keyspace, the oldest first.
struct Held {
    keyspace: Keyspace,
    /// The sets of tables that were in use, with their numbers, which rise by one.
    versions: VecDeque<(u64, Box<dyn Send>)>,
    /// With their numbers, which rise.
    memtables: VecDeque<(u64, Box<dyn Shared>)>,
}

/// Something that the engine may have as well.
trait Shared: Send {
    /// Whether it does not any more.
    fn is_forgotten(&self) -> bool;
}

impl<T: Send + Sync> Shared for Arc<T> {
    fn is_forgotten(&self) -> bool {
        Arc::strong_count(self) == 1
    }
}

impl Held {
    fn new(keyspace: Keyspace) -> Self {
        Self { keyspace, versions: VecDeque::new(), memtables: VecDeque::new() }
    }

    fn look(&mut self, undertaker: &PoolHandle) {
        let tree = &self.keyspace.tree;
        let version = tree.current_version();
        let current = version.id();
        if self.versions.back().is_none_or(|(last, _)| *last != current) {
            self.versions.push_back((current, Box::new(version)));
        }
        // The engine has at most so many others, and their numbers are the ones before the current.
        let older = tree.version_free_list_len() as u64;
        while self.versions.front().is_some_and(|(id, _)| id + older < current) {
            take_apart(undertaker, self.versions.pop_front());
        }
        let memtable = tree.active_memtable();
        if self.memtables.back().is_none_or(|(last, _)| *last != memtable.id) {
            self.memtables.push_back((memtable.id, Box::new(memtable)));
        }
        while self.memtables.front().is_some_and(|(_, memtable)| memtable.is_forgotten()) {
            take_apart(undertaker, self.memtables.pop_front());
        }
    }
}

fn take_apart(undertaker: &PoolHandle, what: impl Send + 'static) {
    // Where it cannot wait it is taken apart here.
    let _ = undertaker.submit(move || drop(what));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use fjall::{Database, KeyspaceCreateOptions};

    use super::*;

    /// No older moment is read by anybody.
    const NOW: u64 = u64::MAX >> 1;

    struct Bench {
        keyspace: Keyspace,
        _database: Database,
        _place: tempfile::TempDir,
        retired: Retired,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let database = Database::builder(place.path()).open().unwrap();
            let keyspace = database.keyspace("records", KeyspaceCreateOptions::default).unwrap();
            let retired = Retired::new([keyspace.clone()]).unwrap();
            Self { keyspace, _database: database, _place: place, retired, now: Instant::now() }
        }

        /// Writes a memtable out, upon which the engine forgets what it had before. None of its threads has a part in it.
        fn write_out(&self) {
            self.keyspace.insert("key", "value").unwrap();
            self.keyspace.tree.flush_active_memtable(NOW).unwrap();
        }

        fn compact(&self) {
            self.keyspace.tree.major_compact(64 << 20, 0).unwrap();
        }

        fn look(&mut self) {
            self.now += LOOK;
            self.retired.look(self.now);
        }

        /// How many memtables and sets of tables are held.
        fn held(&self) -> (usize, usize) {
            let held = &self.retired.keyspaces[0];
            (held.memtables.len(), held.versions.len())
        }

        fn newest(&self) -> u64 {
            self.retired.keyspaces[0].versions.back().unwrap().0
        }

        /// The files of tables that the engine has forgotten.
        fn forgotten(&self) -> usize {
            let files = std::fs::read_dir(self.keyspace.path().join("tables")).unwrap().count();
            files - self.keyspace.table_count()
        }
    }

    #[test]
    fn a_compacted_table_is_unlinked_when_the_engine_has_forgotten_it_and_not_by_the_engine() {
        let mut bench = Bench::new();
        (0..3).for_each(|_| bench.write_out());
        bench.look();
        bench.compact();
        (0..3).for_each(|_| bench.write_out());
        assert_eq!(bench.keyspace.tree.version_free_list_len(), 0, "the engine remembers no former tables");
        assert_eq!(bench.forgotten(), 3, "these are held");

        bench.look();
        // It waits for its thread.
        bench.retired = Retired::new([]).unwrap();
        assert_eq!(bench.forgotten(), 0);
    }

    #[test]
    fn what_the_engine_has_still_is_held_and_nothing_older() {
        let mut bench = Bench::new();
        for _ in 0..20 {
            bench.write_out();
            bench.look();
            let older = bench.keyspace.tree.version_free_list_len();
            let (memtables, versions) = bench.held();
            assert!((1..=1 + older).contains(&memtables), "{memtables} memtables, {older} older versions");
            assert!((1..=1 + older).contains(&versions), "{versions} sets of tables, {older} older ones");
            assert_eq!(bench.newest(), bench.keyspace.tree.current_version().id());
        }
    }

    #[test]
    fn a_look_too_soon_does_nothing() {
        let mut bench = Bench::new();
        bench.look();
        let first = bench.newest();
        bench.write_out();
        bench.retired.look(bench.now + LOOK / 2);
        assert_eq!(bench.newest(), first);
        bench.retired.look(bench.now + LOOK);
        assert!(bench.newest() > first);
    }
}
