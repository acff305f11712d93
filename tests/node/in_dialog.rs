//! Requests within a session: ACK, re-INVITE, retransmissions (RFC 3261 13, 14, 15; RFC 5366 5.1).

use crate::support::*;
use std::time::Duration;

const BOB: &str = "sip:bob@example.com";

// proves RFC 3261 13.3.1.4: the 2xx is repeated until the ACK
#[test]
fn the_answer_is_repeated_until_it_is_acknowledged() {
    let node = Plan::new().set("sip", "t1 = \"100ms\"").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let invite = Invite::new(&joe, BOB, Offer::active());
    let request = invite.request.clone();
    let answer = joe.ask(request.clone());
    for _ in 0..2 {
        let again = joe.wait("the 200 again", |message| message.answers(&request)).msg;
        assert_eq!(again, answer);
    }
    let mut dialog = Dialog::opened(&request, &answer);
    joe.send(&dialog.ack(&joe));
    joe.barrier();
    // What was under way when the ACK came is taken; after that no other follows.
    while joe.take(Duration::from_millis(50), |message| message.answers(&request)).is_some() {}
    joe.quiet(Duration::from_millis(1_000), |message| message.answers(&request));
    let bye = dialog.request(&joe, "BYE");
    assert_eq!(joe.ask(bye).status(), 200);
}

// proves RFC 3261 14.2 by way of 13.3.1.4: no ACK at all: the session is ended
#[test]
fn a_session_that_is_never_acknowledged_ends() {
    let node = Plan::new().set("sip", "t1 = \"20ms\"").set("sip", "t2 = \"100ms\"").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let invite = Invite::new(&joe, BOB, Offer::active());
    let answer = joe.ask(invite.request.clone());
    assert_eq!(answer.status(), 200);
    joe.wait_and_ok("BYE", &invite.request.call_id());
}

// proves RFC 5366 5.1: a re-INVITE with a recipient list is a bad extension
#[test]
fn a_reinvite_with_a_list_is_refused_and_the_session_lives() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &[message_uri(&id)], Offer::active()).call_unbound(&mut bob);
    let sdp = call.offer.sdp(bob.here, &call.local);
    let again = call.dialog.request(&bob, "INVITE").body("application/sdp", sdp);
    let again =
        with_list(again, &resource_lists(&[message_uri(&id)])).add("Require", "recipient-list-invite");
    let response = bob.ask(again);
    assert_eq!(response.status(), 420, "{response}");
    assert_eq!(response.words("Unsupported"), ["recipient-list-invite"]);
    call.join();
    assert_eq!(call.finish(&mut bob, 1)[0].deferred, Some(id));
}

// proves RFC 3261 8.2.2.3: within a dialog too
#[test]
fn an_unknown_extension_is_bad_within_a_session_which_lives() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let invite = Invite::new(&joe, BOB, Offer::active());
    let sdp = invite.request.body.clone();
    let mut call = invite.call(&mut joe);
    for method in ["INVITE", "UPDATE", "MESSAGE", "INFO", "BYE"] {
        let mut request = call.dialog.request(&joe, method).add("Require", "nothingSupportsThis");
        if matches!(method, "INVITE" | "UPDATE") {
            request = request.body("application/sdp", sdp.clone());
        }
        let response = joe.ask(request);
        assert_eq!(response.status(), 420, "{method}: {response}");
        assert_eq!(response.words("Unsupported"), ["nothingsupportsthis"], "{response}");
    }
    call.msrp().say("as it was");
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

// proves RFC 3264 8: a re-INVITE that changes nothing is answered with the same description
#[test]
fn a_reinvite_refreshes_the_session() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let invite = Invite::new(&joe, BOB, Offer::active());
    let sdp = invite.request.body.clone();
    let mut call = invite.call(&mut joe);
    call.msrp().say("before");
    let again = call.dialog.request(&joe, "INVITE").body("application/sdp", sdp);
    let response = joe.ask(again);
    assert_eq!(response.status(), 200, "{response}");
    assert_eq!(Answer::parse(&response.body).path, call.answer.path);
    joe.send(&call.dialog.ack(&joe));
    call.msrp().say("after");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    retrieve(&mut bob, &message_uri(&call.dialog.call_id), 2);
}

