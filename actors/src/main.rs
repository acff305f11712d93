//! The binary `restante`: reads the command line and does what it says.

use clap::Parser;
use restante_node::cli::Cli;
use std::io::Write;
use std::process::ExitCode;

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
