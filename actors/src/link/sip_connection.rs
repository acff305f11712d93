//! The open SIP connections of the node, by number and by peer address, and what waits to be written
//! to each.

use super::close_cause::CloseCause;
use super::outbox::{Outbox, OutboxLimits};
use super::sip::TransportFailed;
use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use restante::machine::sip::{Destination, Flow, TransmitId, Transport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// A message that is to be sent, and who is told if it was not.
pub(crate) struct Pending {
    id: TransmitId,
    bytes: Bytes,
    failed: Arc<dyn Fn(TransportFailed) + Send + Sync>,
}

impl Pending {
    pub(crate) fn new(
        id: TransmitId,
        bytes: Bytes,
        failed: Arc<dyn Fn(TransportFailed) + Send + Sync>,
    ) -> Self {
        Self { id, bytes, failed }
    }

    /// Tells that it was not sent.
    pub(crate) fn fail(self) {
        metrics::counter!("restante_sip_send_failed_total").increment(1);
        (self.failed)(TransportFailed { id: self.id, bytes: self.bytes });
    }
}

/// Whom a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) transport: Transport,
    pub(crate) addr: SocketAddr,
    /// The domain the peer had to prove to be: a TLS connection serves no other (RFC 5922 7.3).
    pub(crate) domain: Option<Arc<str>>,
}

impl Target {
    pub(crate) fn of(to: &Destination) -> Self {
        let domain = to.domain.clone().filter(|_| to.transport.is_secure());
        Self { transport: to.transport, addr: to.addr, domain }
    }
}

/// One connection, open or being opened.
pub(crate) struct Connection {
    id: u64,
    target: Target,
    /// What the peer that opened it has proved to speak for.
    domains: Vec<String>,
    outbox: Arc<Outbox<Option<Pending>>>,
    owed: Owed,
}

/// How many requests of the peer wait for their final responses.
#[derive(Default)]
struct Owed {
    count: AtomicU32,
    /// Whether the peer says nothing more: the task that reads waits until all is answered.
    parting: AtomicBool,
}

impl Owed {
    fn asked(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether somebody waits for this to be the last.
    fn answered(&self) -> bool {
        let less = |count: u32| count.checked_sub(1);
        let before = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        before == Ok(1) && self.parting.load(Ordering::SeqCst)
    }

    fn part(&self) -> bool {
        self.parting.store(true, Ordering::SeqCst);
        self.count.load(Ordering::SeqCst) > 0
    }
}

impl Connection {
    /// A request has come that will be answered.
    pub(crate) fn asked(&self) {
        self.owed.asked();
    }

    /// The peer says nothing more: whether it waits for answers.
    pub(crate) fn part(&self) -> bool {
        self.owed.part()
    }

