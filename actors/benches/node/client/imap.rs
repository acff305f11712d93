//! What has to be said to an LMTP and to an IMAP server.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection of lines, with some of them followed by bytes.
pub struct Lines(BufReader<TcpStream>);

impl Lines {
    /// Connects, and reads the greeting.
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut lines = Self(BufReader::with_capacity(256 * 1024, stream));
        lines.line();
        lines
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        assert!(!line.is_empty(), "the server closed the connection");
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Reads until a line that begins with `word`.
    fn until(&mut self, word: &str) {
        loop {
            let line = self.line();
            if line.starts_with(word) {
                return;
            }
            assert!(!line.starts_with('4') && !line.starts_with('5') && !line.contains(" NO "), "{line}");
        }
    }
}

/// Delivers messages by LMTP (RFC 2033).
pub struct Lmtp(Lines);

impl Lmtp {
    pub fn connect(to: SocketAddr) -> Self {
        let mut lines = Lines::connect(to);
        lines.say("LHLO localhost\r\n");
        lines.until("250 ");
        Self(lines)
    }

    /// Delivers one message, and waits until it is accepted for good.
    pub fn deliver(&mut self, user: &str, body: &str) {
        self.0.say(&format!("MAIL FROM:<alice@example.org>\r\nRCPT TO:<{user}>\r\nDATA\r\n"));
        self.0.until("354 ");
        self.0
            .say(&format!("Subject: carpool tomorrow?\r\nFrom: <alice@example.org>\r\n\r\n{body}\r\n.\r\n"));
        self.0.until("250 2.0.0 <");
    }
}

/// Reads a mailbox by IMAP (RFC 3501).
pub struct Imap(Lines);

impl Imap {
    /// Logs in and selects the mailbox.
    pub fn select(to: SocketAddr, user: &str) -> Self {
        let mut lines = Lines::connect(to);
        lines.say(&format!("a1 LOGIN {user} secret\r\n"));
        lines.until("a1 OK");
        lines.say("a2 SELECT INBOX\r\n");
        lines.until("a2 OK");
        Self(lines)
    }

    /// Takes the first `count` messages; gives the bytes of all of them.
    pub fn fetch(&mut self, count: usize) -> usize {
        let mut command = String::new();
        write!(command, "a3 FETCH 1:{count} (BODY.PEEK[])\r\n").unwrap();
        self.0.say(&command);
        let (mut bytes, mut messages) = (0, 0);
        let mut content = Vec::new();
        loop {
            let line = self.0.line();
            if line.starts_with("a3 ") {
                assert!(line.starts_with("a3 OK"), "{line}");
                assert_eq!(messages, count, "all of them came");
                return bytes;
            }
            if let Some(length) = line.trim_end().strip_suffix('}').and_then(|line| line.rsplit_once('{')) {
                let length: usize = length.1.parse().unwrap();
                content.resize(length, 0);
                self.0.0.read_exact(&mut content).unwrap();
                (bytes, messages) = (bytes + length, messages + 1);
            }
        }
    }
}
