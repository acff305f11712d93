//! The users file: followed while the node runs, never taken when it is broken.

use crate::support::*;
use rexpect::process::wait::WaitStatus;
use rexpect::session::spawn_command;
use std::path::Path;
use std::process::Stdio;

const BOB: &str = "sip:bob@example.com";

fn strict() -> Node {
    Plan::new().set("trust", "peers = []").users(&[("alice@example.com", "wonderland")]).start()
}

fn status(node: &Node, user: &str, password: &str) -> u16 {
    Ua::udp(node, user).with_login(user, password).ask_options().status()
}

#[test]
fn a_changed_users_file_is_in_force_within_seconds() {
    let node = strict();
    let file = node.folder().join("users");
    assert_eq!((status(&node, "alice", "wonderland"), status(&node, "bob", "builder")), (200, 401));
    add_user(&file, "bob", "builder");
    node.wait_log("users read anew");
    assert_eq!((status(&node, "alice", "wonderland"), status(&node, "bob", "builder")), (200, 200));

    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, b"bob@example.com nonsense\n").unwrap();
    let line = node.wait_log("users not read anew");
    assert!(line.contains("users:1: expected a name, four hashes and a realm"), "{line}");
    assert_eq!(status(&node, "bob", "builder"), 200, "the users of before stay");

    std::fs::write(&file, good).unwrap();
    let mut remove = restante();
    remove.args(["user", "remove", "alice@example.com", "--file"]).arg(&file);
    assert!(remove.status().unwrap().success());
    until("alice is gone", || (status(&node, "alice", "wonderland") == 401).then_some(()));
    assert_eq!(status(&node, "bob", "builder"), 200);
}

/// `restante user add` on a pseudo-terminal, which answers its two questions; what was shown, and the exit code.
fn add_on_terminal(file: &Path, name: &str, answers: [&str; 2]) -> (String, i32) {
    let mut command = restante();
    command.args(["user", "add", name, "--file"]).arg(file);
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let mut terminal = spawn_command(command, Some(60_000)).expect("a pseudo-terminal");
    terminal.exp_string(&format!("Password of {name}: ")).unwrap();
    terminal.send_line(answers[0]).unwrap();
    let mut shown = terminal.exp_string("Once more: ").unwrap();
    terminal.send_line(answers[1]).unwrap();
    shown += &terminal.exp_eof().unwrap();
    match terminal.process.wait().unwrap() {
        WaitStatus::Exited(_, code) => (shown, code),
        other => panic!("{other:?}: {shown}"),
    }
}

#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let node = strict();
    let file = node.folder().join("users");
    let (shown, code) = add_on_terminal(&file, "bob@example.com", ["builder", "bilder"]);
    assert!(code == 1 && shown.contains("the two passwords differ"), "{code}: {shown}");
    assert!(!std::fs::read_to_string(&file).unwrap().contains("bob@"), "nothing is written");
    let (shown, code) = add_on_terminal(&file, "bob@example.com", ["", ""]);
    assert!(code == 1 && shown.contains("the password is empty"), "{code}: {shown}");
    let (shown, code) = add_on_terminal(&file, "bob@example.com", ["builder", "builder"]);
    assert!(code == 0 && shown.contains("bob@example.com: added"), "{code}: {shown}");
    assert!(!shown.contains("builder"), "the terminal does not echo it: {shown}");
    node.wait_log("users read anew");
    assert_eq!(status(&node, "bob", "builder"), 200, "and he is let in");
}

#[test]
fn a_node_without_its_users_file_does_not_start() {
    let node = Plan::new().set("auth", "users = \"absent\"").prepare();
    let output = node.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("cannot read users file absent: No such file"), "{line}");
    assert!(!node.folder().join("data").exists(), "nothing is made before the users are read");
}

#[test]
fn a_removed_user_keeps_nothing_open_to_others() {
    let node = strict();
    let mut alice = Ua::udp(&node, "alice").with_login("alice", "wonderland");
    deposit(&mut alice, BOB, "hello");
    assert_eq!(status(&node, "alice", "Wonderland"), 401);
    node.wait_log("auth failed peer=127.0.0.1 cause=wrong-password");
}
