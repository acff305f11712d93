//! A client's SIP side against the store's machines, on a virtual clock, over a network that loses messages.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use super::test_support::{account, at, flow};
use super::*;
use crate::entropy::{Entropy, Sequence};
use crate::machine::digest::Login;
use crate::machine::sip::{
    Body, Destination, Endpoint, EndpointConfig, EndpointEvent, Flow, InviteSession, Notifier, ServerTxn,
    SessionAction, Timers, Transport,
};
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Limits, Message, Method, Request, StatusCode, parse_datagram};

const HOUR: Duration = Duration::from_secs(3600);

/// A client, a store, and the network between them.
struct Scene {
    now: Instant,
    client: UserAgent,
    store: Store,
    entropy: Sequence,
    /// Of so many messages one is lost; 0: none.
    loss: u64,
    told: Vec<String>,
}

/// A store: accepts MESSAGEs, one session, one subscription.
struct Store {
    endpoint: Endpoint,
    session: Option<InviteSession>,
    notifier: Option<Notifier>,
    /// Whether it wants to know who asks.
    challenges: bool,
    seen: Vec<String>,
}

fn there() -> Flow {
    let Flow { local, peer, .. } = flow();
    Flow { local: peer, peer: local, ..flow() }
}

fn endpoint(local: std::net::SocketAddr) -> EndpointConfig {
    let mut config = EndpointConfig::new("t");
    config.sent_by = vec![(Transport::Udp, local, local.to_string())];
    config
}

impl Scene {
    fn new(loss: u64) -> Self {
        let config = UserAgentConfig {
            account: account(),
            outbound: Destination::new(Transport::Udp, flow().peer),
            fallbacks: Vec::new(),
            patience: Duration::from_secs(10),
            contact: "192.0.2.9:5070".to_owned(),
            endpoint: endpoint(flow().local),
            login: Some(Login::new("charlie", "secret")),
        };
        let mut entropy = Sequence::new(7);
        Self {
            now: at(0),
            client: UserAgent::new(config, &mut entropy),
            store: Store {
                endpoint: Endpoint::new(endpoint(flow().peer), &mut entropy),
                session: None,
                notifier: None,
                challenges: false,
                seen: Vec::new(),
            },
            entropy,
            loss,
            told: Vec::new(),
        }
    }

    fn lost(&mut self) -> bool {
        self.loss > 0 && self.entropy.next_u64().is_multiple_of(self.loss)
    }

    /// Carries messages, and lets time pass where nothing moves, until `done` or for `limit`.
    fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + limit;
        loop {
            self.settle();
            if done(self) || self.now >= end {
                return;
            }
            let session = self.store.session.as_ref().and_then(InviteSession::poll_timeout);
            let notifier = self.store.notifier.as_ref().and_then(Notifier::poll_timeout);
            let next = [self.client.poll_timeout(), self.store.endpoint.poll_timeout(), session, notifier];
            self.now = next.into_iter().flatten().min().unwrap_or(end).min(end).max(self.now);
            self.client.handle_timeout(self.now, &mut self.entropy);
            self.store.handle_timeout(self.now);
        }
    }

    fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(transmit) = self.client.poll_transmit() {
                moved = true;
                if !self.lost() {
                    let message = parse_datagram(transmit.bytes, &Limits::default()).unwrap();
                    self.store.take(self.now, message, &mut self.entropy);
                }
            }
            while let Some(transmit) = self.store.endpoint.poll_transmit() {
                moved = true;
                if !self.lost() {
                    let message = parse_datagram(transmit.bytes, &Limits::default()).unwrap();
                    self.client.handle_message(self.now, message, flow(), &mut self.entropy);
                }
            }
            while let Some((_, event)) = self.client.poll_event() {
                self.told.push(word(&event));
            }
            moved |= self.store.drain(self.now, &mut self.entropy);
            if !moved {
                return;
            }
        }
    }
}

fn word(event: &UserAgentEvent) -> String {
    match event {
        UserAgentEvent::Answered(response) => format!("answered {}", response.status),
        UserAgentEvent::Refused(refusal) => format!("refused {}", refusal.status),
        UserAgentEvent::Failed(cause) => format!("failed {cause:?}"),
        UserAgentEvent::Session(InvitationEvent::Accepted(response)) => {
            format!("accepted {}", response.body.escape_ascii())
        }
        UserAgentEvent::Session(event) => format!("{event:?}"),
        UserAgentEvent::Subscription(SubscriptionEvent::Notified(body)) => {
            format!("notified {}", body.bytes.escape_ascii())
        }
        UserAgentEvent::Subscription(event) => format!("{event:?}"),
    }
}

