//! SipEndpoint: all SIP transactions of one shard, and who owns which dialog.

mod asking;
mod redirect;
mod room;
mod watch;

use actix::{Actor, Addr, Context, Handler, Message, Recipient};
use bytes::Bytes;
use restante::focus::rejection::Rejection;
use restante::machine::sip::{
    ClientTxn, Endpoint, EndpointConfig, EndpointEvent, FailedPlaces, FailureCause, Flow, Outcome, Pacing,
    ServerTxn, Terms, TransmitId,
};
use restante::wire::sip::{
    HeaderName, Headers, Message as SipMessage, Method, Request, Response, StatusCode,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

use crate::admission::{Admission, Admitted};
use crate::alarm::Alarm;
use crate::chance::Chance;
use crate::clock;
use crate::fault;
use crate::gate::{Caller, Gate, Guest};
use crate::link::{SipReceived, SipSender, SipTransport, TransportFailed};
use crate::ports::{Adopt, Asked, DialogInput, DialogUser, Forget, Respond, ToEndpoint};
use crate::refusals;
use crate::shared::Shared;
use crate::supervision::Vital;

use asking::Asking;
use room::Waiting;
use watch::Watched;

pub use room::LinkRoomy;
pub use watch::LinkClosed;

/// How many places are remembered that failed.
const MOST_FAILED: usize = 1024;

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
    user: DialogUser,
    guest: Guest,
}

/// An INVITE that opens a dialog and is not answered yet.
#[derive(Default)]
struct Invited {
    /// Who answers it, once he is known.
    user: Option<DialogUser>,
    /// A CANCEL for it was answered 200: no 2xx is sent any more (RFC 3261 9.2).
    cancelled: bool,
}

/// What a request passes before it is served.
pub struct Entrance {
    /// Who gets in.
    pub gate: Arc<Gate>,
    /// How many.
    pub admission: Admission,
}

/// The actor.
pub struct SipEndpoint {
    me: ToEndpoint,
    machine: Endpoint,
    transport: SipTransport,
    sender: Option<SipSender>,
    shared: Arc<Shared>,
    shard: Recipient<Arrived>,
    gate: Arc<Gate>,
    /// Boxed: the table keeps room for more than there are.
    dialogs: FxHashMap<Box<[u8]>, Box<Held>>,
    invites: FxHashMap<ServerTxn, Invited>,
    clients: FxHashMap<ClientTxn, Asking>,
    failed_places: FailedPlaces,
    /// Whose NOTIFYs wait for room.
    pacing: Pacing<Waiting>,
    watched: Watched,
    admission: Admission,
    admitted: FxHashMap<ServerTxn, Admitted>,
    arriving: Option<Admitted>,
    /// The node stops: no new work is taken.
    closing: bool,
    alarm: Alarm,
    _vital: Vital,
}

