//! What is not acknowledged stays new.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// A node with one item of Bob, and Bob.
fn waiting(plan: Plan) -> (Node, Ua, String) {
    let node = plan.start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let bob = Ua::udp(&node, "bob");
    (node, bob, id)
}

/// Asserts that the item is new and can be had.
fn assert_new(node: &Node, id: &str) {
    let summary = fetch(node, "bob");
    assert_eq!((summary.totals(), summary.ids()), ((1, 0), vec![id.to_owned()]));
    let mut bob = Ua::tcp(node, "bob");
    retrieve(&mut bob, &message_uri(id), 1);
    assert_eq!(fetch(node, "bob").totals(), (0, 1));
}

#[test]
fn a_refused_item_stays_new() {
    for status in [413, 415, 400, 501] {
        let (node, mut bob, id) = waiting(Plan::new());
        let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
        let frame = call.msrp().next_send();
        call.msrp().handle_send(frame, &mut |_| Verdict::Refuse(status));
        call.wait_bye(&mut bob);
        assert_new(&node, &id);
    }
}

/// One segment brings the 200 for one item and the 481 for the other, which ends the session (RFC 4975 10.8).
#[test]
fn what_was_acknowledged_just_before_the_session_failed_is_old() {
    let node = Plan::new().start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let ids = [0, 1].map(|_| deposit(&mut alice, BOB, "x"));
    let mut bob = Ua::udp(&node, "bob");
    let mut call =
        Invite::list(&bob, &ids.each_ref().map(|id| message_uri(id)), Offer::active()).call(&mut bob);
    let [first, second] = [0, 1].map(|_| call.msrp().next_send());
    let answers =
        [frame::response(&first, 200, "OK"), frame::response(&second, 481, "No such session")].concat();
    call.msrp().write(&answers);
    call.wait_bye(&mut bob);
    let summary = fetch(&node, "bob");
    assert_eq!((summary.totals(), summary.ids()), ((1, 1), vec![ids[1].clone()]));
}

#[test]
fn a_bye_before_the_acknowledgement_leaves_it_new() {
    let (node, mut bob, id) = waiting(Plan::new());
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    call.msrp().next_send();
    call.bye(&mut bob);
    assert_new(&node, &id);
}

#[test]
fn a_bye_before_the_connection_leaves_it_new() {
    let (node, mut bob, id) = waiting(Plan::new());
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob);
    call.bye(&mut bob);
    assert_new(&node, &id);
}

#[test]
fn a_broken_connection_leaves_it_new() {
    let (node, mut bob, id) = waiting(Plan::new());
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    call.msrp().next_send();
    call.msrp().close();
    call.wait_bye(&mut bob);
    assert_new(&node, &id);
}

#[test]
fn a_client_that_never_connects_leaves_it_new() {
    let (node, mut bob, id) = waiting(Plan::new().set("msrp", "bind_timeout = \"1s\""));
    let call = Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob);
    call.wait_bye(&mut bob);
    assert_new(&node, &id);
}

#[test]
fn a_client_that_cannot_be_connected_to_leaves_it_new() {
    let (node, mut bob, id) = waiting(Plan::new());
    let mut invite = Invite::new(&bob, &message_uri(&id), Offer::passive());
    let nowhere = format!("127.0.0.1:{}", ports::free(node.sip.ip()));
    let sdp = invite.offer.sdp(nowhere.parse().unwrap(), &format!("msrp://{nowhere}/x;tcp"));
    invite.request = invite.request.body("application/sdp", sdp);
    let request = invite.request.clone();
    let response = bob.ask(request.clone());
    if response.status() == 200 {
        let dialog = Dialog::opened(&request, &response);
        bob.send(&dialog.ack(&bob));
        bob.wait_and_ok("BYE", &dialog.call_id);
    }
    assert_new(&node, &id);
}

#[test]
fn a_client_that_does_not_answer_in_time_leaves_it_new() {
    let (node, mut bob, id) = waiting(Plan::new().set("msrp", "transaction_timeout = \"1s\""));
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    call.msrp().next_send();
    call.wait_bye(&mut bob);
    assert_new(&node, &id);
}

#[test]
fn an_invite_that_is_cancelled_leaves_it_new() {
    let (node, mut bob, id) = waiting(Plan::new());
    let mut invite = Invite::new(&bob, &message_uri(&id), Offer::active());
    let request = std::mem::replace(&mut invite.request, Msg::request("INVITE", "sip:x"));
    let mut cancel = Msg::request("CANCEL", request.uri());
    for name in ["Via", "Max-Forwards", "From", "To", "Call-ID"] {
        cancel = cancel.add(name, request.need(name));
    }
    let cancel = cancel.add("CSeq", "1 CANCEL");
    bob.send(&request);
    bob.send(&cancel);
    let response = bob.answer_to(&cancel);
    // RFC 3261 9.2: 200 if the INVITE transaction is there, whatever comes of it; 481 if it is not.
    assert!([200, 481].contains(&response.status()), "{response}");
    let answer = bob.answer_to(&request);
    assert!([200, 487].contains(&answer.status()), "{answer}");
    if answer.status() == 200 {
        let mut dialog = Dialog::opened(&request, &answer);
        bob.send(&dialog.ack(&bob));
        let bye = dialog.request(&bob, "BYE");
        assert_eq!(bob.ask(bye).status(), 200);
    }
    assert_new(&node, &id);
}

#[test]
fn a_session_item_is_new_until_all_its_messages_are_acknowledged() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let id = deposit_session(&mut joe, BOB, &["one", "two", "three"]);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    call.msrp().receive(2);
    call.bye(&mut bob);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
    retrieve(&mut bob, &message_uri(&id), 3);
    assert_eq!(fetch(&node, "bob").totals(), (0, 1));
}

#[test]
fn a_crash_midway_leaves_it_new() {
    let (mut node, mut bob, id) = waiting(Plan::new());
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    call.msrp().next_send();
    node.kill();
    node.launch();
    assert_new(&node, &id);
}

#[test]
fn a_long_message_that_is_refused_midway_is_given_up() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    let chunk = Chunk::whole("application/octet-stream", noise(8_000_000)).range("1-*/8000000");
    assert_eq!(call.msrp().send(&chunk), 200);
    call.bye(&mut alice);
    let mut bob = Ua::udp(&node, "bob");
    let mut get = Invite::new(&bob, &message_uri(&call.dialog.call_id), Offer::active()).call(&mut bob);
    let first = get.msrp().next_send();
    get.msrp().handle_send(first, &mut |_| Verdict::Refuse(413));
    get.wait_bye(&mut bob);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}
