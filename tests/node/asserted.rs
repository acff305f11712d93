//! A trusted peer that passes on what it does not authenticate: `[trust] from = false`.

use crate::support::*;

const CAROL: &str = "sip:carol@example.com";
const ASSERTED: &str = "P-Asserted-Identity";

fn wary() -> Node {
    Plan::new().set("trust", "from = false").start()
}

/// The Message-ID of what Alice, whom the peer asserts, has left for Carol.
fn left_by_alice(node: &Node) -> (Ua, Msg) {
    let mut alice = Ua::udp(node, "alice");
    let message =
        alice.request("MESSAGE", CAROL).add(ASSERTED, "<sip:alice@example.com>").body("text/plain", "secret");
    assert_eq!(alice.ask(message.clone()).status(), 202);
    (alice, message)
}

/// The summary of Carol, whom the peer asserts.
fn carols(node: &Node) -> Summary {
    let mut carol = Ua::tcp(node, "carol");
    let request = subscribe_request(&carol, CAROL, 0).add(ASSERTED, format!("<{CAROL}>"));
    assert_eq!(carol.ask(request.clone()).status(), 200);
    let notify = carol.wait_and_ok("NOTIFY", &request.call_id()).msg;
    Summary::of(&notify)
}

// proves RFC 3325 5: what a user writes into From is no assertion
#[test]
fn who_writes_the_owners_from_gets_none_of_her_messages() {
    let node = wary();
    let (_, message) = left_by_alice(&node);
    let secret = message.call_id();
    let mut eve = Ua::udp(&node, "carol");
    let asked = [
        Invite::new(&eve, "sip:carol@mailserver.example.com", Offer::active()),
        Invite::new(&eve, &message_uri(&secret), Offer::active()),
        Invite::new(&eve, &message_uri("no-such-id"), Offer::active()),
        Invite::list(&eve, &[message_uri(&secret)], Offer::active()),
    ];
    let subscribes = [CAROL, "sip:carol@mailserver.example.com"].map(|uri| subscribe_request(&eve, uri, 60));
    for request in asked.into_iter().map(|invite| invite.request).chain(subscribes) {
        let refused = eve.ask(request);
        assert_eq!((refused.status(), refused.reason()), (403, "No Asserted Identity"), "{refused}");
        assert!(refused.get("WWW-Authenticate").is_none(), "{refused}");
    }
    // What a stranger says to her is kept, her own name over it or not.
    let mut call = Invite::new(&eve, CAROL, Offer::active()).call(&mut eve);
    assert!(call.ok.need("Contact").contains("deposit-"), "{}", call.ok);
    call.msrp().say("said by somebody");
    call.bye(&mut eve);
    let mut bea = Ua::udp(&node, "sip:bea@example.org");
    let written = deposit(&mut bea, CAROL, "written by somebody");

    let summary = carols(&node);
    assert_eq!(summary.ids(), [secret.clone(), call.dialog.call_id.clone(), written.clone()]);
    assert_eq!(summary.totals(), (3, 0), "nothing was retrieved");
    assert_eq!(summary.item(&written, "From"), Some("<bea@example.org>"));
    let mut carol = Ua::udp(&node, "carol");
    let mut invite = Invite::new(&carol, &message_uri(&secret), Offer::active());
    invite.request = invite.request.add(ASSERTED, format!("<{CAROL}>"));
    let delivered = invite.call(&mut carol).finish(&mut carol, 1);
    assert!(delivered[0].body.ends_with(b"secret"));
}

#[test]
fn within_a_dialog_nobody_need_be_asserted_again() {
    let node = wary();
    let (_, message) = left_by_alice(&node);
    let mut carol = Ua::udp(&node, "carol");
    let mut invite = Invite::new(&carol, &message_uri(&message.call_id()), Offer::active());
    invite.request = invite.request.add(ASSERTED, format!("<{CAROL}>"));
    let mut call = invite.call_unbound(&mut carol);
    call.bye(&mut carol);
    // Nor is he another who is asserted later.
    let mut call = Invite::new(&carol, CAROL, Offer::active()).call_unbound(&mut carol);
    let bye = call.dialog.request(&carol, "BYE").add(ASSERTED, format!("<{CAROL}>"));
    assert_eq!(carol.ask(bye).status(), 200);
}

#[test]
fn who_is_not_asserted_makes_nobodys_message_vanish() {
    let node = wary();
    let mut eve = Ua::udp(&node, "alice");
    let early = eve.request("MESSAGE", CAROL).body("text/plain", "not hers");
    assert_eq!(eve.ask(early.clone()).status(), 202);
    let mut alice = Ua::udp(&node, "alice");
    let hers = early.with("Via", alice.via()).add(ASSERTED, "<sip:alice@example.com>");
    assert_eq!(alice.ask(hers).status(), 202);
    assert_eq!(carols(&node).totals(), (2, 0));
}
