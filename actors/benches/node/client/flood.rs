//! Many pager messages at once, from one thread: as many more as were answered (a rate), or as many as a
//! clock says (latencies).

use super::template::{Template, number_of};
use crate::number;
use rustc_hash::FxHashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, UdpSocket};

#[derive(Clone, Copy, PartialEq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What to send, and how.
#[derive(Clone, Copy)]
pub struct Load {
    pub transport: Transport,
    /// Connections (or sockets) that what is in flight is spread over.
    pub connections: usize,
    pub in_flight: usize,
    pub body: usize,
    /// The first user and how many there are.
    pub users: (u64, u64),
}

impl Load {
    pub const fn new(transport: Transport, connections: usize, in_flight: usize, body: usize) -> Self {
        Self { transport, connections, in_flight, body, users: (0, 1000) }
    }
}

/// A datagram that is not answered within this time is sent again, as RFC 3261 17.1.2 says of timer E.
const RETRANSMIT: Duration = Duration::from_millis(500);
/// Nothing at all for so long: whatever is loaded has died.
const SILENCE: Duration = Duration::from_secs(30);

/// One way of bytes there and back.
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// One connection, and what waits for an answer on it.
struct Lane {
    wire: Wire,
    template: Template,
    waiting: FxHashMap<u64, Instant>,
    /// Answered with 503.
    refused: usize,
    out: Vec<u8>,
    sent: usize,
    buffer: Vec<u8>,
    filled: usize,
}

