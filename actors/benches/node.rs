//! The whole node as its clients see it, over loopback: deposits, retrievals, lists and sessions that wait;
//! beside the store alone and a plain relay in the same run. Medians of three rounds.
//!
//! `cargo bench -p restante-node --bench node [-- SESSIONS] [-- --quick]`: how many sessions wait at once (1000;
//! beyond 9000, `ulimit -n` must allow it). The data is kept under the directory of the build: a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use restante::store::{Body, DepositKey, Envelope, Owner, PagerDeposit, Quota, Store};
use restante::time::Timestamp;
use restante_node::archive::Archive;
use tempfile::TempDir;

const ROUNDS: usize = 3;
const IN_FLIGHT: usize = 64;
/// Connections that the deposits are spread over, each with its share of what is in flight.
const CONNECTIONS: usize = 4;
const MAILBOXES: u64 = 1000;
const BODY: usize = 200;
const PIECE: usize = 64 * 1024;
const MEGABYTE: f64 = 1e6;

/// How much of everything.
struct Size {
    span: Duration,
    large: usize,
    list: usize,
    sessions: usize,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let quick = words.iter().any(|word| word == "--quick" || word == "--test");
    let sessions = words.iter().find_map(|word| word.parse().ok());
    let size = if quick {
        Size {
            span: Duration::from_millis(300),
            large: 5_000_000,
            list: 20,
            sessions: sessions.unwrap_or(50),
        }
    } else {
        Size {
            span: Duration::from_secs(2),
            large: 50_000_000,
            list: 200,
            sessions: sessions.unwrap_or(1000),
        }
    };
    println!("{:<46} {:>12} {:>12} {:>8}", "median of 3", "node", "beside", "ratio");
    deposits(&size);
    large_message(&size);
    list(&size);
    waiting_sessions(&size);
}

fn row(what: &str, ours: f64, beside: Option<(f64, &str)>) {
    let (best, ratio, of) = beside.map_or((String::new(), String::new(), ""), |(best, of)| {
        (format!("{best:.0}"), format!("{:.2}", ours / best), of)
    });
    println!("{what:<46} {ours:>12.0} {best:>12} {ratio:>8}  {of}");
}

fn median(mut round: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}

/// A word that was never used before.
fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}{:08x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn place() -> TempDir {
    tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap()
}

/// The binary, with a folder of its own; gone when dropped.
struct Node {
    child: Child,
    sip: SocketAddr,
    _folder: TempDir,
}

impl Node {
    fn start() -> Self {
        let folder = place();
        let held = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [sip, msrp] = [0, 1].map(|at: usize| held[at].local_addr().unwrap());
        drop(held);
        let data = folder.path().join("data");
        let text = format!(
            "[sip]\nlisten = [\"tcp:{sip}\"]\n[msrp]\nlisten = [\"tcp:{msrp}\"]\nmax_connections = 20000\n\
             bind_timeout = \"10m\"\ntransaction_timeout = \"10m\"\n[retrieval]\nsessions_per_user = 20000\n\
             sessions_total = 20000\n[store]\nurl = \"embedded:{}\"\n[http]\nlisten = \"\"\n[log]\nlevel = \"error\"\n",
            data.display()
        );
        let file = folder.path().join("node.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
        command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.env_remove("RUST_LOG").spawn().unwrap();
        let start = Instant::now();
        while TcpStream::connect(sip).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "the node does not listen");
            assert!(child.try_wait().unwrap().is_none(), "the node has ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, sip, _folder: folder }
    }

    /// A line of its `/proc/PID/status`, in bytes.
    fn memory(&self, name: &str) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kilobytes = line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
        kilobytes * 1024.0
    }

    /// Makes what is resident now the high-water mark.
    fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One SIP message that came.
struct Message {
    head: String,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        let line = self.head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }
}

/// A SIP connection to the node.
struct Sip {
    stream: TcpStream,
    here: SocketAddr,
    buffer: Vec<u8>,
    used: usize,
}

impl Sip {
    fn connect(node: &Node) -> Self {
        let stream = TcpStream::connect(node.sip).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { here: stream.local_addr().unwrap(), stream, buffer: Vec::new(), used: 0 }
    }

    /// The head and the body of the next message, as places in the buffer.
    fn receive(&mut self) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        loop {
            if let Some(blank) = self.buffer[self.used..].windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.used..self.used + blank;
                let text = std::str::from_utf8(&self.buffer[head.clone()]).unwrap();
                let length = text.split("\r\n").find_map(|line| line.strip_prefix("Content-Length:"));
                let end = head.end + 4 + length.map_or(0, |length| length.trim().parse().unwrap());
                if end <= self.buffer.len() {
                    self.used = end;
                    return (head.clone(), head.end + 4..end);
                }
            }
            self.buffer.drain(..std::mem::take(&mut self.used));
            let old = self.buffer.len();
            self.buffer.resize(old + PIECE, 0);
            let length = self.stream.read(&mut self.buffer[old..]).unwrap();
            assert!(length > 0, "the node closed the connection");
            self.buffer.truncate(old + length);
        }
    }

    fn next(&mut self) -> Message {
        let (head, body) = self.receive();
        let text = |range: std::ops::Range<usize>| String::from_utf8(self.buffer[range].to_vec()).unwrap();
        Message { head: text(head), body: text(body) }
    }

    /// The final response, which must have this status.
    fn answer(&mut self, status: &str) -> Message {
        loop {
            let message = self.next();
            if !message.head.starts_with("SIP/2.0 1") {
                assert!(message.head.starts_with(&format!("SIP/2.0 {status}")), "{}", message.head);
                return message;
            }
        }
    }

    /// Waits for the node's BYE and answers it.
    fn wait_bye(&mut self) -> Instant {
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
    fn request(&self, method: &str, uri: &str, dialog: [&str; 3], more: &str, body: &str) -> String {
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
    fn pager(&self, user: &str, id: &str, body: &str) -> String {
        let (to, from) = (format!("<sip:{user}@example.com>"), format!("<sip:alice@example.org>;tag={id}"));
        let more = "Subject: carpool tomorrow?\r\nContent-Type: text/plain\r\n";
        self.request("MESSAGE", &to[1..to.len() - 1], [&from, &to, id], more, body)
    }

    /// Deposits `count` small messages for `user`; gives their ids.
    fn stock(&mut self, user: &str, count: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|_| fresh("item")).collect();
        let all: String = ids.iter().map(|id| self.pager(user, id, &"x".repeat(BODY))).collect();
        self.stream.write_all(all.as_bytes()).unwrap();
        (0..count).for_each(|_| drop(self.answer("202")));
        ids
    }

    /// An INVITE that is accepted and acknowledged, and its MSRP connection, which is bound.
    fn invite(&mut self, user: &str, uri: &str, list: Option<&str>) -> Call {
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
        Call { msrp: Msrp::bind(local, remote), target, from, to, call_id, accepted }
    }
}

