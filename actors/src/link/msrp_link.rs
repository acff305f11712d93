//! One MSRP connection as its sessions see it: the handle they write to, and what they are told.

use super::close_cause::CloseCause;
use super::outbox::Outbox;
use super::turns::Turns;
use bytes::Bytes;
use restante::wire::msrp::Piece;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OwnedSemaphorePermit;

/// The number of a connection, unique in the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The connection takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended")]
pub struct LinkGone;

/// A handle to one MSRP connection; clones are the same connection, which does not live by them.
#[derive(Clone)]
pub struct MsrpLink(Arc<Inner>);

/// What carries the frames of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carrier {
    /// Whether it is encrypted.
    pub(crate) secure: bool,
    /// Whether it is a WebSocket.
    pub(crate) web: bool,
    /// The certificate the peer has shown.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

struct Inner {
    id: LinkId,
    peer: SocketAddr,
    carrier: Carrier,
    outbox: Arc<Outbox<()>>,
    sessions: Mutex<Turns>,
}

impl MsrpLink {
    pub(crate) fn new(id: LinkId, peer: SocketAddr, carrier: Carrier, outbox: Arc<Outbox<()>>) -> Self {
        Self(Arc::new(Inner { id, peer, carrier, outbox, sessions: Mutex::default() }))
    }

    pub(crate) fn carrier(&self) -> &Carrier {
        &self.0.carrier
    }

    /// Whether what is sent in one piece is one message: it must be exactly one frame (RFC 7977 5.1).
    #[must_use]
    pub fn carries_messages(&self) -> bool {
        self.0.carrier.web
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.0.id
    }

    /// The address it is connected to.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Queues bytes, without copying them and without waiting. What would overflow
    /// [`super::OutboxLimits::max`] closes the connection: the peer does not read.
    ///
    /// # Errors
    /// The connection has ended or just overflowed; [`LinkClosed`] comes or came.
    pub fn send(&self, bytes: Bytes) -> Result<(), LinkGone> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.outbox.push(bytes, ()).map_err(|()| LinkGone)
    }

    /// Queues bytes as [`Self::send`] does, which nothing that another session sends may stand between: it would be
    /// taken for a part of the chunk.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_together(&self, pieces: impl Iterator<Item = Bytes>) -> Result<(), LinkGone> {
        self.0.outbox.push_all(pieces.map(|piece| (piece, ())).collect()).map_err(|_| LinkGone)
    }

    /// Whether a sender with a backlog may go on; if not, [`MsrpEvent::Drained`] says when.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.outbox.has_room()
    }

    /// Begins a turn of a session with a backlog: gives how many bytes it may queue before the others' turns, which all
    /// come before its next. There are none while it should wait; [`MsrpEvent::Drained`] says when it may go on.
    #[must_use]
    pub fn turn(&self, session: &[u8]) -> usize {
        let share = |turns: &Turns| (self.0.outbox.high() / turns.len().max(1)).max(1);
        self.ask(|turns, has_room| turns.take(session, has_room).then(|| share(turns))).unwrap_or(0)
    }

    /// Whether a session that has still a backlog may begin its next turn at once; if not, [`MsrpEvent::Drained`] says when.
    #[must_use]
    pub fn may_go_on(&self, session: &[u8]) -> bool {
        self.ask(|turns, has_room| turns.ask(session, has_room).then_some(())).is_some()
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut Turns, bool) -> Option<T>) -> Option<T> {
        let has_room = self.has_room();
        let granted = ask(&mut self.turns(), has_room);
        // It may have drained since, when nobody was told who had not asked.
        if granted.is_none() && !has_room {
            self.tell_next();
        }
        granted
    }

    /// Ends the turn of a session that has queued what it had to say, or had nothing: the next of those who wait is told.
    pub fn end_turn(&self, session: &[u8]) {
        self.turns().pass(session);
        self.tell_next();
    }

    fn tell_next(&self) {
        if self.has_room() {
            let next = self.turns().next();
            next.into_iter().for_each(|port| self.tell_room(&port));
        }
    }

    /// Notes that the session has sent something.
    pub fn sent(&self, session: &[u8]) {
        let end = self.0.outbox.end();
        self.turns().sent(session, end);
    }

    /// Whether what the session sent last is not written yet; or was not when this was asked before, so that nobody knows
    /// for how long it is.
    #[must_use]
    pub fn holds_up(&self, session: &[u8]) -> bool {
        let mut turns = self.turns();
        turns.holds_up(session, |end| self.0.outbox.has_written(end))
    }

    /// Whether it still takes bytes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.outbox.is_open()
    }

    /// What a session is told that goes on without it.
    pub(crate) fn ended(&self) -> LinkClosed {
        LinkClosed { link: self.id(), cause: self.0.outbox.ending().unwrap_or(CloseCause::Local) }
    }

    /// How many sessions are bound to it.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.turns().len()
    }

    /// The session that is bound to it, where it is the only one.
    pub(crate) fn only_session(&self) -> Option<(Bytes, MsrpPort)> {
        self.turns().only()
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox<()>> {
        &self.0.outbox
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session to those that are told what happens to the connection.
    pub(crate) fn bind(&self, session: Bytes, port: MsrpPort) {
        self.turns().add(session, port);
    }

    /// Takes a session off; the reader hears of it when it was the last.
    pub(crate) fn unbind(&self, session: &[u8]) {
        let mut turns = self.turns();
        turns.remove(session);
        let is_last = turns.len() == 0;
        drop(turns);
        if is_last {
            self.0.outbox.stir();
        } else {
            // It may have been its turn.
            self.tell_next();
        }
    }

    /// Takes all sessions off.
    pub(crate) fn unbind_all(&self) -> Vec<(Bytes, MsrpPort)> {
        self.turns().remove_all()
    }

    /// Tells the sessions that wait that there is room again: first those whose last turn is the longest ago.
    pub(crate) fn tell_drained(&self) {
        let ports = self.turns().drained();
        ports.iter().for_each(|port| self.tell_room(port));
    }

    fn tell_room(&self, port: &MsrpPort) {
        port.tell(MsrpEvent::Drained);
    }
}

impl fmt::Debug for MsrpLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MsrpLink").field("id", &self.0.id).field("peer", &self.0.peer).finish_non_exhaustive()
    }
}

