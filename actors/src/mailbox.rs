//! Mailbox: the subscriptions of one owner to his message summary (RFC 3842). There is one while
//! he has subscriptions; it feeds and drains [`Subscriptions`], which knows the rules, and asks the store what
//! they are told.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use bytes::Bytes;
use restante::focus::rejection::Rejection;
use restante::focus::subscriber::{Ticket, Written};
use restante::focus::subscriptions::{Action, Subscriptions, Writing};
use restante::focus::summary;
use restante::machine::sip::{FailureCause, Flow, NotifyOutcome};
use restante::store::{ListQuery, Owner, Store, StoreError, SubscriptionCursor, SubscriptionRecord};
use restante::wire::sip::{HeaderName, Method, Response, StatusCode, tag_of};
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::alarm::Alarm;
use crate::capabilities;
use crate::clock;
use crate::fault;
use crate::gate::Guest;
use crate::meters::{Package, Subscribed};
use crate::ports::{
    Adopt, Asked, Await, DialogInput, DialogUser, Forget, Leave, SendRequest, ToEndpoint, WatchLink,
};
use crate::refusals::{self, store_failed};
use crate::seldom::seldom;
use crate::shard::{Idle, Shard};
use crate::shared::Shared;
use crate::supervision::{self, Exited};

/// The mailbox changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Changed;

/// A subscription that was written down by an earlier run of the node.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Restore {
    /// As [`restante::store::Store::subscriptions`] gave it.
    pub record: SubscriptionRecord,
    /// Dropped when the Endpoint has been told of its dialog.
    pub known: Option<mpsc::Sender<()>>,
}

/// The shard needs this actor no more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

/// The actor.
pub struct Mailbox {
    shared: Arc<Shared>,
    endpoint: ToEndpoint,
    shard: Addr<Shard>,
    owner: Owner,
    shard_tag: String,
    subscriptions: Subscriptions,
    /// Messages had from the shard.
    received: u64,
    /// A SUBSCRIBE and its answer, until it is known whether something is written down first.
    answer: Option<Box<(Asked, Response)>>,
    user: Option<DialogUser>,
    /// Boxed, since it is rare: most mailboxes never wait.
    leaves: Option<Box<Leaves>>,
    subscribed: Subscribed,
    /// The node stops: the next run goes on.
    left: bool,
    alarm: Alarm,
    span: tracing::Span,
}

/// What lets the NOTIFYs go that have waited for room, while they are being composed.
#[derive(Default)]
struct Leaves(Vec<(Ticket, Leave)>);

impl Leaves {
    fn has(&self, ticket: Ticket) -> bool {
        self.0.iter().any(|(known, _)| *known == ticket)
    }

    fn take(&mut self, ticket: Ticket) -> Option<Leave> {
        let position = self.0.iter().position(|(known, _)| *known == ticket)?;
        Some(self.0.swap_remove(position).1)
    }
}