impl Store {
    fn take(&mut self, now: Instant, message: Message, entropy: &mut Sequence) {
        match message {
            Message::Request(request) => self.endpoint.handle_request(now, request, there()),
            Message::Response(response) => self.endpoint.handle_response(now, response, there()),
        }
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                EndpointEvent::Request { txn, request, .. } => self.request(now, txn, request),
                EndpointEvent::Ack { request, .. } => {
                    if let Some(session) = &mut self.session {
                        session.handle_ack(&request);
                    }
                }
                EndpointEvent::Response { response, .. } if response.is_for(&Method::Notify) => {
                    if let Some(notifier) = &mut self.notifier {
                        let _ = notifier.handle_response(response.status);
                    }
                }
                EndpointEvent::Response { response, .. } => {
                    if let Some(session) = &mut self.session {
                        session.handle_response(&response);
                    }
                }
                EndpointEvent::Cancelled { txn } => {
                    if let Some(session) = &mut self.session {
                        session.handle_cancelled(txn);
                    }
                }
                EndpointEvent::Failed { .. } | EndpointEvent::Ended { .. } => {}
            }
        }
        self.drain(now, entropy);
    }

    fn request(&mut self, now: Instant, txn: ServerTxn, request: Request) {
        let number = request.headers.cseq().unwrap().number;
        self.seen.push(format!("{} {number}", request.method));
        let known = request.headers.contains(&HeaderName::Authorization);
        if self.challenges && !known && request.method != Method::Ack {
            let mut response = request.respond(StatusCode::UNAUTHORIZED);
            let challenge = "Digest realm=\"example.com\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256";
            response.headers.push(HeaderName::WwwAuthenticate, challenge);
            self.endpoint.respond(now, txn, response);
            return;
        }
        let in_dialog = request.headers.to_tag().is_some();
        let response = match (&request.method, in_dialog) {
            (Method::Message, _) => request.respond(StatusCode::ACCEPTED),
            (Method::Invite, false) => {
                let contact = "<sip:focus@192.0.2.2:5060>";
                let timers = Timers::default();
                let session = InviteSession::new(request, txn, "store1", contact, timers).unwrap();
                self.session = Some(session);
                return;
            }
            (Method::Subscribe, false) => {
                let granted = Duration::from_secs(request.headers.expires().unwrap().unwrap().into());
                let contact = "<sip:box@192.0.2.2:5060>";
                let (notifier, response) = Notifier::accept(
                    now,
                    &request,
                    there(),
                    "store2",
                    contact,
                    granted,
                    Duration::from_secs(1),
                )
                .unwrap();
                self.notifier = Some(notifier);
                response
            }
            (Method::Subscribe, true) => {
                let granted = Duration::from_secs(request.headers.expires().unwrap().unwrap().into());
                self.notifier.as_mut().unwrap().handle_subscribe(now, &request, there(), granted).response
            }
            _ => return self.session.as_mut().unwrap().handle_request(txn, request, there()),
        };
        self.endpoint.respond(now, txn, response);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        if let Some(session) = &mut self.session {
            session.handle_timeout(now);
        }
        if let Some(notifier) = &mut self.notifier {
            notifier.handle_timeout(now);
        }
    }

    fn drain(&mut self, now: Instant, entropy: &mut Sequence) -> bool {
        let to = Destination::new(Transport::Udp, flow().local);
        let mut moved = false;
        if let Some(session) = &mut self.session {
            while let Some(action) = session.poll_action() {
                moved = true;
                match action {
                    SessionAction::Respond(txn, response) => {
                        self.endpoint.respond(now, txn, response);
                    }
                    SessionAction::Request(request) => {
                        self.endpoint.request(now, request, to.clone(), entropy);
                    }
                }
            }
        }
        if let Some(notifier) = &mut self.notifier
            && notifier.due(now)
        {
            moved = true;
            let request = notifier.notify(now, Some(Body::new("text/x", "state")));
            self.endpoint.request(now, request, to, entropy);
        }
        moved
    }
}

fn opening(entropy: &mut Sequence) -> Opening {
    identify("192.0.2.9", entropy)
}

fn deposit(scene: &mut Scene) {
    let message = PagerMessage::text("sip:alice@example.org", "hello");
    let opening = opening(&mut scene.entropy);
    scene.client.deposit(scene.now, &message, &opening, &mut scene.entropy);
}

