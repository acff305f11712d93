//! Who opens the MSRP connection (RFC 6135, RFC 4975 5.4), and who may use it.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// Deposits a message in a session with this offer; gives what the answer said of setup.
fn setup_of(offer: Offer) -> Option<String> {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, offer).call(&mut joe);
    if call.answer.setup.as_deref() == Some("active") {
        // RFC 4975 5.4: the active endpoint MUST immediately issue a SEND request.
        let first = call.msrp().next_send();
        assert_eq!(first.body, None, "an empty SEND");
        call.msrp().handle_send(first, &mut |_| Verdict::Take);
    } else {
        assert_eq!(call.answer.address(), node.msrp);
        assert_eq!(call.answer.port, node.msrp.port());
        assert!(
            call.answer.accept_types.contains(&"*".into()),
            "any content is stored: {}",
            call.answer.text
        );
    }
    call.msrp().say("over this connection");
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").ids(), [call.dialog.call_id]);
    call.answer.setup
}

// proves RFC 4975 8.6: who has the leave of accept-wrapped-types wraps in CPIM what it has to say of a message
#[test]
fn the_store_takes_everything_wrapped_or_not() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    assert!(call.answer.says("a=accept-types:*"), "{}", call.answer.text);
    assert!(call.answer.says("a=accept-wrapped-types:*"), "{}", call.answer.text);
    call.msrp().say("for bob");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, BOB, Offer::active()).call(&mut bob);
    assert!(!call.answer.text.contains("accept-wrapped-types"), "it sends: {}", call.answer.text);
    call.finish(&mut bob, 1);
}

#[test]
fn an_active_offerer_is_answered_passive() {
    assert_eq!(setup_of(Offer::active()).as_deref(), Some("passive"));
}

// proves RFC 6135 4.2.2: SHOULD include passive
#[test]
fn an_actpass_offerer_is_answered_passive() {
    assert_eq!(setup_of(Offer::actpass()).as_deref(), Some("passive"));
}

#[test]
fn to_a_passive_offerer_the_node_connects() {
    assert_eq!(setup_of(Offer::passive()).as_deref(), Some("active"));
}

// proves RFC 6135 4.2.1: an explicit a=setup in every answer
#[test]
fn an_offerer_without_setup_connects() {
    assert_eq!(setup_of(Offer::plain()).as_deref(), Some("passive"));
}

// proves RFC 6135 4.2.1: holdconn is ignored
#[test]
fn holdconn_counts_as_none() {
    let setup = setup_of(Offer { setup: Some("holdconn"), ..Offer::plain() });
    assert_eq!(setup.as_deref(), Some("passive"));
}

// proves RFC 3261 13.2.1: an INVITE without offer is answered with one
#[test]
fn an_invite_without_offer_gets_one() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let invite = Invite::new(&joe, BOB, Offer::active());
    let (here, local) = (invite.here(), invite.local.clone());
    let mut request = invite.request.clone().without("Content-Type");
    request.body.clear();
    let response = joe.ask(request.clone());
    assert_eq!(response.status(), 200, "{response}");
    let offer = Answer::parse(&response.body);
    assert_eq!(offer.setup.as_deref(), Some("actpass"), "RFC 6135 4.2.2");
    let mut dialog = Dialog::opened(&request, &response);
    joe.send(&dialog.ack(&joe).body("application/sdp", Offer::active().sdp(here, &local)));
    let mut msrp = Msrp::connect(&local, &offer.path);
    msrp.bind();
    msrp.say("after the answer in the ACK");
    let bye = dialog.request(&joe, "BYE");
    assert_eq!(joe.ask(bye).status(), 200);
    assert_eq!(fetch(&node, "bob").ids(), [request.call_id()]);
}

// proves RFC 4975 5.4: no session of that URI: 481
#[test]
fn a_frame_of_no_session_is_answered_481() {
    let node = Node::start();
    let nowhere = format!("msrp://{}/nosuchsession;tcp", node.msrp);
    let mut msrp = Msrp::connect("msrp://127.0.0.1:9/me;tcp", &nowhere);
    assert_eq!(msrp.send(&Chunk::empty()), 481);
}

// proves RFC 4975 5.4: a session in use on another connection: 506
#[test]
fn a_second_connection_of_a_session_is_answered_506() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let mut second = call.connect();
    assert_eq!(second.send(&Chunk::whole("text/plain", "intruder")), 506);
    call.msrp().say("still here");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&call.dialog.call_id), 1);
    assert_eq!(Cpim::parse(&delivered[0].body).body, b"still here");
}

#[test]
fn the_first_send_may_have_content() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call_unbound(&mut joe);
    let mut msrp = call.connect();
    msrp.say("at once");
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").ids(), [call.dialog.call_id]);
}

#[test]
fn a_session_that_nobody_connects_to_ends() {
    let node = Plan::new().set("msrp", "bind_timeout = \"1s\"").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let call = Invite::new(&joe, BOB, Offer::active()).call_unbound(&mut joe);
    call.wait_bye(&mut joe);
    assert_eq!(fetch(&node, "bob").totals(), (0, 0));
}
