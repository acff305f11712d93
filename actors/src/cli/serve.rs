//! `restante serve`: the node in the foreground.

use crate::config::{Config, LogFormat};
use crate::{logging, node};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `restante serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Serve {
    /// Configuration file; without one, built-in defaults on loopback.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Serve {
    /// Runs a node until it is told to stop.
    ///
    /// # Errors
    /// The configuration is not good, or the node cannot start.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        logging::init(&config.log)?;
        let format = config.log.format;
        match node::run(config) {
            // Whoever reads JSON reads nothing else.
            Err(error) if format == LogFormat::Json && tracing::enabled!(tracing::Level::ERROR) => {
                tracing::error!(error = format!("{error:#}"), "the node cannot start, or cannot go on");
                Ok(ExitCode::FAILURE)
            }
            ended => ended.map(|()| ExitCode::SUCCESS),
        }
    }
}
