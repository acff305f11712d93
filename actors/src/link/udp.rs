//! SIP over UDP (RFC 3261 18.1, 18.2): one reader and one writer for each socket.

use super::net::UdpSocket;
use super::sip::{Hub, SipReceived};
use super::sip_connection::Pending;
use super::stop::Stop;
use super::udp_socket::Datagram;
use crate::clock;
use bytes::Bytes;
use restante::machine::sip::{Flow, Transport};
use restante::wire::sip::{ParseError, parse_datagram};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::debug;

/// Datagrams read before other tasks of the core have their turn.
const BATCH: usize = 64;
/// The largest datagram there is.
const DATAGRAM: usize = 65_535;
/// How long to wait when the socket fails.
const FAILED: Duration = Duration::from_millis(10);

/// The sending side of a socket.
pub(crate) struct UdpSender {
    socket: UdpSocket,
    most: usize,
    queue: Mutex<VecDeque<Waiting>>,
    wake: Notify,
}

impl UdpSender {
    pub(crate) fn new(socket: UdpSocket, most: usize) -> Arc<Self> {
        Arc::new(Self { socket, most, queue: Mutex::new(VecDeque::new()), wake: Notify::new() })
    }

    /// What the socket is bound to.
    pub(crate) fn bound(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a datagram, or queues it while the system takes none. What the queue cannot hold is dropped:
    /// the network might have done the same, and transactions repeat what matters. What the system refuses
    /// is told through its `pending`.
    pub(crate) fn send(&self, waiting: Waiting) {
        let mut queue = self.queue();
        if queue.is_empty() {
            match self.try_send(&waiting) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    drop(queue);
                    return self.refused(waiting, &error);
                }
            }
        }
        if queue.len() >= self.most {
            metrics::counter!("restante_sip_dropped_total", "cause" => "send_queue").increment(1);
            return;
        }
        queue.push_back(waiting);
        drop(queue);
        self.wake.notify_one();
    }

    fn try_send(&self, waiting: &Waiting) -> io::Result<()> {
        self.socket.try_send(&waiting.datagram, waiting.to, waiting.from)
    }

    fn refused(&self, Waiting { to, pending, .. }: Waiting, error: &io::Error) {
        metrics::counter!("restante_sip_dropped_total", "cause" => "send_error").increment(1);
        debug!(local = %self.bound(), peer = %to, cause = %error, "datagram not sent");
        pending.fail();
    }

    /// Sends from the queue until it is empty (`true`) or the system takes no more.
    fn flush(&self) -> bool {
        loop {
            let mut queue = self.queue();
            let Some(front) = queue.front() else { return true };
            match self.try_send(front) {
                Ok(()) => drop(queue.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    let front = queue.pop_front();
                    drop(queue);
                    if let Some(front) = front {
                        self.refused(front, &error);
                    }
                }
            }
        }
    }
}

/// A datagram to be sent, which waits while the system does not take it yet.
pub(crate) struct Waiting {
    pub(crate) datagram: Bytes,
    pub(crate) to: SocketAddr,
    /// Where that came to which it answers.
    pub(crate) from: Option<SocketAddr>,
    pub(crate) pending: Pending,
}

/// Sends what had to be queued, until told to stop.
pub(crate) async fn write(sender: Arc<UdpSender>, mut stop: Stop) {
    loop {
        let writable = async {
            sender.wake.notified().await;
            while !sender.flush() {
                if sender.socket.writable().await.is_err() {
                    tokio::time::sleep(FAILED).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.stopped() => {
                sender.flush();
                return;
            }
            () = writable => {}
        }
    }
}

/// Receives until told to stop.
pub(crate) async fn read(hub: Arc<Hub>, sender: Arc<UdpSender>, mut stop: Stop) {
    let intake = DatagramIntake { hub, sender };
    let mut scratch = vec![0_u8; DATAGRAM];
    loop {
        let ready = tokio::select! {
            biased;
            () = stop.stopped() => return,
            ready = intake.sender.socket.readable() => ready,
        };
        let received = tokio::select! {
            biased;
            () = stop.stopped() => return,
            received = intake.receive_batch(&mut scratch) => received,
        };
        if ready.is_err() || !received {
            tokio::time::sleep(FAILED).await;
        }
        tokio::task::yield_now().await;
    }
}

struct DatagramIntake {
    hub: Arc<Hub>,
    sender: Arc<UdpSender>,
}

impl DatagramIntake {
    /// Takes up to [`BATCH`] datagrams; `false` when the socket failed.
    async fn receive_batch(&self, scratch: &mut [u8]) -> bool {
        for _ in 0..BATCH {
            match self.sender.socket.try_receive(scratch) {
                Ok(Datagram { size, peer, local }) => {
                    if let Some(datagram) = scratch.get(..size) {
                        self.receive(datagram, peer, local).await;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return true,
                    // An earlier datagram met nobody: the transaction's timers deal with that.
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {}
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        debug!(local = %self.sender.bound(), cause = %error, "cannot receive");
                        return false;
                    }
                },
            }
        }
        true
    }

    /// Hands a datagram over, when there is room for it: meanwhile the others wait in the system's buffer, which drops
    /// what it cannot hold, and costs the node nothing.
    async fn receive(&self, datagram: &[u8], peer: SocketAddr, local: SocketAddr) {
        if is_keep_alive(datagram) {
            return;
        }
        metrics::counter!("restante_sip_received_total", "transport" => "udp").increment(1);
        let message = parse_datagram(Bytes::copy_from_slice(datagram), &self.hub.limits.message);
        if let Err(error) = &message {
            metrics::counter!("restante_sip_malformed_total", "transport" => "udp").increment(1);
            if let ParseError::Silent(cause) = error {
                debug!(%local, %peer, %cause, "malformed");
                return;
            }
        }
        let lane = self.hub.backlog.lane(&message);
        let permit = match Arc::clone(lane).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                metrics::counter!("restante_sip_stalls_total").increment(1);
                // Never closed.
                let Ok(permit) = Arc::clone(lane).acquire_owned().await else { return };
                permit
            }
        };
        let flow = Flow { transport: Transport::Udp, connection: 0, local, peer };
        (self.hub.ports.received)(SipReceived { flow, message, since: clock::now(), permit: Some(permit) });
    }
}

/// Whether a datagram only keeps a NAT binding open: blank (RFC 3261 7.5 has servers ignore leading CRLFs),
/// zeros, or STUN, whose first two bits are zero (RFC 5389 6) as no SIP message's are.
fn is_keep_alive(datagram: &[u8]) -> bool {
    match datagram.first() {
        None => true,
        Some(b'\r' | b'\n' | b' ' | b'\t') => datagram.iter().all(u8::is_ascii_whitespace),
        Some(first) => *first <= 0x03,
    }
}
