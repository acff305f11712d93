//! Mailbox: the subscriptions of one owner to his message summary (RFC 3842). There is one while
//! he has subscriptions; what it knows of the mailbox it asks of the store.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Recipient, WrapFuture,
};
use bytes::Bytes;
use restante::focus::rejection::Rejection;
use restante::focus::summary::{self, Listing};
use restante::machine::sip::{Body, Flow, Notifier, NotifierRecord, NotifyOutcome};
use restante::store::{
    Counts, ItemHead, ItemState, ListQuery, MAX_LIST, Owner, StoreError, SubscriptionRecord,
};
use restante::wire::message_summary;
use restante::wire::sip::{HeaderName, Method, Request, StatusCode, tag_of};

use crate::alarm::Alarm;
use crate::clock;
use crate::endpoint::SipEndpoint;
use crate::fault;
use crate::gate::Guest;
use crate::ports::{Adopt, Asked, DialogInput, Forget, SendRequest};
use crate::shard::{Exited, Idle, Shard};
use crate::shared::Shared;
use crate::supervision;

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
}

/// The shard needs this actor no more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

/// What is written down of a subscription.
#[derive(serde::Serialize, serde::Deserialize)]
struct Written {
    notifier: NotifierRecord,
    /// The highest sequence that a NOTIFY answered 200 has listed.
    listed: Option<u64>,
}

struct Subscription {
    ticket: u64,
    tag: String,
    notifier: Notifier,
    flow: Option<Flow>,
    listed: Option<u64>,
    /// The highest sequence in the NOTIFY on its way, and whether items were left for the next.
    offered: Option<u64>,
    more: bool,
    /// RFC 3842 to the letter: the first NOTIFY lists nothing.
    first: bool,
}

/// The actor.
pub struct Mailbox {
    shared: Arc<Shared>,
    endpoint: Addr<SipEndpoint>,
    shard: Addr<Shard>,
    owner: Owner,
    shard_tag: String,
    subscriptions: Vec<Subscription>,
    next_ticket: u64,
    received: u64,
    user: Option<Recipient<DialogInput>>,
    alarm: Alarm,
    span: tracing::Span,
}

/// What a NOTIFY tells: counts, the items to list, and the newest sequence there is if that was asked.
struct Told {
    counts: Counts,
    items: Vec<ItemHead>,
    newest: Option<u64>,
}

