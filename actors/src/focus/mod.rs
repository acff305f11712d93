//! Focus: one retrieval. It accepts the INVITE, spawns one VirtualUa per stored-message URI, relays
//! what they replay into the client's one MSRP session, keeps the conference state and says BYE.

mod leaving;
mod marking;
mod relay;
mod selection;

use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use restante::focus::delivery::{self, ClientLimits};
use restante::focus::recipient_list::InviteBody;
use restante::focus::rejection::Rejection;
use restante::focus::retrieval::{Event, Failure, Retrieval};
use restante::machine::offer_answer::Negotiated;
use restante::machine::sip::InviteSession;
use restante::store::{Item, Owner};
use restante::time::Instant;

use crate::alarm::Alarm;
use crate::clock;
use crate::conference::ConferenceSubscribers;
use crate::dialog_port::DialogPort;
use crate::fault;
use crate::meters;
use crate::party::{Agreed, Party, PartyEvent};
use crate::ports::DialogInput;
use crate::refusals::store_failed;
use crate::seldom::seldom;
use crate::session::{SessionInput, SessionReport};
use crate::shard::Seat;
use crate::shared::Shared;
use crate::supervision::{self, Exited, Obituary};
use crate::turn::Turn;
use crate::virtual_ua::Replayed;

use leaving::Leaving;
use relay::{Nursery, Relay};
use selection::{Found, Missing};

pub use relay::CREDIT;
pub use selection::Selection;

/// Everything a focus is born with.
pub struct FocusBirth {
    /// The node's common ground.
    pub shared: Arc<Shared>,
    /// The way to the Endpoint, with the dialog's tag.
    pub port: DialogPort,
    /// The dialog, before its final response.
    pub invite: InviteSession,
    /// What he wants.
    pub selection: Selection,
    /// The body of the INVITE.
    pub body: InviteBody,
    /// The Request-URI as it came.
    pub uri: String,
    /// Its place among the retrievals of its owner.
    pub seat: Seat,
    /// Who is told of the end.
    pub exited: Arc<actix::Recipient<Exited>>,
}

/// The INVITE, as far as it is needed until it is answered: a session that waits for hours must not
/// hold what it came in.
struct Asking {
    selection: Selection,
    body: InviteBody,
    uri: String,
}

/// The actor.
pub struct Focus {
    shared: Arc<Shared>,
    asking: Option<Box<Asking>>,
    party: Party,
    retrieval: Retrieval,
    relay: Relay,
    conference: Box<ConferenceSubscribers>,
    alarm: Alarm,
    turn: Turn,
    /// The wait for acknowledgements when the client leaves, or is asked to.
    leaving: Option<Box<Leaving>>,
    /// Until all is over.
    seat: Option<Seat>,
    span: tracing::Span,
    _obituary: Obituary,
}

impl Focus {
    /// A focus that begins to work when it is started.
    #[must_use]
    pub fn new(birth: FocusBirth) -> Self {
        let span = tracing::info_span!(
            "retrieval",
            call_id = %String::from_utf8_lossy(birth.invite.dialog().call_id()),
            mailbox = birth.shared.redacted(birth.port.peer()),
        );
        let exited = Exited::focus(birth.port.peer().clone(), Arc::clone(birth.port.tag()));
        Self {
            conference: Box::new(ConferenceSubscribers::new(birth.shared.config.summary.max_body.as_usize())),
            party: Party::new(Arc::clone(&birth.shared), birth.port, birth.invite),
            shared: birth.shared,
            asking: Some(Box::new(Asking { selection: birth.selection, body: birth.body, uri: birth.uri })),
            retrieval: Retrieval::new(Vec::new()),
            relay: Relay::new(0),
            alarm: Alarm::default(),
            turn: Turn::default(),
            leaving: None,
            seat: Some(birth.seat),
            span,
            _obituary: Obituary::new(birth.exited, exited),
        }
    }

    // ---- accepting ----

    fn find(&mut self, ctx: &mut Context<Self>) {
        let Some(asking) = self.asking.take() else { return };
        let Asking { selection, body, uri } = *asking;
        let finding = selection.find(Arc::clone(&self.shared), self.owner().clone(), uri);
        ctx.spawn(finding.into_actor(self).map(move |found, focus, ctx| {
            let answered = found.map_err(|missing| focus.missing(&missing)).and_then(|found| {
                focus.accept(found, &body, ctx).inspect_err(|rejection| focus.refused(rejection))
            });
            if let Err(rejection) = answered {
                focus.party.refuse(&rejection);
            }
            focus.drain(ctx);
        }));
    }

    fn missing(&self, missing: &Missing) -> Rejection {
        let rejection = missing.rejection(self.shared.agent());
        match missing {
            Missing::Store(error) => {
                store_failed!(error, parent: &self.span, %error, status = rejection.status.0, "retrieval refused: the store failed");
            }
            Missing::Unknown | Missing::NoneNew => self.refused(&rejection),
        }
        rejection
    }

