//! Who wants to stay anonymous does, in summary and in what is retrieved (RFC 3323, RFC 3325 7).

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

fn private(ua: &Ua, privacy: &str) -> Msg {
    ua.request("MESSAGE", BOB)
        .with("From", format!("\"Alice A.\" <sip:alice@example.com>;tag={}", fresh("f")))
        .add("P-Asserted-Identity", "\"Alice A.\" <sip:alice@example.com>")
        .add("P-Asserted-Identity", "<tel:+15551234>")
        .add("Privacy", privacy)
        .add("Organization", "Alice Ltd")
        .add("Subject", "carpool")
        .body("text/plain", "guess who")
}

fn tells_of_alice(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("alice") || text.contains("5551234")
}

// proves RFC 3325 7, RFC 3323 5.3
#[test]
fn an_anonymous_sender_stays_anonymous() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "alice");
    for privacy in ["id", "user", "id;critical", "header;user;session;critical"] {
        let request = private(&alice, privacy);
        let id = request.call_id();
        assert_eq!(alice.ask(request).status(), 202, "{privacy}");
        let mut bob = Ua::tcp(&node, "bob");
        let dialog = subscribe(&mut bob, BOB, 0);
        let notify = notified(&mut bob, &dialog);
        assert!(!tells_of_alice(&notify.to_string()), "{privacy}: {notify}");
        let summary = Summary::of(&notify);
        assert_eq!(
            summary.item(&id, "From"),
            Some("\"Anonymous\" <anonymous@anonymous.invalid>"),
            "{privacy}"
        );
        assert_eq!(summary.item(&id, "Subject").is_some(), !privacy.contains("user"), "{privacy}");
        let delivered = retrieve(&mut bob, &message_uri(&id), 1);
        let whole = String::from_utf8_lossy(&delivered[0].body).into_owned();
        assert!(
            whole.contains("<sip:anonymous@anonymous.invalid>") && whole.contains("guess who"),
            "{whole}"
        );
        assert!(!tells_of_alice(&whole), "{privacy}: {whole}");
    }
    let mut sender = Ua::udp(&node, "alice");
    let mut invite = Invite::new(&sender, BOB, Offer::active());
    invite.request =
        invite.request.add("Privacy", "id").add("P-Asserted-Identity", "<sip:alice@example.com>");
    let mut call = invite.call(&mut sender);
    call.msrp().say("guess again");
    call.bye(&mut sender);
    let summary = fetch(&node, "bob");
    let from = summary.item(&call.dialog.call_id, "From").unwrap();
    assert_eq!(from, "\"Anonymous\" <anonymous@anonymous.invalid>");
}

// proves RFC 3323 5
#[test]
fn none_and_critical_are_obeyed() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "alice");
    let open = private(&alice, "none");
    let id = open.call_id();
    assert_eq!(alice.ask(open).status(), 202);
    assert_eq!(fetch(&node, "bob").item(&id, "From"), Some("\"Alice A.\" <alice@example.com>"));
    let impossible = private(&alice, "id;moon;critical");
    let response = alice.ask(impossible);
    assert!(response.status() == 500 && response.start.contains("Privacy Failure: moon"), "{response}");
    let lenient = private(&alice, "id;moon");
    assert_eq!(alice.ask(lenient).status(), 202);
    let broken = private(&alice, "id;;");
    assert_eq!(alice.ask(broken).status(), 400);
}

// proves RFC 3323 4.1.1.3: a user who has proved himself may hide
#[test]
fn a_proven_user_may_send_as_nobody() {
    let node = Plan::new()
        .set("trust", "peers = []")
        .users(&[("alice@example.com", "wonderland"), ("bob@example.com", "b")])
        .start();
    let mut alice = Ua::udp(&node, "alice").with_login("alice", "wonderland");
    let from = format!("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag={}", fresh("f"));
    let request = alice.request("MESSAGE", BOB).with("From", from).body("text/plain", "guess who");
    let id = request.call_id();
    assert_eq!(alice.ask(request).status(), 202);
    let mut bob = Ua::tcp(&node, "bob").with_login("bob", "b");
    let shown = fetch_by(&mut bob).item(&id, "From").unwrap().to_owned();
    assert_eq!(shown, "\"Anonymous\" <anonymous@anonymous.invalid>");
}