impl Mailbox {
    /// The mailbox of `owner`, without subscriptions yet.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        endpoint: Addr<SipEndpoint>,
        shard: Addr<Shard>,
        owner: Owner,
        shard_tag: String,
    ) -> Self {
        let span = tracing::info_span!("mailbox", mailbox = shared.redacted(&owner));
        Self {
            shared,
            endpoint,
            shard,
            owner,
            shard_tag,
            subscriptions: Vec::new(),
            next_ticket: 1,
            received: 0,
            user: None,
            alarm: Alarm::default(),
            span,
        }
    }

    /// Answers a SUBSCRIBE; returns the ticket of the subscription that it made or refreshed.
    fn subscribe(&mut self, asked: Asked, ctx: &mut Context<Self>) -> Option<u64> {
        let (request, flow) = (asked.request(), asked.flow());
        if let Ok(call_id) = request.headers.call_id() {
            fault::strike("mailbox.subscribe", &call_id);
        }
        let tag = request.headers.get(&HeaderName::To).and_then(tag_of);
        let (response, ticket) = match (self.granted(request), tag) {
            (Err(rejection), _) => (rejection.response(request), None),
            (Ok(granted), None) => match self.open(request, flow, granted, ctx) {
                Ok(response) => (response, self.subscriptions.last().map(|newest| newest.ticket)),
                Err(rejection) => (rejection.response(request), None),
            },
            (Ok(granted), Some(tag)) => {
                let is_it = |known: &&mut Subscription| known.tag.as_bytes() == tag.as_ref();
                match self.subscriptions.iter_mut().find(is_it) {
                    Some(subscription) => {
                        subscription.flow = Some(flow);
                        let response = subscription.notifier.handle_subscribe(clock::now(), request, granted);
                        (response, Some(subscription.ticket))
                    }
                    None => (request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST), None),
                }
            }
        };
        let subscriptions = self.subscriptions.len();
        tracing::info!(parent: &self.span, status = response.status.0, subscriptions, "SUBSCRIBE answered");
        asked.respond(response);
        ticket
    }

    fn open(
        &mut self,
        request: &Request,
        flow: Flow,
        granted: Duration,
        ctx: &Context<Self>,
    ) -> Result<restante::wire::sip::Response, Rejection> {
        if self.subscriptions.len() >= self.shared.config.summary.subscriptions_per_user {
            return Err(Rejection::new(StatusCode::TEMPORARILY_UNAVAILABLE)
                .with(HeaderName::RetryAfter, "60")
                .warning(399, self.shared.agent(), "too many subscriptions"));
        }
        let tag = self.shared.mint_tag(&self.shard_tag);
        let contact = self.shared.contact("summary", &flow);
        let interval = self.shared.config.summary.min_interval;
        let (notifier, response) = Notifier::accept(clock::now(), request, &tag, contact, granted, interval)
            .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
        self.adopt(tag, notifier, Some(flow), None, true, ctx);
        Ok(response)
    }

    fn adopt(
        &mut self,
        tag: String,
        notifier: Notifier,
        flow: Option<Flow>,
        listed: Option<u64>,
        first: bool,
        ctx: &Context<Self>,
    ) {
        let guest = Guest::new(self.owner.clone(), flow);
        self.endpoint.do_send(Adopt { tag: tag.clone(), user: ctx.address().recipient(), txn: None, guest });
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.subscriptions.push(Subscription {
            ticket,
            tag,
            notifier,
            flow,
            listed,
            offered: None,
            more: false,
            first,
        });
    }

    /// For how long a SUBSCRIBE may be granted; zero is a fetch or the end of a subscription.
    fn granted(&self, request: &Request) -> Result<Duration, Rejection> {
        let rules = &self.shared.config.summary;
        let accepts = request
            .headers
            .accept()
            .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
        if accepts.is_some_and(|types| {
            !types.is_empty() && !types.iter().any(|kind| kind.admits(message_summary::MEDIA_TYPE))
        }) {
            return Err(Rejection::new(StatusCode::NOT_ACCEPTABLE)
                .with(HeaderName::Accept, message_summary::MEDIA_TYPE));
        }
        let asked = request
            .headers
            .expires()
            .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
        let Some(asked) = asked.map(|seconds| Duration::from_secs(seconds.into())) else {
            return Ok(rules.expires);
        };
        // RFC 6665 4.2.1.1: 423 MUST come with Min-Expires.
        if !asked.is_zero() && asked < rules.min_expires {
            return Err(Rejection::new(StatusCode::INTERVAL_TOO_BRIEF)
                .with(HeaderName::MinExpires, rules.min_expires.as_secs().to_string()));
        }
        Ok(asked.min(rules.max_expires))
    }

    /// Composes what is due, forgets what has ended, and sets the alarm.
    fn drain(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        for at in 0..self.subscriptions.len() {
            if self.subscriptions.get_mut(at).is_some_and(|subscription| subscription.notifier.due(now)) {
                self.compose(at, ctx);
            }
        }
        let ended: Vec<Subscription> =
            self.subscriptions.extract_if(.., |subscription| subscription.notifier.is_ended()).collect();
        for subscription in ended {
            self.endpoint.do_send(Forget { tag: subscription.tag.clone() });
            let removing =
                self.shared.store.remove_subscription(self.owner.clone(), Bytes::from(subscription.tag));
            ctx.spawn(removing.into_actor(self).map(|removed, mailbox, _| {
                if let Err(error) = removed {
                    tracing::error!(parent: &mailbox.span, %error, "ended subscription not removed from the store");
                }
            }));
        }
        if self.subscriptions.is_empty() {
            self.shard.do_send(Idle { owner: self.owner.clone(), received: self.received });
        }
        let next =
            self.subscriptions.iter().filter_map(|subscription| subscription.notifier.poll_timeout()).min();
        self.alarm.arm(ctx, next, Self::ring);
    }

    fn compose(&mut self, at: usize, ctx: &mut Context<Self>) {
        let Some(subscription) = self.subscriptions.get(at) else { return };
        let (ticket, listed, first) = (subscription.ticket, subscription.listed, subscription.first);
        let rules = &self.shared.summary;
        let query = match rules.listing {
            Listing::None => None,
            Listing::Added if first => Some(ListQuery { state: None, after: None, limit: MAX_LIST }),
            Listing::Pending | Listing::Added => Some(ListQuery {
                state: Some(ItemState::New),
                after: listed,
                limit: rules.max_items.saturating_add(1),
            }),
        };
        let skip = rules.listing == Listing::Added && first;
        let (store, owner) = (Arc::clone(&self.shared.store), self.owner.clone());
        let asking = async move {
            // Counts first: an item that comes in between is told by the next NOTIFY.
            let counts = store.counts(owner.clone()).await?;
            let items = match query {
                Some(query) => store.list(owner, query).await?,
                None => Vec::new(),
            };
            let newest = items.last().map(|item| item.sequence);
            Ok::<_, StoreError>(Told { counts, items: if skip { Vec::new() } else { items }, newest })
        };
        ctx.spawn(asking.into_actor(self).map(move |told, mailbox, ctx| {
            mailbox.notify(ticket, told);
            mailbox.drain(ctx);
        }));
    }

    fn notify(&mut self, ticket: u64, told: Result<Told, StoreError>) {
        let now = clock::now();
        let span = self.span.clone();
        let Some(subscription) = self.subscriptions.iter_mut().find(|known| known.ticket == ticket) else {
            return;
        };
        let mut told = match told {
            Ok(told) => told,
            Err(error) => {
                tracing::error!(parent: &span, %error, "summary not composed, to be tried again");
                subscription.notifier.defer(now);
                return;
            }
        };
        let most = self.shared.summary.max_items;
        subscription.more = told.items.len() > most;
        told.items.truncate(most);
        let last = told.items.last().map(|item| item.sequence);
        let newest = if subscription.more { last } else { last.or(told.newest) };
        subscription.offered = newest.or(subscription.listed);
        let body = summary::summary(
            &self.shared.realm,
            &self.shared.summary,
            &self.owner,
            &told.counts,
            &told.items,
        );
        let request = subscription.notifier.notify(now, Some(Body::new(message_summary::MEDIA_TYPE, body)));
        let next_hop = subscription.notifier.dialog().next_hop();
        let (flow, tag) = (subscription.flow, subscription.tag.clone());
        tracing::debug!(parent: &self.span, tag, items = told.items.len(), "NOTIFY sent");
        self.send(request, next_hop, flow, ticket);
    }

    fn send(&self, request: Request, next_hop: Bytes, flow: Option<Flow>, ticket: u64) {
        if let Some(user) = self.user.clone() {
            self.endpoint.do_send(SendRequest { request: Box::new(request), next_hop, flow, user, ticket });
        }
    }

    fn answered(&mut self, ticket: u64, status: StatusCode, ctx: &mut Context<Self>) {
        let now = clock::now();
        let Some(subscription) = self.subscriptions.iter_mut().find(|known| known.ticket == ticket) else {
            return;
        };
        match subscription.notifier.handle_response(status) {
            NotifyOutcome::Waiting => {}
            NotifyOutcome::Delivered => {
                subscription.listed = subscription.offered;
                subscription.first = false;
                if std::mem::take(&mut subscription.more) {
                    subscription.notifier.changed(now);
                }
                self.write_down(ticket, ctx);
            }
            NotifyOutcome::Refused => {
                tracing::warn!(parent: &self.span, status = status.0, "NOTIFY refused by the subscriber; the next change is told again");
            }
            NotifyOutcome::Ended => {
                tracing::info!(parent: &self.span, status = status.0, "subscription ended")
            }
        }
    }

    /// Writes a subscription down, so that it survives a restart. What fails is tried again with the
    /// next NOTIFY.
    fn write_down(&mut self, ticket: u64, ctx: &mut Context<Self>) {
        let Some(subscription) = self.subscriptions.iter().find(|known| known.ticket == ticket) else {
            return;
        };
        let Some(notifier) = subscription.notifier.record(clock::now(), clock::wall()) else { return };
        let expires = notifier.expires;
        let Ok(record) = serde_json::to_vec(&Written { notifier, listed: subscription.listed }) else {
            return;
        };
        let written = SubscriptionRecord {
            owner: self.owner.clone(),
            key: Bytes::copy_from_slice(subscription.tag.as_bytes()),
            record: Bytes::from(record),
            expires,
        };
        let writing = self.shared.store.put_subscription(written);
        ctx.spawn(writing.into_actor(self).map(|written, mailbox, _| {
            if let Err(error) = written {
                tracing::error!(parent: &mailbox.span, %error, "subscription not written down");
            }
        }));
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        let now = clock::now();
        for subscription in &mut self.subscriptions {
            subscription.notifier.handle_timeout(now);
        }
        self.drain(ctx);
    }
}