impl Mailbox {
    /// The mailbox of `owner`, without subscriptions yet.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        endpoint: ToEndpoint,
        shard: Addr<Shard>,
        owner: Owner,
        shard_tag: String,
    ) -> Self {
        let span = tracing::info_span!("mailbox", mailbox = shared.redacted(&owner));
        Self {
            subscriptions: Subscriptions::new(Arc::clone(&shared.subscriptions)),
            shared,
            endpoint,
            shard,
            owner,
            shard_tag,
            received: 0,
            answer: None,
            user: None,
            leaves: None,
            subscribed: Subscribed::to(Package::MessageSummary),
            left: false,
            alarm: Alarm::default(),
            span,
        }
    }

    fn subscribe(&mut self, asked: Asked) {
        let (request, flow) = (asked.request(), asked.flow());
        if let Ok(call_id) = request.headers.call_id() {
            fault::strike("mailbox.subscribe", &call_id);
        }
        if request.headers.get(&HeaderName::To).and_then(tag_of).is_none() {
            self.received += 1;
        }
        let tag = || self.shared.mint_tag(&self.shard_tag);
        let contact = self.shared.contact("summary", &flow, request);
        let response = self.subscriptions.handle_subscribe(clock::now(), request, flow, tag, contact);
        if let Some(user) = self.user.clone().filter(|_| flow.transport.is_web()) {
            self.endpoint.do_send(WatchLink { flow, user });
        }
        let subscriptions = self.subscriptions.len();
        let (call_id, peer, status) = (request.headers.call_id_text(), flow.peer, response.status.0);
        seldom!(info, parent: &self.span, %call_id, %peer, status, subscriptions, "SUBSCRIBE answered");
        self.answer = Some(Box::new((asked, response)));
    }

    /// Answers the SUBSCRIBE that was taken last, if nothing has to be written down for it.
    fn answer(&mut self) {
        if let Some(answer) = self.answer.take() {
            let (asked, response) = *answer;
            asked.respond(response);
        }
    }

    fn answered(&mut self, ticket: Ticket, response: &Response) {
        let (now, status) = (clock::now(), response.status.0);
        Package::MessageSummary.notified(Some(response.status));
        match self.subscriptions.handle_response(now, ticket, response.status) {
            NotifyOutcome::Waiting | NotifyOutcome::Delivered => {}
            NotifyOutcome::Refused => match self.subscriptions.retry(now, ticket, response) {
                Some(after) => {
                    seldom!(info, parent: &self.span, status, seconds = after.as_secs(), "NOTIFY refused for a while: to be sent again");
                }
                None => {
                    seldom!(warn, parent: &self.span, status, "NOTIFY refused by the subscriber; the next change is told again");
                }
            },
            NotifyOutcome::Ended => {
                seldom!(info, parent: &self.span, status, "subscription ended");
            }
        }
    }

    fn unresolved(&mut self, ticket: Ticket) {
        Package::MessageSummary.unresolved();
        match self.subscriptions.handle_unresolved(clock::now(), ticket).map(|after| after.as_secs()) {
            Some(seconds) => {
                seldom!(warn, parent: &self.span, seconds, "NOTIFY not sent: the DNS does not answer; to be sent again");
            }
            None => {
                seldom!(warn, parent: &self.span, "NOTIFY not sent: the DNS does not answer; subscription ended");
            }
        }
    }

    // ---- the turn of the wheel ----

    fn drain(&mut self, ctx: &mut Context<Self>) {
        if self.left {
            return;
        }
        self.subscriptions.drive(clock::now());
        while let Some(action) = self.subscriptions.poll_action(clock::now(), clock::wall()) {
            self.act(action, ctx);
        }
        // Whoever could not compose, or has ended, has nothing to send.
        if let Some(leaves) = &mut self.leaves {
            leaves.0.retain(|(ticket, _)| self.subscriptions.is_composing(*ticket));
            self.leaves.take_if(|leaves| leaves.0.is_empty());
        }
        self.subscribed.count(self.subscriptions.len());
        if self.subscriptions.is_empty() {
            self.shard.do_send(Idle { owner: self.owner.clone(), received: self.received });
        }
        self.alarm.arm(ctx, self.subscriptions.poll_timeout(), Self::ring);
    }

    fn act(&mut self, action: Action, ctx: &mut Context<Self>) {
        match action {
            Action::Adopt(tag, flow) => {
                let guest = Guest::of(self.owner.clone(), flow);
                if let Some(user) = self.user.clone() {
                    self.endpoint.do_send(Adopt { tag, user, txn: None, guest });
                }
            }
            Action::Ask(ticket, _) if self.is_crowded(ticket) => self.wait(ticket),
            Action::Ask(ticket, query) => self.ask(ticket, query, ctx),
            Action::Notify { ticket, request, next_hop, flow } => {
                let leave = self.leaves.as_mut().and_then(|leaves| leaves.take(ticket));
                if let Some(user) = self.user.clone() {
                    self.endpoint.do_send(SendRequest { request, next_hop, flow, user, ticket, leave });
                }
            }
            Action::WriteDown(writing) => self.write_down(writing, ctx),
            Action::Ended(tag) => self.let_go(tag),
        }
    }

    /// Whether the NOTIFY would not be sent: so it is not composed.
    fn is_crowded(&self, ticket: Ticket) -> bool {
        let crowded = |flow: Flow| self.shared.sip.is_crowded(&flow);
        self.leaves.as_ref().is_none_or(|leaves| !leaves.has(ticket))
            && self.subscriptions.flow(ticket).is_some_and(crowded)
    }

    /// Has the NOTIFY wait for room.
    fn wait(&mut self, ticket: Ticket) {
        if let Some((flow, user)) = self.subscriptions.flow(ticket).zip(self.user.clone()) {
            self.endpoint.do_send(Await { link: flow.connection, user, ticket });
            self.subscriptions.handle_crowded(clock::now(), ticket);
        }
    }

    fn ask(&self, ticket: Ticket, query: Option<ListQuery>, ctx: &mut Context<Self>) {
        let asking = self.shared.store.summary(self.owner.clone(), query);
        ctx.spawn(asking.into_actor(self).map(move |mut told, mailbox, ctx| {
            if let Ok(told) = &mut told {
                told.pass_over_ended(mailbox.shared.expiry.now());
            }
            if let Err(error) = &told {
                store_failed!(error, parent: &mailbox.span, %error, "summary not composed, to be tried again");
            }
            let (shared, owner) = (Arc::clone(&mailbox.shared), &mailbox.owner);
            mailbox.subscriptions.handle_told(clock::now(), ticket, told.ok(), |rules, told| {
                summary::summary(&shared.realm, rules, owner, &told.counts, &told.items)
            });
            mailbox.drain(ctx);
        }));
    }

    /// The answer that waits for it goes when it is written, or is a refusal: nothing is granted that a kill
    /// would undo. What else cannot be written is written with the next NOTIFY that arrives.
    fn write_down(&mut self, writing: Writing, ctx: &mut Context<Self>) {
        let Writing { tag, written, ends, answers } = writing;
        let answer = self.answer.take_if(|_| answers);
        let putting = self.shared.store.put_subscription(SubscriptionRecord {
            owner: self.owner.clone(),
            key: Bytes::copy_from_slice(tag.as_bytes()),
            // invariant: of strings and numbers, which can all be written.
            record: Bytes::from(serde_json::to_vec(&written).unwrap_or_default()),
            expires: written.notifier.expires,
        });
        let putting = self.shared.in_time(putting);
        ctx.spawn(putting.into_actor(self).map(move |put, mailbox, ctx| {
            let stands = mailbox.subscriptions.handle_written(&tag, ends, answers, put.is_ok());
            if let Some(answer) = answer {
                let (asked, granted) = *answer;
                let response = mailbox.confirmed(&asked, granted, put.err().as_ref(), stands);
                asked.respond(response);
            } else if let Err(error) = put {
                seldom!(warn, parent: &mailbox.span, %error, "not written down which items a NOTIFY has listed: they are listed again if the node starts anew before the next NOTIFY");
            }
            mailbox.drain(ctx);
        }));
    }

    /// The answer to a SUBSCRIBE whose subscription was written down, or was not for this `error`.
    fn confirmed(
        &self,
        asked: &Asked,
        granted: Response,
        error: Option<&StoreError>,
        stands: bool,
    ) -> Response {
        match error {
            Some(error) => {
                let rejection = refusals::of_store(error, self.shared.agent());
                store_failed!(error, parent: &self.span, %error, status = rejection.status.0, "SUBSCRIBE refused: the subscription could not be written down");
                rejection.response(asked.request())
            }
            None if stands => granted,
            None => asked.request().respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        }
    }

    fn let_go(&self, tag: String) {
        self.endpoint.do_send(Forget { tag: tag.clone() });
        let (store, owner) = (Arc::clone(&self.shared.store), self.owner.clone());
        // Not the actor's own: it may be the last subscription, with which the actor ends.
        actix::spawn(removed(store, owner, Bytes::from(tag)).instrument(self.span.clone()));
    }

    /// Lets go of the dialogs; the subscriptions are written down.
    fn forget(&self) {
        for tag in self.subscriptions.tags() {
            self.endpoint.do_send(Forget { tag: tag.to_owned() });
        }
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        self.drain(ctx);
    }
}

