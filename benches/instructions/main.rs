//! How many instructions the node's ways cost, counted by `valgrind --tool=callgrind`: a guard that does not
//! depend on how busy the machine is.
//!
//! `cargo bench --bench instructions` counts and compares with `benches/instructions/counts.txt`: more than 5 %
//! off is a failure (less too: then `-- --write` writes the new counts down). Counts depend on the compiler;
//! where it is another than the one written down, or valgrind is absent, that is said and nothing is compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod ways;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How far a count may be off.
const TOLERANCE: f64 = 0.05;
/// Operations of the short run; the long one has twice as many, so that what surrounds them cancels out.
const OPERATIONS: u64 = 1000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let said = |word: &str| words.iter().any(|other| other == word);
    if let [way, count] = words.as_slice()
        && let Ok(count) = count.parse()
    {
        let (_, run) = ways::ALL.iter().find(|(name, _)| name == way).expect("a way that is known");
        run(count);
        return ExitCode::SUCCESS;
    }
    let compiler = compiler();
    let Some(counts) = count_all() else {
        println!("SKIPPED: valgrind is not installed, or does not run here; nothing was counted");
        return ExitCode::SUCCESS;
    };
    if said("--write") {
        std::fs::write(file(), written(&compiler, &counts)).unwrap();
    }
    let (before, known) = read();
    let same = before == compiler;
    let mut failed = false;
    println!("{:<44} {:>12} {:>12} {:>8}", "instructions", "now", "written down", "change");
    for (way, count) in &counts {
        let change = known.get(way).map(|known| count / known - 1.0);
        let verdict = match change {
            Some(change) if same && change.abs() > TOLERANCE => {
                failed = true;
                "  beyond 5 %"
            }
            None if same => {
                failed = true;
                "  not written down"
            }
            _ => "",
        };
        let known = known.get(way).map_or_else(String::new, |known| format!("{known:.0}"));
        let change = change.map_or_else(String::new, |change| format!("{:+.1}%", change * 100.0));
        println!("{way:<44} {count:>12.0} {known:>12} {change:>8}{verdict}");
    }
    if !same {
        println!("SKIPPED: counted with `{compiler}`, written down with `{before}`: not compared");
    } else if failed {
        println!("FAILED: if this is meant, `cargo bench --bench instructions -- --write`");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Instructions of one operation of each way; `None` without valgrind.
fn count_all() -> Option<BTreeMap<String, f64>> {
    let each = |(way, _): &(&str, ways::Run)| {
        let [once, twice] = [OPERATIONS, 2 * OPERATIONS].map(|count| instructions(way, count));
        Some(((*way).to_owned(), (twice? - once?) / OPERATIONS as f64))
    };
    ways::ALL.iter().map(each).collect()
}

/// Instructions of a process that goes a way so often.
fn instructions(way: &str, count: u64) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([way, &count.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    let line = text.lines().find_map(|line| line.split_once("Collected : "))?;
    output.status.success().then(|| line.1.trim().parse().ok())?
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/counts.txt")
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn written(compiler: &str, counts: &BTreeMap<String, f64>) -> String {
    let lines = counts.iter().map(|(way, count)| format!("{count:.0} {way}\n"));
    format!("{compiler}\n{}", lines.collect::<String>())
}

/// The compiler and the counts that are written down.
fn read() -> (String, BTreeMap<String, f64>) {
    let text = std::fs::read_to_string(file()).unwrap_or_default();
    let mut lines = text.lines();
    let compiler = lines.next().unwrap_or_default().to_owned();
    let counts = lines.filter_map(|line| {
        let (count, way) = line.split_once(' ')?;
        Some((way.to_owned(), count.parse().ok()?))
    });
    (compiler, counts.collect())
}
