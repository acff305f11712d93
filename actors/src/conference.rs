//! The subscribers to a focus' conference state (RFC 4575), as the focus keeps them.

use bytes::Bytes;
use restante::focus::NOTIFY_BODY;
use restante::focus::conference::Conference;
use restante::focus::fan_out::Participant;
use restante::focus::retrieval::Entry;
use restante::focus::subscription_terms::SubscriptionTerms;
use restante::machine::sip::{Body, Flow, Notifier, NotifyOutcome, TerminationReason};
use restante::time::Instant;
use restante::wire::conference_info;
use restante::wire::sip::{Method, NameAddr, Request, Response, StatusCode};
use std::time::Duration;

use crate::capabilities;
use crate::dialog_port::DialogPort;
use crate::meters::{Package, Subscribed};
use crate::party::Party;
use crate::ports::{DialogInput, Leave};

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

/// All subscribers of one focus.
pub struct ConferenceSubscribers {
    /// What is configured: the most bytes of one document.
    max_body: usize,
    subscribers: Vec<Subscriber>,
    subscribed: Subscribed,
    next_ticket: u64,
    over: bool,
}

struct Subscriber {
    ticket: u64,
    tag: String,
    notifier: Notifier,
    view: Conference,
    /// To send the NOTIFY that has waited.
    leave: Option<Leave>,
}

impl Subscriber {
    /// Whether a request is within its dialog.
    fn is_of(&self, request: &Request) -> bool {
        request.headers.to_tag().is_some_and(|tag| tag == self.tag)
    }

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
}

impl ConferenceSubscribers {
    /// Nobody yet; who comes is told `max_body` bytes at once.
    #[must_use]
    pub fn new(max_body: usize) -> Self {
        Self {
            max_body,
            subscribers: Vec::new(),
            subscribed: Subscribed::to(Package::Conference),
            next_ticket: 1,
            over: false,
        }
    }

    /// Takes what concerns a subscription to the focus of `party`; anything else is given back.
    pub fn handle(&mut self, now: Instant, input: DialogInput, party: &Party) -> Option<DialogInput> {
        match input {
            DialogInput::Request(asked) => {
                let response = self.answer(now, asked.request(), asked.flow(), party);
                let Some(response) = response else { return Some(DialogInput::Request(asked)) };
                if response.status.is_success() {
                    party.port().watch(asked.flow());
                }
                asked.respond(response);
                None
            }
            DialogInput::Response { ticket, response } if self.knows(ticket) => {
                Package::Conference.notified(Some(response.status));
                if let Some(subscriber) = self.find(ticket) {
                    let outcome = subscriber.notifier.handle_response(response.status);
                    if outcome == NotifyOutcome::Refused
                        && subscriber.notifier.retry(now, &response).is_some()
                    {
                        subscriber.view.resend();
                    }
                }
                None
            }
            DialogInput::Failed { ticket, .. } if self.knows(ticket) => {
                Package::Conference.notified(None);
                if let Some(subscriber) = self.find(ticket) {
                    subscriber.notifier.handle_failed();
                }
                None
            }
            DialogInput::LinkGone { link } => {
                for subscriber in &mut self.subscribers {
                    subscriber.notifier.handle_connection_lost(now, link);
                }
                None
            }
            DialogInput::Crowded { ticket } if self.knows(ticket) => {
                if let Some(subscriber) = self.find(ticket) {
                    subscriber.notifier.withhold(now);
                    subscriber.view.resend();
                }
                None
            }
            DialogInput::Room { ticket, leave } if self.knows(ticket) => {
                if let Some(subscriber) = self.find(ticket) {
                    subscriber.notifier.resume();
                    subscriber.leave = Some(leave);
                }
                None
            }
            other => Some(other),
        }
    }