impl SipEndpoint {
    /// The endpoint of a shard. `config.prefix` names the shard: it begins every tag that is minted here.
    #[must_use]
    pub fn new(
        me: Addr<Self>,
        config: EndpointConfig,
        transport: SipTransport,
        shared: Arc<Shared>,
        entrance: Entrance,
        shard: Recipient<Arrived>,
        vital: Vital,
    ) -> Self {
        let Entrance { gate, admission } = entrance;
        let failed_places = FailedPlaces::new(shared.config.sip.avoid_failed, MOST_FAILED);
        let pacing = Pacing::new(config.timers.give_up());
        Self {
            me: ToEndpoint::new(me),
            machine: Endpoint::new(config, &mut Chance),
            transport,
            sender: None,
            shared,
            shard,
            gate,
            dialogs: FxHashMap::default(),
            invites: FxHashMap::default(),
            clients: FxHashMap::default(),
            failed_places,
            pacing,
            watched: Watched::default(),
            admission,
            admitted: FxHashMap::default(),
            arriving: None,
            closing: false,
            alarm: Alarm::default(),
            _vital: vital,
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(event) = self.machine.poll_event() {
            self.event(event, ctx);
        }
        if let Some(sender) = &self.sender {
            while let Some(transmit) = self.machine.poll_transmit() {
                self.shared.records.sent(transmit.to.addr, &transmit.bytes);
                sender.send(&transmit.to, transmit.bytes, transmit.id);
            }
        }
        self.drain_pacing();
        let timeouts = [self.machine.poll_timeout(), self.pacing.poll_timeout()];
        self.alarm.arm(ctx, timeouts.into_iter().flatten().min(), Self::ring);
    }

    fn event(&mut self, event: EndpointEvent, ctx: &mut Context<Self>) {
        match event {
            EndpointEvent::Request { txn, request, flow } => self.place(txn, request, flow),
            EndpointEvent::Ack { request, flow } => self.acknowledge(request, &flow),
            EndpointEvent::Cancelled { txn } => self.cancel(txn),
            EndpointEvent::Response { txn, response, .. } => self.response(txn, response, ctx),
            EndpointEvent::Failed { txn, cause } => self.outcome(txn, Outcome::Failed(cause), ctx),
            EndpointEvent::Ended { txn, cause: FailureCause::Timeout } => self.give_up(txn),
            // Whoever repeats his request gets what could not be sent, and what is not answered yet is still in work.
            EndpointEvent::Ended { cause: FailureCause::Transport | FailureCause::Unresolved, .. } => {}
        }
    }

    /// Gives a request to the owner of its dialog, or to the shard.
    fn place(&mut self, txn: ServerTxn, request: Request, flow: Flow) {
        if let Ok(call_id) = request.headers.call_id() {
            fault::strike("endpoint.place", &call_id);
        }
        let Some(tag) = request.headers.to_tag() else { return self.admit(txn, request, flow) };
        let Some(held) = self.dialogs.get_mut(tag.as_ref()) else { return self.stray(txn, &request, &flow) };
        match self.gate.guest(&mut held.guest, &request, &flow) {
            Ok(()) => {
                let asked = Asked::new(Arc::clone(&self.me), txn, Box::new(request), flow);
                held.user.do_send(DialogInput::Request(asked));
            }
            Err(rejection) => self.turn_away(txn, &request, &flow, &rejection),
        }
    }

    /// Answers a request of an unknown dialog.
    fn stray(&mut self, txn: ServerTxn, request: &Request, flow: &Flow) {
        // RFC 3261 12.2.2: 481; ACK never.
        let rejection = match request.method {
            Method::Ack => return,
            // The next run of the node goes on with subscriptions.
            Method::Subscribe if self.closing => Rejection::unavailable_for_now(),
            _ => Rejection::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        };
        self.turn_away(txn, request, flow, &rejection);
    }

    /// Gives a request that belongs to no dialog to the shard, once it is known who sent it.
    fn admit(&mut self, txn: ServerTxn, request: Request, flow: Flow) {
        // Here and not before: the repetition of a request that is in work belongs to its transaction.
        if self.closing {
            let response = Rejection::unavailable_for_now().response(&request);
            self.machine.respond(clock::now(), txn, response);
            return;
        }
        match self.gate.caller(&request, &flow) {
            Ok(caller) => {
                if let Some(admitted) = self.arriving.take() {
                    self.admitted.insert(txn, admitted);
                }
                if request.method == Method::Invite {
                    self.invites.insert(txn, Invited::default());
                }
                self.shard.do_send(Arrived { txn, request: Box::new(request), flow, caller });
            }
            Err(rejection) => self.turn_away(txn, &request, &flow, &rejection),
        }
    }

    /// Refuses a request. Nothing is kept for a peer that is not trusted: its repetition is
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

    /// Tells whoever answers an INVITE that it was cancelled; one who is not known yet is told when he is.
    fn cancel(&mut self, txn: ServerTxn) {
        let Some(invited) = self.invites.get_mut(&txn) else {
            tracing::debug!(?txn, "CANCEL for an INVITE that is being answered");
            return;
        };
        invited.cancelled = true;
        if let Some(user) = &invited.user {
            user.do_send(DialogInput::Cancelled(txn));
        }
    }

    /// Tells whoever has not answered an INVITE in time.
    fn give_up(&mut self, txn: ServerTxn) {
        self.admitted.remove(&txn);
        if let Some(user) = self.invites.remove(&txn).and_then(|invited| invited.user) {
            user.do_send(DialogInput::GivenUp(txn));
        }
    }

    /// Gives the ACK to a 2xx to the owner of its dialog.
    fn acknowledge(&self, ack: Request, flow: &Flow) {
        let Some(held) = ack.headers.to_tag().and_then(|tag| self.dialogs.get(tag.as_ref())) else { return };
        if self.gate.acknowledges(&held.guest, &ack, flow) {
            held.user.do_send(DialogInput::Ack(Box::new(ack)));
        } else {
            tracing::debug!(peer = %flow.peer, "ACK of somebody else dropped");
        }
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        self.machine.handle_timeout(clock::now());
        self.ring_pacing();
        self.drain(ctx);
    }
}

/// The 487 that takes the place of an answer to an INVITE.
fn terminated(answer: Response) -> Response {
    const COPIED: [HeaderName; 5] =
        [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
    let mut headers = Headers::new();
    for header in answer.headers.iter().filter(|header| COPIED.contains(&header.name)) {
        headers.push(header.name.clone(), header.value.clone());
    }
    let status = StatusCode::REQUEST_TERMINATED;
    Response { status, reason: status.reason().into(), headers, body: Bytes::new() }
}

/// Whether a request asks for something new: outside of dialogs, and nothing that ends what is going on.
fn begins_work(request: &Request) -> bool {
    !matches!(request.method, Method::Ack | Method::Cancel) && !request.headers.has_to_tag()
}

impl Actor for SipEndpoint {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1024);
        let me = Arc::clone(&self.me);
        self.sender = Some(self.transport.sender(move |failed| me.do_send(failed)));
    }
}

