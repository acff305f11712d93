//! What is answered without a transaction: the same request gets the same answer (RFC 3261 8.2.7), and nobody has it
//! sent to somebody else (18.2.2).

use crate::support::*;
use std::net::UdpSocket;
use std::time::Duration;

const BOB: &str = "sip:bob@example.com";

/// A node that trusts nobody here, and knows one user.
fn strict() -> Plan {
    Plan::new().set("trust", "peers = [\"192.0.2.0/24\"]").users(&[("alice@example.com", "wonderland")])
}

/// Sends `request` twice; both answers.
fn twice(ua: &mut Ua, request: &Msg) -> [Msg; 2] {
    let branch = request.branch();
    [(); 2].map(|()| {
        ua.send(request);
        ua.wait("an answer", |message| !message.is_request() && message.branch() == branch).msg
    })
}

fn tag(response: &Msg) -> String {
    parameter(&response.need("To"), "tag").unwrap_or_else(|| panic!("no tag: {response}"))
}

/// The statuses of two answers, whose tags must be the same; and the tag.
fn same(answers: &[Msg; 2], status: u16) -> String {
    let [first, second] = answers;
    assert_eq!((first.status(), second.status()), (status, status), "{first}\n{second}");
    assert_eq!(tag(first), tag(second), "{first}\n{second}");
    tag(first)
}

// proves RFC 3261 8.2.7: the same To tag for the same request, by whatever it is refused
#[test]
fn a_repetition_gets_the_same_tag() {
    let node = Node::start();
    for tcp in [false, true] {
        let mut ua = Ua::new(node.sip, "sip:alice@example.org", tcp);
        let mut tags = Vec::new();
        for method in ["MESSAGE", "INVITE", "SUBSCRIBE"] {
            let malformed = ua.request(method, BOB).with("Max-Forwards", "many");
            tags.push(same(&twice(&mut ua, &malformed), 400));
        }
        let unparsed = ua.request("MESSAGE", BOB).with("CSeq", "one MESSAGE");
        tags.push(same(&twice(&mut ua, &unparsed), 400));
        let version = ua.request("MESSAGE", BOB);
        let version = Msg { start: format!("MESSAGE {BOB} SIP/7.0"), ..version };
        tags.push(same(&twice(&mut ua, &version), 505));
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 5, "another request has another tag: {tags:?}");
    }
}

// proves RFC 3261 8.2.7 for challenges, and for what the rates of an address refuse
#[test]
fn a_stranger_who_repeats_himself_gets_the_same_tag() {
    let node = strict().start();
    let mut ua = Ua::udp(&node, "alice");
    let request = ua.request("MESSAGE", BOB).body("text/plain", "x");
    same(&twice(&mut ua, &request), 401);

    let node = strict().set("rates", "requests_per_address = 1").set("rates", "burst = \"1s\"").start();
    let mut ua = Ua::udp(&node, "alice");
    let refused = until("the rate is used up", || {
        let request = ua.request("MESSAGE", BOB).body("text/plain", "x");
        (ua.ask(request.clone()).status() == 503).then_some(request)
    });
    let branch = refused.branch();
    let again = until("refused again", || {
        ua.send(&refused);
        let answer = ua.wait("an answer", |message| message.branch() == branch).msg;
        (answer.status() == 503).then_some(answer)
    });
    ua.send(&refused);
    let third = ua.wait("an answer", |message| message.branch() == branch).msg;
    assert_eq!(tag(&again), tag(&third));
}

/// A socket that nothing should come to.
fn victim() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.7:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket
}

fn hears(victim: &UdpSocket) -> Option<Msg> {
    let mut buffer = [0; 65_536];
    let length = victim.recv(&mut buffer).ok()?;
    Msg::parse(&buffer[..length]).map(|(message, _)| message)
}

/// A request that would have its answer sent to `victim`.
fn aimed(ua: &Ua, victim: &UdpSocket, request: Msg) -> Msg {
    let (here, there) = (ua.here, victim.local_addr().unwrap());
    assert_eq!(here.ip().to_string(), "127.0.0.1");
    let branch = fresh("z9hG4bK");
    request.with(
        "Via",
        format!("SIP/2.0/UDP 127.0.0.1:{};maddr={};rport;branch={branch}", there.port(), there.ip()),
    )
}

#[test]
fn a_stranger_has_no_answer_sent_to_somebody_else() {
    let node = strict().start();
    let mut ua = Ua::udp(&node, "alice");
    let victim = victim();
    let challenged = aimed(&ua, &victim, ua.request("MESSAGE", BOB).body("text/plain", "x"));
    let malformed = aimed(&ua, &victim, ua.request("MESSAGE", BOB).with("Max-Forwards", "many"));
    let stray = aimed(&ua, &victim, ua.request("BYE", BOB).with("To", "<sip:bob@example.com>;tag=none"));
    for (request, status) in [(challenged, 401), (malformed, 400), (stray, 481)] {
        let branch = request.branch();
        ua.send(&request);
        let answer = ua.wait("an answer to the source", |message| message.branch() == branch).msg;
        assert_eq!(answer.status(), status, "{answer}");
        assert!(answer.need("Via").contains("maddr=127.0.0.7"), "the Via is given back: {answer}");
    }
    assert!(hears(&victim).is_none(), "and nobody else");
}

// proves RFC 3261 18.2.2: with maddr, the response MUST be sent there
#[test]
fn a_trusted_peer_may_have_his_answer_sent_elsewhere() {
    let node = Node::start();
    let ua = Ua::udp(&node, "sip:alice@example.org");
    let elsewhere = victim();
    elsewhere.set_read_timeout(Some(PATIENCE)).unwrap();
    for (change, status) in [("70", 202), ("many", 400)] {
        let request = ua.request("MESSAGE", BOB).with("Max-Forwards", change).body("text/plain", "x");
        let request = aimed(&ua, &elsewhere, request);
        ua.send(&request);
        let answer = hears(&elsewhere).expect("an answer where maddr says");
        assert_eq!((answer.status(), answer.branch()), (status, request.branch()), "{answer}");
    }
}
