//! The life of a subscription to the message-summary package (RFC 6665), and who may have one.

use crate::support::*;
use std::net::{IpAddr, SocketAddr};

const BOB: &str = "sip:bob@example.com";

fn expires_of(notify: &Msg) -> u32 {
    let state = notify.need("Subscription-State");
    assert!(state.starts_with("active"), "{state}");
    parameter(&state, "expires").expect("RFC 6665 4.1.3: active has expires").parse().unwrap()
}

#[test]
fn a_subscription_is_accepted_notified_refreshed_and_ended() {
    let node = brisk();
    let mut bob = Ua::udp(&node, "bob");
    let mut dialog = subscribe(&mut bob, BOB, 600);
    let first = notified(&mut bob, &dialog);
    assert!((590..=600).contains(&expires_of(&first)));
    assert!(!Summary::of(&first).waiting);
    let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "1200");
    let response = bob.ask(refresh);
    assert_eq!((response.status(), response.need("Expires").as_str()), (200, "1200"));
    let second = notified(&mut bob, &dialog);
    assert!((1190..=1200).contains(&expires_of(&second)));
    let number = |notify: &Msg| notify.need("CSeq").split(' ').next().unwrap().parse::<u32>().unwrap();
    assert!(number(&second) > number(&first), "RFC 3261 12.2.1.1: CSeq rises");
    let end = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "0");
    assert_eq!(bob.ask(end).status(), 200);
    let last = notified(&mut bob, &dialog);
    assert_eq!(last.need("Subscription-State"), "terminated;reason=timeout");
    let gone = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "600");
    assert_eq!(bob.ask(gone).status(), 481);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, BOB, "nobody listens");
    bob.quiet(QUIET, |message| message.is_request());
}

#[test]
fn a_fetch_is_one_notify() {
    let node = brisk();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    assert_eq!(fetch_by(&mut bob).ids(), [id]);
    deposit(&mut alice, BOB, "y");
    bob.quiet(QUIET, |message| message.is_request());
}

#[test]
fn the_store_host_names_the_same_mailbox() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, "sip:bob@mailserver.example.com", 600);
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).ids(), [id]);
}

#[test]
fn no_other_may_subscribe() {
    let node = Node::start();
    let mut eve = Ua::udp(&node, "eve");
    for uri in [BOB, "sip:bob@mailserver.example.com"] {
        let request = subscribe_request(&eve, uri, 600);
        let status = eve.ask(request).status();
        // At the store's host a user part that is not the caller's own name is not found.
        let expected: &[u16] = if uri == BOB { &[403] } else { &[403, 404] };
        assert!(expected.contains(&status), "{uri}: {status}");
    }
    let mut namesake = Ua::udp(&node, "sip:bob@example.org");
    let request = subscribe_request(&namesake, BOB, 600);
    assert_eq!(namesake.ask(request).status(), 403);
    let request = subscribe_request(&eve, "sip:bob@nowhere.example", 600);
    assert_eq!(eve.ask(request).status(), 404);
}

// proves RFC 3325 5: a trusted peer's P-Asserted-Identity is who asks
#[test]
fn the_asserted_identity_counts() {
    let node = Node::start();
    let mut proxy = Ua::udp(&node, "sip:anonymous@anonymous.invalid");
    let request =
        subscribe_request(&proxy, BOB, 0).add("P-Asserted-Identity", "\"Bob\" <sip:bob@example.com>");
    let response = proxy.ask(request.clone());
    assert_eq!(response.status(), 200, "{response}");
    let dialog = Dialog::opened(&request, &response);
    notified(&mut proxy, &dialog);
    let mut bob = Ua::udp(&node, "bob");
    for another in ["<sip:eve@example.com>", "<tel:+15551234>", "<sip:eve@example.com>, <tel:+15551234>"] {
        let request = subscribe_request(&bob, BOB, 0).add("P-Asserted-Identity", another);
        assert_eq!(bob.ask(request).status(), 403, "{another}");
    }
    let by_telephone =
        bob.request("MESSAGE", "sip:dave@example.com").add("P-Asserted-Identity", "<tel:+15551234>");
    assert_eq!(bob.ask(by_telephone.body("text/plain", "hello")).status(), 202);
}

#[test]
fn another_event_is_a_bad_event() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    for event in ["presence", "message-summary.winfo", "x"] {
        let request = subscribe_request(&bob, BOB, 600).with("Event", event);
        let response = bob.ask(request);
        assert_eq!(response.status(), 489, "{event}");
        assert!(response.words("Allow-Events").contains(&"message-summary".into()), "{response}");
    }
    let request = subscribe_request(&bob, BOB, 600).without("Event");
    let status = bob.ask(request).status();
    assert!([400, 489].contains(&status), "{status}");
}