/// Where the mailbox has failed, its subscriptions are not lost: they are written down.
impl Drop for Mailbox {
    fn drop(&mut self) {
        if supervision::has_failed() {
            tracing::error!(parent: &self.span, subscriptions = self.subscriptions.len(), "the mailbox has failed: it is made anew from the subscriptions written down");
            for subscription in &self.subscriptions {
                self.endpoint.do_send(Forget { tag: subscription.tag.clone() });
            }
            self.shard.do_send(Exited::mailbox(self.owner.clone()));
        }
    }
}

impl Actor for Mailbox {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.user = Some(ctx.address().recipient());
    }
}

impl Handler<DialogInput> for Mailbox {
    type Result = ();
    fn handle(&mut self, input: DialogInput, ctx: &mut Self::Context) {
        match input {
            DialogInput::Request(asked) if asked.request().method == Method::Subscribe => {
                if asked.request().headers.get(&HeaderName::To).and_then(tag_of).is_none() {
                    self.received += 1;
                }
                if let Some(ticket) = self.subscribe(asked, ctx) {
                    self.write_down(ticket, ctx);
                }
            }
            DialogInput::Request(asked) => {
                let response = Rejection::method_not_allowed().response(asked.request());
                asked.respond(response);
            }
            DialogInput::Response { ticket, response } => self.answered(ticket, response.status, ctx),
            DialogInput::Failed { ticket, cause } => {
                tracing::warn!(parent: &self.span, ?cause, "NOTIFY not answered: subscription ended");
                if let Some(subscription) = self.subscriptions.iter_mut().find(|known| known.ticket == ticket)
                {
                    subscription.notifier.handle_failed();
                }
            }
            // Subscriptions are written down; the next run of the node goes on with them.
            DialogInput::Drain => {
                for subscription in &self.subscriptions {
                    self.endpoint.do_send(Forget { tag: subscription.tag.clone() });
                }
            }
            DialogInput::Ack(_) | DialogInput::Cancelled(_) => {}
        }
        self.drain(ctx);
    }
}

impl Handler<Changed> for Mailbox {
    type Result = ();
    fn handle(&mut self, _: Changed, ctx: &mut Self::Context) {
        let now = clock::now();
        for subscription in &mut self.subscriptions {
            subscription.notifier.changed(now);
        }
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
            (Ok(written), Ok(tag)) => {
                let interval = self.shared.config.summary.min_interval;
                let notifier = Notifier::restore(written.notifier, clock::now(), clock::wall(), interval);
                self.adopt(tag, notifier, None, written.listed, false, ctx);
            }
            _ => tracing::error!(parent: &self.span, "written subscription is damaged: left out"),
        }
        self.drain(ctx);
    }
}

impl Handler<Retire> for Mailbox {
    type Result = ();
    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
