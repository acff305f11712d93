//! `restante check`: whether a configuration file is good, and the users file that it names.

use crate::config::Config;
use crate::link::Tls;
use crate::users::UserTable;
use crate::{logging, node};
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
        Tls::load(node::tls_files(&config)).context("[tls]")?;
        if let Some(users) = &config.auth.users {
            UserTable::load(users, &node::realm(&config), &config.trust.realm)?;
        }
        logging::check(&config.log)?;
        super::print(&format!("{}: good\n", self.config.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
