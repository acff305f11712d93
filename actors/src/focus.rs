//! Focus: one retrieval. It accepts the INVITE, spawns one VirtualUa per stored-message URI, relays
//! what they replay into the client's one MSRP session, keeps the conference state and says BYE.

use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, WrapFuture};
use restante::focus::delivery::{self, ClientLimits};
use restante::focus::fan_out::FanOut;
use restante::focus::recipient_list::InviteBody;
use restante::focus::rejection::Rejection;
use restante::focus::retrieval::{Event, Failure, Retrieval};
use restante::machine::offer_answer::{self, LocalMedia, Negotiated};
use restante::machine::sip::{Body as SipBody, EndedBy, Flow, InviteSession, SessionEvent};
use restante::store::{After, Item, ItemState, ListQuery, MessageId, Owner, StoreError};
use restante::time::Instant;
use restante::wire::sdp::Direction;
use restante::wire::sip::StatusCode;

use crate::alarm::Alarm;
use crate::capabilities;
use crate::clock;
use crate::conference::ConferenceSubscribers;
use crate::dialog_port::{DialogPort, of_rejection};
use crate::ports::DialogInput;
use crate::refusals;
use crate::session::{Answered, Close, Deliver, MsrpSession, SessionReport};
use crate::shard::Exited;
use crate::shared::Shared;
use crate::virtual_ua::{Frame, Grant, HangUp, Piece, Replayed, VirtualUa};

/// Pieces under way between the store and the client's connection.
const CREDIT: usize = 16;

/// What is to be retrieved.
#[derive(Debug)]
pub enum Selection {
    /// The item that the Request-URI names.
    One(MessageId),
    /// The URIs of a recipient list, in order, each once.
    List(Vec<String>),
    /// All new items.
    All,
}

/// Everything a focus is born with.
pub struct FocusBirth {
    /// The node's common ground.
    pub shared: Arc<Shared>,
    /// The way to the Endpoint, with the dialog's tag.
    pub port: DialogPort,
    /// The dialog, before its final response.
    pub invite: InviteSession,
    /// Where the INVITE came from.
    pub flow: Flow,
    /// The caller and owner.
    pub owner: Owner,
    /// What he wants.
    pub selection: Selection,
    /// The body of the INVITE.
    pub body: InviteBody,
    /// The Request-URI as it came.
    pub uri: String,
    /// The focus' own URI, as in its Contact.
    pub entity: String,
    /// Who is told of the end.
    pub exited: actix::Recipient<Exited>,
}

/// The actor.
pub struct Focus {
    shared: Arc<Shared>,
    port: DialogPort,
    invite: InviteSession,
    flow: Flow,
    owner: Owner,
    selection: Option<Selection>,
    body: InviteBody,
    uri: String,
    exited: actix::Recipient<Exited>,
    retrieval: Retrieval,
    fan_out: FanOut<Piece>,
    agents: Vec<Option<Addr<VirtualUa>>>,
    session: Option<Addr<MsrpSession>>,
    local: Option<LocalMedia>,
    client: Option<Arc<ClientLimits>>,
    conference: ConferenceSubscribers,
    alarm: Alarm,
    deadline: Option<Instant>,
    dialog_over: bool,
    bound: bool,
    span: tracing::Span,
}

impl Focus {
    /// A focus that begins to work when it is started.
    #[must_use]
    pub fn new(birth: FocusBirth) -> Self {
        let span = tracing::info_span!(
            "retrieval",
            call_id = %String::from_utf8_lossy(birth.invite.dialog().call_id()),
            mailbox = birth.shared.redacted(&birth.owner),
        );
        Self {
            conference: ConferenceSubscribers::new(birth.entity),
            shared: birth.shared,
            port: birth.port,
            invite: birth.invite,
            flow: birth.flow,
            owner: birth.owner,
            selection: Some(birth.selection),
            body: birth.body,
            uri: birth.uri,
            exited: birth.exited,
            retrieval: Retrieval::new(Vec::new()),
            fan_out: FanOut::new(0, 0),
            agents: Vec::new(),
            session: None,
            local: None,
            client: None,
            alarm: Alarm::default(),
            deadline: None,
            dialog_over: false,
            bound: false,
            span,
        }
    }

