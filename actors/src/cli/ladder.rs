//! `restante ladder`: who sent what to whom, drawn from a node's own records or from a file of them.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use restante::ladder::{Arrow, Ladder};
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The most bytes of records that are read.
const MOST: usize = 16 << 20;
/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

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
        let lines = match &self.file {
            Some(file) => read(file)?,
            None => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(self.ask())?
            }
        };
        let ladder = Ladder::new(arrows(&lines)?, &[]);
        anyhow::ensure!(
            !ladder.is_empty(),
            "no records: the session is unknown, or has left the node's ring"
        );
        super::print(&if self.svg { ladder.svg() } else { ladder.text() })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(&self) -> anyhow::Result<String> {
        let asking = async {
            let stream = tokio::net::TcpStream::connect(self.http).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let query = self.session.as_deref().map(|id| format!("?session={}", percent(id)));
            let request = hyper::Request::get(format!("/records{}", query.unwrap_or_default()))
                .header(hyper::header::HOST, self.http.to_string())
                .body(Empty::new())?;
            let response = sender.send_request(request).await?;
            anyhow::ensure!(response.status().is_success(), "the node answers {}", response.status());
            let body = Limited::new(response.into_body(), MOST).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
            Ok(String::from_utf8(body.to_vec())?)
        };
        let answered = tokio::time::timeout(PATIENCE, asking).await.context("no answer in time")?;
        answered.with_context(|| format!("cannot read the records of the node at http://{}", self.http))
    }
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().take(MOST as u64).read_to_string(&mut text)?;
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        opened
            .take(MOST as u64)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(text)
}

fn arrows(lines: &str) -> anyhow::Result<Vec<Arrow>> {
    (1..)
        .zip(lines.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| format!("line {number} is no record"))
        })
        .collect()
}

/// Percent-encodes all but unreserved characters (RFC 3986 2.3).
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
