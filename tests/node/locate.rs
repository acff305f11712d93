//! Where the node's own requests and late responses go, and where they go next (RFC 3263), by a DNS of the tests'.

use crate::support::*;
use std::net::{TcpListener, UdpSocket};

const BOB: &str = "sip:bob@example.com";

/// A node that asks `dns`, and gives up quickly on who does not answer: timer F is 64 times T1.
fn node(dns: &Dns) -> Node {
    Plan::new().set("dns", &dns.servers()).set("sip", "t1 = \"10ms\"").set("sip", "t2 = \"100ms\"").start()
}

fn port(ua: &Ua) -> u16 {
    ua.here.port()
}

/// A server that takes datagrams and never answers.
fn dead() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Bob at the second target of `phones.test`, of which the first never answers.
fn behind_a_dead_one() -> (UdpSocket, Dns, Node, Ua) {
    let silent = dead();
    let live = ports::free("127.0.0.1".parse().unwrap());
    let dns = Zone::default()
        .srv("_sip._udp.phones.test", 10, silent.local_addr().unwrap().port(), "one.phones.test")
        .srv("_sip._udp.phones.test", 20, live, "two.phones.test")
        .address("one.phones.test", "127.0.0.1")
        .address("two.phones.test", "127.0.0.1")
        .serve();
    let node = node(&dns);
    let bob = Ua::at(node.sip, "bob", false, live);
    (silent, dns, node, bob)
}

fn first(socket: &UdpSocket) -> Msg {
    let mut buffer = [0; 65_536];
    let length = socket.recv(&mut buffer).expect("the first target is tried");
    Msg::parse(&buffer[..length]).unwrap().0
}

/// What of a request must be the same in each attempt: all but the Via.
fn apart_from_via(request: &Msg) -> Msg {
    request.clone().without("Via")
}

/// Subscribes with a Contact by name, over UDP.
fn subscribe_at(ua: &mut Ua, contact: &str) -> String {
    let request = subscribe_request(ua, BOB, 600).with("Contact", format!("<{contact}>"));
    let response = ua.ask(request.clone());
    assert_eq!(response.status(), 200, "{response}");
    request.call_id()
}

// proves RFC 3263 4.2, 4.3: SRV, and the next target after a time-out, as a new transaction
#[test]
fn a_notify_goes_to_the_next_target_when_the_first_does_not_answer() {
    let (silent, dns, _node, mut bob) = behind_a_dead_one();
    let call_id = subscribe_at(&mut bob, "sip:bob@phones.test");
    let notify = bob.wait_and_ok("NOTIFY", &call_id).msg;
    assert_eq!(notify.uri(), "sip:bob@phones.test", "the URI is not rewritten");
    let lost = first(&silent);
    assert_eq!(apart_from_via(&lost), apart_from_via(&notify));
    assert_ne!(lost.branch(), notify.branch());
    let asked = dns.asked();
    assert_eq!(asked[0], "NAPTR phones.test", "{asked:?}");
    assert!(asked.contains(&"SRV _sip._udp.phones.test".to_owned()), "{asked:?}");
}

// proves RFC 3263 4.3 for the requests that follow: what failed is known
#[test]
fn a_target_that_does_not_answer_costs_one_request_its_time_and_not_each() {
    let (silent, _dns, node, mut bob) = behind_a_dead_one();
    let call_id = subscribe_at(&mut bob, "sip:bob@phones.test");
    bob.wait_and_ok("NOTIFY", &call_id);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut changes = Vec::new();
    for _ in 0..3 {
        let id = deposit(&mut alice, BOB, "x");
        let change = bob.wait_and_ok("NOTIFY", &call_id).msg;
        assert!(Summary::of(&change).ids().contains(&id), "{change}");
        changes.push(change.branch());
    }
    let log = node.wait_log("next hop failed");
    assert_eq!(log.matches("next hop failed").count(), 1, "{log}");
    // The dead target has heard of the first NOTIFY alone, as often as timer E repeats it.
    silent.set_nonblocking(true).unwrap();
    let (mut heard, mut buffer) = (std::collections::BTreeSet::new(), [0; 65_536]);
    while let Ok(length) = silent.recv(&mut buffer) {
        heard.insert(Msg::parse(&buffer[..length]).unwrap().0.branch());
    }
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(changes.iter().all(|branch| !heard.contains(branch)));
}