/// How soon the removal of an ended subscription that has failed is tried again, then after twice as long, and how often.
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 7;

/// Removes an ended subscription from the store: the next run would go on with it.
async fn removed(store: Arc<dyn Store>, owner: Owner, key: Bytes) {
    for failures in 0..TRIES {
        let Err(error) = store.remove_subscription(owner.clone(), key.clone()).await else { return };
        if failures == 0 {
            store_failed!(&error, %error, "ended subscription not removed from the store, to be tried again");
        }
        tokio::time::sleep(AGAIN * 2_u32.pow(failures)).await;
    }
    seldom!(
        error,
        "ended subscription not removed from the store: it goes on with the next run, until it expires"
    );
}

/// Subscriptions of one mailbox that are gone on with; `subscriptions_per_user` bounds those there are.
const RESTORED_AT_ONCE: usize = 1000;

/// What is written down of one owner's subscriptions.
///
/// # Errors
/// What keeps the store from saying.
pub async fn written_down(store: &dyn Store, owner: &Owner) -> Result<Vec<SubscriptionRecord>, StoreError> {
    // No key comes before an empty one.
    let first = SubscriptionCursor { owner: owner.clone(), key: Bytes::new() };
    let mut found = store.subscriptions(Some(first), RESTORED_AT_ONCE).await?;
    found.retain(|record| record.owner == *owner && record.expires > clock::wall());
    Ok(found)
}

