//! In which wrapping content is sent, by what the client accepts.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// Deposits and retrieves with this offer.
fn deliver(content_type: &str, body: &[u8], offer: Offer) -> Delivered {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let id = deposit_as(&mut alice, BOB, &fresh("content"), content_type, body);
    let mut bob = Ua::udp(&node, "bob");
    Invite::new(&bob, &message_uri(&id), offer).call(&mut bob).finish(&mut bob, 1).remove(0)
}

#[test]
fn a_client_of_cpim_gets_cpim() {
    for offer in [
        Offer::active().accepts("message/cpim").wrapped("text/plain"),
        Offer::active().accepts("message/cpim"),
        Offer::active().accepts("message/cpim text/html"),
        Offer::active().accepts("*"),
    ] {
        let delivered = deliver("text/plain", b"wrapped", offer);
        assert_eq!(delivered.content_type.split(';').next(), Some("message/cpim"));
        assert_eq!(Cpim::parse(&delivered.body).body, b"wrapped");
    }
}

#[test]
fn a_client_without_cpim_gets_the_bare_content() {
    let delivered =
        deliver("text/plain;charset=utf-8", b"bare", Offer::active().accepts("text/html text/plain"));
    assert_eq!(
        (delivered.content_type.as_str(), &delivered.body[..]),
        ("text/plain;charset=utf-8", &b"bare"[..])
    );
}

#[test]
fn no_control_character_leaves_in_a_head() {
    let offer = || Offer::active().accepts("text/html text/plain");
    let delivered = deliver("text/plain;x=\"a\x01\x7fb\"", b"bare", offer());
    assert_eq!(delivered.content_type, "text/plain;x=\"a  b\"");
    let delivered = deliver("message/cpim;x=\"\x01\"", b"\r\n\r\nx", Offer::active().accepts("message/cpim"));
    assert_eq!(delivered.content_type, "message/cpim;x=\" \"");
}

#[test]
fn a_deposited_cpim_is_passed_byte_for_byte() {
    let cpim = b"From: MR SANDERS <im:piglet@100akerwood.com>\r\nTo: Depressed Donkey <im:eeyore@100akerwood.com>\r\n\
        DateTime: 2000-12-13T13:40:00-08:00\r\nSubject: the weather will be fine today\r\nNS: MyFeatures <mid:x@y>\r\n\
        Require: MyFeatures.VitalMessageOption\r\n\r\nContent-type: text/xml; charset=utf-8\r\n\
        Content-ID: <1234567890@foo.com>\r\n\r\n<body>\r\nHere is the text of my message.\r\n</body>\r\n\r\n";
    let delivered = deliver("message/cpim", cpim, Offer::active());
    assert_eq!(delivered.content_type, "message/cpim");
    assert!(delivered.body == cpim);
}

#[test]
fn a_message_of_a_session_that_is_cpim_is_passed_byte_for_byte() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let cpim = b"To: <im:bob@example.com>\r\n\r\nContent-Type: text/plain\r\n\r\nsent as cpim";
    assert_eq!(call.msrp().send(&Chunk::whole("message/cpim", cpim)), 200);
    call.msrp().say("sent bare");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&call.dialog.call_id), 2);
    assert!(delivered[0].body == cpim);
    assert_eq!(Cpim::parse(&delivered[1].body).body, b"sent bare");
}

// proves RFC 4975 8.6: what may be wrapped is told by accept-wrapped-types, where there is one
#[test]
fn a_client_that_tells_what_may_be_wrapped_gets_nothing_else() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "text");
    let mut bob = Ua::udp(&node, "bob");
    let offer = Offer::active().accepts("message/cpim").wrapped("text/html");
    assert_eq!(Invite::new(&bob, &message_uri(&id), offer).refused(&mut bob).status(), 488);
}

#[test]
fn what_a_client_does_not_take_is_not_acceptable_and_stays_new() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit_as(&mut alice, BOB, "image@h", "image/png", b"\x89PNG");
    let mut bob = Ua::udp(&node, "bob");
    let response =
        Invite::new(&bob, &message_uri(&id), Offer::active().accepts("text/plain")).refused(&mut bob);
    assert_eq!(response.status(), 488);
    assert!(response.need("Warning").starts_with('3'), "{response}");
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

#[test]
fn a_client_that_cannot_receive_is_sent_nothing() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    for direction in ["sendonly", "inactive"] {
        let response =
            Invite::new(&bob, &message_uri(&id), Offer::active().direction(direction)).refused(&mut bob);
        assert_eq!(response.status(), 488, "{direction}");
    }
    let delivered = Invite::new(&bob, &message_uri(&id), Offer::active().direction("recvonly"))
        .call(&mut bob)
        .finish(&mut bob, 1);
    assert_eq!(delivered.len(), 1);
}

// proves RFC 4975 8.6: nothing larger than max-size is sent
#[test]
fn nothing_above_the_clients_max_size_is_sent() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let large = deposit(&mut alice, BOB, &"x".repeat(20_000));
    let small = deposit(&mut alice, BOB, "small");
    let mut bob = Ua::udp(&node, "bob");
    let uris = [message_uri(&large), message_uri(&small)];
    let mut call = Invite::list(&bob, &uris, Offer::active().max_size(5_000)).call(&mut bob);
    let delivered = call.finish(&mut bob, 1);
    assert_eq!(delivered[0].deferred.as_ref(), Some(&small));
    assert_eq!(fetch(&node, "bob").ids(), [large]);
}

#[test]
fn every_chunk_bears_the_message_id_of_its_item() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    let body = noise(500_000);
    assert_eq!(call.msrp().send(&Chunk::whole("application/octet-stream", &body).range("1-*/500000")), 200);
    call.bye(&mut alice);
    let id = call.dialog.call_id;
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    let mut frames = 0;
    let delivered = call.msrp().receive_with(1, |frame| {
        assert_eq!(frame.get("Deferred-Message-ID"), Some(id.as_str()));
        frames += 1;
        Verdict::Take
    });
    call.wait_bye(&mut bob);
    assert!(frames >= 1 && delivered[0].chunks == frames);
    assert!(Cpim::parse(&delivered[0].body).body == body);
}

#[test]
fn names_of_people_are_told_in_cpim() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice
        .request("MESSAGE", BOB)
        .with("From", "\"Alice, of \\\"Org\\\"\" <sip:alice@example.org>;tag=77")
        .with("To", "Bob <sip:bob@example.com>")
        .body("text/plain", "x");
    let id = message.call_id();
    assert_eq!(alice.ask(message).status(), 202);
    let mut bob = Ua::udp(&node, "bob");
    let cpim = Cpim::parse(&retrieve(&mut bob, &message_uri(&id), 1)[0].body);
    let from = cpim.get("From").unwrap();
    assert!(from.contains("Alice, of") && from.ends_with("<sip:alice@example.org>"), "{from}");
    assert!(!from.contains("tag="), "the tag is no part of an address: {from}");
    assert!(cpim.get("To").unwrap().ends_with("<sip:bob@example.com>"), "{cpim:?}");
}
