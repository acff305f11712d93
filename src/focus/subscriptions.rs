//! [`Subscriptions`]: all subscriptions to one mailbox's message summary (RFC 3842, RFC 6665), without IO.
//! What is due, which items are asked of the store, what a NOTIFY lists, what is written down.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::rejection::Rejection;
use super::subscriber::{Subscriber, Ticket, Written};
use super::subscription_terms::SubscriptionTerms;
use super::summary::{Described, SummaryRules};
use crate::machine::sip::{Body, Flow, Notifier, NotifyOutcome, Refreshed};
use crate::store::{ListQuery, Overview};
use crate::time::{Instant, Timestamp};
use crate::wire::message_summary;
use crate::wire::sip::{HeaderName, Request, Response, StatusCode, tag_of};

/// The rules of all mailboxes.
#[derive(Clone, Debug)]
pub struct SubscriptionRules {
    /// How long a subscription lasts.
    pub terms: SubscriptionTerms,
    /// How summaries are written.
    pub summary: SummaryRules,
    /// The least time between two NOTIFYs of one subscription.
    pub min_interval: Duration,
    /// Subscriptions to one mailbox at once.
    pub most: usize,
    /// Who speaks in `Warning`s.
    pub agent: String,
}

/// What the mailbox wants done.
#[derive(Debug)]
pub enum Action {
    /// Requests in the dialog with this local tag come here from now on; it was made over this flow, or in
    /// another run.
    Adopt(String, Option<Flow>),
    /// Ask the store for the counts and the items of the query, of one moment; [`Subscriptions::handle_told`].
    Ask(Ticket, Option<ListQuery>),
    /// Send a NOTIFY; [`Subscriptions::handle_response`], [`Subscriptions::handle_failed`],
    /// [`Subscriptions::handle_unresolved`] or [`Subscriptions::handle_crowded`].
    Notify {
        /// Whose it is.
        ticket: Ticket,
        /// The request, without Via.
        request: Box<Request>,
        /// The raw URI to be resolved.
        next_hop: Bytes,
        /// The connection to use while it lives.
        flow: Option<Flow>,
    },
    /// Write a subscription down; [`Subscriptions::handle_written`].
    WriteDown(Writing),
    /// The subscription with this tag is over: forget its dialog, and what was written down.
    Ended(String),
}

/// A subscription to be written down under its tag, in place of what was written before.
#[derive(Debug)]
pub struct Writing {
    /// The dialog's local tag.
    pub tag: String,
    /// What to write.
    pub written: Box<Written>,
    /// When the subscription ends by that.
    pub ends: Instant,
    /// Whether the answer to the SUBSCRIBE that was taken last waits for this.
    pub answers: bool,
}

/// What is to be done with a subscription, to be worked out when it is.
#[derive(Debug)]
enum Due {
    Action(Action),
    WriteDown { ticket: Ticket, answers: bool },
}

/// All subscriptions to one mailbox.
///
/// Inputs: the `handle_*`; commands: [`changed`](Self::changed), [`restore`](Self::restore). After each, call
/// [`drive`](Self::drive), drain [`poll_action`](Self::poll_action), and arm an alarm for
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Subscriptions {
    rules: Arc<SubscriptionRules>,
    subscribers: Vec<Subscriber>,
    tickets: Ticket,
    due: VecDeque<Due>,
}

