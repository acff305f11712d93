//! What a summary says (RFC 3842 5.2): its layout to the byte, its counts, its choice of headers.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// Deposits a message with these headers for Charlie.
fn deposit_with(ua: &mut Ua, id: &str, headers: &[(&str, &str)]) {
    let mut message = ua.request("MESSAGE", "sip:charlie@example.com").with("Call-ID", id);
    for (name, value) in headers {
        message = message.add(name, value);
    }
    assert_eq!(ua.ask(message.body("text/plain", "text")).status(), 202);
}

#[test]
fn the_layout_is_that_of_the_figure_to_the_byte() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut joe = Ua::udp(&node, "sip:Joe@example.com");
    let first = [
        ("Subject", "carpool tomorrow?"),
        ("Date", "Sun, 09 Jul 2000 21:23:01 -0700"),
        ("Priority", "normal"),
    ];
    let second = [
        ("Subject", "HELP! at home ill, present for me please"),
        ("Date", "Sun, 09 Jul 2000 21:25:12 -0700"),
        ("Priority", "urgent"),
    ];
    deposit_with(&mut alice, "32098d@alicepc.example.org", &first);
    deposit_with(&mut joe, "d0982dkjs@Joemobile.example.net", &second);
    let expected = "Messages-Waiting: yes\r\n\
        Message-Account: sip:charlie@mailserver.example.com\r\n\
        Text-Message: 2/0 (1/0)\r\n\
        \r\n\
        To: <charlie@example.com>\r\n\
        From: <alice@example.org>\r\n\
        Subject: carpool tomorrow?\r\n\
        Date: Sun, 09 Jul 2000 21:23:01 -0700\r\n\
        Priority: normal\r\n\
        Message-ID: 32098d@alicepc.example.org\r\n\
        \r\n\
        To: <charlie@example.com>\r\n\
        From: <Joe@example.com>\r\n\
        Subject: HELP! at home ill, present for me please\r\n\
        Date: Sun, 09 Jul 2000 21:25:12 -0700\r\n\
        Priority: urgent\r\n\
        Message-ID: d0982dkjs@Joemobile.example.net\r\n";
    assert_eq!(fetch(&node, "charlie").text, expected);
}

#[test]
fn an_empty_mailbox_waits_for_nothing() {
    let node = Node::start();
    let expected = "Messages-Waiting: no\r\nMessage-Account: sip:bob@mailserver.example.com\r\nText-Message: 0/0 (0/0)\r\n";
    assert_eq!(fetch(&node, "bob").text, expected);
}

#[test]
fn absent_headers_are_left_out_and_no_priority_is_normal() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_with(&mut alice, "plain@h", &[]);
    let summary = fetch(&node, "charlie");
    let names: Vec<&str> = summary.items[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["To", "From", "Date", "Priority", "Message-ID"]);
    assert_eq!(summary.item("plain@h", "Priority"), Some("normal"));
    assert_eq!(summary.item("plain@h", "To"), Some(shown("sip:charlie@example.com").as_str()));
    assert_eq!(summary.item("plain@h", "From"), Some(shown("sip:alice@example.org").as_str()));
}

#[test]
fn urgent_and_emergency_are_urgent() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let priorities = ["urgent", "EMERGENCY", "normal", "non-urgent", "other"];
    for (index, priority) in priorities.into_iter().enumerate() {
        deposit_with(&mut alice, &format!("p{index}"), &[("Priority", priority)]);
    }
    assert_eq!(fetch(&node, "charlie").texts.as_deref(), Some("5/0 (2/0)"));
    let mut charlie = Ua::udp(&node, "charlie");
    retrieve(&mut charlie, &message_uri("p1"), 1);
    retrieve(&mut charlie, &message_uri("p4"), 1);
    let summary = fetch(&node, "charlie");
    assert_eq!(summary.texts.as_deref(), Some("3/2 (1/1)"));
    assert_eq!(summary.ids(), ["p0", "p2", "p3"], "new items only");
}

#[test]
fn what_is_not_text_is_multimedia() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_as(&mut alice, BOB, "image", "image/png", b"\x89PNG");
    let only = fetch(&node, "bob");
    assert_eq!((only.texts.as_deref(), only.multimedia.as_deref()), (None, Some("1/0 (0/0)")));
    deposit_as(&mut alice, BOB, "html", "text/html; charset=UTF-8", b"<p/>");
    let mut call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    call.msrp().say("text first");
    assert_eq!(call.msrp().send(&Chunk::whole("image/gif", "GIF89a")), 200);
    call.bye(&mut alice);
    let texts = deposit_session(&mut alice, BOB, &["only", "text"]);
    let summary = fetch(&node, "bob");
    assert_eq!(
        (summary.texts.as_deref(), summary.multimedia.as_deref()),
        (Some("2/0 (0/0)"), Some("2/0 (0/0)"))
    );
    assert_eq!(
        summary.ids(),
        ["image".into(), "html".into(), call.dialog.call_id, texts],
        "in order of arrival"
    );
}

#[test]
fn a_summary_names_no_account_but_its_own() {
    let node = Plan::new().set("node", "domains = [\"example.com\", \"second.example\"]").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, "sip:bob@second.example", "x");
    let second = fetch(&node, "sip:bob@second.example");
    assert_eq!((second.account.as_str(), second.totals()), ("sip:bob@second.example", (1, 0)));
    let first = fetch(&node, "bob");
    assert_eq!((first.account.as_str(), first.totals()), ("sip:bob@mailserver.example.com", (0, 0)));
}

