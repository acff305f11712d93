//! `restante completions`: what a shell needs to complete this program's command line.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

/// Arguments of `restante completions`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// Stdout takes nothing.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut <super::Cli as CommandFactory>::command(),
            "restante",
            &mut script,
        );
        super::print(&String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}
