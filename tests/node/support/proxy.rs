//! A proxy with many subscribers behind one connection, which is read only when it is told to.

use super::clock::{PATIENCE, fresh};
use super::node::Node;
use super::sip::Msg;
use super::summary::Summary;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The last NOTIFY of a subscription.
pub struct Notified {
    pub cseq: u32,
    /// New and old.
    pub totals: (u64, u64),
}

pub struct Proxy {
    stream: TcpStream,
    here: SocketAddr,
    buffer: Vec<u8>,
    used: usize,
    /// By Call-ID.
    pub told: HashMap<String, Notified>,
    /// How many NOTIFYs came.
    pub notifies: usize,
}

impl Proxy {
    /// A proxy whose system takes little that it has not read.
    pub fn connect(node: &Node) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.connect(&node.sip.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let here = stream.local_addr().unwrap();
        Self { stream, here, buffer: Vec::new(), used: 0, told: HashMap::new(), notifies: 0 }
    }

    pub fn send(&mut self, message: &Msg) {
        self.stream.write_all(&message.encode()).unwrap();
    }

    /// The next message; a NOTIFY is noted and answered.
    pub fn next(&mut self) -> Msg {
        loop {
            if let Some((message, length)) = Msg::parse(&self.buffer[self.used..]) {
                self.used += length;
                if message.is_request() {
                    assert_eq!(message.method(), "NOTIFY", "{message}");
                    self.send(&message.respond(200, "OK"));
                    self.note(&message);
                }
                return message;
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            let mut some = [0; 16 << 10];
            let count = self.stream.read(&mut some).expect("something comes");
            assert!(count > 0, "the connection has ended after {} NOTIFYs", self.notifies);
            self.buffer.extend_from_slice(&some[..count]);
        }
    }

    fn note(&mut self, notify: &Msg) {
        let cseq = notify.need("CSeq").split(' ').next().unwrap().parse().unwrap();
        let notified = Notified { cseq, totals: Summary::of(notify).totals() };
        let before = self.told.insert(notify.call_id(), notified);
        assert!(before.is_none_or(|before| before.cseq < cseq), "in order: {notify}");
        self.notifies += 1;
    }

    /// Subscribes `user0` to `user{count - 1}` and waits until all have had their first NOTIFY.
    pub fn subscribe(&mut self, count: usize) {
        self.ask_all(count, 200, |proxy, user| {
            let contact = format!("<sip:user{user}@{};transport=tcp>", proxy.here);
            let request = proxy.request("SUBSCRIBE", user).add("Contact", contact);
            request.add("Event", "message-summary").add("Expires", "3600")
        });
        self.read_until(|proxy| proxy.told.len() == count);
    }

    /// Deposits a message for each of so many.
    pub fn deposit(&mut self, count: usize) {
        self.ask_all(count, 202, |proxy, user| {
            // Of each field no more than this is told.
            let message = proxy.request("MESSAGE", user).add("Subject", "s".repeat(1_000));
            message.add("Priority", "p".repeat(500)).body("text/plain", "x")
        });
    }

    /// Sends a request for each of so many users, a hundred at a time, which must be answered so.
    fn ask_all(&mut self, count: usize, status: u16, request: impl Fn(&Self, usize) -> Msg) {
        let mut waiting = 0;
        for user in 0..count {
            let request = request(self, user);
            self.send(&request);
            waiting += 1;
            while waiting >= if user + 1 == count { 1 } else { 100 } {
                let message = self.next();
                if !message.is_request() {
                    assert_eq!(message.status(), status, "{message}");
                    waiting -= 1;
                }
            }
        }
    }

    /// Reads until `done` says so.
    pub fn read_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.next();
        }
    }

    fn request(&self, method: &str, user: usize) -> Msg {
        let uri = format!("sip:user{user}@example.com");
        Msg::request(method, &uri)
            .add("Via", format!("SIP/2.0/TCP {};branch={}", self.here, fresh("z9hG4bK")))
            .add("Max-Forwards", "70")
            .add("From", format!("<{uri}>;tag={}", fresh("f")))
            .add("To", format!("<{uri}>"))
            .add("Call-ID", fresh("call"))
            .add("CSeq", format!("1 {method}"))
    }
}
