//! One MSRP session over a connection of its own: bytes to the machine and back.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use restante::client::{Reception, ReceptionEvent};
use restante::machine::msrp::{Event, IncomingId, Session, SessionConfig, Verdict};
use restante::machine::sip::Transport;
use restante::wire::msrp::{Decoder, DecoderLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::driver::sleep_until;
use super::error::ClientError;
use super::observer::SeenProtocol;
use super::stream::Stream;
use super::tap::Tap;
use super::transport::Eye;
use crate::chance::Chance;
use crate::clock;

/// What happens in the session.
#[derive(Debug)]
pub(super) enum MsrpEvent {
    /// To a message that is received.
    Reception(ReceptionEvent),
    /// To the session, or to a message that is sent.
    Session(Event),
    /// Bytes were written or read; nothing else.
    Progress,
}

/// A session, its connection, and what is on its way out.
pub(super) struct MsrpSession {
    session: Session,
    reception: Reception,
    decoder: Decoder,
    buffer: BytesMut,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    out: VecDeque<Bytes>,
    queued: usize,
    /// Whether the stream may hold back something that was written: TLS does.
    unflushed: bool,
    ended: bool,
    eye: Eye,
    way: (SocketAddr, SocketAddr),
    transport: Transport,
    taps: (Tap, Tap),
}

impl MsrpSession {
    /// Over a connection that we opened: the first thing sent binds it (RFC 4975 5.4).
    pub(super) fn over(
        stream: Box<dyn Stream>,
        way: (SocketAddr, SocketAddr),
        secure: bool,
        config: SessionConfig,
        eye: Eye,
    ) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let mut session = Session::new(config, &mut Chance);
        session.handle_bound(clock::now());
        session.probe(clock::now());
        Self {
            session,
            reception: Reception::new(),
            decoder: Decoder::new(DecoderLimits::default()),
            buffer: BytesMut::with_capacity(64 * 1024),
            reader,
            writer,
            out: VecDeque::new(),
            queued: 0,
            unflushed: false,
            ended: false,
            eye,
            way,
            transport: if secure { Transport::Tls } else { Transport::Tcp },
            taps: (Tap::default(), Tap::default()),
        }
    }

    /// The machine, to be told what to send. [`Self::next`] does it.
    pub(super) const fn machine(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Bytes that wait to be written.
    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// Says what became of a message that was received.
    pub(super) fn answer(&mut self, id: IncomingId, verdict: &Verdict) {
        self.session.answer(clock::now(), id, verdict);
        // No chunk is left open: nobody else writes to the connection, but a response must not wait.
        self.session.interrupt(clock::now());
    }

    /// Reads and writes until something happens. May be dropped at any point without loss.
    ///
    /// # Errors
    /// The connection broke, or what comes is no MSRP. [`Event::Failed`] has been given before.
    pub(super) async fn next(&mut self) -> Result<MsrpEvent, ClientError> {
        loop {
            if let Some(event) = self.reception.poll_event() {
                return Ok(MsrpEvent::Reception(event));
            }
            if let Some(event) = self.session.poll_event() {
                match self.reception.handle_event(event) {
                    Some(event) => return Ok(MsrpEvent::Session(event)),
                    None => continue,
                }
            }
            if self.ended {
                return Err(ClientError::Msrp("the connection was closed".to_owned()));
            }
            self.collect();
            let alarm = self.session.poll_timeout();
            let unwritten = self.out.front().cloned();
            self.buffer.reserve(16 * 1024);
            tokio::select! {
                read = self.reader.read_buf(&mut self.buffer) => {
                    match read {
                        Ok(0) | Err(_) => self.closed(),
                        Ok(length) => self.decode(length)?,
                    }
                }
                pushed = push(&mut self.writer, unwritten.as_ref(), self.unflushed) => {
                    match pushed {
                        Ok(Pushed::Written(length)) => {
                            self.written(length);
                            return Ok(MsrpEvent::Progress);
                        }
                        Ok(Pushed::Flushed) => self.unflushed = false,
                        Err(_) => self.closed(),
                    }
                }
                () = sleep_until(alarm) => self.session.handle_timeout(clock::now()),
            }
        }
    }

    /// Writes what is queued, and says that no more follows.
    pub(super) async fn finish(&mut self) {
        self.collect();
        while let Some(bytes) = self.out.pop_front() {
            if self.writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = self.writer.shutdown().await;
    }

    fn collect(&mut self) {
        while let Some(bytes) = self.session.poll_transmit() {
            if self.eye.is_open() {
                let (eye, way, transport) = (&self.eye, self.way, self.transport);
                self.taps.0.pass(&bytes, |frame| eye.see(true, SeenProtocol::Msrp, transport, way, &frame));
            }
            self.queued += bytes.len();
            self.out.push_back(bytes);
        }
    }

    fn written(&mut self, length: usize) {
        self.queued -= length;
        self.unflushed = true;
        if let Some(front) = self.out.front_mut() {
            front.advance(length);
            if front.is_empty() {
                self.out.pop_front();
            }
        }
    }

    fn decode(&mut self, length: usize) -> Result<(), ClientError> {
        if self.eye.is_open() {
            let fresh = self.buffer.get(self.buffer.len() - length..).unwrap_or_default();
            let (eye, way, transport) = (&self.eye, self.way, self.transport);
            self.taps.1.pass(fresh, |frame| eye.see(false, SeenProtocol::Msrp, transport, way, &frame));
        }
        loop {
            match self.decoder.decode(&mut self.buffer) {
                Ok(Some(piece)) => self.session.handle_piece(clock::now(), piece),
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.closed();
                    return Err(ClientError::Msrp(error.to_string()));
                }
            }
        }
    }

    fn closed(&mut self) {
        self.session.handle_closed(clock::now());
        self.ended = true;
    }
}

/// What was done with a stream.
enum Pushed {
    Written(usize),
    Flushed,
}

/// Writes some of `bytes`, or flushes where there are none; waits for ever where nothing is to be done. Given up at
/// any point, nothing is written twice.
async fn push(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    bytes: Option<&Bytes>,
    unflushed: bool,
) -> std::io::Result<Pushed> {
    match bytes {
        Some(bytes) => match writer.write(bytes).await? {
            0 => Err(std::io::ErrorKind::WriteZero.into()),
            length => Ok(Pushed::Written(length)),
        },
        None if unflushed => writer.flush().await.map(|()| Pushed::Flushed),
        None => std::future::pending().await,
    }
}
