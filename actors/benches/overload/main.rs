//! A node that is asked for twice what it can do: deposits in an open loop over UDP and over TCP, beside
//! somebody who fetches his messages all the while; then the books are compared with the store.
//!
//! Promises are printed with what was found, `ok` or `NOT`; where one was not kept, the exit code is 1.
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
use visitor::Visits;

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
    let kept = [Transport::Udp, Transport::Tcp].map(|transport| run(transport, &size));
    // A second of load proves that the driver works, and nothing about the node.
    if !quick && kept.contains(&false) {
        std::process::exit(1);
    }
}

/// Puts a node of its own under load over `transport`; whether everything was as it is promised.
fn run(transport: Transport, size: &Size) -> bool {
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
        "{:<26} {:>8} {:>8} {:>6} {:>7} {:>8} {:>8} {:>8} {:>9} {:>8} {:>9} {:>8} {:>8}",
        "",
        "sent/s",
        "202/s",
        "503 %",
        "none %",
        "p50 ms",
        "p99 ms",
        "max ms",
        "503 p99",
        "fetches",
        "fetch p99",
        "RSS MiB",
        "grown"
    );
    let half = phase(&node, transport, "half of it", capacity / 2.0, size.load / 2);
    let twice = phase(&node, transport, "twice as much", capacity * 2.0, size.load);
    // At once, without a pause: how long it takes until nothing is refused any more.
    let after = phase(&node, transport, "half of it, right after", capacity / 2.0, size.load / 2);
    let goodput = twice.load.accepted() as f64 / size.load.as_secs_f64() / capacity;
    let early = quantile(&twice.load.refusals(), 0.99);
    let recovered = after.load.recovered();
    let mut promises = vec![
        Promise::new("something is refused at twice the load", twice.load.refused() > 0, String::new()),
        Promise::new(
            "each 503 has a Retry-After",
            twice.load.bare() == 0,
            format!("{} without", twice.load.bare()),
        ),
        Promise::new("and comes early: p99 within 500 ms", early <= 500.0, format!("{early:.1} ms")),
        Promise::new(
            "half of the capacity at least is still served",
            goodput >= 0.5,
            format!("{:.0} %", goodput * 100.0),
        ),
        Promise::new(
            "retrievals, and what they say within their dialogs, go on",
            !twice.visits.took.is_empty() && twice.visits.refused.is_empty(),
            format!("{} of them, {} refused", twice.visits.took.len(), twice.visits.refused.len()),
        ),
        Promise::new(
            "memory is flat: it grows by less than 96 MiB, which the engine may cache",
            twice.grown < 96.0,
            format!("{:.0} MiB", twice.grown),
        ),
        Promise::new(
            "nothing is refused any more after a second",
            recovered <= Duration::from_secs(1),
            format!("the last one after {} ms", recovered.as_millis()),
        ),
    ];
    books.extend([half.load, twice.load, after.load]);
    let accepted: usize = books.iter().map(Outcome::accepted).sum();
    let log = node.log();
    let missing = node.stop_and_count_missing(&books);
    promises.push(Promise::new(
        "what was answered 202 is in the store, after kill -9",
        missing == 0,
        format!("{missing} of {accepted} missing"),
    ));
    for (refusal, after) in &twice.visits.refused {
        println!("  a retrieval was refused after {after:?}: {}", refusal.escape_debug());
    }
    for Promise { what, kept, found } in &promises {
        println!("  {:<4} {what}: {found}", if *kept { "ok" } else { "NOT" });
    }
    if !promises.iter().all(|promise| promise.kept) {
        println!("The node had to say:\n{log}");
    }
    assert_eq!(missing, 0, "what was answered 202 is in the store");
    promises.iter().all(|promise| promise.kept)
}

/// Something that is promised, and whether it was so.
struct Promise {
    what: &'static str,
    kept: bool,
    found: String,
}

impl Promise {
    const fn new(what: &'static str, kept: bool, found: String) -> Self {
        Self { what, kept, found }
    }
}

/// What became of a time under load.
struct Phase {
    load: Outcome,
    /// The retrievals meanwhile.
    visits: Visits,
    /// By how much the node's memory at its peak is above that of the first second, in MiB.
    grown: f64,
}

/// How often the node's memory is looked at.
const LOOK: Duration = Duration::from_millis(100);

fn phase(node: &Node, transport: Transport, name: &str, rate: f64, span: Duration) -> Phase {
    let over = AtomicBool::new(false);
    let (outcome, visits, memory) = std::thread::scope(|scope| {
        let visitor = scope.spawn(|| visitor::fetch_until(node, &over));
        let memory = scope.spawn(|| {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.push(node.resident() / (1024.0 * 1024.0));
                std::thread::sleep(LOOK);
            }
            seen
        });
        let outcome = Load::open(node, transport, rate, span);
        over.store(true, Ordering::Relaxed);
        (outcome, visitor.join().unwrap(), memory.join().unwrap())
    });
    let seconds = span.as_secs_f64();
    let share = |count: usize| 100.0 * count as f64 / outcome.sent().max(1) as f64;
    let [half, worst, most] = [0.5, 0.99, 1.0].map(|part| quantile(&outcome.latencies(), part));
    let peak = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let (begin, peak) = (peak(&memory[..memory.len().min(10)]), peak(&memory));
    println!(
        "{:<26} {:>8.0} {:>8.0} {:>6.1} {:>7.2} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>8} {:>9.1} {:>8.0} {:>8.0}",
        name,
        outcome.sent() as f64 / seconds,
        outcome.accepted() as f64 / seconds,
        share(outcome.refused()),
        share(outcome.unanswered()),
        half,
        worst,
        most,
        quantile(&outcome.refusals(), 0.99),
        visits.took.len(),
        quantile(&visits.took, 0.99),
        peak,
        peak - begin,
    );
    Phase { load: outcome, visits, grown: peak - begin }
}

/// A part of the values in milliseconds, such as 0.99.
fn quantile(values: &[Duration], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
}
