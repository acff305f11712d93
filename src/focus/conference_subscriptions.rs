//! [`ConferenceSubscriptions`]: all subscriptions to the conference state of one focus (RFC 4575, RFC 6665), without IO.
//! What is due, what a NOTIFY tells, when one is over.

use std::time::Duration;

use bytes::Bytes;

use super::NOTIFY_BODY;
use super::conference::Conference;
use super::fan_out::Participant;
use super::rejection::Rejection;
use super::retrieval::Entry;
use super::subscriber::Ticket;
use super::subscription_terms::SubscriptionTerms;
use crate::machine::sip::{Body, Flow, Notifier, NotifyOutcome, TerminationReason};
use crate::queue::Queue;
use crate::time::Instant;
use crate::wire::conference_info;
use crate::wire::sip::{NameAddr, Request, Response, StatusCode};

/// Subscriptions to one focus at once.
const MOST: usize = 8;
/// A subscription to a focus lives as long as the focus, at most this long without refresh (RFC 4575 3.4).
const TERMS: SubscriptionTerms = SubscriptionTerms {
    media_type: conference_info::MEDIA_TYPE,
    expires: Duration::from_secs(3600),
    min_expires: Duration::from_secs(10),
    max_expires: Duration::from_secs(3600),
};
/// RFC 4575 3.9: at most one NOTIFY a second; the first and the last are not held up.
const INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of the document of a NOTIFY over a connection, of which others may hold as much beside it.
const STREAM_BODY: usize = 512 << 10;
/// Bytes of the document of a NOTIFY that none follows: more would close the connection.
const LAST_BODY: usize = 1 << 20;

/// What the focus wants done.
#[derive(Debug)]
pub enum ConferenceAction {
    /// Requests in the dialog with this local tag come here from now on; it was made over this flow.
    Adopt(String, Flow),
    /// Send a NOTIFY; [`ConferenceSubscriptions::handle_response`], [`ConferenceSubscriptions::handle_failed`],
    /// [`ConferenceSubscriptions::handle_unresolved`] or [`ConferenceSubscriptions::handle_crowded`].
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
    /// The subscription in the dialog with this local tag is over.
    Ended(String),
}

/// All subscriptions to one focus.
///
/// Inputs: the `handle_*`; commands: [`changed`](Self::changed), [`end`](Self::end), [`fail`](Self::fail). After each, call
/// [`drive`](Self::drive), drain [`poll_action`](Self::poll_action), and arm an alarm for
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct ConferenceSubscriptions {
    /// What is configured: the most bytes of one document.
    max_body: usize,
    subscribers: Vec<Subscriber>,
    tickets: Ticket,
    over: bool,
    due: Queue<ConferenceAction>,
}

#[derive(Debug)]
struct Subscriber {
    ticket: Ticket,
    /// The dialog's local tag.
    tag: String,
    notifier: Notifier,
    view: Conference,
}

impl Subscriber {
    /// Bytes of the document that the next NOTIFY may hold: by datagram less than by a connection. The last one, and the one of
    /// a fetch, tells all that it can: none follows. Where less is configured somebody on the way takes no more, whatever it is for.
    fn room(&self, max_body: usize) -> usize {
        match self.notifier.flow() {
            _ if max_body < NOTIFY_BODY => max_body,
            _ if !self.notifier.is_active() => LAST_BODY,
            Some(flow) if flow.transport.is_reliable() => STREAM_BODY,
            _ => NOTIFY_BODY,
        }
    }

    /// The NOTIFY that is due; `over` says whether the conference is.
    fn notify(&mut self, now: Instant, entries: &[Entry], max_body: usize, over: bool) -> ConferenceAction {
        let document = self.view.document(entries, self.room(max_body));
        let more = self.view.has_more();
        if over && !more {
            self.notifier.terminate(now, TerminationReason::NoResource, None);
        }
        let body = Body::new(conference_info::MEDIA_TYPE, document);
        let request = Box::new(self.notifier.notify(now, Some(body)));
        match (more, over) {
            (true, true) => self.notifier.hasten(now),
            (true, false) => self.notifier.changed(now),
            (false, _) => {}
        }
        let next_hop = self.notifier.dialog().next_hop();
        ConferenceAction::Notify { ticket: self.ticket, request, next_hop, flow: self.notifier.flow() }
    }
}

impl ConferenceSubscriptions {
    /// Nobody yet; who comes is told `max_body` bytes at once.
    #[must_use]
    pub const fn new(max_body: usize) -> Self {
        Self { max_body, subscribers: Vec::new(), tickets: 0, over: false, due: Queue::new() }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether nobody is told any more.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// The local tags of their dialogs.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.subscribers.iter().map(|subscriber| subscriber.tag.as_str())
    }

    /// Whether a request is within the dialog of one of them.
    #[must_use]
    pub fn has_dialog_of(&self, request: &Request) -> bool {
        request.headers.to_tag().is_some_and(|tag| self.tags().any(|known| tag == *known))
    }

    /// Whether what bears this ticket is of one of them, or was.
    #[must_use]
    pub const fn knows(&self, ticket: Ticket) -> bool {
        1 <= ticket && ticket <= self.tickets
    }

    /// Takes a SUBSCRIBE for the focus with this local tag and Contact, and gives its answer.
    #[must_use]
    pub fn handle_subscribe(
        &mut self,
        now: Instant,
        request: &Request,
        flow: Flow,
        (tag, contact): (&str, &str),
    ) -> Response {
        let taken = match request.headers.to_tag() {
            None => self.open(now, request, flow, tag, contact),
            Some(known) => self.refresh(now, request, flow, &known),
        };
        taken.unwrap_or_else(|rejection| rejection.response(request))
    }

