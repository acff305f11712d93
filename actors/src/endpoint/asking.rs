//! The requests of dialogs' owners: each is tried at one place after another, until one answers.

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use bytes::Bytes;
use restante::machine::sip::locate::{LocateError, Place};
use restante::machine::sip::{Attempts, ClientTxn, Flow, NextAttempt, Outcome};
use restante::wire::sip::Response;

use super::SipEndpoint;
use crate::chance::Chance;
use crate::clock;
use crate::ports::{DialogInput, DialogUser, Leave, SendRequest};
use crate::seldom::seldom;

/// A request of a dialog's owner, on its way.
pub(super) struct Asking {
    pub(super) attempts: Attempts,
    pub(super) user: DialogUser,
    pub(super) ticket: u64,
    /// Held until the request is on its way.
    pub(super) leave: Option<Leave>,
}

impl Asking {
    pub(super) fn tell(self, outcome: Outcome) {
        let ticket = self.ticket;
        self.user.do_send(match outcome {
            Outcome::Response(response) => DialogInput::Response { ticket, response },
            Outcome::Failed(cause) => DialogInput::Failed { ticket, cause },
        });
    }
}

impl SipEndpoint {
    pub(super) fn response(&mut self, txn: ClientTxn, response: Response, ctx: &mut Context<Self>) {
        if response.status.is_final() {
            self.outcome(txn, Outcome::Response(Box::new(response)), ctx);
        } else if let Some(asking) = self.clients.get_mut(&txn) {
            asking.attempts.handle_provisional();
            let (ticket, response) = (asking.ticket, Box::new(response));
            asking.user.do_send(DialogInput::Response { ticket, response });
        }
    }

    /// A client transaction has ended: its user is told, or the next place is tried.
    pub(super) fn outcome(&mut self, txn: ClientTxn, outcome: Outcome, ctx: &mut Context<Self>) {
        let Some(mut asking) = self.clients.remove(&txn) else { return };
        if let Some((to, finding)) = asking.attempts.finding(&outcome)
            && let Some(avoided) = self.failed_places.note(to, finding, clock::now())
        {
            let (peer, transport, seconds) = (to.addr, to.transport, avoided.as_secs());
            seldom!(warn, %peer, %transport, cause = ?finding, seconds, "next hop failed: others come first for a while");
        }
        match asking.attempts.handle_outcome(outcome) {
            Some(outcome) => asking.tell(outcome),
            None => self.proceed(asking, ctx),
        }
    }

    /// Makes the next attempt at a request.
    pub(super) fn proceed(&mut self, mut asking: Asking, ctx: &mut Context<Self>) {
        loop {
            match asking.attempts.proceed() {
                NextAttempt::Send(request, to) => {
                    if let Some(link) = self.crowded(&asking, &request, &to) {
                        return self.hold_back(asking, link);
                    }
                    asking.leave = None;
                    let txn = self.machine.request(clock::now(), *request, to, &mut Chance);
                    self.clients.insert(txn, asking);
                    return;
                }
                NextAttempt::Exhausted(outcome) => return asking.tell(outcome),
                NextAttempt::Locate(uri) => match self.shared.resolver.sip_at_once(&uri) {
                    Some(found) => self.located(&mut asking, found),
                    None => return self.locate(asking, &uri, ctx),
                },
            }
        }
    }

    fn locate(&self, mut asking: Asking, uri: &Bytes, ctx: &mut Context<Self>) {
        let resolving = self.shared.resolver.sip(uri);
        ctx.spawn(resolving.into_actor(self).map(move |found, endpoint, ctx| {
            endpoint.located(&mut asking, found);
            endpoint.proceed(asking, ctx);
            endpoint.drain(ctx);
        }));
    }

    /// Hands a request the places that were found, in the order in which it tries them.
    fn located(&self, asking: &mut Asking, found: Result<Vec<Place>, LocateError>) {
        if found == Err(LocateError::Timeout) {
            asking.attempts.handle_unresolved();
        }
        let mut places = places(found);
        self.failed_places.sort(&mut places, clock::now());
        asking.attempts.located(&places);
    }
}

impl Handler<SendRequest> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, send: SendRequest, ctx: &mut Self::Context) {
        let is_open = |flow: &Flow| self.sender.as_ref().is_some_and(|sender| sender.is_open(flow));
        let is_open = send.flow.as_ref().is_some_and(is_open);
        let attempts = Attempts::new(send.request, send.next_hop, send.flow, is_open);
        self.proceed(Asking { attempts, user: send.user, ticket: send.ticket, leave: send.leave }, ctx);
        self.drain(ctx);
    }
}

/// The places that were found; where none was, the log says why.
pub(super) fn places(found: Result<Vec<Place>, LocateError>) -> Vec<Place> {
    found.unwrap_or_else(|error| {
        seldom!(warn, %error, "not sent: the next hop cannot be found");
        Vec::new()
    })
}
