//! `restante send`: leaves a message.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::num::IntErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use restante::time::Timestamp;
use serde_json::json;

use super::access::Access;
use super::outcome::{Outcome, Trouble, UNKNOWN_RECIPIENT, advised};
use super::progress::Progress;
use crate::client::{Account, Body, Client, PagerMessage};
use crate::clock;

/// A MESSAGE has no more bytes of content; what is larger goes over MSRP, as a session of one message.
const LARGEST_PAGER: usize = 64 * 1024;

/// No Expires says more (RFC 3261 20.19).
const LONGEST: u64 = u32::MAX as u64;

/// Arguments of `restante send`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Send {
    /// The recipient's address, as sip:bob@example.com
    pub to: String,

    /// The text; `-`, or none where stdin is no terminal: what stdin says
    #[arg(conflicts_with = "file")]
    pub text: Option<String>,

    /// Send the content of this file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// The content's media type [default: text/plain;charset=UTF-8; for a file, what its name says]
    #[arg(long = "type", value_name = "TYPE/SUBTYPE", value_parser = media_type)]
    pub media_type: Option<String>,

    /// What it is about
    #[arg(long)]
    pub subject: Option<String>,

    /// How urgent it is
    #[arg(long, value_parser = ["emergency", "urgent", "normal", "non-urgent"])]
    pub priority: Option<String>,

    /// How long it is worth keeping: seconds, or a number with m, h or d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expires: Option<Duration>,

    /// Leave it as an MSRP session of one message, however small it is
    #[arg(long)]
    pub session: bool,

    /// Who asks, whom, and how it is told.
    #[command(flatten)]
    pub access: Access,
}

impl Send {
    /// Leaves the message.
    ///
    /// # Errors
    /// The machine denies what the client needs.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let message = match self.message() {
            Ok(message) => message,
            Err(trouble) => return Ok(trouble.tell()),
        };
        self.access.run(async |client| self.deposit(&client, message).await)
    }

    async fn deposit(&self, client: &Client, message: PagerMessage) -> Result<Outcome, Trouble> {
        let (message_id, how) = if self.session || message.body.bytes.len() > LARGEST_PAGER {
            (self.by_session(client, message).await?, "session")
        } else {
            let sent = client.send(message).await.map_err(advised(404, UNKNOWN_RECIPIENT))?;
            (sent.call_id, "message")
        };
        if self.expires == Some(Duration::ZERO) {
            eprintln!("restante: it expires at once: nothing of it is kept");
        }
        let mut stdout = std::io::stdout().lock();
        if self.access.json {
            writeln!(stdout, "{}", json!({ "message_id": message_id, "deposited_as": how }))?;
        } else {
            writeln!(stdout, "{message_id}")?;
        }
        Ok(Outcome::Done)
    }

    async fn by_session(&self, client: &Client, message: PagerMessage) -> Result<String, Trouble> {
        let Body { content_type, bytes } = message.body.clone();
        let content_type = String::from_utf8_lossy(&content_type).into_owned();
        let bar = Progress::of_bytes(bytes.len() as u64, self.access.json);
        let opened = client.chat(&message.to.clone(), Some(message)).await;
        let mut chat = opened.map_err(advised(404, UNKNOWN_RECIPIENT))?;
        let sent = chat.send(&content_type, bytes, |sent| bar.at(sent)).await;
        bar.finish();
        let message_id = chat.call_id().to_owned();
        // Without a message there is no item: the BYE matters only after one.
        sent?;
        chat.bye().await?;
        Ok(message_id)
    }

    fn message(&self) -> Result<PagerMessage, Trouble> {
        let to = Account::parse(&self.to).map_err(|error| Trouble::Usage(error.to_string()))?;
        let content = self.content()?;
        let known = self.file.as_deref().map_or("text/plain;charset=UTF-8", type_of);
        let content_type = self.media_type.clone().unwrap_or_else(|| known.to_owned());
        Ok(PagerMessage {
            body: Body::new(content_type, content),
            subject: self.subject.clone(),
            priority: self.priority.clone(),
            expires: self.expires,
            date: Some(now()),
            ..PagerMessage::text(to.uri(), "")
        })
    }

    fn content(&self) -> Result<Bytes, Trouble> {
        let mut content = Vec::new();
        match (&self.file, self.text.as_deref()) {
            (Some(path), _) => {
                content = std::fs::read(path)
                    .map_err(|error| Trouble::Local(format!("{}: {error}", path.display())))?;
            }
            (None, Some(text)) if text != "-" => content.extend_from_slice(text.as_bytes()),
            (None, None) if std::io::stdin().is_terminal() => {
                return Err(Trouble::Usage("what is to be said? Give a text, or --file FILE".to_owned()));
            }
            _ => {
                std::io::stdin().lock().read_to_end(&mut content)?;
            }
        }
        Ok(content.into())
    }
}

/// The present, in the whole seconds that a Date has.
fn now() -> Timestamp {
    Timestamp(clock::wall().seconds() * 1000)
}

/// The media type that a file's name tells.
fn type_of(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "text" | "log" => "text/plain;charset=UTF-8",
        "md" => "text/markdown;charset=UTF-8",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

fn media_type(text: &str) -> Result<String, String> {
    let parsed = restante::wire::sip::MediaType::parse(&Bytes::copy_from_slice(text.as_bytes()));
    match parsed {
        Ok(parsed) if !parsed.essence().contains('*') => Ok(text.to_owned()),
        _ => Err("not a media type like image/png".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let factor = match text.get(digits.len()..) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 86_400,
        _ => 0,
    };
    let none = || "not a duration like 90, 15m, 12h or 7d".to_owned();
    let seconds = match digits.parse::<u64>() {
        _ if factor == 0 => return Err(none()),
        Ok(number) => number.saturating_mul(factor),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => u64::MAX,
        Err(_) => return Err(none()),
    };
    match seconds {
        0..=LONGEST => Ok(Duration::from_secs(seconds)),
        _ => Err(format!(
            "longer than {LONGEST} seconds (some 136 years), the longest that a header field can say"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "1w", "1mm", "-1"] {
            assert!(duration(text).unwrap_err().contains("not a duration"), "{text}");
        }
        assert_eq!(duration("4294967295"), Ok(Duration::from_secs(LONGEST)));
        for text in ["4294967296", "49711d", "99999999999999999999d"] {
            assert!(duration(text).unwrap_err().contains("longer than 4294967295 seconds"), "{text}");
        }
    }

    #[test]
    fn types_are_read_and_guessed() {
        assert!(media_type("image/png").is_ok() && media_type("text/plain;charset=x").is_ok());
        assert!(media_type("image/*").is_err() && media_type("nonsense").is_err());
        assert_eq!(type_of(Path::new("a/B.PNG")), "image/png");
        assert_eq!(type_of(Path::new("Makefile")), "application/octet-stream");
    }
}
