//! `restante chat`: a session with somebody, or with the store in his place; lines typed are sent.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use console::style;
use serde_json::json;
use tokio::sync::mpsc;

use super::access::Access;
use super::outcome::{Outcome, Trouble, UNKNOWN_RECIPIENT, advised};
use super::printer::about;
use crate::client::{Account, Chat as Session, ChatEvent, Client, PagerMessage, ReceivedMessage, visible};

/// Lines that were typed ahead of what is sent.
const TYPED_AHEAD: usize = 16;
/// Bytes of a line.
const LONGEST_LINE: usize = 64 * 1024;

/// Arguments of `restante chat`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Chat {
    /// The address of the other side, as sip:bob@example.com
    pub to: String,

    /// What it is about
    #[arg(long)]
    pub subject: Option<String>,

    /// How urgent it is
    #[arg(long, value_parser = ["emergency", "urgent", "normal", "non-urgent"])]
    pub priority: Option<String>,

    /// Who asks, whom, and how it is told.
    #[command(flatten)]
    pub access: Access,
}

impl Chat {
    /// Sends each line of stdin as a message, until its end; shows what the other side says.
    ///
    /// # Errors
    /// The machine denies what the client needs.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let to = match Account::parse(&self.to) {
            Ok(to) => to.uri().to_owned(),
            Err(error) => return Ok(Trouble::Usage(error.to_string()).tell()),
        };
        self.access.run(async |client| self.talk(&client, &to).await)
    }

    async fn talk(&self, client: &Client, to: &str) -> Result<Outcome, Trouble> {
        let about = PagerMessage {
            subject: self.subject.clone(),
            priority: self.priority.clone(),
            ..PagerMessage::text(to, "")
        };
        let opened = client.chat(to, Some(about)).await;
        let mut session = opened.map_err(advised(404, UNKNOWN_RECIPIENT))?;
        let interactive = std::io::stdin().is_terminal() && !self.access.json;
        if interactive {
            let hint = "connected; each line is a message, Ctrl-D ends";
            eprintln!("{}", style(hint).for_stderr().dim());
        }
        let mut lines = typed();
        let mut sent = 0_usize;
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) => {
                        let line = line?;
                        if !line.is_empty() {
                            session.say(&line).await?;
                            sent += 1;
                        }
                    }
                    None => break,
                },
                event = session.next() => match event? {
                    ChatEvent::Said(message) => self.hear(&message)?,
                    ChatEvent::Ended => {
                        eprintln!("{}", style("the other side has ended the session").for_stderr().dim());
                        return self.end(&session, sent);
                    }
                },
            }
        }
        let ended = self.end(&session, sent);
        session.bye().await?;
        ended
    }

    fn end(&self, session: &Session, sent: usize) -> Result<Outcome, Trouble> {
        let mut stdout = std::io::stdout().lock();
        if self.access.json {
            writeln!(stdout, "{}", json!({ "message_id": session.call_id(), "sent": sent }))?;
        } else if !std::io::stdin().is_terminal() && sent > 0 {
            writeln!(stdout, "{}", session.call_id())?;
        }
        Ok(Outcome::Done)
    }

    fn hear(&self, message: &ReceivedMessage) -> Result<(), Trouble> {
        let mut stdout = std::io::stdout().lock();
        let text = String::from_utf8_lossy(&message.content);
        if self.access.json {
            let mut line = about(&message.item, message.number, &message.head, message.content.len() as u64);
            if let Some(object) = line.as_object_mut() {
                object.insert("text".to_owned(), text.into());
            }
            writeln!(stdout, "{line}")?;
        } else if stdout.is_terminal() {
            writeln!(stdout, "{} {}", style("<").cyan(), visible(&message.content))?;
        } else {
            writeln!(stdout, "{text}")?;
        }
        stdout.flush()?;
        Ok(())
    }
}

/// The lines of stdin, read by a thread of their own: a read from a terminal cannot be given up.
fn typed() -> mpsc::Receiver<std::io::Result<String>> {
    let (typed, lines) = mpsc::channel(TYPED_AHEAD);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = std::io::Read::take(&mut stdin, LONGEST_LINE as u64).read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) => return,
                Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => Err(error),
            };
            let failed = line.is_err();
            if typed.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    lines
}
