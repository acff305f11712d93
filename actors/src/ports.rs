//! The messages between the SIP side (the Endpoint) and those who use it: Recorder, Focus, Mailbox.

use actix::{Message, Recipient};
use bytes::Bytes;
use restante::machine::sip::{FailureCause, Flow, ServerTxn};
use restante::wire::sip::{Request, Response};

use crate::gate::Party;

/// What the owner of a dialog is told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum DialogInput {
    /// A request within the dialog.
    Request {
        /// Its transaction, to be answered by [`Respond`].
        txn: ServerTxn,
        /// The request.
        request: Box<Request>,
        /// Where it came from.
        flow: Flow,
    },
    /// The ACK to a 2xx.
    Ack(Box<Request>),
    /// A CANCEL for the INVITE of this transaction; the CANCEL itself has its 200.
    Cancelled(ServerTxn),
    /// The response to a request that was sent with this ticket.
    Response {
        /// The ticket of [`SendRequest`].
        ticket: u64,
        /// The response.
        response: Box<Response>,
    },
    /// No response will come to the request that was sent with this ticket.
    Failed {
        /// The ticket of [`SendRequest`].
        ticket: u64,
        /// Why.
        cause: FailureCause,
    },
    /// The node stops: say goodbye.
    Drain,
}

/// Answers a request.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Respond {
    /// The transaction of the request.
    pub txn: ServerTxn,
    /// The response.
    pub response: Box<Response>,
}

/// Sends a request; the user is told of the response or failure with the ticket.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SendRequest {
    /// The request, without Via.
    pub request: Box<Request>,
    /// The raw URI to be resolved: the dialog's next hop.
    pub next_hop: Bytes,
    /// The connection the dialog was made on, used while it lives.
    pub flow: Option<Flow>,
    /// Whom to tell.
    pub user: Recipient<DialogInput>,
    /// What to tell him by.
    pub ticket: u64,
}

/// Makes the owner of a dialog known by the node's own tag.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Adopt {
    /// The local tag.
    pub tag: String,
    /// The owner.
    pub user: Recipient<DialogInput>,
    /// The transaction of the INVITE, so that its CANCEL reaches the owner.
    pub txn: Option<ServerTxn>,
    /// Who is let into the dialog.
    pub party: Party,
}

/// Forgets the owner of a dialog.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Forget {
    /// The local tag.
    pub tag: String,
}
