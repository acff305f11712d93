//! Recorder: one session deposit. It answers in the absent owner's place and stores what is said.

mod arriving;
mod closing;
mod draft;
mod line;
mod taking;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use bytes::Bytes;
use restante::focus::rejection::Rejection;
use restante::focus::session_deposit::SessionEnvelope;
use restante::machine::msrp::IncomingId;
use restante::machine::sip::InviteSession;
use restante::store::{Owner, SessionId, StoreError};
use restante::time::Instant;

use crate::alarm::Alarm;
use crate::clock;
use crate::dialog_port::DialogPort;
use crate::farewell::Farewell;
use crate::fault;
use crate::meters;
use crate::party::{Agreed, NODE_STOPS, Party, PartyEvent};
use crate::ports::DialogInput;
use crate::refusals;
use crate::seldom::seldom;
use crate::session::{SessionInput, SessionReport};
use crate::shard::Seat;
use crate::shared::Shared;
use crate::supervision;
use crate::turn::Turn;

use arriving::Arriving;
use closing::Closed;
use draft::Draft;
use line::Line;

/// Everything a recorder is born with.
pub struct RecorderBirth {
    /// The node's common ground.
    pub shared: Arc<Shared>,
    /// The way to the Endpoint, with the dialog's tag.
    pub port: DialogPort,
    /// The dialog, before its final response.
    pub invite: InviteSession,
    /// Whose mailbox it is.
    pub owner: Owner,
    /// Who deposits, as he was identified.
    pub sender: Owner,
    /// What is kept of the INVITE.
    pub envelope: SessionEnvelope,
    /// The offer, if the INVITE had one.
    pub offer: Option<Bytes>,
    /// Its place among the sessions that are deposited at once.
    pub seat: Seat,
}

/// How far a deposit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// What the caller says is taken.
    Taking,
    /// Nothing more is taken; what is whole is being stored.
    Ending,
    /// The session is becoming an item, and the caller waits for that.
    Closing,
    /// The session is still to become an item, although its caller has gone.
    Late,
    /// All is done.
    Closed,
}

/// The actor.
pub struct Recorder {
    shared: Arc<Shared>,
    owner: Owner,
    sender: Owner,
    envelope: SessionEnvelope,
    /// The offer, until it is answered.
    offer: Option<Bytes>,
    party: Party,
    held: bool,
    draft: Rc<Draft>,
    arriving: HashMap<IncomingId, Arriving>,
    /// The order of those that are whole.
    line: Line,
    /// Messages on their way into the store.
    storing: usize,
    stored: u32,
    alarm: Alarm,
    turn: Turn,
    phase: Phase,
    /// Since the dialog is over: its BYE waits for the store, and before that for what the caller said before his.
    farewell: Option<Farewell>,
    /// Whether the caller is told of each message that it is stored, so that he knows what is not; unknown before the first.
    certain: Option<bool>,
    span: tracing::Span,
    _seat: Seat,
}

impl Recorder {
    /// A recorder that begins to work when it is started.
    #[must_use]
    pub fn new(birth: RecorderBirth) -> Self {
        let span = tracing::info_span!(
            "deposit",
            call_id = %String::from_utf8_lossy(birth.invite.dialog().call_id()),
            mailbox = birth.shared.redacted(&birth.owner),
        );
        Self {
            party: Party::new(Arc::clone(&birth.shared), birth.port, birth.invite),
            shared: birth.shared,
            owner: birth.owner,
            sender: birth.sender,
            envelope: birth.envelope,
            offer: birth.offer,
            held: false,
            draft: Rc::default(),
            arriving: HashMap::new(),
            line: Line::default(),
            storing: 0,
            stored: 0,
            alarm: Alarm::default(),
            turn: Turn::default(),
            phase: Phase::Taking,
            farewell: None,
            certain: None,
            span,
            _seat: birth.seat,
        }
    }

    // ---- accepting ----

    fn admitted(&mut self, admitted: Result<(), StoreError>, ctx: &mut Context<Self>) {
        let admitted = admitted.map_err(|error| refusals::of_store(&error, self.shared.agent()));
        if let Err(rejection) = admitted.and_then(|()| self.accept(ctx)) {
            seldom!(info, parent: &self.span, status = rejection.status.0, reason = rejection.said(), "session refused");
            self.party.refuse(&rejection);
            self.phase = Phase::Closed;
        }
        self.drain(ctx);
    }