    fn open(
        &mut self,
        now: Instant,
        request: &Request,
        flow: Flow,
        tag: &str,
        contact: &str,
    ) -> Result<Response, Rejection> {
        if self.over || self.subscribers.len() >= MOST && !self.make_room() {
            return Err(Rejection::new(StatusCode::TEMPORARILY_UNAVAILABLE));
        }
        let granted = TERMS.grant(request)?;
        let ticket = self.tickets + 1;
        let (tag, entity) = (format!("{tag}c{ticket}"), entity(contact));
        let contact = format!("<{entity}>;isfocus");
        let (notifier, response) = Notifier::accept(now, request, flow, &tag, contact, granted, INTERVAL)
            .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
        self.tickets = ticket;
        self.due.push_back(ConferenceAction::Adopt(tag.clone(), flow));
        self.subscribers.push(Subscriber { ticket, tag, notifier, view: Conference::new(entity) });
        Ok(response)
    }

    /// Ends the subscription that was cut off first from its subscriber. Says whether there was one.
    fn make_room(&mut self) -> bool {
        let known = self.subscribers.iter().enumerate().map(|(at, known)| (at, &known.notifier));
        let Some(at) = Notifier::lost_first(known) else { return false };
        self.due.push_back(ConferenceAction::Ended(self.subscribers.remove(at).tag));
        true
    }

    fn refresh(
        &mut self,
        now: Instant,
        request: &Request,
        flow: Flow,
        tag: &[u8],
    ) -> Result<Response, Rejection> {
        let known = self.subscribers.iter_mut().find(|known| known.tag.as_bytes() == tag);
        // When it is over there is nothing left to subscribe to: what is left to tell is told all the same.
        let Some(subscriber) = known.filter(|_| !self.over) else {
            return Ok(request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST));
        };
        let refreshed = subscriber.notifier.handle_subscribe(now, request, flow, TERMS.grant(request)?);
        if refreshed.response.status.is_success() {
            subscriber.view.resend();
        }
        if refreshed.abandoned {
            // What comes of it bears a ticket that is nobody's any more.
            self.tickets += 1;
            subscriber.ticket = self.tickets;
        }
        Ok(refreshed.response)
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

    fn subscriber(&mut self, ticket: Ticket) -> Option<&mut Subscriber> {
        self.subscribers.iter_mut().find(|known| known.ticket == ticket)
    }

    /// Takes a response to a NOTIFY.
    pub fn handle_response(&mut self, now: Instant, ticket: Ticket, response: &Response) {
        // None: of one that is over, or by a connection that its subscriber has left.
        let Some(subscriber) = self.subscriber(ticket) else { return };
        let outcome = subscriber.notifier.handle_response(response.status);
        if outcome == NotifyOutcome::Refused && subscriber.notifier.retry(now, response).is_some() {
            subscriber.view.resend();
        }
    }

    /// A NOTIFY was not answered, or could not be sent.
    pub fn handle_failed(&mut self, ticket: Ticket) {
        if let Some(subscriber) = self.subscriber(ticket) {
            subscriber.notifier.handle_failed();
        }
    }

    /// A NOTIFY was not sent, for the DNS did not say where it goes: all is told after a while. Gives how long that is;
    /// `None` where there is none any more.
    pub fn handle_unresolved(&mut self, now: Instant, ticket: Ticket) -> Option<Duration> {
        let subscriber = self.subscriber(ticket)?;
        let after = subscriber.notifier.handle_unresolved(now)?;
        subscriber.view.resend();
        Some(after)
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
            subscriber.view.resend();
        }
    }

    /// There is room for the NOTIFY that was not sent.
    pub fn handle_room(&mut self, ticket: Ticket) {
        if let Some(subscriber) = self.subscriber(ticket) {
            subscriber.notifier.resume();
        }
    }

    /// A participant changed.
    pub fn changed(&mut self, now: Instant, participant: Participant) {
        for subscriber in &mut self.subscribers {
            subscriber.view.changed(participant);
            subscriber.notifier.changed(now);
        }
    }

    /// The conference is over: every subscriber is told at once what is left to tell, and gets a last NOTIFY.
    pub fn end(&mut self, now: Instant) {
        self.over = true;
        for subscriber in &mut self.subscribers {
            subscriber.notifier.hasten(now);
        }
    }

    /// The conference has failed: the next NOTIFY of every subscriber is the last.
    pub fn fail(&mut self, now: Instant) {
        self.over = true;
        for subscriber in &mut self.subscribers {
            subscriber.notifier.terminate(now, TerminationReason::NoResource, None);
        }
    }

    /// Does what time asks for: subscriptions expire, NOTIFYs of what `entries` are fall due, what has ended is let go.
    pub fn drive(&mut self, now: Instant, entries: &[Entry]) {
        for subscriber in &mut self.subscribers {
            subscriber.notifier.handle_timeout(now);
            if subscriber.notifier.due(now) {
                self.due.push_back(subscriber.notify(now, entries, self.max_body, self.over));
            }
        }
        for ended in self.subscribers.extract_if(.., |subscriber| subscriber.notifier.is_ended()) {
            self.due.push_back(ConferenceAction::Ended(ended.tag));
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<ConferenceAction> {
        self.due.pop_front()
    }

    /// When to call [`Self::drive`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.subscribers.iter().filter_map(|subscriber| subscriber.notifier.poll_timeout()).min()
    }
}

/// The URI in our Contact value, which is the focus' own.
fn entity(contact: &str) -> String {
    NameAddr::parse(&Bytes::copy_from_slice(contact.as_bytes()))
        .map_or_else(|_| contact.to_owned(), |address| String::from_utf8_lossy(&address.uri).into_owned())
}

#[cfg(test)]
#[path = "conference_subscriptions_tests.rs"]
mod tests;