    /// Whether requests can be sent: the connection is open, and its peer has not closed his side, or all of it, which
    /// cannot be told apart.
    pub(crate) fn takes_requests(&self) -> bool {
        self.outbox.is_open() && !self.owed.parting.load(Ordering::SeqCst)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.target.addr
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn domains(&self) -> &[String] {
        &self.domains
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox<Option<Pending>>> {
        &self.outbox
    }

    /// The connection as the transactions know it, once it is open.
    pub(crate) fn flow(&self, local: SocketAddr) -> Flow {
        Flow { transport: self.target.transport, connection: self.id, local, peer: self.target.addr }
    }

    /// Queues bytes, or gives the token back.
    pub(crate) fn push(&self, bytes: Bytes, pending: Option<Pending>) -> Result<(), Option<Pending>> {
        let answer = is_final(&bytes);
        let queued = self.outbox.push(bytes, pending);
        if answer && self.owed.answered() {
            self.outbox.stir();
        }
        queued
    }

    /// Answers a keep-alive. Of pongs that wait one is enough: two bytes cost the queue fifty times as much.
    pub(crate) fn pong(&self) {
        let _ = self.outbox.push_once(Bytes::from_static(b"\r\n"), None);
    }

    /// Ends a connection that has no writer, and reports all that waited for it.
    pub(crate) fn give_up(&self, cause: CloseCause) {
        self.outbox.abort(cause);
        report(self.outbox.take_lost());
    }
}

/// Whether a message is a response (RFC 3261 7.2).
pub(crate) fn is_response(message: &[u8]) -> bool {
    message.starts_with(b"SIP/2.0 ")
}

/// Whether a message is a final response.
fn is_final(message: &[u8]) -> bool {
    message.strip_prefix(b"SIP/2.0 ").and_then(<[u8]>::first).is_some_and(|class| *class != b'1')
}

/// Tells of everything that was not written.
pub(crate) fn report(lost: Vec<Option<Pending>>) {
    lost.into_iter().flatten().for_each(Pending::fail);
}

/// The table of connections.
#[derive(Default)]
pub(crate) struct Connections {
    serial: AtomicU64,
    by_id: DashMap<u64, Arc<Connection>>,
    by_target: DashMap<Target, Arc<Connection>>,
}

impl Connections {
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Connection>> {
        self.by_id.get(&id).map(|found| Arc::clone(&found))
    }

    /// The connection that leads to `target`.
    pub(crate) fn to(&self, target: &Target) -> Option<Arc<Connection>> {
        self.by_target.get(target).map(|found| Arc::clone(&found))
    }

    fn create(&self, target: Target, domains: Vec<String>, limits: &Arc<OutboxLimits>) -> Arc<Connection> {
        let id = self.serial.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let connection = Arc::new(Connection {
            id,
            target,
            domains,
            outbox: Outbox::new(Arc::clone(limits)),
            owed: Owed::default(),
        });
        self.by_id.insert(id, Arc::clone(&connection));
        connection
    }

    /// Enters a connection that a peer opened, who has proved to speak for `domains`.
    pub(crate) fn accepted(
        &self,
        transport: Transport,
        addr: SocketAddr,
        domains: Vec<String>,
        limits: &Arc<OutboxLimits>,
    ) -> Arc<Connection> {
        let target = Target { transport, addr, domain: None };
        let connection = self.create(target.clone(), domains, limits);
        self.by_target.insert(target, Arc::clone(&connection));
        connection
    }

    /// Queues bytes on the connection to `target`; the connection is returned when it is new and has to be
    /// opened, the token when the present one overflowed.
    pub(crate) fn queue(
        &self,
        target: &Target,
        limits: &Arc<OutboxLimits>,
        bytes: Bytes,
        pending: Pending,
    ) -> Result<Option<Arc<Connection>>, Pending> {
        let entry = self.by_target.entry(target.clone());
        if let Entry::Occupied(present) = &entry
            && present.get().takes_requests()
        {
            return match present.get().push(bytes, Some(pending)) {
                Ok(()) | Err(None) => Ok(None),
                Err(Some(pending)) => Err(pending),
            };
        }
        let connection = self.create(target.clone(), Vec::new(), limits);
        let queued = connection.push(bytes, Some(pending));
        entry.insert(Arc::clone(&connection));
        match queued {
            Ok(()) | Err(None) => Ok(Some(connection)),
            Err(Some(pending)) => {
                self.remove(&connection);
                Err(pending)
            }
        }
    }

    /// Takes a connection out.
    pub(crate) fn remove(&self, connection: &Connection) {
        self.by_id.remove(&connection.id);
        self.by_target.remove_if(&connection.target, |_, present| present.id == connection.id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_peer_who_reads_no_pong_has_one_wait_however_often_he_pings() {
        let connections = Connections::default();
        let limits = Arc::new(OutboxLimits::default());
        let addr = "192.0.2.1:40000".parse().unwrap();
        let connection = connections.accepted(Transport::Tcp, addr, Vec::new(), &limits);
        (0..1000).for_each(|_| connection.pong());
        assert_eq!(connection.outbox().queued(), 2);
        assert!(connection.push(Bytes::from_static(b"SIP/2.0 200 OK\r\n"), None).is_ok());
        connection.pong();
        assert_eq!(connection.outbox().queued(), 20, "one behind each answer");
    }

    #[test]
    fn a_peer_who_parts_is_owed_his_answers_and_sent_nothing_else() {
        let connections = Connections::default();
        let limits = Arc::new(OutboxLimits::default());
        let addr = "192.0.2.1:40000".parse().unwrap();
        let connection = connections.accepted(Transport::Tcp, addr, Vec::new(), &limits);
        let say = |bytes: &'static [u8]| connection.push(Bytes::from_static(bytes), None).is_ok();
        connection.asked();
        connection.asked();
        assert!(connection.takes_requests());
        assert!(connection.part() && !connection.takes_requests());
        assert!(say(b"SIP/2.0 100 Trying\r\n") && say(b"SIP/2.0 200 OK\r\n") && connection.part());
        assert!(say(b"SIP/2.0 404 Not Found\r\n") && !connection.part());
        assert!(say(b"SIP/2.0 404 Not Found\r\n") && !connection.part(), "a repetition owes nothing less");
        // A request to him goes by a connection of its own.
        let pending = || Pending::new(TransmitId::Stateless, Bytes::new(), Arc::new(|_| {}));
        let queued =
            connections.queue(connection.target(), &limits, Bytes::from_static(b"NOTIFY"), pending());
        assert_ne!(queued.ok().flatten().unwrap().id(), connection.id());
    }
}