    fn refused(&self, rejection: &Rejection) {
        seldom!(info, parent: &self.span, status = rejection.status.0, reason = rejection.said(), "retrieval refused");
    }

    fn accept(&mut self, found: Found, body: &InviteBody, ctx: &Context<Self>) -> Result<(), Rejection> {
        fault::strike("focus.find", self.call_id());
        let fits = |negotiated: &Negotiated| {
            let client = ClientLimits {
                accepts: negotiated.remote_accepts.clone(),
                max_size: negotiated.remote_max_size,
            };
            negotiated.direction.sends() && found.only.as_ref().is_none_or(|item| takes(item, &client))
        };
        let me = ctx.address().recipient();
        let agreed = self.party.accept(clock::now(), body.sdp.as_ref(), None, fits, &me)?;
        self.retrieval = Retrieval::new(found.list);
        self.relay = Relay::new(self.retrieval.entries().len());
        tracing::info!(parent: &self.span, items = self.retrieval.entries().len(), "retrieval accepted");
        if let Some(agreed) = agreed {
            self.agreed(agreed);
        }
        for participant in found.unknown {
            self.fail(participant, Failure::NotFound);
        }
        Ok(())
    }

    /// An exchange of descriptions is complete: what the client takes is known, or known anew.
    fn agreed(&mut self, agreed: Agreed) {
        let held = !agreed.direction.sends();
        if held != self.relay.is_held() {
            seldom!(info, parent: &self.span, held, "retrieval held or resumed by the client");
        }
        self.relay.agree(agreed.client, held);
        if agreed.moved {
            self.moved();
        }
    }

    fn moved(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let unfinished = self.retrieval.restart();
        seldom!(info, parent: &self.span, unfinished = unfinished.len(), "the client's session has another connection; what was not acknowledged is sent again");
        self.relay.restart(&unfinished);
    }

    // ---- what the client says ----

    /// Takes what the MSRP session has to tell.
    fn hear(&mut self, now: Instant) {
        while let Some(report) = self.party.poll_report(now) {
            if let Some(leaving) = &mut self.leaving {
                leaving.heard();
            }
            match report {
                SessionReport::Bound => fault::strike("focus.bound", self.call_id()),
                SessionReport::Credit(pieces) => self.relay.credit(pieces),
                SessionReport::Delivered(places) => {
                    for (participant, message) in places {
                        self.retrieval.acknowledged(participant, message);
                    }
                }
                SessionReport::Refused(participant, status) => {
                    self.fail(participant, Failure::Refused(status));
                }
                SessionReport::Lost(cause) => {
                    seldom!(info, parent: &self.span, cause, "the client's connection is lost: it may open another");
                }
                SessionReport::Rejoined => self.moved(),
                SessionReport::Ended(cause) => self.broken(cause),
                // The session takes no content from the client.
                SessionReport::Started { .. }
                | SessionReport::Described { .. }
                | SessionReport::Data { .. }
                | SessionReport::Complete { .. }
                | SessionReport::Dropped { .. } => {}
            }
        }
    }

    // ---- relaying ----

    fn pump(&mut self, now: Instant, ctx: &Context<Self>) {
        // First: what has failed behind a piece that is relayed gives its credit back to be granted.
        self.relay.forward(&mut self.retrieval, self.party.session());
        self.party.flush();
        // What has left gives its credit back, too.
        self.hear(now);
        if self.party.is_bound() {
            let window = self.shared.config.retrieval.window.as_usize();
            let owner = self.party.port().peer();
            let nursery = Nursery { owner, shared: &self.shared, window, focus: ctx };
            self.relay.grant(&self.retrieval, &nursery, self.party.tap());
        }
    }

    fn fail(&mut self, participant: usize, failure: Failure) {
        self.relay.leave(participant, self.party.session().0);
        let (cause, status) = (failure.text(), failure.status());
        if self.retrieval.failed(participant, failure) {
            let message_id = self.retrieval.entries().get(participant).and_then(|it| it.message_id.as_ref());
            let message_id = message_id.map(tracing::field::debug);
            seldom!(info, parent: &self.span, participant, message_id, cause, status, "not delivered");
        }
    }

    /// The client is gone, or the node stops: nothing more can be delivered.
    fn broken(&mut self, cause: &str) {
        if !self.retrieval.is_finished() {
            seldom!(warn, parent: &self.span, cause, delivered = self.retrieval.delivered(), "retrieval broken off; what was not acknowledged stays new");
        }
        self.relay.end();
        self.retrieval.broken();
    }

    // ---- the turn of the wheel ----

