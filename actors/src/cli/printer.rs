//! Fetched messages on stdout: their contents as they are; with heads, and unable to command it, on a terminal; as
//! JSON, one object a line.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use console::style;
use serde_json::{Value, json};

use super::progress::Progress;
use crate::client::{IncomingId, Keep, MessageHead, RetrievedItem, visible};

/// Bytes of messages that are arriving at once.
const IN_MEMORY: usize = 256 << 20;

/// Prints each message when it is whole, before the store is told that it is.
pub(super) struct Printer {
    json: bool,
    terminal: bool,
    left: usize,
    arriving: HashMap<IncomingId, (String, usize, MessageHead, BytesMut)>,
    bar: Progress,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        let terminal = !json && io::stdout().is_terminal();
        Self { json, terminal, left: IN_MEMORY, arriving: HashMap::new(), bar: Progress::growing(json) }
    }

    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Takes the progress bar away; says whether results are told as JSON.
    pub(super) fn finish(self) -> bool {
        self.bar.finish();
        self.json
    }

    fn print(&self, item: &str, number: usize, head: &MessageHead, content: &Bytes) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            let mut line = about(item, number, head, content.len() as u64);
            let (name, value) = match std::str::from_utf8(content) {
                Ok(text) => ("text", text.to_owned()),
                Err(_) => ("base64", base64::engine::general_purpose::STANDARD.encode(content)),
            };
            if let Some(object) = line.as_object_mut() {
                object.insert(name.to_owned(), value.into());
            }
            writeln!(stdout, "{line}")?;
        } else if self.terminal {
            for (name, value) in [
                ("Message-ID", Some(item)),
                ("From", head.from.as_deref()),
                ("To", head.to.as_deref()),
                ("Subject", head.subject.as_deref()),
                ("Date", head.date.as_deref()),
                ("Content-Transfer-Encoding", head.transfer_encoding.as_deref()),
            ] {
                if let Some(value) = value {
                    let value = visible(value.as_bytes()).replace('\n', " ");
                    writeln!(stdout, "{}: {value}", style(name).bold())?;
                }
            }
            writeln!(stdout, "\n{}\n", visible(content).trim_end())?;
        } else {
            stdout.write_all(content)?;
        }
        stdout.flush()
    }
}

/// A message in JSON, without its content.
pub(super) fn about(item: &str, number: usize, head: &MessageHead, size: u64) -> Value {
    json!({
        "item": item,
        "message": number,
        "from": head.from,
        "to": head.to,
        "subject": head.subject,
        "date": head.date,
        "type": head.content_type,
        "encoding": head.transfer_encoding,
        "size": size,
    })
}

/// How far a retrieval is, in a bar.
pub(super) fn show(bar: &Progress, items: &[RetrievedItem]) {
    let done = items.iter().filter(|item| item.state.is_final()).count();
    let (bytes, expected) =
        items.iter().fold((0, 0), |(bytes, expected), item| (bytes + item.bytes, expected + item.expected));
    bar.tell(bytes, expected, format!("{done}/{}", items.len()));
}

impl Keep for Printer {
    fn begin(&mut self, id: IncomingId, item: &str, number: usize, head: &MessageHead) -> io::Result<()> {
        let is_text = head.content_type.trim_start().to_ascii_lowercase().starts_with("text/");
        if self.terminal && !is_text {
            return Err(io::Error::other(format!(
                "{} is not for a terminal: give --out DIR",
                head.content_type
            )));
        }
        self.arriving.insert(id, (item.to_owned(), number, head.clone(), BytesMut::new()));
        Ok(())
    }

    fn data(&mut self, id: IncomingId, bytes: &Bytes) -> io::Result<()> {
        let left = self.left.checked_sub(bytes.len());
        self.left =
            left.ok_or_else(|| io::Error::other("too large to be gathered in memory: give --out DIR"))?;
        if let Some((.., content)) = self.arriving.get_mut(&id) {
            content.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn commit(&mut self, id: IncomingId) -> io::Result<()> {
        let Some((item, number, head, content)) = self.arriving.remove(&id) else { return Ok(()) };
        let content = content.freeze();
        self.left += content.len();
        self.bar.suspended(|| self.print(&item, number, &head, &content))
    }

    fn discard(&mut self, id: IncomingId) {
        if let Some((.., content)) = self.arriving.remove(&id) {
            self.left += content.len();
        }
    }

    fn progress(&mut self, items: &[RetrievedItem]) {
        show(&self.bar, items);
    }
}