    fn accept(&mut self, ctx: &Context<Self>) -> Result<(), Rejection> {
        fault::strike("recorder.accept", self.party.call_id());
        let offer = self.offer.take();
        let max_size = Some(self.shared.config.msrp.max_message.bytes());
        let me = ctx.address().recipient();
        let agreed = self.party.accept(clock::now(), offer.as_ref(), max_size, |_| true, &me)?;
        tracing::info!(parent: &self.span, "session accepted in the owner's place");
        if let Some(agreed) = agreed {
            self.agreed(&agreed);
        }
        Ok(())
    }

    // ---- what the caller says ----

    /// Takes what the MSRP session has to tell.
    fn hear(&mut self, now: Instant, ctx: &mut Context<Self>) {
        while let Some(report) = self.party.poll_report(now) {
            if let Some(farewell) = &mut self.farewell {
                farewell.heard();
            }
            match report {
                SessionReport::Started { id, message_id, content_type, headers, answered, .. } => {
                    self.certain = Some(answered && self.certain != Some(false));
                    self.started_message(id, message_id, content_type, headers)
                }
                SessionReport::Described { id, content_type, headers } => {
                    self.described_message(id, content_type, headers);
                }
                SessionReport::Data { id, offset, bytes, credit } => {
                    self.data(id, offset, bytes, credit, ctx)
                }
                SessionReport::Complete { id, size, credit } => self.completed(id, size, &credit, ctx),
                SessionReport::Dropped { id } => {
                    self.arriving.remove(&id);
                }
                SessionReport::Lost(cause) => {
                    seldom!(info, parent: &self.span, cause, "the caller's connection is lost: another may come");
                }
                SessionReport::Ended(cause) => self.hang_up(cause),
                SessionReport::Bound
                | SessionReport::Rejoined
                | SessionReport::Credit(_)
                | SessionReport::Delivered(..)
                | SessionReport::Refused(..) => {}
            }
        }
    }

    // ---- the end ----

    /// The session is over: nothing more is taken, what is whole becomes an item.
    fn hang_up(&mut self, cause: &str) {
        self.hang_up_for(cause, None);
    }

    /// As [`Self::hang_up`], with the Reason of the BYE.
    fn hang_up_for(&mut self, cause: &str, reason: Option<&str>) {
        self.arriving.retain(|_, arriving| arriving.is_whole());
        self.phase = self.phase.max(Phase::Ending);
        if let Some(farewell) = &mut self.farewell {
            farewell.heard_all();
        }
        if !self.party.is_over() {
            seldom!(info, parent: &self.span, cause, "session ended by the store");
            self.party.bye(reason);
        }
    }

    /// The caller has said BYE. What he said before comes by another connection, and is read on until that is silent, or
    /// the BYE has waited long enough; unless all has come of which he can expect that it is kept.
    fn left(&mut self, now: Instant) {
        let has_all = self.certain == Some(true) && self.arriving.is_empty() && self.storing == 0;
        if self.phase > Phase::Taking || has_all || !self.party.has_session() {
            return self.hang_up("ended by the caller");
        }
        self.farewell = Some(self.farewell_from(now).lingering(now));
    }

    /// Waits on while something comes that was said before the BYE.
    fn look(&mut self, now: Instant) {
        // While the store is slow, less is read.
        let writes = self.storing > 0 || self.arriving.values().any(|arriving| arriving.writing > 0);
        let heard_all = self.farewell.as_mut().is_some_and(|farewell| {
            if farewell.may_wait(now) { farewell.look(now, writes) } else { farewell.heard_all() }
        });
        if heard_all {
            self.hang_up("ended by the caller");
        }
    }

    fn close(&mut self, ctx: &mut Context<Self>) {
        if self.phase != Phase::Ending || self.storing > 0 || !self.arriving.is_empty() {
            return;
        }
        self.party.close();
        if !self.party.is_over() {
            return;
        }
        let Some(draft) = self.draft.id() else {
            self.phase = Phase::Closed;
            meters::session_deposit("empty");
            seldom!(info, parent: &self.span, "session without a complete message: no item");
            return;
        };
        self.phase = Phase::Closing;
        let closing = closing::close(Arc::clone(&self.shared.store), draft);
        ctx.spawn(closing.into_actor(self).map(move |closed, recorder, ctx| {
            match closed {
                Err(error) if recorder.shared.store.working() => recorder.close_later(draft, &error, ctx),
                closed => recorder.settled(closed),
            }
            recorder.drain(ctx);
        }));
    }

    /// The caller need not wait for a store that fails for so long: what he has said is kept, though hidden.
    fn close_later(&mut self, draft: SessionId, error: &StoreError, ctx: &mut Context<Self>) {
        seldom!(error, parent: &self.span, %error, "session not closed: no item yet; tried again");
        self.phase = Phase::Late;
        let closing = closing::close_later(Arc::clone(&self.shared.store), draft);
        ctx.spawn(closing.into_actor(self).map(|closed, recorder, ctx| {
            recorder.settled(closed);
            recorder.drain(ctx);
        }));
    }

