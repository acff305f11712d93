//! What goes over the wires of a client, for whoever wants to look: [`Observer`] and what it is shown.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use restante::machine::sip::Transport;
use restante::time::Timestamp;

/// Is shown each SIP message and MSRP frame, in order, when it is handed to the socket or was read from it.
///
/// It is called on the client's own task: it must not block.
pub type Observer = Arc<dyn Fn(&Seen) + Send + Sync>;

/// The protocol of something seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeenProtocol {
    /// One SIP message.
    Sip,
    /// One MSRP frame, or a part of one that is large.
    Msrp,
}

/// One message on the wire.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, in civil time.
    pub at: Timestamp,
    /// When, since the process began to count.
    pub since: Duration,
    /// Whether it was sent, and not received.
    pub sent: bool,
    /// What it is.
    pub protocol: SeenProtocol,
    /// Over what.
    pub transport: Transport,
    /// Our address.
    pub local: SocketAddr,
    /// The other address.
    pub peer: SocketAddr,
    /// As it went over the wire.
    pub bytes: Bytes,
}

/// Header fields whose values prove an identity.
const SECRET: [&str; 2] = ["authorization", "proxy-authorization"];

impl Seen {
    /// The head as text, line by line, credentials masked: everything before the first empty line.
    #[must_use]
    pub fn head(&self) -> String {
        let end = memchr::memmem::find(&self.bytes, b"\r\n\r\n").unwrap_or(self.bytes.len());
        let head = self.bytes.get(..end).unwrap_or_default();
        let lines: Vec<String> = head.split(|byte| *byte == b'\n').map(masked).collect();
        lines.join("\n")
    }

    /// The whole as text, credentials masked, terminal control characters made visible.
    #[must_use]
    pub fn text(&self) -> String {
        let head = self.head();
        let end = memchr::memmem::find(&self.bytes, b"\r\n\r\n").map_or(self.bytes.len(), |at| at + 4);
        let body = self.bytes.get(end..).unwrap_or_default();
        if body.is_empty() { head } else { format!("{head}\n\n{}", visible(body)) }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.since.as_secs_f64();
        let arrow = if self.sent { "-->" } else { "<--" };
        let protocol = match self.protocol {
            SeenProtocol::Sip => "SIP",
            SeenProtocol::Msrp => "MSRP",
        };
        let Self { local, transport, peer, .. } = self;
        writeln!(
            f,
            "[{seconds:.3}] {local} {arrow} {peer} {protocol}/{transport} {} bytes",
            self.bytes.len()
        )?;
        f.write_str(&self.text())
    }
}

fn masked(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    if SECRET.iter().any(|secret| name.trim_ascii().eq_ignore_ascii_case(secret.as_bytes())) {
        return format!("{}: ***", visible(name.trim_ascii()));
    }
    visible(line)
}

/// Text that cannot command a terminal: control characters but line breaks and tabs are escaped, what is no UTF-8
/// is replaced.
#[must_use]
pub fn visible(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if rest.peek() == Some(&'\n') => {}
            c if c.is_control() || is_unseen(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Characters that are no control characters but turn the direction of what stands around them, or hide.
const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(bytes: &'static str) -> Seen {
        Seen {
            at: Timestamp(0),
            since: Duration::from_millis(1500),
            sent: true,
            protocol: SeenProtocol::Sip,
            transport: Transport::Udp,
            local: "127.0.0.1:1".parse().unwrap(),
            peer: "127.0.0.1:2".parse().unwrap(),
            bytes: Bytes::from(bytes),
        }
    }

    #[test]
    fn credentials_are_masked_in_any_spelling() {
        let shown = seen(
            "MESSAGE sip:b SIP/2.0\r\nAUTHORIZATION: Digest username=\"bob\"\r\nTo: <sip:b>\r\n\r\nAuthorization: body",
        );
        assert_eq!(
            shown.to_string(),
            "[1.500] 127.0.0.1:1 --> 127.0.0.1:2 SIP/UDP 95 bytes\n\
             MESSAGE sip:b SIP/2.0\nAUTHORIZATION: ***\nTo: <sip:b>\n\nAuthorization: body"
        );
        assert_eq!(seen("X\r\nproxy-authorization : x").text(), "X\nproxy-authorization: ***");
    }

    #[test]
    fn what_commands_a_terminal_is_made_visible() {
        assert_eq!(visible(b"a\x1b[31mred\r\nb\rc\x07\td"), "a\\u{1b}[31mred\nb\\u{d}c\\u{7}\td");
        assert_eq!(visible("\u{9b}31m \u{202e}txt \u{fc}".as_bytes()), "\\u{9b}31m \\u{202e}txt \u{fc}");
        assert_eq!(visible(b"\xff"), "\u{fffd}");
    }
}
