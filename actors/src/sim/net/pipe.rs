//! One end of a simulated connection: bytes arrive late and in pieces of any size, but in order; a peer
//! that does not read lets the other's writes stop; both may be cut off, or left half open.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fabric::Fabric;

/// One direction of a connection.
pub(super) struct Pipe {
    state: Mutex<State>,
    writable: Notify,
}

#[derive(Default)]
struct State {
    /// Who waits for something to read.
    reader: Option<Waker>,
    arrived: BytesMut,
    /// Bytes written and not yet arrived.
    flying: usize,
    capacity: usize,
    /// When the last piece arrives: none overtakes another.
    last: Option<Instant>,
    /// The writer has finished; whether that has arrived.
    finished: bool,
    ended: bool,
    /// The reader is gone.
    deaf: bool,
    /// The connection is broken.
    cut: bool,
    /// Nothing gets through any more, and nobody is told.
    silent: bool,
}

impl Pipe {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { capacity, ..State::default() }), writable: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rouse(&self) {
        self.rouse_reader();
        self.writable.notify_waiters();
    }

    fn rouse_reader(&self) {
        let reader = self.state().reader.take();
        reader.into_iter().for_each(Waker::wake);
    }

    /// A piece arrives.
    pub(super) fn arrive(&self, bytes: &Bytes) {
        let mut state = self.state();
        state.flying -= bytes.len();
        state.arrived.extend_from_slice(bytes);
        drop(state);
        self.rouse_reader();
    }

    /// The end arrives.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.rouse_reader();
    }

    pub(super) fn cut(&self) {
        self.state().cut = true;
        self.rouse();
    }

    pub(super) fn silence(&self) {
        self.state().silent = true;
    }

    /// Whether it holds nothing and nobody writes or reads.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.cut || (state.finished && state.deaf)
    }
}

/// One end of a connection.
pub(crate) struct Wire {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(super) inward: Arc<Pipe>,
    pub(super) outward: Arc<Pipe>,
    pub(super) fabric: Fabric,
}

impl Wire {
    /// Reads up to `most` bytes with `take`.
    pub(crate) fn try_read(&self, most: usize, take: impl FnOnce(&[u8])) -> io::Result<usize> {
        let mut state = self.inward.state();
        if state.cut {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = most.min(state.arrived.len());
        if count > 0 {
            take(&state.arrived[..count]);
            state.arrived.advance(count);
            drop(state);
            self.inward.writable.notify_waiters();
            return Ok(count);
        }
        match state.ended {
            true => Ok(0),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes as much of `bytes` as there is room for.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.outward.state();
        if state.cut {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if state.deaf || state.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = state.capacity.saturating_sub(state.flying + state.arrived.len());
        let mut rest = &bytes[..room.min(bytes.len())];
        let count = rest.len();
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.flying += count;
        if state.silent {
            return Ok(count);
        }
        while !rest.is_empty() {
            let size = self.fabric.piece(rest.len());
            let at = self.fabric.arrival(state.last);
            state.last = Some(at);
            let piece = Bytes::copy_from_slice(&rest[..size]);
            self.fabric.schedule(at, super::fabric::Event::Piece(Arc::clone(&self.outward), piece));
            rest = &rest[size..];
        }
        Ok(count)
    }

    /// Waits until a read gives something, be it the end.
    pub(crate) async fn readable(&self) {
        std::future::poll_fn(|context| self.poll_readable(context)).await;
    }

    /// As [`Wire::readable`]; one waits so at a time.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.inward.state();
        if !state.arrived.is_empty() || state.ended || state.cut {
            return Poll::Ready(());
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits until a write takes something, or fails.
    pub(crate) async fn writable(&self) {
        let pipe = &self.outward;
        loop {
            let mut told = std::pin::pin!(pipe.writable.notified());
            told.as_mut().enable();
            {
                let state = pipe.state();
                let room = state.capacity > state.flying + state.arrived.len();
                if room || state.deaf || state.cut || state.finished {
                    return;
                }
            }
            told.await;
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&self) {
        let mut state = self.outward.state();
        if std::mem::replace(&mut state.finished, true) || state.silent {
            return;
        }
        let at = self.fabric.arrival(state.last);
        state.last = Some(at);
        drop(state);
        self.fabric.schedule(at, super::fabric::Event::End(Arc::clone(&self.outward)));
    }

    /// Breaks the connection: both sides see it.
    pub(crate) fn cut(&self) {
        self.inward.cut();
        self.outward.cut();
    }

    /// Goes away without a word: the other side sees nothing at all.
    pub(crate) fn vanish(&self) {
        self.inward.silence();
        self.outward.silence();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.finish();
        let mut state = self.inward.state();
        if !state.silent {
            state.deaf = true;
        }
        drop(state);
        self.inward.rouse();
    }
}