    // ---- finding what is asked for ----

    fn find(&mut self, ctx: &mut Context<Self>) {
        let store = Arc::clone(&self.shared.store);
        let owner = self.owner.clone();
        match self.selection.take() {
            Some(Selection::One(id)) => {
                let opening = store.open(owner, id);
                ctx.spawn(opening.into_actor(self).map(|opened, focus, ctx| focus.found_one(opened, ctx)));
            }
            Some(Selection::List(uris)) => {
                let named: Vec<(String, Option<MessageId>)> = uris
                    .into_iter()
                    .map(|uri| {
                        let named = restante::focus::retrieval::named_item(&self.shared.realm, &uri);
                        (uri, named)
                    })
                    .collect();
                let finding = async move {
                    let mut list = Vec::with_capacity(named.len());
                    for (uri, id) in named {
                        let known = match &id {
                            Some(id) => store.head(owner.clone(), id.clone()).await?.is_some(),
                            None => false,
                        };
                        list.push((uri, id, known));
                    }
                    Ok::<_, StoreError>(list)
                };
                ctx.spawn(finding.into_actor(self).map(|found, focus, ctx| focus.found_list(found, ctx)));
            }
            Some(Selection::All) | None => {
                let query = ListQuery {
                    state: Some(ItemState::New),
                    after: None,
                    limit: self.shared.config.retrieval.max_list,
                };
                let listing = store.list(owner, query);
                ctx.spawn(listing.into_actor(self).map(|listed, focus, ctx| {
                    let found = listed.map(|items| {
                        let realm = &focus.shared.realm;
                        items
                            .into_iter()
                            .map(|item| {
                                (realm.message_uri(item.message_id.bytes()), Some(item.message_id), true)
                            })
                            .collect()
                    });
                    focus.found_list(found, ctx);
                }));
            }
        }
    }

    fn found_one(&mut self, opened: Result<Option<Item>, StoreError>, ctx: &mut Context<Self>) {
        match opened {
            Ok(Some(item)) => {
                let list = vec![(self.uri.clone(), Some(item.head.message_id.clone()), true)];
                self.prepare(list, Some(&item), ctx);
            }
            Ok(None) => self.refuse(&Rejection::not_found(), ctx),
            Err(error) => self.store_failed(&error, ctx),
        }
    }

    fn found_list(
        &mut self,
        found: Result<Vec<(String, Option<MessageId>, bool)>, StoreError>,
        ctx: &mut Context<Self>,
    ) {
        match found {
            Ok(list) if list.is_empty() => {
                let none = Rejection::new(StatusCode::TEMPORARILY_UNAVAILABLE).warning(
                    399,
                    self.shared.agent(),
                    "no new messages",
                );
                self.refuse(&none, ctx);
            }
            Ok(list) if list.iter().all(|(_, _, known)| !known) => self.refuse(&Rejection::not_found(), ctx),
            Ok(list) => self.prepare(list, None, ctx),
            Err(error) => self.store_failed(&error, ctx),
        }
    }

    fn store_failed(&mut self, error: &StoreError, ctx: &mut Context<Self>) {
        tracing::error!(parent: &self.span, %error, "retrieval refused: the store failed");
        self.refuse(&Rejection::unavailable(5), ctx);
    }

    // ---- accepting ----

