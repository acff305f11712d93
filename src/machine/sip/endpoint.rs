//! All transactions of one user agent core, without IO: [`Endpoint`] (RFC 3261 17 and 18,
//! RFC 6026, RFC 3581). It matches, retransmits, times out, acknowledges and absorbs; dialogs and
//! everything above are its user's.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

use bytes::Bytes;
use rustc_hash::FxBuildHasher;

use super::alarms::Alarms;
use super::client::Client;
use super::event::{ClientTxn, EndpointConfig, EndpointEvent, ServerTxn, Transmit, TransmitId};
use super::fingerprint::{Fingerprint, Fingerprints};
use super::repeats::Repeats;
use super::server::Server;
use super::slab::Slab;
use super::transport::{Destination, Transport};
use crate::entropy::Entropy;
use crate::time::Instant;
use crate::wire::sip::{HeaderName, MAGIC_COOKIE, Request};

/// RFC 3261 18.1.1: the size above which a request goes over a transport with congestion control.
const LARGEST_DATAGRAM_REQUEST: usize = 1300;

/// Refusals remembered at least; under a flood the older ones are forgotten sooner.
const REFUSED_MOST: usize = 32_768;

/// All SIP transactions of a shard.
///
/// * Inputs: [`handle_request`](Self::handle_request), [`handle_response`](Self::handle_response),
///   [`handle_timeout`](Self::handle_timeout),
///   [`handle_transport_error`](Self::handle_transport_error).
/// * Commands: [`respond`](Self::respond), [`request`](Self::request), [`cancel`](Self::cancel),
///   [`send_ack`](Self::send_ack).
/// * After each of them, drain [`poll_transmit`](Self::poll_transmit) and
///   [`poll_event`](Self::poll_event), then arm one alarm for [`poll_timeout`](Self::poll_timeout).
///
/// Retransmissions, 100s, ACKs to non-2xx responses, CANCELs and their answers, merged requests
/// and overload never reach the user; responses and ACKs are never answered.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) config: EndpointConfig,
    pub(super) fingerprints: Fingerprints,
    pub(super) servers: Slab<Server>,
    pub(super) clients: Slab<Client>,
    pub(super) server_keys: HashMap<Fingerprint, u64, FxBuildHasher>,
    pub(super) client_keys: HashMap<Fingerprint, u64, FxBuildHasher>,
    pub(super) ongoing: HashSet<Fingerprint, FxBuildHasher>,
    /// What was refused without a transaction.
    pub(super) refused: Repeats,
    /// Requests over datagrams that were answered 202, whose transactions would only wait for repetitions.
    pub(super) accepted: Repeats,
    pub(super) alarms: Alarms<Txn>,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<EndpointEvent>,
}

/// Whose alarm it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Txn {
    Server(u64),
    Client(u64),
}

impl Endpoint {
    /// Sets up an endpoint without transactions; `entropy` gives the key under which it matches
    /// messages, and is not kept.
    #[must_use]
    pub fn new(config: EndpointConfig, entropy: &mut dyn Entropy) -> Self {
        // RFC 3261 17.1.2.2: a request is repeated until timer F; 17.2.2: and answered again until timer J.
        let repeated = config.timers.give_up();
        Self {
            refused: Repeats::new(repeated, 2, REFUSED_MOST),
            accepted: Repeats::new(repeated, 5, config.max_transactions),
            config,
            fingerprints: Fingerprints::new(entropy),
            servers: Slab::new(),
            clients: Slab::new(),
            server_keys: HashMap::default(),
            client_keys: HashMap::default(),
            ongoing: HashSet::default(),
            alarms: Alarms::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// How many server transactions exist.
    #[must_use]
    pub const fn server_transactions(&self) -> usize {
        self.servers.len()
    }

    /// How many client transactions exist.
    #[must_use]
    pub const fn client_transactions(&self) -> usize {
        self.clients.len()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing for the user to know.
    pub fn poll_event(&mut self) -> Option<EndpointEvent> {
        self.events.pop_front()
    }

    /// Whether there is something for the user to know.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). Never late, and sometimes early: a timer
    /// that was stopped or put off leaves its alarm behind until it rings.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.alarms.next().map(|(at, _)| at)
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, txn)) = self.alarms.next()
            && at <= now
        {
            self.alarms.pop();
            match txn {
                Txn::Server(id) => self.fire_server(now, at, id),
                Txn::Client(id) => self.fire_client(now, at, id),
            }
        }
        self.prune();
    }

