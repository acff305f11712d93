//! Reading one connection: a buffer that exists only while bytes are in it.
//!
//! A connection that waits holds no buffer; one that is busy reads up to [`MOST`] at once.

use super::close_cause::CloseCause;
use super::stop::Stop;
use super::stream::{Got, Stream};
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use tokio::time::Instant;

/// The least that is read at once.
const LEAST: usize = 4 << 10;
/// The most that is read at once.
const MOST: usize = 256 << 10;

/// The reading side of a connection.
pub(crate) struct Intake {
    pub(crate) stream: Arc<Stream>,
    /// What was read and not yet decoded.
    pub(crate) buffer: BytesMut,
    /// When something to be understood came last.
    pub(crate) active: Instant,
    /// When the peer gave its last sign of life.
    pub(crate) heard: Instant,
    pub(crate) stop: Stop,
    /// How much to read at once: grows with what comes.
    appetite: usize,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Some,
    Nothing,
}

impl Intake {
    pub(crate) fn new(stream: Arc<Stream>, stop: Stop) -> Self {
        let now = Instant::now();
        Self { stream, buffer: BytesMut::new(), active: now, heard: now, stop, appetite: LEAST }
    }

    /// The same, where nobody else has the stream yet: its events are told to the runtime this is called on.
    pub(crate) fn here(self) -> io::Result<Self> {
        let stream = match Arc::try_unwrap(self.stream) {
            Ok(stream) => Arc::new(stream.here()?),
            Err(shared) => shared,
        };
        Ok(Self { stream, ..self })
    }

    /// Reads what is there, without waiting; counted as of `protocol`. The end of the stream is
    /// [`CloseCause::Peer`].
    pub(crate) fn read(&mut self, protocol: &'static str) -> Result<Read, CloseCause> {
        // What is decrypted or unpacked brings its own buffer.
        let is_plain = matches!(*self.stream, Stream::Plain(_));
        if is_plain && self.buffer.capacity() - self.buffer.len() < self.appetite / 2 {
            self.buffer.reserve(self.appetite);
        }
        let space = self.buffer.capacity() - self.buffer.len();
        match self.stream.try_read(&mut self.buffer) {
            Ok(Got::End) => Err(CloseCause::Peer),
            Ok(Got::Sign) => {
                self.heard = Instant::now();
                Ok(Read::Nothing)
            }
            Ok(Got::Bytes(count)) => {
                self.active = Instant::now();
                self.heard = self.active;
                self.adapt(count, space);
                metrics::counter!("restante_received_bytes_total", "protocol" => protocol)
                    .increment(count as u64);
                Ok(Read::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.buffer.is_empty() {
                    self.buffer = BytesMut::new();
                }
                Ok(Read::Nothing)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Read::Nothing),
            // Against TLS or WebSocket; its peer has been told in their words.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(CloseCause::Broken),
            Err(error) => Err(CloseCause::Network(error.kind())),
        }
    }

    fn adapt(&mut self, count: usize, space: usize) {
        if count >= space {
            self.appetite = self.appetite.saturating_mul(2).min(MOST);
        } else if count < self.appetite / 4 {
            self.appetite = (self.appetite / 2).max(LEAST);
        }
    }
}
