//! SipEndpoint: all SIP transactions of one shard, and who owns which dialog.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Recipient, WrapFuture};
use restante::focus::rejection::Rejection;
use restante::machine::sip::{
    ClientTxn, Destination, Endpoint, EndpointConfig, EndpointEvent, FailureCause, Flow, ServerTxn,
};
use restante::wire::sip::{Message as SipMessage, Method, Request, Response, StatusCode};
use rustc_hash::FxHashMap;
use tokio::sync::OwnedSemaphorePermit;

use crate::alarm::Alarm;
use crate::chance::Chance;
use crate::clock;
use crate::gate::{Caller, Gate, Party};
use crate::link::{Resolver, SipReceived, SipSender, SipTransport, TransportFailed};
use crate::ports::{Adopt, DialogInput, Forget, Respond, SendRequest};
use crate::refusals;

/// A request outside of every dialog of this shard: for the Shard to place.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Arrived {
    /// Its transaction.
    pub txn: ServerTxn,
    /// The request.
    pub request: Box<Request>,
    /// Where it came from.
    pub flow: Flow,
    /// Who sent it.
    pub caller: Caller,
}

/// The owner of a dialog, and who is let into it.
struct Held {
    user: Recipient<DialogInput>,
    party: Party,
}

/// The actor.
pub struct SipEndpoint {
    machine: Endpoint,
    transport: SipTransport,
    sender: Option<SipSender>,
    resolver: Resolver,
    shard: Recipient<Arrived>,
    shard_tag: String,
    gate: Arc<Gate>,
    dialogs: FxHashMap<Vec<u8>, Held>,
    invites: FxHashMap<ServerTxn, Recipient<DialogInput>>,
    clients: FxHashMap<ClientTxn, (Recipient<DialogInput>, u64)>,
    permits: FxHashMap<ServerTxn, OwnedSemaphorePermit>,
    arriving: Option<OwnedSemaphorePermit>,
    alarm: Alarm,
}

impl SipEndpoint {
    /// The endpoint of a shard. `shard_tag` begins every tag that is minted here.
    #[must_use]
    pub fn new(
        config: EndpointConfig,
        transport: SipTransport,
        resolver: Resolver,
        gate: Arc<Gate>,
        shard: Recipient<Arrived>,
        shard_tag: String,
    ) -> Self {
        Self {
            machine: Endpoint::new(config, &mut Chance),
            transport,
            sender: None,
            resolver,
            shard,
            shard_tag,
            gate,
            dialogs: FxHashMap::default(),
            invites: FxHashMap::default(),
            clients: FxHashMap::default(),
            permits: FxHashMap::default(),
            arriving: None,
            alarm: Alarm::default(),
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(event) = self.machine.poll_event() {
            self.event(event);
        }
        if let Some(sender) = &self.sender {
            while let Some(transmit) = self.machine.poll_transmit() {
                sender.send(&transmit.to, transmit.bytes, transmit.id);
            }
        }
        self.alarm.arm(ctx, self.machine.poll_timeout(), Self::ring);
    }

    fn event(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::Request { txn, request, flow } => self.place(txn, request, flow),
            EndpointEvent::Ack { request, .. } => {
                if let Some(user) = self.owner(&request) {
                    user.do_send(DialogInput::Ack(Box::new(request)));
                }
            }
            EndpointEvent::Cancelled { txn } => match self.invites.get(&txn) {
                Some(user) => user.do_send(DialogInput::Cancelled(txn)),
                None => tracing::debug!(?txn, "CANCEL for an INVITE that is being placed or answered"),
            },
            EndpointEvent::Response { txn, response, .. } => self.response(txn, response),
            EndpointEvent::Failed { txn, cause } => {
                if let Some((user, ticket)) = self.clients.remove(&txn) {
                    user.do_send(DialogInput::Failed { ticket, cause });
                }
            }
            EndpointEvent::Ended { txn, .. } => {
                self.invites.remove(&txn);
                self.permits.remove(&txn);
            }
        }
    }

    fn response(&mut self, txn: ClientTxn, response: Response) {
        let is_final = response.status.is_final();
        if let Some((user, ticket)) = self.clients.get(&txn) {
            user.do_send(DialogInput::Response { ticket: *ticket, response: Box::new(response) });
        }
        if is_final {
            self.clients.remove(&txn);
        }
    }

    /// Gives a request to the owner of its dialog, or to the shard.
    fn place(&mut self, txn: ServerTxn, request: Request, flow: Flow) {
        let Some(tag) = request.headers.to_tag() else { return self.admit(txn, request, flow) };
        let Some(held) = self.dialogs.get_mut(tag.as_ref()) else {
            // RFC 3261 12.2.2: a request of an unknown dialog is answered 481; ACK never.
            if request.method != Method::Ack {
                let response = request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
                self.machine.respond(clock::now(), txn, response);
            }
            return;
        };
        match self.gate.party(&mut held.party, &request, &flow) {
            Ok(()) => held.user.do_send(DialogInput::Request { txn, request: Box::new(request), flow }),
            Err(rejection) => self.turn_away(txn, &request, &flow, &rejection),
        }
    }

