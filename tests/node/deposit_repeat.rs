//! The same request again is the same item; another request with its Call-ID is another item.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// The request as another transaction, on another transport perhaps.
fn again(request: &Msg, ua: &Ua) -> Msg {
    request.clone().with("Via", ua.via())
}

#[test]
fn a_repetition_is_stored_once_whatever_its_transport() {
    let node = Node::start();
    let mut udp = Ua::udp(&node, "sip:alice@example.org");
    let mut tcp = Ua::tcp(&node, "sip:alice@example.org");
    let message = udp.request("MESSAGE", BOB).body("text/plain", "once");
    assert_eq!(udp.ask(message.clone()).status(), 202);
    for _ in 0..3 {
        let (first, second) = (again(&message, &udp), again(&message, &tcp));
        assert_eq!(udp.ask(first).status(), 202);
        assert_eq!(tcp.ask(second).status(), 202);
    }
    let summary = fetch(&node, "bob");
    assert_eq!((summary.ids(), summary.totals()), (vec![message.call_id()], (1, 0)));
}

// proves RFC 3261 17.2.2: a retransmission is answered with the same response
#[test]
fn a_retransmission_is_answered_with_the_same_bytes() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "once");
    let first = alice.ask(message.clone());
    let second = alice.ask(message);
    assert_eq!((first.status(), &first), (202, &second));
}

#[test]
fn a_repetition_after_a_crash_is_stored_once() {
    let mut node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "once");
    assert_eq!(alice.ask(message.clone()).status(), 202);
    node.kill();
    node.launch();
    assert_eq!(alice.ask(again(&message, &alice)).status(), 202);
    node.restart();
    assert_eq!(alice.ask(message.clone()).status(), 202);
    assert_eq!(fetch(&node, "bob").ids(), [message.call_id()]);
}

#[test]
fn a_repetition_after_retrieval_and_deletion_is_not_stored_again() {
    let node = Plan::new().set("retrieval", "after = \"delete\"").start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "once");
    assert_eq!(alice.ask(message.clone()).status(), 202);
    let mut bob = Ua::tcp(&node, "bob");
    retrieve(&mut bob, &message_uri(&message.call_id()), 1);
    let repetition = again(&message, &alice);
    assert_eq!(alice.ask(repetition).status(), 202);
    assert_eq!(fetch(&node, "bob").totals(), (0, 0));
}

#[test]
fn repetitions_at_once_are_stored_once() {
    let node = Node::start();
    let origin = Ua::tcp(&node, "sip:alice@example.org");
    let message = origin.request("MESSAGE", BOB).body("text/plain", "once");
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut ua = Ua::tcp(&node, "sip:alice@example.org");
                let request = again(&message, &ua);
                assert_eq!(ua.ask(request).status(), 202);
            });
        }
    });
    assert_eq!(fetch(&node, "bob").ids(), [message.call_id()]);
}

#[test]
fn another_cseq_or_tag_is_another_item() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut send = |call_id: &str, cseq: u32, tag: &str| {
        let message = alice
            .request("MESSAGE", BOB)
            .with("Call-ID", call_id)
            .with("CSeq", format!("{cseq} MESSAGE"))
            .with("From", format!("<sip:alice@example.org>;tag={tag}"))
            .body("text/plain", format!("{call_id} {cseq} {tag}"));
        assert_eq!(alice.ask(message).status(), 202);
    };
    send("dialog@h", 1, "a");
    send("dialog@h", 2, "a");
    send("dialog@h", 2, "b");
    send("dialog@h", 2, "c");
    send("dialog@h", 1, "b");
    send("taken~7", 1, "a");
    send("taken", 6, "a");
    send("taken", 7, "a");
    let ids = [
        "dialog@h",
        "dialog@h~2",
        "dialog@h~2~2",
        "dialog@h~2~3",
        "dialog@h~1",
        "taken~7",
        "taken",
        "taken~7~2",
    ];
    assert_eq!(fetch(&node, "bob").ids(), ids);
    send("dialog@h", 2, "b");
    send("dialog@h", 1, "a");
    send("taken", 7, "a");
    assert_eq!(fetch(&node, "bob").ids(), ids, "a repetition of any of them adds none");
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri("dialog@h~2~2"), 1);
    assert_eq!(delivered[0].deferred.as_deref(), Some("dialog@h~2~2"));
    assert_eq!(Cpim::parse(&delivered[0].body).body, b"dialog@h 2 b");
}

#[test]
fn another_senders_request_of_the_same_ids_is_another_item() {
    let mut node = Node::start();
    let [mut eve, mut alice] =
        ["eve", "alice"].map(|user| Ua::udp(&node, &format!("sip:{user}@example.org")));
    let send = |ua: &mut Ua, user: &str| {
        let message = ua.request("MESSAGE", BOB).with("Call-ID", "a@h").with("CSeq", "7 MESSAGE");
        let message = message.with("From", format!("<sip:{user}@example.org>;tag=t"));
        assert_eq!(ua.ask(message.body("text/plain", user)).status(), 202);
    };
    for _ in 0..2 {
        send(&mut eve, "eve");
        send(&mut alice, "alice");
        assert_eq!(fetch(&node, "bob").ids(), ["a@h", "a@h~7"]);
        node.restart();
    }
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri("a@h~7"), 1);
    assert_eq!(Cpim::parse(&delivered[0].body).body, b"alice");
}

#[test]
fn a_branch_that_is_used_again_loses_nothing() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let first = alice.request("MESSAGE", BOB).body("text/plain", "first");
    assert_eq!(alice.ask(first.clone()).status(), 202);
    let via = first.need("Via").to_owned();
    for cseq in [1, 2] {
        let message = alice.request("MESSAGE", BOB).with("Via", via.clone());
        let message = message.with("CSeq", format!("{cseq} MESSAGE")).body("text/plain", "another");
        assert_eq!(alice.ask(message.clone()).status(), 202);
        assert!(fetch(&node, "bob").ids().contains(&message.call_id()), "{message}");
    }
    let next = first.clone().with("CSeq", "2 MESSAGE");
    assert_eq!(alice.ask(next).status(), 202);
    assert!(fetch(&node, "bob").ids().contains(&format!("{}~2", first.call_id())));
    let other = Msg { start: "MESSAGE sip:dave@example.com SIP/2.0".into(), ..first.clone() };
    assert_eq!(alice.ask(other).status(), 202);
    assert_eq!(fetch(&node, "dave").ids(), [first.call_id()]);
    let astray = Msg { start: "MESSAGE sip:bob@elsewhere.example SIP/2.0".into(), ..first.clone() };
    assert_eq!(alice.ask(astray).status(), 404);
    assert_eq!(alice.ask(first.clone()).status(), 202);
    assert_eq!(fetch(&node, "bob").totals(), (4, 0));
}

#[test]
fn an_id_is_unique_within_a_mailbox_only() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "for both");
    let copy = Msg { start: "MESSAGE sip:dave@example.com SIP/2.0".into(), ..again(&message, &alice) };
    assert_eq!(alice.ask(message.clone()).status(), 202);
    assert_eq!(alice.ask(copy).status(), 202);
    for user in ["bob", "dave"] {
        assert_eq!(fetch(&node, user).ids(), [message.call_id()], "{user}");
    }
}
