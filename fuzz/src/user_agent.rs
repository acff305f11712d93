//! A whole user agent without sockets: all transactions, with a session behind each INVITE and a subscription
//! behind each SUBSCRIBE, against a network that sends anything. Every request is answered at most once,
//! every request of its own ends once, responses and ACKs are never answered, every session ends once, and
//! when all is quiet nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use restante::entropy::Sequence;
use restante::machine::sip::{
    Body, ClientTxn, Destination, Endpoint, EndpointConfig, EndpointEvent, FailureCause, Flow, InviteSession,
    Notifier, NotifyOutcome, Rejection, ServerTxn, SessionAction, SessionEvent, TerminationReason, Timers,
    Transmit, TransmitId, Transport,
};
use restante::time::Instant;
use restante::wire::sip::{
    HeaderName, Limits, Message, Method, Request, Response, StatusCode, parse_datagram, stamp_via, validate,
};

use super::choices::Choices;

/// Transactions at once.
const MOST: usize = 24;
/// Requests that were sent, of which the network answers some.
const REMEMBERED: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Bye(usize),
    Notify(usize),
    Other,
}

struct Dialogue {
    tag: String,
    session: InviteSession,
    ended: bool,
}

struct Agent {
    endpoint: Endpoint,
    now: Instant,
    entropy: Sequence,
    sessions: Vec<Dialogue>,
    notifiers: Vec<(String, Notifier)>,
    /// Requests that the user has not answered.
    open: Vec<(ServerTxn, Request)>,
    clients: BTreeMap<ClientTxn, (Use, bool)>,
    /// The final status of each server transaction.
    finals: BTreeMap<ServerTxn, u16>,
    told: BTreeSet<ServerTxn>,
    sent: Vec<Request>,
    transmits: Vec<TransmitId>,
    tags: u32,
}

