//! A node that is asked for twice what it can do: deposits in an open loop over UDP and over TCP, beside
//! somebody who fetches his messages all the while; then the books are compared with the store.
//!
//! `cargo bench -p restante-node --bench overload [-- [--quick] [--rate DEPOSITS_PER_SECOND]]`: without a rate
//! the capacity is found first. The driver shares the machine's cores with the node, and what it takes the
//! node does not have: the capacity is that of both together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod load;
mod node;
mod visitor;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use load::{Load, Outcome, Transport};
use node::Node;

/// How long everything takes.
struct Size {
    search: Duration,
    load: Duration,
    rate: Option<f64>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let quick = words.iter().any(|word| word == "--quick" || word == "--test");
    let given = words.iter().position(|word| word == "--rate").and_then(|at| words.get(at + 1)?.parse().ok());
    let size = match quick {
        true => Size { search: Duration::from_millis(500), load: Duration::from_secs(1), rate: given },
        false => Size { search: Duration::from_secs(3), load: Duration::from_secs(10), rate: given },
    };
    for transport in [Transport::Udp, Transport::Tcp] {
        run(transport, &size);
    }
}

fn run(transport: Transport, size: &Size) {
    let mut node = Node::start();
    let mut books = Vec::new();
    let capacity = size.rate.unwrap_or_else(|| {
        let found = Load::closed(&node, transport, size.search);
        let rate = found.accepted() as f64 / size.search.as_secs_f64();
        books.push(found);
        rate
    });
    println!("\n{transport:?}: capacity {capacity:.0} deposits/s");
    println!(
        "{:<26} {:>8} {:>8} {:>6} {:>7} {:>8} {:>8} {:>8} {:>9} {:>9} {:>8}",
        "",
        "sent/s",
        "202/s",
        "503 %",
        "none %",
        "p50 ms",
        "p99 ms",
        "max ms",
        "fetches",
        "fetch p99",
        "RSS MiB"
    );
    let half = phase(&node, transport, "half of it", capacity / 2.0, size.load / 2);
    let twice = phase(&node, transport, "twice as much", capacity * 2.0, size.load);
    // At once, without a pause: how long it takes until nothing is refused any more.
    let after = phase(&node, transport, "half of it, right after", capacity / 2.0, size.load / 2);
    println!("  recovered after {} ms", after.recovered().as_millis());
    println!("  503 without Retry-After: {}", twice.bare());
    books.extend([half, twice, after]);
    let accepted: usize = books.iter().map(Outcome::accepted).sum();
    let missing = node.stop_and_count_missing(&books);
    println!("  accepted {accepted}, of which not in the store: {missing}");
    assert_eq!(missing, 0, "what was answered 202 is in the store");
}

fn phase(node: &Node, transport: Transport, name: &str, rate: f64, span: Duration) -> Outcome {
    let over = AtomicBool::new(false);
    let (outcome, fetches) = std::thread::scope(|scope| {
        let visitor = scope.spawn(|| visitor::fetch_until(node, &over));
        let outcome = Load::open(node, transport, rate, span);
        over.store(true, Ordering::Relaxed);
        (outcome, visitor.join().unwrap())
    });
    let seconds = span.as_secs_f64();
    let share = |count: usize| 100.0 * count as f64 / outcome.sent().max(1) as f64;
    let [half, worst, most] = [0.5, 0.99, 1.0].map(|part| quantile(&outcome.latencies(), part));
    println!(
        "{:<26} {:>8.0} {:>8.0} {:>6.1} {:>7.2} {:>8.1} {:>8.1} {:>8.1} {:>9} {:>9.1} {:>8.0}",
        name,
        outcome.sent() as f64 / seconds,
        outcome.accepted() as f64 / seconds,
        share(outcome.refused()),
        share(outcome.unanswered()),
        half,
        worst,
        most,
        fetches.len(),
        quantile(&fetches, 0.99),
        node.resident() / (1024.0 * 1024.0),
    );
    outcome
}

/// A part of the values in milliseconds, such as 0.99.
fn quantile(values: &[Duration], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
}
