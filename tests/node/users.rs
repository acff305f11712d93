//! The users file: followed while the node runs, never taken when it is broken.

use crate::support::*;

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