    fn settled(&mut self, closed: Result<Closed, StoreError>) {
        self.phase = Phase::Closed;
        match closed {
            Ok(Closed::Item(deposited)) => {
                meters::session_deposit("stored");
                tracing::info!(parent: &self.span, message_id = ?deposited.message_id, messages = self.stored, "deposited");
            }
            Ok(Closed::Settled) => {
                tracing::info!(parent: &self.span, messages = self.stored, "session closed before")
            }
            Err(error) => {
                seldom!(error, parent: &self.span, %error, "session not closed; it becomes an item when the store is opened again")
            }
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        self.turn.ended();
        let now = clock::now();
        self.hear(now, ctx);
        self.party.flush();
        // A session may fail by what is said in it.
        self.hear(now, ctx);
        while let Some(event) = self.party.poll_event(now) {
            match event {
                PartyEvent::Agreed(agreed) => self.agreed(&agreed),
                PartyEvent::Unusable(cause) => self.hang_up(cause),
                PartyEvent::Message { txn, request } => self.message(txn, &request, ctx),
                PartyEvent::Ended(_) => self.left(now),
            }
        }
        self.close(ctx);
        if self.party.is_over() {
            self.farewell = Some(self.farewell_from(now));
        }
        // A BYE is answered, or sent, when what was said is an item: whoever sees it may look. But nobody waits for a
        // slow store longer than for any other answer.
        let waiting = self.farewell.filter(|_| self.phase < Phase::Late);
        if waiting.is_none_or(|farewell| !farewell.may_wait(now)) {
            self.party.send();
        }
        if self.phase == Phase::Closed && self.party.has_ended() {
            ctx.stop();
            return;
        }
        let waiting = waiting.and_then(|farewell| farewell.poll_timeout(now));
        let due = self.party.poll_timeout().into_iter().chain(waiting).min();
        self.alarm.arm(ctx, due, Self::ring);
    }

    /// The wait of a BYE, which begins `now` unless it has begun.
    fn farewell_from(&self, now: Instant) -> Farewell {
        self.farewell.unwrap_or_else(|| Farewell::begin(now, self.shared.config.sip.answer_within))
    }

    /// A held session (RFC 3264 8.4) waits, as long as `idle_timeout`; what comes although the caller said
    /// that nothing would is stored: refusing it would lose it.
    fn agreed(&mut self, agreed: &Agreed) {
        let held = !agreed.direction.receives();
        if std::mem::replace(&mut self.held, held) != held {
            seldom!(info, parent: &self.span, held, "session held or resumed by the caller");
        }
        if agreed.moved {
            seldom!(info, parent: &self.span, "the caller's session has another connection");
        }
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        let now = clock::now();
        if self.party.ring(now) {
            seldom!(warn, parent: &self.span, "nothing came from the caller in time");
            self.hang_up("idle");
        }
        self.look(now);
        self.drain(ctx);
    }
}

/// Also where the recorder has failed, what was acknowledged is there: the session becomes an item.
impl Drop for Recorder {
    fn drop(&mut self) {
        if supervision::has_failed() {
            tracing::error!(parent: &self.span, messages = self.stored, "the recorder has failed: the caller gets a BYE or 500; what was acknowledged becomes an item");
            if let Some(draft) = self.draft.id().filter(|_| self.phase < Phase::Closing) {
                let closing = closing::close(Arc::clone(&self.shared.store), draft);
                // Without a runtime the process ends, and the session becomes an item when the store is opened.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(closing);
                }
            }
        }
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.party.adopt(ctx.address().recipient());
        let asking = self.shared.in_time(self.shared.store.room(
            self.owner.clone(),
            self.sender.clone(),
            self.shared.quota(),
        ));
        ctx.spawn(asking.into_actor(self).map(|admitted, recorder, ctx| recorder.admitted(admitted, ctx)));
    }
}

impl Handler<SessionInput> for Recorder {
    type Result = ();
    fn handle(&mut self, input: SessionInput, ctx: &mut Self::Context) {
        self.party.handle_session(input);
        self.hear(clock::now(), ctx);
        self.turn.end_with(ctx, Self::drain);
    }
}

impl Handler<DialogInput> for Recorder {
    type Result = ();
    fn handle(&mut self, input: DialogInput, ctx: &mut Self::Context) {
        match input {
            DialogInput::Drain => self.hang_up_for("the node stops", Some(NODE_STOPS)),
            input => self.party.handle(input),
        }
        self.drain(ctx);
    }
}
