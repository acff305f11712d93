//! The binary `restante`: reads the command line and the configuration, then runs the node.

use clap::Parser;
use restante_node::cli::{Cli, Task};
use restante_node::{logging, node};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever a cause contains.
            let line = format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let _ = writeln!(std::io::stderr(), "restante: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command().prepare()? {
        Task::Print(text) => print(&text),
        Task::Serve(config) => {
            logging::init(&config.log)?;
            node::run(*config)
        }
    }
}

/// Prints to stdout; a reader who has seen enough (`restante config | head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
