//! Recorder: one session deposit. It answers in the absent owner's place and stores what is said.

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, WrapFuture};
use bytes::{Bytes, BytesMut};
use restante::focus::pager;
use restante::focus::rejection::Rejection;
use restante::focus::session_deposit::SessionEnvelope;
use restante::machine::msrp::{IncomingId, Verdict};
use restante::machine::offer_answer::{self, LocalMedia, Negotiated};
use restante::machine::sip::{Body as SipBody, Flow, InviteSession, SessionEvent};
use restante::store::{Body, NewMessage, Owner, SessionDeposit, SessionId, Staging, StoreError};
use restante::time::Instant;
use restante::wire::mime;
use restante::wire::sdp::Direction;
use tokio::sync::OnceCell;

use crate::alarm::Alarm;
use crate::capabilities;
use crate::clock;
use crate::dialog_port::{DialogPort, of_rejection};
use crate::ports::DialogInput;
use crate::refusals;
use crate::session::{Answered, Close, Judge, MsrpSession, ReadCredit, SessionReport};
use crate::shard::Exited;
use crate::shared::Shared;

/// Everything a recorder is born with.
pub struct RecorderBirth {
    /// The node's common ground.
    pub shared: Arc<Shared>,
    /// The way to the Endpoint, with the dialog's tag.
    pub port: DialogPort,
    /// The dialog, before its final response.
    pub invite: InviteSession,
    /// Where the INVITE came from.
    pub flow: Flow,
    /// Whose mailbox it is.
    pub owner: Owner,
    /// Who deposits.
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
    birth: RecorderBirth,
    session: Option<Addr<MsrpSession>>,
    local: Option<LocalMedia>,
    negotiated: bool,
    draft: Arc<OnceCell<SessionId>>,
    arriving: HashMap<IncomingId, Arriving>,
    /// Messages on their way into the store.
    storing: usize,
    stored: u32,
    alarm: Alarm,
    deadline: Option<Instant>,
    dialog_over: bool,
    closed: bool,
    span: tracing::Span,
}

/// A message that is not yet whole.
struct Arriving {
    message_id: Bytes,
    content_type: Option<Bytes>,
    headers: Vec<(Bytes, Bytes)>,
    content: Content,
    writing: usize,
    complete: bool,
    failure: Option<StoreError>,
}

