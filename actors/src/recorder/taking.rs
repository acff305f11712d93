//! What is said in a session that is deposited: taken as it comes, stored once it is whole, then judged.

use std::rc::Rc;
use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use restante::focus::pager::{self, Pager};
use restante::focus::rejection::Rejection;
use restante::focus::session_deposit;
use restante::machine::msrp::{IncomingId, Verdict};
use restante::machine::sip::ServerTxn;
use restante::store::{Answer, SessionDeposit, Staging, StoreError};
use restante::wire::sip::{Request, StatusCode};

use super::arriving::{self, Arriving, Content};
use super::line::Place;
use super::{Phase, Recorder};
use crate::clock;
use crate::fault;
use crate::meters;
use crate::records::{Said, Way};
use crate::refusals::{self, store_failed};
use crate::seldom::seldom;
use crate::session::ReadCredit;

/// What its header fields say of a content is longer than could be told when it is fetched.
const DESCRIBED_AT_LENGTH: Bytes = Bytes::from_static(b"Content header fields too long");

impl Recorder {
    /// A message begins. Refused at once where it could not be presented as it is described.
    pub(super) fn started_message(
        &mut self,
        id: IncomingId,
        message_id: Bytes,
        content_type: Option<Bytes>,
        headers: Vec<(Bytes, Bytes)>,
    ) {
        if self.phase > Phase::Taking {
            return;
        }
        if !session_deposit::has_room(content_type.as_deref().unwrap_or_default(), &headers) {
            return self.judge(id, Verdict::Refused(413, DESCRIBED_AT_LENGTH));
        }
        self.arriving.insert(id, Arriving::begun(message_id, content_type, headers));
    }

    /// The first chunk of a message that has begun with another says what it is.
    pub(super) fn described_message(
        &mut self,
        id: IncomingId,
        content_type: Bytes,
        headers: Vec<(Bytes, Bytes)>,
    ) {
        let Some(arriving) = self.arriving.get_mut(&id) else { return };
        if session_deposit::has_room(&content_type, &headers) {
            (arriving.content_type, arriving.headers) = (Some(content_type), headers);
        } else {
            self.arriving.remove(&id);
            self.judge(id, Verdict::Refused(413, DESCRIBED_AT_LENGTH));
        }
    }

    pub(super) fn data(
        &mut self,
        id: IncomingId,
        offset: u64,
        bytes: Bytes,
        credit: ReadCredit,
        ctx: &mut Context<Self>,
    ) {
        let inline = usize::try_from(self.shared.config.store.inline_limit.bytes()).unwrap_or(usize::MAX);
        let Some(arriving) = self.arriving.get_mut(&id) else { return };
        // Of what is not whole there is little in memory, and it holds no credit: the rest of it has to be read.
        if arriving.hold(offset, &bytes, credit.batch(), inline) {
            return;
        }
        let gathered = arriving.spill(|| self.shared.store.stage());
        arriving.pass(offset, &bytes);
        if !gathered.is_empty() {
            self.write(id, (), |staging| staging.write(0, gathered), ctx);
        }
        self.write(id, credit, |staging| staging.write(offset, bytes), ctx);
    }

    /// All bytes of a message are there: it has its place behind those that were whole before.
    pub(super) fn completed(
        &mut self,
        id: IncomingId,
        size: u64,
        credit: &ReadCredit,
        ctx: &mut Context<Self>,
    ) {
        let is_full = self.is_full();
        let Some(arriving) = self.arriving.get_mut(&id) else { return };
        fault::strike("recorder.message", &arriving.message_id);
        if arriving.is_ignored(&self.shared.deposit) {
            self.arriving.remove(&id);
            return self.judge(id, Verdict::Stored);
        }
        if is_full {
            self.arriving.remove(&id);
            return self.judge(id, Verdict::Refused(413, Bytes::from_static(b"Too many messages")));
        }
        self.stored += 1;
        arriving.place = Some(self.line.place());
        if arriving.ends_at(size, credit) {
            self.write(id, (), |staging| staging.truncate(size), ctx);
        }
        self.store(id, ctx);
    }

