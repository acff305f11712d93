//! Which session a frame is for, and which connection a session is bound to (RFC 4975 5.4, 7.3).

use super::guard::{Answered, Guard};
use super::msrp_link::{LinkId, MsrpEvent, MsrpLink, MsrpPort};
use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use dashmap::mapref::one::RefMut;
use restante::wire::msrp::{FrameKind, Head, MsrpUri};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The sessions the node knows, by the session-id of its own URI.
#[derive(Default)]
pub(crate) struct Registry {
    sessions: DashMap<Bytes, Session>,
    serial: AtomicU64,
}

struct Session {
    serial: u64,
    port: MsrpPort,
    /// The number of the core it was made known on, which is where it is told.
    home: Option<u16>,
    guard: Guard,
    /// The peer's path as it is told now, where it was another before.
    path: Option<Box<[MsrpUri]>>,
    /// How many times it has left its connection for another.
    moves: u32,
    link: Option<MsrpLink>,
}

impl Session {
    /// Whether this may bind the session.
    fn is_bound_by(&self, by: By<'_>) -> Result<(), Lookup> {
        let may = match by {
            // What was still sent before the peer had told its new path must not bring the session back.
            By::Request(head) => self.path.as_deref().is_none_or(|path| is_same(path, &head.from_path)),
            // Nor must a connection to the peer's former path.
            By::Us { moves } => moves == self.moves,
        };
        if may { Ok(()) } else { Err(Lookup::Elsewhere) }
    }
}

fn is_same(path: &[MsrpUri], other: &[MsrpUri]) -> bool {
    path.len() == other.len() && path.iter().zip(other).all(|(one, other)| one.same_as(other))
}

/// What binds a session to a connection.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    /// A request that came on it.
    Request(&'a Head),
    /// We, who have opened it when the session had [moved](MsrpRegistration::moves) so many times.
    Us { moves: u32 },
}

/// What became of a frame's address.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// The session is bound to this connection.
    Found { port: MsrpPort, bound_now: bool },
    /// There is no such session.
    Unknown,
    /// The session is bound to another connection, or waits for another.
    Elsewhere,
    /// The session is bound to another connection or none, and this is nothing that binds it.
    Stray,
    /// The connection is not what was agreed upon for the session.
    Forbidden,
    /// Whether it is will be known with the answer.
    Early(Arc<Answered>),
}

