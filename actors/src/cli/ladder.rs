//! `restante ladder`: who sent what to whom, drawn from a node's own records or from a file of them.

use anyhow::Context as _;
use restante::ladder::Ladder;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::records;

/// Draw what was said as a ladder diagram.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["file", "session", "all"])))]
pub struct Draw {
    /// A file of records, JSON, one a line, as a node's /records gives them; `-` for standard input.
    pub file: Option<PathBuf>,
    /// The session to ask the node for: its Call-ID.
    #[arg(long, value_name = "CALL-ID")]
    pub session: Option<String>,
    /// Ask the node for all that it has recorded.
    #[arg(long)]
    pub all: bool,
    /// Where the node serves HTTP (`[http] listen`).
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Draw an SVG document instead of text.
    #[arg(long)]
    pub svg: bool,
}

impl Draw {
    /// Draws it to stdout.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let arrows = match &self.file {
            Some(file) => records::read(&read(file)?)?,
            None => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(records::ask(self.http, self.session.as_deref()))?
            }
        };
        let ladder = Ladder::new(arrows, &[]);
        anyhow::ensure!(
            !ladder.is_empty(),
            "no records: the session is unknown, or has left the node's ring"
        );
        super::print(&if self.svg { ladder.svg() } else { ladder.text() })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().take(records::MOST_READ).read_to_string(&mut text)?;
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        opened
            .take(records::MOST_READ)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(text)
}
