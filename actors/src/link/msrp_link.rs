//! One MSRP connection as its sessions see it: the handle they write to, and what they are told.

use super::outbox::{CloseCause, Outbox};
use actix::{Actor, Addr, Handler, Message, dev::ToEnvelope};
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
    local: SocketAddr,
    peer: SocketAddr,
    carrier: Carrier,
    outbox: Arc<Outbox<()>>,
    /// In the order of their last turns.
    sessions: Mutex<Vec<Bound>>,
}

/// A session that is bound to a connection.
struct Bound {
    session: Bytes,
    port: MsrpPort,
    /// The place of the outbox behind what it sent last.
    end: u64,
    /// Whether that was seen waiting.
    waited: bool,
}

impl MsrpLink {
    pub(crate) fn new(
        id: LinkId,
        local: SocketAddr,
        peer: SocketAddr,
        carrier: Carrier,
        outbox: Arc<Outbox<()>>,
    ) -> Self {
        let sessions = Mutex::new(Vec::new());
        Self(Arc::new(Inner { id, local, peer, carrier, outbox, sessions }))
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

    /// The node's own address on it.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.0.local
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

    /// Bytes queued and not yet taken by the system.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.outbox.queued()
    }

    /// Whether a sender with a backlog may go on; if not, [`LinkDrained`] says when.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.outbox.has_room()
    }

    /// Begins a turn of a session with a backlog: gives how many bytes it may queue before the others' turns, which all
    /// come before its next. There are none while it should wait; [`LinkDrained`] says when it may go on.
    #[must_use]
    pub fn turn(&self, session: &[u8]) -> usize {
        if !self.has_room() {
            return 0;
        }
        let mut bound = self.bound();
        if let Some(at) = bound.iter().position(|it| it.session == session)
            && let Some(behind) = bound.get_mut(at..)
        {
            behind.rotate_left(1);
        }
        (self.0.outbox.high() / bound.len().max(1)).max(1)
    }

    /// Notes that the session has sent something.
    pub fn sent(&self, session: &[u8]) {
        let end = self.0.outbox.end();
        if let Some(bound) = self.bound().iter_mut().find(|it| it.session == session) {
            bound.end = end;
        }
    }

    /// Whether what the session sent last is not written yet; or was not when this was asked before, so that nobody knows
    /// for how long it is.
    #[must_use]
    pub fn holds_up(&self, session: &[u8]) -> bool {
        let mut bound = self.bound();
        let Some(bound) = bound.iter_mut().find(|it| it.session == session) else { return false };
        let waits = !self.0.outbox.has_written(bound.end);
        std::mem::replace(&mut bound.waited, waits) || waits
    }

    /// Whether it still takes bytes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.outbox.is_open()
    }

    /// Closes it when all that is queued has been written. Not for a connection that other sessions share:
    /// there it is enough to drop the [`super::MsrpRegistration`].
    pub fn close(&self) {
        self.0.outbox.close(CloseCause::Local);
    }

    /// How many sessions are bound to it.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.bound().len()
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox<()>> {
        &self.0.outbox
    }

    fn bound(&self) -> MutexGuard<'_, Vec<Bound>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session to those that are told what happens to the connection.
    pub(crate) fn bind(&self, session: Bytes, port: MsrpPort) {
        let mut bound = self.bound();
        // Most connections have one session for as long as they live.
        bound.reserve_exact(1);
        bound.push(Bound { session, port, end: 0, waited: false });
    }

    /// Takes a session off; the reader hears of it when it was the last.
    pub(crate) fn unbind(&self, session: &[u8]) {
        let mut bound = self.bound();
        bound.retain(|it| it.session != session);
        if bound.is_empty() {
            drop(bound);
            self.0.outbox.stir();
        }
    }

    /// Takes all sessions off.
    pub(crate) fn unbind_all(&self) -> Vec<(Bytes, MsrpPort)> {
        std::mem::take(&mut *self.bound()).into_iter().map(|it| (it.session, it.port)).collect()
    }

    /// Tells every session that there is room again: first those whose last turn is the longest ago.
    pub(crate) fn tell_drained(&self) {
        let ports: Vec<MsrpPort> = self.bound().iter().map(|it| it.port.clone()).collect();
        for port in ports {
            port.tell(MsrpEvent::Drained(LinkDrained { link: self.id() }));
        }
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

/// The connection has room again after [`MsrpLink::has_room`] was false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkDrained {
    /// Which one.
    pub link: LinkId,
}