impl Registry {
    /// Makes a session known until the registration is dropped; a former one of that id is forgotten. The id is kept as
    /// long, with the URI of ours that it is a part of. It is told on the core of this number, if on one of the links' own.
    pub(crate) fn register(
        self: &Arc<Self>,
        session: Bytes,
        guard: Guard,
        port: MsrpPort,
        home: Option<u16>,
    ) -> MsrpRegistration {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let known = Session { serial, port, home, guard, path: None, moves: 0, link: None };
        let former = self.sessions.insert(session.clone(), known);
        if let Some(link) = former.and_then(|former| former.link) {
            link.unbind(&session);
        }
        metrics::gauge!("restante_msrp_sessions").set(self.sessions.len() as f64);
        MsrpRegistration { registry: Arc::clone(self), session, serial }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The session of this id, for which `head` came on `link`. The first request binds the session to the connection.
    pub(crate) fn lookup(&self, session: &[u8], link: &MsrpLink, head: &Head) -> Lookup {
        if let Some(found) = self.sessions.get(session) {
            match &found.link {
                Some(bound) if bound.id() == link.id() => {
                    return Lookup::Found { port: found.port.clone(), bound_now: false };
                }
                // RFC 4975 5.4: what binds is a request. Responses, and the REPORTs of what was sent, are of a connection
                // that the session was bound to and has left.
                _ if matches!(head.kind, FrameKind::Response { .. } | FrameKind::Report) => {
                    return Lookup::Stray;
                }
                // RFC 4975 5.4: if the session is already in use on another connection, MUST reject with 506
                Some(bound) if bound.is_open() => return Lookup::Elsewhere,
                _ => {}
            }
        }
        self.bind(session, link, By::Request(head))
    }

    /// The number of the core on which a session is told.
    pub(crate) fn home(&self, session: &[u8]) -> Option<u16> {
        self.sessions.get(session)?.home
    }

    /// Binds a session to a connection, unless it is bound to another that is open. The session is told that a former one has
    /// ended before anything comes to it from the new one: the former may still be busy with its end.
    pub(crate) fn bind(&self, session: &[u8], link: &MsrpLink, by: By<'_>) -> Lookup {
        let Some(mut found) = self.sessions.get_mut(session) else { return Lookup::Unknown };
        if let Some(bound) = &found.link
            && bound.id() != link.id()
            && bound.is_open()
        {
            return Lookup::Elsewhere;
        }
        if let Err(refused) = found.is_bound_by(by) {
            return refused;
        }
        if let Err(refused) = found.guard.admits(link.carrier()) {
            return refused;
        }
        let bound_now = found.link.as_ref().is_none_or(|bound| bound.id() != link.id());
        if bound_now {
            let former = found.link.replace(link.clone());
            // invariant: links never take the registry's locks while holding their own
            link.bind(found.key().clone(), found.port.clone());
            if let Some(former) = former {
                former.unbind(session);
                found.port.tell(MsrpEvent::Closed(former.ended()));
            }
        }
        Lookup::Found { port: found.port.clone(), bound_now }
    }

    /// Undoes the binding of all sessions to a connection that has ended; returns whom to tell.
    pub(crate) fn release(&self, link: &MsrpLink) -> Vec<MsrpPort> {
        let sessions = link.unbind_all();
        for (session, _) in &sessions {
            if let Some(mut found) = self.sessions.get_mut(session)
                && found.link.as_ref().is_some_and(|bound| bound.id() == link.id())
            {
                found.link = None;
            }
        }
        sessions.into_iter().map(|(_, port)| port).collect()
    }
}

/// A session that is known to the links; dropped, it is forgotten: further frames for it get 481, and a
/// connection without another session ends after [`super::MsrpLimits::bind_timeout`].
pub struct MsrpRegistration {
    registry: Arc<Registry>,
    session: Bytes,
    serial: u64,
}

impl MsrpRegistration {
    /// The session-id it stands for.
    #[must_use]
    pub fn session(&self) -> &Bytes {
        &self.session
    }

    /// Says which connections may carry the session from now on: the peer's description is known.
    pub fn guard(&self, guard: Guard) {
        if let Some(mut found) = self.found() {
            std::mem::replace(&mut found.guard, guard).release();
        }
    }

    /// The session leaves its connection for another, which may be carried as `guard` says: one that we open, or one on
    /// which a request comes from the new `path` of the peer.
    pub fn leave(&self, guard: Guard, path: &[MsrpUri]) {
        let Some(mut found) = self.found() else { return };
        found.path = Some(path.into());
        found.moves = found.moves.wrapping_add(1);
        if let Some(link) = found.link.take() {
            link.unbind(&self.session);
        }
        std::mem::replace(&mut found.guard, guard).release();
    }

    /// What is known by its id, unless that is of a later registration.
    fn found(&self) -> Option<RefMut<'_, Bytes, Session>> {
        self.registry.sessions.get_mut(&self.session).filter(|found| found.serial == self.serial)
    }

    /// How many times the session has [left](Self::leave) its connection.
    #[must_use]
    pub fn moves(&self) -> u32 {
        self.found().map_or(0, |found| found.moves)
    }

    /// The connection the session is bound to.
    #[must_use]
    pub fn link(&self) -> Option<LinkId> {
        let found = self.registry.sessions.get(&self.session)?;
        (found.serial == self.serial).then(|| found.link.as_ref().map(MsrpLink::id))?
    }
}

