//! NOTIFYs on changes: when they come, to whom, how, and what ends them.

use crate::support::*;
use std::time::{Duration, Instant};

const BOB: &str = "sip:bob@example.com";

#[test]
fn every_change_is_notified() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).totals(), (0, 0));
    let pager = deposit(&mut alice, BOB, "x");
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).ids(), std::slice::from_ref(&pager));
    let session = deposit_session(&mut alice, BOB, &["y"]);
    let summary = Summary::of(&notified(&mut bob, &dialog));
    assert_eq!((summary.ids(), summary.totals()), (vec![session], (2, 0)));
    retrieve(&mut bob, &message_uri(&pager), 1);
    let summary = Summary::of(&notified(&mut bob, &dialog));
    assert_eq!((summary.totals(), summary.items.len()), ((1, 1), 0));
}

// proves RFC 3842 3.11: not more than one NOTIFY a second
#[test]
fn changes_within_a_second_are_one_notify() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    let mut latest = Instant::now();
    let ids: Vec<String> = (0..30).map(|_| deposit(&mut alice, BOB, "x")).collect();
    let mut listed = Vec::new();
    let mut notifies = 0;
    while listed.len() < 30 {
        let summary = Summary::of(&notified(&mut bob, &dialog));
        // The first came as soon as it could; from then on a second lies between any two.
        assert!(
            latest.elapsed() >= Duration::from_millis(900),
            "{:?} after the one before",
            latest.elapsed()
        );
        latest = Instant::now();
        notifies += 1;
        listed.extend(summary.ids());
        assert_eq!(summary.totals().0 as usize, listed.len(), "each is listed when it is first counted");
    }
    assert_eq!(listed, ids);
    assert!(notifies <= 4, "{notifies} NOTIFYs for 30 changes at once");
}

#[test]
fn every_device_is_notified() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut phone = Ua::udp(&node, "bob");
    let mut desk = Ua::tcp(&node, "bob");
    let phone_dialog = subscribe(&mut phone, BOB, 600);
    let desk_dialog = subscribe(&mut desk, "sip:bob@mailserver.example.com", 600);
    notified(&mut phone, &phone_dialog);
    notified(&mut desk, &desk_dialog);
    let id = deposit(&mut alice, BOB, "x");
    assert_eq!(Summary::of(&notified(&mut phone, &phone_dialog)).ids(), std::slice::from_ref(&id));
    assert_eq!(Summary::of(&notified(&mut desk, &desk_dialog)).ids(), std::slice::from_ref(&id));
    retrieve(&mut phone, &message_uri(&id), 1);
    assert_eq!(Summary::of(&notified(&mut phone, &phone_dialog)).totals(), (0, 1));
    assert_eq!(Summary::of(&notified(&mut desk, &desk_dialog)).totals(), (0, 1));
}

// proves RFC 3842 3.5: notifying makes nothing old
#[test]
fn notifying_makes_nothing_old() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    for _ in 0..3 {
        let summary = fetch(&node, "bob");
        assert_eq!((summary.ids(), summary.totals()), (vec![id.clone()], (1, 0)));
    }
}

// proves RFC 3261 18.1.1: over 1300 bytes goes over TCP
#[test]
fn a_large_notify_goes_over_tcp() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    for index in 0..20 {
        let subject = format!("a subject of some length, number {index}");
        let message = alice.request("MESSAGE", BOB).add("Subject", subject).body("text/plain", "x");
        assert_eq!(alice.ask(message).status(), 202);
    }
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    let notify = bob.wait_and_ok("NOTIFY", &dialog.call_id);
    assert!(notify.over_tcp(), "{} bytes", notify.msg.encode().len());
    assert!(notify.msg.need("Via").starts_with("SIP/2.0/TCP "), "{}", notify.msg);
    assert_eq!(Summary::of(&notify.msg).items.len(), 20);
    deposit(&mut alice, BOB, "small again");
    let notify = bob.wait_and_ok("NOTIFY", &dialog.call_id);
    assert!(!notify.over_tcp(), "a small one goes the way of the Contact");
}

#[test]
fn a_subscription_is_over_when_its_notify_is_answered_481() {
    let node = brisk();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    let first = deposit(&mut alice, BOB, "x");
    let notify = bob.wait_request("NOTIFY", &dialog.call_id);
    bob.reply(&notify, 481, "Subscription Does Not Exist");
    let second = deposit(&mut alice, BOB, "y");
    bob.quiet(QUIET, |message| message.is_request());
    assert_eq!(fetch(&node, "bob").ids(), [first, second], "nothing else has ended");
}

// proves RFC 6665 4.2.2: a NOTIFY that is not answered ends the subscription
#[test]
fn a_subscription_is_over_when_nobody_answers() {
    let node = Plan::new().set("sip", "t1 = \"20ms\"").set("sip", "t2 = \"100ms\"").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut bob = Ua::udp(&node, "bob");
    let mut dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    let id = deposit(&mut alice, BOB, "x");
    bob.wait_request("NOTIFY", &dialog.call_id);
    until("the subscription ends", || {
        let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "600");
        (bob.ask(refresh).status() == 481).then_some(())
    });
    assert_eq!(fetch(&node, "bob").ids(), [id]);
}

#[test]
fn what_was_not_answered_is_listed_again() {
    let node = brisk();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    let first = deposit(&mut alice, BOB, "x");
    let unanswered = bob.wait_request("NOTIFY", &dialog.call_id);
    assert_eq!(Summary::of(&unanswered.msg).ids(), std::slice::from_ref(&first));
    let second = deposit(&mut alice, BOB, "y");
    // While one NOTIFY is not answered, no other is sent: the change waits.
    bob.quiet(QUIET, |message| message.method() == "NOTIFY" && message.branch() != unanswered.msg.branch());
    bob.reply(&unanswered, 200, "OK");
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).ids(), [second]);
}
