//! A WebSocket that was accepted: messages in, messages out, pings (RFC 6455 5).

use crate::link::close_cause::CloseCause;
use crate::link::stream::{Got, Octets, Stream};
use bytes::{Bytes, BytesMut};
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

/// What is read at once: a waiting socket holds as much.
const READ: usize = 4 << 10;
/// What waits to be written at most: pongs for a peer that does not read, of which only the last is kept beyond.
const WAITING: usize = 128 << 10;
/// Silence of so many pings means that the peer is gone.
const PATIENCE: u32 = 3;

/// A WebSocket.
pub(crate) struct WebSocket {
    below: Stream,
    state: Mutex<State>,
    ping: Duration,
}

struct State {
    context: WebSocketContext,
    pinged: Option<Instant>,
    /// When bytes came that make no whole message or sign yet.
    begun: Option<Instant>,
}

/// A stream of which is known how much was read.
struct Counted<'a> {
    stream: Octets<'a>,
    read: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl WebSocket {
    /// The server's side of a socket whose handshake is done.
    pub(crate) fn accepted(below: Stream, limits: &super::WebLimits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(WAITING / 2)
            .max_write_buffer_size(WAITING)
            .max_message_size(Some(limits.message))
            .max_frame_size(Some(limits.message));
        let context = WebSocketContext::new(Role::Server, Some(config));
        Self { below, state: Mutex::new(State { context, pinged: None, begun: None }), ping: limits.ping }
    }

    /// The same socket, its connection's events told to the runtime this is called on.
    pub(crate) fn here(self) -> io::Result<Self> {
        Ok(Self { below: self.below.here()?, ..self })
    }

    /// The stream of bytes below.
    pub(crate) fn below(&self) -> &Stream {
        &self.below
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends the next message to `buffer`.
    pub(crate) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<Got> {
        let mut state = self.state();
        let mut stream = Counted { stream: Octets(&self.below), read: 0 };
        loop {
            let read = state.context.read(&mut stream);
            state.begun = match &read {
                Err(Error::Io(_)) if stream.read > 0 => state.begun.or_else(|| Some(Instant::now())),
                Err(Error::Io(_)) => state.begun,
                _ => None,
            };
            match read {
                Ok(Message::Text(text)) if text.is_empty() => return Ok(Got::Sign),
                Ok(Message::Text(text)) => return Ok(append(buffer, text.as_bytes())),
                Ok(Message::Binary(bytes)) if bytes.is_empty() => return Ok(Got::Sign),
                Ok(Message::Binary(bytes)) => return Ok(append(buffer, &bytes)),
                Ok(Message::Ping(_) | Message::Pong(_)) => return Ok(Got::Sign),
                // What is to be answered is answered by the next read, which tells the end.
                Ok(Message::Close(_) | Message::Frame(_)) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(Got::End),
                Err(Error::Io(error)) => return Err(error),
                Err(error) => {
                    let (code, reason) = complaint(&error);
                    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
                    let _ = state.context.close(&mut Octets(&self.below), Some(frame));
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }

    /// Sends one message, or says that there is no room for it.
    pub(crate) fn try_send(&self, message: &Bytes) -> io::Result<()> {
        let mut state = self.state();
        let mut stream = Octets(&self.below);
        state.context.flush(&mut stream).map_err(cause)?;
        // RFC 7118 4.2, RFC 7977 5.1: both text and binary frames carry messages; text cannot carry all.
        let message = match Utf8Bytes::try_from(message.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(message.clone()),
        };
        // Nothing waits now, so that there is room for a message of any size.
        state.context.set_config(|config| config.max_write_buffer_size = WAITING + message.len());
        let written = state.context.write(&mut stream, message);
        state.context.set_config(|config| config.max_write_buffer_size = WAITING);
        match written {
            // It is taken; what the system does not take now goes by a flush.
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            written => written.map_err(cause)?,
        }
        match state.context.flush(&mut stream).map_err(cause) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes what was taken and is still here.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        self.state().context.flush(&mut Octets(&self.below)).map_err(cause)
    }

    /// Says goodbye.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        if state.context.can_write() {
            let _ = state.context.close(&mut Octets(&self.below), None);
        }
        let _ = state.context.flush(&mut Octets(&self.below));
    }

    /// Since when a message or sign is incomplete.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.state().begun
    }

    /// When the peer, last `heard`, is to be pinged, or given up.
    pub(crate) fn next_ping(&self, heard: Instant) -> Option<Instant> {
        let last = self.state().pinged.map_or(heard, |pinged| pinged.max(heard));
        Some(last + self.ping)
    }

    /// Pings the peer (RFC 7977 6; for SIP it takes the place of RFC 5626's CRLFs).
    ///
    /// # Errors
    /// The peer is silent for too long.
    pub(crate) fn ping(&self, heard: Instant) -> Result<(), CloseCause> {
        let now = Instant::now();
        if now.saturating_duration_since(heard) >= self.ping.saturating_mul(PATIENCE) {
            return Err(CloseCause::Idle);
        }
        let mut state = self.state();
        state.pinged = Some(now);
        let mut stream = Octets(&self.below);
        let _ = state.context.write(&mut stream, Message::Ping(Bytes::new()));
        let _ = state.context.flush(&mut stream);
        Ok(())
    }
}

fn append(buffer: &mut BytesMut, message: &[u8]) -> Got {
    buffer.extend_from_slice(message);
    Got::Bytes(message.len())
}

fn cause(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::other(other),
    }
}

/// How the peer is told what it did (RFC 6455 7.4.1).
fn complaint(error: &Error) -> (CloseCode, &'static str) {
    match error {
        Error::Capacity(_) => (CloseCode::Size, "message too large"),
        Error::Utf8(_) => (CloseCode::Invalid, "text that is not UTF-8"),
        _ => (CloseCode::Protocol, "protocol error"),
    }
}