// proves RFC 3263 4.1, 4.3: NAPTR chooses the transport; a connection that is refused is a failure
#[test]
fn a_bye_goes_to_the_next_target_when_the_first_refuses_the_connection() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let live = ports::free("127.0.0.1".parse().unwrap());
    let dns = Zone::default()
        .naptr("phones.test", 5, "SIPS+D2U", "_sips._udp.phones.test")
        .naptr("phones.test", 10, "SIP+D2T", "_sip._tcp.elsewhere.test")
        .naptr("phones.test", 20, "SIP+D2U", "_sip._udp.phones.test")
        .srv("_sip._tcp.elsewhere.test", 1, closed, "one.phones.test")
        .srv("_sip._tcp.elsewhere.test", 2, live, "one.phones.test")
        .address("one.phones.test", "127.0.0.1")
        .serve();
    let node = node(&dns);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::at(node.sip, "bob", false, live);
    let mut invite = Invite::new(&bob, &message_uri(&id), Offer::active());
    invite.request = invite.request.with("Contact", "<sip:bob@phones.test>");
    let mut call = invite.call(&mut bob);
    call.msrp().receive(1);
    let bye = bob.wait_and_ok("BYE", &call.dialog.call_id);
    assert!(bye.over_tcp(), "as the NAPTR record says");
    assert_eq!(bye.msg.uri(), "sip:bob@phones.test");
    assert!(bye.msg.need("Via").starts_with("SIP/2.0/TCP "), "{}", bye.msg);
}

// proves RFC 3263 4.3: 503 is a failure, any other refusal is an answer
#[test]
fn a_503_leads_to_the_next_target_and_a_481_ends_the_subscription() {
    let mut ports = [0; 2];
    ports.fill_with(|| ports::free("127.0.0.1".parse().unwrap()));
    let dns = Zone::default()
        .srv("_sip._udp.phones.test", 10, ports[0], "one.phones.test")
        .srv("_sip._udp.phones.test", 20, ports[1], "one.phones.test")
        .address("one.phones.test", "127.0.0.1")
        .serve();
    let node = node(&dns);
    let mut one = Ua::at(node.sip, "bob", false, ports[0]);
    let mut two = Ua::at(node.sip, "bob", false, ports[1]);
    let call_id = subscribe_at(&mut one, "sip:bob@phones.test");
    let busy = one.wait_request("NOTIFY", &call_id);
    one.reply(&busy, 503, "Service Unavailable");
    let notify = two.wait_request("NOTIFY", &call_id);
    assert_eq!(apart_from_via(&busy.msg), apart_from_via(&notify.msg));
    assert_ne!(busy.msg.branch(), notify.msg.branch());
    two.reply(&notify, 200, "OK");
    // The next change: the first target is asked first again, and its 481 is an answer.
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, BOB, "x");
    let change = one.wait_request("NOTIFY", &call_id);
    one.reply(&change, 481, "Call/Transaction Does Not Exist");
    deposit(&mut alice, BOB, "y");
    one.barrier();
    let gone = |message: &Msg| message.is_request() && message.call_id() == call_id;
    two.quiet(std::time::Duration::from_millis(100), gone);
}

// proves RFC 3263 4, RFC 3261 12.2.1.1: the route's URI is resolved, not the Request-URI
#[test]
fn the_route_is_located_and_not_the_contact() {
    let dns = Zone::default().address("edge.test", "127.0.0.1").serve();
    let node = node(&dns);
    let mut bob = Ua::udp(&node, "bob");
    let route = format!("<sip:EDGE.test:{};lr>", port(&bob));
    let request = subscribe_request(&bob, BOB, 600)
        .with("Contact", "<sip:bob@unreachable.invalid>")
        .add("Record-Route", &route);
    assert_eq!(bob.ask(request.clone()).status(), 200);
    let notify = bob.wait_and_ok("NOTIFY", &request.call_id()).msg;
    assert_eq!(notify.all("Route"), [route]);
    let asked = dns.asked();
    assert!(asked.iter().all(|asked| asked.ends_with("edge.test") && !asked.starts_with("SRV")), "{asked:?}");
}

#[test]
fn a_contact_that_leads_nowhere_ends_the_subscription_with_a_line_in_the_log() {
    let dns = Zone::default().address("else.test", "127.0.0.1").serve();
    let node = node(&dns);
    let mut bob = Ua::udp(&node, "bob");
    subscribe_at(&mut bob, "sip:bob@nobody.test");
    until("a warning", || node.log().contains("no address for the host").then_some(()));
    assert_eq!(fetch(&node, "bob").totals(), (0, 0), "the node goes on");
}