impl Subscriptions {
    /// A mailbox that nobody watches.
    #[must_use]
    pub const fn new(rules: Arc<SubscriptionRules>) -> Self {
        Self { rules, subscribers: Vec::new(), tickets: 0, due: VecDeque::new() }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &SubscriptionRules {
        &self.rules
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether nobody watches the mailbox.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// The local tags of their dialogs.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.subscribers.iter().map(|subscriber| subscriber.tag.as_str())
    }

    /// Takes a SUBSCRIBE, and gives its answer, to be sent at once unless the next
    /// [`Action::WriteDown`] says that it waits. `tag` and `contact` are for a new subscription.
    #[must_use]
    pub fn handle_subscribe(
        &mut self,
        now: Instant,
        request: &Request,
        flow: Flow,
        tag: impl FnOnce() -> String,
        contact: String,
    ) -> Response {
        let taken = self.rules.terms.grant(request).and_then(|granted| {
            match request.headers.get(&HeaderName::To).and_then(tag_of) {
                None => self.open(now, request, flow, tag(), contact, granted),
                Some(known) => Ok(self.refresh(now, request, flow, &known, granted)),
            }
        });
        taken.unwrap_or_else(|rejection| rejection.response(request))
    }

    fn open(
        &mut self,
        now: Instant,
        request: &Request,
        flow: Flow,
        tag: String,
        contact: String,
        granted: Duration,
    ) -> Result<Response, Rejection> {
        if self.subscribers.len() >= self.rules.most && !self.make_room() {
            return Err(Rejection::new(StatusCode::TEMPORARILY_UNAVAILABLE)
                .with(HeaderName::RetryAfter, "60")
                .warning(399, &self.rules.agent, "too many subscriptions"));
        }
        let interval = self.rules.min_interval;
        let (notifier, response) = Notifier::accept(now, request, flow, &tag, contact, granted, interval)
            .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
        self.tickets += 1;
        self.due.push_back(Due::Action(Action::Adopt(tag.clone(), Some(flow))));
        // Most mailboxes have one subscriber: no room for three more that never come.
        self.subscribers.reserve_exact(1);
        self.subscribers.push(Subscriber::new(self.tickets, tag, notifier));
        self.hold(self.tickets, granted);
        Ok(response)
    }

    /// Ends the subscription that was cut off first from its subscriber. Says whether there was one.
    fn make_room(&mut self) -> bool {
        let known = self.subscribers.iter().enumerate().filter(|(_, known)| !known.is_held());
        let Some(at) = Notifier::lost_first(known.map(|(at, known)| (at, &known.notifier))) else {
            return false;
        };
        let subscriber = self.subscribers.remove(at);
        self.due.push_back(Due::Action(Action::Ended(subscriber.tag)));
        true
    }

    fn refresh(
        &mut self,
        now: Instant,
        request: &Request,
        flow: Flow,
        tag: &[u8],
        granted: Duration,
    ) -> Response {
        let Some(subscriber) = self.subscribers.iter_mut().find(|known| known.tag.as_bytes() == tag) else {
            return request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        };
        let Refreshed { response, abandoned } =
            subscriber.notifier.handle_subscribe(now, request, flow, granted);
        if abandoned {
            // What comes of it bears a ticket that is nobody's any more.
            self.tickets += 1;
            subscriber.ticket = self.tickets;
        }
        if response.status.is_success() {
            let ticket = subscriber.ticket;
            self.hold(ticket, granted);
        }
        response
    }

    /// Takes a request other than SUBSCRIBE in the dialog of a subscription; gives its refusal where it belongs to none, or
    /// is out of order.
    #[must_use]
    pub fn handle_other(&mut self, request: &Request) -> Option<Response> {
        let tag = request.headers.to_tag().unwrap_or_default();
        match self.subscribers.iter_mut().find(|known| known.tag.as_bytes() == tag) {
            Some(subscriber) => subscriber.notifier.handle_other(request),
            None => Some(request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)),
        }
    }

    /// The 200 says that there is a subscription: it waits until a kill cannot undo that, and its NOTIFY
    /// behind it (RFC 6665 4.2.1.2). What is over with its next NOTIFY is not written down.
    fn hold(&mut self, ticket: Ticket, granted: Duration) {
        if !granted.is_zero()
            && let Some(subscriber) = self.subscriber(ticket)
        {
            subscriber.unanswered += 1;
            self.due.push_back(Due::WriteDown { ticket, answers: true });
        }
    }