fn invite(scene: &mut Scene) -> Usage {
    let opening = opening(&mut scene.entropy);
    let uri = "sip:a@store.example.com";
    let body = Body::sdp("offer");
    let invite = Invite { uri, to: uri, body, needs_list: true, about: None };
    scene.client.invite(scene.now, invite, &opening, &mut scene.entropy)
}

fn subscribe(scene: &mut Scene) -> Usage {
    let opening = opening(&mut scene.entropy);
    let what = ("sip:charlie@example.com", "message-summary", "text/x");
    scene.client.subscribe(scene.now, what, HOUR, &opening, &mut scene.entropy)
}

// proves RFC 3428 4, RFC 3261 17.1.2.2: a deposit arrives over a network that loses every third message
#[test]
fn a_deposit_arrives_though_messages_are_lost() {
    for loss in [0, 3] {
        let mut scene = Scene::new(loss);
        deposit(&mut scene);
        scene.run(Duration::from_secs(30), |scene| !scene.told.is_empty());
        assert_eq!(scene.told, ["answered 202"]);
        assert!(scene.client.is_idle());
    }
}

#[test]
fn a_deposit_that_nobody_answers_fails() {
    let mut scene = Scene::new(1);
    deposit(&mut scene);
    scene.run(Duration::from_secs(40), |scene| !scene.told.is_empty());
    assert_eq!((scene.told.as_slice(), scene.now), (&["failed Timeout".to_owned()][..], at(32_000)));
}

// proves RFC 3261 13.2, 13.3.1.4, 15: INVITE, 200, ACK, BYE, also where messages are lost
#[test]
fn a_session_is_opened_and_ended_by_either_side() {
    for (loss, ours) in [(0, true), (3, true), (0, false), (3, false)] {
        let mut scene = Scene::new(loss);
        let usage = invite(&mut scene);
        scene.run(Duration::from_secs(30), |scene| scene.store.session.is_some());
        let session = scene.store.session.as_mut().unwrap();
        session.accept(scene.now, Some(Body::sdp("answer")), Vec::new());
        scene.run(Duration::from_secs(30), |scene| {
            scene.store.session.as_ref().is_some_and(|it| !it.is_awaiting_ack() && it.is_established())
        });
        assert_eq!(scene.told, ["accepted answer"], "{loss}");
        if ours {
            scene.client.bye(scene.now, usage, None, &mut scene.entropy);
        } else {
            scene.store.session.as_mut().unwrap().bye(None);
        }
        scene.run(Duration::from_secs(31), |scene| scene.told.len() == 2);
        let end = if ours { "Ended(Local)" } else { "Ended(Remote)" };
        assert_eq!(scene.told, ["accepted answer", end], "{loss}");
        scene.run(Duration::from_secs(60), |_| false);
        assert!(scene.store.session.as_ref().unwrap().is_ended() && scene.client.usages().count() == 0);
    }
}

// proves RFC 3261 9.1
#[test]
fn an_invite_is_cancelled() {
    let mut scene = Scene::new(0);
    let usage = invite(&mut scene);
    scene.run(Duration::from_millis(300), |_| false);
    scene.client.bye(scene.now, usage, None, &mut scene.entropy);
    scene.run(Duration::from_secs(5), |scene| !scene.told.is_empty());
    assert_eq!(scene.told, ["Ended(Cancelled)"]);
}

// proves RFC 6665 4.1.2
#[test]
fn a_subscription_lives_and_ends() {
    for loss in [0, 3] {
        let mut scene = Scene::new(loss);
        let usage = subscribe(&mut scene);
        scene.run(Duration::from_secs(30), |scene| scene.told.len() >= 2);
        scene.told.sort();
        assert_eq!(scene.told, ["Accepted(3600s)", "notified state"], "{loss}");
        scene.run(Duration::from_secs(7200), |_| false);
        let refreshed = scene.store.seen.iter().filter(|line| line.starts_with("SUBSCRIBE")).count();
        assert!(refreshed >= 3, "{:?}", scene.store.seen);
        scene.client.unsubscribe(scene.now, usage, &mut scene.entropy);
        scene.run(Duration::from_secs(40), |scene| {
            scene.told.last().is_some_and(|last| last == "Ended(Done)")
        });
        assert_eq!(scene.told.last().unwrap(), "Ended(Done)");
        assert!(scene.client.is_idle());
    }
}