impl fmt::Debug for MsrpRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The session-id is what proves to whom a connection belongs: it is not for logs.
        f.debug_struct("MsrpRegistration").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl Drop for MsrpRegistration {
    fn drop(&mut self) {
        let former = match self.registry.sessions.entry(self.session.clone()) {
            Entry::Occupied(entry) if entry.get().serial == self.serial => entry.remove(),
            _ => return,
        };
        former.guard.release();
        let link = former.link;
        if let Some(link) = link {
            link.unbind(&self.session);
        }
        metrics::gauge!("restante_msrp_sessions").set(self.registry.sessions.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::close_cause::CloseCause;
    use super::super::msrp_link::Carrier;
    use super::super::outbox::Outbox;
    use super::*;
    use restante::wire::fingerprint::Fingerprint;
    use rustls::pki_types::CertificateDer;

    fn link(id: u64) -> MsrpLink {
        carried(id, Carrier::default())
    }

    fn carried(id: u64, carrier: Carrier) -> MsrpLink {
        let addr = "127.0.0.1:2855".parse().unwrap();
        MsrpLink::new(LinkId(id), addr, carrier, Outbox::new(Arc::default()))
    }

    fn port() -> MsrpPort {
        MsrpPort::new(drop)
    }

    fn path(id: &str) -> Vec<MsrpUri> {
        vec![MsrpUri::parse(format!("msrp://client.example.com:2855/{id};tcp").as_bytes()).unwrap()]
    }

    fn frame(kind: FrameKind, from: &str) -> Head {
        Head::new(kind, Bytes::from_static(b"txn1"), path("s1"), path(from))
    }

    fn send(from: &str) -> Head {
        frame(FrameKind::Send, from)
    }

    fn ok(from: &str) -> Head {
        frame(FrameKind::Response { status: 200, comment: Bytes::new() }, from)
    }

    // proves RFC 4975 5.4: the first request binds; in use on another connection is rejected
    #[test]
    fn the_first_request_binds_and_another_connection_is_refused() {
        let registry = Arc::new(Registry::default());
        let registration = registry.register(Bytes::from_static(b"s1"), Guard::Plain, port(), None);
        let (first, second) = (link(1), link(2));
        let id = Bytes::from_static(b"s1");
        assert!(matches!(registry.lookup(&id, &first, &send("a")), Lookup::Found { bound_now: true, .. }));
        assert!(matches!(registry.lookup(&id, &first, &send("a")), Lookup::Found { bound_now: false, .. }));
        assert!(matches!(registry.lookup(&id, &second, &send("a")), Lookup::Elsewhere));
        assert_eq!(registration.link(), Some(LinkId(1)));
        assert!(matches!(registry.lookup(&Bytes::from_static(b"s2"), &first, &send("a")), Lookup::Unknown));
    }

    // proves RFC 4975 5.4: a session that has moved is bound by a request from the new path
    #[test]
    fn what_comes_late_on_the_connection_that_was_left_does_not_bind() {
        let registry = Arc::new(Registry::default());
        let id = Bytes::from_static(b"s1");
        let registration = registry.register(id.clone(), Guard::Plain, port(), None);
        let (first, second) = (link(1), link(2));
        assert!(matches!(registry.lookup(&id, &first, &ok("a")), Lookup::Stray), "no request");
        assert!(matches!(registry.lookup(&id, &first, &send("a")), Lookup::Found { bound_now: true, .. }));
        registration.leave(Guard::Plain, &path("b"));
        assert_eq!((registration.link(), first.sessions()), (None, 0));
        for late in [ok("a"), ok("b"), frame(FrameKind::Report, "a"), frame(FrameKind::Report, "b")] {
            assert!(matches!(registry.lookup(&id, &first, &late), Lookup::Stray), "{late:?}");
        }
        assert!(matches!(registry.lookup(&id, &first, &send("a")), Lookup::Elsewhere), "of the former path");
        assert_eq!(registration.link(), None);
        assert!(matches!(registry.lookup(&id, &second, &send("b")), Lookup::Found { bound_now: true, .. }));
        assert!(matches!(registry.lookup(&id, &first, &ok("a")), Lookup::Stray));
        assert!(matches!(registry.lookup(&id, &first, &send("b")), Lookup::Elsewhere));
        // RFC 4975 5.4: a connection that is there already SHOULD be used again.
        registration.leave(Guard::Plain, &path("c"));
        assert!(matches!(registry.lookup(&id, &second, &send("c")), Lookup::Found { bound_now: true, .. }));
    }

    #[test]
    fn a_closed_connection_frees_its_sessions() {
        let registry = Arc::new(Registry::default());
        let id = Bytes::from_static(b"s1");
        let registration = registry.register(id.clone(), Guard::Plain, port(), None);
        let (first, second) = (link(1), link(2));
        registry.lookup(&id, &first, &send("a"));
        first.outbox().abort(CloseCause::Peer);
        assert_eq!(registry.release(&first).len(), 1);
        assert_eq!(registration.link(), None);
        assert!(matches!(registry.lookup(&id, &second, &send("a")), Lookup::Found { bound_now: true, .. }));
        assert_eq!((first.sessions(), second.sessions()), (0, 1));
    }

    // Else what the new connection brings is taken for more of the same, and what was lost with the former is not sent again.
    #[test]
    fn a_session_hears_of_the_end_of_its_connection_before_anything_comes_by_another() {
        let registry = Arc::new(Registry::default());
        let id = Bytes::from_static(b"s1");
        let (tell, told) = std::sync::mpsc::channel();
        let port = MsrpPort::new(move |event| tell.send(event).unwrap());
        let registration = registry.register(id.clone(), Guard::Plain, port, None);
        let (first, second) = (link(1), link(2));
        registry.lookup(&id, &first, &send("a"));
        assert_eq!(told.try_iter().count(), 0);
        // It is busy with its end for as long as something waits to be written.
        first.outbox().close(CloseCause::Peer);
        assert!(matches!(registry.lookup(&id, &second, &send("a")), Lookup::Found { bound_now: true, .. }));
        let ended = told.try_iter().map(|event| match event {
            MsrpEvent::Closed(closed) => (closed.link, closed.cause),
            other => panic!("{other:?}"),
        });
        assert_eq!(ended.collect::<Vec<_>>(), [(LinkId(1), CloseCause::Peer)]);
        assert_eq!(
            (registry.release(&first).len(), registration.link()),
            (0, Some(LinkId(2))),
            "it is told once"
        );
    }

    #[test]
    fn a_dropped_registration_is_forgotten_and_a_newer_one_stays() {
        let registry = Arc::new(Registry::default());
        let id = Bytes::from_static(b"s1");
        let older = registry.register(id.clone(), Guard::Plain, port(), None);
        let newer = registry.register(id.clone(), Guard::Plain, port(), None);
        let first = link(1);
        registry.lookup(&id, &first, &send("a"));
        drop(older);
        assert_eq!(newer.link(), Some(LinkId(1)));
        drop(newer);
        assert!(matches!(registry.lookup(&id, &first, &send("a")), Lookup::Unknown));
        assert_eq!(first.sessions(), 0);
    }

    // proves RFC 4975 14.4, RFC 8122 6.2
    #[test]
    fn a_session_is_carried_only_by_what_was_agreed_upon() {
        let registry = Arc::new(Registry::default());
        let id = Bytes::from_static(b"s1");
        let shown = |text: &'static [u8]| Carrier {
            secure: true,
            web: false,
            certificate: Some(CertificateDer::from(text)),
        };
        let none = Carrier { secure: true, ..Carrier::default() };
        let certified = Guard::Secure(vec![Fingerprint::of(b"alice")]);
        let table = [
            (Guard::Plain, Carrier::default(), true),
            (Guard::Plain, shown(b"alice"), false),
            (Guard::Secure(Vec::new()), none.clone(), true),
            (Guard::Secure(Vec::new()), Carrier::default(), false),
            (certified.clone(), shown(b"alice"), true),
            (certified.clone(), shown(b"mallory"), false),
            (certified.clone(), none, false),
            (certified, Carrier::default(), false),
            (Guard::Unanswered(Arc::default()), Carrier::default(), false),
        ];
        for (guard, carrier, admitted) in table {
            let _registration = registry.register(id.clone(), guard.clone(), port(), None);
            let found = registry.lookup(&id, &carried(1, carrier.clone()), &send("a"));
            let expected = if admitted { "Found" } else { "Forbidden" };
            assert!(format!("{found:?}").starts_with(expected), "{guard:?} {carrier:?}: {found:?}");
        }
    }

    #[test]
    fn a_connection_that_outraces_the_answer_waits_for_it() {
        let registry = Arc::new(Registry::default());
        let id = Bytes::from_static(b"s1");
        let registration = registry.register(id.clone(), Guard::Unanswered(Arc::default()), port(), None);
        let link = carried(1, Carrier { secure: true, ..Carrier::default() });
        assert!(matches!(registry.lookup(&id, &link, &send("a")), Lookup::Early(_)));
        registration.guard(Guard::Secure(Vec::new()));
        assert!(matches!(registry.lookup(&id, &link, &send("a")), Lookup::Found { bound_now: true, .. }));
    }
}
