//! The state of each URI of a list, told by the conference package (RFC 4575).

use crate::support::*;
use std::collections::BTreeMap;

const BOB: &str = "sip:bob@example.com";

/// Bob, and his retrieval of a list of one, whose connection is still to come.
fn focus_of_one(node: &Node) -> (Ua, Call) {
    let mut alice = Ua::udp(node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(node, "bob");
    let call = Invite::list(&bob, &[message_uri(&id)], Offer::active()).call_unbound(&mut bob);
    (bob, call)
}

/// One user of a document: status, and how it left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct User {
    status: String,
    method: Option<String>,
    reason: Option<String>,
}

/// A conference-info document, read by searching for its tags.
struct Info {
    version: u32,
    state: String,
    entity: String,
    users: BTreeMap<String, User>,
}

impl Info {
    fn of(notify: &Msg) -> Self {
        assert_eq!(notify.need("Content-Type"), "application/conference-info+xml");
        let text = String::from_utf8(notify.body.clone()).unwrap();
        assert!(text.contains("urn:ietf:params:xml:ns:conference-info"), "{text}");
        let root = &text[text.find("<conference-info").expect("the root element")..];
        let head = &root[..root.find('>').unwrap()];
        let users = root.split("<user ").skip(1).map(|user| {
            let user = user.split("</user>").next().unwrap();
            let status = element(user, "status").unwrap_or_default();
            let told = User {
                status,
                method: element(user, "disconnection-method"),
                reason: element(user, "reason"),
            };
            (attribute(user, "entity").expect("a user has an entity"), told)
        });
        Self {
            version: attribute(head, "version").expect("RFC 4575 5.2: version").parse().unwrap(),
            state: attribute(head, "state").unwrap_or_else(|| "full".into()),
            entity: attribute(head, "entity").expect("RFC 4575 5.2: entity"),
            users: users.collect(),
        }
    }
}

fn attribute(text: &str, name: &str) -> Option<String> {
    let begin = text.find(&format!("{name}=\""))? + name.len() + 2;
    Some(unescape(text[begin..].split('"').next()?))
}

fn element(text: &str, name: &str) -> Option<String> {
    let open = format!("<{name}>");
    let begin = text.find(&open)? + open.len();
    Some(unescape(text[begin..].split('<').next()?))
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// Subscribes to the focus of a call.
fn watch(ua: &mut Ua, call: &Call) -> Dialog {
    let focus = address(&call.ok.need("Contact"));
    let request = ua
        .request("SUBSCRIBE", &focus)
        .add("Event", "conference")
        .add("Accept", "application/conference-info+xml")
        .add("Expires", "600");
    let response = ua.ask(request.clone());
    assert_eq!(response.status(), 200, "{response}");
    Dialog::opened(&request, &response)
}

fn next(ua: &mut Ua, dialog: &Dialog) -> (Msg, Option<Info>) {
    let notify = ua.wait_and_ok("NOTIFY", &dialog.call_id).msg;
    assert_eq!(notify.need("Event"), "conference");
    let info = (!notify.body.is_empty()).then(|| Info::of(&notify));
    (notify, info)
}

#[test]
fn the_state_of_each_is_told_to_the_end() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    for id in ["a@h", "b<c>@h"] {
        deposit_as(&mut alice, BOB, id, "text/plain", b"x");
    }
    // The second is written as nobody would need to: it is told as it was written.
    let uris =
        [message_uri("a@h"), "sip:b%3cc%3E%40h@mailserver.example.com".into(), message_uri("unknown@h")];
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &uris, Offer::active()).call_unbound(&mut bob);
    let dialog = watch(&mut bob, &call);
    let (notify, info) = next(&mut bob, &dialog);
    let info = info.expect("the first NOTIFY has the full state");
    assert!(notify.need("Subscription-State").starts_with("active"));
    assert_eq!(info.state, "full");
    assert!(info.entity.starts_with("sip:"), "{}", info.entity);
    let mut known = info.users.clone();
    for uri in &uris {
        let status = known.get(uri).unwrap_or_else(|| panic!("{uri} is a user: {known:?}")).status.clone();
        assert!(
            ["pending", "dialing-out", "connected", "disconnected"].contains(&status.as_str()),
            "{uri}: {status}"
        );
    }
    call.join();
    let delivered = call.msrp().receive(2);
    assert_eq!(delivered.len(), 2);
    let mut version = info.version;
    loop {
        let (notify, info) = next(&mut bob, &dialog);
        if let Some(info) = info {
            assert_eq!(info.version, version + 1, "RFC 4575 4.4: the version rises by one");
            version = info.version;
            assert_ne!(info.state, "full", "only what has changed");
            known.extend(info.users);
        }
        if notify.need("Subscription-State").starts_with("terminated") {
            break;
        }
    }
    bob.wait_and_ok("BYE", &call.dialog.call_id);
    for uri in &uris[..2] {
        assert_eq!(
            (known[uri].status.as_str(), known[uri].method.as_deref()),
            ("disconnected", Some("departed")),
            "{uri}"
        );
    }
    let failed = &known[&uris[2]];
    assert_eq!((failed.status.as_str(), failed.method.as_deref()), ("disconnected", Some("failed")));
    assert!(
        failed.reason.as_deref().is_some_and(|reason| reason.contains("404")),
        "the cause is told: {failed:?}"
    );
}