// proves RFC 6665 4.2.1.1: the interval is too brief only if it is not zero
#[test]
fn too_short_an_interval_is_told_the_least() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let request = subscribe_request(&bob, BOB, 5);
    let response = bob.ask(request);
    assert_eq!(response.status(), 423);
    let least: u32 = response.need("Min-Expires").parse().unwrap();
    assert!(least > 5);
    subscribe(&mut bob, BOB, least);
}

#[test]
fn too_long_an_interval_is_shortened_and_none_is_an_hour() {
    let node = Plan::new().set("summary", "max_expires = \"2h\"").start();
    let mut bob = Ua::udp(&node, "bob");
    let request = subscribe_request(&bob, BOB, 4_000_000_000);
    assert_eq!(bob.ask(request).need("Expires"), "7200");
    // RFC 3842 3.4: the default duration is one hour.
    let request = subscribe_request(&bob, BOB, 0).without("Expires");
    assert_eq!(bob.ask(request).need("Expires"), "3600");
}

#[test]
fn a_subscription_that_is_not_refreshed_ends() {
    let node = Plan::new().set("summary", "min_expires = \"1s\"").start();
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 2);
    notified(&mut bob, &dialog);
    let last = notified(&mut bob, &dialog);
    assert_eq!(last.need("Subscription-State"), "terminated;reason=timeout");
}

#[test]
fn a_subscriber_who_does_not_take_summaries_is_refused() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let request = subscribe_request(&bob, BOB, 600).with("Accept", "application/pidf+xml");
    assert_eq!(bob.ask(request).status(), 406);
    // RFC 3842 3.5: without Accept the format is assumed.
    let request = subscribe_request(&bob, BOB, 600).without("Accept");
    assert_eq!(bob.ask(request).status(), 200);
}

#[test]
fn a_subscribe_without_contact_is_bad() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let request = subscribe_request(&bob, BOB, 600).without("Contact");
    let response = bob.ask(request);
    assert_eq!(response.status(), 400);
    assert!(response.reason().contains("Contact"), "{response}");
}

// proves RFC 3261 8.1.1.8, 12.1.1, 12.2.2
#[test]
fn a_contact_other_than_one_sip_uri_is_bad() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let mut dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    let two = format!("{}, <sip:bob@127.0.0.1:1>", bob.contact());
    for contact in ["<tel:+1>", "<mailto:bob@example.com>", &two, "*"] {
        let first = subscribe_request(&bob, BOB, 600).with("Contact", contact);
        let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary");
        let invite = Invite::new(&bob, "sip:joe@example.com", Offer::active()).request;
        for request in [first, refresh.with("Contact", contact), invite.with("Contact", contact)] {
            let response = bob.ask(request);
            assert_eq!(response.status(), 400, "{contact}: {response}");
            assert!(response.reason().contains("Contact"), "{response}");
        }
    }
    let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "600");
    assert_eq!(bob.ask(refresh).status(), 200, "the subscription is as it was");
    notified(&mut bob, &dialog);
}

#[test]
fn a_refresh_of_no_subscription_and_out_of_order_is_refused() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let stray = subscribe_request(&bob, BOB, 600).with("To", "<sip:bob@example.com>;tag=unknown");
    assert_eq!(bob.ask(stray).status(), 481);
    let mut dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    dialog.cseq = 10;
    let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "600");
    assert_eq!(bob.ask(refresh).status(), 200);
    dialog.cseq = 5;
    let late = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "600");
    // RFC 3261 12.2.2: a lower CSeq is answered 500.
    assert_eq!(bob.ask(late).status(), 500);
}

// proves RFC 3261 11.2, 20.5
#[test]
fn other_requests_in_a_subscription_are_answered_and_it_goes_on() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let mut dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    let outside = bob.ask_options();
    let options = dialog.request(&bob, "OPTIONS");
    let within = bob.ask(options);
    assert_eq!(within.status(), 200, "{within}");
    for name in ["Allow", "Accept", "Accept-Encoding", "Supported", "Allow-Events"] {
        assert_eq!(within.need(name), outside.need(name), "the answer is the one outside of the dialog");
    }
    for (method, status) in
        [("INVITE", 405), ("UPDATE", 405), ("MESSAGE", 405), ("BYE", 405), ("INFO", 405), ("FOO", 501)]
    {
        let other = dialog.request(&bob, method).with("Contact", "<sip:bob@127.0.0.9:9>");
        let response = bob.ask(other);
        assert_eq!(response.status(), status, "{response}");
        assert_eq!(response.words("Allow"), ["subscribe", "options"], "{method}: {response}");
    }
    // RFC 3261 14.2: what was refused has left the dialog as it was.
    deposit(&mut bob, BOB, "news");
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).totals(), (1, 0));
    let other = dialog.request(&bob, "SUBSCRIBE").add("Event", "presence");
    let response = bob.ask(other);
    assert_eq!((response.status(), response.need("Allow-Events")), (489, outside.need("Allow-Events")));
    for event in ["conference", "message-summary;id=2"] {
        let other = dialog.request(&bob, "SUBSCRIBE").add("Event", event);
        let response = bob.ask(other);
        assert_eq!(response.status(), 403, "RFC 6665 4.5.2: no dialog is shared: {response}");
        assert!(response.reason().contains("Sharing"), "{response}");
    }
    let demanding = dialog.request(&bob, "OPTIONS").add("Require", "nothingSupportsThis");
    assert_eq!(bob.ask(demanding).status(), 420);
    let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "600");
    assert_eq!(bob.ask(refresh).status(), 200);
    notified(&mut bob, &dialog);
    dialog.cseq = 1;
    let late = dialog.request(&bob, "OPTIONS");
    assert_eq!(bob.ask(late).status(), 500, "RFC 3261 12.2.2: a lower CSeq");
}