    /// Takes back a transmit that could not be sent: no connection, or refused by the network.
    /// A request sent over TCP for its size is tried over UDP (RFC 3261 18.1.1); any other request
    /// has failed; a response has not, for the client may repeat its request.
    pub fn handle_transport_error(&mut self, now: Instant, failed: TransmitId) {
        match failed {
            TransmitId::Server(ServerTxn(id)) => self.server_unsent(now, id),
            TransmitId::Client(ClientTxn(id), attempt) => self.client_unsent(now, id, attempt),
            TransmitId::Stateless => {}
        }
        self.prune();
    }

    /// Sends the ACK to a 2xx, outside of any transaction; its Via is added here
    /// (RFC 3261 13.2.2.4).
    pub fn send_ack(&mut self, mut request: Request, mut to: Destination, entropy: &mut dyn Entropy) {
        let branch = self.mint_branch(entropy);
        if let Some((bytes, _)) = self.address(&mut request, &mut to, &branch) {
            self.transmits.push_back(Transmit { to, bytes, id: TransmitId::Stateless });
        }
    }

    /// A branch nobody else has (RFC 3261 8.1.1.7).
    pub(super) fn mint_branch(&self, entropy: &mut dyn Entropy) -> String {
        format!("{MAGIC_COOKIE}{}{}", self.config.prefix, entropy.token(16))
    }

    /// Puts a Via on top of `request` and encodes it; one too large for a datagram gets another
    /// transport in `to` and comes with what to send over UDP where that fails. `None`: there is no
    /// address to send from.
    pub(super) fn address(
        &self,
        request: &mut Request,
        to: &mut Destination,
        branch: &str,
    ) -> Option<(Bytes, Option<Fallback>)> {
        if !self.config.server_name.is_empty() && request.headers.get(&HeaderName::UserAgent).is_none() {
            request.headers.push(HeaderName::UserAgent, self.config.server_name.clone());
        }
        let via = self.via(to, branch)?;
        request.headers.push_front(HeaderName::Via, via.clone());
        let bytes = request.encode();
        if to.transport != Transport::Udp || !to.upgrade || bytes.len() <= LARGEST_DATAGRAM_REQUEST {
            return Some((bytes, None));
        }
        // RFC 3261 18.1.1: a request larger than 1300 bytes MUST be sent over a congestion controlled
        // transport; the Via MUST name it.
        let stream = Destination { transport: Transport::Tcp, flow: None, ..to.clone() };
        if !self.config.sent_by.iter().any(|(transport, ..)| *transport == Transport::Tcp) {
            return Some((bytes, None));
        }
        request.headers.set(HeaderName::Via, self.via(&stream, branch)?);
        let fallback = Fallback { bytes, via, to: std::mem::replace(to, stream) };
        Some((request.encode(), Some(fallback)))
    }

    /// The Via for a request that goes `to` (RFC 3261 18.1.1, RFC 3581 3).
    fn via(&self, to: &Destination, branch: &str) -> Option<Bytes> {
        let sent_by = self.sent_by(to)?;
        let mut via = String::with_capacity(40 + sent_by.len() + branch.len());
        let _ = write!(via, "SIP/2.0/{} {sent_by};branch={branch};rport", to.transport);
        Some(via.into())
    }

    /// What to call ourselves: the name that goes with the flow, the transport and address family,
    /// the transport, or any.
    fn sent_by(&self, to: &Destination) -> Option<&str> {
        let find = |wanted: &dyn Fn(&(Transport, std::net::SocketAddr, String)) -> bool| {
            self.config.sent_by.iter().find(|entry| wanted(entry)).map(|(_, _, name)| name.as_str())
        };
        find(&|(transport, local, _)| {
            *transport == to.transport && to.flow.is_some_and(|flow| flow.came_to(*local))
        })
        .or_else(|| {
            find(&|(transport, local, _)| *transport == to.transport && local.is_ipv4() == to.addr.is_ipv4())
        })
        .or_else(|| find(&|(transport, ..)| *transport == to.transport))
        .or_else(|| find(&|_| true))
    }

    /// Drops alarms of transactions that are gone.
    pub(super) fn prune(&mut self) {
        let living = self.servers.len() + self.clients.len();
        let (servers, clients) = (&self.servers, &self.clients);
        self.alarms.prune(living, |at, txn| match txn {
            Txn::Server(id) => servers.get(id).is_some_and(|server| server.clock.is_armed(at)),
            Txn::Client(id) => clients.get(id).is_some_and(|client| client.clock.is_armed(at)),
        });
    }
}

/// What to send over UDP where TCP, chosen for the size, does not work.
#[derive(Debug)]
pub(super) struct Fallback {
    pub(super) bytes: Bytes,
    pub(super) via: Bytes,
    pub(super) to: Destination,
}