/// An accepted session.
struct Call {
    msrp: Msrp,
    target: String,
    from: String,
    to: String,
    call_id: String,
    /// When the 200 to the INVITE came.
    accepted: Instant,
}

impl Call {
    fn bye(&self, sip: &mut Sip) {
        let bye = sip.request("BYE", &self.target, [&self.from, &self.to, &self.call_id], "", "");
        sip.stream.write_all(bye.as_bytes()).unwrap();
        sip.answer("200");
    }
}

/// One MSRP frame that came.
struct Frame {
    transaction: String,
    send: bool,
    body: usize,
    last: bool,
}

/// An MSRP connection to the node.
struct Msrp {
    stream: TcpStream,
    buffer: Vec<u8>,
    used: usize,
    scanned: usize,
    local: String,
    remote: String,
}

impl Msrp {
    /// Connects, and binds the connection by an empty SEND (RFC 4975 5.4).
    fn bind(local: String, remote: String) -> Self {
        let authority = remote.strip_prefix("msrp://").and_then(|rest| rest.split('/').next()).unwrap();
        let stream = TcpStream::connect(authority).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut msrp = Self { stream, buffer: Vec::new(), used: 0, scanned: 0, local, remote };
        let (id, text) = (fresh("bind"), "Byte-Range: 1-0/0\r\n");
        let head = msrp.head(&id, "SEND");
        let end = format!("Message-ID: {id}\r\n{text}-------{id}$\r\n");
        msrp.stream.write_all((head + &end).as_bytes()).unwrap();
        assert!(!msrp.next().send, "the node answers before it sends");
        msrp
    }

    fn head(&self, transaction: &str, kind: &str) -> String {
        format!("MSRP {transaction} {kind}\r\nTo-Path: {}\r\nFrom-Path: {}\r\n", self.remote, self.local)
    }

