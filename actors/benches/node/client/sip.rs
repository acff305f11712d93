//! SIP over one connection: just what a client of the node has to say.

use super::msrp::Msrp;
use crate::process::Node;
use crate::{BODY, fresh};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of a read.
const PIECE: usize = 64 * 1024;

/// One SIP message that came.
pub struct Message {
    pub head: String,
    pub body: String,
}

impl Message {
    pub fn header(&self, name: &str) -> &str {
        let line = self.head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }
}

/// A SIP connection to the node.
pub struct Sip {
    pub stream: TcpStream,
    pub here: SocketAddr,
    pub buffer: Vec<u8>,
    pub used: usize,
}

impl Sip {
    pub fn connect(node: &Node) -> Self {
        let stream = TcpStream::connect(node.sip).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { here: stream.local_addr().unwrap(), stream, buffer: Vec::new(), used: 0 }
    }

    /// Head and body of the message at the start of what has come, if all of it is there.
    fn complete(&self) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
        let blank = memchr::memmem::find(&self.buffer[self.used..], b"\r\n\r\n")?;
        let head = self.used..self.used + blank;
        let text = std::str::from_utf8(&self.buffer[head.clone()]).unwrap();
        let length = text.split("\r\n").find_map(|line| line.strip_prefix("Content-Length:"));
        let end = head.end + 4 + length.map_or(0, |length| length.trim().parse().unwrap());
        (end <= self.buffer.len()).then(|| (head.clone(), head.end + 4..end))
    }

    /// The head and the body of the next message, as places in the buffer.
    pub fn receive(&mut self) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        loop {
            if let Some((head, body)) = self.complete() {
                self.used = body.end;
                return (head, body);
            }
            self.buffer.drain(..std::mem::take(&mut self.used));
            let old = self.buffer.len();
            self.buffer.resize(old + PIECE, 0);
            let length = self.stream.read(&mut self.buffer[old..]).unwrap();
            assert!(length > 0, "the node closed the connection");
            self.buffer.truncate(old + length);
        }
    }

    pub fn next(&mut self) -> Message {
        let (head, body) = self.receive();
        let text = |range: std::ops::Range<usize>| String::from_utf8(self.buffer[range].to_vec()).unwrap();
        Message { head: text(head), body: text(body) }
    }

    /// The next message, if it comes within the time that reading waits.
    pub fn next_within(&mut self) -> Option<Message> {
        while self.complete().is_none() {
            let old = self.buffer.len();
            self.buffer.resize(old + PIECE, 0);
            let read = self.stream.read(&mut self.buffer[old..]);
            self.buffer.truncate(old + read.as_ref().map_or(0, |length| *length));
            match read {
                Ok(length) => assert!(length > 0, "the node closed the connection"),
                Err(_) => return None,
            }
        }
        Some(self.next())
    }

    /// The final response, which must have this status.
    pub fn answer(&mut self, status: &str) -> Message {
        loop {
            let message = self.next();
            if !message.head.starts_with("SIP/2.0 1") {
                assert!(message.head.starts_with(&format!("SIP/2.0 {status}")), "{}", message.head);
                return message;
            }
        }
    }

    /// Waits for the node's BYE and answers it.
    pub fn wait_bye(&mut self) -> Instant {
        let bye = self.next();
        let came = Instant::now();
        assert!(bye.head.starts_with("BYE "), "{}", bye.head);
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            write!(answer, "{name}: {}\r\n", bye.header(name)).unwrap();
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        self.stream.write_all(answer.as_bytes()).unwrap();
        came
    }

    /// A request with all that it must have; `dialog` is From, To and Call-ID.
    pub fn request(&self, method: &str, uri: &str, dialog: [&str; 3], more: &str, body: &str) -> String {
        let [from, to, call_id] = dialog;
        let number = if method == "BYE" { 2 } else { 1 };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TCP {here};branch={}\r\nMax-Forwards: 70\r\nFrom: {from}\r\n\
             To: {to}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            fresh("z9hG4bK"),
            body.len(),
            here = self.here,
        )
    }

    /// A pager message to `user` with an id of its own.
    pub fn pager(&self, user: &str, id: &str, body: &str) -> String {
        let (to, from) = (format!("<sip:{user}@example.com>"), format!("<sip:alice@example.org>;tag={id}"));
        let more = "Subject: carpool tomorrow?\r\nContent-Type: text/plain\r\n";
        self.request("MESSAGE", &to[1..to.len() - 1], [&from, &to, id], more, body)
    }

    /// Deposits `count` small messages for `user`; gives their ids.
    pub fn stock(&mut self, user: &str, count: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|_| fresh("item")).collect();
        for some in ids.chunks(64) {
            let all: String = some.iter().map(|id| self.pager(user, id, &"x".repeat(BODY))).collect();
            self.stream.write_all(all.as_bytes()).unwrap();
            some.iter().for_each(|_| drop(self.answer("202")));
        }
        ids
    }

    /// An INVITE that is accepted and acknowledged, and its MSRP connection, which is bound.
    pub fn invite(&mut self, user: &str, uri: &str, list: Option<&str>) -> Call {
        let mut call = self.call(user, uri, list);
        call.bound = Instant::now();
        call.msrp.begin();
        assert!(!call.msrp.next().send, "the node answers before it sends");
        call
    }

    /// An INVITE that is accepted and acknowledged, and its MSRP connection, over which nothing was said yet.
    pub fn call(&mut self, user: &str, uri: &str, list: Option<&str>) -> Call {
        let local = format!("msrp://{}/{};tcp", self.here, fresh("client"));
        let (from, to) = (format!("<sip:{user}@example.com>;tag={}", fresh("f")), format!("<{uri}>"));
        let call_id = fresh("call");
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=message 9 TCP/MSRP *\r\na=accept-types:message/cpim text/plain *\r\na=accept-wrapped-types:*\r\n\
             a=setup:active\r\na=path:{local}\r\n"
        );
        let contact = format!("Contact: <sip:{user}@{};transport=tcp>\r\n", self.here);
        let (more, body) = match list {
            None => (format!("{contact}Content-Type: application/sdp\r\n"), offer),
            Some(list) => (
                format!(
                    "{contact}Require: recipient-list-invite\r\nContent-Type: multipart/mixed;boundary=b\r\n"
                ),
                format!(
                    "--b\r\nContent-Type: application/sdp\r\n\r\n{offer}\r\n--b\r\nContent-Type: \
                     application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n{list}\r\n--b--\r\n"
                ),
            ),
        };
        let invited = Instant::now();
        let invite = self.request("INVITE", uri, [&from, &to, &call_id], &more, &body);
        self.stream.write_all(invite.as_bytes()).unwrap();
        let ok = self.answer("200");
        let accepted = Instant::now();
        let contact = ok.header("Contact");
        let target = contact[contact.find('<').unwrap() + 1..contact.find('>').unwrap()].to_owned();
        let to = ok.header("To").to_owned();
        let ack = self.request("ACK", &target, [&from, &to, &call_id], "", "");
        self.stream.write_all(ack.as_bytes()).unwrap();
        let remote = ok.body.lines().find_map(|line| line.strip_prefix("a=path:")).unwrap().to_owned();
        let msrp = Msrp::connect(local, remote);
        Call { msrp, target, from, to, call_id, invited, accepted, bound: Instant::now() }
    }
}

/// An accepted session.
pub struct Call {
    pub msrp: Msrp,
    pub target: String,
    pub from: String,
    pub to: String,
    pub call_id: String,
    /// When the INVITE was sent.
    pub invited: Instant,
    /// When the 200 to it came.
    pub accepted: Instant,
    /// When the MSRP connection was there, or when its first SEND was sent.
    pub bound: Instant,
}

impl Call {
    pub fn bye(&self, sip: &mut Sip) {
        let bye = sip.request("BYE", &self.target, [&self.from, &self.to, &self.call_id], "", "");
        sip.stream.write_all(bye.as_bytes()).unwrap();
        sip.answer("200");
    }
}
