//! Retrieval of all new items: the owner calls himself.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

#[test]
fn all_new_items_are_sent_in_order() {
    for uri in [BOB, "sip:bob@mailserver.example.com"] {
        let node = Node::start();
        let mut alice = Ua::udp(&node, "sip:alice@example.org");
        let old = deposit(&mut alice, BOB, "old");
        let mut bob = Ua::udp(&node, "bob");
        retrieve(&mut bob, &message_uri(&old), 1);
        let ids: Vec<String> =
            (0..4).map(|index| deposit(&mut alice, BOB, &format!("new {index}"))).collect();
        let mut call = Invite::new(&bob, uri, Offer::active()).call(&mut bob);
        assert!(call.ok.need("Contact").to_ascii_lowercase().contains(";isfocus"), "{}", call.ok);
        let delivered = call.finish(&mut bob, 4);
        let deferred: Vec<String> = delivered.into_iter().map(|message| message.deferred.unwrap()).collect();
        assert_eq!(deferred, ids);
        assert_eq!(fetch(&node, "bob").totals(), (0, 5));
    }
}

#[test]
fn none_new_is_unavailable_with_a_warning() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut bob = Ua::udp(&node, "bob");
    let check = |bob: &mut Ua| {
        for uri in [BOB, "sip:bob@mailserver.example.com"] {
            let response = Invite::new(bob, uri, Offer::active()).refused(bob);
            assert_eq!(response.status(), 480, "{uri}");
            assert!(response.need("Warning").contains('"'), "{response}");
        }
    };
    check(&mut bob);
    let id = deposit(&mut alice, BOB, "x");
    retrieve(&mut bob, &message_uri(&id), 1);
    check(&mut bob);
}

#[test]
fn an_invite_by_anyone_else_is_a_deposit() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "alice");
    deposit(&mut alice, BOB, "bob's");
    let id = deposit_session(&mut alice, BOB, &["for bob"]);
    assert!(fetch(&node, "bob").ids().contains(&id));
    assert_eq!(fetch(&node, "bob").totals(), (2, 0));
}

#[test]
fn what_arrives_meanwhile_stays_for_the_next_time() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let first = deposit(&mut alice, BOB, "first");
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, BOB, Offer::active()).call_unbound(&mut bob);
    let second = deposit(&mut alice, BOB, "second");
    call.join();
    let delivered = call.msrp().receive(1).remove(0);
    assert_eq!(delivered.deferred.as_ref(), Some(&first));
    call.wait_bye(&mut bob);
    assert_eq!(fetch(&node, "bob").ids(), [second]);
}

#[test]
fn all_of_a_full_mailbox_is_sent() {
    // What bounds a URI-list does not bound this.
    let node = Plan::new().set("retrieval", "max_list = 100").start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let mut ids: Vec<String> = (0..250).map(|_| deposit(&mut alice, BOB, "x")).collect();
    let mut bob = Ua::tcp(&node, "bob");
    let mut call = Invite::new(&bob, BOB, Offer::active()).call(&mut bob);
    let delivered = call.finish(&mut bob, 250);
    let mut deferred: Vec<String> = delivered.into_iter().map(|message| message.deferred.unwrap()).collect();
    deferred.sort_unstable();
    ids.sort_unstable();
    assert_eq!(deferred, ids);
}