#[test]
fn the_state_of_a_long_list_is_told_to_the_end() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let unknown = (0..400).map(|index| message_uri(&format!("unknown-{index}-{}@h", "x".repeat(60))));
    let uris: Vec<String> = unknown.chain([message_uri(&id)]).collect();
    let mut bob = Ua::tcp(&node, "bob");
    let mut call = Invite::list(&bob, &uris, Offer::active()).call_unbound(&mut bob);
    // By UDP alone no more can be told than a datagram holds.
    let mut watcher = Ua::udp(&node, "bob");
    let dialog = watch(&mut watcher, &call);
    let largest = told_to_the_end(&mut watcher, &dialog, &mut call, &mut bob, uris.len());
    assert!((32 << 10..50 << 10).contains(&largest), "{largest}");
}

/// Takes the one item that there is once the watcher was told something, and sees that he is told of the end of all `users`; the
/// size of the largest body.
fn told_to_the_end(watcher: &mut Ua, dialog: &Dialog, call: &mut Call, bob: &mut Ua, users: usize) -> usize {
    let (mut known, mut largest) = (BTreeMap::new(), 0);
    let mut joined = false;
    loop {
        let (notify, info) = next(watcher, dialog);
        largest = largest.max(notify.body.len());
        known.extend(info.unwrap().users);
        if !std::mem::replace(&mut joined, true) {
            call.join();
            call.finish(bob, 1);
        }
        if notify.need("Subscription-State").starts_with("terminated") {
            break;
        }
    }
    assert_eq!(known.len(), users);
    assert!(known.values().all(|user| user.status == "disconnected"));
    largest
}

#[test]
fn the_state_is_told_in_bodies_as_small_as_is_configured() {
    let node = Plan::new().set("summary", "max_body = \"3KiB\"").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let unknown = (0..40).map(|index| message_uri(&format!("unknown-{index}@h")));
    let uris: Vec<String> = unknown.chain([message_uri(&id)]).collect();
    let mut bob = Ua::tcp(&node, "bob");
    let mut call = Invite::list(&bob, &uris, Offer::active()).call_unbound(&mut bob);
    let mut watcher = Ua::tcp(&node, "bob");
    let dialog = watch(&mut watcher, &call);
    let largest = told_to_the_end(&mut watcher, &dialog, &mut call, &mut bob, uris.len());
    assert!(largest <= 3 << 10, "{largest}");
}

#[test]
fn a_refused_message_is_told_as_failed() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let uri = message_uri(&id);
    let mut call = Invite::list(&bob, std::slice::from_ref(&uri), Offer::active()).call_unbound(&mut bob);
    let dialog = watch(&mut bob, &call);
    next(&mut bob, &dialog);
    call.join();
    let frame = call.msrp().next_send();
    call.msrp().handle_send(frame, &mut |_| Verdict::Refuse(415));
    let mut last = User::default();
    loop {
        let (notify, info) = next(&mut bob, &dialog);
        if let Some(user) = info.and_then(|info| info.users.get(&uri).cloned()) {
            last = user;
        }
        if notify.need("Subscription-State").starts_with("terminated") {
            break;
        }
    }
    call.wait_bye(&mut bob);
    assert_eq!((last.status.as_str(), last.method.as_deref()), ("disconnected", Some("failed")));
}

#[test]
fn a_retrieval_of_one_has_a_focus_too() {
    let node = Node::start();
    let (mut bob, mut call) = focus_of_one(&node);
    let mut dialog = watch(&mut bob, &call);
    next(&mut bob, &dialog);
    let end = dialog.request(&bob, "SUBSCRIBE").add("Event", "conference").add("Expires", "0");
    assert_eq!(bob.ask(end).status(), 200);
    let (notify, _) = next(&mut bob, &dialog);
    assert!(notify.need("Subscription-State").starts_with("terminated"));
    call.join();
    call.finish(&mut bob, 1);
}

// proves RFC 6665 4.2.2: the NOTIFY behind a refresh does not wait for one that was lost with its connection
#[test]
fn a_watcher_who_comes_back_by_another_connection_is_told_at_once() {
    let node = Node::start();
    let (mut bob, mut call) = focus_of_one(&node);
    let mut left = Ua::tcp(&node, "bob");
    let mut dialog = watch(&mut left, &call);
    let unanswered = left.wait_request("NOTIFY", &dialog.call_id);
    let mut elsewhere = Ua::tcp(&node, "bob");
    let refresh = dialog.request(&elsewhere, "SUBSCRIBE").add("Event", "conference").add("Expires", "600");
    assert_eq!(elsewhere.ask(refresh).status(), 200);
    let (notify, info) = next(&mut elsewhere, &dialog);
    assert_eq!(info.expect("who may have missed one has the full state").state, "full");
    // What becomes of the former is nobody's affair.
    left.reply(&unanswered, 481, "Subscription does not exist");
    left.barrier();
    assert!(notify.need("Subscription-State").starts_with("active"));
    call.join();
    call.finish(&mut bob, 1);
    let (notify, _) = next(&mut elsewhere, &dialog);
    assert!(!notify.need("Subscription-State").is_empty(), "it goes on by the new connection");
}