/// The first NOTIFY, and the one after another deposit.
fn first_and_second(plan: Plan) -> (Summary, Summary) {
    let node = plan.start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_as(&mut alice, BOB, "before", "text/plain", b"x");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    let first = Summary::of(&notified(&mut bob, &dialog));
    deposit_as(&mut alice, BOB, "after", "text/plain", b"x");
    let second = Summary::of(&notified(&mut bob, &dialog));
    assert_eq!((first.totals(), second.totals()), ((1, 0), (2, 0)));
    (first, second)
}

#[test]
fn pending_lists_all_at_first_and_the_added_later() {
    for plan in [Plan::new(), Plan::new().set("summary", "headers = \"pending\"")] {
        let (first, second) = first_and_second(plan);
        assert_eq!((first.ids(), second.ids()), (vec!["before".to_owned()], vec!["after".to_owned()]));
    }
}

// proves RFC 3842 3.5: no headers in the initial NOTIFY, then those of messages added
#[test]
fn added_lists_nothing_at_first() {
    let (first, second) = first_and_second(Plan::new().set("summary", "headers = \"added\""));
    assert_eq!((first.items.len(), second.ids()), (0, vec!["after".to_owned()]));
}

#[test]
fn none_lists_nothing_ever() {
    let (first, second) = first_and_second(Plan::new().set("summary", "headers = \"none\""));
    assert_eq!((first.items.len(), second.items.len()), (0, 0));
}

// proves RFC 3842 3.5: an administrator selects which headers are sent
#[test]
fn the_fields_are_those_of_the_configuration() {
    let node = Plan::new().set("summary", "fields = [\"From\", \"Message-ID\"]").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_with(&mut alice, "x@h", &[("Subject", "private"), ("Priority", "urgent")]);
    let summary = fetch(&node, "charlie");
    let names: Vec<&str> = summary.items[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["From", "Message-ID"]);
    assert_eq!(summary.texts.as_deref(), Some("1/0 (1/0)"));
}

#[test]
fn a_summary_is_bounded_and_the_rest_follows() {
    let node = Plan::new().set("summary", "max_items = 2").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let ids: Vec<String> = (0..5).map(|index| format!("n{index}")).collect();
    for id in &ids {
        deposit_as(&mut alice, BOB, id, "text/plain", b"x");
    }
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    let mut listed = Vec::new();
    while listed.len() < 5 {
        let summary = Summary::of(&notified(&mut bob, &dialog));
        assert_eq!(summary.totals(), (5, 0), "the counts stay true");
        assert!((1..=2).contains(&summary.items.len()), "{}", summary.text);
        listed.extend(summary.ids());
    }
    assert_eq!(listed, ids, "the oldest first, each once");
}

// proves RFC 3261 21.5.4 for a NOTIFY: what it lists, and what comes behind it, is not lost
#[test]
fn a_page_that_is_refused_for_a_while_is_sent_again_and_the_others_follow() {
    let settings = "max_items = 1\nmin_interval = \"0s\"";
    let node = Plan::new().set("summary", settings).start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let ids: Vec<String> = (0..3).map(|_| deposit(&mut alice, BOB, "x")).collect();
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).ids(), ids[..1]);
    let busy = bob.wait_request("NOTIFY", &dialog.call_id);
    let refused = std::time::Instant::now();
    bob.reply_with(&busy, &busy.msg.respond(503, "Busy").add("Retry-After", "1"));
    for id in &ids[1..] {
        assert_eq!(Summary::of(&notified(&mut bob, &dialog)).ids(), std::slice::from_ref(id));
    }
    assert!(refused.elapsed().as_millis() >= 1000);
}

/// Sees that he is told of all new items, in bodies of at most so many bytes.
fn all_are_listed(ua: &mut Ua, dialog: &Dialog, ids: &[String], most: usize) {
    let mut listed = Vec::new();
    while listed.len() < ids.len() {
        let summary = Summary::of(&notified(ua, dialog));
        assert_eq!(summary.totals(), (ids.len() as u64, 0), "the counts stay true");
        assert!(summary.text.len() <= most, "{}", summary.text.len());
        listed.extend(summary.ids());
    }
    assert_eq!(listed, ids, "the oldest first, each once");
}

#[test]
fn long_subjects_do_not_keep_a_mailbox_from_being_watched() {
    let node = Plan::new().set("summary", "min_interval = \"10ms\"").start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let ids: Vec<String> = (0..60).map(|index| format!("n{index}")).collect();
    let long = "y".repeat(15_000);
    for id in &ids {
        deposit_with(&mut alice, id, &[("Subject", &long)]);
    }
    // Nothing listens at his port for TCP.
    let mut charlie = Ua::udp(&node, "charlie");
    let dialog = subscribe(&mut charlie, "sip:charlie@example.com", 600);
    all_are_listed(&mut charlie, &dialog, &ids, 49_999);
}

#[test]
fn a_notify_is_no_larger_than_is_configured() {
    let node = Plan::new().set("summary", "max_body = \"3KiB\"\nmin_interval = \"10ms\"").start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let ids: Vec<String> = (0..40).map(|index| format!("n{index}@alicepc.example.org")).collect();
    let long = "y".repeat(2_000);
    for (index, id) in ids.iter().enumerate() {
        let subject = if index % 5 == 0 { &long } else { "short" };
        deposit_with(&mut alice, id, &[("Subject", subject)]);
    }
    let mut charlie = Ua::tcp(&node, "charlie");
    let dialog = subscribe(&mut charlie, "sip:charlie@example.com", 600);
    all_are_listed(&mut charlie, &dialog, &ids, 3 << 10);
}
