//! What goes wrong, and the exit code that says so.

use super::program::*;
use crate::support::*;
use std::process::Stdio;

#[test]
fn a_node_that_is_not_there_is_named() {
    let mut node = Node::start();
    node.kill();
    let gone = client(&node, "bob", &["send", "alice@example.com", "hello"]);
    assert_eq!(gone.code, 3);
    assert_eq!(
        gone.stderr,
        format!("restante: tcp:{} cannot be reached: Connection refused (os error 111)\n", node.sip)
    );
    let udp = format!("udp:{}", node.sip);
    let mut silent = restante();
    silent.args(["summary", "--as", "bob@example.com", "--node", &udp, "--timeout", "1"]);
    let silent = run(silent.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(
        (silent.code, silent.stderr),
        (3, format!("restante: {udp} cannot be reached: no answer within 1 s\n"))
    );
}

#[test]
fn what_the_node_refuses_says_so() {
    let node = Node::start();
    let elsewhere = client(&node, "bob", &["send", "alice@elsewhere.example", "hello"]);
    let said = "restante: refused: 404 Not Found (the node keeps nothing for that address)\n";
    assert_eq!((elsewhere.code, elsewhere.stderr.as_str()), (4, said));
    let unknown = client(&node, "bob", &["fetch", "nobody@nowhere"]);
    let said =
        "restante: refused: 404 Not Found (no such item of yours; `restante summary` tells what waits)\n";
    assert_eq!((unknown.code, unknown.stderr.as_str()), (4, said));
}

#[test]
fn usage_is_explained() {
    let node = Node::start();
    for (arguments, said) in [
        (&["fetch"][..], "required"),
        (&["fetch", "x", "--all"], "cannot be used"),
        (&["send", "bob@example.com", "x", "--priority", "soon"], "possible values"),
        (&["send", "bob@example.com", "x", "--expires", "soon"], "not a duration"),
        (&["send", "nobody", "x"], "`nobody` is no address"),
        (&["completions", "tcsh"], "possible values"),
    ] {
        let mut refused = restante();
        refused.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        if arguments[0] != "completions" {
            refused.args(["--as", "bob@example.com", "--node", &format!("tcp:{}", node.sip)]);
        }
        let refused = run(&mut refused);
        assert!(refused.code == 2 && refused.stderr.contains(said), "{arguments:?}: {}", refused.stderr);
    }
    let mut nobody = restante();
    let nobody = run(nobody.arg("summary").env("XDG_CONFIG_HOME", "/nowhere").stderr(Stdio::piped()));
    assert_eq!(nobody.code, 2);
    assert_eq!(nobody.stderr, "restante: who are you? Give --as ADDRESS, or an account file\n");
}

#[test]
fn the_account_comes_from_flags_environment_and_file() {
    let node = Node::start();
    leave(&node, "bob", "hello");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("restante")).unwrap();
    let file = folder.path().join("restante/account.toml");
    let text = format!("address = \"bob@example.com\"\nnode = \"tcp:{}\"\n", node.sip);
    std::fs::write(&file, text).unwrap();
    let with = |set: &[(&str, &str)]| {
        let mut command = restante();
        command.args(["summary", "--json"]).env("XDG_CONFIG_HOME", folder.path());
        run(command.envs(set.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    assert!(with(&[]).ok().contains("\"waiting\":1"));
    assert_eq!(
        with(&[("RESTANTE_CLIENT_ADDRESS", "carol@example.com")]).code,
        7,
        "the environment comes first"
    );
    std::fs::write(&file, "adress = \"bob@example.com\"\n").unwrap();
    let wrong = with(&[]);
    assert!(wrong.code == 2 && wrong.stderr.contains("adress"), "{}", wrong.stderr);
    // The node does not mistake the client's variables for its own.
    let mut check = restante();
    check.args(["check", "--config"]).arg(node.file()).env("RESTANTE_CLIENT_PASSWORD", "secret");
    assert_eq!(run(check.stdout(Stdio::piped()).stderr(Stdio::piped())).code, 0);
}

#[test]
fn a_stranger_is_not_believed() {
    let node = Plan::new().set("trust", "peers = [\"192.0.2.0/24\"]").start();
    for arguments in [
        &["send", "alice@example.com", "hello"][..],
        &["summary"],
        &["fetch", "--all"],
        &["chat", "alice@example.com"],
    ] {
        let refused = client(&node, "bob", arguments);
        assert_eq!(refused.code, 5, "{arguments:?}: {}", refused.stderr);
    }
}
