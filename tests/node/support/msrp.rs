//! One MSRP connection of the tests' side: sends, is sent to, and checks what RFC 4975 wants of every frame.

use super::clock::{Deadline, PATIENCE};
use super::frame::{Chunk, Frame, assert_ident, response, success_report};
use super::ports;
use super::sdp::uri_address;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

/// A message that came whole.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub message_id: String,
    pub content_type: String,
    /// The Deferred-Message-ID header.
    pub deferred: Option<String>,
    pub body: Vec<u8>,
    /// Frames it came in.
    pub chunks: usize,
}

/// What to answer a chunk.
pub enum Verdict {
    Take,
    Refuse(u16),
}

/// A message that is arriving.
struct Partial {
    first: Frame,
    body: Vec<u8>,
    chunks: usize,
}

pub struct Msrp {
    stream: TcpStream,
    buffer: Vec<u8>,
    scanned: usize,
    kept: VecDeque<Frame>,
    partial: Vec<Partial>,
    /// The tests' side.
    pub local: String,
    /// The node.
    pub remote: String,
}

impl Msrp {
    fn new(stream: TcpStream, local: &str, remote: &str) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            scanned: 0,
            kept: VecDeque::new(),
            partial: Vec::new(),
            local: local.to_owned(),
            remote: remote.to_owned(),
        }
    }

    /// Opens a connection to the node, and sends nothing yet.
    pub fn connect(local: &str, remote: &str) -> Self {
        Self::new(
            TcpStream::connect(uri_address(remote)).expect("the path can be connected to"),
            local,
            remote,
        )
    }

    /// Waits for the node's connection.
    pub fn accept(listener: &TcpListener, local: &str, remote: &str) -> Self {
        Self::new(ports::accept(listener), local, remote)
    }

    /// Takes a connection that was made in another way.
    pub fn over(stream: TcpStream, local: &str, remote: &str) -> Self {
        Self::new(stream, local, remote)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a chunk and waits for nothing.
    pub fn post(&mut self, chunk: &Chunk) {
        let bytes = chunk.encode(&self.remote, &self.local);
        self.write(&bytes);
    }

    /// Sends a chunk and waits for its response.
    pub fn send(&mut self, chunk: &Chunk) -> u16 {
        self.post(chunk);
        self.response_to(&chunk.transaction)
    }

    /// Sends a whole message of text, which must be taken; gives its Message-ID.
    pub fn say(&mut self, text: &str) -> String {
        let chunk = Chunk::whole("text/plain", text);
        assert_eq!(self.send(&chunk), 200);
        chunk.message_id
    }

    /// The empty SEND that binds the connection to the session.
    pub fn bind(&mut self) {
        assert_eq!(self.send(&Chunk::empty()), 200, "RFC 4975 5.4: the first SEND binds");
    }

    /// Waits for the response to a transaction; other frames are kept.
    pub fn response_to(&mut self, transaction: &str) -> u16 {
        let frame = self.wait("a response", |frame| frame.is_response() && frame.transaction == transaction);
        assert_eq!(frame.flag, '$', "RFC 4975 7.2: a response is never chunked");
        assert_eq!(frame.body, None, "a response has no body");
        self.check_paths(&frame);
        frame.status()
    }

    /// Waits for a REPORT on a message.
    pub fn report_on(&mut self, message_id: &str) -> Frame {
        let wanted = |frame: &Frame| frame.kind == "REPORT" && frame.get("Message-ID") == Some(message_id);
        let frame = self.wait("a REPORT", wanted);
        self.check_paths(&frame);
        assert_eq!(
            (frame.get("Success-Report"), frame.get("Failure-Report")),
            (None, None),
            "RFC 4975 7.1.2"
        );
        frame
    }

    /// Frames that came and that nobody waited for.
    pub fn kept(&self) -> Vec<String> {
        self.kept.iter().map(|frame| format!("{} {}", frame.kind, frame.transaction)).collect()
    }

    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at).unwrap();
        }
        let deadline = Deadline::after(PATIENCE);
        loop {
            let left = deadline.left().unwrap_or_else(|| panic!("{what} did not come: {:?}", self.kept()));
            let Some(frame) = self.read(left) else {
                panic!("{what} did not come before the connection's end: {:?}", self.kept())
            };
            if wanted(&frame) {
                return frame;
            }
            self.kept.push_back(frame);
        }
    }

    /// The next frame; `None` at the end of the connection. Fails when `span` is over.
    pub fn read(&mut self, span: Duration) -> Option<Frame> {
        let deadline = Deadline::after(span);
        let mut scratch = vec![0; 262_144];
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer, &mut self.scanned) {
                return Some(frame);
            }
            let left = deadline.left().expect("a frame comes in time");
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read(&mut scratch) {
                Ok(0) => return None,
                Ok(length) => self.buffer.extend_from_slice(&scratch[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Whether the node closes the connection, and nothing comes before that.
    pub fn is_closed(&mut self) -> bool {
        self.stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
        matches!(self.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Bytes that the kernel keeps for a reader who does not read.
    pub fn small_window(&self) {
        SockRef::from(&self.stream).set_recv_buffer_size(16_384).unwrap();
    }

    fn check_paths(&self, frame: &Frame) {
        assert_eq!(frame.need("To-Path"), self.local, "To-Path of {}", frame.kind);
        assert_eq!(frame.need("From-Path"), self.remote, "From-Path of {}", frame.kind);
        let order: Vec<&str> = frame.headers.iter().take(2).map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["To-Path", "From-Path"], "RFC 4975 7.1: To-Path first, then From-Path");
    }

    /// Receives `count` whole messages and acknowledges every chunk.
    pub fn receive(&mut self, count: usize) -> Vec<Delivered> {
        self.receive_with(count, |_| Verdict::Take)
    }

    /// Receives `count` whole messages; `judge` says what to answer each chunk.
    pub fn receive_with(&mut self, count: usize, mut judge: impl FnMut(&Frame) -> Verdict) -> Vec<Delivered> {
        let mut done = Vec::new();
        while done.len() < count {
            let frame = self.next_send();
            done.extend(self.handle_send(frame, &mut judge));
        }
        done
    }

    /// The next SEND, whose form is checked.
    pub fn next_send(&mut self) -> Frame {
        let frame = self.wait("a SEND", |frame| frame.kind == "SEND");
        self.check_paths(&frame);
        assert_ident(frame.need("Message-ID"));
        frame
    }

    /// Answers a chunk and gives the message it completes.
    pub fn handle_send(
        &mut self,
        frame: Frame,
        judge: &mut impl FnMut(&Frame) -> Verdict,
    ) -> Option<Delivered> {
        let wants_answer = frame.get("Failure-Report").is_none_or(|value| value == "yes");
        match judge(&frame) {
            Verdict::Refuse(status) => {
                self.write(&response(&frame, status, "Refused"));
                return None;
            }
            Verdict::Take if wants_answer => self.write(&response(&frame, 200, "OK")),
            Verdict::Take => {}
        }
        self.gather(frame)
    }

    fn gather(&mut self, frame: Frame) -> Option<Delivered> {
        let body = frame.body.clone()?;
        let (start, end, total) = frame.range().unwrap_or((1, None, None));
        assert!(
            body.len() <= 2048 || end.is_none(),
            "RFC 4975 7.1.1: a chunk with more than 2048 bytes is interruptible (range-end *)"
        );
        if let Some(end) = end {
            assert_eq!(end, start + body.len() as u64 - 1, "range-end");
        }
        let id = frame.need("Message-ID").to_owned();
        let at = match self.partial.iter().position(|partial| partial.first.need("Message-ID") == id) {
            Some(at) => at,
            None => {
                self.partial.push(Partial { first: frame.clone(), body: Vec::new(), chunks: 0 });
                self.partial.len() - 1
            }
        };
        let partial = &mut self.partial[at];
        assert_eq!(start, partial.body.len() as u64 + 1, "RFC 4975 7.1.1: chunks in Byte-Range order");
        partial.body.extend_from_slice(&body);
        partial.chunks += 1;
        match frame.flag {
            '+' => None,
            '#' => {
                self.partial.remove(at);
                None
            }
            _ => {
                let partial = self.partial.remove(at);
                if let Some(total) = total {
                    assert_eq!(total, partial.body.len() as u64, "total");
                }
                Some(self.complete(partial))
            }
        }
    }

    fn complete(&mut self, partial: Partial) -> Delivered {
        let first = &partial.first;
        if first.get("Success-Report") == Some("yes") {
            let report = success_report(first, partial.body.len() as u64);
            self.stream.write_all(&report).unwrap();
        }
        Delivered {
            message_id: first.need("Message-ID").to_owned(),
            content_type: first.need("Content-Type").to_owned(),
            deferred: first.get("Deferred-Message-ID").map(str::to_owned),
            body: partial.body,
            chunks: partial.chunks,
        }
    }

    /// How many bytes of messages have come of which the end has not.
    pub fn arriving(&self) -> Vec<(String, usize)> {
        let sizes = self.partial.iter();
        sizes.map(|partial| (partial.first.need("Message-ID").to_owned(), partial.body.len())).collect()
    }
}
