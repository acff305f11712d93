//! The SIP side of a client: [`UserAgent`], all its transactions, sessions and subscriptions over one endpoint.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::account::Account;
use super::invitation::{Invitation, InvitationAction, InvitationEvent};
use super::opening::{Draw, Opening};
use super::pager::PagerMessage;
use super::refusal::Refusal;
use super::selection::OPTION;
use super::subscription::{Subscription, SubscriptionAction, SubscriptionEvent};
use crate::entropy::Entropy;
use crate::machine::digest::Login;
use crate::machine::sip::{
    Body, ClientTxn, Destination, Dialog, Endpoint, EndpointConfig, EndpointEvent, FailureCause, Flow,
    ServerTxn, Transmit, TransmitId, Transport,
};
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Host, Message, Method, Request, Response, SipUri, StatusCode};

/// The methods a client answers to.
pub(super) const ALLOW: &[u8] = b"INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY, UPDATE";

/// How often a request is sent: once, with credentials, with a fresh nonce.
const MOST_ATTEMPTS: u8 = 3;

/// What a user agent is set up with.
#[derive(Clone, Debug)]
pub struct UserAgentConfig {
    /// Who it is.
    pub account: Account,
    /// Where its requests go: the node, or a proxy before it.
    pub outbound: Destination,
    /// The address at which it is reached, `host:port`, for Contact.
    pub contact: String,
    /// Timers, and the addresses it sends from.
    pub endpoint: EndpointConfig,
    /// What answers a challenge; without it, a challenge is a refusal.
    pub login: Option<Login>,
}

/// Names something a user agent was asked to do; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usage(u64);

/// What a user agent tells its user of a [`Usage`].
#[derive(Debug)]
pub enum UserAgentEvent {
    /// A request of its own was answered with 2xx. Nothing follows.
    Answered(Response),
    /// It was refused. Nothing follows.
    Refused(Refusal),
    /// It was not answered. Nothing follows.
    Failed(FailureCause),
    /// Something happened to a session.
    Session(InvitationEvent),
    /// Something happened to a subscription.
    Subscription(SubscriptionEvent),
}

/// A client's SIP side, without IO.
///
/// * Inputs: [`handle_message`](Self::handle_message), [`handle_timeout`](Self::handle_timeout),
///   [`handle_transport_error`](Self::handle_transport_error).
/// * Commands: [`deposit`](Self::deposit), [`invite`](Self::invite), [`subscribe`](Self::subscribe);
///   [`bye`](Self::bye), [`unsubscribe`](Self::unsubscribe).
/// * After each of them, drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event),
///   then arm one alarm for [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct UserAgent {
    account: Account,
    outbound: Destination,
    contact: String,
    timers: crate::machine::sip::Timers,
    endpoint: Endpoint,
    login: Option<Login>,
    usages: BTreeMap<Usage, Kind>,
    sent: HashMap<ClientTxn, Sent>,
    /// Sessions that are over, kept for 2xx that come again.
    lingering: VecDeque<(Instant, Usage)>,
    next: u64,
    events: VecDeque<(Usage, UserAgentEvent)>,
}

#[derive(Debug)]
enum Kind {
    /// One request.
    Single,
    Session {
        invitation: Box<Invitation>,
        txn: Option<ClientTxn>,
    },
    Subscription(Box<Subscription>),
}

/// A request on its way.
#[derive(Debug)]
struct Sent {
    usage: Usage,
    role: Role,
    /// As it was given, without Via and credentials, where a challenge may have to be answered.
    request: Option<Box<Request>>,
    /// Whether it went with credentials.
    authorized: bool,
    to: Destination,
    attempts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// What opens the usage, or a SUBSCRIBE that refreshes it.
    Opening,
    Bye,
    /// Nobody waits for the response.
    Unawaited,
}

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct Invite<'a> {
    /// The Request-URI.
    pub uri: &'a str,
    /// The URI in To.
    pub to: &'a str,
    /// The offer, with a URI-list where there is one.
    pub body: Body,
    /// Whether the peer must understand the URI-list.
    pub needs_list: bool,
    /// What is told about it: subject, priority, date and expiry of the message that is deposited.
    pub about: Option<&'a PagerMessage>,
}

