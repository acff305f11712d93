//! The commands on a terminal: tables, choices, and nothing that commands it.

use super::program::*;
use crate::support::*;
use rexpect::session::{PtySession, spawn_command};

const UP_TO: u64 = 60_000;

/// A command on a pseudo-terminal.
fn on_terminal(node: &Node, who: &str, arguments: &[&str]) -> PtySession {
    let mut command = command(node, who, arguments);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    // What the tests of this file look at comes from the terminal alone.
    command.stdin(std::process::Stdio::inherit()).stdout(std::process::Stdio::inherit());
    command.stderr(std::process::Stdio::inherit());
    spawn_command(command, Some(UP_TO)).expect("a pseudo-terminal")
}

/// Waits for the end; gives what was shown since the last look, and the exit code.
fn end(mut terminal: PtySession) -> (String, i32) {
    let shown = terminal.exp_eof().unwrap();
    let status = terminal.process.wait().unwrap();
    match status {
        rexpect::process::wait::WaitStatus::Exited(_, code) => (shown, code),
        other => panic!("{other:?}: {shown}"),
    }
}

#[test]
fn items_are_picked_with_the_arrow_keys_and_fetched_by_one_invite() {
    let node = Node::start();
    for text in ["first", "second", "third"] {
        let arguments = ["send", "bob@example.com", &format!("content of the {text}"), "--subject", text];
        client(&node, "alice", &arguments).ok();
    }
    let mut terminal = on_terminal(&node, "bob", &["summary", "--trace"]);
    terminal.exp_string("Fetch (space picks").unwrap();
    // The first, not the second, the third.
    terminal.send(" \x1b[B\x1b[B \r").unwrap();
    terminal.flush().unwrap();
    let (shown, code) = end(terminal);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("content of the first") && shown.contains("content of the third"), "{shown}");
    assert!(!shown.contains("content of the second"));
    assert_eq!(shown.matches("INVITE sip:").count(), 1, "{shown}");
    assert_eq!(client(&node, "bob", &["summary"]).ok().lines().count(), 1);
}

#[test]
fn who_leaves_the_choice_fetches_nothing() {
    let node = Node::start();
    leave(&node, "bob", "hello");
    let mut terminal = on_terminal(&node, "bob", &["summary"]);
    terminal.exp_string("Fetch (space picks").unwrap();
    terminal.send("\x1b").unwrap();
    terminal.flush().unwrap();
    assert_eq!(end(terminal).1, 0);
    assert_eq!(client(&node, "bob", &["summary"]).ok().lines().count(), 1, "it is still new");
}

#[test]
fn a_table_has_colours_on_a_terminal_and_none_in_a_pipe() {
    let node = Node::start();
    client(&node, "alice", &["send", "bob@example.com", "x", "--priority", "urgent"]).ok();
    let (shown, code) = end(on_terminal(&node, "bob", &["summary", "--no-pick"]));
    assert_eq!(code, 0);
    assert!(shown.contains("MESSAGE-ID") && shown.contains("\x1b[31m"), "{shown:?}");
    assert!(!client(&node, "bob", &["summary"]).ok().contains('\x1b'));
}

#[test]
fn what_was_sent_does_not_command_the_terminal() {
    let node = Node::start();
    let evil = "\x1b]0;owned\x07\x1b[2Jgone\u{9b}31m";
    let arguments = ["send", "bob@example.com", evil, "--subject", "\x1b[2Jsubject"];
    let id = client(&node, "alice", &arguments).ok().trim_end().to_owned();
    for arguments in [&["summary", "--no-pick"][..], &["fetch", &id], &["fetch", &id, "--trace"]] {
        let (shown, _) = end(on_terminal(&node, "bob", arguments));
        // In a summary the node leaves it out already.
        let begin = if arguments[0] == "summary" { " [2Jsubject" } else { "\\u{1b}" };
        assert!(shown.contains(begin), "{arguments:?}: {shown:?}");
        for command in ["\x1b]", "\x1b[2J", "\x07", "\u{9b}"] {
            assert!(!shown.contains(command), "{arguments:?}: {shown:?}");
        }
    }
    assert_eq!(client(&node, "bob", &["fetch", &id]).ok(), evil, "in a pipe it is what it was");
}

#[test]
fn content_that_is_no_text_is_not_poured_onto_a_terminal() {
    let node = Node::start();
    let arguments = ["send", "bob@example.com", "binary", "--type", "application/octet-stream"];
    let id = client(&node, "alice", &arguments).ok().trim_end().to_owned();
    let (shown, code) = end(on_terminal(&node, "bob", &["fetch", &id]));
    assert!(code == 1 && shown.contains("give --out DIR"), "{code}: {shown}");
    assert_eq!(client(&node, "bob", &["summary"]).code, 0, "it stays new");
}

#[test]
fn lines_typed_are_sent() {
    let node = Node::start();
    let mut terminal = on_terminal(&node, "alice", &["chat", "bob@example.com", "--subject", "typed"]);
    terminal.exp_string("connected").unwrap();
    terminal.send_line("first line").unwrap();
    terminal.send_line("second line").unwrap();
    terminal.send_control('d').unwrap();
    assert_eq!(end(terminal).1, 0);
    let lines = client(&node, "bob", &["fetch", "--all", "--json"]).json();
    assert_eq!((&lines[0]["text"], &lines[1]["text"]), (&"first line".into(), &"second line".into()));
}

#[test]
fn what_is_short_shows_no_bar_and_nothing_is_said_to_be_nothing() {
    let node = Node::start();
    leave(&node, "bob", "hello");
    let (shown, code) = end(on_terminal(&node, "bob", &["fetch", "--all"]));
    assert!(code == 0 && shown.contains("hello") && !shown.contains(" B/"), "{shown:?}");
    let (shown, code) = end(on_terminal(&node, "bob", &["fetch", "--new"]));
    assert_eq!((code, shown.trim_end()), (7, "nothing new waits"));
}

#[test]
fn a_long_transfer_shows_how_far_it_is() {
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.bin");
    std::fs::write(&file, vec![7; 8_000_000]).unwrap();
    let arguments = ["send", "bob@example.com", "--file", file.to_str().unwrap()];
    let (shown, code) = end(on_terminal(&node, "alice", &arguments));
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("/7.63 MiB"), "{shown:?}");
    let out = folder.path().join("out");
    let (shown, code) = end(on_terminal(&node, "bob", &["fetch", "--all", "--out", out.to_str().unwrap()]));
    assert!(code == 0 && shown.contains("/7.63 MiB"), "{code}: {shown:?}");
}
