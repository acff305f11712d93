//! Requests that are refused, each with the status that says why (RFC 3261 8.2, 21).

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// Asks over a new TCP connection, which carries what is malformed as well as what is not.
fn ask(node: &Node, change: impl FnOnce(Msg) -> Msg) -> Msg {
    let mut ua = Ua::tcp(node, "sip:alice@example.org");
    let request = change(ua.request("MESSAGE", BOB).body("text/plain", "x"));
    ua.send(&request);
    // The answer may lack what the request lacked: it is known by its branch.
    let branch = request.branch();
    ua.wait("an answer", |message| !message.is_request() && message.branch() == branch).msg
}

#[test]
fn a_malformed_request_is_bad_and_the_header_is_named() {
    let node = Node::start();
    type Change = fn(Msg) -> Msg;
    let cases: [(&str, Change); 14] = [
        ("From", |message| message.without("From")),
        ("To", |message| message.without("To")),
        ("Call-ID", |message| message.without("Call-ID")),
        ("CSeq", |message| message.without("CSeq")),
        ("From", |message| message.with("From", "<sip:alice@example.org")),
        ("To", |message| message.with("To", "\"Bob <sip:bob@example.com>")),
        ("CSeq", |message| message.with("CSeq", "one MESSAGE")),
        ("CSeq", |message| message.with("CSeq", "99999999999 MESSAGE")),
        ("CSeq", |message| message.with("CSeq", "1 INVITE")),
        ("CSeq", |message| message.with("CSeq", "1")),
        ("Max-Forwards", |message| message.with("Max-Forwards", "many")),
        ("Call-ID", |message| message.add("Call-ID", "another")),
        ("Expires", |message| message.add("Expires", "soon")),
        ("Content-Type", |message| message.with("Content-Type", "text")),
    ];
    for (name, change) in cases {
        let response = ask(&node, change);
        assert_eq!(response.status(), 400, "{name}: {response}");
        assert!(response.reason().contains(name), "the reason names {name}: {}", response.start);
    }
    assert_eq!(fetch(&node, "bob").totals(), (0, 0));
}

#[test]
fn another_version_is_not_supported() {
    let node = Node::start();
    let response = ask(&node, |message| Msg { start: format!("MESSAGE {BOB} SIP/7.0"), ..message });
    assert_eq!(response.status(), 505, "{response}");
}

#[test]
fn an_unknown_method_is_not_implemented() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    for method in ["FOO", "message", "NEWMETHOD"] {
        let request = ua.request(method, BOB);
        assert_eq!(ua.ask(request).status(), 501, "{method}");
    }
}

#[test]
fn a_known_method_where_it_does_not_belong_is_not_allowed() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "bob");
    for method in ["REGISTER", "PUBLISH", "REFER"] {
        let request = ua.request(method, BOB).add("Contact", ua.contact());
        let response = ua.ask(request);
        assert_eq!(response.status(), 405, "{method}");
        let allowed = response.words("Allow");
        assert!(
            allowed.contains(&"message".into()) && !allowed.contains(&method.to_lowercase()),
            "{response}"
        );
    }
}

// proves RFC 3261 15.1.2
#[test]
fn a_bye_without_a_tag_belongs_to_no_dialog() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "bob");
    let bye = ua.request("BYE", BOB);
    assert_eq!(ua.ask(bye).status(), 481);
}

#[test]
fn an_unknown_scheme_is_not_supported() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    for uri in ["nobodyKnowsThisScheme:totallyopaquecontent", "http://example.com/", "im:bob@example.com"] {
        let request = ua.request("MESSAGE", uri).with("To", "<sip:bob@example.com>").body("text/plain", "x");
        assert_eq!(ua.ask(request).status(), 416, "{uri}");
    }
}

#[test]
fn a_body_of_another_type_is_not_supported() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    let request = ua.request("INVITE", BOB).body("text/plain", "call me");
    let response = ua.ask(request);
    assert_eq!(response.status(), 415);
    assert!(response.words("Accept").contains(&"application/sdp".into()), "{response}");
    let part = "--b\r\nContent-Type: application/x-needed\r\nContent-Disposition: session;handling=required\r\n\r\nx\r\n--b--\r\n";
    let request = ua.request("INVITE", BOB).body("multipart/mixed;boundary=b", part);
    let status = ua.ask(request).status();
    // RFC 5621 8.1: a part that must be handled and cannot be: 415.
    assert!([415, 488].contains(&status), "{status}");
}

