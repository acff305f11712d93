//! NOTIFYs wait for room: what one connection takes no more of is held back where it comes from, and goes on in turn
//! when the connection has drained ([`Pacing`]).

use std::sync::Arc;

use actix::{Context, Handler, Message};
use restante::machine::sip::{Destination, FailureCause, Transport, Turn};
use restante::wire::sip::{Method, Request};

use super::{Asking, SipEndpoint};
use crate::clock;
use crate::link::LineAhead;
use crate::ports::{Await, DialogInput, DialogUser, Leave, LeaveReturned};
use crate::seldom::seldom;

/// A request with a larger body is too large for a datagram and goes over TCP (RFC 3261 18.1.1): as near as it can be
/// told before the request has its Via.
const SMALL_BODY: usize = 600;

/// A SIP connection that was crowded is no longer: it has drained, or is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LinkRoomy {
    /// Its number.
    pub link: u64,
}

/// Who waits to send a request.
pub(super) struct Waiting {
    user: DialogUser,
    ticket: u64,
}

impl SipEndpoint {
    /// The connection that a NOTIFY has to wait for. All other requests end something, and go at once.
    pub(super) fn crowded(&self, asking: &Asking, request: &Request, to: &Destination) -> Option<u64> {
        // Where nobody is there to send it later, it goes now or never.
        if request.method != Method::Notify || !asking.user.connected() {
            return None;
        }
        let upgraded = to.transport == Transport::Udp && to.upgrade && request.body.len() > SMALL_BODY;
        let line =
            if upgraded { self.line(&Destination::new(Transport::Tcp, to.addr)) } else { self.line(to) };
        let LineAhead { link, crowded } = line?;
        (crowded || asking.leave.is_none() && self.pacing.is_waited_for(link)).then_some(link)
    }

    fn line(&self, to: &Destination) -> Option<LineAhead> {
        self.sender.as_ref()?.line(to)
    }

    fn is_crowded(&self, link: u64) -> bool {
        self.sender.as_ref().is_some_and(|sender| sender.is_crowded(link))
    }

    /// Gives a request back to who asked for it: it waits there, and takes no memory here.
    pub(super) fn hold_back(&mut self, asking: Asking, link: u64) {
        let Asking { user, ticket, leave, .. } = asking;
        user.do_send(DialogInput::Crowded { ticket });
        self.wait(link, Waiting { user, ticket }, leave.is_some());
    }

    fn wait(&mut self, link: u64, waiting: Waiting, had_leave: bool) {
        metrics::counter!("restante_notify_waits_total").increment(1);
        if !self.pacing.is_waited_for(link) {
            tracing::debug!(connection = link, "connection is crowded: NOTIFYs wait until it has drained");
        }
        self.pacing.wait(clock::now(), link, waiting, had_leave);
    }

    pub(super) fn ring_pacing(&mut self) {
        let sender = self.sender.clone();
        let has_room = |link| sender.as_ref().is_none_or(|sender| !sender.is_crowded(link));
        self.pacing.handle_timeout(clock::now(), has_room);
    }

    /// Tells everybody whose turn it is.
    pub(super) fn drain_pacing(&mut self) {
        let mut let_down = (0, 0_u64);
        while let Some(turn) = self.pacing.poll_turn() {
            match turn {
                Turn::Go(link, Waiting { user, ticket }) => {
                    let leave = Leave::new(Arc::clone(&self.me), link);
                    user.do_send(DialogInput::Room { ticket, leave });
                }
                Turn::TimedOut(link, Waiting { user, ticket }) => {
                    let_down = (link, let_down.1 + 1);
                    user.do_send(DialogInput::Failed { ticket, cause: FailureCause::Timeout });
                }
            }
        }
        if let (link, notifies @ 1..) = let_down {
            seldom!(
                warn,
                connection = link,
                notifies,
                "the peer does not read: NOTIFYs have waited in vain, and their subscriptions end"
            );
        }
    }
}

impl Handler<Await> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, Await { link, user, ticket }: Await, ctx: &mut Context<Self>) {
        self.wait(link, Waiting { user, ticket }, false);
        if !self.is_crowded(link) {
            self.pacing.handle_room(clock::now(), link);
        }
        self.drain(ctx);
    }
}

impl Handler<LinkRoomy> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, LinkRoomy { link }: LinkRoomy, ctx: &mut Context<Self>) {
        // It may be crowded again: then it will drain again.
        if !self.is_crowded(link) {
            self.pacing.handle_room(clock::now(), link);
            self.drain(ctx);
        }
    }
}

impl Handler<LeaveReturned> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, LeaveReturned { link }: LeaveReturned, ctx: &mut Context<Self>) {
        let room = !self.is_crowded(link);
        self.pacing.handle_returned(clock::now(), link, room);
        self.drain(ctx);
    }
}
