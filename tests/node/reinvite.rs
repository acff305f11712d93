//! A re-INVITE that changes the session (RFC 3261 14.2, RFC 3264 8, RFC 4975 5.4 and 8.4).

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// A node, Bob, and his items of this many texts.
fn waiting(plan: Plan, texts: &[&str]) -> (Node, Ua, Vec<String>) {
    let node = plan.start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let ids = texts.iter().map(|text| deposit(&mut alice, BOB, text)).collect();
    let bob = Ua::udp(&node, "bob");
    (node, bob, ids)
}

fn uris(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| message_uri(id)).collect()
}

/// Asks and is answered so often that a node which had something to send would have sent it.
fn nothing_comes(call: &mut Call, ua: &mut Ua) {
    for _ in 0..10 {
        ua.barrier();
        call.msrp().bind();
    }
    let sends: Vec<String> =
        call.msrp().kept().into_iter().filter(|frame| frame.starts_with("SEND")).collect();
    assert!(sends.is_empty(), "the client receives nothing for now: {sends:?}");
}

// proves RFC 3264 8.4: a stream that is put on hold and taken up again
#[test]
fn a_held_retrieval_waits_and_goes_on() {
    let (node, mut bob, ids) = waiting(Plan::new(), &["one", "two"]);
    let mut call = Invite::list(&bob, &uris(&ids), Offer::active()).call_unbound(&mut bob);
    let first = call.answer.version();
    for (said, answered) in [("inactive", "a=inactive"), ("sendonly", "a=recvonly")] {
        let held = call.reoffer(&mut bob, Offer::active().direction(said));
        assert!(held.says(answered), "{}", held.text);
        assert!(held.version() > first, "RFC 3264 8: the version rises with a change");
    }
    call.join();
    nothing_comes(&mut call, &mut bob);
    let resumed = call.reoffer(&mut bob, Offer::active());
    assert!(resumed.says("a=sendrecv"), "{}", resumed.text);
    assert_eq!(call.finish(&mut bob, 2).len(), 2);
    assert_eq!(fetch(&node, "bob").totals(), (0, 2));
}

#[test]
fn a_long_message_is_held_midway_and_comes_whole() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let content = noise(6_000_000);
    let mut deposit = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    let chunk = Chunk::whole("application/octet-stream", &content).range("1-*/6000000");
    assert_eq!(deposit.msrp().send(&chunk), 200);
    deposit.bye(&mut alice);
    let mut bob = Ua::udp(&node, "bob");
    let offer = || Offer::active().accepts("application/octet-stream");
    let mut call = Invite::new(&bob, &message_uri(&deposit.dialog.call_id), offer()).call(&mut bob);
    let frame = call.msrp().next_send();
    assert!(call.msrp().handle_send(frame, &mut |_| Verdict::Take).is_none());
    call.reoffer(&mut bob, offer().direction("inactive"));
    // What was on its way still comes; then it is silent, though the message is not whole.
    let mut came = 0;
    loop {
        bob.barrier();
        call.msrp().bind();
        let kept = call.msrp().kept().len();
        if kept == came {
            break;
        }
        came = kept;
    }
    call.reoffer(&mut bob, offer());
    let delivered = call.finish(&mut bob, 1);
    assert!(delivered[0].body == content, "not a byte is lost or repeated");
    assert_eq!(fetch(&node, "bob").totals(), (0, 1));
}

// proves RFC 4975 8.6 by way of 8.4: what the client does not take any more fails alone
#[test]
fn what_is_no_longer_accepted_fails_alone() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_as(&mut alice, BOB, "image@h", "image/png", b"png");
    deposit_as(&mut alice, BOB, "text@h", "text/plain", b"text");
    deposit_as(&mut alice, BOB, "long@h", "text/plain", &[b'x'; 500]);
    let ids = ["image@h", "text@h", "long@h"].map(str::to_owned);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &uris(&ids), Offer::active()).call_unbound(&mut bob);
    call.reoffer(&mut bob, Offer::active().accepts("text/plain").max_size(100));
    call.join();
    let delivered = call.finish(&mut bob, 1);
    assert_eq!(
        (delivered[0].content_type.as_str(), delivered[0].body.as_slice()),
        ("text/plain", &b"text"[..])
    );
    assert_eq!(fetch(&node, "bob").totals(), (2, 1));
}

