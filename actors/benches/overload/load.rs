//! Deposits, as fast as they are answered or as fast as is asked, and what becomes of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::node::{MAILBOXES, Node};

/// Sockets that the load is spread over, each with a thread that sends and one that receives.
const SOCKETS: usize = 2;
/// Deposits under way at once while the capacity is searched for.
const IN_FLIGHT: usize = 256;
/// How long to wait for answers when nothing is sent any more.
const TAIL: Duration = Duration::from_secs(2);
/// How often the open loop sends what is due.
const TICK: Duration = Duration::from_millis(1);

static NEXT: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// One answer: which deposit, when it was sent and answered since the beginning, and whether it was accepted.
#[derive(Clone, Copy)]
struct Answer {
    number: u64,
    sent: Duration,
    came: Duration,
    accepted: bool,
}

/// What became of a load.
pub struct Outcome {
    sent: usize,
    answers: Vec<Answer>,
    bare: usize,
}

impl Outcome {
    pub const fn sent(&self) -> usize {
        self.sent
    }

    pub fn accepted(&self) -> usize {
        self.answers.iter().filter(|answer| answer.accepted).count()
    }

    pub fn refused(&self) -> usize {
        self.answers.len() - self.accepted()
    }

    pub const fn unanswered(&self) -> usize {
        self.sent.saturating_sub(self.answers.len())
    }

    /// Refusals that do not say when to try again.
    pub const fn bare(&self) -> usize {
        self.bare
    }

    /// The numbers of what was accepted.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.answers.iter().filter(|answer| answer.accepted).map(|answer| answer.number)
    }

    /// From the sending of what was accepted to its answer.
    pub fn latencies(&self) -> Vec<Duration> {
        let accepted = self.answers.iter().filter(|answer| answer.accepted);
        accepted.map(|answer| answer.came.saturating_sub(answer.sent)).collect()
    }

    /// From the sending of what was refused to its answer.
    pub fn refusals(&self) -> Vec<Duration> {
        let refused = self.answers.iter().filter(|answer| !answer.accepted);
        refused.map(|answer| answer.came.saturating_sub(answer.sent)).collect()
    }

    /// When the last refusal came.
    pub fn recovered(&self) -> Duration {
        let refused = self.answers.iter().filter(|answer| !answer.accepted);
        refused.map(|answer| answer.came).max().unwrap_or_default()
    }
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Socket {
    fn open(transport: Transport, to: SocketAddr) -> Self {
        match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let sized = socket2::SockRef::from(&socket);
                let _ = sized.set_recv_buffer_size(8 << 20);
                socket.connect(to).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                Self::Udp(socket)
            }
            Transport::Tcp => {
                let stream = TcpStream::connect(to).unwrap();
                stream.set_nodelay(true).unwrap();
                // What waits in the driver's own system is not the node's doing.
                socket2::SockRef::from(&stream).set_send_buffer_size(256 << 10).unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                Self::Tcp(stream)
            }
        }
    }

    fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr().unwrap(),
            Self::Tcp(stream) => stream.local_addr().unwrap(),
        }
    }

    /// Sends whole messages.
    fn send(&self, messages: &[String]) {
        match self {
            Self::Udp(socket) => {
                for message in messages {
                    // What does not fit into the buffers is lost, as on any network.
                    let _ = socket.send(message.as_bytes());
                }
            }
            Self::Tcp(stream) => {
                let mut stream = stream;
                stream.write_all(messages.concat().as_bytes()).unwrap();
            }
        }
    }

    /// Receives some bytes; whole messages over UDP.
    fn receive(&self, buffer: &mut [u8]) -> usize {
        let received = match self {
            Self::Udp(socket) => socket.recv(buffer),
            Self::Tcp(stream) => {
                let mut stream = stream;
                stream.read(buffer)
            }
        };
        match received {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(error) => panic!("the node is gone: {error}"),
        }
    }
}

/// A load in progress.
pub struct Load {
    begun: Instant,
    sent: AtomicUsize,
    answered: AtomicUsize,
    bare: AtomicUsize,
    over: AtomicBool,
    answers: Mutex<Vec<Answer>>,
}