fn flow(choices: &mut Choices<'_>) -> Flow {
    let (transport, connection) = choices.one(&[(Transport::Udp, 0), (Transport::Tcp, 7)]);
    let (local, peer) = ("192.0.2.2:5060".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
    Flow { transport, connection, local, peer }
}

impl Agent {
    fn new() -> Self {
        let mut config = EndpointConfig::new("s0");
        let local = "192.0.2.2:5060".parse().unwrap();
        config.sent_by =
            [Transport::Udp, Transport::Tcp].map(|of| (of, local, "192.0.2.2:5060".to_owned())).to_vec();
        config.max_transactions = MOST;
        Self {
            endpoint: Endpoint::new(config, &mut Sequence::new(1)),
            now: Instant::ZERO,
            entropy: Sequence::new(2),
            sessions: Vec::new(),
            notifiers: Vec::new(),
            open: Vec::new(),
            clients: BTreeMap::new(),
            finals: BTreeMap::new(),
            told: BTreeSet::new(),
            sent: Vec::new(),
            transmits: Vec::new(),
            tags: 0,
        }
    }

    fn tag(&mut self) -> String {
        self.tags += 1;
        format!("s0t{}", self.tags)
    }

    /// A request of the network's.
    fn request(&self, choices: &mut Choices<'_>) -> Request {
        let method = match choices.below(12) {
            0..=2 => Method::Invite,
            3 => Method::Ack,
            4 => Method::Cancel,
            5 | 6 => Method::Subscribe,
            7 => Method::Bye,
            8 => Method::Message,
            9 => Method::Update,
            10 => Method::Info,
            _ => Method::Options,
        };
        let mut request = Request::new(method.clone(), "sip:bob@example.com");
        let mut push = |name: HeaderName, value: String| request.headers.push(name, value);
        let branch = choices.one(&["z9hG4bKa", "z9hG4bKb", "z9hG4bKc", "z9hG4bKd", "z9hG4bKe", "old"]);
        let sent_by = choices.one(&["192.0.2.1:5060", "pc.example.com", "192.0.2.1:5060;rport"]);
        push(HeaderName::Via, format!("SIP/2.0/UDP {sent_by};branch={branch}"));
        push(HeaderName::From, format!("<sip:alice@example.org>;tag=a{}", choices.below(2)));
        let tags = self.sessions.iter().map(|dialogue| &dialogue.tag);
        let tags: Vec<_> = tags.chain(self.notifiers.iter().map(|(tag, _)| tag)).collect();
        let to = match choices.below(4) {
            0 | 1 => String::new(),
            2 => ";tag=stranger".to_owned(),
            _ if tags.is_empty() => String::new(),
            _ => format!(";tag={}", tags[choices.below(tags.len())]),
        };
        push(HeaderName::To, format!("<sip:bob@example.com>{to}"));
        push(HeaderName::CallId, format!("call{}", choices.below(3)));
        push(HeaderName::CSeq, format!("{} {method}", choices.below(6)));
        push(HeaderName::MaxForwards, "70".into());
        push(HeaderName::Event, choices.one(&["message-summary", "conference;id=1"]).to_owned());
        if choices.byte() != 1 {
            push(HeaderName::Contact, "<sip:alice@192.0.2.1>".into());
        }
        if choices.byte() == 1 {
            push(HeaderName::RecordRoute, "<sip:p.example.com;lr>, <sip:strict.example.com>".into());
        }
        if choices.byte() == 1 {
            push(HeaderName::ContentType, "application/sdp".into());
            request.body = choices.some();
        }
        request
    }

    fn take(&mut self, mut request: Request, flow: Flow) {
        if validate(&request).is_err() {
            return;
        }
        stamp_via(&mut request, flow.peer);
        let is_ack = request.method == Method::Ack;
        self.endpoint.handle_request(self.now, request, flow);
        let responses = self.drain();
        assert!(!(is_ack && responses > 0), "an ACK is answered");
    }

    /// Hands on everything that is to be handed on; how many responses were sent.
    fn drain(&mut self) -> usize {
        let mut responses = 0;
        loop {
            let mut quiet = true;
            while let Some(event) = self.endpoint.poll_event() {
                quiet = false;
                self.event(event);
            }
            self.actions();
            while let Some(transmit) = self.endpoint.poll_transmit() {
                quiet = false;
                responses += usize::from(self.transmit(&transmit));
            }
            if quiet {
                break;
            }
        }
        let (servers, clients) = (self.endpoint.server_transactions(), self.endpoint.client_transactions());
        assert!(servers <= MOST + MOST / 8 + 1, "{servers} server transactions, {clients} of clients");
        responses
    }

    fn transmit(&mut self, transmit: &Transmit) -> bool {
        self.transmits.push(transmit.id);
        let limits = Limits { message: 1 << 20, headers: 200, body: 1 << 20 };
        match parse_datagram(transmit.bytes.clone(), &limits).expect("what is sent can be read") {
            Message::Request(request) => {
                self.sent.push(request);
                if self.sent.len() > REMEMBERED {
                    self.sent.remove(0);
                }
                false
            }
            Message::Response(response) => {
                if let (TransmitId::Server(txn), true) = (transmit.id, response.status.is_final()) {
                    let first = *self.finals.entry(txn).or_insert(response.status.0);
                    assert_eq!(first, response.status.0, "{txn:?} is answered twice");
                }
                true
            }
        }
    }

    fn event(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::Request { txn, request, flow } => {
                assert!(self.told.insert(txn), "told twice");
                self.place(txn, request, flow);
            }
            EndpointEvent::Ack { request, .. } => {
                let tag = request.headers.to_tag().unwrap_or_default();
                for dialogue in self.sessions.iter_mut().filter(|dialogue| dialogue.tag.as_bytes() == tag) {
                    dialogue.session.handle_ack(&request);
                }
            }
            EndpointEvent::Cancelled { txn } => {
                self.sessions.iter_mut().for_each(|dialogue| dialogue.session.handle_cancelled(txn));
            }
            EndpointEvent::Response { txn, response, .. } => self.response(txn, &response),
            EndpointEvent::Failed { txn, .. } => {
                let (used, ended) = self.clients.insert(txn, (Use::Other, true)).expect("a request of ours");
                assert!(!ended, "a request ends twice");
                match used {
                    Use::Bye(at) => self.sessions[at].session.handle_failed(),
                    Use::Notify(at) => self.notifiers[at].1.handle_failed(),
                    Use::Other => {}
                }
            }
            EndpointEvent::Ended { txn, cause } => {
                self.open.retain(|(open, _)| *open != txn);
                if cause == FailureCause::Timeout {
                    self.sessions.iter_mut().for_each(|dialogue| dialogue.session.handle_given_up(txn));
                }
            }
        }
    }

    fn response(&mut self, txn: ClientTxn, response: &Response) {
        let (used, ended) = *self.clients.get(&txn).expect("a response to a request of ours");
        let accepted = response.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Invite)
            && response.status.is_success();
        assert!(!ended || accepted, "something comes after the end: {}", response.status.0);
        if response.status.is_final() {
            self.clients.insert(txn, (used, true));
        }
        match used {
            Use::Bye(at) => self.sessions[at].session.handle_response(response),
            Use::Notify(at) => {
                let over = self.notifiers[at].1.is_ended();
                let outcome = self.notifiers[at].1.handle_response(response.status);
                assert!(!over || outcome == NotifyOutcome::Waiting);
            }
            Use::Other => {}
        }
    }

    fn place(&mut self, txn: ServerTxn, request: Request, flow: Flow) {
        let tag = request.headers.to_tag();
        let of = |own: &str| tag.as_ref().is_some_and(|tag| tag == own.as_bytes());
        if let Some(dialogue) = self.sessions.iter_mut().find(|dialogue| of(&dialogue.tag)) {
            return dialogue.session.handle_request(txn, request, flow);
        }
        if let Some((_, notifier)) = self.notifiers.iter_mut().find(|(own, _)| of(own)) {
            let response = match request.method {
                Method::Subscribe => {
                    notifier.handle_subscribe(self.now, &request, flow, Duration::from_secs(60)).response
                }
                _ => request.respond(StatusCode::METHOD_NOT_ALLOWED),
            };
            self.endpoint.respond(self.now, txn, response);
            return;
        }
        match (&request.method, tag) {
            (_, Some(_)) => {
                let gone = request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
                self.endpoint.respond(self.now, txn, gone);
            }
            (Method::Invite, None) => {
                let tag = self.tag();
                match InviteSession::new(request.clone(), txn, &tag, "<sip:s@192.0.2.2>", Timers::default()) {
                    Ok(session) => self.sessions.push(Dialogue { tag, session, ended: false }),
                    Err(_) => {
                        self.endpoint.respond(self.now, txn, request.respond(StatusCode::BAD_REQUEST));
                    }
                }
            }
            (Method::Subscribe, None) => {
                let (tag, second) = (self.tag(), Duration::from_secs(1));
                let accepted = Notifier::accept(
                    self.now,
                    &request,
                    flow,
                    &tag,
                    "<sip:s@192.0.2.2>",
                    60 * second,
                    second,
                );
                let response = match accepted {
                    Ok((notifier, response)) => {
                        self.notifiers.push((tag, notifier));
                        response
                    }
                    Err(_) => request.respond(StatusCode::BAD_REQUEST),
                };
                self.endpoint.respond(self.now, txn, response);
            }
            _ => self.open.push((txn, request)),
        }
    }

    /// What sessions and subscriptions want.
    fn actions(&mut self) {
        for at in 0..self.sessions.len() {
            while let Some(action) = self.sessions[at].session.poll_action() {
                match action {
                    SessionAction::Respond(txn, response) => {
                        self.endpoint.respond(self.now, txn, response);
                    }
                    SessionAction::Request(request) => self.send(request, Use::Bye(at)),
                }
            }
            while let Some(event) = self.sessions[at].session.poll_event() {
                assert!(!self.sessions[at].ended, "an event after the end: {event:?}");
                match event {
                    SessionEvent::Ended { .. } => self.sessions[at].ended = true,
                    SessionEvent::Unhandled { txn, request } => self.open.push((txn, request)),
                    _ => {}
                }
            }
        }
        for at in 0..self.notifiers.len() {
            if self.notifiers[at].1.due(self.now) {
                let body = Some(Body::new("text/plain", "state"));
                let notify = self.notifiers[at].1.notify(self.now, body);
                self.send(notify, Use::Notify(at));
            }
        }
    }

    fn send(&mut self, request: Request, used: Use) {
        let to = Destination::new(Transport::Udp, "192.0.2.1:5060".parse().unwrap());
        let txn = self.endpoint.request(self.now, request, to, &mut self.entropy);
        assert_eq!(self.clients.insert(txn, (used, false)), None);
    }

    fn advance(&mut self, to: Instant) {
        self.now = to;
        self.endpoint.handle_timeout(to);
        for dialogue in &mut self.sessions {
            dialogue.session.handle_timeout(to);
        }
        for (_, notifier) in &mut self.notifiers {
            notifier.handle_timeout(to);
        }
        self.drain();
    }

    fn next(&self) -> Option<Instant> {
        let sessions = self.sessions.iter().filter_map(|dialogue| dialogue.session.poll_timeout());
        let notifiers = self.notifiers.iter().filter_map(|(_, notifier)| notifier.poll_timeout());
        self.endpoint.poll_timeout().into_iter().chain(sessions).chain(notifiers).min()
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(12) {
            0..=4 => {
                let (request, flow) = (self.request(choices), flow(choices));
                self.take(request, flow);
            }
            5 | 6 if !self.sent.is_empty() => {
                let request = &self.sent[choices.below(self.sent.len())];
                if request.method != Method::Ack {
                    let status = choices.one(&[200, 100, 180, 404, 408, 481, 487, 500, 503, 302]);
                    let mut response = request.respond(StatusCode(status));
                    response.set_to_tag(choices.one(&["a0", "a1"]));
                    let flow = flow(choices);
                    self.endpoint.handle_response(self.now, response, flow);
                    let responses = self.drain();
                    assert_eq!(responses, 0, "a response is answered");
                }
            }
            7 if !self.open.is_empty() => {
                let (txn, request) = self.open.remove(choices.below(self.open.len()));
                let response = request.respond(StatusCode(choices.one(&[200, 404, 500, 603])));
                self.endpoint.respond(self.now, txn, response);
            }
            8 => {
                let step = choices.one(&[
                    Duration::from_millis(100),
                    Duration::from_secs(5),
                    Duration::from_secs(40),
                ]);
                let next = self.next().unwrap_or(self.now).max(self.now);
                self.advance(if choices.byte() == 1 { self.now + step } else { next });
            }
            9 if !self.transmits.is_empty() => {
                let recent = self.transmits.len().min(8);
                let at = self.transmits.len() - 1 - choices.below(recent);
                self.endpoint.handle_transport_error(self.now, self.transmits[at]);
            }
            10 => self.command(choices),
            _ if self.clients.len() < 200 => {
                let mut request = self.request(choices);
                request.headers.remove(&HeaderName::Via);
                if !matches!(request.method, Method::Ack | Method::Cancel) {
                    self.send(request, Use::Other);
                }
                if choices.byte() == 1
                    && let Some(txn) = self.clients.keys().next().copied()
                {
                    self.endpoint.cancel(self.now, txn);
                }
            }
            _ => {}
        }
        self.drain();
    }

    /// Something the user does of himself.
    fn command(&mut self, choices: &mut Choices<'_>) {
        let now = self.now;
        let at = choices.below(self.sessions.len());
        if let Some(Dialogue { session, .. }) = self.sessions.get_mut(at) {
            match choices.below(6) {
                0 | 1 => session.accept(now, Some(Body::sdp("v=0")), Vec::new()),
                2 => session.reject(&Rejection::from(StatusCode::NOT_ACCEPTABLE_HERE)),
                3 => session.bye(Some("SIP;cause=200")),
                4 => session.answer_reinvite(now, Ok(Some(Body::sdp("v=0")))),
                _ => session.abandon(),
            }
        }
        let at = choices.below(self.notifiers.len());
        if let Some((_, notifier)) = self.notifiers.get_mut(at) {
            match choices.below(3) {
                0 => notifier.changed(now),
                1 => notifier.terminate(now, TerminationReason::NoResource, Some(5)),
                _ => {}
            }
        }
    }

    /// Lets everything come to its end.
    fn finish(&mut self) {
        let now = self.now;
        self.sessions.iter_mut().for_each(|dialogue| dialogue.session.bye(None));
        for (_, notifier) in &mut self.notifiers {
            notifier.terminate(now, TerminationReason::Deactivated, None);
        }
        // RFC 3261 17.1.1.2: an INVITE that has a provisional response waits until its user cancels it.
        for txn in self.clients.keys() {
            self.endpoint.cancel(now, *txn);
        }
        self.drain();
        let mut steps = 0;
        while let Some(next) = self.next() {
            steps += 1;
            assert!(steps < 20_000, "it does not come to rest");
            self.advance(next.max(self.now));
        }
        let left = (self.endpoint.server_transactions(), self.endpoint.client_transactions());
        assert_eq!(left, (0, 0), "transactions are left");
        for dialogue in &self.sessions {
            assert!(dialogue.ended && dialogue.session.is_ended(), "a session is left");
        }
        for (_, notifier) in &self.notifiers {
            assert!(notifier.is_ended(), "a subscription is left");
        }
        let without: Vec<_> = self.clients.values().filter(|(_, ended)| !ended).collect();
        assert!(without.is_empty(), "requests without an end: {without:?}");
    }
}

/// A user agent.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut agent = Agent::new();
    for _ in 0..300 {
        if choices.is_empty() {
            break;
        }
        agent.step(&mut choices);
    }
    agent.finish();
}