// proves RFC 4975 5.4 and 8.4: another path is another connection; what was not acknowledged comes again
#[test]
fn a_retrieval_moves_to_another_connection() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let id = deposit_session(&mut joe, BOB, &["one", "two", "three"]);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    call.msrp().receive(1);
    let unanswered = call.msrp().next_send();
    // What is answered behind the first 200 tells that the node has read it: else it would repeat "one", too.
    call.msrp().bind();
    let mut former = call.move_on().unwrap();
    let answer = call.reoffer(&mut bob, Offer::active());
    assert!(answer.version() >= call.answer.version());
    // What still comes on the connection that was left does not bring the session back.
    former.handle_send(unanswered.clone(), &mut |_| Verdict::Take);
    assert_eq!(former.send(&Chunk::empty()), 506, "the session waits for another connection");
    call.join();
    let again = call.finish(&mut bob, 2);
    assert_eq!(again[0].message_id, unanswered.need("Message-ID"), "RFC 4975 5.4: with the same Message-ID");
    let texts: Vec<Vec<u8>> = again.iter().map(|message| Cpim::parse(&message.body).body).collect();
    assert_eq!(texts, [b"two".to_vec(), b"three".to_vec()]);
    assert_eq!(fetch(&node, "bob").totals(), (0, 1));
    drop(former);
}

#[test]
fn the_node_connects_to_another_path_where_it_is_active() {
    let (node, mut bob, ids) = waiting(Plan::new(), &["one"]);
    let mut call = Invite::new(&bob, &message_uri(&ids[0]), Offer::passive()).call(&mut bob);
    call.msrp().next_send();
    let former = call.move_on();
    let answer = call.reoffer(&mut bob, Offer::passive());
    assert_eq!(answer.setup.as_deref(), Some("active"));
    call.join();
    call.finish(&mut bob, 1);
    assert_eq!(fetch(&node, "bob").totals(), (0, 1));
    drop(former);
}

#[test]
fn a_deposit_moves_to_another_connection() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("before");
    let twice = Chunk::whole("text/plain", "its answer was lost");
    assert_eq!(call.msrp().send(&twice), 200);
    let mut former = call.move_on().unwrap();
    call.reoffer(&mut joe, Offer::active());
    call.join();
    let again = Chunk { transaction: fresh("t"), ..twice };
    assert_eq!(call.msrp().send(&again), 200, "RFC 4975 5.4: a duplicate is acknowledged");
    call.msrp().say("after");
    assert_eq!(former.send(&Chunk::whole("text/plain", "stray")), 506, "the session is elsewhere");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&call.dialog.call_id), 3);
    let texts: Vec<Vec<u8>> = delivered.iter().map(|message| Cpim::parse(&message.body).body).collect();
    assert_eq!(texts, [b"before".to_vec(), b"its answer was lost".to_vec(), b"after".to_vec()]);
}

// proves RFC 4975 5.4: a connection that failed may be replaced by a new exchange
#[test]
fn a_session_that_lost_its_connection_gets_another_in_time() {
    let plan = || Plan::new().set("msrp", "rejoin_timeout = \"30s\"");
    let (node, mut bob, ids) = waiting(plan(), &["one"]);
    let mut call = Invite::new(&bob, &message_uri(&ids[0]), Offer::active()).call(&mut bob);
    call.msrp().next_send();
    call.msrp().close();
    // The path stays, and the node may or may not have seen that the connection is gone.
    call.reoffer(&mut bob, Offer::active());
    call.join();
    call.finish(&mut bob, 1);
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("before");
    let former = call.move_on().unwrap();
    former.close();
    until("the node sees it", || node.log().contains("connection is lost").then_some(()));
    call.reoffer(&mut joe, Offer::active());
    call.join();
    call.msrp().say("after");
    call.bye(&mut joe);
    retrieve(&mut bob, &message_uri(&call.dialog.call_id), 2);
}

