//! Recorder: one session deposit. It answers in the absent owner's place and stores what is said.

mod arriving;
mod closing;

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use bytes::{Bytes, BytesMut};
use restante::entropy::Entropy;
use restante::focus::pager::{self, Pager};
use restante::focus::rejection::Rejection;
use restante::focus::session_deposit::SessionEnvelope;
use restante::machine::msrp::{IncomingId, Verdict};
use restante::machine::sip::{InviteSession, ServerTxn};
use restante::store::{Owner, SessionDeposit, SessionId, StoreError};
use restante::time::Instant;
use restante::wire::sip::{Request, StatusCode};
use tokio::sync::OnceCell;

use crate::alarm::Alarm;
use crate::chance::Chance;
use crate::clock;
use crate::dialog_port::DialogPort;
use crate::fault;
use crate::party::{Agreed, Party, PartyEvent};
use crate::ports::DialogInput;
use crate::records::Way;
use crate::refusals;
use crate::session::{Judge, ReadCredit, SessionReport};
use crate::shared::Shared;
use crate::supervision::{self, Exited, Obituary};

use arriving::{Arriving, Content};
use closing::Closed;

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
    /// Who is told of the end.
    pub exited: actix::Recipient<Exited>,
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
    draft: Arc<OnceCell<SessionId>>,
    arriving: HashMap<IncomingId, Arriving>,
    /// Messages on their way into the store.
    storing: usize,
    stored: u32,
    alarm: Alarm,
    closed: bool,
    /// Whether the session is still to become an item, although its caller has gone.
    late: bool,
    /// Since when the dialog is over, and its BYE waits for the store.
    over: Option<Instant>,
    span: tracing::Span,
    _obituary: Obituary,
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
        let exited = Exited::recorder(birth.owner.clone());
        Self {
            party: Party::new(Arc::clone(&birth.shared), birth.port, birth.invite),
            shared: birth.shared,
            owner: birth.owner,
            sender: birth.sender,
            envelope: birth.envelope,
            offer: birth.offer,
            held: false,
            draft: Arc::default(),
            arriving: HashMap::new(),
            storing: 0,
            stored: 0,
            alarm: Alarm::default(),
            closed: false,
            late: false,
            over: None,
            span,
            _obituary: Obituary::new(birth.exited, exited),
        }
    }

    // ---- accepting ----

    fn admitted(&mut self, admitted: Result<(), StoreError>, ctx: &mut Context<Self>) {
        let admitted = admitted.map_err(|error| refusals::of_store(&error, self.shared.agent()));
        if let Err(rejection) = admitted.and_then(|()| self.accept(ctx)) {
            tracing::info!(parent: &self.span, status = rejection.status.0, "session refused");
            self.party.refuse(&rejection);
            self.closed = true;
        }
        self.drain(ctx);
    }

    fn accept(&mut self, ctx: &Context<Self>) -> Result<(), Rejection> {
        fault::strike("recorder.accept", self.party.call_id());
        let offer = self.offer.take();
        let max_size = Some(self.shared.config.msrp.max_message.bytes());
        let reports = ctx.address().recipient();
        let agreed = self.party.accept(clock::now(), offer.as_ref(), max_size, |_| true, &reports)?;
        tracing::info!(parent: &self.span, "session accepted in the owner's place");
        if let Some(agreed) = agreed {
            self.agreed(&agreed);
        }
        Ok(())
    }

    // ---- what is said ----

    fn started_message(
        &mut self,
        id: IncomingId,
        message_id: Bytes,
        content_type: Option<Bytes>,
        headers: Vec<(Bytes, Bytes)>,
    ) {
        let arriving = Arriving {
            message_id,
            content_type,
            headers,
            content: Content::Memory(BytesMut::new()),
            writing: 0,
            complete: false,
            failure: None,
        };
        self.arriving.insert(id, arriving);
    }

    fn data(
        &mut self,
        id: IncomingId,
        offset: u64,
        bytes: Bytes,
        credit: ReadCredit,
        ctx: &mut Context<Self>,
    ) {
        let inline = usize::try_from(self.shared.config.store.inline_limit.bytes()).unwrap_or(usize::MAX);
        let Some(arriving) = self.arriving.get_mut(&id) else { return };
        let end = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(bytes.len());
        if let Content::Memory(buffer) = &mut arriving.content {
            if end <= inline {
                if buffer.len() < end {
                    buffer.resize(end, 0);
                }
                if let Some(place) = buffer.get_mut(end - bytes.len()..end) {
                    place.copy_from_slice(&bytes);
                }
                return;
            }
            let begun = std::mem::take(buffer).freeze();
            arriving.content = Content::Staging(self.shared.store.stage());
            if !begun.is_empty() {
                self.write(id, 0, begun, ReadCredit::default(), ctx);
            }
        }
        self.write(id, offset, bytes, credit, ctx);
    }

    fn write(
        &mut self,
        id: IncomingId,
        offset: u64,
        bytes: Bytes,
        credit: ReadCredit,
        ctx: &mut Context<Self>,
    ) {
        let Some(arriving) = self.arriving.get_mut(&id) else { return };
        let Content::Staging(staging) = &arriving.content else { return };
        arriving.writing += 1;
        let writing = staging.write(offset, bytes);
        ctx.spawn(writing.into_actor(self).map(move |written, recorder, ctx| {
            drop(credit);
            if let Some(arriving) = recorder.arriving.get_mut(&id) {
                arriving.writing -= 1;
                arriving.failure = arriving.failure.take().or(written.err());
            }
            recorder.store(id, ctx);
            recorder.drain(ctx);
        }));
    }

    /// A MESSAGE in the dialog belongs to what is said in it: it becomes a message of the session.
    fn message(&mut self, txn: ServerTxn, request: &Request, ctx: &mut Context<Self>) {
        let kept = match pager::pager(request, &self.shared.deposit, clock::wall()) {
            Ok(Pager::Kept { envelope, .. }) => envelope,
            Ok(Pager::Ignored) => return self.party.respond(txn, request.respond(StatusCode::ACCEPTED)),
            Err(rejection) => return self.party.respond(txn, rejection.response(request)),
        };
        if self.is_full() {
            let full = Rejection::new(StatusCode::REQUEST_ENTITY_TOO_LARGE);
            return self.party.respond(txn, full.response(request));
        }
        let is_type = |(name, _): &(Bytes, Bytes)| name.eq_ignore_ascii_case(b"Content-Type");
        let arriving = Arriving {
            message_id: Bytes::from(Chance.token(20)),
            content_type: kept.content.iter().find(|field| is_type(field)).map(|(_, value)| value.clone()),
            headers: kept.content.into_iter().filter(|field| !is_type(field)).collect(),
            content: Content::Memory(BytesMut::from(request.body.as_ref())),
            writing: 0,
            complete: true,
            failure: None,
        };
        let storing = self.storing_of(arriving);
        let accepted = request.respond(StatusCode::ACCEPTED);
        let request = request.clone();
        ctx.spawn(storing.into_actor(self).map(move |stored, recorder, ctx| {
            recorder.storing -= 1;
            let response = match stored {
                Ok(_) => accepted,
                Err(error) => {
                    recorder.stored -= 1;
                    tracing::warn!(parent: &recorder.span, %error, "MESSAGE in the dialog refused");
                    refusals::of_store(&error, recorder.shared.agent()).response(&request)
                }
            };
            recorder.party.respond(txn, response);
            recorder.drain(ctx);
        }));
    }

    fn is_full(&self) -> bool {
        usize::try_from(self.stored).unwrap_or(usize::MAX) >= self.shared.config.deposit.max_messages
    }

    /// Begins to store a message of the session.
    fn storing_of(&mut self, arriving: Arriving) -> impl Future<Output = Result<u64, StoreError>> + use<> {
        self.stored += 1;
        self.storing += 1;
        let deposit = SessionDeposit {
            owner: self.owner.clone(),
            sender: self.sender.clone(),
            key: self.envelope.key.clone(),
            envelope: self.envelope.envelope.clone(),
            quota: self.shared.quota(),
            now: clock::wall(),
            ends: self.envelope.ends,
            remember: self.shared.config.deposit.remember,
        };
        arriving::store(Arc::clone(&self.shared), Arc::clone(&self.draft), deposit, arriving)
    }

    /// Stores a message once it is whole and written.
    fn store(&mut self, id: IncomingId, ctx: &mut Context<Self>) {
        if !self.arriving.get(&id).is_some_and(|arriving| arriving.complete && arriving.writing == 0) {
            return;
        }
        let Some(arriving) = self.arriving.remove(&id) else { return };
        if self.is_full() {
            return self.judge(id, Verdict::Refused(413, Bytes::from_static(b"Too many messages")));
        }
        let storing = self.storing_of(arriving);
        ctx.spawn(
            storing.into_actor(self).map(move |stored, recorder, ctx| recorder.stored(id, stored, ctx)),
        );
    }

    fn stored(&mut self, id: IncomingId, stored: Result<u64, StoreError>, ctx: &mut Context<Self>) {
        self.storing -= 1;
        match stored {
            Ok(bytes) => {
                tracing::debug!(parent: &self.span, bytes, "message stored");
                self.judge(id, Verdict::Stored);
            }
            Err(error) => {
                self.stored -= 1;
                let (status, blame) = refusals::msrp_of_store(&error);
                if blame == refusals::Blame::Store {
                    tracing::error!(parent: &self.span, %error, status, "message refused: the store failed");
                } else {
                    tracing::warn!(parent: &self.span, %error, status, "message refused");
                }
                self.judge(id, Verdict::Refused(status, Bytes::from(error.to_string())));
            }
        }
        self.drain(ctx);
    }

    fn judge(&self, id: IncomingId, verdict: Verdict) {
        self.party.tap().msrp(Way::Out, || match &verdict {
            Verdict::Stored => "200 OK (SEND)".to_owned(),
            Verdict::Refused(status, comment) => format!("{status} {} (SEND)", comment.escape_ascii()),
        });
        if let Some(session) = self.party.session() {
            session.do_send(Judge { id, verdict });
        }
    }

    // ---- the end ----

    /// The session is over: nothing more is taken, what was acknowledged becomes an item.
    fn hang_up(&mut self, cause: &str) {
        self.arriving.clear();
        self.party.close();
        if !self.party.is_over() {
            tracing::info!(parent: &self.span, cause, "session ended by the store");
            self.party.bye(None);
        }
    }

    fn close(&mut self, ctx: &mut Context<Self>) {
        if self.closed || !self.party.is_over() || self.storing > 0 || self.party.session().is_some() {
            return;
        }
        self.closed = true;
        let Some(draft) = self.draft.get().copied() else {
            tracing::info!(parent: &self.span, "session without a complete message: no item");
            return;
        };
        self.storing += 1;
        let closing = closing::close(Arc::clone(&self.shared.store), draft);
        ctx.spawn(closing.into_actor(self).map(move |closed, recorder, ctx| {
            recorder.storing -= 1;
            match closed {
                Err(error) if recorder.shared.store.working() => recorder.close_later(draft, &error, ctx),
                closed => recorder.settled(closed),
            }
            recorder.drain(ctx);
        }));
    }

    /// The caller need not wait for a store that fails for so long: what he has said is kept, though hidden.
    fn close_later(&mut self, draft: SessionId, error: &StoreError, ctx: &mut Context<Self>) {
        tracing::error!(parent: &self.span, %error, "session not closed: no item yet; tried again");
        self.late = true;
        let closing = closing::close_later(Arc::clone(&self.shared.store), draft);
        ctx.spawn(closing.into_actor(self).map(|closed, recorder, ctx| {
            recorder.late = false;
            recorder.settled(closed);
            recorder.drain(ctx);
        }));
    }

    fn settled(&self, closed: Result<Closed, StoreError>) {
        match closed {
            Ok(Closed::Item(deposited)) => {
                tracing::info!(parent: &self.span, message_id = ?deposited.message_id, messages = self.stored, "deposited")
            }
            Ok(Closed::Settled) => {
                tracing::info!(parent: &self.span, messages = self.stored, "session closed before")
            }
            Err(error) => {
                tracing::error!(parent: &self.span, %error, "session not closed; it becomes an item when the store is opened again")
            }
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(event) = self.party.poll_event(clock::now()) {
            match event {
                PartyEvent::Agreed(agreed) => self.agreed(&agreed),
                PartyEvent::Unusable(cause) => self.hang_up(cause),
                PartyEvent::Message { txn, request } => self.message(txn, &request, ctx),
                PartyEvent::Ended(_) => self.hang_up("ended by the caller"),
            }
        }
        self.close(ctx);
        // A BYE is answered, or sent, when what was said is an item: whoever sees it may look. But nobody waits for a
        // slow store longer than for any other answer.
        let is_settled = self.closed && self.storing == 0;
        let patience = self.patience().filter(|_| !is_settled);
        if !self.party.is_over() || is_settled || patience.is_some_and(|ends| ends <= clock::now()) {
            self.party.send();
        }
        if is_settled && !self.late && self.party.has_ended() {
            ctx.stop();
            return;
        }
        let patience = patience.filter(|ends| *ends > clock::now());
        self.alarm.arm(ctx, self.party.poll_timeout().into_iter().chain(patience).min(), Self::ring);
    }

    /// Until when a BYE waits for the store.
    fn patience(&mut self) -> Option<Instant> {
        let since = self.party.is_over().then(|| *self.over.get_or_insert_with(clock::now))?;
        Some(since + self.shared.config.sip.answer_within)
    }

    /// A held session (RFC 3264 8.4) waits, as long as `idle_timeout`; what comes although the caller said
    /// that nothing would is stored: refusing it would lose it.
    fn agreed(&mut self, agreed: &Agreed) {
        let held = !agreed.direction.receives();
        if std::mem::replace(&mut self.held, held) != held {
            tracing::info!(parent: &self.span, held, "session held or resumed by the caller");
        }
        if agreed.moved {
            tracing::info!(parent: &self.span, "the caller's session has another connection");
        }
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        if self.party.ring(clock::now()) {
            tracing::warn!(parent: &self.span, "nothing came from the caller in time");
            self.hang_up("idle");
        }
        self.drain(ctx);
    }
}