impl Handler<SipReceived> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, received: SipReceived, ctx: &mut Self::Context) {
        let now = clock::now();
        // The message is taken: the next one has room.
        drop(received.permit);
        match received.message {
            Ok(SipMessage::Request(request)) => {
                let begins = begins_work(&request);
                if begins {
                    self.arriving = self.admission.admit(now, received.since, &request.method);
                }
                let refusing = begins && self.arriving.is_none();
                let terms = Terms { refusing, trusted: self.gate.trusts(&received.flow) };
                self.machine.handle_request_on(now, request, received.flow, terms);
            }
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
        if matches!(failed.id, TransmitId::Server(_)) {
            self.redirect(failed.bytes, ctx);
        }
        self.drain(ctx);
    }
}

impl Handler<Respond> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, respond: Respond, ctx: &mut Self::Context) {
        let mut response = *respond.response;
        if response.status.is_final() {
            // What is refused may have been refused at once: that says nothing of how long work takes.
            let done = response.status.is_success() || response.status == StatusCode::SERVICE_UNAVAILABLE;
            if let Some(admitted) = self.admitted.remove(&respond.txn).filter(|_| done) {
                admitted.served(clock::now());
            }
            let invited = self.invites.remove(&respond.txn);
            if response.status.is_success() && invited.is_some_and(|invited| invited.cancelled) {
                // Its CANCEL and this answer have crossed: its user has been told, or is about to be.
                response = terminated(response);
            }
        }
        if !self.machine.respond(clock::now(), respond.txn, response) {
            tracing::debug!(txn = ?respond.txn, "response without a transaction");
        }
        self.drain(ctx);
    }
}

impl Handler<Adopt> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, adopt: Adopt, _: &mut Self::Context) {
        if let Some(txn) = adopt.txn
            && let Some(invited) = self.invites.get_mut(&txn)
        {
            if invited.cancelled {
                adopt.user.do_send(DialogInput::Cancelled(txn));
            }
            invited.user = Some(adopt.user.clone());
        }
        let held = Box::new(Held { user: adopt.user, guest: adopt.guest });
        self.dialogs.insert(adopt.tag.into_bytes().into_boxed_slice(), held);
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
        self.closing = true;
        for held in self.dialogs.values() {
            held.user.do_send(DialogInput::Drain);
        }
        self.dialogs.len()
    }
}

/// Asks what is there that should be gone when all is quiet.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "Vec<String>")]
pub(crate) struct Observe;

#[cfg(test)]
impl Handler<Observe> for SipEndpoint {
    type Result = Vec<String>;
    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Vec<String> {
        let counts = [
            ("dialogs", self.dialogs.len()),
            ("INVITEs in work", self.invites.len()),
            ("requests under way", self.clients.len()),
            ("requests in work", self.admitted.len()),
            ("server transactions", self.machine.server_transactions()),
            ("client transactions", self.machine.client_transactions()),
            ("SIP connections", self.transport.connections()),
            ("messages not taken", self.transport.waiting()),
            ("admissions", self.admission.in_work()),
            ("NOTIFYs that wait for room", self.pacing.waiting()),
        ];
        counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect()
    }
}