impl UserAgent {
    /// A user agent that has done nothing.
    #[must_use]
    pub fn new(config: UserAgentConfig, entropy: &mut dyn Entropy) -> Self {
        let UserAgentConfig { account, outbound, contact, endpoint, login } = config;
        let transport = match outbound.transport {
            Transport::Udp => String::new(),
            other => format!(";transport={}", other.via_name().to_ascii_lowercase()),
        };
        Self {
            contact: format!("<sip:{}@{contact}{transport}>", account.user()),
            account,
            outbound,
            timers: endpoint.timers,
            endpoint: Endpoint::new(endpoint, entropy),
            login,
            usages: BTreeMap::new(),
            sent: HashMap::new(),
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
            TransmitId::Client(txn, _) => self.sent.get(&txn).map(|sent| sent.usage),
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
        let subscriptions = self.usages.values().filter_map(|kind| match kind {
            Kind::Subscription(subscription) => subscription.poll_timeout(),
            _ => None,
        });
        let linger = self.lingering.front().map(|(at, _)| *at);
        subscriptions.chain(self.endpoint.poll_timeout()).chain(linger).min()
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
        let outbound = self.outbound.clone();
        self.send(now, usage, Role::Opening, request, outbound, entropy);
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
        headers.push(HeaderName::Contact, self.contact.clone());
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
        let invitation = Box::new(Invitation::new(request));
        let usage = self.begin(Kind::Session { invitation, txn: None });
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
        let subscription = Subscription::new(now, request, self.contact.clone(), wanted, self.timers);
        let usage = self.begin(Kind::Subscription(Box::new(subscription)));
        self.drain(now, usage, entropy);
        usage
    }

    /// Ends a session, or gives it up before it is accepted.
    pub fn bye(&mut self, now: Instant, usage: Usage, reason: Option<&str>, entropy: &mut dyn Entropy) {
        if let Some(Kind::Session { invitation, .. }) = self.usages.get_mut(&usage) {
            invitation.bye(reason);
        }
        self.drain(now, usage, entropy);
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, now: Instant, usage: Usage, entropy: &mut dyn Entropy) {
        if let Some(Kind::Subscription(subscription)) = self.usages.get_mut(&usage) {
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

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        while let Some((_, usage)) = self.lingering.front().copied().filter(|(at, _)| *at <= now) {
            self.lingering.pop_front();
            self.usages.remove(&usage);
        }
        let due = |kind: &Kind| match kind {
            Kind::Subscription(subscription) => subscription.poll_timeout().is_some_and(|at| at <= now),
            _ => false,
        };
        let usages: Vec<Usage> =
            self.usages.iter().filter(|(_, kind)| due(kind)).map(|(usage, _)| *usage).collect();
        for usage in usages {
            if let Some(Kind::Subscription(subscription)) = self.usages.get_mut(&usage) {
                subscription.handle_timeout(now);
            }
            self.drain(now, usage, entropy);
        }
        self.endpoint.handle_timeout(now);
        self.drain_endpoint(now, entropy);
    }

    fn begin(&mut self, kind: Kind) -> Usage {
        self.next += 1;
        let usage = Usage(self.next);
        self.usages.insert(usage, kind);
        usage
    }

    fn send(
        &mut self,
        now: Instant,
        usage: Usage,
        role: Role,
        request: Request,
        to: Destination,
        entropy: &mut dyn Entropy,
    ) {
        let sent = Sent { usage, role, request: None, authorized: false, to, attempts: 1 };
        self.transmit(now, sent, request, entropy);
    }

    /// Sends a request, with credentials where they have been asked for before.
    fn transmit(&mut self, now: Instant, mut sent: Sent, mut request: Request, entropy: &mut dyn Entropy) {
        if let Some(login) = &mut self.login {
            sent.request = Some(Box::new(request.clone()));
            sent.authorized = login.is_challenged();
            if sent.authorized {
                login.authorize(&mut request, &Draw(entropy).token(16));
            }
        }
        if sent.role != Role::Unawaited {
            let again = sent.attempts > 1;
            match self.usages.get_mut(&sent.usage) {
                Some(Kind::Session { invitation, .. }) => invitation.sent(&request, again),
                Some(Kind::Subscription(subscription)) => subscription.sent(&request, again),
                _ => {}
            }
        }
        let opens = sent.role == Role::Opening;
        let (usage, to) = (sent.usage, sent.to.clone());
        let txn = self.endpoint.request(now, request, to, entropy);
        self.sent.insert(txn, sent);
        if let Some(Kind::Session { txn: known, .. }) = self.usages.get_mut(&usage)
            && opens
        {
            *known = Some(txn);
        }
    }

    /// Answers a challenge by the same request with credentials. Says whether it could.
    fn answer_challenge(
        &mut self,
        now: Instant,
        txn: ClientTxn,
        response: &Response,
        entropy: &mut dyn Entropy,
    ) -> bool {
        let Some(login) = &mut self.login else { return false };
        if !matches!(response.status.0, 401 | 407) {
            if response.status.is_final() {
                login.accepted();
            }
            return false;
        }
        let Some(sent) = self.sent.get(&txn).filter(|sent| sent.attempts < MOST_ATTEMPTS) else {
            return false;
        };
        // Where it went without, while another request was being challenged, nothing was refused.
        let ready = login.is_challenged() && !sent.authorized;
        if !ready && login.challenged(response).is_err() {
            return false;
        }
        let Some(mut sent) = self.sent.remove(&txn) else { return false };
        let Some(mut request) = sent.request.take() else { return false };
        // RFC 3261 22.2: the CSeq MUST be incremented, as it would be for any new request.
        let number = request.headers.cseq().map_or(1, |cseq| cseq.number) + 1;
        let cseq = format!("{number} {}", request.method);
        request.headers.set(HeaderName::CSeq, cseq);
        sent.attempts += 1;
        self.transmit(now, sent, *request, entropy);
        true
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

    fn response(&mut self, now: Instant, txn: ClientTxn, response: &Response, entropy: &mut dyn Entropy) {
        let Some(Sent { usage, role, .. }) = self.sent.get(&txn) else { return };
        let (usage, role) = (*usage, *role);
        if self.answer_challenge(now, txn, response, entropy) {
            return self.drain(now, usage, entropy);
        }
        let is_final = response.status.is_final();
        match (self.usages.get_mut(&usage), role) {
            (Some(Kind::Session { invitation, .. }), Role::Opening) => invitation.handle_response(response),
            (Some(Kind::Session { invitation, .. }), Role::Bye) if is_final => {
                invitation.handle_bye_response();
            }
            (Some(Kind::Subscription(subscription)), Role::Opening) => {
                subscription.handle_response(now, response);
            }
            (Some(Kind::Single), _) if is_final => {
                self.usages.remove(&usage);
                self.events.push_back(match response.status.is_success() {
                    true => (usage, UserAgentEvent::Answered(response.clone())),
                    false => (usage, UserAgentEvent::Refused(Refusal::of(response))),
                });
            }
            _ => {}
        }
        // Further 2xx to an INVITE may come (RFC 6026 7.2).
        let more = response.status.is_success() && response.is_for(&Method::Invite);
        if is_final && !more {
            self.sent.remove(&txn);
        }
        self.drain(now, usage, entropy);
    }

    fn failed(&mut self, now: Instant, txn: ClientTxn, cause: FailureCause, entropy: &mut dyn Entropy) {
        let Some(Sent { usage, role, .. }) = self.sent.remove(&txn) else { return };
        match (self.usages.get_mut(&usage), role) {
            (Some(Kind::Session { invitation, .. }), Role::Opening) => invitation.handle_failed(cause),
            (Some(Kind::Session { invitation, .. }), Role::Bye) => invitation.handle_bye_response(),
            (Some(Kind::Subscription(subscription)), Role::Opening) => subscription.handle_failed(cause),
            (Some(Kind::Single), _) => {
                self.usages.remove(&usage);
                self.events.push_back((usage, UserAgentEvent::Failed(cause)));
            }
            _ => {}
        }
        self.drain(now, usage, entropy);
    }

    /// Gives a request to the usage it belongs to, or answers it.
    fn request(&mut self, now: Instant, txn: ServerTxn, request: &Request, entropy: &mut dyn Entropy) {
        let found = self.usages.iter().find(|(_, kind)| match kind {
            Kind::Single => false,
            Kind::Session { invitation, .. } => invitation.matches(request),
            Kind::Subscription(subscription) => subscription.matches(request),
        });
        let Some(usage) = found.map(|(usage, _)| *usage) else {
            self.endpoint.respond(now, txn, stray(request));
            return;
        };
        match self.usages.get_mut(&usage) {
            Some(Kind::Session { invitation, .. }) => invitation.handle_request(txn, request),
            Some(Kind::Subscription(subscription)) => subscription.handle_request(now, txn, request),
            _ => {}
        }
        self.drain(now, usage, entropy);
    }

    /// Does what a usage wants, and tells what it tells.
    fn drain(&mut self, now: Instant, usage: Usage, entropy: &mut dyn Entropy) {
        loop {
            let acted = match self.usages.get_mut(&usage) {
                Some(Kind::Session { invitation, .. }) => match invitation.poll_action() {
                    Some(action) => self.act(now, usage, action, entropy),
                    None => false,
                },
                Some(Kind::Subscription(subscription)) => match subscription.poll_action() {
                    Some(action) => self.act_subscription(now, usage, action, entropy),
                    None => false,
                },
                _ => false,
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
            InvitationAction::Invite(request) => {
                let outbound = self.outbound.clone();
                self.send(now, usage, Role::Opening, request, outbound, entropy);
            }
            InvitationAction::Bye(request) => {
                self.send(now, usage, Role::Bye, request, next, entropy);
            }
            InvitationAction::HangUp(request) => {
                self.send(now, usage, Role::Unawaited, request, next, entropy);
            }
            InvitationAction::Ack(request) => self.endpoint.send_ack(request, next, entropy),
            InvitationAction::Cancel => {
                if let Some(Kind::Session { txn: Some(txn), .. }) = self.usages.get(&usage) {
                    self.endpoint.cancel(now, *txn);
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
                let next = self.next_hop(usage);
                self.send(now, usage, Role::Opening, request, next, entropy);
            }
            SubscriptionAction::Respond(txn, response) => {
                self.endpoint.respond(now, txn, response);
            }
        }
        true
    }

    fn tell(&mut self, now: Instant, usage: Usage) {
        match self.usages.get_mut(&usage) {
            Some(Kind::Session { invitation, .. }) => {
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
            _ => {}
        }
    }

    /// Where the next request of a usage goes: over a connection always the way out; over UDP to where its
    /// dialog says, if that is an address (RFC 3261 12.2.1.1).
    fn next_hop(&self, usage: Usage) -> Destination {
        let dialog = match self.usages.get(&usage) {
            Some(Kind::Session { invitation, .. }) => invitation.dialog(),
            Some(Kind::Subscription(subscription)) => subscription.dialog(),
            _ => None,
        };
        if self.outbound.transport != Transport::Udp {
            return self.outbound.clone();
        }
        dialog.and_then(address).unwrap_or_else(|| self.outbound.clone())
    }
}

/// The address a dialog's next hop names, if it does.
fn address(dialog: &Dialog) -> Option<Destination> {
    let uri = SipUri::parse(&dialog.next_hop()).ok()?;
    let transport = match uri.transport() {
        Some(name) => Transport::parse(&name)?,
        None => Transport::Udp,
    };
    let ip = match &uri.host {
        Host::V4(ip) => (*ip).into(),
        Host::V6(ip) => (*ip).into(),
        Host::Name(_) => return None,
    };
    let port = uri.port.unwrap_or_else(|| transport.default_port());
    matches!(transport, Transport::Udp | Transport::Tcp)
        .then(|| Destination::new(transport, std::net::SocketAddr::new(ip, port)))
}

/// The answer to a request that belongs to nothing.
fn stray(request: &Request) -> Response {
    let in_dialog = request.headers.to_tag().is_some();
    match request.method {
        // RFC 6665 4.1.3: a NOTIFY that matches no subscription is answered 481.
        Method::Notify | Method::Bye => request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        _ if in_dialog => request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        Method::Options => {
            let mut response = request.respond(StatusCode::OK);
            response.headers.push(HeaderName::Allow, Bytes::from_static(ALLOW));
            response
        }
        Method::Invite => request.respond(StatusCode::TEMPORARILY_UNAVAILABLE),
        ref method if method.is_known() => {
            let mut response = request.respond(StatusCode::METHOD_NOT_ALLOWED);
            response.headers.push(HeaderName::Allow, Bytes::from_static(ALLOW));
            response
        }
        _ => request.respond(StatusCode::NOT_IMPLEMENTED),
    }
}
