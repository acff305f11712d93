//! `restante mend`: a store whose tables are damaged, made anew from what can be read of it.

use crate::archive;
use crate::config::{Config, StoreUrl};
use crate::logging;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `restante mend`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Mend {
    /// Configuration file of the node, which must not run meanwhile.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

impl Mend {
    /// Mends the store, and says how much of it could be read.
    ///
    /// # Errors
    /// It cannot be mended; nothing was changed then.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(Some(&self.config))?;
        logging::init(&config.log)?;
        let StoreUrl::Embedded(directory) = &config.store.url;
        let archive::Salvaged { records, unread } = archive::salvage(directory)?;
        super::print(&format!(
            "{records} records kept, {unread} blocks could not be read; as it was, the engine is in {}\n",
            directory.join("engine.damaged").display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
