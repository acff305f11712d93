//! The command line: one file for each subcommand; without a subcommand, `serve` on built-in defaults.

mod access;
mod chat;
mod check;
mod completions;
mod config;
mod demo;
mod directory;
mod fetch;
mod ladder;
mod mend;
mod outcome;
mod part;
mod printer;
mod progress;
mod send;
mod serve;
mod summary;
mod table;
mod user;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

pub use access::Access;
pub use chat::Chat;
pub use check::Check;
pub use completions::Completions;
pub use config::Describe;
pub use demo::Demo;
pub use fetch::Fetch;
pub use ladder::Draw;
pub use mend::Mend;
pub use send::Send;
pub use serve::Serve;
pub use summary::Summary;
pub use user::User;

/// A SIP/MSRP store for messages and sessions whose recipient is away.
#[derive(Debug, Parser)]
#[command(name = "restante", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the node in the foreground.
    Serve(Serve),
    /// Say whether a configuration file is good.
    Check(Check),
    /// Make a store whose tables are damaged anew from what can be read of it, while its node is stopped.
    Mend(Mend),
    /// Print every key with its default and meaning.
    Config(Describe),
    /// Leave a message for somebody.
    Send(Send),
    /// Tell what waits; on a terminal, fetch what is picked.
    Summary(Summary),
    /// Fetch what was left for you, to stdout or into files.
    Fetch(Fetch),
    /// Hold a session with somebody, or with the store in his place.
    Chat(Chat),
    /// Print what a shell needs to complete this program's commands.
    Completions(Completions),
    /// Add, remove or list the users who may authenticate.
    User(User),
    /// See it work: a deposit, a summary and two retrievals, played and drawn.
    Demo(Demo),
    /// Draw what was said as a ladder diagram, from a node's records.
    Ladder(Draw),
}

impl Cli {
    /// The subcommand, or what stands for none.
    #[must_use]
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(Serve::default()))
    }
}

impl Command {
    /// Does what is asked; says how the process exits.
    ///
    /// # Errors
    /// Why it could not be done: one line for stderr.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Check(check) => check.run(),
            Self::Mend(mend) => mend.run(),
            Self::Config(describe) => describe.run(),
            Self::Send(send) => send.run(),
            Self::Summary(summary) => summary.run(),
            Self::Fetch(fetch) => fetch.run(),
            Self::Chat(chat) => chat.run(),
            Self::Completions(completions) => completions.run(),
            Self::User(user) => user.run(),
            Self::Demo(demo) => demo.run(),
            Self::Ladder(draw) => draw.run(),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::path::PathBuf;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(Cli::command)
    }

    #[test]
    fn the_declaration_is_sound() {
        <Cli as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn no_subcommand_serves_the_defaults() {
        assert_eq!(parse("restante").unwrap(), Command::Serve(Serve { config: None }));
        let config = Some(PathBuf::from("a.toml"));
        assert_eq!(parse("restante serve --config a.toml").unwrap(), Command::Serve(Serve { config }));
    }

    #[test]
    fn check_needs_a_file() {
        assert!(parse("restante check").is_err());
        assert!(parse("restante check --config x").is_ok());
        assert!(parse("restante sreve").is_err());
    }
}
