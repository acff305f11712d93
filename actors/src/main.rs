//! The binary `restante`: reads the command line and does what it says.

use clap::Parser;
use mimalloc::MiMalloc;
use restante_node::cli::Cli;
use std::io::Write;
use std::process::ExitCode;

/// What is read on one thread is freed on another after it was written to a socket; the C library's allocator
/// gives such memory back to the system and asks for it again, page by page (`docs/benchmarks.md`, *Memory*).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command().run() {
        Ok(code) => code,
        Err(error) => {
            // One line, whatever a cause contains.
            let line = format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let _ = writeln!(std::io::stderr(), "restante: {line}");
            ExitCode::FAILURE
        }
    }
}
