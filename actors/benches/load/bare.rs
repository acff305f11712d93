//! What the store's engine, or a file, does at best: bare records, one for each deposit, written with the store's own
//! discipline (one thread, one batch and one sync for all that wait).

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use tokio::sync::oneshot;

/// The size of a bare record: what an item's record comes to with the deposits of the benchmarks.
const RECORD: usize = 520;

/// The discipline alone: a queue, a thread, a batch, a sync.
pub struct Bare(SyncSender<(u64, oneshot::Sender<()>)>);

impl Bare {
    /// With a bare record for each, in the engine, which has as many threads as in the node.
    pub fn engine(directory: &Path) -> Self {
        let database =
            Database::builder(directory).manual_journal_persist(true).worker_threads(3).open().unwrap();
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
    pub fn append(path: &Path) -> Self {
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

    pub fn write(&self, number: u64) -> impl Future<Output = ()> + use<> {
        let (answer, answered) = oneshot::channel();
        self.0.send((number, answer)).unwrap();
        async move { answered.await.unwrap() }
    }
}