/// Small content is gathered in memory, larger content goes to the store as it comes.
enum Content {
    Memory(BytesMut),
    Staging(Box<dyn Staging>),
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
            birth,
            session: None,
            local: None,
            negotiated: false,
            draft: Arc::default(),
            arriving: HashMap::new(),
            storing: 0,
            stored: 0,
            alarm: Alarm::default(),
            deadline: None,
            dialog_over: false,
            closed: false,
            span,
        }
    }

    // ---- accepting ----

    fn admitted(&mut self, admitted: Result<(), StoreError>, ctx: &mut Context<Self>) {
        match admitted {
            Ok(()) => self.accept(ctx),
            Err(error) => {
                let rejection = refusals::of_store(&error, self.birth.shared.agent());
                self.refuse(&rejection, ctx);
            }
        }
    }

    fn accept(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.birth.shared);
        let Some(uri) = shared.mint_msrp_uri(&self.birth.flow) else {
            return self.refuse(&Rejection::unavailable(5), ctx);
        };
        let local = shared.local_media(uri, Direction::SendRecv, shared.config.msrp.max_message.bytes());
        let (sdp, negotiated) = match &self.birth.offer {
            None => (offer_answer::offer(&local), None),
            Some(offer) => match offer_answer::answer(offer, &local) {
                Ok((sdp, negotiated)) => (sdp, Some(negotiated)),
                Err(refusal) => {
                    let rejection = refusals::of_offer(&refusal, shared.agent());
                    return self.refuse(&rejection, ctx);
                }
            },
        };
        let remote = negotiated.as_ref().map_or(&[][..], |negotiated| &negotiated.remote_path);
        let session = shared.session_config(local.uri.clone(), remote, true);
        self.session = Some(MsrpSession::open(session, shared.msrp.clone(), &ctx.address().recipient()));
        self.local = Some(local);
        self.birth.invite.accept(clock::now(), Some(SipBody::sdp(sdp)), Vec::new());
        self.deadline = Some(clock::now() + shared.bind_timeout());
        tracing::info!(parent: &self.span, "session accepted in the owner's place");
        if let Some(negotiated) = negotiated {
            self.negotiated(&negotiated);
        }
        self.drain(ctx);
    }

    fn negotiated(&mut self, negotiated: &Negotiated) {
        self.negotiated = true;
        if let Some(session) = &self.session {
            crate::session::connect(session, &self.birth.shared.resolver, negotiated);
        }
    }

    fn refuse(&mut self, rejection: &Rejection, ctx: &mut Context<Self>) {
        tracing::info!(parent: &self.span, status = rejection.status.0, "session refused");
        self.birth.invite.reject(&of_rejection(rejection));
        self.dialog_over = true;
        self.closed = true;
        self.drain(ctx);
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
        let inline =
            usize::try_from(self.birth.shared.config.store.inline_limit.bytes()).unwrap_or(usize::MAX);
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
            arriving.content = Content::Staging(self.birth.shared.store.stage());
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

    /// Stores a message once it is whole and written.
    fn store(&mut self, id: IncomingId, ctx: &mut Context<Self>) {
        if !self.arriving.get(&id).is_some_and(|arriving| arriving.complete && arriving.writing == 0) {
            return;
        }
        let Some(arriving) = self.arriving.remove(&id) else { return };
        let shared = Arc::clone(&self.birth.shared);
        if usize::try_from(self.stored).unwrap_or(usize::MAX) >= shared.config.deposit.max_messages {
            return self.judge(id, Verdict::Refused(413, Bytes::from_static(b"Too many messages")));
        }
        self.stored += 1;
        self.storing += 1;
        let deposit = SessionDeposit {
            owner: self.birth.owner.clone(),
            sender: self.birth.sender.clone(),
            key: self.birth.envelope.key.clone(),
            envelope: self.birth.envelope.envelope.clone(),
            quota: shared.quota(),
            now: clock::wall(),
            ends: self.birth.envelope.ends,
            remember: shared.config.deposit.remember,
        };
        let draft = Arc::clone(&self.draft);
        let storing = store_message(shared, draft, deposit, arriving);
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
        if let Some(session) = &self.session {
            session.do_send(Judge { id, verdict });
        }
    }

    // ---- the end ----

    /// The session is over: nothing more is taken, what was acknowledged becomes an item.
    fn hang_up(&mut self, cause: &str) {
        self.deadline = None;
        self.arriving.clear();
        if let Some(session) = self.session.take() {
            session.do_send(Close);
        }
        if !std::mem::replace(&mut self.dialog_over, true) {
            tracing::info!(parent: &self.span, cause, "session ended by the store");
            self.birth.invite.bye(None);
        }
    }

    fn close(&mut self, ctx: &mut Context<Self>) {
        if self.closed || !self.dialog_over || self.storing > 0 || self.session.is_some() {
            return;
        }
        self.closed = true;
        let Some(draft) = self.draft.get().copied() else {
            tracing::info!(parent: &self.span, "session without a complete message: no item");
            return;
        };
        let closing = self.birth.shared.store.close_session(draft);
        self.storing += 1;
        ctx.spawn(closing.into_actor(self).map(|closed, recorder, ctx| {
            recorder.storing -= 1;
            match closed {
                Ok(Some(deposited)) => tracing::info!(parent: &recorder.span, message_id = ?deposited.message_id, messages = recorder.stored, "deposited"),
                Ok(None) => {}
                Err(error) => tracing::error!(parent: &recorder.span, %error, "session not closed; it becomes an item when the store is opened again"),
            }
            recorder.drain(ctx);
        }));
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(event) = self.birth.invite.poll_event() {
            self.session_event(event);
        }
        self.close(ctx);
        // A BYE is answered, or sent, when what was said is an item: whoever sees it may look.
        if !self.dialog_over || (self.closed && self.storing == 0) {
            self.birth.port.send_all(&mut self.birth.invite);
        }
        if self.closed && self.storing == 0 && self.birth.invite.is_ended() {
            ctx.stop();
            return;
        }
        let next = [self.birth.invite.poll_timeout(), self.deadline].into_iter().flatten().min();
        self.alarm.arm(ctx, next, Self::ring);
    }

    fn session_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Confirmed { body } => {
                let (Some(local), false) = (&self.local, self.negotiated) else { return };
                let answer = body.map(|body| body.bytes).unwrap_or_default();
                match offer_answer::accept_answer(local, &answer) {
                    Ok(negotiated) => {
                        if let Some(session) = &self.session {
                            session.do_send(Answered { remote: negotiated.remote_path.clone() });
                        }
                        self.negotiated(&negotiated);
                    }
                    Err(_) => self.hang_up("the ACK brought no usable answer"),
                }
            }
            SessionEvent::Reinvite { request } => {
                let answer =
                    self.birth.port.answer_reinvite(&request, self.local.as_mut(), self.birth.shared.agent());
                self.birth.invite.answer_reinvite(clock::now(), answer);
            }
            SessionEvent::Unhandled { txn, request } => {
                self.birth.port.respond(txn, capabilities::within(&request))
            }
            SessionEvent::Reconfirmed { .. } | SessionEvent::ReinviteCancelled => {}
            SessionEvent::Ended { .. } => {
                self.dialog_over = true;
                self.hang_up("ended by the caller");
            }
        }
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        let now = clock::now();
        self.birth.invite.handle_timeout(now);
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            tracing::warn!(parent: &self.span, "nothing came from the caller in time");
            self.hang_up("idle");
        }
        self.drain(ctx);
    }
}