    fn subscriber(&mut self, ticket: Ticket) -> Option<&mut Subscriber> {
        self.subscribers.iter_mut().find(|known| known.ticket == ticket)
    }

    /// Takes what came of [`Action::WriteDown`] for the dialog with this local tag: whether it is written (`ends` as asked), and whether an answer
    /// waited for it. Gives whether the subscription stands as the answer says; else the SUBSCRIBE is to be
    /// refused.
    ///
    /// What could not be written was not granted: a new subscription is over, another ends when it would have.
    /// Nothing is lost where no answer waited: what a NOTIFY has listed is written down with the next one, and
    /// listed again should the node start anew before.
    pub fn handle_written(&mut self, tag: &str, ends: Instant, answers: bool, done: bool) -> bool {
        let subscriber = self.subscribers.iter_mut().find(|known| known.tag == tag);
        let Some(subscriber) = subscriber else { return false };
        subscriber.unanswered -= u32::from(answers);
        if done {
            subscriber.durable = Some(ends);
        } else if answers {
            match subscriber.durable {
                Some(durable) => subscriber.notifier.end_at(durable),
                None => subscriber.notifier.handle_failed(),
            }
        }
        done && !subscriber.notifier.is_ended()
    }

    /// Goes on with a subscription of another run; `now` and `wall` are the same moment by both clocks. One that is
    /// known is not begun a second time.
    pub fn restore(&mut self, now: Instant, wall: Timestamp, tag: String, written: Written) {
        if self.tags().any(|known| known == tag) {
            return;
        }
        let mut notifier = Notifier::restore(written.notifier, now, wall, self.rules.min_interval);
        // Where the wall clock was put back meanwhile: nobody was granted more than this.
        notifier.end_at(notifier.expires().min(now + self.rules.terms.max_expires));
        self.tickets += 1;
        self.due.push_back(Due::Action(Action::Adopt(tag.clone(), None)));
        self.subscribers.reserve_exact(1);
        self.subscribers.push(Subscriber::restored(self.tickets, tag, notifier, written.listed));
    }

    /// The mailbox has changed.
    pub fn changed(&mut self, now: Instant) {
        for subscriber in &mut self.subscribers {
            subscriber.notifier.changed(now);
        }
    }

    /// Takes what the store has answered to [`Action::Ask`], `None` where it could not; `describe` writes the
    /// summary of what is told.
    pub fn handle_told(
        &mut self,
        now: Instant,
        ticket: Ticket,
        told: Option<Overview>,
        describe: impl FnOnce(&SummaryRules, &Overview) -> Described,
    ) {
        let Some(subscriber) = self.subscribers.iter_mut().find(|known| known.ticket == ticket) else {
            return;
        };
        let Some(told) = told else { return subscriber.notifier.defer(now) };
        let body = subscriber.take(told, &self.rules.summary, describe);
        let body = Body::new(message_summary::MEDIA_TYPE, body);
        let request = Box::new(subscriber.notify(now, body));
        let next_hop = subscriber.notifier.dialog().next_hop();
        let flow = subscriber.notifier.flow();
        self.due.push_back(Due::Action(Action::Notify { ticket, request, next_hop, flow }));
    }

    /// Takes the status of a response to a NOTIFY.
    pub fn handle_response(&mut self, now: Instant, ticket: Ticket, status: StatusCode) -> NotifyOutcome {
        // Of one that is over, or by a connection that its subscriber has left.
        let Some(subscriber) = self.subscriber(ticket) else { return NotifyOutcome::Waiting };
        let outcome = subscriber.handle_response(now, status);
        if outcome == NotifyOutcome::Delivered {
            self.due.push_back(Due::WriteDown { ticket, answers: false });
        }
        outcome
    }

    /// A NOTIFY was [refused](NotifyOutcome::Refused) by this response: what it told is told again at the time that the
    /// response tells, if any. Gives how long that is.
    pub fn retry(&mut self, now: Instant, ticket: Ticket, response: &Response) -> Option<Duration> {
        self.subscriber(ticket)?.notifier.retry(now, response)
    }