    fn prepare(
        &mut self,
        list: Vec<(String, Option<MessageId>, bool)>,
        only: Option<&Item>,
        ctx: &mut Context<Self>,
    ) {
        let Some(uri) = self.shared.mint_msrp_uri(&self.flow) else {
            return self.refuse(&Rejection::unavailable(5), ctx);
        };
        let local = self.shared.local_media(uri, Direction::SendRecv, 0);
        let unknown: Vec<usize> =
            list.iter().enumerate().filter(|(_, (_, _, known))| !known).map(|(at, _)| at).collect();
        let answer = match &self.body.sdp {
            Some(offer) => match offer_answer::answer(offer, &local) {
                Ok((sdp, negotiated)) => {
                    let client = ClientLimits {
                        accepts: negotiated.remote_accepts.clone(),
                        max_size: negotiated.remote_max_size,
                    };
                    let takes = |item: &Item| {
                        item.messages
                            .iter()
                            .all(|message| delivery::present(&item.head, message, &client).is_some())
                    };
                    if !negotiated.direction.sends() || only.is_some_and(|item| !takes(item)) {
                        let unacceptable = Rejection::new(StatusCode::NOT_ACCEPTABLE_HERE).warning(
                            304,
                            self.shared.agent(),
                            "Media type not available",
                        );
                        return self.refuse(&unacceptable, ctx);
                    }
                    Some((sdp, negotiated))
                }
                Err(refusal) => {
                    let rejection = refusals::of_offer(&refusal, self.shared.agent());
                    return self.refuse(&rejection, ctx);
                }
            },
            None => None,
        };
        self.retrieval = Retrieval::new(list.into_iter().map(|(uri, id, _)| (uri, id)).collect());
        self.fan_out = FanOut::new(self.retrieval.entries().len(), CREDIT);
        self.agents.resize_with(self.retrieval.entries().len(), || None);
        let (sdp, negotiated) = match answer {
            Some((sdp, negotiated)) => (sdp, Some(negotiated)),
            None => (offer_answer::offer(&local), None),
        };
        let remote = negotiated.as_ref().map_or(&[][..], |negotiated| &negotiated.remote_path);
        let session = self.shared.session_config(local.uri.clone(), remote, false);
        self.session = Some(MsrpSession::open(session, self.shared.msrp.clone(), &ctx.address().recipient()));
        self.local = Some(local);
        self.invite.accept(clock::now(), Some(SipBody::sdp(sdp)), Vec::new());
        // The request's bytes are let go: a session that waits for hours must not hold what it came in.
        self.body = InviteBody::default();
        self.deadline = Some(clock::now() + self.shared.bind_timeout());
        tracing::info!(parent: &self.span, items = self.retrieval.entries().len(), "retrieval accepted");
        if let Some(negotiated) = negotiated {
            self.negotiated(&negotiated);
        }
        for participant in unknown {
            self.fan_out.leave(participant);
            self.retrieval.failed(participant, Failure::NotFound);
        }
        self.drain(ctx);
    }

    /// The offer/answer exchange is complete: the client's side is known.
    fn negotiated(&mut self, negotiated: &Negotiated) {
        self.client = Some(Arc::new(ClientLimits {
            accepts: negotiated.remote_accepts.clone(),
            max_size: negotiated.remote_max_size,
        }));
        if let Some(session) = &self.session {
            crate::session::connect(session, &self.shared.resolver, negotiated);
        }
    }

    fn refuse(&mut self, rejection: &Rejection, ctx: &mut Context<Self>) {
        tracing::info!(parent: &self.span, status = rejection.status.0, "retrieval refused");
        self.invite.reject(&of_rejection(rejection));
        self.dialog_over = true;
        self.drain(ctx);
    }

    // ---- relaying ----

