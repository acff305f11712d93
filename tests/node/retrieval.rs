//! Retrieval of one item by its message URI.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

#[test]
fn an_item_is_sent_and_the_store_says_bye() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice
        .request("MESSAGE", BOB)
        .with("Call-ID", "d0982dkjs@Joemobile.example.net")
        .add("Subject", "present for me")
        .add("Date", "Sun, 09 Jul 2000 21:25:12 -0700")
        .body("text/plain;charset=utf-8", "please");
    assert_eq!(alice.ask(message).status(), 202);
    let mut bob = Ua::udp(&node, "bob");
    let mut call =
        Invite::new(&bob, "sip:d0982dkjs%40Joemobile.example.net@mailserver.example.com", Offer::active())
            .call(&mut bob);
    let delivered = call.finish(&mut bob, 1).remove(0);
    assert_eq!(delivered.deferred.as_deref(), Some("d0982dkjs@Joemobile.example.net"));
    assert_eq!(delivered.content_type.split(';').next(), Some("message/cpim"));
    let cpim = Cpim::parse(&delivered.body);
    assert!(cpim.get("From").unwrap().contains("<sip:alice@example.org>"), "{cpim:?}");
    assert!(cpim.get("To").unwrap().contains("<sip:bob@example.com>"), "{cpim:?}");
    assert_eq!(cpim.get("Subject"), Some("present for me"));
    assert_eq!(rfc3339(cpim.get("DateTime").unwrap()), 963_203_112);
    assert_eq!(cpim.mime("Content-Type"), Some("text/plain;charset=utf-8"));
    assert_eq!(cpim.body, b"please");
}

#[test]
fn a_contact_says_what_answers_there() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let contact = |ua: &mut Ua, uri: &str| {
        let mut call = Invite::new(ua, uri, Offer::active()).call(ua);
        let contact = call.ok.need("Contact");
        call.bye(ua);
        contact
    };
    let one = contact(&mut bob, &message_uri(&id));
    assert!(one.starts_with("<sip:retrieval-") && !one.contains("isfocus"), "{one}");
    let all = contact(&mut bob, BOB);
    assert!(all.starts_with("<sip:focus-") && all.contains(";isfocus"), "{all}");
    let left = contact(&mut alice, BOB);
    assert!(left.starts_with("<sip:deposit-") && !left.contains("isfocus"), "{left}");
}

#[test]
fn over_tcp_it_is_the_same() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::tcp(&node, "bob");
    assert_eq!(retrieve(&mut bob, &message_uri(&id), 1)[0].deferred, Some(id));
}

#[test]
fn an_item_is_old_when_it_is_acknowledged_and_not_before() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    let frame = call.msrp().next_send();
    assert_eq!(fetch(&node, "bob").totals(), (1, 0), "sent, but not acknowledged");
    call.msrp().handle_send(frame, &mut |_| Verdict::Take).expect("a short message is one chunk");
    call.wait_bye(&mut bob);
    let summary = fetch(&node, "bob");
    assert_eq!((summary.totals(), summary.waiting, summary.ids()), ((0, 1), false, vec![]));
}

#[test]
fn an_old_item_can_be_retrieved_again_and_survives_a_restart() {
    let mut node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    retrieve(&mut bob, &message_uri(&id), 1);
    node.kill();
    node.launch();
    assert_eq!(fetch(&node, "bob").totals(), (0, 1), "what was acknowledged is old after a crash too");
    assert_eq!(Cpim::parse(&retrieve(&mut bob, &message_uri(&id), 1)[0].body).body, b"x");
    assert_eq!(fetch(&node, "bob").totals(), (0, 1));
}

#[test]
fn after_retrieval_an_item_may_be_deleted() {
    let node = Plan::new().set("retrieval", "after = \"delete\"").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    retrieve(&mut bob, &message_uri(&id), 1);
    let summary = Summary::of(&notified(&mut bob, &dialog));
    assert_eq!((summary.totals(), summary.waiting), ((0, 0), false));
    assert_eq!(Invite::new(&bob, &message_uri(&id), Offer::active()).refused(&mut bob).status(), 404);
}

#[test]
fn a_message_uri_is_compared_unescaped_and_echoed_as_it_came() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_as(&mut alice, BOB, "jz~k!@h.example", "text/plain", b"x");
    let mut bob = Ua::udp(&node, "bob");
    let spellings = ["%6az~k!%40h.example", "%6Az%7Ek%21%40h.example", "jz%7ek!%40h%2Eexample"];
    for spelling in spellings {
        for host in ["mailserver.example.com", "MAILSERVER.example.com"] {
            let uri = format!("sip:{spelling}@{host}");
            let mut call = Invite::new(&bob, &uri, Offer::active()).call(&mut bob);
            assert_eq!(address(&call.ok.need("To")), uri, "echoed byte for byte");
            let delivered = call.finish(&mut bob, 1);
            assert_eq!(delivered[0].deferred.as_deref(), Some("jz~k!@h.example"));
        }
    }
}

