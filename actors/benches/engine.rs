//! Deposits a second into the embedded store, beside what its engine does at best: bare records of
//! the same size, written with the same discipline (one thread, one batch and one sync for all that
//! wait), and beside plain appends to a file. Then the time to open again, and to list and open.
//!
//! `cargo bench -p restante-node --bench engine [-- SECONDS]`; the directory is made under the one
//! that holds the build, so that it is a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use restante::store::{Body, DepositKey, Envelope, ListQuery, Owner, PagerDeposit, Quota, Store};
use restante::time::Timestamp;
use restante_node::archive::Archive;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// How many mailboxes the deposits go to.
const MAILBOXES: u64 = 1000;

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
                let answer = store.deposit(deposit(number));
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

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Keeps `in_flight` operations going for `span`, and gives how many ended in a second.
async fn rate<F: Future<Output = ()>>(
    in_flight: usize,
    span: Duration,
    next: &mut u64,
    operation: impl Fn(u64) -> F,
) -> f64 {
    let counter = std::cell::Cell::new(*next);
    let done = std::cell::Cell::new(0u64);
    let start = Instant::now();
    let lane = async || {
        while start.elapsed() < span {
            let number = counter.get();
            counter.set(number + 1);
            operation(number).await;
            done.set(done.get() + 1);
        }
    };
    let lanes = tokio::task::LocalSet::new();
    lanes.run_until(join_all((0..in_flight).map(|_| Box::pin(lane())))).await;
    *next = counter.get();
    done.get() as f64 / start.elapsed().as_secs_f64()
}

/// Waits for all of the futures, and polls only those that were woken.
async fn join_all<F: Future<Output = ()>>(futures: impl Iterator<Item = std::pin::Pin<Box<F>>>) {
    let mut lanes: Vec<Option<Lane<F>>> = futures.map(|future| Some(Lane::new(future))).collect();
    std::future::poll_fn(move |context| {
        let mut left = false;
        for slot in &mut lanes {
            if slot.as_mut().is_some_and(|lane| lane.poll(context)) {
                *slot = None;
            }
            left |= slot.is_some();
        }
        if left { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}

struct Lane<F> {
    future: std::pin::Pin<Box<F>>,
    flag: Arc<Flag>,
}

struct Flag {
    woken: std::sync::atomic::AtomicBool,
    task: std::sync::Mutex<Option<std::task::Waker>>,
}

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, std::sync::atomic::Ordering::Release);
        if let Some(task) = self.task.lock().unwrap().as_ref() {
            task.wake_by_ref();
        }
    }
}

impl<F: Future<Output = ()>> Lane<F> {
    fn new(future: std::pin::Pin<Box<F>>) -> Self {
        let flag = Flag { woken: true.into(), task: std::sync::Mutex::default() };
        Self { future, flag: Arc::new(flag) }
    }

    fn poll(&mut self, context: &std::task::Context<'_>) -> bool {
        *self.flag.task.lock().unwrap() = Some(context.waker().clone());
        if !self.flag.woken.swap(false, std::sync::atomic::Ordering::AcqRel) {
            return false;
        }
        let waker = self.flag.clone().into();
        self.future.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_ready()
    }
}

fn owner(number: u64) -> Owner {
    Owner::new(format!("user{}", number % MAILBOXES).as_bytes(), "example.com")
}

/// A deposit of 200 bytes with about 300 of what is kept beside them.
fn deposit(number: u64) -> PagerDeposit {
    let call_id = format!("{number:016x}b1946ac92492d2347c6235b4@alicepc.example.org");
    PagerDeposit {
        owner: owner(number),
        sender: Owner::new(b"alice", "example.org"),
        key: DepositKey { call_id: call_id.into(), from_tag: Bytes::from_static(b"88sja8x"), cseq: 1 },
        envelope: Envelope {
            from: Bytes::from_static(b"\"Alice\" <sip:alice@example.org>;tag=88sja8x"),
            to: Bytes::from_static(b"\"Bob\" <sip:bob@example.com>"),
            subject: Some(Bytes::from_static(b"carpool tomorrow?")),
            date: Bytes::from_static(b"Sun, 09 Jul 2000 21:23:01 GMT"),
            priority: Some(Bytes::from_static(b"normal")),
            content: vec![(Bytes::from_static(b"Content-Type"), Bytes::from_static(b"text/plain"))],
            expires: None,
            text: true,
            urgent: false,
        },
        body: Body::Inline(vec![b'x'; 200].into()),
        quota: Quota { items: 1 << 40, bytes: 1 << 60, ..Quota::default() },
        now: Timestamp(1_700_000_000_000 + number),
        ends: Timestamp(1_700_600_000_000 + number),
        remember: Duration::from_secs(86_400),
    }
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
