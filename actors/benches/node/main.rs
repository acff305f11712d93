//! The whole node as its clients see it, over loopback, beside what the machine can do (its store alone, a
//! plain relay, an echo) and beside what its users could pick instead (Kamailio's msilo, Dovecot), in turns.
//!
//! `cargo bench -p restante-node --bench node [-- [--quick] [--list] [GROUP...]]`. Without a group all of them
//! run, in about ten minutes. A table of medians and ratios is printed; `docs/benchmarks/` gets it as JSON, as
//! Markdown and as plots. Groups that do not run keep what they measured last, so a run may be made in parts.
//! `--quick` runs everything once with little of it, to see that it works, and writes under `target/`.
//! Folders with data are made under `/var/tmp`: a real disk, and readable for whom the databases run as.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

// Of it, the plain append is the engine benchmark's alone.
#[allow(dead_code)]
#[path = "../load/bare.rs"]
mod bare;
mod board;
mod client;
mod contest;
mod group;
mod machine;
mod plot;
mod process;
mod rival;
mod size;

use board::Board;
use size::Size;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tempfile::TempDir;

/// The body of a small message, in bytes.
const BODY: usize = 200;
const MEGABYTE: f64 = 1e6;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let said = |word: &str| words.iter().any(|other| other == word);
    if said("--list") {
        return group::ALL.iter().for_each(|(name, about, _)| println!("{name:<12} {about}"));
    }
    let quick = said("--quick") || said("--test");
    let chosen: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    for name in &chosen {
        assert!(group::ALL.iter().any(|(group, ..)| group == name), "no group {name}: see --list");
    }
    machine::allow_many_files();
    let size = if quick { Size::quick() } else { Size::full() };
    let mut board = Board::open(quick);
    let start = Instant::now();
    for (name, _, run) in group::ALL {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            board.begin(name);
            run(&size, &mut board);
            board.end();
        }
    }
    println!("\n{} s in all; written to {}", start.elapsed().as_secs(), board.place().display());
}

/// A word that was never used before.
fn fresh(prefix: &str) -> String {
    format!("{prefix}{:08x}", number())
}

/// A number that was never used before in this process.
fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A new folder on a real disk.
fn place() -> TempDir {
    tempfile::Builder::new().prefix("restante-bench-").tempdir_in("/var/tmp").unwrap()
}