/// Where the mailbox has failed, its subscriptions are not lost: they are written down.
impl Drop for Mailbox {
    fn drop(&mut self) {
        if supervision::has_failed() {
            tracing::error!(parent: &self.span, subscriptions = self.subscriptions.len(), "the mailbox has failed: it is made anew from the subscriptions written down");
            self.forget();
            self.shard.do_send(Exited::mailbox(self.owner.clone()));
        }
    }
}

impl Actor for Mailbox {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.user = Some(DialogUser::new(ctx.address().recipient()));
    }
}

impl Handler<DialogInput> for Mailbox {
    type Result = ();
    fn handle(&mut self, input: DialogInput, ctx: &mut Self::Context) {
        match input {
            // Nothing is written down any more, so nothing is granted.
            DialogInput::Request(asked) if self.left => {
                let refused = Rejection::unavailable_for_now().response(asked.request());
                return asked.respond(refused);
            }
            DialogInput::Request(asked) if asked.request().method == Method::Subscribe => {
                self.subscribe(asked);
                self.drain(ctx);
                return self.answer();
            }
            DialogInput::Request(asked) => {
                let request = asked.request();
                let refused = self.subscriptions.handle_other(request);
                let response = refused.unwrap_or_else(|| capabilities::within_subscription(request));
                asked.respond(response);
            }
            DialogInput::Response { ticket, response } => self.answered(ticket, &response),
            DialogInput::Failed { ticket, cause: FailureCause::Unresolved } => self.unresolved(ticket),
            DialogInput::Failed { ticket, cause } => {
                seldom!(warn, parent: &self.span, ?cause, "NOTIFY not answered: subscription ended");
                Package::MessageSummary.notified(None);
                self.subscriptions.handle_failed(ticket);
            }
            DialogInput::Crowded { ticket } => self.subscriptions.handle_crowded(clock::now(), ticket),
            DialogInput::Room { ticket, leave } => {
                self.leaves.get_or_insert_default().0.push((ticket, leave));
                self.subscriptions.handle_room(ticket);
            }
            DialogInput::LinkGone { link } => {
                self.subscriptions.handle_connection_lost(clock::now(), link);
            }
            // The next run of the node goes on with them: none is ended by what is not heard any more.
            DialogInput::Drain => {
                self.left = true;
                self.forget();
            }
            DialogInput::Ack(_) | DialogInput::Cancelled(_) | DialogInput::GivenUp(_) => {}
        }
        self.drain(ctx);
    }
}

impl Handler<Changed> for Mailbox {
    type Result = ();
    fn handle(&mut self, _: Changed, ctx: &mut Self::Context) {
        self.subscriptions.changed(clock::now());
        self.drain(ctx);
    }
}

impl Handler<Restore> for Mailbox {
    type Result = ();
    fn handle(&mut self, restore: Restore, ctx: &mut Self::Context) {
        self.received += 1;
        let written: Result<Written, _> = serde_json::from_slice(&restore.record.record);
        let tag = String::from_utf8(restore.record.key.to_vec());
        match (written, tag) {
            (Ok(mut written), Ok(tag)) => {
                written.notifier.contact = self.shared.todays_contact(written.notifier.contact);
                self.subscriptions.restore(clock::now(), clock::wall(), tag, written);
            }
            _ => tracing::error!(parent: &self.span, "written subscription is damaged: left out"),
        }
        self.drain(ctx);
        drop(restore.known);
    }
}

impl Handler<Retire> for Mailbox {
    type Result = ();
    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use restante::store::faulty::{Faulty, Plan};
    use restante::store::memory::Memory;
    use restante::time::Timestamp;

    #[tokio::test(start_paused = true)]
    async fn an_ended_subscription_is_removed_although_that_failed_first() {
        let memory = Memory::new();
        let (owner, key) = (Owner::new(b"bob", "example.com"), Bytes::from_static(b"tag"));
        let (record, expires) = (Bytes::new(), Timestamp(u64::MAX));
        let written = SubscriptionRecord { owner: owner.clone(), key: key.clone(), record, expires };
        memory.put_subscription(written).await.unwrap();
        let store = Faulty::new(memory, Plan { unavailable: 1000, ..Plan::default() }, 1);
        let removing = tokio::spawn(removed(Arc::new(store.clone()), owner, key));
        while store.struck().unavailable < 3 {
            tokio::time::sleep(AGAIN).await;
        }
        store.follow(Plan::default());
        removing.await.unwrap();
        assert_eq!(store.subscriptions(None, 9).await.unwrap(), []);
        // A store that never works is given up.
        store.follow(Plan { unavailable: 1000, ..Plan::default() });
        removed(Arc::new(store), Owner::new(b"bob", "example.com"), Bytes::new()).await;
    }
}
