//! DialogPort: the way of one dialog's owner to the Endpoint of his shard.

use std::sync::Arc;

use actix::Recipient;
use bytes::Bytes;
use restante::machine::sip::{Flow, InviteSession, ServerTxn, SessionAction};
use restante::store::Owner;
use restante::wire::sip::{Request, Response};

use crate::gate::{Guest, Origin};
use crate::ports::{
    Adopt, DialogInput, DialogUser, Forget, Leave, Respond, SendRequest, ToEndpoint, WatchLink,
};

/// The ticket of the requests of an INVITE dialog.
pub const INVITE_TICKET: u64 = 0;

/// One dialog, as the Endpoint knows it.
pub struct DialogPort {
    endpoint: ToEndpoint,
    tag: Arc<str>,
    txn: Option<ServerTxn>,
    peer: Arc<Origin>,
    user: Option<DialogUser>,
}

impl DialogPort {
    /// The port of the dialog with the local tag `tag`, made by the request of `txn`, which `peer` sent over
    /// `flow`.
    #[must_use]
    pub fn new(endpoint: ToEndpoint, tag: &str, txn: Option<ServerTxn>, flow: Flow, peer: Owner) -> Self {
        let peer = Arc::new(Origin { owner: peer, flow });
        Self { endpoint, tag: Arc::from(tag), txn, peer, user: None }
    }

    /// The local tag.
    #[must_use]
    pub const fn tag(&self) -> &Arc<str> {
        &self.tag
    }

    /// Where the request came from that made the dialog.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.peer.flow
    }

    /// Who has sent it.
    #[must_use]
    pub fn peer(&self) -> &Owner {
        &self.peer.owner
    }

    /// Makes `user` the owner of the dialog.
    pub fn adopt(&mut self, user: Recipient<DialogInput>) {
        let user = DialogUser::new(user);
        let guest = Guest::new(Arc::clone(&self.peer));
        self.endpoint.do_send(Adopt { tag: self.tag.to_string(), user: user.clone(), txn: self.txn, guest });
        self.user = Some(user);
    }

    /// Makes the owner that of a further dialog with the same peer, too, which was made over `flow`.
    pub fn adopt_also(&self, tag: String, flow: Flow) {
        if let Some(user) = self.user.clone() {
            let guest = Guest::of(self.peer.owner.clone(), Some(flow));
            self.endpoint.do_send(Adopt { tag, user, txn: None, guest });
        }
    }

    /// Has the owner told when the connection of `flow` is gone, where it cannot be replaced.
    pub fn watch(&self, flow: Flow) {
        if let Some(user) = self.user.clone().filter(|_| flow.transport.is_web()) {
            self.endpoint.do_send(WatchLink { flow, user });
        }
    }

    /// Ends the ownership of the dialog.
    pub fn forget(&self) {
        self.forget_also(self.tag.to_string());
    }

    /// Ends the ownership of a further dialog.
    pub fn forget_also(&self, tag: String) {
        self.endpoint.do_send(Forget { tag });
    }

    /// Answers a request.
    pub fn respond(&self, txn: ServerTxn, response: Response) {
        self.endpoint.do_send(Respond { txn, response: Box::new(response) });
    }

    /// Sends a request within a dialog of this owner, if it has waited then with its leave.
    pub fn send(
        &self,
        request: Request,
        next_hop: Bytes,
        flow: Option<Flow>,
        ticket: u64,
        leave: Option<Leave>,
    ) {
        let Some(user) = self.user.clone() else { return };
        self.endpoint.do_send(SendRequest {
            request: Box::new(request),
            next_hop,
            flow,
            user,
            ticket,
            leave,
        });
    }

    /// Sends what an INVITE session has to send.
    pub fn send_all(&self, invite: &mut InviteSession) {
        while let Some(action) = invite.poll_action() {
            match action {
                SessionAction::Respond(txn, response) => self.respond(txn, response),
                SessionAction::Request(request) => {
                    let next_hop = invite.dialog().next_hop();
                    // RFC 3261 12.2.2: a target refresh says where the peer is, which is where that came from.
                    let flow = invite.flow().unwrap_or(self.peer.flow);
                    self.send(request, next_hop, Some(flow), INVITE_TICKET, None);
                }
            }
        }
    }
}
