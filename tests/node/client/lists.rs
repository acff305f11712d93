//! Several at once: by a URI-list, all, all new; and what fails alone.

use super::program::*;
use crate::support::*;

#[test]
fn several_are_fetched_by_one_invite() {
    let node = Node::start();
    let ids = ["one ", "two ", "three"].map(|text| leave(&node, "bob", text));
    let arguments = ["fetch", &ids[2], &ids[0], &ids[1], "--trace"];
    let fetched = client(&node, "bob", &arguments);
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    assert_eq!(fetched.stdout, "threeone two ", "in the order asked for");
    let invites = fetched.stderr.lines().filter(|line| line.starts_with("INVITE ")).count();
    assert_eq!(invites, 1);
    assert!(fetched.stderr.contains("Require: recipient-list-invite"));
}

#[test]
fn what_is_unknown_fails_alone_and_the_exit_says_partly() {
    let node = Node::start();
    let id = leave(&node, "bob", "hello");
    let partly = client(&node, "bob", &["fetch", "nobody@nowhere", &id]);
    assert_eq!((partly.code, partly.stdout.as_str()), (6, "hello"));
    assert_eq!(partly.stderr, "restante: nobody@nowhere: not fetched: 404 Not Found\n");
    let json = client(&node, "bob", &["fetch", "nobody@nowhere", &id, "--json"]);
    assert_eq!(json.code, 6);
    let lines: Vec<serde_json::Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[1]["state"], &lines[1]["status"]), (&"failed".into(), &404.into()));
    assert_eq!((&lines[2]["state"], &lines[2]["item"]), (&"complete".into(), &id.into()));
}

#[test]
fn new_and_all_are_what_is_new() {
    let node = Node::start();
    for which in ["--new", "--all"] {
        let nothing = client(&node, "bob", &["fetch", which]);
        assert_eq!((nothing.code, nothing.stdout.as_str()), (7, ""), "{which}: {}", nothing.stderr);
        leave(&node, "bob", "one ");
        leave(&node, "bob", "two");
        assert_eq!(client(&node, "bob", &["fetch", which]).ok(), "one two", "{which}");
    }
}

#[test]
fn a_message_uri_does_as_well_as_an_id() {
    let node = Node::start();
    let id = leave(&node, "bob", "hello");
    let uri = message_uri(&id);
    assert_eq!(client(&node, "bob", &["fetch", &uri]).ok(), "hello");
}

#[test]
fn more_than_a_store_takes_of_a_list_is_fetched_by_several() {
    let node = Plan::new().set("summary", "min_interval = \"10ms\"\nmax_items = 1000").start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    for index in 0..1003 {
        deposit(&mut alice, "sip:bob@example.com", &format!("{index} "));
    }
    let fetched = client(&node, "bob", &["fetch", "--new"]).ok();
    let expected: String = (0..1003).map(|index| format!("{index} ")).collect();
    let differs = fetched.split(' ').zip(expected.split(' ')).position(|(one, other)| one != other);
    assert_eq!((differs, fetched.len()), (None, expected.len()), "{} words", fetched.split(' ').count());
    assert_eq!(crate::support::fetch(&node, "bob").totals(), (0, 1003));
}