    /// Sends one message in large chunks and reads all their responses.
    fn say(&mut self, body: &[u8]) {
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

    /// Takes and acknowledges chunks until `messages` have come whole; gives the bytes of their bodies.
    fn take(&mut self, messages: usize) -> usize {
        let (mut whole, mut bytes) = (0, 0);
        while whole < messages {
            let frame = self.next();
            assert!(frame.send, "only SENDs come");
            let id = &frame.transaction;
            let answer = self.head(id, "200 OK") + &format!("-------{id}$\r\n");
            self.stream.write_all(answer.as_bytes()).unwrap();
            bytes += frame.body;
            whole += usize::from(frame.last);
        }
        bytes
    }

    fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.parse() {
                return frame;
            }
            self.buffer.drain(..std::mem::take(&mut self.used));
            let old = self.buffer.len();
            self.buffer.resize(old + 4 * PIECE, 0);
            let length = self.stream.read(&mut self.buffer[old..]).unwrap();
            assert!(length > 0, "the node closed the MSRP connection");
            self.buffer.truncate(old + length);
        }
    }

    /// The frame at the start of what has come, if all of it is there.
    fn parse(&mut self) -> Option<Frame> {
        let data = &self.buffer[self.used..];
        let line = data.windows(2).position(|two| two == b"\r\n")?;
        let mut words = std::str::from_utf8(&data[..line]).unwrap().split(' ').skip(1);
        let (transaction, kind) = (words.next().unwrap().to_owned(), words.next().unwrap());
        assert!(kind == "SEND" || kind == "200", "neither sent nor taken: {kind}");
        let (send, marker) = (kind == "SEND", format!("\r\n-------{transaction}").into_bytes());
        let found =
            find(data, self.scanned.max(line), &marker).filter(|at| at + marker.len() + 3 <= data.len());
        let Some(end) = found else {
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

/// Where the end-line begins. Of its seven dashes one stands at every seventh place.
fn find(data: &[u8], from: usize, marker: &[u8]) -> Option<usize> {
    let mut dashes = (from..data.len()).step_by(7).filter(|at| data[*at] == b'-');
    dashes.find_map(|at| (at.saturating_sub(8)..at).find(|start| data[*start..].starts_with(marker)))
}

/// Deposits by MESSAGE until the 202, beside the same deposits through the store's trait.
fn deposits(size: &Size) {
    let node = Node::start();
    let folder = place();
    let store = Arc::new(Archive::open(&folder.path().join("store")).unwrap());
    let next = Rc::new(Cell::new(0));
    let alone = median(|| alone(&store, size.span, &next));
    let ours = median(|| {
        let start = Instant::now();
        let done: u64 = std::thread::scope(|scope| {
            let lanes = [0; CONNECTIONS].map(|_| scope.spawn(|| lane(&node, start, size.span)));
            lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
        });
        done as f64 / start.elapsed().as_secs_f64()
    });
    row("deposits/s, 64 in flight, MESSAGE to 202", ours, Some((alone, "of the store alone")));
}

/// One connection's deposits: as many more as were answered, in one write.
fn lane(node: &Node, start: Instant, span: Duration) -> u64 {
    let mut sip = Sip::connect(node);
    let body = "x".repeat(BODY);
    let (mut waiting, mut done) = (0, 0);
    loop {
        let more = if start.elapsed() < span { IN_FLIGHT / CONNECTIONS - waiting } else { 0 };
        let mut text = String::new();
        for _ in 0..more {
            let id = fresh("m");
            let number = u64::from_str_radix(&id[1..], 16).unwrap() % MAILBOXES;
            text.push_str(&sip.pager(&format!("user{number}"), &id, &body));
        }
        sip.stream.write_all(text.as_bytes()).unwrap();
        waiting += more;
        if waiting == 0 {
            return done;
        }
        loop {
            let (head, _) = sip.receive();
            assert!(sip.buffer[head].starts_with(b"SIP/2.0 202 "), "a deposit is refused");
            waiting -= 1;
            done += 1;
            if waiting == 0 || sip.used == sip.buffer.len() {
                break;
            }
        }
    }
}

/// Deposits a second through the trait, by as many tasks as are in flight.
fn alone(store: &Arc<Archive>, span: Duration, next: &Rc<Cell<u64>>) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let from = next.get();
    let start = Instant::now();
    let tasks = tokio::task::LocalSet::new();
    for _ in 0..IN_FLIGHT {
        let (store, next) = (store.clone(), next.clone());
        tasks.spawn_local(async move {
            while start.elapsed() < span {
                let number = next.replace(next.get() + 1);
                assert!(!store.deposit(deposit(number)).await.unwrap().repeated);
            }
        });
    }
    runtime.block_on(tasks);
    (next.get() - from) as f64 / start.elapsed().as_secs_f64()
}

/// What the node makes of such a MESSAGE.
fn deposit(number: u64) -> PagerDeposit {
    let id = format!("m{number:08x}");
    PagerDeposit {
        owner: Owner::new(format!("user{}", number % MAILBOXES).as_bytes(), "example.com"),
        key: DepositKey { call_id: id.clone().into(), from_tag: id.clone().into(), cseq: 1 },
        envelope: Envelope {
            from: format!("<sip:alice@example.org>;tag={id}").into(),
            to: format!("<sip:user{}@example.com>", number % MAILBOXES).into(),
            subject: Some(Bytes::from_static(b"carpool tomorrow?")),
            date: Bytes::from_static(b"Sun, 09 Jul 2000 21:23:01 GMT"),
            priority: None,
            content: vec![(Bytes::from_static(b"Content-Type"), Bytes::from_static(b"text/plain"))],
            expires: None,
            text: true,
            urgent: false,
        },
        body: Body::Inline(vec![b'x'; BODY].into()),
        quota: Quota { items: 10_000, bytes: 1 << 30 },
        now: Timestamp(1_700_000_000_000 + number),
        ends: Timestamp(1_702_592_000_000 + number),
        remember: Duration::from_secs(7 * 86_400),
    }
}

/// One large message: deposited by a session, then retrieved, beside a relay of as many bytes.
fn large_message(size: &Size) {
    let node = Node::start();
    let mut sip = Sip::connect(&node);
    let body = vec![b'x'; size.large];
    let megabytes = size.large as f64 / MEGABYTE;
    let mut uri = String::new();
    let stored = median(|| {
        let mut call = sip.invite("alice", "sip:bob@example.com", None);
        call.msrp.say(&body);
        call.bye(&mut sip);
        uri = format!("sip:{}@mailserver.example.com", call.call_id);
        megabytes / call.accepted.elapsed().as_secs_f64()
    });
    let relayed = median(|| megabytes / relay(&body).as_secs_f64());
    row(
        &format!("session of {megabytes:.0} MB deposited, MB/s"),
        stored,
        Some((relayed, "of a plain relay")),
    );
    node.forget_peak();
    let resident = node.memory("VmRSS:");
    let taken = median(|| {
        let mut call = sip.invite("bob", &uri, None);
        assert!(call.msrp.take(1) >= size.large, "all of it came");
        let end = sip.wait_bye();
        megabytes / end.duration_since(call.accepted).as_secs_f64()
    });
    row(&format!("message of {megabytes:.0} MB retrieved, MB/s"), taken, Some((relayed, "of a plain relay")));
    let peak = node.memory("VmHWM:") - resident;
    row("  peak growth of the node's memory, KiB", peak / 1024.0, None);
    row("  memory of the node afterwards, KiB", node.memory("VmRSS:") / 1024.0, None);
}

/// How long a thread that copies from one connection to another needs for `body`.
fn relay(body: &[u8]) -> Duration {
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [near, far] = [0, 1].map(|at: usize| listeners[at].local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut from, _) = listeners[0].accept().unwrap();
            let (mut to, mut piece) = (TcpStream::connect(far).unwrap(), vec![0; PIECE]);
            while let Ok(length @ 1..) = from.read(&mut piece) {
                to.write_all(&piece[..length]).unwrap();
            }
        });
        let start = Instant::now();
        scope.spawn(|| TcpStream::connect(near).unwrap().write_all(body).unwrap());
        let (mut sink, _) = listeners[1].accept().unwrap();
        let (mut left, mut piece) = (body.len(), vec![0; 4 * PIECE]);
        while left > 0 {
            left -= sink.read(&mut piece).unwrap();
        }
        start.elapsed()
    })
}