async fn store_message(
    shared: Arc<Shared>,
    draft: Arc<OnceCell<SessionId>>,
    deposit: SessionDeposit,
    arriving: Arriving,
) -> Result<u64, StoreError> {
    if let Some(failure) = arriving.failure {
        return Err(failure);
    }
    let essence = arriving.content_type.as_deref().map_or_else(|| "text/plain".to_owned(), mime::value);
    let (body, text) = match arriving.content {
        Content::Memory(buffer) => {
            let content = buffer.freeze();
            let text = pager::content_is_text(&essence, &content);
            (Body::Inline(content), text)
        }
        Content::Staging(staging) => {
            (staging.finish().await?, pager::content_is_text(&essence, &Bytes::new()))
        }
    };
    let size = body.size();
    let session = *draft.get_or_try_init(|| shared.store.open_session(deposit)).await?;
    let message = NewMessage {
        message_id: arriving.message_id,
        content_type: arriving.content_type,
        headers: arriving.headers,
        body,
        received: clock::wall(),
        text,
    };
    shared.store.append(session, message).await?;
    Ok(size)
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.birth.port.adopt(ctx.address().recipient());
        let RecorderBirth { shared, owner, sender, .. } = &self.birth;
        let asking = shared.store.room(owner.clone(), sender.clone(), shared.quota());
        ctx.spawn(asking.into_actor(self).map(|admitted, recorder, ctx| recorder.admitted(admitted, ctx)));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if let Some(session) = self.session.take() {
            session.do_send(Close);
        }
        self.birth.port.forget();
        self.birth.exited.do_send(Exited::recorder(self.birth.owner.clone()));
    }
}

impl Handler<SessionReport> for Recorder {
    type Result = ();
    fn handle(&mut self, report: SessionReport, ctx: &mut Self::Context) {
        if self.deadline.is_some() {
            self.deadline = Some(clock::now() + self.birth.shared.config.msrp.idle_timeout);
        }
        match report {
            SessionReport::Started { id, message_id, content_type, headers, .. } => {
                self.started_message(id, message_id, content_type, headers)
            }
            SessionReport::Data { id, offset, bytes, credit } => self.data(id, offset, bytes, credit, ctx),
            SessionReport::Complete { id, .. } => {
                if let Some(arriving) = self.arriving.get_mut(&id) {
                    arriving.complete = true;
                }
                self.store(id, ctx);
            }
            SessionReport::Dropped { id } => {
                self.arriving.remove(&id);
            }
            SessionReport::Ended(cause) => self.hang_up(cause),
            SessionReport::Bound
            | SessionReport::Credit(_)
            | SessionReport::Delivered(_)
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
            input => self.birth.port.handle(&mut self.birth.invite, input),
        }
        self.drain(ctx);
    }
}
