//! Deposit of a pager message: what is taken, and that it is kept as it came.

use crate::support::*;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BOB: &str = "sip:bob@example.com";

// proves RFC 3428 7: 202 when the message is stored for later, and no Contact in a 2xx
#[test]
fn a_message_is_durable_when_it_is_accepted() {
    let mut node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "Watson, come here.");
    let response = alice.ask(message.clone());
    node.kill();
    assert_eq!((response.status(), response.reason()), (202, "Accepted"));
    assert_eq!(response.get("Contact"), None);
    assert!(parameter(&response.need("To"), "tag").is_some(), "RFC 3261 8.2.6.2: a To tag");
    for name in ["From", "Call-ID", "CSeq"] {
        assert_eq!(response.raw(name), message.raw(name), "{name} is echoed byte for byte");
    }
    node.launch();
    assert_eq!(fetch(&node, "bob").ids(), [message.call_id()]);
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&message.call_id()), 1);
    assert_eq!(Cpim::parse(&delivered[0].body).body, b"Watson, come here.");
}

/// Deposits these bytes over UDP or TCP, retrieves them bare and compares.
fn round_trip(tcp: bool, content_type: &str, body: &[u8]) {
    let node = Node::start();
    let mut alice = Ua::new(node.sip, "sip:alice@example.org", tcp);
    let id = deposit_as(&mut alice, BOB, &fresh("bytes"), content_type, body);
    let mut bob = Ua::tcp(&node, "bob");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active().accepts("*")).call(&mut bob);
    let delivered = call.msrp().receive(1).remove(0);
    call.wait_bye(&mut bob);
    let content = match delivered.content_type.as_str() {
        "message/cpim" => {
            let cpim = Cpim::parse(&delivered.body);
            assert_eq!(cpim.mime("Content-Type"), Some(content_type));
            cpim.body
        }
        bare => {
            assert_eq!(bare, content_type);
            delivered.body
        }
    };
    assert!(content == body, "{} bytes became {} other bytes", body.len(), content.len());
}

#[test]
fn any_bytes_are_kept_over_udp() {
    round_trip(false, "application/octet-stream", &noise(30_000));
}

#[test]
fn any_bytes_are_kept_over_tcp() {
    round_trip(true, "application/octet-stream", &noise(60_000));
}

#[test]
fn bytes_that_look_like_protocol_are_kept() {
    let text = "\r\n\r\n-------abcd$\r\n-------------\r\n\r\nMSRP x 200 OK\r\nSIP/2.0 200 OK\r\n\r\n--boundary1--\r\n-------";
    round_trip(true, "text/plain;charset=UTF-8", text.as_bytes());
}

#[test]
fn an_empty_body_is_a_message() {
    round_trip(false, "text/plain", b"");
}

#[test]
fn no_conversion_of_text_in_any_charset() {
    round_trip(false, "text/plain;charset=ISO-8859-1", &(0..=255).collect::<Vec<u8>>());
}

#[test]
fn headers_are_kept_with_the_message() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice
        .request("MESSAGE", BOB)
        .add("Subject", "H\u{e9}llo, \"you\" <there>")
        .add("Date", "Thu, 21 Feb 2002 13:02:03 GMT")
        .add("Priority", "Non-Urgent")
        .add("Content-Language", "fr")
        .body("text/html", "<p>Bonjour</p>");
    let id = message.call_id();
    assert_eq!(alice.ask(message).status(), 202);
    let summary = fetch(&node, "bob");
    assert_eq!(summary.item(&id, "Subject"), Some("H\u{e9}llo, \"you\" <there>"));
    assert_eq!(summary.item(&id, "Date"), Some("Thu, 21 Feb 2002 13:02:03 GMT"));
    assert_eq!(summary.item(&id, "Priority").map(str::to_ascii_lowercase).as_deref(), Some("non-urgent"));
    let mut bob = Ua::udp(&node, "bob");
    let cpim = Cpim::parse(&retrieve(&mut bob, &message_uri(&id), 1)[0].body);
    assert_eq!(cpim.mime("Content-Type"), Some("text/html"));
    assert_eq!(cpim.mime("Content-Language"), Some("fr"));
    assert_eq!(rfc3339(cpim.get("DateTime").unwrap()), 1_014_296_523);
    assert_eq!(cpim.body, b"<p>Bonjour</p>");
}

#[test]
fn without_a_date_the_arrival_is_the_date() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let id = deposit(&mut alice, BOB, "now");
    let date = fetch(&node, "bob").item(&id, "Date").expect("a date is told").to_owned();
    assert!(date.ends_with(" GMT") && date.len() == 29, "RFC 3261 20.17: SIP-date: {date}");
    let mut bob = Ua::udp(&node, "bob");
    let cpim = Cpim::parse(&retrieve(&mut bob, &message_uri(&id), 1)[0].body);
    let told = rfc3339(cpim.get("DateTime").unwrap());
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    assert!((before..=after).contains(&told), "{before} {told} {after}");
}

