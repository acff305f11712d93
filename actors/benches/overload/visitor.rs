//! Somebody who fetches a message again and again, whatever else the node is asked for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::node::Node;

/// A connection, and what came on it and is not read yet.
struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Takes up to the end of `mark`.
    fn take(&mut self, mark: &str) -> String {
        loop {
            let found = self.buffer.windows(mark.len()).position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                let taken: Vec<u8> = self.buffer.drain(..at + mark.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let mut scratch = [0; 16 << 10];
            let length = self.stream.read(&mut scratch).unwrap();
            assert!(length > 0, "the node has closed the connection");
            self.buffer.extend_from_slice(&scratch[..length]);
        }
    }

    /// A SIP message: its head and its body.
    fn sip(&mut self) -> (String, String) {
        let head = self.take("\r\n\r\n");
        let length = header(&head, "Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.buffer.len() < length {
            let mut scratch = [0; 16 << 10];
            let more = self.stream.read(&mut scratch).unwrap();
            self.buffer.extend_from_slice(&scratch[..more]);
        }
        let body: Vec<u8> = self.buffer.drain(..length).collect();
        (head, String::from_utf8_lossy(&body).into_owned())
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn request(here: SocketAddr, method: &str, uri: &str, dialog: [&str; 3], more: &str, body: &str) -> String {
    let [from, to, call_id] = dialog;
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TCP {here};branch={}\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 {method}\r\n{more}Content-Length: {}\r\n\r\n{body}",
        fresh("z9hG4bKv"),
        body.len()
    )
}

/// What became of the retrievals of one visitor.
#[derive(Default)]
pub struct Visits {
    /// How long each that was completed took, from the INVITE to the BYE.
    pub took: Vec<Duration>,
    /// The responses that refused him, and when they came after their request.
    pub refused: Vec<(String, Duration)>,
}

/// Deposits one message for himself and fetches it until it is `over`, with a request of his own within each dialog.
pub fn fetch_until(node: &Node, over: &AtomicBool) -> Visits {
    let mut line = Line::open(node.sip);
    let here = line.stream.local_addr().unwrap();
    let id = fresh("visited");
    let dialog = ["<sip:alice@example.org>;tag=v", "<sip:visitor@example.com>", &id];
    loop {
        let deposit = request(
            here,
            "MESSAGE",
            "sip:visitor@example.com",
            dialog,
            "Content-Type: text/plain\r\n",
            "hello",
        );
        line.write(&deposit);
        if line.sip().0.starts_with("SIP/2.0 202") {
            break;
        }
    }
    let mut visits = Visits::default();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match fetch(&mut line, here, &id) {
            Ok(()) => visits.took.push(begun.elapsed()),
            Err(refusal) => visits.refused.push((refusal, begun.elapsed())),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    visits
}

/// Fetches the message with this id; `Err` is the response that refused the retrieval.
fn fetch(line: &mut Line, here: SocketAddr, id: &str) -> Result<(), String> {
    let uri = format!("sip:{id}@mailserver.example.com");
    let local = format!("msrp://{here}/{};tcp", fresh("visitor"));
    let (from, to, call_id) =
        (format!("<sip:visitor@example.com>;tag={}", fresh("t")), format!("<{uri}>"), fresh("fetch"));
    let offer = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n\
         a=accept-types:message/cpim text/plain *\r\na=setup:active\r\na=path:{local}\r\n"
    );
    let more = format!("Contact: <sip:visitor@{here};transport=tcp>\r\nContent-Type: application/sdp\r\n");
    let invite = request(here, "INVITE", &uri, [&from, &to, &call_id], &more, &offer);
    line.write(&invite);
    let (ok, answer) = loop {
        let (head, body) = line.sip();
        if !head.starts_with("SIP/2.0 1") {
            break (head, body);
        }
    };
    if !ok.starts_with("SIP/2.0 200") {
        // RFC 3261 17.1.1.3: the ACK of a refusal has the Via of the INVITE.
        let ack = request(here, "ACK", &uri, [&from, header(&ok, "To").unwrap(), &call_id], "", "");
        line.write(&ack.replace(header(&ack, "Via").unwrap(), header(&invite, "Via").unwrap()));
        return Err(ok);
    }
    let contact = header(&ok, "Contact").unwrap();
    let target = &contact[contact.find('<').unwrap() + 1..contact.find('>').unwrap()];
    line.write(&request(here, "ACK", target, [&from, header(&ok, "To").unwrap(), &call_id], "", ""));
    let remote = answer.lines().find_map(|line| line.strip_prefix("a=path:")).unwrap().trim();
    let address = remote.strip_prefix("msrp://").unwrap().split('/').next().unwrap().parse().unwrap();
    let mut msrp = Line::open(address);
    let paths = format!("To-Path: {remote}\r\nFrom-Path: {local}\r\n");
    msrp.write(&format!(
        "MSRP bind1234 SEND\r\n{paths}Message-ID: bind1234\r\nByte-Range: 1-0/0\r\n-------bind1234$\r\n"
    ));
    msrp.take("-------bind1234$\r\n");
    // What belongs to the dialog is let in, whatever else is refused.
    let options = request(here, "OPTIONS", target, [&from, header(&ok, "To").unwrap(), &call_id], "", "");
    line.write(&options.replace("CSeq: 1 OPTIONS", "CSeq: 2 OPTIONS"));
    let (within, _) = line.sip();
    assert!(within.starts_with("SIP/2.0 200"), "a request within a dialog is refused: {within}");
    let start = msrp.take("\r\n");
    let transaction = start.split(' ').nth(1).unwrap().to_owned();
    msrp.take(&format!("-------{transaction}$\r\n"));
    msrp.write(&format!("MSRP {transaction} 200 OK\r\n{paths}-------{transaction}$\r\n"));
    let (bye, _) = line.sip();
    assert!(bye.starts_with("BYE "), "{bye}");
    let mut answer = String::from("SIP/2.0 200 OK\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        answer.push_str(&format!("{name}: {}\r\n", header(&bye, name).unwrap()));
    }
    line.write(&format!("{answer}Content-Length: 0\r\n\r\n"));
    Ok(())
}
