//! The SIP side of a client: [`UserAgent`], all its transactions, sessions and subscriptions over one endpoint.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::account::Account;
use super::errand::{Errand, Role};
use super::invitation::{Invitation, InvitationAction};
use super::opening::{Opening, identify};
use super::outbound::{Outbound, next_hop};
use super::pager::PagerMessage;
use super::selection::OPTION;
use super::stray::{ALLOW, stray};
use super::subscription::Subscription;
use super::subscription_event::SubscriptionAction;
use super::usage::{Going, Invite, Kind, Usage, UserAgentEvent};
use crate::entropy::Entropy;
use crate::machine::digest::Login;
use crate::machine::sip::{
    ClientTxn, Destination, Endpoint, EndpointConfig, EndpointEvent, Flow, ServerTxn, Timers, Transmit,
    TransmitId, Transport,
};
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Message, Method, Request};

/// What a user agent is set up with.
#[derive(Clone, Debug)]
pub struct UserAgentConfig {
    /// Who it is.
    pub account: Account,
    /// Where its requests go: the node, or a proxy before it.
    pub outbound: Destination,
    /// Where they go if that fails, in this order (RFC 3263 4.3).
    pub fallbacks: Vec<Destination>,
    /// How long one of several places may keep silent before the next is tried.
    pub patience: Duration,
    /// The address at which it is reached, `host:port`, for Contact.
    pub contact: String,
    /// Timers, and the addresses it sends from.
    pub endpoint: EndpointConfig,
    /// What answers a challenge; without it, a challenge is a refusal.
    pub login: Option<Login>,
}

/// A client's SIP side, without IO.
///
/// * Inputs: [`handle_message`](Self::handle_message), [`handle_timeout`](Self::handle_timeout),
///   [`handle_transport_error`](Self::handle_transport_error),
///   [`handle_connection_lost`](Self::handle_connection_lost).
/// * Commands: [`deposit`](Self::deposit), [`invite`](Self::invite), [`subscribe`](Self::subscribe);
///   [`bye`](Self::bye), [`unsubscribe`](Self::unsubscribe).
/// * After each of them, drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event),
///   then arm one alarm for [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct UserAgent {
    account: Account,
    pub(super) outbound: Outbound,
    pub(super) patience: Duration,
    /// Where it is reached, `user@host:port`, and the transport that goes with it.
    contact: (String, Transport),
    timers: Timers,
    pub(super) endpoint: Endpoint,
    pub(super) login: Option<Login>,
    pub(super) usages: BTreeMap<Usage, Going>,
    pub(super) errands: HashMap<ClientTxn, Errand>,
    /// Sessions that are over, kept for 2xx that come again.
    lingering: VecDeque<(Instant, Usage)>,
    next: u64,
    pub(super) events: VecDeque<(Usage, UserAgentEvent)>,
}

impl UserAgent {
    /// A user agent that has done nothing.
    #[must_use]
    pub fn new(config: UserAgentConfig, entropy: &mut dyn Entropy) -> Self {
        let UserAgentConfig { account, outbound, fallbacks, patience, contact, endpoint, login } = config;
        Self {
            contact: (format!("{}@{contact}", account.user()), outbound.transport),
            account,
            outbound: Outbound::new(outbound, fallbacks),
            patience,
            timers: endpoint.timers,
            endpoint: Endpoint::new(endpoint, entropy),
            login,
            usages: BTreeMap::new(),
            errands: HashMap::new(),
            lingering: VecDeque::new(),
            next: 0,
            events: VecDeque::new(),
        }
    }

