//! A part of the node that fails: what is hit gets a clear answer, its neighbours go on.
//!
//! The tests' build of the node fails on purpose where `FAULT_IN_RESTANTE` says so.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";
const PLACE: &str = "FAULT_IN_RESTANTE";

/// A node that fails at `place` when it handles what is called `name`.
fn fragile(plan: Plan, place: &str, name: &str) -> Node {
    let mut node = plan.prepare();
    node.launch_with(&[(PLACE, &format!("{place}:{name}"))]);
    node
}

/// An INVITE with this Call-ID.
fn named(mut invite: Invite, call_id: &str) -> Invite {
    invite.request = invite.request.with("Call-ID", call_id);
    invite
}

fn one_error(node: &Node, words: &[&str]) {
    let line = until("the failure is told", || {
        let log = node.log();
        let mut lines = log.lines().filter(|line| line.contains("ERROR") && line.contains("has failed:"));
        let found = lines.next().map(str::to_owned);
        assert_eq!(lines.next(), None, "told once:\n{log}");
        found
    });
    for word in words {
        assert!(line.contains(word), "{word} in: {line}");
    }
}

#[test]
fn an_invite_whose_focus_fails_gets_500() {
    let plan = Plan::new().set("retrieval", "sessions_per_user = 1");
    let node = fragile(plan, "focus.find", "fails@h");
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let invite = named(Invite::new(&bob, &message_uri(&id), Offer::active()), "fails@h");
    assert_eq!(invite.refused(&mut bob).status(), 500);
    one_error(&node, &["fails@h", "stays new"]);
    // The place it took among the user's sessions is free again, and the item is new.
    retrieve(&mut bob, &message_uri(&id), 1);
}

#[test]
fn a_dialog_whose_focus_fails_gets_a_bye_and_its_watcher_the_end() {
    let node = fragile(Plan::new(), "focus.bound", "fails@h");
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let mut neighbour = Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob);
    let invite = named(Invite::list(&bob, &[message_uri(&id)], Offer::active()), "fails@h");
    let mut call = invite.call_unbound(&mut bob);
    let focus = address(&call.ok.need("Contact"));
    let request = bob.request("SUBSCRIBE", &focus).add("Event", "conference").add("Expires", "600");
    assert_eq!(bob.ask(request.clone()).status(), 200);
    bob.wait_and_ok("NOTIFY", &request.call_id());
    let mut msrp = call.connect();
    msrp.post(&Chunk::empty());
    let bye = call.wait_bye(&mut bob);
    assert!(bye.need("Reason").contains("500"), "{bye}");
    let last = bob.wait_and_ok("NOTIFY", &request.call_id()).msg;
    assert!(last.need("Subscription-State").starts_with("terminated"), "{last}");
    one_error(&node, &["fails@h"]);
    let options = call.dialog.request(&bob, "OPTIONS");
    assert_eq!(bob.ask(options).status(), 481, "nothing of it is left");
    neighbour.join();
    neighbour.finish(&mut bob, 1);
}

#[test]
fn an_item_whose_virtual_user_agent_fails_fails_alone() {
    let node = fragile(Plan::new(), "virtual_ua.open", "fails@h");
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    for id in ["first@h", "fails@h", "last@h"] {
        deposit_as(&mut alice, BOB, id, "text/plain", b"x");
    }
    let mut bob = Ua::udp(&node, "bob");
    let uris = ["first@h", "fails@h", "last@h"].map(message_uri);
    let mut call = Invite::list(&bob, &uris, Offer::active()).call_unbound(&mut bob);
    let focus = address(&call.ok.need("Contact"));
    let request = bob.request("SUBSCRIBE", &focus).add("Event", "conference").add("Expires", "600");
    assert_eq!(bob.ask(request.clone()).status(), 200);
    call.join();
    call.finish(&mut bob, 2);
    let mut told = String::new();
    loop {
        let notify = bob.wait_and_ok("NOTIFY", &request.call_id()).msg;
        told.push_str(&String::from_utf8_lossy(&notify.body));
        if notify.need("Subscription-State").starts_with("terminated") {
            break;
        }
    }
    assert!(told.contains("cause=500"), "the cause is told: {told}");
    one_error(&node, &["fails@h", "stays new"]);
    assert_eq!(fetch(&node, "bob").ids(), ["fails@h"]);
}