/// The connection has ended; it is told once to every session bound to it, after the last of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkClosed {
    /// Which one.
    pub link: LinkId,
    /// Why.
    pub cause: CloseCause,
}

impl Message for MsrpFrames {
    type Result = ();
}

impl Message for LinkDrained {
    type Result = ();
}

impl Message for LinkClosed {
    type Result = ();
}

/// What a session is told.
#[derive(Debug)]
pub enum MsrpEvent {
    /// Frames came.
    Frames(MsrpFrames),
    /// There is room to write again.
    Drained(LinkDrained),
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

    /// A port to an actor, kept alive by it until the session's registration is dropped.
    pub fn of<A>(actor: Addr<A>) -> Self
    where
        A: Actor + Handler<MsrpFrames> + Handler<LinkDrained> + Handler<LinkClosed>,
        A::Context: ToEnvelope<A, MsrpFrames> + ToEnvelope<A, LinkDrained> + ToEnvelope<A, LinkClosed>,
    {
        Self::new(move |event| match event {
            MsrpEvent::Frames(frames) => actor.do_send(frames),
            MsrpEvent::Drained(drained) => actor.do_send(drained),
            MsrpEvent::Closed(closed) => actor.do_send(closed),
        })
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
    use std::sync::mpsc;

    const LIMITS: OutboxLimits =
        OutboxLimits { max: 10_000, high: 900, low: 100, stall: std::time::Duration::from_secs(60) };

    fn link() -> MsrpLink {
        let addr = "127.0.0.1:2855".parse().unwrap();
        MsrpLink::new(LinkId(1), addr, addr, Carrier::default(), Outbox::new(Arc::new(LIMITS)))
    }

    fn bind(link: &MsrpLink, session: &'static str, tell: impl Fn() + Send + Sync + 'static) {
        link.bind(Bytes::from_static(session.as_bytes()), MsrpPort::new(move |_| tell()));
    }

    fn filled(link: &MsrpLink, bytes: usize) {
        link.send(Bytes::from(vec![0; bytes])).unwrap();
    }

    // Else whoever is told first fills it again, and the last has no turn as long as the others have something.
    #[test]
    fn who_had_his_turn_last_is_told_last_that_there_is_room() {
        let link = link();
        let (tell, told) = mpsc::channel();
        for session in ["a", "b", "c"] {
            let tell = tell.clone();
            bind(&link, session, move || tell.send(session).unwrap());
        }
        let order = || {
            link.tell_drained();
            told.try_iter().collect::<String>()
        };
        assert_eq!(order(), "abc");
        assert_eq!(link.turn(b"a"), LIMITS.high / 3, "each has a share");
        assert_eq!(order(), "bca");
        assert_eq!(link.turn(b"c"), LIMITS.high / 3);
        assert_eq!(order(), "bac");
        filled(&link, LIMITS.high);
        assert_eq!(link.turn(b"b"), 0);
        assert_eq!(order(), "bac", "he had no turn");
        assert!(link.outbox().written(LIMITS.high - LIMITS.low));
        link.unbind(b"a");
        link.unbind(b"c");
        assert_eq!(link.turn(b"b"), LIMITS.high);
    }

    #[test]
    fn it_is_known_whether_what_a_session_sent_still_waits() {
        let link = link();
        bind(&link, "a", || ());
        bind(&link, "b", || ());
        filled(&link, 500);
        link.sent(b"a");
        filled(&link, 300);
        link.sent(b"b");
        assert!(link.holds_up(b"a") && link.holds_up(b"b"));
        link.outbox().written(500);
        assert!(link.holds_up(b"a") && link.holds_up(b"b"), "nobody knows since when it is written");
        assert!(!link.holds_up(b"a") && link.holds_up(b"b"), "it was written before");
        link.outbox().written(300);
        assert!(link.holds_up(b"b"));
        assert!(!link.holds_up(b"b") && !link.holds_up(b"unknown"));
    }
}
