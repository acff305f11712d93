//! Deposit of a session: the store answers in the absent user's place, and the session is one item.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// The contents of a session item, in order.
fn contents(node: &Node, id: &str, count: usize) -> Vec<Vec<u8>> {
    let mut bob = Ua::tcp(node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(id), count);
    assert!(delivered.iter().all(|message| message.deferred.as_deref() == Some(id)));
    delivered.iter().map(|message| Cpim::parse(&message.body).body).collect()
}

#[test]
fn a_session_is_one_item_with_its_messages_in_order() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut invite = Invite::new(&joe, BOB, Offer::active());
    invite.request =
        invite.request.with("Call-ID", "d0982dkjs@Joemobile.example.net").add("Subject", "Two lines");
    let mut call = invite.call(&mut joe);
    assert!(parameter(&call.ok.need("To"), "tag").is_some());
    let first = Chunk::whole("text/plain", "first");
    let second = Chunk::whole("text/html", "<p>second</p>");
    assert_eq!(call.msrp().send(&first), 200);
    assert_eq!(call.msrp().send(&second), 200);
    assert_eq!(fetch(&node, "bob").totals(), (0, 0), "it is an item at its end");
    call.bye(&mut joe);
    let summary = fetch(&node, "bob");
    assert_eq!(summary.ids(), ["d0982dkjs@Joemobile.example.net"]);
    assert_eq!(summary.texts.as_deref(), Some("1/0 (0/0)"));
    assert_eq!(summary.item("d0982dkjs@Joemobile.example.net", "Subject"), Some("Two lines"));
    let mut bob = Ua::udp(&node, "bob");
    let uri = "sip:d0982dkjs%40Joemobile.example.net@mailserver.example.com";
    let delivered = retrieve(&mut bob, uri, 2);
    let parts: Vec<Cpim> = delivered.iter().map(|message| Cpim::parse(&message.body)).collect();
    assert_eq!(
        (parts[0].mime("Content-Type"), parts[0].body.as_slice()),
        (Some("text/plain"), &b"first"[..])
    );
    assert_eq!(
        (parts[1].mime("Content-Type"), &parts[1].body[..]),
        (Some("text/html"), &b"<p>second</p>"[..])
    );
    assert_eq!(fetch(&node, "bob").totals(), (0, 1));
}

// proves RFC 3261 13.3.1.4
#[test]
fn the_acceptance_says_what_the_node_can_do() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    assert!(call.ok.words("Allow").contains(&"bye".into()), "{}", call.ok);
    assert!(call.ok.words("Supported").contains(&"recipient-list-invite".into()), "{}", call.ok);
    assert!(!call.ok.need("Contact").contains("isfocus"), "a deposit is no conference: {}", call.ok);
}

#[test]
fn each_message_has_the_time_of_its_arrival() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let id = deposit_session(&mut joe, BOB, &["one", "two"]);
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&id), 2);
    let times: Vec<i64> = delivered
        .iter()
        .map(|message| rfc3339(Cpim::parse(&message.body).get("DateTime").unwrap()))
        .collect();
    assert!(times[0] <= times[1] && times[1] - times[0] < 60, "{times:?}");
    assert_ne!(delivered[0].message_id, delivered[1].message_id);
}

#[test]
fn a_broken_connection_ends_the_session_and_keeps_what_was_acknowledged() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("whole");
    let half = Chunk::whole("text/plain", "cut off midway").cut(5).remove(0);
    assert_eq!(call.msrp().send(&half), 200);
    call.msrp().close();
    let id = call.dialog.call_id.clone();
    until("the session becomes an item", || (fetch(&node, "bob").ids() == [id.clone()]).then_some(()));
    assert_eq!(contents(&node, &id, 1), [b"whole"]);
}