#[test]
fn a_retrieval_that_fails_while_it_sends_ends() {
    let node = fragile(Plan::new(), "session.begin", "failing0");
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut deposit = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    assert_eq!(deposit.msrp().send(&Chunk::whole("text/plain", "x").id("failing0")), 200);
    deposit.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let call = Invite::new(&bob, &message_uri(&deposit.dialog.call_id), Offer::active()).call(&mut bob);
    call.wait_bye(&mut bob);
    one_error(&node, &["the focus has failed", "stays new"]);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

#[test]
fn a_deposit_whose_recorder_fails_keeps_what_was_acknowledged() {
    let plan = Plan::new().set("deposit", "sessions_per_user = 1");
    let node = fragile(plan, "recorder.message", "failing0");
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("acknowledged");
    call.msrp().post(&Chunk::whole("text/plain", "not acknowledged").id("failing0"));
    call.wait_bye(&mut joe);
    one_error(&node, &[&call.dialog.call_id, "becomes an item"]);
    let mut bob = Ua::udp(&node, "bob");
    until("it is an item", || (fetch(&node, "bob").totals() == (1, 0)).then_some(()));
    retrieve(&mut bob, &message_uri(&call.dialog.call_id), 1);
    deposit_session(&mut joe, BOB, &["the next one is taken"]);
}

#[test]
fn an_invite_whose_recorder_fails_gets_500() {
    let node = fragile(Plan::new(), "recorder.accept", "fails@h");
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let invite = named(Invite::new(&joe, BOB, Offer::active()), "fails@h");
    assert_eq!(invite.refused(&mut joe).status(), 500);
    one_error(&node, &["fails@h"]);
    deposit_session(&mut joe, BOB, &["the next one is taken"]);
}

#[test]
fn a_mailbox_that_fails_is_made_anew_with_its_subscriptions() {
    let node = fragile(Plan::new(), "mailbox.subscribe", "fails@h");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 3600);
    notified(&mut bob, &dialog);
    let mut other = Ua::udp(&node, "bob");
    let request = subscribe_request(&other, BOB, 3600).with("Call-ID", "fails@h");
    assert_eq!(other.ask(request).status(), 500);
    one_error(&node, &["subscriptions=1"]);
    // The one that was there goes on: it is told what nobody may have told it meanwhile, then what is new.
    notified(&mut bob, &dialog);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, BOB, "x");
    let summary = Summary::of(&notified(&mut bob, &dialog));
    assert_eq!(summary.totals(), (1, 0));
}

#[test]
fn without_a_shard_or_an_endpoint_the_process_ends() {
    for (place, name) in [("shard.arrived", "shard"), ("endpoint.place", "SIP endpoint")] {
        let mut node = fragile(Plan::new(), place, "fails@h");
        let mut alice = Ua::udp(&node, "sip:alice@example.org");
        let id = deposit(&mut alice, BOB, "kept");
        let options = alice.request("OPTIONS", "sip:mailserver.example.com").with("Call-ID", "fails@h");
        alice.send(&options);
        let (status, log) = node.wait_end();
        assert!(status.code().is_some_and(|code| code != 0), "{status}");
        let last = log.lines().last().unwrap_or_default();
        assert!(last.contains(name) && last.contains("has failed"), "one clear line: {last}");
        node.launch();
        let mut bob = Ua::udp(&node, "bob");
        retrieve(&mut bob, &message_uri(&id), 1);
    }
}