#[test]
fn a_session_that_nobody_rejoins_ends() {
    let (node, mut bob, ids) = waiting(Plan::new().set("msrp", "rejoin_timeout = \"300ms\""), &["one"]);
    let mut call = Invite::new(&bob, &message_uri(&ids[0]), Offer::active()).call(&mut bob);
    call.msrp().next_send();
    call.msrp().close();
    call.wait_bye(&mut bob);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

// proves RFC 3264 8.2: port 0 ends the stream, and is answered so
#[test]
fn a_stream_that_ends_ends_the_session() {
    let (node, mut bob, ids) = waiting(Plan::new(), &["one"]);
    let mut call = Invite::new(&bob, &message_uri(&ids[0]), Offer::active()).call_unbound(&mut bob);
    let sdp = call.offer.sdp(bob.here, &call.local).replace("m=message 9 ", "m=message 0 ");
    let again = call.dialog.request(&bob, "INVITE").body("application/sdp", sdp);
    let response = bob.ask(again);
    assert_eq!(response.status(), 200, "{response}");
    let text = String::from_utf8(response.body).unwrap();
    assert!(text.contains("m=message 0 TCP/MSRP *"), "{text}");
    bob.send(&call.dialog.ack(&bob));
    call.wait_bye(&mut bob);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

#[test]
fn a_broken_reinvite_is_told_what_is_wrong_as_an_invite_is() {
    let (_node, mut bob, ids) = waiting(Plan::new(), &["one", "two"]);
    let mut call = Invite::list(&bob, &uris(&ids), Offer::active()).call_unbound(&mut bob);
    for (content_type, body, said) in [
        ("multipart/mixed", "--x--", "Malformed Content-Type"),
        ("multipart/mixed;boundary=x", "--y--", "Malformed multipart body"),
    ] {
        let reinvite = call.dialog.request(&bob, "INVITE").body(content_type, body);
        let refused = bob.ask(reinvite);
        assert_eq!(refused.start, format!("SIP/2.0 400 {said}"));
        let first = Invite::new(&bob, BOB, Offer::active()).request.body(content_type, body);
        assert_eq!(bob.ask(first).start, refused.start);
    }
    call.join();
    assert_eq!(call.finish(&mut bob, 2).len(), 2);
}

// proves RFC 3261 14.1 and 13.2.1: without an offer it gets one, and the ACK brings the answer
#[test]
fn a_reinvite_without_an_offer_gets_one() {
    let (node, mut bob, ids) = waiting(Plan::new(), &["one"]);
    let mut call = Invite::new(&bob, &message_uri(&ids[0]), Offer::active()).call_unbound(&mut bob);
    let mut again = |bob: &mut Ua, answer: Option<Offer>| {
        let request = call.dialog.request(bob, "INVITE");
        let response = bob.ask(request);
        assert_eq!(response.status(), 200, "{response}");
        let offer = Answer::parse(&response.body);
        assert_eq!((offer.setup.as_deref(), &offer.path), (Some("actpass"), &call.answer.path));
        let ack = call.dialog.ack(bob);
        bob.send(&match answer {
            Some(answer) => ack.body("application/sdp", answer.sdp(bob.here, &call.local)),
            None => ack,
        });
        bob.barrier();
    };
    again(&mut bob, Some(Offer::active().direction("inactive")));
    again(&mut bob, None);
    call.join();
    nothing_comes(&mut call, &mut bob);
    call.reoffer(&mut bob, Offer::active());
    call.finish(&mut bob, 1);
    assert_eq!(fetch(&node, "bob").totals(), (0, 1));
}

// proves RFC 3311 5.2: an UPDATE with an offer does the same
#[test]
fn an_update_holds_as_well() {
    let (node, mut bob, ids) = waiting(Plan::new(), &["one"]);
    let mut call = Invite::new(&bob, &message_uri(&ids[0]), Offer::active()).call_unbound(&mut bob);
    let sdp = Offer::active().direction("inactive").sdp(bob.here, &call.local);
    let contact = bob.contact();
    let update = call.dialog.request(&bob, "UPDATE").add("Contact", contact).body("application/sdp", sdp);
    assert_eq!(bob.ask(update).status(), 200);
    call.join();
    nothing_comes(&mut call, &mut bob);
    call.bye(&mut bob);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

#[test]
fn a_held_deposit_goes_on() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("before");
    let held = call.reoffer(&mut joe, Offer::active().direction("inactive"));
    assert!(held.says("a=inactive"));
    call.msrp().say("on its way when it was held");
    call.reoffer(&mut joe, Offer::active());
    call.msrp().say("after");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    retrieve(&mut bob, &message_uri(&call.dialog.call_id), 3);
}
