//! Responses that could not be sent, and the other ways to whom they are for (RFC 3263 5).

use std::collections::VecDeque;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use bytes::Bytes;
use restante::machine::sip::locate::Place;
use restante::machine::sip::{Destination, Sender, TransmitId};

use super::SipEndpoint;
use super::asking::places;

/// A response that could not be sent: the places still to be tried (RFC 3263 5).
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Redirect {
    bytes: Bytes,
    places: VecDeque<Place>,
}

impl SipEndpoint {
    /// RFC 3263 5: a response whose connection is gone goes where its Via stands for. Not for strangers:
    /// they do not choose whom the node connects to.
    pub(super) fn redirect(&self, bytes: Bytes, ctx: &mut Context<Self>) {
        let Some(sender) = Sender::of(&bytes) else { return };
        if !self.gate.trusts_address(sender.source) {
            return;
        }
        let (resolver, me) = (self.shared.resolver.clone(), ctx.address());
        ctx.spawn(async move { resolver.locate(sender.target).await }.into_actor(self).map(
            move |found, _, _| {
                me.do_send(Redirect { bytes, places: places(found).into() });
            },
        ));
    }
}

impl Handler<Redirect> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, mut redirect: Redirect, ctx: &mut Self::Context) {
        let Some(place) = redirect.places.pop_front() else { return };
        tracing::debug!(peer = %place.addr, transport = %place.transport, "response sent by another way");
        let (me, places) = (ctx.address(), redirect.places);
        let sender = self.transport.sender(move |failed| {
            me.do_send(Redirect { bytes: failed.bytes, places: places.clone() });
        });
        let to = Destination {
            upgrade: false,
            domain: place.domain,
            ..Destination::new(place.transport, place.addr)
        };
        sender.send(&to, redirect.bytes, TransmitId::Stateless);
    }
}
