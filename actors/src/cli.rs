//! The command line: `serve`, `check`, `config`; without a subcommand, `serve` on built-in defaults.

use crate::config::{self, Config, ConfigError};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// A SIP/MSRP store for messages and sessions whose recipient is away.
#[derive(Debug, Parser)]
#[command(name = "restante", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the node in the foreground.
    Serve {
        /// Configuration file; without one, built-in defaults on loopback.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say whether a configuration file is good.
    Check {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print every key with its default and meaning.
    Config {
        /// As the tables of docs/operations.md instead of a configuration file.
        #[arg(long)]
        markdown: bool,
    },
}

/// What is left to do after the command line was read.
#[derive(Debug, PartialEq)]
pub enum Task {
    /// Run a node with this configuration.
    Serve(Box<Config>),
    /// Print this.
    Print(String),
}

impl Cli {
    /// The subcommand, or what stands for none.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve { config: None })
    }
}

impl Command {
    /// Loads what the command needs.
    ///
    /// # Errors
    /// The configuration is not good.
    pub fn prepare(self) -> Result<Task, ConfigError> {
        match self {
            Self::Serve { config } => Ok(Task::Serve(Box::new(Config::load(config.as_deref())?))),
            Self::Check { config } => {
                Config::load(Some(&config))?;
                Ok(Task::Print(format!("{}: good\n", config.display())))
            }
            Self::Config { markdown: true } => Ok(Task::Print(config::markdown())),
            Self::Config { markdown: false } => Ok(Task::Print(config::describe())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(Cli::command)
    }

    #[test]
    fn the_declaration_is_sound() {
        <Cli as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn no_subcommand_serves_the_defaults() {
        assert_eq!(parse("restante").unwrap(), Command::Serve { config: None });
        let file = Some(PathBuf::from("a.toml"));
        assert_eq!(parse("restante serve --config a.toml").unwrap(), Command::Serve { config: file });
    }

    #[test]
    fn check_needs_a_file() {
        assert!(parse("restante check").is_err());
        assert!(parse("restante check --config x").is_ok());
        assert!(parse("restante sreve").is_err());
    }
}