    /// Gives a request that belongs to no dialog to the shard, once it is known who sent it.
    fn admit(&mut self, txn: ServerTxn, request: Request, flow: Flow) {
        match self.gate.caller(&request, &flow) {
            Ok(caller) => {
                if let Some(permit) = self.arriving.take() {
                    self.permits.insert(txn, permit);
                }
                self.shard.do_send(Arrived { txn, request: Box::new(request), flow, caller });
            }
            Err(rejection) => self.turn_away(txn, &request, &flow, &rejection),
        }
    }

    /// Refuses a request at the gate. Nothing is kept for a peer that is not trusted: its repetition is
    /// judged anew.
    fn turn_away(&mut self, txn: ServerTxn, request: &Request, flow: &Flow, rejection: &Rejection) {
        refusals::count(rejection.status);
        tracing::debug!(peer = %flow.peer, method = %request.method, status = rejection.status.0, "not let in");
        let response = rejection.response(request);
        if self.gate.trusts(flow) {
            self.machine.respond(clock::now(), txn, response);
        } else {
            self.machine.respond_and_forget(txn, response);
        }
    }

    fn owner(&self, request: &Request) -> Option<&Recipient<DialogInput>> {
        let tag = request.headers.to_tag()?;
        self.dialogs.get(tag.as_ref()).map(|held| &held.user)
    }

    fn send(&mut self, send: SendRequest, to: Destination) {
        let txn = self.machine.request(clock::now(), *send.request, to, &mut Chance);
        self.clients.insert(txn, (send.user, send.ticket));
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        self.machine.handle_timeout(clock::now());
        self.drain(ctx);
    }
}

impl Actor for SipEndpoint {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1024);
        let me: Addr<Self> = ctx.address();
        self.sender = Some(self.transport.sender(move |failed| me.do_send(failed)));
    }
}

impl Handler<SipReceived> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, received: SipReceived, ctx: &mut Self::Context) {
        let now = clock::now();
        self.arriving = received.permit;
        match received.message {
            Ok(SipMessage::Request(request)) => self.machine.handle_request(now, request, received.flow),
            Ok(SipMessage::Response(response)) => self.machine.handle_response(now, response, received.flow),
            Err(_) => {}
        }
        self.drain(ctx);
        self.arriving = None;
    }
}

impl Handler<TransportFailed> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, failed: TransportFailed, ctx: &mut Self::Context) {
        self.machine.handle_transport_error(clock::now(), failed.id);
        self.drain(ctx);
    }
}

impl Handler<Respond> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, respond: Respond, ctx: &mut Self::Context) {
        let mut response = *respond.response;
        if response.status.is_final() {
            self.permits.remove(&respond.txn);
            self.invites.remove(&respond.txn);
        }
        if response.status != StatusCode::TRYING {
            // RFC 3261 8.2.6.2: a tag; it begins with the shard, so that the ACK finds its way.
            let tag = restante::entropy::Entropy::token(&mut Chance, 18);
            response.set_to_tag(&format!("{}{tag}", self.shard_tag));
        }
        if !self.machine.respond(clock::now(), respond.txn, response) {
            tracing::debug!(txn = ?respond.txn, "response without a transaction");
        }
        self.drain(ctx);
    }
}

impl Handler<SendRequest> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, send: SendRequest, ctx: &mut Self::Context) {
        let resolving = self.resolver.sip(send.next_hop.clone());
        ctx.spawn(resolving.into_actor(self).map(move |resolved, endpoint, ctx| {
            // The connection on which the dialog was made is used while it lives (RFC 5923 in spirit),
            // also where the next hop's name leads nowhere.
            let flow = send.flow.filter(|flow| flow.transport.is_reliable());
            match (resolved, flow) {
                (_, Some(flow)) => endpoint.send(send, Destination::back(flow)),
                (Ok(mut to), None) => {
                    to.flow = send.flow.filter(|flow| flow.transport == to.transport);
                    endpoint.send(send, to);
                }
                (Err(error), None) => {
                    tracing::warn!(%error, "request not sent: its next hop cannot be resolved");
                    send.user
                        .do_send(DialogInput::Failed { ticket: send.ticket, cause: FailureCause::Transport });
                }
            }
            endpoint.drain(ctx);
        }));
    }
}

impl Handler<Adopt> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, adopt: Adopt, _: &mut Self::Context) {
        if let Some(txn) = adopt.txn {
            self.invites.insert(txn, adopt.user.clone());
        }
        self.dialogs.insert(adopt.tag.into_bytes(), Held { user: adopt.user, party: adopt.party });
    }
}

impl Handler<Forget> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, forget: Forget, _: &mut Self::Context) {
        self.dialogs.remove(forget.tag.as_bytes());
    }
}

/// The node stops: every dialog's owner is told.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct DrainDialogs;

impl Handler<DrainDialogs> for SipEndpoint {
    type Result = usize;
    fn handle(&mut self, _: DrainDialogs, _: &mut Self::Context) -> usize {
        for held in self.dialogs.values() {
            held.user.do_send(DialogInput::Drain);
        }
        self.dialogs.len()
    }
}