    /// A NOTIFY was not answered, or could not be sent.
    pub fn handle_failed(&mut self, ticket: Ticket) {
        if let Some(subscriber) = self.subscriber(ticket) {
            subscriber.notifier.handle_failed();
        }
    }

    /// A NOTIFY was not sent, for the DNS did not say where it goes: what it told is told again after a while. Gives how
    /// long that is; `None` where there is none any more.
    pub fn handle_unresolved(&mut self, now: Instant, ticket: Ticket) -> Option<Duration> {
        self.subscriber(ticket)?.notifier.handle_unresolved(now)
    }

    /// The connection with this number is gone.
    pub fn handle_connection_lost(&mut self, now: Instant, connection: u64) {
        for subscriber in &mut self.subscribers {
            subscriber.notifier.handle_connection_lost(now, connection);
        }
    }

    /// There is no room for the NOTIFY where it goes, and it was not sent: it waits for [`Self::handle_room`], and
    /// so do all changes from now on.
    pub fn handle_crowded(&mut self, now: Instant, ticket: Ticket) {
        if let Some(subscriber) = self.subscriber(ticket) {
            subscriber.notifier.withhold(now);
        }
    }

    /// There is room for the NOTIFY that was not sent.
    pub fn handle_room(&mut self, ticket: Ticket) {
        if let Some(subscriber) = self.subscriber(ticket) {
            subscriber.notifier.resume();
        }
    }

    /// Whether the store is being asked for this one's NOTIFY.
    #[must_use]
    pub fn is_composing(&self, ticket: Ticket) -> bool {
        self.subscribers.iter().any(|known| known.ticket == ticket && known.notifier.is_composing())
    }

    /// The connection on which this one's subscriber came, where it is known.
    #[must_use]
    pub fn flow(&self, ticket: Ticket) -> Option<Flow> {
        self.subscribers.iter().find(|known| known.ticket == ticket)?.notifier.flow()
    }

    /// Does what time asks for: subscriptions expire, NOTIFYs fall due, what has ended is let go.
    pub fn drive(&mut self, now: Instant) {
        for subscriber in self.subscribers.iter_mut().filter(|subscriber| !subscriber.is_held()) {
            subscriber.notifier.handle_timeout(now);
            if subscriber.notifier.due(now) {
                let query = subscriber.query(&self.rules.summary);
                self.due.push_back(Due::Action(Action::Ask(subscriber.ticket, query)));
            }
        }
        let is_over = |subscriber: &mut Subscriber| subscriber.notifier.is_ended() && !subscriber.is_held();
        let ended = self.subscribers.extract_if(.., is_over);
        self.due.extend(ended.map(|subscriber| Due::Action(Action::Ended(subscriber.tag))));
    }

    /// The next thing to do; `now` and `wall` are the same moment by both clocks.
    pub fn poll_action(&mut self, now: Instant, wall: Timestamp) -> Option<Action> {
        while let Some(due) = self.due.pop_front() {
            match due {
                Due::Action(action) => return Some(action),
                Due::WriteDown { ticket, answers } => {
                    let writing = self.subscriber(ticket).and_then(|known| {
                        let written = Box::new(known.written(now, wall)?);
                        let (tag, ends) = (known.tag.clone(), known.notifier.expires());
                        Some(Writing { tag, written, ends, answers })
                    });
                    if let Some(writing) = writing {
                        return Some(Action::WriteDown(writing));
                    }
                }
            }
        }
        // A mailbox that waits holds no buffers.
        self.due = VecDeque::new();
        None
    }

    /// When to call [`drive`](Self::drive).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.subscribers.iter().filter(|subscriber| !subscriber.is_held());
        waiting.filter_map(|subscriber| subscriber.notifier.poll_timeout()).min()
    }
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
