//! Carries a plain TCP connection of the tests' side to the node by TLS or WebSocket, so that every client here
//! can speak through it.

use super::frame::Frame;
use super::secure::Secure;
use super::sip::Msg;
use super::websocket::{WebSocket, encode};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// A connection to the node.
#[derive(Clone)]
pub enum Carrier {
    Plain(Arc<TcpStream>),
    Secure(Arc<Secure>),
}

impl Carrier {
    pub fn plain(addr: SocketAddr) -> Self {
        Self::Plain(Arc::new(TcpStream::connect(addr).unwrap()))
    }

    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.as_ref().read(buffer),
            Self::Secure(session) => session.read(buffer),
        }
    }

    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.as_ref().write_all(bytes),
            Self::Secure(session) => session.write(bytes),
        }
    }

    pub fn close(&self) {
        match self {
            Self::Plain(tcp) => drop(tcp.shutdown(Shutdown::Both)),
            Self::Secure(session) => session.close(),
        }
    }
}

/// What one WebSocket message holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No WebSocket: a stream of bytes.
    Stream,
    Sip,
    Msrp,
}

impl Framing {
    /// Takes the first message out of `buffer`.
    fn cut(self, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        let used = match self {
            Self::Stream => buffer.len(),
            Self::Sip => Msg::parse(buffer)?.1,
            Self::Msrp => {
                let mut copy = buffer.clone();
                Frame::take(&mut copy, &mut 0)?;
                buffer.len() - copy.len()
            }
        };
        (used > 0).then(|| buffer.drain(..used).collect())
    }
}

/// Connects a new plain connection with `carrier`: what is written to one comes out of the other.
pub fn tunnel(carrier: Carrier, framing: Framing) -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = Arc::new(listener.accept().unwrap().0);
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    carry(far, carrier, framing);
    near
}

/// As [`tunnel`], for a client that connects itself, once.
pub fn tunnel_port(carrier: Carrier, framing: Framing) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        if let Ok((far, _)) = listener.accept() {
            far.set_nodelay(true).unwrap();
            carry(Arc::new(far), carrier, framing);
        }
    });
    addr
}

fn carry(far: Arc<TcpStream>, carrier: Carrier, framing: Framing) {
    let (out, back) = (Arc::clone(&far), carrier.clone());
    std::thread::spawn(move || {
        let mut scratch = vec![0; 65_536];
        let mut buffer = Vec::new();
        while let Ok(count @ 1..) = out.as_ref().read(&mut scratch) {
            buffer.extend_from_slice(&scratch[..count]);
            while let Some(message) = framing.cut(&mut buffer) {
                let bytes = if framing == Framing::Stream { message } else { encode(0x2, &message) };
                if carrier.write(&bytes).is_err() {
                    return;
                }
            }
        }
        carrier.close();
    });
    std::thread::spawn(move || {
        if framing == Framing::Stream {
            let mut scratch = vec![0; 65_536];
            while let Ok(count @ 1..) = back.read(&mut scratch) {
                if far.as_ref().write_all(&scratch[..count]).is_err() {
                    return;
                }
            }
        } else {
            let mut socket = WebSocket::over(back);
            while let Some(message) = socket.next_message() {
                if far.as_ref().write_all(&message).is_err() {
                    return;
                }
            }
        }
        let _ = far.shutdown(Shutdown::Both);
    });
}
