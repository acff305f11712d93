//! MSRP over one connection: sends a message in chunks, takes and acknowledges what comes.

use crate::fresh;
use memchr::memmem;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Bytes of a chunk that is sent are a multiple of this.
const PIECE: usize = 64 * 1024;
/// Room for a read that there is at least.
const ROOM: usize = 4 * PIECE;

/// One MSRP frame that came.
pub struct Frame {
    pub transaction: String,
    pub send: bool,
    pub body: usize,
    pub last: bool,
}

/// An MSRP connection to the node.
pub struct Msrp {
    pub stream: TcpStream,
    /// What came and is not taken yet lies in `used..filled`; its bytes are made once, not for each read.
    buffer: Vec<u8>,
    used: usize,
    filled: usize,
    /// Where the search for the end-line goes on, from `used`.
    scanned: usize,
    pub local: String,
    pub remote: String,
}

impl Msrp {
    /// Connects, and says nothing yet.
    pub fn connect(local: String, remote: String) -> Self {
        let authority = remote.strip_prefix("msrp://").and_then(|rest| rest.split('/').next()).unwrap();
        let stream = TcpStream::connect(authority).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, buffer: Vec::new(), used: 0, filled: 0, scanned: 0, local, remote }
    }

    /// Sends the empty SEND that binds the connection to the session (RFC 4975 5.4).
    pub fn begin(&mut self) {
        let (id, text) = (fresh("bind"), "Byte-Range: 1-0/0\r\n");
        let head = self.head(&id, "SEND");
        let end = format!("Message-ID: {id}\r\n{text}-------{id}$\r\n");
        self.stream.write_all((head + &end).as_bytes()).unwrap();
    }

    pub fn head(&self, transaction: &str, kind: &str) -> String {
        format!("MSRP {transaction} {kind}\r\nTo-Path: {}\r\nFrom-Path: {}\r\n", self.remote, self.local)
    }

    /// Sends one message in large chunks and reads all their responses.
    pub fn say(&mut self, body: &[u8]) {
        let (id, mut at) = (fresh("msg"), 0);
        let pieces = body.chunks(16 * PIECE);
        let count = pieces.len();
        for piece in pieces {
            let transaction = fresh("tr");
            let (first, end) = (at + 1, at + piece.len());
            let head = self.head(&transaction, "SEND");
            let total = body.len();
            let more = format!(
                "Message-ID: {id}\r\nByte-Range: {first}-{end}/{total}\r\nContent-Type: text/plain\r\n\r\n"
            );
            self.stream.write_all((head + &more).as_bytes()).unwrap();
            self.stream.write_all(piece).unwrap();
            let flag = if end == total { '$' } else { '+' };
            self.stream.write_all(format!("\r\n-------{transaction}{flag}\r\n").as_bytes()).unwrap();
            at = end;
        }
        (0..count).for_each(|_| assert!(!self.next().send, "nothing is sent to who deposits"));
    }

    /// Takes and acknowledges chunks until `messages` have come whole; gives the bytes of their bodies. What
    /// has come at once is acknowledged at once.
    pub fn take(&mut self, messages: usize) -> usize {
        let (mut whole, mut bytes) = (0, 0);
        let mut answers = String::new();
        while whole < messages {
            let mut frame = self.next();
            loop {
                // The answer to the SEND that bound the connection may be among them.
                if frame.send {
                    let id = &frame.transaction;
                    answers.push_str(&self.head(id, "200 OK"));
                    write!(answers, "-------{id}$\r\n").unwrap();
                    bytes += frame.body;
                    whole += usize::from(frame.last);
                }
                match self.parse() {
                    Some(more) => frame = more,
                    None => break,
                }
            }
            self.stream.write_all(answers.as_bytes()).unwrap();
            answers.clear();
        }
        bytes
    }

    /// Takes one chunk and acknowledges it.
    pub fn take_chunk(&mut self) -> usize {
        loop {
            let frame = self.next();
            if frame.send {
                let id = &frame.transaction;
                let answer = self.head(id, "200 OK") + &format!("-------{id}$\r\n");
                self.stream.write_all(answer.as_bytes()).unwrap();
                return frame.body;
            }
        }
    }

    /// Sends `count` messages of `body`, so many of them unanswered at most, and waits for all answers.
    pub fn chat(&mut self, body: &str, count: usize, in_flight: usize) {
        let (mut sent, mut answered) = (0, 0);
        while answered < count {
            let mut text = String::new();
            while sent < count && sent - answered < in_flight {
                let (id, length) = (fresh("tr"), body.len());
                let head = self.head(&id, "SEND");
                write!(
                    text,
                    "{head}Message-ID: {id}\r\nByte-Range: 1-{length}/{length}\r\nContent-Type: text/plain\r\n\r\n{body}\r\n-------{id}$\r\n"
                )
                .unwrap();
                sent += 1;
            }
            self.stream.write_all(text.as_bytes()).unwrap();
            assert!(!self.next().send, "nothing is sent to who deposits");
            answered += 1;
            while let Some(frame) = self.parse() {
                assert!(!frame.send, "nothing is sent to who deposits");
                answered += 1;
            }
        }
    }

    pub fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.parse() {
                return frame;
            }
            self.buffer.copy_within(self.used..self.filled, 0);
            self.filled -= std::mem::take(&mut self.used);
            if self.buffer.len() < self.filled + ROOM {
                self.buffer.resize(self.filled + 2 * ROOM, 0);
            }
            let length = self.stream.read(&mut self.buffer[self.filled..]).unwrap();
            assert!(length > 0, "the node closed the MSRP connection");
            self.filled += length;
        }
    }

    /// The frame at the start of what has come, if all of it is there.
    pub fn parse(&mut self) -> Option<Frame> {
        let data = &self.buffer[self.used..self.filled];
        let line = data.windows(2).position(|two| two == b"\r\n")?;
        let mut words = std::str::from_utf8(&data[..line]).unwrap().split(' ').skip(1);
        let (transaction, kind) = (words.next().unwrap().to_owned(), words.next().unwrap());
        assert!(kind == "SEND" || kind == "200", "neither sent nor taken: {kind}");
        let (send, marker) = (kind == "SEND", format!("\r\n-------{transaction}").into_bytes());
        let from = self.scanned.max(line);
        let found = memmem::find(&data[from..], &marker).map(|at| from + at);
        let Some(end) = found.filter(|end| end + marker.len() + 3 <= data.len()) else {
            self.scanned = data.len().saturating_sub(marker.len() + 16);
            return None;
        };
        let blank = data[..end].windows(4).position(|four| four == b"\r\n\r\n");
        let body = blank.map_or(0, |blank| end.saturating_sub(blank + 4));
        let last = data[end + marker.len()] == b'$';
        self.used += end + marker.len() + 3;
        self.scanned = 0;
        Some(Frame { transaction, send, body, last })
    }
}