#[test]
fn what_was_said_before_the_bye_is_kept_though_nothing_was_answered_yet() {
    let node = Node::start();
    let mut joe = Ua::tcp(&node, "sip:joe@example.net");
    for size in [10, 40_000, 1_000_000] {
        for hangs_up in [true, false] {
            let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
            let body = noise(size);
            call.msrp().post(&Chunk::whole("application/octet-stream", &body).failure("no"));
            let id = call.dialog.call_id.clone();
            if hangs_up {
                call.bye(&mut joe);
            } else {
                call.msrp().finish();
                call.wait_bye(&mut joe);
            }
            assert!(contents(&node, &id, 1) == [body], "{size} {hangs_up}");
        }
    }
    let mut call = Invite::new(&joe, BOB, Offer::active()).call_unbound(&mut joe);
    call.connect().post(&Chunk::whole("text/plain", "the first and the last"));
    call.bye(&mut joe);
    assert_eq!(contents(&node, &call.dialog.call_id, 1), [b"the first and the last"]);
}

#[test]
fn a_long_message_is_of_the_kind_that_it_wraps() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    for (kind, user) in [("image/png", "image"), ("text/plain", "text")] {
        let head = format!("From: <sip:joe@example.net>\r\n\r\nContent-Type: {kind}\r\n\r\n");
        let body = [head.as_bytes(), &noise(150_000)].concat();
        let whole = Chunk::whole("message/cpim", &body);
        for chunks in [vec![whole.clone().range("1-*/*")], whole.cut(20_000), vec![whole]] {
            let invite = Invite::new(&joe, &format!("sip:{user}@example.com"), Offer::active());
            let mut call = invite.call(&mut joe);
            assert!(chunks.iter().all(|chunk| call.msrp().send(chunk) == 200));
            call.bye(&mut joe);
        }
    }
    let [image, text] = ["image", "text"].map(|user| fetch(&node, user));
    assert_eq!((image.texts.as_deref(), image.multimedia.as_deref()), (None, Some("3/0 (0/0)")));
    assert_eq!((text.texts.as_deref(), text.multimedia.as_deref()), (Some("3/0 (0/0)"), None));
}

#[test]
fn a_message_cut_off_within_a_chunk_is_not_kept() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("whole");
    let chunk = Chunk::whole("text/plain", "x".repeat(5000)).range("1-*/5000");
    let bytes = chunk.encode(&call.answer.path, &call.local);
    call.msrp().write(&bytes[..3000]);
    call.bye(&mut joe);
    assert_eq!(contents(&node, &call.dialog.call_id, 1), [b"whole"]);
}

#[test]
fn a_session_without_a_complete_message_leaves_no_item() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut nothing = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    nothing.bye(&mut joe);
    let mut unbound = Invite::new(&joe, BOB, Offer::active()).call_unbound(&mut joe);
    unbound.bye(&mut joe);
    let mut half = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let chunk = Chunk::whole("text/plain", "half a message").cut(7).remove(0);
    assert_eq!(half.msrp().send(&chunk), 200);
    half.bye(&mut joe);
    let mut aborted = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let chunk = Chunk::whole("text/plain", "gone").range("1-*/900").flag('#');
    aborted.msrp().post(&chunk);
    aborted.bye(&mut joe);
    let summary = fetch(&node, "bob");
    assert_eq!((summary.waiting, summary.totals(), summary.ids()), (false, (0, 0), vec![]));
}

// proves that a message is durable before its last chunk is answered 200
/// RFC 3994: that somebody types is of the moment, also where it is wrapped.
#[test]
fn that_somebody_types_is_taken_and_not_kept() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let types =
        "<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>active</state></isComposing>";
    let kind = "application/im-iscomposing+xml";
    let wrapped = format!("From: <sip:joe@example.net>\r\n\r\nContent-Type: {kind}\r\n\r\n{types}");
    let indications = [Chunk::whole(kind, types), Chunk::whole("message/cpim", &wrapped)];
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    indications.iter().for_each(|chunk| assert_eq!(call.msrp().send(chunk), 200));
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").totals(), (0, 0), "no item is left");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    assert_eq!(call.msrp().send(&indications[0]), 200);
    call.msrp().say("what was typed");
    call.bye(&mut joe);
    assert_eq!(contents(&node, &call.dialog.call_id, 1), [b"what was typed"]);
}