#[test]
fn nobody_else_may_watch() {
    let node = Node::start();
    let (mut bob, mut call) = focus_of_one(&node);
    let mut eve = Ua::udp(&node, "eve");
    let focus = address(&call.ok.need("Contact"));
    let request = eve.request("SUBSCRIBE", &focus).add("Event", "conference").add("Expires", "600");
    let status = eve.ask(request).status();
    assert!([403, 404].contains(&status), "{status}");
    call.bye(&mut bob);
    let request = bob.request("SUBSCRIBE", &focus).add("Event", "conference").add("Expires", "600");
    let status = bob.ask(request).status();
    assert!([404, 481].contains(&status), "the focus is gone: {status}");
}

// proves RFC 6665 4.2.1.1 and 3.1.3 for the conference package
#[test]
fn a_watcher_is_refused_what_is_not_there() {
    let node = Node::start();
    let (mut bob, mut call) = focus_of_one(&node);
    let focus = address(&call.ok.need("Contact"));
    let request = |bob: &Ua| bob.request("SUBSCRIBE", &focus).add("Event", "conference");
    let brief = request(&bob).add("Expires", "5");
    let refused = bob.ask(brief);
    assert_eq!((refused.status(), refused.need("Min-Expires").as_str()), (423, "10"));
    let other = request(&bob).add("Accept", "application/pidf+xml");
    let refused = bob.ask(other);
    assert_eq!((refused.status(), refused.need("Accept").as_str()), (406, "application/conference-info+xml"));
    let long = request(&bob).add("Expires", "86400");
    assert_eq!(bob.ask(long.clone()).need("Expires"), "3600");
    bob.wait_and_ok("NOTIFY", &long.call_id());
    let fetched = request(&bob).add("Expires", "0");
    assert_eq!(bob.ask(fetched.clone()).status(), 200);
    let only = bob.wait_and_ok("NOTIFY", &fetched.call_id()).msg;
    assert!(only.need("Subscription-State").starts_with("terminated;reason=timeout"), "{only}");
    assert_eq!(Info::of(&only).users.len(), 1, "a fetch has the state");
    call.bye(&mut bob);
}

// proves RFC 3261 11.2, 20.5
#[test]
fn other_requests_of_a_watcher_are_answered_and_he_goes_on() {
    let node = Node::start();
    let (mut bob, mut call) = focus_of_one(&node);
    let mut dialog = watch(&mut bob, &call);
    next(&mut bob, &dialog);
    let options = dialog.request(&bob, "OPTIONS");
    let within = bob.ask(options);
    assert_eq!((within.status(), within.need("Allow")), (200, bob.ask_options().need("Allow")));
    for method in ["INVITE", "BYE"] {
        let other = dialog.request(&bob, method);
        let response = bob.ask(other);
        assert_eq!(response.status(), 405, "{response}");
        assert_eq!(response.words("Allow"), ["subscribe", "options"], "{method}: {response}");
    }
    let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "conference").add("Expires", "600");
    assert_eq!(bob.ask(refresh).status(), 200);
    next(&mut bob, &dialog);
    call.bye(&mut bob);
}

// proves RFC 3261 21.5.1 for a NOTIFY
#[test]
fn a_watcher_who_fails_for_a_while_is_told_all_then() {
    let node = Node::start();
    let (mut bob, mut call) = focus_of_one(&node);
    let dialog = watch(&mut bob, &call);
    let failed = bob.wait_request("NOTIFY", &dialog.call_id);
    bob.reply_with(&failed, &failed.msg.respond(500, "Not Now").add("Retry-After", "1"));
    let (_, info) = next(&mut bob, &dialog);
    assert_eq!(info.expect("what was not taken is told again").state, "full");
    call.bye(&mut bob);
}

// proves RFC 4575 3.9: one a second, and neither the first nor the last is held up
#[test]
fn changes_within_a_second_are_told_together() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let ids: Vec<String> = (0..5).map(|_| deposit(&mut alice, BOB, "x")).collect();
    let uris: Vec<String> = ids.iter().map(|id| message_uri(id)).collect();
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &uris, Offer::active()).call_unbound(&mut bob);
    let begun = std::time::Instant::now();
    let dialog = watch(&mut bob, &call);
    next(&mut bob, &dialog);
    call.join();
    call.finish(&mut bob, 5);
    let mut told = 0;
    loop {
        let (notify, info) = next(&mut bob, &dialog);
        told += 1;
        if notify.need("Subscription-State").starts_with("terminated") {
            assert!(info.is_some(), "the last one tells what is left to tell");
            break;
        }
    }
    assert!(told <= begun.elapsed().as_secs() + 1, "{told} NOTIFYs in {:?}", begun.elapsed());
}
