//! A user agent that knows several places: where its requests go when one of them fails (RFC 3263 4.3).

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use bytes::Bytes;

use super::test_support::{account, answer, at, flow};
use super::*;
use crate::entropy::Sequence;
use crate::machine::digest::Login;
use crate::machine::sip::{Body, Destination, EndpointConfig, Flow, Transmit, Transport};
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Limits, Message, Method, Request, Response, StatusCode, parse_datagram};

/// A client of two places, `192.0.2.2` and `192.0.2.3`.
struct Scene {
    client: UserAgent,
    entropy: Sequence,
    now: Instant,
    /// By which branch what has gone where.
    gone: Vec<(Bytes, Destination)>,
}

/// A request that was sent: to the last octet of an address.
struct Sent {
    to: u8,
    request: Request,
    transmit: Transmit,
}

impl Scene {
    fn new(transport: Transport) -> Self {
        let place = |last| Destination::new(transport, ([192, 0, 2, last], 5060).into());
        let mut endpoint = EndpointConfig::new("t");
        endpoint.sent_by = vec![(transport, flow().local, flow().local.to_string())];
        let config = UserAgentConfig {
            account: account(),
            outbound: place(2),
            fallbacks: vec![place(3)],
            patience: Duration::from_secs(10),
            contact: "192.0.2.9:5070".to_owned(),
            endpoint,
            login: Some(Login::new("charlie", "secret")),
        };
        let mut entropy = Sequence::new(7);
        Self { client: UserAgent::new(config, &mut entropy), entropy, now: at(0), gone: Vec::new() }
    }

    fn deposit(&mut self) {
        let message = PagerMessage::text("sip:alice@example.org", "hello");
        let opening = identify("192.0.2.9", &mut self.entropy);
        self.client.deposit(self.now, &message, &opening, &mut self.entropy);
    }

    fn invite(&mut self) -> Usage {
        let opening = identify("192.0.2.9", &mut self.entropy);
        let uri = "sip:alice@example.org";
        let invite = Invite { uri, to: uri, body: Body::sdp("offer"), needs_list: false, about: None };
        self.client.invite(self.now, invite, &opening, &mut self.entropy)
    }

    fn sent(&mut self) -> Option<Sent> {
        let transmit = self.client.poll_transmit()?;
        let std::net::IpAddr::V4(ip) = transmit.to.addr.ip() else { panic!() };
        let Ok(Message::Request(request)) = parse_datagram(transmit.bytes.clone(), &Limits::default()) else {
            panic!()
        };
        let branch = request.headers.via().unwrap().branch().unwrap();
        self.gone.push((branch, transmit.to.clone()));
        Some(Sent { to: ip.octets()[3], request, transmit })
    }

    /// Answers from where the request has gone.
    fn respond(&mut self, response: Response) {
        let branch = response.headers.via().unwrap().branch().unwrap();
        let (_, to) = self.gone.iter().find(|(gone, _)| *gone == branch).unwrap();
        let back = Flow { transport: to.transport, peer: to.addr, ..flow() };
        self.client.handle_message(self.now, Message::Response(response), back, &mut self.entropy);
    }

    /// Lets time pass until the client sends or tells something.
    fn pass(&mut self, limit: Duration) -> Option<Sent> {
        let end = self.now + limit;
        while let Some(next) = self.client.poll_timeout().filter(|at| *at <= end) {
            self.now = next.max(self.now);
            self.client.handle_timeout(self.now, &mut self.entropy);
            if let Some(sent) = self.sent() {
                return Some(sent);
            }
        }
        self.now = end;
        None
    }

    fn told(&mut self) -> Option<UserAgentEvent> {
        self.client.poll_event().map(|(_, event)| event)
    }
}

/// A request without what belongs to its transaction.
fn apart_from_via(sent: &Sent) -> Request {
    let mut request = sent.request.clone();
    request.headers.remove(&HeaderName::Via);
    request
}

// proves RFC 3263 4.3: 503 and transport errors are failures; the request is the same but for its Via
#[test]
fn a_place_that_fails_is_left_for_the_next() {
    for refused in [true, false] {
        let mut scene = Scene::new(Transport::Tcp);
        scene.deposit();
        let first = scene.sent().unwrap();
        if refused {
            scene.respond(first.request.respond(StatusCode::SERVICE_UNAVAILABLE));
        } else {
            scene.client.handle_transport_error(scene.now, first.transmit.id, &mut scene.entropy);
        }
        let second = scene.sent().unwrap();
        assert_eq!((first.to, second.to), (2, 3));
        assert_eq!(apart_from_via(&first).encode(), apart_from_via(&second).encode());
        assert_ne!(
            first.request.headers.via().unwrap().branch(),
            second.request.headers.via().unwrap().branch()
        );
        scene.respond(second.request.respond(StatusCode::ACCEPTED));
        assert!(matches!(scene.told(), Some(UserAgentEvent::Answered(_))));
        scene.deposit();
        assert_eq!(scene.sent().unwrap().to, 3, "what failed is not begun with again");
    }
}