/// Some clients keep a session alive by messages, every few seconds.
#[test]
fn heartbeats_of_a_session_are_taken_and_not_kept() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let beat = Chunk::whole("text/x-msrp-heartbeat", "HEARTBEAT");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    (0..3).for_each(|_| assert_eq!(call.msrp().send(&beat), 200));
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").totals(), (0, 0), "no item is left");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    assert_eq!(call.msrp().send(&beat), 200);
    call.msrp().say("still here");
    assert_eq!(call.msrp().send(&beat), 200);
    call.bye(&mut joe);
    assert_eq!(contents(&node, &call.dialog.call_id, 1), [b"still here"]);
}

#[test]
fn what_was_acknowledged_survives_a_crash_in_mid_session() {
    let mut node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("small");
    let large = Chunk::whole("application/octet-stream", noise(200_000)).range("1-*/200000");
    assert_eq!(call.msrp().send(&large), 200);
    let lost = Chunk::whole("text/plain", "never whole").cut(4).remove(0);
    assert_eq!(call.msrp().send(&lost), 200);
    node.kill();
    node.launch();
    let id = call.dialog.call_id.clone();
    until("the draft becomes an item", || (fetch(&node, "bob").ids() == [id.clone()]).then_some(()));
    let kept = contents(&node, &id, 2);
    assert!(kept[0] == b"small" && kept[1] == large.body);
}

#[test]
fn a_message_of_20_megabytes_is_kept() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let body = noise(20_000_000);
    let chunk = Chunk::whole("application/octet-stream", &body).range("1-*/20000000");
    assert_eq!(call.msrp().send(&chunk), 200);
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let mut get = Invite::new(&bob, &message_uri(&call.dialog.call_id), Offer::active()).call(&mut bob);
    let delivered = get.finish(&mut bob, 1).remove(0);
    assert!(Cpim::parse(&delivered.body).body == body);
}

#[test]
fn sessions_of_several_callers_at_once_are_items_each() {
    let node = Node::start();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|index| {
                let node = &node;
                scope.spawn(move || {
                    let mut ua = Ua::new(node.sip, &format!("sip:caller{index}@example.net"), index % 2 == 0);
                    deposit_session(&mut ua, BOB, &[&format!("a{index}"), &format!("b{index}")])
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let listed = fetch(&node, "bob").ids();
    assert_eq!(listed.len(), 6);
    for (index, id) in ids.iter().enumerate() {
        assert!(listed.contains(id));
        assert_eq!(
            contents(&node, id, 2),
            [format!("a{index}").into_bytes(), format!("b{index}").into_bytes()]
        );
    }
}

#[test]
fn two_sessions_may_share_a_connection() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut first = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let second = Invite::new(&joe, BOB, Offer::active()).call_unbound(&mut joe);
    first.msrp().say("of the first");
    // RFC 4975 5.4: a connection to the same host, port and scheme is used again.
    let chunk = Chunk::whole("text/plain", "of the second");
    first.msrp().write(&chunk.encode(&second.answer.path, &second.local));
    let answer = first.msrp().wait("200", |frame| frame.transaction == chunk.transaction);
    assert_eq!((answer.status(), answer.need("To-Path")), (200, second.local.as_str()));
    let (first_id, second_id) = (first.dialog.call_id.clone(), second.dialog.call_id.clone());
    first.bye(&mut joe);
    let mut second = second;
    second.bye(&mut joe);
    assert_eq!(contents(&node, &first_id, 1), [b"of the first"]);
    assert_eq!(contents(&node, &second_id, 1), [b"of the second"]);
}
