//! The open SIP connections of the node, by number and by peer address, and what waits to be written
//! to each.

use super::outbox::{CloseCause, Outbox, OutboxLimits};
use super::sip::TransportFailed;
use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use restante::machine::sip::{Flow, TransmitId, Transport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// One connection, open or being opened.
pub(crate) struct Connection {
    id: u64,
    transport: Transport,
    peer: SocketAddr,
    outbox: Arc<Outbox<Option<Pending>>>,
}

impl Connection {
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox<Option<Pending>>> {
        &self.outbox
    }

    /// The connection as the transactions know it, once it is open.
    pub(crate) fn flow(&self, local: SocketAddr) -> Flow {
        Flow { transport: self.transport, connection: self.id, local, peer: self.peer }
    }

    /// Queues bytes, or gives the token back.
    pub(crate) fn push(&self, bytes: Bytes, pending: Option<Pending>) -> Result<(), Option<Pending>> {
        self.outbox.push(bytes, pending)
    }

    /// Ends a connection that has no writer, and reports all that waited for it.
    pub(crate) fn give_up(&self, cause: CloseCause) {
        self.outbox.abort(cause);
        report(self.outbox.take_lost());
    }
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
    by_peer: DashMap<(Transport, SocketAddr), Arc<Connection>>,
}

impl Connections {
    pub(crate) fn count(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Connection>> {
        self.by_id.get(&id).map(|found| Arc::clone(&found))
    }

    fn create(&self, transport: Transport, peer: SocketAddr, limits: OutboxLimits) -> Arc<Connection> {
        let id = self.serial.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let connection = Arc::new(Connection { id, transport, peer, outbox: Outbox::new(limits) });
        self.by_id.insert(id, Arc::clone(&connection));
        connection
    }

    /// Enters a connection that a peer opened.
    pub(crate) fn accepted(
        &self,
        transport: Transport,
        peer: SocketAddr,
        limits: OutboxLimits,
    ) -> Arc<Connection> {
        let connection = self.create(transport, peer, limits);
        self.by_peer.insert((transport, peer), Arc::clone(&connection));
        connection
    }

    /// Queues bytes on the connection to `peer`; the connection is returned when it is new and has to be
    /// opened, the token when the present one overflowed.
    pub(crate) fn queue(
        &self,
        transport: Transport,
        peer: SocketAddr,
        limits: OutboxLimits,
        bytes: Bytes,
        pending: Pending,
    ) -> Result<Option<Arc<Connection>>, Pending> {
        let entry = self.by_peer.entry((transport, peer));
        if let Entry::Occupied(present) = &entry
            && present.get().outbox.is_open()
        {
            return match present.get().push(bytes, Some(pending)) {
                Ok(()) | Err(None) => Ok(None),
                Err(Some(pending)) => Err(pending),
            };
        }
        let connection = self.create(transport, peer, limits);
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
        self.by_peer
            .remove_if(&(connection.transport, connection.peer), |_, present| present.id == connection.id);
    }
}