/// Pieces of frames that name one session, in the order they came; at most [`super::MsrpLimits::batch`]
/// bytes. A frame may be spread over several batches, and other sessions' frames do not come in between
/// its pieces.
#[derive(Debug)]
pub struct MsrpFrames {
    /// The connection, to answer on.
    pub link: MsrpLink,
    /// What came, never empty.
    pub pieces: Vec<Piece>,
    /// The credit these bytes take. Dropping it lets the connection be read on: keep it as long as the
    /// bytes take memory. `None` only in tests.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// The connection has ended; it is told to every session bound to it, after the last of its frames, or before the first of
/// another that has taken its place. A session may be told twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkClosed {
    /// Which one.
    pub link: LinkId,
    /// Why.
    pub cause: CloseCause,
}

/// What a session is told.
#[derive(Debug)]
pub enum MsrpEvent {
    /// Frames came.
    Frames(MsrpFrames),
    /// The connection has room again after [`MsrpLink::has_room`] was false, or for the session that was to wait for
    /// others.
    Drained,
    /// The connection has ended.
    Closed(LinkClosed),
}

/// Where a session is told; clones are the same port. What stands behind it must neither block nor wait.
#[derive(Clone)]
pub struct MsrpPort(Arc<dyn Fn(MsrpEvent) + Send + Sync>);

impl MsrpPort {
    /// A port that calls `tell`.
    pub fn new(tell: impl Fn(MsrpEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, event: MsrpEvent) {
        (self.0)(event);
    }
}

impl fmt::Debug for MsrpPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MsrpPort")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::outbox::OutboxLimits;
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_turn_is_a_share_of_what_may_wait() {
        const LIMITS: OutboxLimits =
            OutboxLimits { max: 10_000, high: 900, low: 100, stall: Duration::from_secs(60) };
        let addr = "127.0.0.1:2855".parse().unwrap();
        let link = MsrpLink::new(LinkId(1), addr, Carrier::default(), Outbox::new(Arc::new(LIMITS)));
        for session in ["a", "b", "c"] {
            link.bind(Bytes::from_static(session.as_bytes()), MsrpPort::new(|_| ()));
        }
        assert_eq!(link.turn(b"a"), LIMITS.high / 3);
        link.send(Bytes::from(vec![0; LIMITS.high])).unwrap();
        assert_eq!(link.turn(b"b"), 0);
        assert!(link.outbox().written(LIMITS.high - LIMITS.low));
        assert_eq!(link.turn(b"c"), 0, "another waits for longer");
        link.unbind(b"b");
        link.unbind(b"c");
        assert_eq!(link.turn(b"a"), LIMITS.high);
    }
}
