//! The messages between the SIP side (the Endpoint) and those who use it: Recorder, Focus, Mailbox.

use std::fmt;
use std::sync::Arc;

use actix::{Addr, Message, Recipient};
use bytes::Bytes;
use restante::machine::sip::{FailureCause, Flow, ServerTxn};
use restante::wire::sip::{Method, Request, Response, StatusCode};

use crate::endpoint::SipEndpoint;

use crate::gate::Guest;

/// The way to an Endpoint. Shared: each clone of an actix address is memory of its own.
pub type ToEndpoint = Arc<Addr<SipEndpoint>>;

/// The way to the owner of a dialog, or to whoever has sent a request in it; shared likewise.
pub type DialogUser = Arc<Recipient<DialogInput>>;

/// What the owner of a dialog is told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum DialogInput {
    /// A request within the dialog.
    Request(Asked),
    /// The ACK to a 2xx.
    Ack(Box<Request>),
    /// A CANCEL for the INVITE of this transaction; the CANCEL itself has its 200.
    Cancelled(ServerTxn),
    /// The INVITE of this transaction was not answered in time: the Endpoint has done that.
    GivenUp(ServerTxn),
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
    /// The request that was to be sent with this ticket was not: there is no room for it where it goes. It waits.
    Crowded {
        /// The ticket of [`SendRequest`] or [`Await`].
        ticket: u64,
    },
    /// There is room for the request that waits.
    Room {
        /// The ticket of [`SendRequest`] or [`Await`].
        ticket: u64,
        /// To be sent along with it, or dropped where there is nothing to send any more.
        leave: Leave,
    },
    /// The connection is gone that was [watched](WatchLink).
    LinkGone {
        /// Its number.
        link: u64,
    },
    /// The node stops: say goodbye.
    Drain,
}

/// A request that waits for an answer. Dropped without one, because whoever it was for has failed, it is
/// answered 500: nobody waits in vain.
pub struct Asked {
    endpoint: ToEndpoint,
    txn: ServerTxn,
    request: Box<Request>,
    flow: Flow,
    open: bool,
}

impl Asked {
    /// The request of `txn` that came over `flow`, to be answered by `endpoint`.
    #[must_use]
    pub const fn new(endpoint: ToEndpoint, txn: ServerTxn, request: Box<Request>, flow: Flow) -> Self {
        Self { endpoint, txn, request, flow, open: true }
    }

    /// The request.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Where it came from.
    #[must_use]
    pub const fn flow(&self) -> Flow {
        self.flow
    }

    /// Answers it.
    pub fn respond(mut self, response: Response) {
        self.open = false;
        self.endpoint.do_send(Respond { txn: self.txn, response: Box::new(response) });
    }

    /// Takes it over: whoever does this answers it.
    #[must_use]
    pub fn take(mut self) -> (ServerTxn, Request) {
        self.open = false;
        let taken = std::mem::replace(self.request.as_mut(), Request::new(Method::Ack, Bytes::new()));
        (self.txn, taken)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.open {
            let response = Box::new(self.request.respond(StatusCode::SERVER_INTERNAL_ERROR));
            self.endpoint.do_send(Respond { txn: self.txn, response });
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("method", &self.request.method).field("flow", &self.flow).finish()
    }
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
    pub user: DialogUser,
    /// What to tell him by.
    pub ticket: u64,
    /// That of [`DialogInput::Room`], if it has waited.
    pub leave: Option<Leave>,
}

/// Waits for room on a connection, before a request is made that would not be sent; [`DialogInput::Room`] follows,
/// or [`DialogInput::Failed`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Await {
    /// The number of the connection.
    pub link: u64,
    /// Whom to tell.
    pub user: DialogUser,
    /// What to tell him by.
    pub ticket: u64,
}

/// Watches a connection of a WebSocket client, to which nobody connects anew; [`DialogInput::LinkGone`] follows when it
/// is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct WatchLink {
    /// The connection.
    pub flow: Flow,
    /// Whom to tell.
    pub user: DialogUser,
}

/// The leave to send one request to a connection that others wait for. When it is dropped, the next one goes.
pub struct Leave {
    endpoint: ToEndpoint,
    link: u64,
}

impl Leave {
    /// A leave that `endpoint` gave for the connection with this number.
    #[must_use]
    pub const fn new(endpoint: ToEndpoint, link: u64) -> Self {
        Self { endpoint, link }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.endpoint.do_send(LeaveReturned { link: self.link });
    }
}

impl fmt::Debug for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leave").field("link", &self.link).finish_non_exhaustive()
    }
}

/// A [`Leave`] was dropped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LeaveReturned {
    /// The number of the connection.
    pub link: u64,
}

/// Makes the owner of a dialog known by the node's own tag.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Adopt {
    /// The local tag.
    pub tag: String,
    /// The owner.
    pub user: DialogUser,
    /// The transaction of the INVITE, so that its CANCEL reaches the owner.
    pub txn: Option<ServerTxn>,
    /// Who is let into the dialog.
    pub guest: Guest,
}

/// Forgets the owner of a dialog.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Forget {
    /// The local tag.
    pub tag: String,
}
