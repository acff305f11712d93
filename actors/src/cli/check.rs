//! `restante check`: whether a configuration file is good.

use crate::config::Config;
use crate::link::Tls;
use anyhow::Context as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `restante check`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Check {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

impl Check {
    /// Says that the file is good.
    ///
    /// # Errors
    /// It is not.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(Some(&self.config))?;
        Tls::load(crate::node::tls_files(&config)).context("[tls]")?;
        super::print(&format!("{}: good\n", self.config.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
