//! `restante demo`: see the whole of it in seconds.

use anyhow::Context as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::demo::{self, Played};

/// Play a deposit, a summary and two retrievals with a node in this process, and draw what was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Demo {
    /// Also write the ladders as SVG: figure-1.svg and selection.svg in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub svg: Option<PathBuf>,
}

impl Demo {
    /// Plays it to stdout; nothing of it is left behind.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let folder = tempfile::tempdir().context("no folder for the store")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut trouble = Ok(());
        let mut tell = |line: &str| {
            if trouble.is_ok() {
                trouble = super::print(&format!("{line}\n"));
            }
        };
        let played = runtime.block_on(demo::play(folder.path(), &mut tell))?;
        trouble?;
        draw(&played)?;
        if let Some(folder) = &self.svg {
            write(folder, "figure-1.svg", &played.figure.svg())?;
            write(folder, "selection.svg", &played.selection.svg())?;
        }
        super::print("\nEvery step held.\n")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn draw(played: &Played) -> anyhow::Result<()> {
    super::print("\n─ SIP   ═ MSRP   ┄ inside the node; seconds since the first message\n")?;
    super::print("\nCharlie retrieves only the message deposited by Joe:\n\n")?;
    super::print(&played.figure.text())?;
    super::print("\nCharlie retrieves both in one shot:\n\n")?;
    super::print(&played.selection.text())
}

fn write(folder: &std::path::Path, name: &str, svg: &str) -> anyhow::Result<()> {
    let file = folder.join(name);
    std::fs::write(&file, svg).with_context(|| format!("cannot write {}", file.display()))
}
