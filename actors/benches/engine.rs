//! Deposits a second into the embedded store, beside what its engine does at best: bare records of
//! the same size, written with the same discipline (one thread, one batch and one sync for all that
//! wait), and beside plain appends to a file. Then the time to open again, and to list and open.
//!
//! `cargo bench -p restante-node --bench engine [-- SECONDS]`; the directory is made under the one
//! that holds the build, so that it is a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "load/bare.rs"]
mod bare;
mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use restante::store::{ListQuery, Store};
use restante_node::archive::Archive;
use tokio::runtime::{Builder, Runtime};

use self::bare::Bare;
use self::load::{deposit, median, owner, rate};

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