// proves RFC 3263 4.3: any other final response is an answer
#[test]
fn a_refusal_is_an_answer_and_the_last_place_decides() {
    let mut scene = Scene::new(Transport::Tcp);
    scene.deposit();
    let first = scene.sent().unwrap();
    scene.respond(first.request.respond(StatusCode::NOT_FOUND));
    assert!(matches!(scene.told(), Some(UserAgentEvent::Refused(refusal)) if refusal.status.0 == 404));
    scene.deposit();
    for _ in 0..2 {
        let sent = scene.sent().unwrap();
        scene.respond(sent.request.respond(StatusCode::SERVICE_UNAVAILABLE));
    }
    assert!(scene.sent().is_none());
    assert!(matches!(scene.told(), Some(UserAgentEvent::Refused(refusal)) if refusal.status.0 == 503));
    assert!(scene.client.is_idle());
}

#[test]
fn a_silent_place_is_given_up_and_its_late_answer_still_counts() {
    let mut scene = Scene::new(Transport::Tcp);
    scene.deposit();
    let first = scene.sent().unwrap();
    let second = scene.pass(Duration::from_secs(10)).unwrap();
    assert_eq!((second.to, scene.now), (3, at(10_000)));
    scene.respond(first.request.respond(StatusCode(500)));
    assert!(scene.told().is_none(), "a late refusal decides nothing");
    let mut scene = Scene::new(Transport::Tcp);
    scene.deposit();
    let first = scene.sent().unwrap();
    scene.pass(Duration::from_secs(10)).unwrap();
    scene.respond(first.request.respond(StatusCode::ACCEPTED));
    assert!(matches!(scene.told(), Some(UserAgentEvent::Answered(_))), "a late acceptance does");
}

// proves RFC 3263 4.3: "without ever having received any response"; RFC 3261 13.2.2.4: each 2xx has its ACK
#[test]
fn a_place_that_was_heard_is_waited_for_and_a_late_session_is_hung_up() {
    let mut scene = Scene::new(Transport::Tcp);
    scene.invite();
    let first = scene.sent().unwrap();
    scene.respond(first.request.respond(StatusCode(180)));
    assert!(scene.pass(Duration::from_secs(31)).is_none(), "it rings");

    let mut scene = Scene::new(Transport::Tcp);
    scene.invite();
    let first = scene.sent().unwrap();
    let second = scene.pass(Duration::from_secs(10)).unwrap();
    scene.respond(answer(&second.request, StatusCode::OK, "two"));
    assert_eq!(scene.sent().unwrap().request.method, Method::Ack);
    scene.respond(answer(&first.request, StatusCode::OK, "one"));
    let methods = [scene.sent().unwrap(), scene.sent().unwrap()].map(|sent| sent.request.method);
    assert_eq!(methods, [Method::Ack, Method::Bye], "the session at the first place is ended");
}

// proves RFC 3261 12.2: a dialog stays where it was made
#[test]
fn the_bye_goes_where_the_session_was_made() {
    let mut scene = Scene::new(Transport::Tcp);
    let usage = scene.invite();
    let first = scene.sent().unwrap();
    scene.client.handle_transport_error(scene.now, first.transmit.id, &mut scene.entropy);
    let second = scene.sent().unwrap();
    scene.respond(answer(&second.request, StatusCode::OK, "two"));
    assert_eq!(scene.sent().unwrap().to, 3, "the ACK");
    scene.deposit();
    let other = scene.sent().unwrap();
    scene.client.handle_transport_error(scene.now, other.transmit.id, &mut scene.entropy);
    assert_eq!(scene.sent().unwrap().to, 2, "for new requests the first place is tried again");
    scene.client.bye(scene.now, usage, None, &mut scene.entropy);
    let bye = scene.sent().unwrap();
    assert_eq!((bye.request.method, bye.to), (Method::Bye, 3));
}

// proves RFC 3261 22.1: another server's challenge is no refusal of the credentials
#[test]
fn each_place_may_challenge() {
    let mut scene = Scene::new(Transport::Tcp);
    scene.deposit();
    let challenged = |sent: &Sent, nonce: &str| {
        let mut response = sent.request.respond(StatusCode::UNAUTHORIZED);
        let challenge =
            format!("Digest realm=\"example.com\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5");
        response.headers.push(HeaderName::WwwAuthenticate, challenge);
        response
    };
    let first = scene.sent().unwrap();
    scene.respond(challenged(&first, "one"));
    let again = scene.sent().unwrap();
    scene.client.handle_transport_error(scene.now, again.transmit.id, &mut scene.entropy);
    let second = scene.sent().unwrap();
    scene.respond(challenged(&second, "two"));
    let answered = scene.sent().unwrap();
    assert_eq!((answered.to, answered.request.headers.cseq().unwrap().number), (3, 3));
    scene.respond(challenged(&answered, "three"));
    assert!(matches!(scene.told(), Some(UserAgentEvent::Refused(refusal)) if refusal.status.0 == 401));
}

// proves RFC 3261 8.1.1.8
#[test]
fn a_sips_request_has_a_sips_contact() {
    for (uri, expected) in [
        ("sips:alice@example.org", "<sips:charlie@192.0.2.9:5070>"),
        ("sip:alice@example.org", "<sip:charlie@192.0.2.9:5070;transport=tls>"),
    ] {
        let mut scene = Scene::new(Transport::Tls);
        let opening = identify("192.0.2.9", &mut scene.entropy);
        let what = (uri, "message-summary", "text/x");
        scene.client.subscribe(scene.now, what, Duration::from_secs(60), &opening, &mut scene.entropy);
        let sent = scene.sent().unwrap();
        assert_eq!(sent.request.headers.get(&HeaderName::Contact).unwrap(), expected);
    }
}