// proves RFC 6665 4.2.2 in what it asks of a NOTIFY: that it failed, not that nobody knew the way
#[test]
fn a_subscription_outlives_a_dns_that_does_not_answer() {
    let (zone, live) = named();
    let dns = zone.serve();
    let settings = dns.servers() + "\ntimeout = \"100ms\"";
    let node = Plan::new().set("dns", &settings).start();
    let mut bob = Ua::at(node.sip, "bob", false, live);
    dns.mute(true);
    let call_id = subscribe_at(&mut bob, &format!("sip:bob@phones.test:{live}"));
    let log = node.wait_log("NOTIFY not sent: the DNS does not answer");
    assert!(log.contains("seconds=5") && !log.contains("subscription ended"), "{log}");
    dns.mute(false);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let notify = bob.wait_and_ok("NOTIFY", &call_id).msg;
    assert!(Summary::of(&notify).ids().contains(&id), "what has changed meanwhile is told, too: {notify}");
}

// proves RFC 3263 5: a response whose connection is gone goes to what sent-by stands for
#[test]
fn a_response_goes_where_its_via_stands_for_when_the_connection_is_gone() {
    let port = ports::free("127.0.0.9".parse().unwrap());
    let listener = TcpListener::bind(("127.0.0.9", port)).unwrap();
    let dns = Zone::default().address("phone.test", "127.0.0.9").serve();
    let node = node(&dns);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::tcp(&node, "bob");
    let mut invite = Invite::new(&bob, &message_uri(&id), Offer::active());
    let via = format!("SIP/2.0/TCP phone.test:{port};branch={}", fresh("z9hG4bK"));
    invite.request = invite.request.with("Via", via);
    let request = invite.request.clone();
    assert_eq!(bob.ask(request.clone()).status(), 200);
    // Not acknowledged, and the connection ends: the 200 is repeated by another.
    drop(bob);
    let mut stream = ports::accept(&listener);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    let again = loop {
        let mut scratch = [0; 4096];
        let length = std::io::Read::read(&mut stream, &mut scratch).unwrap();
        assert_ne!(length, 0, "the response comes whole");
        bytes.extend_from_slice(&scratch[..length]);
        if let Some((message, _)) = Msg::parse(&bytes) {
            break message;
        }
    };
    assert!(again.answers(&request), "{again}");
    assert_eq!(again.status(), 200);
}

/// Bob at `phones.test`, whose port his Contact names.
fn named() -> (Zone, u16) {
    (Zone::default().address("phones.test", "127.0.0.1"), ports::free("127.0.0.1".parse().unwrap()))
}

// proves RFC 4074 4.1: a server that ignores AAAA queries does not hold up who has an A record
#[test]
fn an_address_is_used_when_the_other_family_is_never_answered() {
    let (zone, live) = named();
    let dns = zone.silent("AAAA phones.test").serve();
    let node = node(&dns);
    let mut bob = Ua::at(node.sip, "bob", false, live);
    let call_id = subscribe_at(&mut bob, &format!("sip:bob@phones.test:{live}"));
    bob.wait_and_ok("NOTIFY", &call_id);
    assert!(dns.asked().contains(&"AAAA phones.test".to_owned()));
}

// proves `[dns] timeout`: an answer counts as long as the question may take, also to a query that was repeated
#[test]
fn an_answer_that_is_late_is_used() {
    let (zone, live) = named();
    let dns = zone.late("A phones.test").serve();
    let settings = dns.servers() + "\ntimeout = \"1s\"";
    let node = Plan::new().set("dns", &settings).start();
    let mut bob = Ua::at(node.sip, "bob", false, live);
    let call_id = subscribe_at(&mut bob, &format!("sip:bob@phones.test:{live}"));
    bob.wait_and_ok("NOTIFY", &call_id);
}

// proves RFC 3263 4.1: without an answer about NAPTR records, SRV records are asked for, and then addresses
#[test]
fn what_is_never_answered_is_done_without() {
    let live = ports::free("127.0.0.1".parse().unwrap());
    let dns = Zone::default()
        .silent("NAPTR phones.test")
        .silent("SRV _sips._tcp.phones.test")
        .srv("_sip._udp.phones.test", 1, live, "one.phones.test")
        .address("one.phones.test", "127.0.0.1")
        .serve();
    let settings = dns.servers() + "\ntimeout = \"1s\"";
    let node = Plan::new().set("dns", &settings).start();
    let mut bob = Ua::at(node.sip, "bob", false, live);
    let call_id = subscribe_at(&mut bob, "sip:bob@phones.test");
    bob.wait_and_ok("NOTIFY", &call_id);
}
