//! What passes between an endpoint, its user and the sockets: ids, events and transmits.

use std::net::SocketAddr;

use bytes::Bytes;

use super::timers::Timers;
use super::transport::{Destination, Flow, Transport};
use crate::wire::sip::{Request, Response};

/// A server transaction: a request received, until it needs no memory any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerTxn(pub(super) u64);

/// A client transaction: a request sent, until it needs no memory any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientTxn(pub(super) u64);

/// What an endpoint is set up with.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The base values of all timers.
    pub timers: Timers,
    /// Minted branches begin `z9hG4bK<prefix>`, minted tags `<prefix>`: tells the endpoints of a
    /// node apart by a few bytes of any message. Token characters only.
    pub prefix: String,
    /// What a Via names as sender (`host` or `host:port`), for each transport and local address.
    pub sent_by: Vec<(Transport, SocketAddr, String)>,
    /// How many transactions may exist at once; new requests beyond get a 503. A datagram's MESSAGE that was
    /// answered 202 counts no more, though its repetition is recognised.
    pub max_transactions: usize,
    /// Seconds the Retry-After of that 503 asks for.
    pub retry_after: u32,
    /// Written as Server into responses and User-Agent into requests that have none; empty: not
    /// written.
    pub server_name: String,
}

impl EndpointConfig {
    /// The defaults of RFC 3261 with room for 100 000 transactions, and no address to send from.
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            timers: Timers::default(),
            prefix: prefix.into(),
            sent_by: Vec::new(),
            max_transactions: 100_000,
            retry_after: 5,
            server_name: String::new(),
        }
    }
}

/// Encoded bytes on their way out.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where they go.
    pub to: Destination,
    /// One whole SIP message.
    pub bytes: Bytes,
    /// What to hand back to [`super::Endpoint::handle_transport_error`] when they cannot be sent.
    pub id: TransmitId,
}

/// Who sent a [`Transmit`], so that its failure finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransmitId {
    /// A response of a server transaction.
    Server(ServerTxn),
    /// A request of a client transaction; the number tells apart the transports it was tried over.
    Client(ClientTxn, u8),
    /// Something no transaction waits for: an ACK to a 2xx, a stateless response.
    Stateless,
}

/// Why a transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureCause {
    /// Nobody answered in time: count it as a 408 (RFC 3261 8.1.3.1).
    Timeout,
    /// The message could not be sent: count it as a 503 (RFC 3261 8.1.3.1).
    Transport,
    /// Nothing was sent, for the DNS does not say where it goes, nor that it goes nowhere: it may say so later.
    Unresolved,
}

/// What an endpoint tells its user.
#[derive(Debug)]
pub enum EndpointEvent {
    /// A new request. Exactly one final response is expected, through [`super::Endpoint::respond`].
    Request {
        /// The transaction to answer.
        txn: ServerTxn,
        /// The request as received, its topmost Via stamped.
        request: Request,
        /// The way it came.
        flow: Flow,
    },
    /// An ACK to a 2xx: it belongs to no transaction, but to a dialog. Never answered.
    Ack {
        /// The ACK as received.
        request: Request,
        /// The way it came.
        flow: Flow,
    },
    /// A CANCEL came for an INVITE that has no final response yet, and was answered 200 here; the
    /// user answers the INVITE 487 (RFC 3261 9.2).
    Cancelled {
        /// The INVITE's transaction.
        txn: ServerTxn,
    },
    /// A response. After a final one nothing more comes, but for further 2xx to an INVITE, each of
    /// which wants an ACK (RFC 6026 7.2).
    Response {
        /// The transaction that sent the request.
        txn: ClientTxn,
        /// The response as received.
        response: Response,
        /// The way it came.
        flow: Flow,
    },
    /// A request got no final response; nothing more comes.
    Failed {
        /// The transaction that sent the request.
        txn: ClientTxn,
        /// Why.
        cause: FailureCause,
    },
    /// A server transaction met a failure: no ACK came for its final response, the user did not
    /// answer in time (both [`FailureCause::Timeout`]), or a response could not be sent
    /// ([`FailureCause::Transport`], at most once). Transactions that end well end silently.
    Ended {
        /// The transaction.
        txn: ServerTxn,
        /// Why.
        cause: FailureCause,
    },
}