// proves RFC 3428 4: a message is not delivered after its Expires
#[test]
fn a_message_ends_when_it_says() {
    // It is listed at once, long before it ends.
    let node = Plan::new().set("summary", "min_interval = \"0s\"").start();
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).totals(), (0, 0));
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).add("Expires", "5").body("text/plain", "soon gone");
    let id = message.call_id();
    assert_eq!(alice.ask(message).status(), 202);
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).ids(), std::slice::from_ref(&id));
    let after = Summary::of(&notified(&mut bob, &dialog));
    assert_eq!((after.waiting, after.totals()), (false, (0, 0)));
    assert_eq!(Invite::new(&bob, &message_uri(&id), Offer::active()).refused(&mut bob).status(), 404);
}

// proves RFC 3428 4: not even until what has ended is removed
#[test]
fn a_message_is_gone_at_the_moment_when_it_ends() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).add("Expires", "3").body("text/plain", "soon gone");
    let uri = message_uri(&message.call_id());
    assert_eq!(alice.ask(message).status(), 202);
    let answered = std::time::Instant::now();
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
    let mut bob = Ua::udp(&node, "bob");
    std::thread::sleep(Duration::from_secs(3).saturating_sub(answered.elapsed()));
    assert_eq!(Invite::new(&bob, &uri, Offer::active()).refused(&mut bob).status(), 404);
    assert_eq!(Invite::list(&bob, &[uri], Offer::active()).refused(&mut bob).status(), 404);
    assert_eq!(Invite::new(&bob, BOB, Offer::active()).refused(&mut bob).status(), 480);
    let summary = fetch(&node, "bob");
    assert_eq!((summary.totals(), summary.waiting), ((0, 0), false));
}

#[test]
fn composing_indications_are_not_stored() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    for content_type in ["application/im-iscomposing+xml", "Application/IM-isComposing+xml; charset=UTF-8"] {
        deposit_as(&mut alice, BOB, &fresh("typing"), content_type, b"<isComposing/>");
    }
    let summary = fetch(&node, "bob");
    assert_eq!((summary.totals(), summary.waiting), ((0, 0), false));
}

#[test]
fn heartbeats_are_not_stored() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_as(&mut alice, BOB, &fresh("beat"), "text/x-msrp-heartbeat", b"HEARTBEAT");
    let summary = fetch(&node, "bob");
    assert_eq!((summary.totals(), summary.waiting), ((0, 0), false));
}

#[test]
fn ignored_types_are_those_of_the_configuration() {
    let node = Plan::new().set("deposit", "ignore_types = [\"text/html\"]").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_as(&mut alice, BOB, "a", "text/html", b"<b/>");
    deposit_as(&mut alice, BOB, "b", "text/x-msrp-heartbeat", b"HEARTBEAT");
    deposit_as(&mut alice, BOB, "c", "application/im-iscomposing+xml", b"<isComposing/>");
    assert_eq!(fetch(&node, "bob").ids(), ["b"]);
}

#[test]
fn a_recipient_is_found_as_rfc_3261_compares() {
    let node = Plan::new().set("node", "domains = [\"example.com\", \"other.example\"]").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let same = ["sip:bob@EXAMPLE.com", "sip:%62ob@example.com", "sip:bob@example.com;user=phone"];
    for (index, uri) in same.into_iter().enumerate() {
        deposit_as(&mut alice, uri, &format!("bob{index}"), "text/plain", b"x");
    }
    for (id, uri) in [("case", "sip:Bob@example.com"), ("domain", "sip:bob@other.example")] {
        deposit_as(&mut alice, uri, id, "text/plain", b"x");
    }
    assert_eq!(fetch(&node, "bob").ids(), ["bob0", "bob1", "bob2"]);
    assert_eq!(fetch(&node, "Bob").ids(), ["case"], "the user is compared exactly");
    assert_eq!(fetch(&node, "sip:bob@other.example").ids(), ["domain"]);
}

#[test]
fn who_is_not_served_is_not_found() {
    let node = Plan::new().set("node", "users = [\"bob\"]").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let strangers =
        ["sip:bob@example.net", "sip:bob@mailserver.example.com", "sip:carol@example.com", "sip:example.com"];
    for uri in strangers {
        let message = alice.request("MESSAGE", uri).body("text/plain", "x");
        assert_eq!(alice.ask(message).status(), 404, "{uri}");
        let invite = Invite::new(&alice, uri, Offer::active());
        assert_eq!(invite.refused(&mut alice).status(), 404, "{uri}");
    }
    deposit(&mut alice, BOB, "he is served");
}

#[test]
fn a_message_id_may_hold_all_that_a_call_id_may() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let ids = ["a%40b@c", "x!y*z_+`'~()<>:\\\"/[]?{}@h", "UPPER", "upper", "-.", "50%"];
    for id in ids {
        deposit_as(&mut alice, BOB, id, "text/plain", id.as_bytes());
    }
    assert_eq!(fetch(&node, "bob").ids(), ids);
    let mut bob = Ua::tcp(&node, "bob");
    for id in ids {
        let delivered = retrieve(&mut bob, &message_uri(id), 1);
        assert_eq!(delivered[0].deferred.as_deref(), Some(id));
        assert_eq!(Cpim::parse(&delivered[0].body).body, id.as_bytes());
    }
}
