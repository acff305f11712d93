//! Where a deposit ends: quota, size, and what is said then.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// What a full mailbox is answered: 480, when to try again, and why.
fn assert_full(response: &Msg) {
    assert_eq!(response.status(), 480, "{response}");
    let wait: u32 = response.need("Retry-After").split([' ', ';', '(']).next().unwrap().parse().unwrap();
    assert!(wait > 0, "{response}");
    let warning = response.need("Warning");
    let mut words = warning.splitn(3, ' ');
    let code: u16 = words.next().unwrap().parse().expect("RFC 3261 20.43: warn-code");
    assert!((300..400).contains(&code), "{warning}");
    assert!(words.next().is_some_and(|agent| !agent.is_empty()), "{warning}");
    let text = words.next().unwrap();
    assert!(text.starts_with('"') && text.ends_with('"'), "{warning}");
    let text = text.to_ascii_lowercase();
    assert!(text.contains("full") || text.contains("quota"), "it says that the mailbox is full: {text}");
}

#[test]
fn a_mailbox_is_full_at_its_number_of_items() {
    let node = Plan::new().set("deposit", "quota_items = 2").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let first = alice.request("MESSAGE", BOB).body("text/plain", "1");
    assert_eq!(alice.ask(first.clone()).status(), 202);
    let second = deposit(&mut alice, BOB, "2");
    let third = alice.request("MESSAGE", BOB).body("text/plain", "3");
    assert_full(&alice.ask(third));
    assert_eq!(fetch(&node, "bob").ids(), [first.call_id(), second]);
    let repetition = first.with("Via", alice.via());
    assert_eq!(alice.ask(repetition).status(), 202, "what is stored already is answered so");
    deposit(&mut alice, "sip:carol@example.com", "hers has room");
}

#[test]
fn room_comes_back_when_an_item_goes() {
    let node = Plan::new().set("deposit", "quota_items = 1").set("retrieval", "after = \"delete\"").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "1");
    let second = alice.request("MESSAGE", BOB).body("text/plain", "2");
    assert_full(&alice.ask(second.clone()));
    let mut bob = Ua::udp(&node, "bob");
    retrieve(&mut bob, &message_uri(&id), 1);
    let retry = second.with("Via", alice.via()).with("CSeq", "2 MESSAGE");
    assert_eq!(alice.ask(retry).status(), 202);
}

#[test]
fn a_mailbox_is_full_at_its_number_of_bytes() {
    let node = Plan::new().set("deposit", "quota_bytes = 1000").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, BOB, &"x".repeat(700));
    let more = alice.request("MESSAGE", BOB).body("text/plain", "x".repeat(400));
    assert_full(&alice.ask(more));
    deposit(&mut alice, BOB, &"x".repeat(300));
    let one = alice.request("MESSAGE", BOB).body("text/plain", "x");
    assert_full(&alice.ask(one));
    assert_eq!(fetch(&node, "bob").totals(), (2, 0));
}

#[test]
fn the_quota_holds_after_a_restart_and_under_load() {
    let mut node = Plan::new().set("deposit", "quota_items = 20").start();
    let accepted: usize = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut ua = Ua::tcp(&node, "sip:alice@example.org");
                    let statuses = (0..6).map(|_| {
                        let message = ua.request("MESSAGE", BOB).body("text/plain", "x");
                        let response = ua.ask(message);
                        if response.status() != 202 {
                            assert_full(&response);
                        }
                        response.status()
                    });
                    statuses.filter(|status| *status == 202).count()
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    assert_eq!(accepted, 20);
    node.kill();
    node.launch();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let more = alice.request("MESSAGE", BOB).body("text/plain", "x");
    assert_full(&alice.ask(more));
    assert_eq!(fetch(&node, "bob").totals(), (20, 0));
}

#[test]
fn a_body_over_the_limit_is_too_large() {
    let node = Plan::new().set("deposit", "max_body = 1000").start();
    for tcp in [false, true] {
        let mut alice = Ua::new(node.sip, "sip:alice@example.org", tcp);
        let message = alice.request("MESSAGE", BOB).body("text/plain", "x".repeat(1001));
        assert_eq!(alice.ask(message).status(), 413);
        deposit(&mut alice, BOB, &"x".repeat(1000));
    }
    assert_eq!(fetch(&node, "bob").totals(), (2, 0));
}

#[test]
fn a_body_of_the_largest_default_size_is_kept() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let largest = noise(64 * 1024);
    let id = deposit_as(&mut alice, BOB, "largest", "application/octet-stream", &largest);
    let mut over = largest.clone();
    over.push(0);
    let message = alice.request("MESSAGE", BOB).body("application/octet-stream", &over);
    assert_eq!(alice.ask(message).status(), 413);
    let mut bob = Ua::tcp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&id), 1);
    assert!(Cpim::parse(&delivered[0].body).body == largest);
}

#[test]
fn a_message_beyond_all_limits_is_answered_before_it_is_read() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let message =
        alice.request("MESSAGE", BOB).add("Content-Type", "text/plain").add("Content-Length", "900000000");
    alice.send_raw(&message.encode());
    let response = alice.answer_to(&message);
    assert_eq!(response.status(), 413, "{response}");
    let told = restante().arg("config").stdout(std::process::Stdio::piped()).output().unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    let (said, _) = told.split_once("max_message").unwrap();
    assert!(said.ends_with("more is answered 413.\n"), "as the configuration says: {said}");
    let mut other = Ua::tcp(&node, "sip:alice@example.org");
    deposit(&mut other, BOB, "the others go on");
}

#[test]
fn one_sender_does_not_fill_a_mailbox() {
    let node = Plan::new()
        .set("deposit", "quota_items = 8")
        .set("deposit", "sender_share = 50")
        .set("deposit", "sender_least = 0")
        .start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    for number in 0..4 {
        deposit(&mut alice, BOB, &number.to_string());
    }
    let fifth = alice.request("MESSAGE", BOB).body("text/plain", "5");
    let refusal = alice.ask(fifth);
    assert_full(&refusal);
    assert!(refusal.need("Warning").contains("sender"), "{refusal}");
    // Another name in From alone makes no other sender of a trusted peer's assertion.
    let renamed = alice
        .request("MESSAGE", BOB)
        .with("From", "<sip:mallory@example.org>;tag=m")
        .with("P-Asserted-Identity", "<sip:alice@example.org>")
        .body("text/plain", "6");
    assert_full(&alice.ask(renamed));
    let mut carol = Ua::udp(&node, "sip:carol@example.org");
    deposit(&mut carol, BOB, "hers has room");
    deposit(&mut alice, "sip:dora@example.com", "so has another mailbox");
}

/// What describes a content leaves again in the head of an MSRP request, which nobody has to read at any length.
#[test]
fn a_description_of_the_content_has_an_end() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let long = format!("render;x=\"{}\"", "A".repeat(5000));
    let refused = alice.request("MESSAGE", BOB).body("text/plain", "x").with("Content-Disposition", long);
    let refused = alice.ask(refused);
    assert_eq!((refused.status(), refused.reason()), (413, "Content-Disposition Too Long"));
    assert_eq!(fetch(&node, "bob").totals(), (0, 0));
}
