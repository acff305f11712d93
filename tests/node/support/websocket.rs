//! A WebSocket client (RFC 6455), as short as it can be.

use super::tunnel::Carrier;
use std::io;

/// What one frame brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebFrame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

pub struct WebSocket {
    carrier: Carrier,
    buffer: Vec<u8>,
}

impl WebSocket {
    /// A connection whose handshake is done.
    pub fn over(carrier: Carrier) -> Self {
        Self { carrier, buffer: Vec::new() }
    }

    /// Sends a handshake with these further header lines; the response up to its blank line, and what follows.
    pub fn ask(carrier: &Carrier, path: &str, headers: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: node.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        );
        carrier.write(request.as_bytes()).unwrap();
        let mut response = Vec::new();
        let mut byte = [0];
        while !response.ends_with(b"\r\n\r\n") && carrier.read(&mut byte).is_ok_and(|count| count == 1) {
            response.push(byte[0]);
        }
        String::from_utf8(response).unwrap()
    }

    /// Opens a WebSocket of this subprotocol.
    pub fn open(carrier: &Carrier, protocol: &str) {
        let response = Self::ask(carrier, "/", &format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        // RFC 6455 1.3: the answer to the key of the example.
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{response}");
        assert!(response.contains(&format!("Sec-WebSocket-Protocol: {protocol}\r\n")), "{response}");
    }

    pub fn send(&self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.carrier.write(&encode(opcode, payload))
    }

    /// Sends bytes that are no frame, or one of another form.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.carrier.write(bytes).unwrap();
    }

    /// The next frame; `None` at the end of the connection.
    pub fn next_frame(&mut self) -> Option<WebFrame> {
        loop {
            if let Some(frame) = decode(&mut self.buffer) {
                return Some(frame);
            }
            let mut scratch = [0; 16_384];
            match self.carrier.read(&mut scratch) {
                Ok(count @ 1..) => self.buffer.extend_from_slice(&scratch[..count]),
                _ => return None,
            }
        }
    }

    /// The payload of the next text or binary message; pings are answered.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.next_frame()? {
                WebFrame { opcode: 0x1 | 0x2, payload } => return Some(payload),
                WebFrame { opcode: 0x8, .. } => return None,
                WebFrame { opcode: 0x9, payload } => drop(self.send(0xA, &payload)),
                _ => {}
            }
        }
    }
}

/// A frame that a client sends: whole, and masked (RFC 6455 5.2, 5.3).
pub fn encode(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        small @ 0..=125 => out.push(0x80 | small as u8),
        medium @ 126..=65_535 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        large => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(large as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    out
}

/// Takes a frame that the server has sent out of `buffer`: never masked, never in fragments.
fn decode(buffer: &mut Vec<u8>) -> Option<WebFrame> {
    let (first, second) = (*buffer.first()?, *buffer.get(1)?);
    assert_eq!(second & 0x80, 0, "RFC 6455 5.1: a server MUST NOT mask");
    assert_eq!(first & 0xF0, 0x80, "a whole frame, without extensions");
    let (length, head) = match second {
        126 => (u16::from_be_bytes(buffer.get(2..4)?.try_into().unwrap()) as usize, 4),
        127 => (u64::from_be_bytes(buffer.get(2..10)?.try_into().unwrap()) as usize, 10),
        short => (short as usize, 2),
    };
    if buffer.len() < head + length {
        return None;
    }
    let payload = buffer[head..head + length].to_vec();
    buffer.drain(..head + length);
    Some(WebFrame { opcode: first & 0x0F, payload })
}