    /// Who it is.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Whether nothing is going on but what ends by itself.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let over = |usage: &Usage| self.lingering.iter().any(|(_, lingering)| lingering == usage);
        self.usages.keys().all(over)
    }

    /// Everything that is going on.
    pub fn usages(&self) -> impl Iterator<Item = Usage> {
        self.usages.keys().copied()
    }

    /// What a transmit belongs to; nothing, for an answer or an ACK.
    #[must_use]
    pub fn sender_of(&self, id: TransmitId) -> Option<Usage> {
        match id {
            TransmitId::Client(txn, _) => self.errands.get(&txn).map(|errand| errand.usage),
            TransmitId::Server(_) | TransmitId::Stateless => None,
        }
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    /// The next thing for the user to know.
    pub fn poll_event(&mut self) -> Option<(Usage, UserAgentEvent)> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let usages = self.usages.values().filter_map(Going::poll_timeout);
        let places = self.errands.values().filter_map(|errand| errand.until);
        let linger = self.lingering.front().map(|(at, _)| *at);
        usages.chain(places).chain(self.endpoint.poll_timeout()).chain(linger).min()
    }

    /// Deposits a page-mode message: [`UserAgentEvent::Answered`] says that it is in safe hands. The same
    /// `opening` again is the same deposit.
    pub fn deposit(
        &mut self,
        now: Instant,
        message: &PagerMessage,
        opening: &Opening,
        entropy: &mut dyn Entropy,
    ) -> Usage {
        let request = message.request(opening, &self.account);
        let usage = self.begin(Kind::Single);
        self.send_out(now, usage, request, entropy);
        self.drain(now, usage, entropy);
        usage
    }

    /// Invites somebody to a session.
    pub fn invite(
        &mut self,
        now: Instant,
        invite: Invite<'_>,
        opening: &Opening,
        entropy: &mut dyn Entropy,
    ) -> Usage {
        let mut request = opening.request(Method::Invite, invite.uri, invite.to, &self.account);
        let headers = &mut request.headers;
        // RFC 3261 8.1.1.8: a request that can open a dialog MUST have a Contact.
        headers.push(HeaderName::Contact, self.contact(invite.uri));
        headers.push(HeaderName::Allow, Bytes::from_static(ALLOW));
        if invite.needs_list {
            // RFC 5366 5: the option tag stands in Require.
            headers.push(HeaderName::Require, OPTION);
        }
        if let Some(about) = invite.about {
            about.describe(&mut request);
        }
        request.headers.push(HeaderName::ContentType, invite.body.content_type);
        request.body = invite.body.bytes;
        let usage = self.begin(Kind::Session(Box::new(Invitation::new(request))));
        self.drain(now, usage, entropy);
        usage
    }

    /// Subscribes to the package `event` at `uri`; a duration of zero fetches its state once.
    pub fn subscribe(
        &mut self,
        now: Instant,
        (uri, event, accept): (&str, &str, &str),
        wanted: Duration,
        opening: &Opening,
        entropy: &mut dyn Entropy,
    ) -> Usage {
        let mut request = opening.request(Method::Subscribe, uri, uri, &self.account);
        request.headers.push(HeaderName::Event, event.to_owned());
        request.headers.push(HeaderName::Accept, accept.to_owned());
        let subscription = Subscription::new(now, request, self.contact(uri), wanted, self.timers);
        let usage = self.begin(Kind::Subscription(Box::new(subscription)));
        self.drain(now, usage, entropy);
        usage
    }

    /// Ends a session, or gives it up before it is accepted.
    pub fn bye(&mut self, now: Instant, usage: Usage, reason: Option<&str>, entropy: &mut dyn Entropy) {
        if let Some(invitation) = self.usages.get_mut(&usage).and_then(Going::invitation) {
            invitation.bye(reason);
        }
        self.drain(now, usage, entropy);
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, now: Instant, usage: Usage, entropy: &mut dyn Entropy) {
        if let Some(subscription) = self.usages.get_mut(&usage).and_then(Going::subscription) {
            subscription.unsubscribe(now);
        }
        self.drain(now, usage, entropy);
    }

    /// Takes a message off the wire.
    pub fn handle_message(&mut self, now: Instant, message: Message, flow: Flow, entropy: &mut dyn Entropy) {
        match message {
            Message::Request(request) => self.endpoint.handle_request(now, request, flow),
            Message::Response(response) => self.endpoint.handle_response(now, response, flow),
        }
        self.drain_endpoint(now, entropy);
    }

    /// Takes back what could not be sent.
    pub fn handle_transport_error(&mut self, now: Instant, failed: TransmitId, entropy: &mut dyn Entropy) {
        self.endpoint.handle_transport_error(now, failed);
        self.drain_endpoint(now, entropy);
    }

    /// A connection to `peer` is gone, whoever closed it: subscriptions that were made over it are refreshed soon.
    pub fn handle_connection_lost(&mut self, now: Instant, transport: Transport, peer: SocketAddr) {
        for going in self.usages.values_mut() {
            let over = |place: &Destination| place.transport == transport && place.addr == peer;
            if going.place.as_ref().is_some_and(over)
                && let Some(subscription) = going.subscription()
            {
                subscription.handle_connection_lost(now);
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        while let Some((_, usage)) = self.lingering.front().copied().filter(|(at, _)| *at <= now) {
            self.lingering.pop_front();
            self.usages.remove(&usage);
        }
        let due = |going: &Going| going.poll_timeout().is_some_and(|at| at <= now);
        let usages: Vec<Usage> =
            self.usages.iter().filter(|(_, going)| due(going)).map(|(usage, _)| *usage).collect();
        for usage in usages {
            if let Some(subscription) = self.usages.get_mut(&usage).and_then(Going::subscription) {
                subscription.handle_timeout(now);
            }
            self.drain(now, usage, entropy);
        }
        self.give_up_places(now, entropy);
        self.endpoint.handle_timeout(now);
        self.drain_endpoint(now, entropy);
    }

    fn begin(&mut self, kind: Kind) -> Usage {
        self.next += 1;
        let usage = Usage(self.next);
        self.usages.insert(usage, Going::new(kind));
        usage
    }

    /// The Contact of a request to `uri`.
    fn contact(&self, uri: &str) -> String {
        let (address, transport) = &self.contact;
        // RFC 3261 8.1.1.8: where the Request-URI is a SIPS URI, the Contact MUST be one, too.
        if uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:")) {
            return format!("<sips:{address}>");
        }
        match transport {
            Transport::Udp => format!("<sip:{address}>"),
            other => format!("<sip:{address};transport={}>", other.label()),
        }
    }

    fn drain_endpoint(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                EndpointEvent::Response { txn, response, .. } => self.response(now, txn, &response, entropy),
                EndpointEvent::Failed { txn, cause } => self.failed(now, txn, cause, entropy),
                EndpointEvent::Request { txn, request, .. } => self.request(now, txn, &request, entropy),
                // We accept no INVITE: no ACK is awaited, nothing of ours is cancelled, and that a response
                // of ours was lost shows in the request that comes again.
                EndpointEvent::Ack { .. } | EndpointEvent::Cancelled { .. } | EndpointEvent::Ended { .. } => {
                }
            }
        }
    }

    /// Gives a request to the usage it belongs to, or answers it.
    fn request(&mut self, now: Instant, txn: ServerTxn, request: &Request, entropy: &mut dyn Entropy) {
        let found = self.usages.iter().find(|(_, going)| going.matches(request));
        let Some(usage) = found.map(|(usage, _)| *usage) else {
            self.endpoint.respond(now, txn, stray(request));
            return;
        };
        match self.usages.get_mut(&usage).map(|going| &mut going.kind) {
            Some(Kind::Session(invitation)) => invitation.handle_request(txn, request),
            Some(Kind::Subscription(subscription)) => subscription.handle_request(now, txn, request),
            Some(Kind::Single) | None => {}
        }
        self.drain(now, usage, entropy);
    }

    /// Does what a usage wants, and tells what it tells.
    pub(super) fn drain(&mut self, now: Instant, usage: Usage, entropy: &mut dyn Entropy) {
        loop {
            let acted = match self.usages.get_mut(&usage).map(|going| &mut going.kind) {
                Some(Kind::Session(invitation)) => match invitation.poll_action() {
                    Some(action) => self.act(now, usage, action, entropy),
                    None => false,
                },
                Some(Kind::Subscription(subscription)) => match subscription.poll_action() {
                    Some(action) => self.act_subscription(now, usage, action, entropy),
                    None => false,
                },
                Some(Kind::Single) | None => false,
            };
            if !acted {
                break;
            }
        }
        self.tell(now, usage);
        // What was commanded may have failed at once.
        if self.endpoint.has_events() {
            self.drain_endpoint(now, entropy);
        }
    }

    fn act(
        &mut self,
        now: Instant,
        usage: Usage,
        action: InvitationAction,
        entropy: &mut dyn Entropy,
    ) -> bool {
        let next = self.next_hop(usage);
        match action {
            InvitationAction::Invite(request) => self.send_out(now, usage, request, entropy),
            InvitationAction::Bye(request) => {
                self.transmit(now, Errand::new(usage, Role::Bye, next, None), request, entropy);
            }
            InvitationAction::HangUp(request) => {
                self.transmit(now, Errand::new(usage, Role::Unawaited, next, None), request, entropy);
            }
            InvitationAction::Ack(request) => self.endpoint.send_ack(request, next, entropy),
            InvitationAction::Cancel => {
                if let Some(txn) = self.usages.get(&usage).and_then(|going| going.txn) {
                    self.endpoint.cancel(now, txn);
                }
            }
            InvitationAction::Respond(txn, response) => {
                self.endpoint.respond(now, txn, response);
            }
        }
        true
    }

    fn act_subscription(
        &mut self,
        now: Instant,
        usage: Usage,
        action: SubscriptionAction,
        entropy: &mut dyn Entropy,
    ) -> bool {
        match action {
            SubscriptionAction::Subscribe(request) => {
                if self.usages.get(&usage).and_then(Going::dialog).is_none() {
                    self.send_out(now, usage, request, entropy);
                } else {
                    let next = self.next_hop(usage);
                    self.transmit(now, Errand::new(usage, Role::Opening, next, None), request, entropy);
                }
            }
            SubscriptionAction::Anew => {
                let host = self.contact.0.rsplit_once('@').map_or("", |(_, host)| host);
                let opening = identify(host, entropy);
                if let Some(subscription) = self.usages.get_mut(&usage).and_then(Going::subscription) {
                    subscription.anew(now, &opening, &self.account);
                }
            }
            SubscriptionAction::Respond(txn, response) => {
                self.endpoint.respond(now, txn, response);
            }
        }
        true
    }

    fn tell(&mut self, now: Instant, usage: Usage) {
        match self.usages.get_mut(&usage).map(|going| &mut going.kind) {
            Some(Kind::Session(invitation)) => {
                while let Some(event) = invitation.poll_event() {
                    self.events.push_back((usage, UserAgentEvent::Session(event)));
                }
                if invitation.is_ended() && self.lingering.iter().all(|(_, known)| *known != usage) {
                    self.lingering.push_back((now + self.timers.give_up(), usage));
                }
            }
            Some(Kind::Subscription(subscription)) => {
                while let Some(event) = subscription.poll_event() {
                    self.events.push_back((usage, UserAgentEvent::Subscription(event)));
                }
                if subscription.is_ended() {
                    self.usages.remove(&usage);
                }
            }
            Some(Kind::Single) | None => {}
        }
    }

    /// Where the next request of a usage's dialog goes.
    fn next_hop(&self, usage: Usage) -> Destination {
        let going = self.usages.get(&usage);
        let place = going.and_then(|going| going.place.clone()).unwrap_or_else(|| self.outbound.first().1);
        next_hop(&place, going.and_then(Going::dialog))
    }
}