#[test]
fn an_offer_that_cannot_be_taken_leaves_the_session_as_it_was() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let audio =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
    let again = call.dialog.request(&joe, "INVITE").body("application/sdp", audio);
    assert_eq!(joe.ask(again).status(), 488);
    call.msrp().say("as it was");
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

// proves RFC 3261 12.2.2: a lower CSeq is out of order
#[test]
fn a_request_out_of_order_is_refused() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.dialog.cseq = 10;
    let options = call.dialog.request(&joe, "OPTIONS");
    assert_eq!(joe.ask(options).status(), 200);
    call.dialog.cseq = 3;
    let late = call.dialog.request(&joe, "OPTIONS");
    assert_eq!(joe.ask(late).status(), 500);
    call.dialog.cseq = 20;
    call.bye(&mut joe);
    let bye = call.dialog.request(&joe, "BYE");
    assert_eq!(joe.ask(bye).status(), 481, "there is no session any more");
}

#[test]
fn a_bye_that_is_repeated_is_answered_alike() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let bye = call.dialog.request(&joe, "BYE");
    let first = joe.ask(bye.clone());
    let second = joe.ask(bye);
    assert_eq!((first.status(), first), (200, second));
}

// proves RFC 3261 17.2.1: an INVITE that is repeated is one INVITE
#[test]
fn an_invite_that_is_repeated_is_one_session() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let invite = Invite::new(&joe, BOB, Offer::active());
    for _ in 0..3 {
        joe.send(&invite.request);
    }
    let mut call = invite.call(&mut joe);
    call.msrp().say("once");
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

// proves RFC 3428 4: a MESSAGE may be sent within a dialog; it belongs to what is said there
#[test]
fn a_message_in_the_dialog_of_a_deposit_is_part_of_it() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("over MSRP");
    let message = call.dialog.request(&joe, "MESSAGE").body("text/plain", "by SIP");
    assert_eq!(joe.ask(message.clone()).status(), 202);
    joe.send(&message);
    assert_eq!(joe.answer_to(&message).status(), 202, "repeated, and stored once");
    let typing = call.dialog.request(&joe, "MESSAGE").body("application/im-iscomposing+xml", "<x/>");
    assert_eq!(joe.ask(typing).status(), 202);
    let coded = call.dialog.request(&joe, "MESSAGE").add("Content-Encoding", "gzip").body("text/plain", "x");
    assert_eq!(joe.ask(coded).status(), 415);
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let mut get = Invite::new(&bob, &message_uri(&call.dialog.call_id), Offer::active()).call(&mut bob);
    let message = get.dialog.request(&bob, "MESSAGE").body("text/plain", "to myself?");
    assert_eq!(bob.ask(message).status(), 405);
    let delivered = get.finish(&mut bob, 2);
    let texts: Vec<Vec<u8>> = delivered.iter().map(|message| Cpim::parse(&message.body).body).collect();
    assert_eq!(texts, [b"over MSRP".to_vec(), b"by SIP".to_vec()]);
}

// Our BYE waits for the ACK (RFC 3261 15): what comes until then would be hidden in a session that has ended already.
#[test]
fn a_message_in_a_deposit_that_has_ended_is_refused() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let invite = Invite::new(&joe, BOB, Offer::active());
    let answer = joe.ask(invite.request.clone());
    let mut dialog = Dialog::opened(&invite.request, &answer);
    let mut msrp = Msrp::connect(&invite.local, &Answer::parse(&answer.body).path);
    msrp.bind();
    msrp.close();
    node.wait_log("session ended by the store");
    let message = dialog.request(&joe, "MESSAGE").body("text/plain", "too late");
    assert_eq!(joe.ask(message).status(), 481);
    dialog.cseq = 1;
    joe.send(&dialog.ack(&joe));
    joe.wait_and_ok("BYE", &dialog.call_id);
    assert_eq!(fetch(&node, "bob").totals(), (0, 0));
}

