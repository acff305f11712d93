//! A DNS server over UDP that answers from a table (RFC 1035, 2782, 3403), written by hand.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

/// What is known of the zone, and a server for it.
pub struct Dns {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    mute: Arc<AtomicBool>,
}

/// The records of a server that is to be started, and how it behaves.
#[derive(Default)]
pub struct Zone {
    records: Vec<(String, u16, Vec<u8>)>,
    silent: Vec<&'static str>,
    late: Vec<&'static str>,
}

impl Zone {
    pub fn address(mut self, name: &str, ip: &str) -> Self {
        match ip.parse().unwrap() {
            IpAddr::V4(ip) => self.records.push((name.to_owned(), A, ip.octets().to_vec())),
            IpAddr::V6(ip) => self.records.push((name.to_owned(), AAAA, ip.octets().to_vec())),
        }
        self
    }

    pub fn srv(mut self, name: &str, priority: u16, port: u16, target: &str) -> Self {
        let mut data = [priority, 0, port].map(u16::to_be_bytes).concat();
        data.extend(labels(target));
        self.records.push((name.to_owned(), SRV, data));
        self
    }

    pub fn naptr(mut self, name: &str, order: u16, service: &str, replacement: &str) -> Self {
        let mut data = [order, 1].map(u16::to_be_bytes).concat();
        for text in ["s", service, ""] {
            data.push(text.len() as u8);
            data.extend(text.as_bytes());
        }
        data.extend(labels(replacement));
        self.records.push((name.to_owned(), NAPTR, data));
        self
    }

    /// Never answers `question`: `AAAA phones.test`.
    pub fn silent(mut self, question: &'static str) -> Self {
        self.silent.push(question);
        self
    }

    /// Answers a query of `question` when the next one comes.
    pub fn late(mut self, question: &'static str) -> Self {
        self.late.push(question);
        self
    }

    pub fn serve(self) -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let mute = Arc::new(AtomicBool::new(false));
        let muted = Arc::clone(&mute);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            let mut kept = std::collections::HashMap::new();
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Some((question, answer)) = self.answer(&buffer[..length]) {
                    log.lock().unwrap().push(question.clone());
                    let answered = if muted.load(Ordering::SeqCst)
                        || self.silent.iter().any(|silent| *silent == question)
                    {
                        None
                    } else if self.late.iter().any(|late| *late == question) {
                        kept.insert(question, (answer, peer))
                    } else {
                        Some((answer, peer))
                    };
                    if let Some((answer, peer)) = answered {
                        let _ = socket.send_to(&answer, peer);
                    }
                }
            }
        });
        Dns { addr, asked, stop, mute }
    }

    /// The answer to a query of one question; what it was.
    fn answer(&self, query: &[u8]) -> Option<(String, Vec<u8>)> {
        let (mut name, mut at) = (Vec::new(), 12);
        while let Some(length @ 1..) = query.get(at).map(|length| usize::from(*length)) {
            name.push(String::from_utf8_lossy(query.get(at + 1..=at + length)?).to_ascii_lowercase());
            at += 1 + length;
        }
        let (name, end) = (name.join("."), at + 5);
        let kind = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
        let records: Vec<_> =
            self.records.iter().filter(|(own, of, _)| *own == name && *of == kind).collect();
        let exists = self.records.iter().any(|(own, ..)| *own == name || own.ends_with(&format!(".{name}")));
        let mut out = query.get(..2)?.to_vec();
        // A response, authoritative, recursion desired and available; 3 = no such name.
        out.extend([0x85, if exists { 0x80 } else { 0x83 }]);
        out.extend([1, records.len() as u16, 0, 0].map(u16::to_be_bytes).concat());
        out.extend(query.get(12..end)?);
        for (_, kind, data) in records {
            out.extend([0xc0, 0x0c]);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60]);
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(data);
        }
        let kind = match kind {
            A => "A",
            AAAA => "AAAA",
            SRV => "SRV",
            NAPTR => "NAPTR",
            _ => "?",
        };
        Some((format!("{kind} {name}"), out))
    }
}

impl Dns {
    /// The line of a node's configuration that makes it ask here.
    pub fn servers(&self) -> String {
        format!("servers = [\"{}\"]", self.addr)
    }

    /// Answers nothing from now on, or again.
    pub fn mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::SeqCst);
    }

    /// What was asked so far: `SRV _sip._udp.example.com`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"", self.addr);
    }
}

fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}
