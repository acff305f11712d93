//! What the embedded store costs as it fills: deposits, list, counts and opening at so many stored
//! items, and the same at mailboxes of 10, 1000 and 100 000 items.
//!
//! `cargo bench -p restante-node --bench scale [-- ITEMS...]`, by default 1000, 100 000 and a million;
//! a million take about a gigabyte under the directory that holds the build.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod load;

use std::path::Path;
use std::time::{Duration, Instant};

use restante::store::{ListQuery, Owner, Store};
use restante_node::archive::Archive;
use tokio::runtime::{Builder, Runtime};

use self::load::{MAILBOXES, deposit, median, owner, rate};

/// How long deposits are counted for.
const SPAN: Duration = Duration::from_secs(1);

/// How many items the mailboxes have that are compared.
const LARGE: [u64; 3] = [10, 1000, 100_000];

/// How many times; the median counts.
const ROUNDS: usize = 5;

/// How many reads are timed.
const READS: u64 = 300;

fn main() {
    let sizes: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1000, 100_000, 1_000_000] } else { sizes };
    let executable = std::env::current_exe().unwrap();
    let place = tempfile::tempdir_in(executable.parent().unwrap()).unwrap();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    by_items(&runtime, &place.path().join("items"), &sizes);
    by_mailbox(&runtime, &place.path().join("mailboxes"));
}

/// One store that grows, with all its items in a thousand mailboxes.
fn by_items(runtime: &Runtime, directory: &Path, sizes: &[u64]) {
    println!("{} mailboxes:", MAILBOXES);
    println!("{:>12} {HEADINGS} {:>12} {:>12}", "stored items", "opening", "MB on disk");
    let mut next = 0;
    for size in sizes {
        let store = Archive::open(directory).unwrap();
        fill(runtime, &store, &mut next, *size, owner);
        let row = measure(runtime, &store, &mut next, owner);
        drop(store);
        let begun = Instant::now();
        let store = Archive::open(directory).unwrap();
        let opening = begun.elapsed();
        drop(store);
        println!("{size:>12} {row} {opening:>12.0?} {:>12}", bytes_under(directory) >> 20);
    }
}

/// Mailboxes of so many items each, in a store that holds little else.
fn by_mailbox(runtime: &Runtime, directory: &Path) {
    println!("one mailbox:");
    println!("{:>12} {HEADINGS}", "its items");
    let store = Archive::open(directory).unwrap();
    let mut next = 1 << 40;
    for size in LARGE {
        let mailbox = Owner::new(format!("large{size}").as_bytes(), "example.com");
        let begun = next;
        fill(runtime, &store, &mut next, begun + size, |_| mailbox.clone());
        println!("{size:>12} {}", measure(runtime, &store, &mut next, |_| mailbox.clone()));
    }
}

const HEADINGS: &str = "deposits/s at 64   list of 20   list after       counts        open";

/// Deposits until `next` is `until`.
fn fill(runtime: &Runtime, store: &Archive, next: &mut u64, until: u64, owner: impl Fn(u64) -> Owner) {
    while *next < until {
        let from = *next;
        let some = (from..until.min(from + 20_000)).map(|number| store_one(store, &owner, number));
        for answer in some.collect::<Vec<_>>() {
            runtime.block_on(answer).unwrap();
        }
        *next = until.min(from + 20_000);
    }
}

fn store_one(
    store: &Archive,
    owner: &impl Fn(u64) -> Owner,
    number: u64,
) -> restante::store::Answer<restante::store::Deposited> {
    loop {
        let mut answer = store.deposit(deposit(owner(number), number));
        // A full queue is the only refusal that comes at once.
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        match answer.as_mut().poll(context) {
            std::task::Poll::Pending => return answer,
            std::task::Poll::Ready(Ok(done)) => return Box::pin(std::future::ready(Ok(done))),
            std::task::Poll::Ready(Err(_)) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// A row of the table.
fn measure(runtime: &Runtime, store: &Archive, next: &mut u64, owner: impl Fn(u64) -> Owner) -> String {
    let some = |after| ListQuery { after, limit: 20, state: None };
    let list = timed(|number| drop(runtime.block_on(store.list(owner(number), some(None))).unwrap()));
    let last = runtime.block_on(store.counts(owner(0))).unwrap().items;
    let after = timed(|number| {
        drop(runtime.block_on(store.list(owner(number), some(Some(last.saturating_sub(20))))).unwrap());
    });
    let counts = timed(|number| {
        runtime.block_on(store.counts(owner(number))).unwrap();
    });
    let ids = runtime.block_on(store.list(owner(0), some(None))).unwrap();
    let open = timed(|number| {
        let id = ids[number as usize % ids.len()].message_id.clone();
        runtime.block_on(store.open(owner(0), id)).unwrap().unwrap();
    });
    // Last, for it adds to what is there.
    let rates = (0..ROUNDS).map(|_| {
        runtime.block_on(rate(64, SPAN, next, |number| {
            let answer = store.deposit(deposit(owner(number), number));
            async move { assert!(!answer.await.unwrap().repeated) }
        }))
    });
    let rate = median(rates.collect());
    format!("{rate:>18.0} {list:>12.1?} {after:>12.1?} {counts:>12.1?} {open:>11.1?}")
}

/// What one of many reads takes, in the middle.
fn timed(operation: impl Fn(u64)) -> Duration {
    let times = (0..READS).map(|number| {
        let begun = Instant::now();
        operation(number);
        begun.elapsed().as_secs_f64()
    });
    Duration::from_secs_f64(median(times.collect()))
}

fn bytes_under(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => bytes_under(&entry.path()),
            metadata => metadata.blocks() * 512,
        })
        .sum()
}
