//! Reading records back: from a node over HTTP, or from text.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use restante::ladder::Arrow;
use std::net::SocketAddr;
use std::time::Duration;

/// The most bytes of records that are read.
pub const MOST_READ: u64 = 16 << 20;
/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the node whose HTTP is at `http` for the records of a session (its Call-ID), or for all.
///
/// # Errors
/// It cannot be reached, or what it answers are no records.
pub async fn ask(http: SocketAddr, session: Option<&str>) -> anyhow::Result<Vec<Arrow>> {
    let answered = tokio::time::timeout(PATIENCE, fetch(http, session)).await.context("no answer in time");
    let lines = answered
        .and_then(|fetched| fetched)
        .with_context(|| format!("cannot read the records of the node at http://{http}"))?;
    read(&lines)
}

async fn fetch(http: SocketAddr, session: Option<&str>) -> anyhow::Result<String> {
    let stream = tokio::net::TcpStream::connect(http).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let query = session.map(|id| format!("?session={}", percent(id))).unwrap_or_default();
    let request = hyper::Request::get(format!("/records{query}"))
        .header(hyper::header::HOST, http.to_string())
        .body(Empty::new())?;
    let response = sender.send_request(request).await?;
    anyhow::ensure!(response.status().is_success(), "the node answers {}", response.status());
    let most = usize::try_from(MOST_READ).unwrap_or(usize::MAX);
    let body = Limited::new(response.into_body(), most).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

/// Reads records, JSON, one a line.
///
/// # Errors
/// A line is no record.
pub fn read(lines: &str) -> anyhow::Result<Vec<Arrow>> {
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
