//! Who asks for too much, or fails too often, is told when he may come again; others go on.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

fn strict() -> Plan {
    Plan::new()
        .set("trust", "peers = []")
        .users(&[("alice@example.com", "wonderland"), ("bob@example.com", "b")])
}

fn wait_of(response: &Msg) -> u64 {
    let seconds = response.need("Retry-After").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{response}");
    seconds
}

#[test]
fn an_address_that_asks_for_too_much_is_answered_503() {
    let node = strict().set("rates", "requests_per_address = 5").set("rates", "burst = \"4s\"").start();
    let mut ua = Ua::udp(&node, "alice");
    let mut refused = None;
    for count in 1..=200 {
        let options = ua.request("OPTIONS", "sip:mailserver.example.com");
        let response = ua.ask(options);
        match response.status() {
            401 => {}
            503 => {
                assert!(count > 20, "the burst is granted: {count}");
                refused = Some(response);
                break;
            }
            other => panic!("{other}"),
        }
    }
    wait_of(&refused.expect("more than 5 a second is refused"));
    node.wait_log("too many requests: address refused");
    // Malformed requests count as well, and an ACK is never answered.
    let mut odd = ua.request("OPTIONS", BOB).with("CSeq", "nonsense");
    odd.start = "OPTIONS sip:bob@example.com SIP/2.0".into();
    // A fifth of a second lets one more in.
    (0..5).for_each(|_| ua.send(&odd));
    ua.wait("the refusal of a malformed request", |message| {
        !message.is_request() && message.status() == 503 && message.call_id() == odd.call_id()
    });
}

#[test]
fn trusted_peers_have_no_rate() {
    let node = Plan::new()
        .set("rates", "requests_per_address = 1")
        .set("rates", "deposits_per_user = 1")
        .set("rates", "burst = \"1s\"")
        .start();
    let mut alice = Ua::udp(&node, "alice");
    for _ in 0..30 {
        deposit(&mut alice, BOB, "hello");
    }
    assert_eq!(fetch(&node, "bob").ids().len(), 30);
}

#[test]
fn a_user_who_deposits_too_much_is_answered_480() {
    let node = strict().set("rates", "deposits_per_user = 1").set("rates", "burst = \"3s\"").start();
    let mut alice = Ua::udp(&node, "alice").with_login("alice", "wonderland");
    let mut send = |to: &str| {
        let message = alice.request("MESSAGE", to).body("text/plain", "hello");
        alice.ask(message)
    };
    let refused = (0..100).map(|_| send(BOB)).find(|response| response.status() != 202).expect("a limit");
    assert_eq!(refused.status(), 480, "{refused}");
    assert!(refused.need("Warning").contains("too many deposits of this user"), "{refused}");
    wait_of(&refused);
    // Another user of the same address is not hit, nor is what she does beside deposits.
    assert_eq!(alice.ask_options().status(), 200);
    let mut bob = Ua::udp(&node, "bob").with_login("bob", "b");
    let message = bob.request("MESSAGE", BOB).body("text/plain", "to myself");
    assert_eq!(bob.ask(message).status(), 202);
}

// proves RFC 7616 5.1: who guesses is refused before anything is hashed
#[test]
fn an_address_that_fails_too_often_is_refused_for_a_while() {
    let node = strict().set("auth", "max_failures = 3").set("auth", "block = \"20s\"").start();
    let mut bob = Ua::udp(&node, "bob").with_login("bob", "b");
    let dialog = &mut subscribe(&mut bob, BOB, 3600);
    notified(&mut bob, dialog);
    let mut eve = Ua::tcp(&node, "alice").with_login("alice", "guess");
    for _ in 0..3 {
        assert_eq!(eve.ask_options().status(), 401);
    }
    let options = eve.request("OPTIONS", BOB);
    let response = eve.ask(options);
    assert_eq!(response.status(), 403, "{response}");
    assert!(wait_of(&response) <= 20);
    node.wait_log("address refused for a while");
    assert_eq!(node.log().matches("auth failed").count(), 3);
    // A dialog of that address goes on.
    bob.login = None;
    let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "1800");
    assert_eq!(bob.ask(refresh).status(), 200);
}
