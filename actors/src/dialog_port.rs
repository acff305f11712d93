//! DialogPort: the way of one dialog's owner to the Endpoint of his shard.

use actix::{Addr, Recipient};
use bytes::Bytes;
use restante::focus::recipient_list;
use restante::focus::rejection::Rejection;
use restante::machine::offer_answer::{self, LocalMedia};
use restante::machine::sip::{
    Body, Flow, InviteSession, Rejection as SipRejection, ServerTxn, SessionAction,
};
use restante::store::Owner;
use restante::wire::sip::{HeaderName, Request, Response, StatusCode};

use crate::endpoint::SipEndpoint;
use crate::gate::Party;
use crate::ports::{Adopt, DialogInput, Forget, Respond, SendRequest};
use crate::refusals;

/// The ticket of the requests of an INVITE dialog.
pub const INVITE_TICKET: u64 = 0;

/// One dialog, as the Endpoint knows it.
pub struct DialogPort {
    endpoint: Addr<SipEndpoint>,
    tag: String,
    txn: Option<ServerTxn>,
    flow: Flow,
    peer: Owner,
    user: Option<Recipient<DialogInput>>,
}

impl DialogPort {
    /// The port of the dialog with the local tag `tag`, made by the request of `txn`, which `peer` sent over
    /// `flow`.
    #[must_use]
    pub const fn new(
        endpoint: Addr<SipEndpoint>,
        tag: String,
        txn: Option<ServerTxn>,
        flow: Flow,
        peer: Owner,
    ) -> Self {
        Self { endpoint, tag, txn, flow, peer, user: None }
    }

    /// The local tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Makes `user` the owner of the dialog.
    pub fn adopt(&mut self, user: Recipient<DialogInput>) {
        let party = Party::new(self.peer.clone(), Some(self.flow));
        self.endpoint.do_send(Adopt { tag: self.tag.clone(), user: user.clone(), txn: self.txn, party });
        self.user = Some(user);
    }

    /// Makes the owner that of a further dialog with the same peer, too, which was made over `flow`.
    pub fn adopt_also(&self, tag: String, flow: Flow) {
        if let Some(user) = self.user.clone() {
            let party = Party::new(self.peer.clone(), Some(flow));
            self.endpoint.do_send(Adopt { tag, user, txn: None, party });
        }
    }

    /// Ends the ownership of the dialog.
    pub fn forget(&self) {
        self.forget_also(self.tag.clone());
    }

    /// Ends the ownership of a further dialog.
    pub fn forget_also(&self, tag: String) {
        self.endpoint.do_send(Forget { tag });
    }

    /// Answers a request.
    pub fn respond(&self, txn: ServerTxn, response: Response) {
        self.endpoint.do_send(Respond { txn, response: Box::new(response) });
    }

    /// Sends a request within a dialog of this owner.
    pub fn send(&self, request: Request, next_hop: Bytes, flow: Option<Flow>, ticket: u64) {
        let Some(user) = self.user.clone() else { return };
        self.endpoint.do_send(SendRequest { request: Box::new(request), next_hop, flow, user, ticket });
    }

    /// Sends what an INVITE session has to send.
    pub fn send_all(&self, invite: &mut InviteSession) {
        while let Some(action) = invite.poll_action() {
            match action {
                SessionAction::Respond(txn, response) => self.respond(txn, response),
                SessionAction::Request(request) => {
                    let next_hop = invite.dialog().next_hop();
                    self.send(request, next_hop, Some(self.flow), INVITE_TICKET);
                }
            }
        }
    }

    /// Hands an input to the INVITE session.
    pub fn handle(&self, invite: &mut InviteSession, input: DialogInput) {
        match input {
            DialogInput::Request { txn, request, .. } => invite.handle_request(txn, *request),
            DialogInput::Ack(request) => invite.handle_ack(&request),
            DialogInput::Cancelled(txn) => invite.handle_cancelled(txn),
            DialogInput::Response { response, .. } => invite.handle_response(&response),
            DialogInput::Failed { .. } => invite.handle_failed(),
            DialogInput::Drain => invite.bye(Some("SIP;text=\"node stops\"")),
        }
    }

    /// Answers a re-INVITE: the session goes on as it is, described again (RFC 3261 14.2).
    ///
    /// # Errors
    /// 420 for a recipient list (RFC 5366 5), or what an offer that cannot be met deserves.
    pub fn answer_reinvite(
        &self,
        request: &Request,
        local: Option<&mut LocalMedia>,
        agent: &str,
    ) -> Result<Option<Body>, SipRejection> {
        self.reinvited(request, local, agent).map(Some).map_err(|refused| of_rejection(&refused))
    }

    fn reinvited(
        &self,
        request: &Request,
        local: Option<&mut LocalMedia>,
        agent: &str,
    ) -> Result<Body, Rejection> {
        let requires = |option: &Bytes| option.eq_ignore_ascii_case(recipient_list::OPTION.as_bytes());
        // RFC 5366 5: a recipient-list in a re-INVITE is refused with 420.
        if request.headers.values(&HeaderName::Require).any(|option| requires(&option))
            || recipient_list::present(request)
        {
            return Err(Rejection::bad_extension(recipient_list::OPTION));
        }
        let local = local.ok_or_else(|| Rejection::new(StatusCode::NOT_ACCEPTABLE_HERE))?;
        let body = recipient_list::body(request)?;
        let Some(offer) = body.sdp else { return Ok(Body::sdp(offer_answer::offer(local))) };
        match offer_answer::answer(&offer, local) {
            Ok((answer, _)) => Ok(Body::sdp(answer)),
            Err(refusal) => Err(refusals::of_offer(&refusal, agent)),
        }
    }
}

/// A refusal as the INVITE session sends it; its reason phrase is the standard one.
#[must_use]
pub fn of_rejection(rejection: &Rejection) -> SipRejection {
    SipRejection { status: rejection.status, headers: rejection.headers.clone() }
}