    fn drain(&mut self, ctx: &mut Context<Self>) {
        self.turn.ended();
        let now = clock::now();
        self.hear(now);
        while let Some(event) = self.party.poll_event(now) {
            match event {
                PartyEvent::Agreed(agreed) => self.agreed(agreed),
                PartyEvent::Unusable(cause) => self.broken(cause),
                // The owner retrieves here, and deposits nothing.
                PartyEvent::Message { txn, request } => {
                    let refusal = Rejection::method_not_allowed(&request.method);
                    self.party.respond(txn, refusal.response(&request));
                }
                PartyEvent::Ended(by) => self.left(now, by),
            }
        }
        self.pump(now, ctx);
        if self.relay.is_ready() && self.party.session().0.is_some_and(|session| session.may_go_on()) {
            // Those with whom he shares the connection come in between.
            self.turn.go_on_with(ctx, |focus, ctx| {
                // What else had him drain has done it already.
                if focus.turn.is_due() {
                    focus.drain(ctx);
                }
            });
        }
        self.look(now);
        let mut delivered = Vec::new();
        while let Some(event) = self.retrieval.poll_event() {
            match event {
                Event::MarkRetrieved(participant, id) => delivered.push((participant, id)),
                Event::Changed(participant) => self.conference.changed(now, participant),
                Event::Finished => self.finish(),
            }
        }
        self.mark_all(delivered, ctx);
        if self.is_over() {
            // Who has his BYE answered may come again at once, to whatever shard.
            self.seat = None;
        }
        if !self.is_awaited(now) {
            self.party.send();
        }
        self.conference.drain(now, self.retrieval.entries(), self.party.port());
        if self.is_over() {
            ctx.stop();
            return;
        }
        let leaving = self.leaving.as_ref().and_then(|leaving| leaving.poll_timeout(now));
        let next =
            self.party.poll_timeout().into_iter().chain(self.conference.poll_timeout()).chain(leaving).min();
        self.alarm.arm(ctx, next, Self::ring);
    }

    fn finish(&mut self) {
        self.conference.end(clock::now());
        meters::retrieval_ended(self.retrieval.entries());
        if !self.party.is_over() {
            tracing::info!(parent: &self.span, delivered = self.retrieval.delivered(), of = self.retrieval.entries().len(), "retrieval ended");
        }
        self.party.bye(None);
        // RFC 3261 15.1.1: the session is over as soon as the BYE is sent, whether it is answered or not.
        self.party.close();
    }

    /// Whether nothing more is to be done.
    fn is_over(&self) -> bool {
        self.party.has_ended() && self.retrieval.is_finished() && self.conference.is_over()
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        let now = clock::now();
        // What has come may have come in time.
        self.hear(now);
        if self.party.ring(now) {
            self.broken("nothing came from the client in time");
        }
        self.drain(ctx);
    }

    fn call_id(&self) -> &[u8] {
        self.party.call_id()
    }

    /// The caller, whose mailbox it is.
    fn owner(&self) -> &Owner {
        self.party.port().peer()
    }
}

fn takes(item: &Item, client: &ClientLimits) -> bool {
    item.messages.iter().all(|message| delivery::is_presentable(&item.head, message, client))
}

/// Also where the focus has failed, its subscribers are told that it is over, and nothing of it is left at
/// the Endpoint; the party sees to its own dialog.
impl Drop for Focus {
    fn drop(&mut self) {
        if supervision::has_failed() {
            tracing::error!(parent: &self.span, delivered = self.retrieval.delivered(), of = self.retrieval.entries().len(), "the focus has failed: the client gets a BYE or 500; what was not acknowledged stays new");
            self.conference.fail(clock::now());
            self.conference.drain(clock::now(), self.retrieval.entries(), self.party.port());
        }
        self.conference.forget(self.party.port());
    }
}

impl Actor for Focus {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.party.adopt(ctx.address().recipient());
        self.find(ctx);
    }
}

impl Handler<Replayed> for Focus {
    type Result = ();
    fn handle(&mut self, replayed: Replayed, ctx: &mut Self::Context) {
        if self.relay.expects(&replayed) {
            match replayed.outcome {
                Ok(piece) => {
                    self.retrieval.opened(replayed.participant);
                    relay::note_replayed(self.party.tap(), replayed.participant, &piece);
                    self.relay.take(replayed.participant, piece);
                }
                Err(failure) => self.fail(replayed.participant, failure),
            }
        }
        self.turn.end_with(ctx, Self::drain);
    }
}

impl Handler<SessionInput> for Focus {
    type Result = ();
    fn handle(&mut self, input: SessionInput, ctx: &mut Self::Context) {
        self.party.handle_session(input);
        self.turn.end_with(ctx, Self::drain);
    }
}

impl Handler<DialogInput> for Focus {
    type Result = ();
    fn handle(&mut self, input: DialogInput, ctx: &mut Self::Context) {
        match input {
            DialogInput::Drain => self.stop(clock::now()),
            input => {
                if let Some(input) = self.conference.handle(clock::now(), input, &self.party) {
                    self.party.handle(input);
                }
            }
        }
        self.drain(ctx);
    }
}