#[test]
fn a_content_encoding_is_not_supported() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    for method in ["MESSAGE", "INVITE"] {
        let request = ua.request(method, BOB).add("Content-Encoding", "gzip").body("application/sdp", "x");
        let response = ua.ask(request);
        assert_eq!(response.status(), 415, "{method}");
        assert!(response.get("Accept-Encoding").is_some(), "{response}");
    }
    assert_eq!(fetch(&node, "bob").totals(), (0, 0));
    let plain = ua.request("MESSAGE", BOB).add("Content-Encoding", "identity").body("text/plain", "x");
    assert_eq!(ua.ask(plain).status(), 202, "identity is no encoding");
}

#[test]
fn an_unknown_extension_is_bad_and_told() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    for method in ["MESSAGE", "INVITE", "OPTIONS"] {
        let request = ua.request(method, BOB).add("Require", "nothingSupportsThis, norThis");
        let response = ua.ask(request);
        assert_eq!(response.status(), 420, "{method}");
        assert_eq!(response.words("Unsupported"), ["nothingsupportsthis", "northis"], "{response}");
    }
    let request = ua.request("MESSAGE", BOB).add("Supported", "nothingSupportsThis").body("text/plain", "x");
    assert_eq!(ua.ask(request).status(), 202, "what is merely supported is no reason");
}

// proves RFC 3261 20.32
#[test]
fn an_empty_require_requires_nothing() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    let request = ua.request("MESSAGE", BOB).add("Require", "").body("text/plain", "x");
    assert_eq!(ua.ask(request).status(), 202);
}

#[test]
fn options_tell_what_the_node_can_do() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    for uri in ["sip:mailserver.example.com", BOB, "sip:bob@mailserver.example.com"] {
        let request = ua.request("OPTIONS", uri).add("Accept", "application/sdp");
        let response = ua.ask(request);
        assert_eq!(response.status(), 200, "{uri}");
        let has = |name: &str, words: &[&str]| {
            let found = response.words(name);
            assert!(
                words.iter().all(|word| found.iter().any(|own| own.starts_with(word))),
                "{name} of {response}"
            );
        };
        has("Allow", &["invite", "ack", "bye", "cancel", "message", "subscribe", "options"]);
        has("Accept", &["application/sdp"]);
        has("Supported", &["recipient-list-invite", "path"]);
        has("Allow-Events", &["message-summary", "conference"]);
    }
}

#[test]
fn what_belongs_to_no_dialog_does_not_exist() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "bob");
    for method in ["BYE", "INVITE", "INFO", "UPDATE", "SUBSCRIBE", "MESSAGE"] {
        let request = ua
            .request(method, BOB)
            .with("To", "<sip:bob@example.com>;tag=none")
            .with("Contact", ua.contact())
            .add("Event", "message-summary");
        let response = ua.ask(request);
        assert_eq!(response.status(), 481, "{method}: {response}");
    }
}

// proves RFC 3261 9.2: a CANCEL that matches no transaction
#[test]
fn a_cancel_of_nothing_does_not_exist() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "bob");
    let request = ua.request("CANCEL", BOB);
    assert_eq!(ua.ask(request).status(), 481);
}

// proves RFC 3261 8.2.2.2: the same request by another way while the first is in progress
#[test]
fn a_merged_invite_is_a_loop() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    let invite = Invite::new(&ua, BOB, Offer::active());
    let request = invite.request.clone();
    let merged = request.clone().with("Via", ua.via());
    let mut call = invite.call(&mut ua);
    let response = ua.ask(merged);
    assert_eq!(response.status(), 482, "{response}");
    call.msrp().say("the first is unharmed");
    call.bye(&mut ua);
    assert_eq!(fetch(&node, "bob").ids(), [request.call_id()]);
}

#[test]
fn responses_and_acks_are_never_answered() {
    let node = Node::start();
    for tcp in [false, true] {
        let mut ua = Ua::new(node.sip, "sip:alice@example.org", tcp);
        let request = ua.request("MESSAGE", BOB);
        for status in [100, 200, 404, 699] {
            ua.send(&request.respond(status, "Stray"));
        }
        let mut broken = request.respond(200, "Without CSeq").without("CSeq");
        broken.start = "SIP/2.0 4242 Huge".into();
        ua.send(&broken);
        ua.send(&ua.request("ACK", BOB));
        ua.send(
            &ua.request("ACK", BOB).with("To", "<sip:bob@example.com>;tag=none").add("Require", "unknown"),
        );
        ua.barrier();
        ua.quiet(std::time::Duration::from_millis(300), |_| true);
    }
}

#[test]
fn max_forwards_of_zero_reaches_its_server() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    let request = ua.request("MESSAGE", BOB).with("Max-Forwards", "0").body("text/plain", "x");
    assert_eq!(ua.ask(request).status(), 202, "only a proxy forwards");
    let request = ua.request("MESSAGE", BOB).without("Max-Forwards").body("text/plain", "x");
    assert_eq!(ua.ask(request).status(), 202, "RFC 3261 16.3 forgives its absence");
}