#[test]
fn what_is_not_his_is_not_found_and_not_told_apart() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let bobs = deposit(&mut alice, BOB, "x");
    let mut eve = Ua::udp(&node, "eve");
    let mut refuse = |id: &str| {
        let response = Invite::new(&eve, &message_uri(id), Offer::active()).refused(&mut eve);
        let kept = response.headers.iter().filter(|(name, _)| {
            !["via", "v", "to", "t", "from", "f", "call-id", "i", "cseq", "date"]
                .contains(&name.to_lowercase().as_str())
        });
        (response.start.clone(), kept.cloned().collect::<Vec<_>>(), response.body)
    };
    let foreign = refuse(&bobs);
    assert!(foreign.0.starts_with("SIP/2.0 404 "), "{foreign:?}");
    assert_eq!(foreign, refuse("no-such-id@example.org"));
    assert_eq!(foreign, refuse("bob"), "nor is somebody else's name at the store");
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

#[test]
fn the_asserted_owner_may_retrieve() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut proxy = Ua::udp(&node, "sip:anonymous@anonymous.invalid");
    let mut invite = Invite::new(&proxy, &message_uri(&id), Offer::active());
    invite.request = invite.request.add("P-Asserted-Identity", "<sip:bob@example.com>");
    invite.call(&mut proxy).finish(&mut proxy, 1);
    let mut bob = Ua::udp(&node, "bob");
    let mut invite = Invite::new(&bob, &message_uri(&id), Offer::active());
    invite.request = invite.request.add("P-Asserted-Identity", "<sip:eve@example.com>");
    assert_eq!(invite.refused(&mut bob).status(), 404);
}

#[test]
fn to_a_passive_client_the_store_connects() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::passive()).call(&mut bob);
    assert_eq!(call.answer.setup.as_deref(), Some("active"));
    assert_eq!(call.finish(&mut bob, 1)[0].deferred, Some(id));
}

#[test]
fn clients_of_every_other_kind_are_waited_for() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    for offer in [Offer::plain(), Offer::actpass()] {
        let mut call = Invite::new(&bob, &message_uri(&id), offer).call(&mut bob);
        assert_eq!(call.answer.setup.as_deref(), Some("passive"));
        assert_eq!(call.finish(&mut bob, 1)[0].deferred, Some(id.clone()));
    }
}

#[test]
fn an_invite_without_offer_retrieves_too() {
    retrieve_by_our_offer(|ack, msrp| {
        ack();
        msrp.bind();
    });
}

/// The ACK comes by another way than the connection, and may be read later.
#[test]
fn an_answer_may_come_behind_the_connection() {
    retrieve_by_our_offer(|ack, msrp| {
        msrp.bind();
        ack();
    });
}

fn retrieve_by_our_offer(begin: impl FnOnce(&dyn Fn(), &mut Msrp)) {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let invite = Invite::new(&bob, &message_uri(&id), Offer::active());
    let mut request = invite.request.clone().without("Content-Type");
    request.body.clear();
    let response = bob.ask(request.clone());
    assert_eq!(response.status(), 200, "{response}");
    let offer = Answer::parse(&response.body);
    let dialog = Dialog::opened(&request, &response);
    let ack = dialog.ack(&bob).body("application/sdp", Offer::active().sdp(invite.here(), &invite.local));
    let mut msrp = Msrp::connect(&invite.local, &offer.path);
    begin(&|| bob.send(&ack), &mut msrp);
    assert_eq!(msrp.receive(1)[0].deferred, Some(id));
    bob.wait_and_ok("BYE", &dialog.call_id);
}

#[test]
fn a_session_is_sent_as_its_messages() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let texts = ["one", "two", "three", "four"];
    let id = deposit_session(&mut joe, BOB, &texts);
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&id), 4);
    let bodies: Vec<Vec<u8>> = delivered.iter().map(|message| Cpim::parse(&message.body).body).collect();
    assert_eq!(bodies, texts.map(|text| text.as_bytes().to_vec()));
    assert!(delivered.iter().all(|message| message.deferred.as_ref() == Some(&id)));
}

#[test]
fn two_devices_may_retrieve_the_same_item_at_once() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut phone = Ua::udp(&node, "bob");
    let mut desk = Ua::tcp(&node, "bob");
    let mut first = Invite::new(&phone, &message_uri(&id), Offer::active()).call(&mut phone);
    let mut second = Invite::new(&desk, &message_uri(&id), Offer::active()).call(&mut desk);
    assert_eq!(first.finish(&mut phone, 1).len(), 1);
    assert_eq!(second.finish(&mut desk, 1).len(), 1);
    assert_eq!(fetch(&node, "bob").totals(), (0, 1));
}