    /// Grants what credit there is; virtual user agents are born with their first grant.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let Some(client) = self.client.clone().filter(|_| self.bound) else { return };
        while let Some(participant) = self.fan_out.grant() {
            let Some(slot) = self.agents.get_mut(participant) else { continue };
            let agent = match slot {
                Some(agent) => agent,
                None => {
                    let Some(id) =
                        self.retrieval.entries().get(participant).and_then(|entry| entry.message_id.clone())
                    else {
                        continue;
                    };
                    let window =
                        usize::try_from(self.shared.config.retrieval.window.bytes()).unwrap_or(usize::MAX);
                    let item = (self.owner.clone(), id);
                    let agent = VirtualUa::new(
                        participant,
                        item,
                        Arc::clone(&self.shared.store),
                        Arc::clone(&client),
                        ctx.address().recipient(),
                        window,
                    );
                    slot.insert(agent.start())
                }
            };
            agent.do_send(Grant);
        }
    }

    fn relay(&mut self) {
        while let Some((participant, piece)) = self.fan_out.relay() {
            let begun = piece.frames.iter().filter(|frame| matches!(frame, Frame::Begin(_))).count();
            (0..begun).for_each(|_| self.retrieval.begun(participant));
            if let Some(session) = &self.session {
                session.do_send(Deliver { participant, frames: piece.frames });
            }
            if !piece.more {
                self.retrieval.replayed(participant);
            }
        }
    }

    fn fail(&mut self, participant: usize, failure: Failure) {
        self.fan_out.leave(participant);
        self.hang_up(participant);
        self.retrieval.failed(participant, failure);
    }

    fn hang_up(&mut self, participant: usize) {
        if let Some(agent) = self.agents.get_mut(participant).and_then(Option::take) {
            agent.do_send(HangUp);
        }
    }

    /// The client is gone, or the node stops: nothing more can be delivered.
    fn broken(&mut self, cause: &str) {
        if !self.retrieval.is_finished() {
            tracing::warn!(parent: &self.span, cause, delivered = self.retrieval.delivered(), "retrieval broken off; what was not acknowledged stays new");
        }
        for participant in 0..self.agents.len() {
            self.fan_out.leave(participant);
            self.hang_up(participant);
        }
        self.retrieval.broken();
    }

    // ---- the turn of the wheel ----

    fn drain(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        while let Some(event) = self.retrieval.poll_event() {
            match event {
                Event::MarkRetrieved(participant, id) => self.mark(participant, id, ctx),
                Event::Changed(participant) => self.conference.changed(now, participant),
                Event::Finished => self.finish(now),
            }
        }
        while let Some(event) = self.invite.poll_event() {
            self.session_event(event, ctx);
        }
        self.port.send_all(&mut self.invite);
        self.conference.drain(now, self.retrieval.entries(), &self.port);
        if self.is_over() {
            ctx.stop();
            return;
        }
        let next = [self.invite.poll_timeout(), self.conference.poll_timeout(), self.deadline]
            .into_iter()
            .flatten()
            .min();
        self.alarm.arm(ctx, next, Self::ring);
    }

    fn is_over(&self) -> bool {
        self.dialog_over
            && self.invite.is_ended()
            && self.retrieval.is_finished()
            && self.conference.is_over()
    }

    fn mark(&mut self, participant: usize, id: MessageId, ctx: &mut Context<Self>) {
        let after = match self.shared.config.retrieval.after {
            crate::config::After::Keep => After::Keep,
            crate::config::After::Delete => After::Delete,
        };
        let marking = self.shared.store.retrieved(self.owner.clone(), id.clone(), after);
        ctx.spawn(marking.into_actor(self).map(move |marked, focus, ctx| {
            match &marked {
                Ok(_) => tracing::info!(parent: &focus.span, message_id = ?id, "delivered"),
                Err(error) => tracing::error!(parent: &focus.span, message_id = ?id, %error, "delivered, but not marked: it stays new"),
            }
            focus.retrieval.marked(participant, marked.is_ok());
            focus.drain(ctx);
        }));
    }

    fn finish(&mut self, now: Instant) {
        self.deadline = None;
        self.conference.end(now);
        if !self.dialog_over {
            self.dialog_over = true;
            tracing::info!(parent: &self.span, delivered = self.retrieval.delivered(), of = self.retrieval.entries().len(), "retrieval ended");
            self.invite.bye(None);
        }
    }

    fn session_event(&mut self, event: SessionEvent, ctx: &mut Context<Self>) {
        match event {
            SessionEvent::Confirmed { body } => {
                let (Some(local), None) = (&self.local, &self.client) else { return };
                let answer = body.map(|body| body.bytes).unwrap_or_default();
                match offer_answer::accept_answer(local, &answer) {
                    Ok(negotiated) => {
                        if let Some(session) = &self.session {
                            session.do_send(Answered { remote: negotiated.remote_path.clone() });
                        }
                        self.negotiated(&negotiated);
                        self.pump(ctx);
                    }
                    Err(_) => self.broken("the ACK brought no usable answer"),
                }
            }
            SessionEvent::Reinvite { request } => {
                let answer = self.port.answer_reinvite(&request, self.local.as_mut(), self.shared.agent());
                self.invite.answer_reinvite(clock::now(), answer);
            }
            SessionEvent::Unhandled { txn, request } => {
                self.port.respond(txn, capabilities::within(&request))
            }
            SessionEvent::Reconfirmed { .. } | SessionEvent::ReinviteCancelled => {}
            SessionEvent::Ended { by } => {
                self.dialog_over = true;
                if let Some(session) = self.session.take() {
                    session.do_send(Close);
                }
                self.broken(ended_by(by));
                self.conference.end(clock::now());
            }
        }
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        let now = clock::now();
        self.invite.handle_timeout(now);
        self.conference.handle_timeout(now);
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.broken("nothing came from the client in time");
        }
        self.drain(ctx);
    }
}

