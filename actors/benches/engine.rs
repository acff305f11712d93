//! Deposits a second into the embedded store, beside what its engine does at best: bare records of
//! the same size, written with the same discipline (one thread, one batch and one sync for all that
//! wait), and beside plain appends to a file. Then the time to open again, and to list and open.
//!
//! `cargo bench -p restante-node --bench engine [-- SECONDS]`; the directory is made under the one
//! that holds the build, so that it is a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod load;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use restante::store::{ListQuery, Store};
use restante_node::archive::Archive;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use self::load::{deposit, median, owner, rate};

/// The size of a bare record: what an item's record comes to with the deposit below.
const RECORD: usize = 520;

/// How many turns each of the two gets.
const ROUNDS: u32 = 9;

fn main() {
    let seconds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(20);
    let span = Duration::from_secs(seconds);
    let executable = std::env::current_exe().unwrap();
    let place = tempfile::tempdir_in(executable.parent().unwrap()).unwrap();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();

    println!("{:>10} {:>14} {:>14} {:>14} {:>8}", "in flight", "append/s", "engine/s", "deposits/s", "share");
    let store = Arc::new(Archive::open(&place.path().join("store")).unwrap());
    let bare = Bare::engine(&place.path().join("bare"));
    let append = Bare::append(&place.path().join("append"));
    let mut next = 0;
    for in_flight in [1, 64, 512] {
        // In turns, so that what else the machine does disturbs all alike; the share is the median
        // of the rounds' own shares.
        let mut rates: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            let span = span / ROUNDS / 3;
            let plain = runtime.block_on(rate(in_flight, span, &mut next, |number| append.write(number)));
            let best = runtime.block_on(rate(in_flight, span, &mut next, |number| bare.write(number)));
            let ours = runtime.block_on(rate(in_flight, span, &mut next, |number| {
                let answer = store.deposit(deposit(owner(number), number));
                async move { assert!(!answer.await.unwrap().repeated) }
            }));
            for (rates, rate) in rates.iter_mut().zip([plain, best, ours, ours / best]) {
                rates.push(rate);
            }
        }
        let [append, bare, ours, share] = rates.map(median);
        println!("{in_flight:>10} {append:>14.0} {bare:>14.0} {ours:>14.0} {:>7.0}%", share * 100.0);
    }
    reading(&runtime, &store);
    drop(store);
    let start = Instant::now();
    let store = Archive::open(&place.path().join("store")).unwrap();
    println!("opened again in {:?}, {next} numbers tried", start.elapsed());
    drop(store);
}

/// The discipline alone: a queue, a thread, a batch, a sync.
struct Bare(SyncSender<(u64, oneshot::Sender<()>)>);

impl Bare {
    /// With a bare record for each, in the engine.
    fn engine(directory: &Path) -> Self {
        let database =
            Database::builder(directory).manual_journal_persist(true).worker_threads(2).open().unwrap();
        let records = database
            .keyspace("records", || KeyspaceCreateOptions::default().max_memtable_size(16 << 20))
            .unwrap();
        Self::start(move |numbers| {
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            for number in numbers {
                batch.insert(&records, number.to_be_bytes(), vec![b'x'; RECORD]);
            }
            batch.commit().unwrap();
        })
    }

    /// Appended to a file.
    fn append(path: &Path) -> Self {
        let mut file = std::fs::File::create(path).unwrap();
        Self::start(move |numbers| {
            file.write_all(&vec![b'x'; RECORD * numbers.len()]).unwrap();
            file.sync_data().unwrap();
        })
    }

    fn start(mut write: impl FnMut(&[u64]) + Send + 'static) -> Self {
        let (orders, queue) = sync_channel::<(u64, oneshot::Sender<()>)>(8192);
        std::thread::spawn(move || {
            while let Ok(first) = queue.recv() {
                let all = std::iter::once(first).chain(queue.try_iter().take(1023));
                let (numbers, answers): (Vec<_>, Vec<_>) = all.unzip();
                write(&numbers);
                answers.into_iter().for_each(|answer| answer.send(()).unwrap());
            }
        });
        Self(orders)
    }

    fn write(&self, number: u64) -> impl Future<Output = ()> + use<> {
        let (answer, answered) = oneshot::channel();
        self.0.send((number, answer)).unwrap();
        async move { answered.await.unwrap() }
    }
}

fn reading(runtime: &Runtime, store: &Archive) {
    let timed = |what: &str, operation: &dyn Fn(u64)| {
        let start = Instant::now();
        (0..500).for_each(operation);
        println!("{what}: {:?} each", start.elapsed() / 500);
    };
    let heads = runtime.block_on(store.list(owner(0), ListQuery::default())).unwrap();
    timed(&format!("list of {} items", heads.len().min(20)), &|number| {
        let query = ListQuery { limit: 20, ..ListQuery::default() };
        runtime.block_on(store.list(owner(number), query)).unwrap();
    });
    timed("counts", &|number| {
        runtime.block_on(store.counts(owner(number))).unwrap();
    });
    timed("open", &|number| {
        let head = &heads[number as usize % heads.len()];
        runtime.block_on(store.open(owner(0), head.message_id.clone())).unwrap().unwrap();
    });
}