    /// Has something done to what the store has of a content; the `credit` is free when it is done.
    fn write(
        &mut self,
        id: IncomingId,
        credit: impl Sized + 'static,
        write: impl FnOnce(&dyn Staging) -> Answer<()>,
        ctx: &mut Context<Self>,
    ) {
        let Some(arriving) = self.arriving.get_mut(&id) else { return };
        let Content::Staging(staging, _) = &arriving.content else { return };
        let writing = write(&**staging);
        arriving.writing += 1;
        ctx.spawn(writing.into_actor(self).map(move |written, recorder, ctx| {
            drop(credit);
            if let Some(arriving) = recorder.arriving.get_mut(&id) {
                arriving.writing -= 1;
                arriving.failure = arriving.failure.take().or(written.err());
            }
            recorder.store(id, ctx);
            recorder.turn.end_with(ctx, Self::drain);
        }));
    }

    /// A MESSAGE in the dialog belongs to what is said in it: it becomes a message of the session.
    pub(super) fn message(&mut self, txn: ServerTxn, request: &Request, ctx: &mut Context<Self>) {
        // RFC 3261 15.1.1: the session is over with our BYE, also where that waits for the ACK of our 2xx.
        if self.phase > Phase::Taking {
            let over = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            return self.party.respond(txn, request.respond(over));
        }
        let kept = match pager::pager(request, &self.shared.deposit, clock::wall()) {
            Ok(Pager::Kept { envelope, .. }) => envelope,
            Ok(Pager::Ignored) => return self.party.respond(txn, request.respond(StatusCode::ACCEPTED)),
            Err(rejection) => return self.party.respond(txn, rejection.response(request)),
        };
        if self.is_full() {
            let full = Rejection::new(StatusCode::REQUEST_ENTITY_TOO_LARGE);
            return self.party.respond(txn, full.response(request));
        }
        let arriving = Arriving::whole(kept.content, request.body.as_ref());
        self.stored += 1;
        let place = self.line.place();
        let storing = self.storing_of(arriving, place);
        let accepted = request.respond(StatusCode::ACCEPTED);
        let request = request.clone();
        ctx.spawn(storing.into_actor(self).map(move |stored, recorder, ctx| {
            recorder.storing -= 1;
            let response = match stored {
                Ok(_) => {
                    meters::session_message("stored");
                    accepted
                }
                Err(error) => {
                    recorder.stored -= 1;
                    meters::session_message("refused");
                    seldom!(warn, parent: &recorder.span, %error, "MESSAGE in the dialog refused");
                    refusals::of_store(&error, recorder.shared.agent()).response(&request)
                }
            };
            recorder.party.respond(txn, response);
            recorder.turn.end_with(ctx, Self::drain);
        }));
    }

    fn is_full(&self) -> bool {
        usize::try_from(self.stored).unwrap_or(usize::MAX) >= self.shared.config.deposit.max_messages
    }

    /// Begins to store a message of the session.
    fn storing_of(
        &mut self,
        arriving: Arriving,
        place: Place,
    ) -> impl Future<Output = Result<u64, StoreError>> + use<> {
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
        arriving::store(Arc::clone(&self.shared), Rc::clone(&self.draft), deposit, arriving, place)
    }

    /// Stores a message once it is whole and written.
    pub(super) fn store(&mut self, id: IncomingId, ctx: &mut Context<Self>) {
        if !self.arriving.get(&id).is_some_and(|arriving| arriving.is_whole() && arriving.writing == 0) {
            return;
        }
        let Some(mut arriving) = self.arriving.remove(&id) else { return };
        let Some(place) = arriving.place.take() else { return };
        let storing = self.storing_of(arriving, place);
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
                    store_failed!(&error, parent: &self.span, %error, status, "message refused: the store failed");
                } else {
                    seldom!(warn, parent: &self.span, %error, status, "message refused");
                }
                self.judge(id, Verdict::Refused(status, refusals::comment_of_store(&error)));
            }
        }
        self.turn.end_with(ctx, Self::drain);
    }

    fn judge(&mut self, id: IncomingId, verdict: Verdict) {
        meters::session_message(if verdict == Verdict::Stored { "stored" } else { "refused" });
        self.party.tap().msrp(Way::Out, || match &verdict {
            Verdict::Stored => Said::Answer(200),
            Verdict::Refused(status, comment) => {
                Said::Words(format!("{status} {} (SEND)", comment.escape_ascii()).into())
            }
        });
        if let (Some(session), _) = self.party.session() {
            session.judge(clock::now(), id, &verdict);
        }
    }
}