/// A list of small messages, from the 200 to the INVITE until the BYE.
fn list(size: &Size) {
    let node = Node::start();
    let mut sip = Sip::connect(&node);
    let rate = median(|| {
        let ids = sip.stock("bob", size.list);
        let mut xml = String::from(
            "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>",
        );
        for id in &ids {
            write!(xml, "<entry uri=\"sip:{id}@mailserver.example.com\"/>").unwrap();
        }
        xml.push_str("</list></resource-lists>");
        let mut call = sip.invite("bob", "sip:mailserver.example.com", Some(&xml));
        assert!(call.msrp.take(size.list) >= size.list * BODY);
        let end = sip.wait_bye();
        size.list as f64 / end.duration_since(call.accepted).as_secs_f64()
    });
    row(&format!("list of {} messages retrieved, messages/s", size.list), rate, None);
}

/// Sessions whose message was sent and is not acknowledged: what each holds.
fn waiting_sessions(size: &Size) {
    let mut opened = 0.0;
    let held = median(|| {
        let node = Node::start();
        let mut sip = Sip::connect(&node);
        let id = sip.stock("bob", 1).remove(0);
        let uri = format!("sip:{id}@mailserver.example.com");
        let before = node.memory("VmRSS:");
        let start = Instant::now();
        let mut calls: Vec<Call> = (0..size.sessions).map(|_| sip.invite("bob", &uri, None)).collect();
        opened = size.sessions as f64 / start.elapsed().as_secs_f64();
        // What is not read does not hurt: once each has got its SEND, all of them wait.
        calls.iter_mut().for_each(|call| assert!(call.msrp.next().send));
        (node.memory("VmRSS:") - before) / size.sessions as f64
    });
    row(&format!("{} sessions waiting, bytes each", size.sessions), held, None);
    row("  sessions opened/s, one after another", opened, None);
}
