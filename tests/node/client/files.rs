//! Contents as files: names, what is not overwritten, what is not fetched again.

use super::program::*;
use crate::support::*;
use std::path::Path;

/// Leaves a text under a Message-ID of the sender's choice.
fn leave_as(node: &Node, id: &str, text: &str) {
    let mut alice = Ua::udp(node, "sip:alice@example.org");
    let message =
        alice.request("MESSAGE", "sip:bob@example.com").with("Call-ID", id).body("text/plain", text);
    assert_eq!(alice.ask(message).status(), 202);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".restante-fetched")
        .collect();
    names.sort();
    names
}

#[test]
fn no_message_id_leads_out_of_the_folder() {
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/er");
    for id in ["../../../escaped", "/tmp/escaped", "..", ".profile", "a/b@c", "-rf"] {
        leave_as(&node, id, id);
    }
    let kept = client(&node, "bob", &["fetch", "--new", "--out", out.to_str().unwrap()]).ok();
    assert_eq!(kept.lines().count(), 6);
    for path in kept.lines().map(Path::new) {
        assert_eq!(path.parent(), Some(out.as_path()), "{path:?}");
    }
    assert_eq!(names(&out).len(), 6);
    assert!(names(&out).iter().all(|name| !name.starts_with(['.', '-'])));
    assert_eq!(names(folder.path()), ["deep"]);
}

#[test]
fn what_is_there_is_neither_overwritten_nor_fetched_again() {
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    leave_as(&node, "a@h", "of the store");
    std::fs::write(folder.path().join("a@h.txt"), "mine").unwrap();
    let refused = client(&node, "bob", &["fetch", "a@h", "--out", out]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("a@h: not kept: a file of its name is there"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(folder.path().join("a@h.txt")).unwrap(), "mine");
    // Refused, it stays new.
    assert_eq!(client(&node, "bob", &["summary"]).code, 0);
    client(&node, "bob", &["fetch", "a@h", "--out", out, "--force"]).ok();
    assert_eq!(std::fs::read_to_string(folder.path().join("a@h.txt")).unwrap(), "of the store");

    let again = client(&node, "bob", &["fetch", "a@h", "--out", out, "--trace"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));
    assert!(!again.stderr.contains("INVITE"), "{}", again.stderr);
    assert_eq!(names(folder.path()), ["a@h.txt"]);
}

#[test]
fn the_messages_of_a_session_are_files_of_one_item() {
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let mut joe = Ua::udp(&node, "sip:joe@example.com");
    let id = deposit_session(&mut joe, "sip:bob@example.com", &["one", "two"]);
    let kept =
        client(&node, "bob", &["fetch", &id, "--out", folder.path().to_str().unwrap(), "--json"]).json();
    let contents: Vec<String> = kept[..2]
        .iter()
        .map(|line| std::fs::read_to_string(line["file"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(contents, ["one", "two"]);
    assert!(kept[1]["file"].as_str().unwrap().ends_with("-2.txt"));
}
