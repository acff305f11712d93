//! The ways of requests and responses: Via, rport, Record-Route, Path (RFC 3261 18.2, 12.1, 16; RFC 3581).

use crate::support::*;
use std::net::UdpSocket;

const BOB: &str = "sip:bob@example.com";

fn message(via: &str) -> Msg {
    Msg::request("MESSAGE", BOB)
        .add("Via", via)
        .add("Max-Forwards", "70")
        .add("From", "<sip:alice@example.org>;tag=1")
        .add("To", "<sip:bob@example.com>")
        .add("Call-ID", fresh("via"))
        .add("CSeq", "1 MESSAGE")
        .body("text/plain", "x")
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Msg {
    let mut buffer = [0; 65_536];
    let length = socket.recv(&mut buffer).expect("an answer comes here");
    Msg::parse(&buffer[..length]).unwrap().0
}

// proves RFC 3581 4: with rport the answer goes to where the request came from
#[test]
fn rport_brings_the_answer_to_the_source() {
    let node = Node::start();
    let sender = socket();
    let via = format!("SIP/2.0/UDP client.example.net:9;rport;branch={}", fresh("z9hG4bK"));
    sender.send_to(&message(&via).encode(), node.sip).unwrap();
    let response = receive(&sender);
    assert_eq!(response.status(), 202);
    let via = response.need("Via");
    assert_eq!(parameter(&via, "received").as_deref(), Some("127.0.0.1"), "{via}");
    assert_eq!(parameter(&via, "rport"), Some(sender.local_addr().unwrap().port().to_string()), "{via}");
}

// proves RFC 3261 18.2.2: without rport it goes to the sent-by port
#[test]
fn without_rport_the_answer_goes_to_the_port_of_the_via() {
    let node = Node::start();
    let (sender, listener) = (socket(), socket());
    let port = listener.local_addr().unwrap().port();
    let via = format!("SIP/2.0/UDP client.example.net:{port};branch={}", fresh("z9hG4bK"));
    sender.send_to(&message(&via).encode(), node.sip).unwrap();
    let response = receive(&listener);
    assert_eq!(response.status(), 202);
    assert_eq!(parameter(&response.need("Via"), "received").as_deref(), Some("127.0.0.1"));
}

#[test]
fn every_via_is_returned_in_order() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    let request = ua.request("MESSAGE", BOB).body("text/plain", "x");
    let request = request
        .add(
            "Via",
            "SIP/2.0/TCP proxy.example.net;branch=z9hG4bKp2, SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bKp3",
        )
        .add("v", "SIP / 2.0 / UDP first.example.com:4000;ttl=16;maddr=224.2.0.1;branch=z9hG4bKa7c6a8dlze.1");
    let response = ua.ask(request.clone());
    assert_eq!(response.status(), 202);
    let below = |message: &Msg| {
        message.all("Via").join(",").split(',').skip(1).map(|via| via.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(below(&response), below(&request));
}

// proves RFC 3261 12.1.1 and 12.2.1.1: the route set of a dialog, and requests that follow it
#[test]
fn a_dialog_follows_its_record_route() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut proxy = Ua::udp(&node, "bob");
    let route = format!("<sip:{};lr;keep=this>", proxy.here);
    let nowhere = "<sip:bob@unreachable.invalid>";
    let request = subscribe_request(&proxy, BOB, 600).with("Contact", nowhere).add("Record-Route", &route);
    let response = proxy.ask(request.clone());
    assert_eq!(response.status(), 200, "{response}");
    assert_eq!(response.all("Record-Route"), std::slice::from_ref(&route), "copied into the 2xx");
    let notify = proxy.wait_and_ok("NOTIFY", &request.call_id()).msg;
    assert_eq!(notify.uri(), "sip:bob@unreachable.invalid", "the remote target");
    assert_eq!(notify.all("Route"), std::slice::from_ref(&route), "by way of the route set");
    let mut invite = Invite::new(&proxy, &message_uri(&id), Offer::active());
    invite.request = invite.request.with("Contact", nowhere).add("Record-Route", &route);
    let mut call = invite.call(&mut proxy);
    assert_eq!(call.dialog.routes, std::slice::from_ref(&route));
    call.msrp().receive(1);
    let bye = call.wait_bye(&mut proxy);
    assert_eq!((bye.uri(), bye.all("Route")), ("sip:bob@unreachable.invalid", vec![route]));
}

// proves RFC 3327 5.3 and 5.4, as far as somebody without a registrar can: the Path is the route where none was recorded
#[test]
fn a_dialog_follows_its_path_where_no_route_was_recorded() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut edge = Ua::udp(&node, "bob");
    let path = format!("<sip:{};lr;ob>, <sip:inner.invalid;lr>", edge.here);
    let hops: Vec<_> = path.split(", ").map(str::to_owned).collect();
    let nowhere = "<sip:bob@unreachable.invalid>";
    for supported in [true, false] {
        let mut request = subscribe_request(&edge, BOB, 600).with("Contact", nowhere).add("Path", &path);
        if supported {
            request = request.add("Supported", "path").add("Require", "path");
        }
        let response = edge.ask(request.clone());
        assert_eq!(response.status(), 200, "{response}");
        assert_eq!(response.all("Path"), std::slice::from_ref(&path), "shown to the client");
        let notify = edge.wait_and_ok("NOTIFY", &request.call_id()).msg;
        assert_eq!((notify.uri(), notify.all("Route")), ("sip:bob@unreachable.invalid", hops.clone()));
    }
    let mut invite = Invite::new(&edge, &message_uri(&id), Offer::active());
    invite.request = invite.request.with("Contact", nowhere).add("Path", &path);
    let mut call = invite.call(&mut edge);
    call.msrp().receive(1);
    let bye = call.wait_bye(&mut edge);
    assert_eq!((bye.uri(), bye.all("Route")), ("sip:bob@unreachable.invalid", hops));
}

