//! Name and password, against a node that asks for them (RFC 3261 22).

use super::program::*;
use crate::support::*;
use std::process::Stdio;

fn strict(more: &[(&str, &str)]) -> Node {
    let plan = Plan::new()
        .set("trust", "peers = []")
        .users(&[("alice@example.com", "wonderland"), ("bob@example.com", "builder")]);
    more.iter().fold(plan, |plan, (section, line)| plan.set(section, line)).start()
}

/// Runs `who`'s command with a password.
fn with(node: &Node, who: &str, password: &str, arguments: &[&str]) -> Ran {
    run(command(node, who, arguments).env("RESTANTE_CLIENT_PASSWORD", password))
}

fn requests(trace: &str, method: &str) -> usize {
    trace.lines().filter(|line| line.starts_with(method)).count()
}

const COMMANDS: [&[&str]; 5] = [
    &["send", "bob@example.com", "hello"],
    &["send", "bob@example.com", "hello", "--session"],
    &["summary"],
    &["fetch", "--all"],
    &["fetch", "--new"],
];

// proves RFC 3261 22.1: what was refused is not tried again
#[test]
fn a_wrong_password_is_told_and_tried_once() {
    let node = strict(&[("auth", "max_failures = 1000")]);
    for arguments in COMMANDS {
        let refused = with(&node, "alice", "Wonderland", &[arguments, &["--trace"]].concat());
        assert_eq!(refused.code, 5, "{arguments:?}: {}", refused.stderr);
        let last = refused.stderr.lines().last().unwrap();
        let said =
            "restante: the node does not accept the name `alice` or its password (--user, --password-file)";
        assert_eq!(last, said, "{arguments:?}");
        for method in ["MESSAGE ", "INVITE ", "SUBSCRIBE "] {
            let sent = requests(&refused.stderr, method);
            assert!(sent <= 2, "{arguments:?}: {method} was sent {sent} times");
        }
    }
    let nobody = client(&node, "alice", &["summary"]);
    assert_eq!(nobody.code, 5);
    let said = "restante: the node does not accept an identity without a password (give one by --password-file FILE)\n";
    assert_eq!(nobody.stderr, said);
}

#[test]
fn the_right_password_opens_every_command() {
    let node = strict(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "builder\n").unwrap();
    let id = with(&node, "alice", "wonderland", COMMANDS[0]).ok().trim_end().to_owned();
    with(&node, "alice", "wonderland", COMMANDS[1]).ok();
    let mut chat = command(&node, "alice", &["chat", "bob@example.com"]);
    let mut chat = chat.env("RESTANTE_CLIENT_PASSWORD", "wonderland").stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut chat.stdin.take().unwrap(), b"hello\n").unwrap();
    assert_eq!(chat.wait_with_output().unwrap().status.code(), Some(0));
    let by_file =
        |arguments: &[&str]| run(command(&node, "bob", arguments).arg("--password-file").arg(&file));
    assert_eq!(by_file(&["summary"]).ok().lines().count(), 3);
    assert_eq!(by_file(&["fetch", &id]).ok(), "hello");
    assert_eq!(by_file(&["fetch", "--new"]).ok(), "hellohello");
    // The whole address is a name, too; somebody else's password is none.
    let named = |user: &str| {
        run(command(&node, "bob", &["summary", "--user", user]).arg("--password-file").arg(&file))
    };
    assert_eq!((named("bob@example.com").code, named("alice").code), (7, 5));
}