impl Lane {
    async fn open(to: SocketAddr, load: &Load) -> Self {
        let (wire, via) = match load.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                // Answers come in bursts, when a batch is on the disk: what the client drops is not the node's delay.
                let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20);
                socket.connect(to).await.unwrap();
                let via = format!("UDP {};rport", socket.local_addr().unwrap());
                (Wire::Udp(socket), via)
            }
            Transport::Tcp => {
                let stream = TcpStream::connect(to).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let via = format!("TCP {}", stream.local_addr().unwrap());
                (Wire::Tcp(stream), via)
            }
        };
        let template = Template::message(&via, load.body, load.users.0, load.users.1);
        let (out, buffer) = (Vec::new(), vec![0; 256 * 1024]);
        Self { wire, template, waiting: FxHashMap::default(), refused: 0, out, sent: 0, buffer, filled: 0 }
    }

    /// Sends `count` more messages: over TCP what cannot be written at once follows with `exchange`.
    async fn send(&mut self, count: usize) {
        for _ in 0..count {
            let number = number();
            self.waiting.insert(number, Instant::now());
            if matches!(self.wire, Wire::Udp(_)) {
                self.datagram(number).await;
            } else {
                self.template.write(number, &mut self.out);
            }
        }
        self.flush();
    }

    async fn datagram(&mut self, number: u64) {
        let Wire::Udp(socket) = &self.wire else { return };
        self.out.clear();
        self.template.write(number, &mut self.out);
        socket.send(&self.out).await.unwrap();
        self.out.clear();
    }

    fn flush(&mut self) {
        let Wire::Tcp(stream) = &self.wire else { return };
        while self.sent < self.out.len() {
            match stream.try_write(&self.out[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
        self.out.clear();
        self.sent = 0;
    }

    /// Waits until answers can be read or what is left can be written, or until `deadline`; gives what was answered.
    async fn exchange(&mut self, deadline: Instant, answered: &mut impl FnMut(Duration)) -> usize {
        let wait = deadline.saturating_duration_since(Instant::now());
        match &self.wire {
            Wire::Udp(socket) => {
                let Ok(ready) = tokio::time::timeout(wait, socket.readable()).await else { return 0 };
                ready.unwrap();
            }
            Wire::Tcp(stream) => {
                let mut interest = tokio::io::Interest::READABLE;
                if self.sent < self.out.len() {
                    interest |= tokio::io::Interest::WRITABLE;
                }
                let Ok(ready) = tokio::time::timeout(wait, stream.ready(interest)).await else { return 0 };
                ready.unwrap();
            }
        }
        self.flush();
        let mut done = 0;
        loop {
            let free = &mut self.buffer[self.filled..];
            let read = match &self.wire {
                Wire::Udp(socket) => socket.try_recv(free),
                Wire::Tcp(stream) => stream.try_read(free),
            };
            match read {
                Ok(0) => panic!("the connection was closed"),
                Ok(length) => {
                    self.filled += length;
                    done += self.answers(answered);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return done,
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    }

    /// Takes the responses that are complete; none of them has a body.
    fn answers(&mut self, answered: &mut impl FnMut(Duration)) -> usize {
        let (mut at, mut done, now) = (0, 0, Instant::now());
        while let Some(length) = memchr::memmem::find(&self.buffer[at..self.filled], b"\r\n\r\n") {
            let head = &self.buffer[at..at + length];
            let first = String::from_utf8_lossy(&head[..head.len().min(60)]);
            let busy = head.starts_with(b"SIP/2.0 503 ");
            assert!(busy || head.starts_with(b"SIP/2.0 202 "), "a deposit is refused: {first}");
            // A response that comes twice is counted once.
            match self.waiting.remove(&number_of(head)) {
                Some(_) if busy => self.refused += 1,
                Some(sent) => {
                    answered(now.duration_since(sent));
                    done += 1;
                }
                None => {}
            }
            at += length + 4;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        done
    }

    /// Sends again what has waited too long.
    async fn retransmit(&mut self) {
        let now = Instant::now();
        let late: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, sent)| now.duration_since(**sent) >= RETRANSMIT)
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            self.datagram(number).await;
        }
    }

    /// Keeps `in_flight` messages going for `span`; gives how many were answered.
    async fn keep(&mut self, in_flight: usize, start: Instant, span: Duration) -> u64 {
        let (mut done, mut heard) = (0, Instant::now());
        loop {
            if start.elapsed() < span {
                self.send(in_flight - self.waiting.len()).await;
            } else if self.waiting.is_empty() {
                assert!(self.refused == 0, "{} deposits are refused: the node is too busy", self.refused);
                return done;
            }
            let answered = self.exchange(Instant::now() + RETRANSMIT, &mut |_| ()).await;
            if answered > 0 {
                (done, heard) = (done + answered as u64, Instant::now());
            } else {
                assert!(heard.elapsed() < SILENCE, "{} deposits are not answered", self.waiting.len());
                self.retransmit().await;
            }
        }
    }

    /// Sends `rate` messages a second, answered or not; gives how long each took that was taken. Over UDP
    /// what a full buffer on the way has dropped is sent again, as a user agent would.
    async fn pace(&mut self, rate: f64, span: Duration) -> Vec<f64> {
        let (start, mut latencies, mut sent) = (Instant::now(), Vec::new(), 0);
        let mut again = start + RETRANSMIT;
        while start.elapsed() < span || !self.waiting.is_empty() {
            assert!(start.elapsed() < span + SILENCE, "{} deposits are not answered", self.waiting.len());
            let due = (start.elapsed().min(span).as_secs_f64() * rate) as usize;
            self.send(due - sent).await;
            sent = due;
            let tick = Instant::now() + Duration::from_millis(1);
            self.exchange(tick, &mut |took| latencies.push(took.as_secs_f64() * 1000.0)).await;
            if Instant::now() >= again {
                self.retransmit().await;
                again = Instant::now() + RETRANSMIT;
            }
        }
        latencies
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Answered messages a second with as many in flight as the load says.
pub fn flood(to: SocketAddr, load: &Load, span: Duration) -> f64 {
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime(), async {
        let mut lanes = Vec::new();
        for _ in 0..load.connections {
            lanes.push(Lane::open(to, load).await);
        }
        let start = Instant::now();
        let share = load.in_flight / load.connections;
        let running: Vec<_> = lanes
            .into_iter()
            .map(|mut lane| tokio::task::spawn_local(async move { lane.keep(share, start, span).await }))
            .collect();
        let mut done = 0;
        for lane in running {
            done += lane.await.unwrap();
        }
        done as f64 / start.elapsed().as_secs_f64()
    })
}

/// Milliseconds from MESSAGE to 202 of each, at so many a second, whether the last was answered or not; and
/// the share in percent of those that were refused because the node was too busy.
pub fn pace(to: SocketAddr, load: &Load, rate: f64, span: Duration) -> (Vec<f64>, f64) {
    runtime().block_on(async {
        let mut lane = Lane::open(to, load).await;
        let took = lane.pace(rate, span).await;
        let share = 100.0 * lane.refused as f64 / (lane.refused + took.len()) as f64;
        (took, share)
    })
}

/// Sends exactly `count` messages and waits for all answers.
pub fn fill(to: SocketAddr, load: &Load, count: usize) {
    runtime().block_on(async {
        let mut lane = Lane::open(to, load).await;
        let mut left = count;
        while left > 0 || !lane.waiting.is_empty() {
            let more = left.min(load.in_flight - lane.waiting.len());
            lane.send(more).await;
            left -= more;
            if lane.exchange(Instant::now() + RETRANSMIT, &mut |_| ()).await == 0 {
                lane.retransmit().await;
            }
        }
    });
}