#[test]
fn a_recorded_route_goes_before_a_path() {
    let node = Node::start();
    let mut proxy = Ua::udp(&node, "bob");
    let route = format!("<sip:{};lr>", proxy.here);
    let request = subscribe_request(&proxy, BOB, 600)
        .with("Contact", "<sip:bob@unreachable.invalid>")
        .add("Path", "<sip:edge.invalid;lr>")
        .add("Record-Route", &route);
    assert_eq!(proxy.ask(request.clone()).status(), 200);
    let notify = proxy.wait_and_ok("NOTIFY", &request.call_id()).msg;
    assert_eq!(notify.all("Route"), [route]);
    let broken = subscribe_request(&proxy, BOB, 600).add("Path", "<sip:edge.invalid;lr");
    let response = proxy.ask(broken);
    assert_eq!(response.status(), 400);
    assert!(response.reason().contains("Path"), "{response}");
}

#[test]
fn a_contact_over_tcp_is_reached_over_tcp() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let contact = format!("<sip:bob@{};transport=tcp>", bob.here);
    let request = subscribe_request(&bob, BOB, 600).with("Contact", contact);
    assert_eq!(bob.ask(request.clone()).status(), 200);
    let notify = bob.wait_and_ok("NOTIFY", &request.call_id());
    assert!(notify.over_tcp());
}

#[test]
fn a_route_to_the_node_itself_is_taken_off() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let request =
        alice.request("MESSAGE", BOB).add("Route", format!("<sip:{};lr>", node.sip)).body("text/plain", "x");
    assert_eq!(alice.ask(request).status(), 202);
}

/// More shards than one, whatever machine this is.
fn sharded() -> Plan {
    Plan::new().set("node", "workers = 4")
}

// proves RFC 3261 9.1: a CANCEL asserts nobody, and has its INVITE's Request-URI, Call-ID and From
#[test]
fn a_cancel_finds_its_invite_in_whatever_shard() {
    let node = sharded().start();
    let mut proxy = Ua::udp(&node, "sip:anonymous@anonymous.invalid");
    for number in 0..8 {
        let user = format!("sip:bob{number}@example.com");
        let id = deposit(&mut proxy, &user, "x");
        for uri in [message_uri(&id), user.clone()] {
            let mut invite = Invite::new(&proxy, &uri, Offer::active());
            invite.request = invite.request.add("P-Asserted-Identity", format!("<{user}>"));
            let request = invite.request.clone();
            let mut call = invite.call_unbound(&mut proxy);
            let mut cancel = Msg::request("CANCEL", request.uri());
            for name in ["Via", "Max-Forwards", "From", "To", "Call-ID"] {
                cancel = cancel.add(name, request.need(name));
            }
            // It comes too late to have an effect, but its transaction is there.
            assert_eq!(proxy.ask(cancel.add("CSeq", "1 CANCEL")).status(), 200, "{uri}");
            call.bye(&mut proxy);
        }
    }
}

// proves RFC 3323 4.1.1.3 by the way of RFC 6665 4.2.2: whoever has proved who he is is told, whatever his From says
#[test]
fn an_anonymous_device_shares_the_mailbox_of_its_user() {
    let names: Vec<String> = (0..3).map(|number| format!("bob{number}@example.com")).collect();
    let users: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "builder")).collect();
    let plan = sharded().set("summary", "min_interval = \"10ms\"");
    let node = plan.set("trust", "peers = []").users(&users).start();
    for name in &names {
        let user = name.split('@').next().unwrap();
        let store = format!("sip:{user}@mailserver.example.com");
        let mut one = Ua::udp(&node, user).with_login(name, "builder");
        let mut other = Ua::udp(&node, "sip:anonymous@anonymous.invalid").with_login(name, "builder");
        let dialogs = [subscribe(&mut one, &store, 600), subscribe(&mut other, &store, 600)];
        notified(&mut one, &dialogs[0]);
        notified(&mut other, &dialogs[1]);
        let mailbox = format!("sip:{name}");
        let deposited = deposit(&mut one, &mailbox, "x");
        for (ua, dialog) in [(&mut one, &dialogs[0]), (&mut other, &dialogs[1])] {
            assert_eq!(Summary::of(&notified(ua, dialog)).ids(), std::slice::from_ref(&deposited));
        }
    }
}

#[test]
fn a_user_has_so_many_retrievals_in_all_shards_together() {
    let node = sharded().set("retrieval", "sessions_per_user = 3").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let mut open: Vec<Call> = (0..3)
        .map(|_| Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob))
        .collect();
    for uri in [message_uri(&id), message_uri(&id), message_uri(&id), BOB.to_owned()] {
        assert_eq!(Invite::new(&bob, &uri, Offer::active()).refused(&mut bob).status(), 480, "{uri}");
    }
    // Who has his BYE answered may come again at once, wherever that leads.
    for _ in 0..30 {
        let mut first = open.remove(0);
        first.bye(&mut bob);
        open.push(Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob));
    }
}