// proves RFC 3261 22.2, RFC 7616 3.4: a challenge is answered with the next CSeq, and then no more
#[test]
fn challenges_are_answered() {
    let mut scene = Scene::new(0);
    scene.store.challenges = true;
    deposit(&mut scene);
    let usage = invite(&mut scene);
    scene.run(Duration::from_secs(1), |scene| scene.store.session.is_some());
    assert_eq!(scene.told, ["answered 202"]);
    assert_eq!(scene.store.seen, ["MESSAGE 1", "INVITE 1", "MESSAGE 2", "INVITE 2"]);
    let session = scene.store.session.as_mut().unwrap();
    session.accept(scene.now, Some(Body::sdp("answer")), Vec::new());
    scene.run(Duration::from_secs(1), |scene| scene.told.len() == 2);
    scene.client.bye(scene.now, usage, None, &mut scene.entropy);
    subscribe(&mut scene);
    scene.run(Duration::from_secs(1), |scene| scene.told.len() == 5);
    assert_eq!(
        scene.store.seen.get(4..).unwrap(),
        ["BYE 3", "SUBSCRIBE 1"],
        "what was asked once is said without being asked"
    );
}

/// How often a MESSAGE is sent to one who answers each with a challenge of this tail.
fn challenged_for_ever(tail: &str) -> (Vec<String>, String) {
    let mut scene = Scene::new(0);
    deposit(&mut scene);
    while let Some(transmit) = scene.client.poll_transmit() {
        let Ok(Message::Request(request)) = parse_datagram(transmit.bytes, &Limits::default()) else {
            panic!()
        };
        let number = request.headers.cseq().unwrap().number;
        scene.store.seen.push(number.to_string());
        assert!(number < 10, "for ever");
        let mut response = request.respond(StatusCode::UNAUTHORIZED);
        let challenge = format!("Digest realm=\"example.com\", nonce=\"n{number}\", qop=\"auth\"{tail}");
        response.headers.push(HeaderName::WwwAuthenticate, challenge);
        scene.client.handle_message(at(1), Message::Response(response), flow(), &mut scene.entropy);
    }
    let told = scene.client.poll_event().map(|(_, event)| word(&event)).unwrap();
    (scene.store.seen, told)
}

// proves RFC 3261 22.1: credentials that were refused are not tried again
#[test]
fn a_wrong_password_is_a_refusal() {
    let (sent, told) = challenged_for_ever(", algorithm=MD5");
    assert_eq!((sent, told.as_str()), (vec!["1".to_owned(), "2".to_owned()], "refused 401"));
}

// proves RFC 7616 3.3: a stale nonce is no refusal; but one who calls each nonce stale is not believed for ever
#[test]
fn a_stale_nonce_is_renewed_and_the_loop_ends() {
    let (sent, told) = challenged_for_ever(", algorithm=SHA-256, stale=true");
    assert_eq!((sent, told.as_str()), (["1", "2", "3"].map(str::to_owned).to_vec(), "refused 401"));
    let (sent, told) = challenged_for_ever(", algorithm=SHA-9");
    assert_eq!((sent, told.as_str()), (vec!["1".to_owned()], "refused 401"), "nothing that can be answered");
}

// proves RFC 6665 4.1.3, RFC 3261 8.2.1, 12.2.2
#[test]
fn requests_that_belong_to_nothing_are_answered() {
    let mut scene = Scene::new(0);
    for (number, (method, tag, status)) in [
        (Method::Notify, "", 481),
        (Method::Bye, ";tag=x", 481),
        (Method::Options, "", 200),
        (Method::Options, ";tag=x", 481),
        (Method::Invite, "", 480),
        (Method::Message, "", 405),
        (Method::Other("DANCE".into()), "", 501),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = super::test_support::request(method.clone(), "sip:charlie@192.0.2.9:5070");
        request.headers.set(HeaderName::To, format!("<sip:charlie@example.com>{tag}"));
        request.headers.set(HeaderName::CallId, format!("stray{number}"));
        request.headers.push_front(HeaderName::Via, format!("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{number}"));
        scene.client.handle_message(at(0), Message::Request(request), flow(), &mut scene.entropy);
        let answer = scene.client.poll_transmit().unwrap().bytes;
        let Ok(Message::Response(response)) = parse_datagram(answer, &Limits::default()) else { panic!() };
        assert_eq!(response.status.0, status, "{method}{tag}");
    }
    assert!(scene.client.poll_event().is_none());
}