impl Load {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            sent: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            bare: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            answers: Mutex::default(),
        }
    }

    /// As many as are answered, so many under way at once.
    pub fn closed(node: &Node, transport: Transport, span: Duration) -> Outcome {
        Self::run(node, transport, span, |load, _| {
            IN_FLIGHT
                .saturating_sub(load.sent.load(Ordering::Relaxed) - load.answered.load(Ordering::Relaxed))
                / SOCKETS
        })
    }

    /// So many a second, whatever becomes of them.
    pub fn open(node: &Node, transport: Transport, rate: f64, span: Duration) -> Outcome {
        Self::run(node, transport, span, |load, sent| {
            let due = load.begun.elapsed().as_secs_f64() * rate / SOCKETS as f64;
            (due as usize).saturating_sub(sent)
        })
    }

    fn run(
        node: &Node,
        transport: Transport,
        span: Duration,
        due: impl Fn(&Self, usize) -> usize + Sync,
    ) -> Outcome {
        let sockets: Vec<Socket> = (0..SOCKETS).map(|_| Socket::open(transport, node.sip)).collect();
        let load = Self::new();
        std::thread::scope(|scope| {
            let (load, due) = (&load, &due);
            let receivers: Vec<_> =
                sockets.iter().map(|socket| scope.spawn(|| load.receive(socket))).collect();
            let senders: Vec<_> = sockets
                .iter()
                .map(|socket| scope.spawn(move || load.send(socket, transport, span, due)))
                .collect();
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            let end = Instant::now() + TAIL;
            while Instant::now() < end
                && load.answered.load(Ordering::Relaxed) < load.sent.load(Ordering::Relaxed)
            {
                std::thread::sleep(TICK);
            }
            load.over.store(true, Ordering::Relaxed);
            receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
        });
        Outcome {
            sent: load.sent.into_inner(),
            answers: load.answers.into_inner().unwrap(),
            bare: load.bare.into_inner(),
        }
    }

    fn send(
        &self,
        socket: &Socket,
        transport: Transport,
        span: Duration,
        due: &impl Fn(&Self, usize) -> usize,
    ) {
        let (here, body) = (socket.local(), "x".repeat(200));
        let via = if transport == Transport::Udp { "UDP" } else { "TCP" };
        let mut own = 0;
        while self.begun.elapsed() < span {
            let count = due(self, own).min(512);
            if count == 0 {
                std::thread::sleep(TICK / 4);
                continue;
            }
            let at = self.begun.elapsed().as_micros();
            let messages: Vec<String> = (0..count)
                .map(|_| {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    let user = number % MAILBOXES;
                    format!(
                        "MESSAGE sip:user{user}@example.com SIP/2.0\r\nVia: SIP/2.0/{via} {here};branch=z9hG4bK{number}.{at}\r\n\
                         Max-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=f{number}\r\nTo: <sip:user{user}@example.com>\r\n\
                         Call-ID: load{number}\r\nCSeq: 1 MESSAGE\r\nSubject: carpool tomorrow?\r\nContent-Type: text/plain\r\n\
                         Content-Length: {}\r\n\r\n{body}",
                        body.len()
                    )
                })
                .collect();
            self.sent.fetch_add(count, Ordering::Relaxed);
            own += count;
            socket.send(&messages);
        }
    }

    fn receive(&self, socket: &Socket) {
        let (mut scratch, mut buffer, mut answers) = (vec![0; 256 << 10], Vec::new(), Vec::new());
        while !self.over.load(Ordering::Relaxed) {
            let length = socket.receive(&mut scratch);
            buffer.extend_from_slice(&scratch[..length]);
            let mut used = 0;
            while let Some(blank) = buffer[used..].windows(4).position(|four| four == b"\r\n\r\n") {
                let head = std::str::from_utf8(&buffer[used..used + blank]).unwrap();
                answers.extend(self.answer(head));
                used += blank + 4;
            }
            buffer.drain(..used);
        }
        self.answers.lock().unwrap().extend(answers);
    }

    fn answer(&self, head: &str) -> Option<Answer> {
        let branch = head.split("branch=z9hG4bK").nth(1)?;
        let (number, rest) = branch.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let status = head.get(8..11)?;
        assert!(["202", "503"].contains(&status), "{head}");
        if status == "503" && !head.contains("\r\nRetry-After: ") {
            self.bare.fetch_add(1, Ordering::Relaxed);
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        Some(Answer {
            number: number.parse().ok()?,
            sent: Duration::from_micros(rest[..digits].parse().ok()?),
            came: self.begun.elapsed(),
            accepted: status == "202",
        })
    }
}