// proves RFC 3261 8.1.1.8, 12.2.1.1: where requests of the dialog reach the node, though it listens elsewhere than when it began
#[test]
fn a_subscription_goes_on_where_the_node_listens_now() {
    let hosts: [IpAddr; 2] = ["127.0.0.1", "127.0.0.2"].map(|host| host.parse().unwrap());
    let [first, second, third] = [0, 1, 0].map(|host| ports::free(hosts[host]));
    let listen = |at: &str| format!("listen = [\"udp:{at}\", \"tcp:{at}\"]");
    let mut plan = listen(&format!("127.0.0.1:{first}"));
    let mut node = Plan::new().set("sip", &plan).start();
    let mut bob = Ua::new(SocketAddr::new(hosts[0], first), "bob", false);
    let mut dialog = subscribe(&mut bob, BOB, 3600);
    assert!(notified(&mut bob, &dialog).need("Contact").contains(&format!("@127.0.0.1:{first}")));
    let advertised = format!("{}\nadvertise = \"sip.invalid:9\"", listen(&format!("127.0.0.1:{third}")));
    for (line, host, port, contact) in [
        (listen(&format!("127.0.0.2:{second}")), 1, second, format!("@127.0.0.2:{second}>")),
        // Of all addresses: it is meant still.
        (listen(&format!("0.0.0.0:{second}")), 1, second, format!("@127.0.0.2:{second}>")),
        (listen(&format!("0.0.0.0:{third}")), 1, third, format!("@127.0.0.2:{third}>")),
        (advertised, 0, third, "@sip.invalid:9>".to_owned()),
        (listen(&format!("0.0.0.0:{third}")), 0, third, format!("@mailserver.example.com:{third}>")),
        (listen(&format!("127.0.0.1:{first}")), 0, first, format!("@127.0.0.1:{first}>")),
    ] {
        node.signal("TERM");
        assert!(node.wait_exit().success());
        let text = std::fs::read_to_string(node.file()).unwrap();
        std::fs::write(node.file(), text.replace(&plan, &line)).unwrap();
        plan = line;
        node.launch();
        let told = notified(&mut bob, &dialog).need("Contact");
        assert!(told.starts_with("<sip:summary@") && told.ends_with(&contact), "{told} where {plan}");
        // The answer to a refresh tells that it is written down.
        bob.node = SocketAddr::new(hosts[host], port);
        let refresh =
            dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "3600");
        let response = bob.ask(refresh);
        assert_eq!((response.status(), response.need("Contact")), (200, told));
        notified(&mut bob, &dialog);
    }
}

#[test]
fn a_subscription_survives_a_crash_and_a_restart() {
    let mut node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let mut dialog = subscribe(&mut bob, BOB, 3600);
    let number = |notify: &Msg| notify.need("CSeq").split(' ').next().unwrap().parse::<u32>().unwrap();
    let mut last = number(&notified(&mut bob, &dialog));
    for (round, kill) in [true, false].into_iter().enumerate() {
        if kill {
            node.kill();
            node.launch();
        } else {
            node.restart();
        }
        let mut alice = Ua::udp(&node, "sip:alice@example.org");
        let id = deposit(&mut alice, BOB, "after the restart");
        loop {
            let notify = notified(&mut bob, &dialog);
            assert!(number(&notify) > last, "CSeq rises over a restart: {} after {last}", number(&notify));
            last = number(&notify);
            let summary = Summary::of(&notify);
            if summary.totals().0 == round as u64 + 1 {
                assert!(summary.ids().contains(&id));
                break;
            }
        }
    }
    let end = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "0");
    assert_eq!(bob.ask(end).status(), 200);
}