#[test]
fn what_a_trusted_peer_asserts_to_be_anothers_does_not_touch_the_dialog() {
    let node = Node::start();
    let mut bob = Ua::udp(&node, "bob");
    let id = deposit(&mut bob, BOB, "x");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob);
    let eves = call.dialog.request(&bob, "BYE").add("P-Asserted-Identity", "<sip:eve@example.com>");
    let refused = bob.ask(eves);
    assert_eq!((refused.status(), refused.reason()), (403, "Dialog Of Another User"));
    let his = call.dialog.request(&bob, "OPTIONS").add("P-Asserted-Identity", "<sip:bob@example.com>");
    assert_eq!(bob.ask(his).status(), 200, "the session lives");
    let bye = call.dialog.request(&bob, "BYE");
    assert_eq!(bob.ask(bye).status(), 200);
}

// proves RFC 3261 20.5, 13.3.1.4: what is served within a session is allowed, and what is allowed is served
#[test]
fn what_a_session_serves_is_what_it_allows() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut deposit_call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let id = deposit(&mut joe, BOB, "x");
    let mut retrieval = Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob);
    for (ua, call) in [(&mut joe, &mut deposit_call), (&mut bob, &mut retrieval)] {
        let allowed = call.ok.words("Allow");
        for method in ["UPDATE", "INFO", "OPTIONS", "MESSAGE", "NOTIFY", "REFER", "PUBLISH"] {
            let mut request = call.dialog.request(ua, method);
            if method == "MESSAGE" {
                request = request.body("text/plain", "x");
            }
            let response = ua.ask(request);
            let word = method.to_lowercase();
            assert_eq!(response.status() == 405, !allowed.contains(&word), "{method}: {response}");
            assert!(response.status() != 405 || !response.words("Allow").contains(&word), "{response}");
        }
        assert_eq!(call.ok.words("Allow-Events"), ["message-summary", "conference"]);
    }
    let told = joe.ask_options().words("Allow");
    assert!(["update", "info", "message"].iter().all(|method| told.contains(&(*method).into())), "{told:?}");
    for method in ["UPDATE", "INFO"] {
        let outside = joe.request(method, BOB);
        let response = joe.ask(outside);
        assert_eq!(response.status(), 405, "{response}");
        assert!(!response.words("Allow").contains(&method.to_lowercase()), "{response}");
    }
    retrieval.bye(&mut bob);
    deposit_call.bye(&mut joe);
}

// proves RFC 6665 4.5.2
#[test]
fn a_subscription_in_the_dialog_of_a_session_is_forbidden_and_the_session_lives() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut bob = Ua::udp(&node, "bob");
    let id = deposit(&mut joe, BOB, "x");
    let mut one = Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob);
    let mut list = Invite::list(&bob, &[message_uri(&id)], Offer::active()).call_unbound(&mut bob);
    let mut kept = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    for (ua, call) in [(&mut bob, &mut one), (&mut joe, &mut kept)] {
        for (event, status) in [("message-summary", 403), ("conference", 403), ("presence", 489)] {
            let request = call.dialog.request(ua, "SUBSCRIBE").add("Event", event);
            assert_eq!(ua.ask(request).status(), status, "{event}");
        }
    }
    let request = list.dialog.request(&bob, "SUBSCRIBE").add("Event", "conference");
    let response = bob.ask(request);
    assert_eq!((response.status(), response.reason()), (403, "Dialog Sharing Not Supported"));
    list.join();
    list.finish(&mut bob, 1);
    one.bye(&mut bob);
    kept.bye(&mut joe);
}