const fn ended_by(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Remote => "BYE by the client",
        EndedBy::Local => "BYE by the store",
        EndedBy::Rejected => "refused",
        EndedBy::Cancelled => "cancelled by the client",
        EndedBy::AckTimeout => "no ACK came",
        EndedBy::Failed => "the INVITE was given up",
    }
}

impl Actor for Focus {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.port.adopt(ctx.address().recipient());
        self.find(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if let Some(session) = self.session.take() {
            session.do_send(Close);
        }
        self.port.forget();
        self.exited.do_send(Exited::focus(self.owner.clone(), self.port.tag().to_owned()));
    }
}

impl Handler<Replayed> for Focus {
    type Result = ();
    fn handle(&mut self, replayed: Replayed, ctx: &mut Self::Context) {
        match replayed.outcome {
            Ok(piece) => {
                self.retrieval.opened(replayed.participant);
                let more = piece.more;
                if self.fan_out.fill(replayed.participant, piece, more).is_ok() && !more {
                    self.hang_up(replayed.participant);
                }
            }
            Err(failure) => self.fail(replayed.participant, failure),
        }
        self.relay();
        self.pump(ctx);
        self.drain(ctx);
    }
}

impl Handler<SessionReport> for Focus {
    type Result = ();
    fn handle(&mut self, report: SessionReport, ctx: &mut Self::Context) {
        if self.deadline.is_some() {
            self.deadline = Some(clock::now() + self.shared.config.msrp.idle_timeout);
        }
        match report {
            SessionReport::Bound => {
                self.bound = true;
                self.pump(ctx);
            }
            SessionReport::Credit(pieces) => {
                self.fan_out.credit(pieces);
                self.pump(ctx);
            }
            SessionReport::Delivered(participant) => self.retrieval.acknowledged(participant),
            SessionReport::Refused(participant, status) => self.fail(participant, Failure::Refused(status)),
            SessionReport::Ended(cause) => self.broken(cause),
            // The session takes no content from the client (`receives: false`).
            SessionReport::Started { .. }
            | SessionReport::Data { .. }
            | SessionReport::Complete { .. }
            | SessionReport::Dropped { .. } => {}
        }
        self.relay();
        self.drain(ctx);
    }
}

impl Handler<DialogInput> for Focus {
    type Result = ();
    fn handle(&mut self, input: DialogInput, ctx: &mut Self::Context) {
        let now = clock::now();
        match input {
            DialogInput::Drain => {
                self.broken("the node stops");
            }
            input => {
                if let Some(input) = self.conference.handle(now, input, &self.port, self.port.tag()) {
                    self.port.handle(&mut self.invite, input);
                }
            }
        }
        self.drain(ctx);
    }
}