    /// The answer to what concerns a subscription.
    fn answer(&mut self, now: Instant, request: &Request, flow: Flow, party: &Party) -> Option<Response> {
        let subscribes = request.method == Method::Subscribe;
        if subscribes && !request.headers.has_to_tag() {
            return Some(self.subscribe(now, request, flow, party));
        }
        let subscriber = self.subscribers.iter_mut().find(|known| known.is_of(request))?;
        if !subscribes {
            let refused = subscriber.notifier.handle_other(request);
            return Some(refused.unwrap_or_else(|| capabilities::within_subscription(request)));
        }
        if self.over {
            // There is nothing left to subscribe to: what is left to tell is told all the same.
            return Some(request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST));
        }
        let granted = match TERMS.grant(request) {
            Ok(granted) => granted,
            Err(rejection) => return Some(rejection.response(request)),
        };
        let refreshed = subscriber.notifier.handle_subscribe(now, request, flow, granted);
        subscriber.view.resend();
        if refreshed.abandoned {
            // What comes of it bears a ticket that is nobody's any more.
            subscriber.ticket = self.next_ticket;
            self.next_ticket += 1;
        }
        Some(refreshed.response)
    }

    fn subscribe(&mut self, now: Instant, request: &Request, flow: Flow, party: &Party) -> Response {
        if self.over || self.subscribers.len() >= MOST && !self.make_room(party.port()) {
            return request.respond(StatusCode::TEMPORARILY_UNAVAILABLE);
        }
        let granted = match TERMS.grant(request) {
            Ok(granted) => granted,
            Err(rejection) => return rejection.response(request),
        };
        let ticket = self.next_ticket;
        let (port, entity) = (party.port(), entity(party.contact()));
        let tag = format!("{}c{ticket}", port.tag());
        let contact = format!("<{entity}>;isfocus");
        let accepted = Notifier::accept(now, request, flow, &tag, contact, granted, INTERVAL);
        let (notifier, response) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return request.respond_with(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        self.next_ticket += 1;
        port.adopt_also(tag.clone(), flow);
        self.subscribers.push(Subscriber {
            ticket,
            tag,
            notifier,
            view: Conference::new(entity),
            leave: None,
        });
        response
    }

    /// Ends the subscription that was cut off first from its subscriber. Says whether there was one.
    fn make_room(&mut self, port: &DialogPort) -> bool {
        let known = self.subscribers.iter().enumerate();
        let lost = known.filter_map(|(at, known)| known.notifier.lost().map(|lost| (lost, at)));
        let Some((_, at)) = lost.min() else { return false };
        port.forget_also(self.subscribers.remove(at).tag);
        true
    }

    fn knows(&self, ticket: u64) -> bool {
        ticket != crate::dialog_port::INVITE_TICKET && ticket < self.next_ticket
    }

    fn find(&mut self, ticket: u64) -> Option<&mut Subscriber> {
        self.subscribers.iter_mut().find(|subscriber| subscriber.ticket == ticket)
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

    /// Ends the ownership of every dialog: nobody answers in them any more.
    pub fn forget(&mut self, port: &DialogPort) {
        for subscriber in self.subscribers.drain(..) {
            port.forget_also(subscriber.tag);
        }
    }

    /// Whether every subscription has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Subscriptions whose time is up end.
    pub fn handle_timeout(&mut self, now: Instant) {
        for subscriber in &mut self.subscribers {
            subscriber.notifier.handle_timeout(now);
        }
    }

    /// When to call [`Self::handle_timeout`] and [`Self::drain`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.subscribers.iter().filter_map(|subscriber| subscriber.notifier.poll_timeout()).min()
    }

    /// Sends the notifications that are due, and forgets the subscriptions that have ended.
    pub fn drain(&mut self, now: Instant, entries: &[Entry], port: &DialogPort) {
        for subscriber in &mut self.subscribers {
            if subscriber.notifier.due(now) {
                let document = subscriber.view.document(entries, subscriber.room(self.max_body));
                let more = subscriber.view.has_more();
                if self.over && !more {
                    subscriber.notifier.terminate(now, TerminationReason::NoResource, None);
                }
                let body = Body::new(conference_info::MEDIA_TYPE, document);
                let request = subscriber.notifier.notify(now, Some(body));
                match (more, self.over) {
                    (true, true) => subscriber.notifier.hasten(now),
                    (true, false) => subscriber.notifier.changed(now),
                    (false, _) => {}
                }
                let next_hop = subscriber.notifier.dialog().next_hop();
                let leave = subscriber.leave.take();
                port.send(request, next_hop, subscriber.notifier.flow(), subscriber.ticket, leave);
            }
            subscriber.leave = None;
        }
        self.subscribers.retain(|subscriber| {
            let ended = subscriber.notifier.is_ended();
            if ended {
                port.forget_also(subscriber.tag.clone());
            }
            !ended
        });
        self.subscribed.count(self.subscribers.len());
    }
}

/// The URI in our Contact value, which is the focus' own.
fn entity(contact: &str) -> String {
    NameAddr::parse(&Bytes::copy_from_slice(contact.as_bytes()))
        .map_or_else(|_| contact.to_owned(), |address| String::from_utf8_lossy(&address.uri).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_focus_is_the_uri_in_its_contact() {
        for contact in
            ["<sip:f-1@192.0.2.1:5060;transport=tcp>;isfocus", "<sip:f-1@192.0.2.1:5060;transport=tcp>"]
        {
            assert_eq!(entity(contact), "sip:f-1@192.0.2.1:5060;transport=tcp");
        }
    }
}
