//! What the engine no longer needs: memtables that were written out, and tables that were compacted.
//!
//! The engine lets go of them under the lock that each read and write of a keyspace takes, and whoever lets go last
//! takes apart what is left: a memtable record by record, a table by unlinking its file. With memtables of 32 MiB that took
//! 30-150 ms, and nothing was answered meanwhile. So they are held here until the engine has
//! forgotten them, and then taken apart by a thread of their own, which holds no lock. What is made and forgotten
//! between two looks is not held; nothing depends on it but time.
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

/// What may wait to be taken apart, a memtable each at most. What comes on top is taken apart by the caller of
/// [`Retired::look`], without the lock as well, so that memory is bounded where the thread gets little of the processor.
const WAITING: usize = 8;

/// Holds what the engine has or had until just now. Dropped, it waits until all that the engine has forgotten is taken apart:
/// no file is unlinked after the engine is closed, if the engine is closed after it.
pub(super) struct Retired {
    keyspaces: Vec<Held>,
    next: Instant,
    /// One thread.
    thread: Pool,
}

impl Retired {
    pub(super) fn new(keyspaces: impl IntoIterator<Item = Keyspace>) -> io::Result<Self> {
        Ok(Self {
            keyspaces: keyspaces.into_iter().map(Held::new).collect(),
            next: Instant::now(),
            thread: giving_way(|| Pool::start("archive-retired", 1, WAITING))??,
        })
    }

    /// Whether anything is held that the engine may forget without anything being written.
    pub(super) fn is_holding(&self) -> bool {
        self.keyspaces.iter().any(|held| held.versions.len() > 1 || held.memtables.len() > 1)
    }

    /// Takes hold of what the engine has now, and has what it has forgotten taken apart. To be called after each
    /// batch; most calls do nothing.
    pub(super) fn look(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + LOOK;
        let thread = self.thread.handle();
        for held in &mut self.keyspaces {
            held.look(&thread);
        }
    }
}

/// What is held of one keyspace, the oldest first.
struct Held {
    keyspace: Keyspace,
    /// The sets of tables that were in use, with their numbers. Those of the engine rise by one.
    versions: VecDeque<(u64, Box<dyn Send>)>,
    /// With their numbers, which rise.
    memtables: VecDeque<(u64, Box<dyn Shared>)>,
}

/// Something that the engine may have as well.
trait Shared: Send {
    /// Whether nobody else has it any more.
    fn is_ours_alone(&self) -> bool;
}

impl<T: Send + Sync> Shared for Arc<T> {
    fn is_ours_alone(&self) -> bool {
        Arc::strong_count(self) == 1
    }
}

impl Held {
    fn new(keyspace: Keyspace) -> Self {
        Self { keyspace, versions: VecDeque::new(), memtables: VecDeque::new() }
    }

    fn look(&mut self, thread: &PoolHandle) {
        let tree = &self.keyspace.tree;
        let version = tree.current_version();
        let current = version.id();
        if self.versions.back().is_none_or(|(last, _)| *last != current) {
            self.versions.push_back((current, Box::new(version)));
        }
        // The engine has at most so many others, and their numbers are the ones before the current. The last that is older than all
        // of them stays: the next may have been missed, and has tables in common with it.
        let older = tree.version_free_list_len() as u64;
        while self.versions.get(1).is_some_and(|(id, _)| id + older <= current) {
            take_apart(thread, self.versions.pop_front());
        }
        let memtable = tree.active_memtable();
        if self.memtables.back().is_none_or(|(last, _)| *last != memtable.id) {
            self.memtables.push_back((memtable.id, Box::new(memtable)));
        }
        // A compaction or a reader may keep an early one for long.
        for _ in 0..self.memtables.len() {
            match self.memtables.pop_front() {
                Some((_, memtable)) if memtable.is_ours_alone() => take_apart(thread, memtable),
                Some(held) => self.memtables.push_back(held),
                None => {}
            }
        }
    }
}

fn take_apart(thread: &PoolHandle, what: impl Send + 'static) {
    // Where it cannot wait it is taken apart here.
    let _ = thread.submit(move || drop(what));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use fjall::{Database, KeyspaceCreateOptions};

    use super::*;

    /// No older moment is read by anybody.
    const NOW: u64 = u64::MAX >> 1;

    struct Bench {
        // Dropped in this order.
        retired: Retired,
        keyspace: Keyspace,
        _database: Database,
        _place: tempfile::TempDir,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let database = Database::builder(place.path()).open().unwrap();
            let keyspace = database.keyspace("records", KeyspaceCreateOptions::default).unwrap();
            let retired = Retired::new([keyspace.clone()]).unwrap();
            Self { retired, keyspace, _database: database, _place: place, now: Instant::now() }
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

        /// So many tables are there for no other reason than that they are held.
        #[track_caller]
        fn assert_held(&self, tables: usize) {
            assert_eq!(
                self.keyspace.tree.version_free_list_len(),
                0,
                "the engine remembers no former tables"
            );
            assert_eq!(self.forgotten(), tables, "these are held");
        }
    }

    #[test]
    fn a_compacted_table_is_unlinked_when_the_engine_has_forgotten_it_and_not_by_the_engine() {
        let mut bench = Bench::new();
        (0..3).for_each(|_| bench.write_out());
        bench.look();
        bench.compact();
        (0..3).for_each(|_| bench.write_out());
        bench.assert_held(3);

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
    fn a_memtable_that_is_read_holds_up_no_later_one() {
        let mut bench = Bench::new();
        bench.keyspace.insert("key", "value").unwrap();
        bench.look();
        let first = bench.keyspace.tree.active_memtable();
        for _ in 0..5 {
            bench.write_out();
            bench.look();
        }
        assert_eq!(bench.held().0, 2, "the first and the last");
        assert!(bench.retired.is_holding());
        drop(first);
        bench.look();
        assert_eq!(bench.held(), (1, 1));
        assert!(!bench.retired.is_holding());
    }

    #[test]
    fn tables_of_a_version_that_no_look_has_seen_are_held_as_well() {
        let mut bench = Bench::new();
        (0..3).for_each(|_| bench.write_out());
        bench.look();
        // This one has the three and is not seen: the next look finds them compacted.
        bench.write_out();
        bench.compact();
        bench.look();
        bench.write_out();
        bench.assert_held(3);
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
