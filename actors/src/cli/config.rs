//! `restante config`: every key with its default and meaning.

use crate::config;
use std::process::ExitCode;

/// Arguments of `restante config`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Describe {
    /// As the tables of docs/operations.md instead of a configuration file.
    #[arg(long)]
    pub markdown: bool,
}

impl Describe {
    /// Prints the keys.
    ///
    /// # Errors
    /// Stdout takes nothing.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        super::print(&if self.markdown { config::markdown() } else { config::describe() })?;
        Ok(ExitCode::SUCCESS)
    }
}