/// Also where the recorder has failed, what was acknowledged is there: the session becomes an item.
impl Drop for Recorder {
    fn drop(&mut self) {
        if supervision::has_failed() {
            tracing::error!(parent: &self.span, messages = self.stored, "the recorder has failed: the caller gets a BYE or 500; what was acknowledged becomes an item");
            if let Some(draft) = self.draft.get().copied().filter(|_| !self.closed) {
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

impl Handler<SessionReport> for Recorder {
    type Result = ();
    fn handle(&mut self, report: SessionReport, ctx: &mut Self::Context) {
        let now = clock::now();
        self.party.heard(now, &report);
        match report {
            SessionReport::Started { id, message_id, content_type, headers, .. } => {
                self.started_message(id, message_id, content_type, headers)
            }
            SessionReport::Data { id, offset, bytes, credit } => self.data(id, offset, bytes, credit, ctx),
            SessionReport::Complete { id, .. } => {
                if let Some(arriving) = self.arriving.get_mut(&id) {
                    fault::strike("recorder.message", &arriving.message_id);
                    arriving.complete = true;
                }
                self.store(id, ctx);
            }
            SessionReport::Dropped { id } => {
                self.arriving.remove(&id);
            }
            SessionReport::Lost(cause) => {
                if self.party.lost(now) {
                    tracing::info!(parent: &self.span, cause, "the caller's connection is lost: another may come");
                } else {
                    self.hang_up(cause);
                }
            }
            SessionReport::Ended(cause) => self.hang_up(cause),
            SessionReport::Bound
            | SessionReport::Rejoined
            | SessionReport::Credit(_)
            | SessionReport::Delivered(..)
            | SessionReport::Refused(..) => {}
        }
        self.drain(ctx);
    }
}

impl Handler<DialogInput> for Recorder {
    type Result = ();
    fn handle(&mut self, input: DialogInput, ctx: &mut Self::Context) {
        match input {
            DialogInput::Drain => self.hang_up("the node stops"),
            input => self.party.handle(input),
        }
        self.drain(ctx);
    }
}
