//! Send, look, fetch, chat: one message, and one session.

use super::program::*;
use crate::support::*;
use serde_json::json;
use std::io::Write;
use std::process::Stdio;

#[test]
fn what_is_sent_is_listed_and_fetched() {
    let node = Node::start();
    let sent = client(
        &node,
        "alice",
        &["send", "bob@example.com", "Shall I fetch you?", "--subject", "carpool", "--priority", "urgent"],
    );
    let id = sent.ok().trim_end().to_owned();
    let listed = client(&node, "bob", &["summary"]).ok();
    let cells: Vec<&str> = listed.trim_end().split('\t').collect();
    assert_eq!(cells[..4], [id.as_str(), "urgent", "<alice@example.com>", "carpool"], "{listed}");
    assert_eq!(client(&node, "bob", &["fetch", &id]).ok(), "Shall I fetch you?");
    // Fetched: it is old, and nothing waits.
    let nothing = client(&node, "bob", &["summary"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (7, ""));
    // What is old can still be fetched by its id.
    assert_eq!(client(&node, "bob", &["fetch", &id]).ok(), "Shall I fetch you?");
}

#[test]
fn what_expires_at_once_is_said_to_be_kept_nowhere() {
    let node = Node::start();
    let sent = client(&node, "alice", &["send", "bob@example.com", "x", "--expires", "0"]);
    assert!(sent.stderr.contains("it expires at once: nothing of it is kept"), "{}", sent.stderr);
    sent.ok();
    assert_eq!(client(&node, "bob", &["summary"]).code, 7);
    let sent = client(&node, "alice", &["send", "bob@example.com", "x", "--expires", "1h"]);
    assert_eq!(sent.stderr, "");
}

#[test]
fn every_command_speaks_json() {
    let node = Node::start();
    let mut send = command(&node, "alice", &["send", "bob@example.com", "-", "--json", "--subject", "s"]);
    let mut child = send.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("gr\u{fc}\u{df}e".as_bytes()).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(sent["deposited_as"], "message");
    let id = sent["message_id"].as_str().unwrap();

    let [summary] = client(&node, "bob", &["summary", "--json"]).json().try_into().unwrap();
    assert_eq!((&summary["waiting"], &summary["text"]["new"]), (&json!(1), &json!(1)));
    assert_eq!(summary["items"][0]["message_id"], id);
    assert_eq!(summary["items"][0]["subject"], "s");

    let [message, item] = client(&node, "bob", &["fetch", id, "--json"]).json().try_into().unwrap();
    assert_eq!((&message["text"], &message["item"]), (&json!("gr\u{fc}\u{df}e"), &json!(id)));
    assert_eq!(message["from"], "<sip:alice@example.com>");
    assert_eq!(
        (&item["item"], &item["state"], &item["messages"]),
        (&json!(id), &json!("complete"), &json!(1))
    );

    let mut chat = command(&node, "alice", &["chat", "bob@example.com", "--json"]);
    let mut child = chat.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo\n").unwrap();
    let ended: serde_json::Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(ended["sent"], 2);
    let lines = client(&node, "bob", &["fetch", "--all", "--json"]).json();
    assert_eq!((&lines[0]["text"], &lines[1]["text"]), (&json!("one"), &json!("two")));
    assert_eq!(
        lines[2],
        json!({
            "item": ended["message_id"], "state": "complete", "status": null, "reason": null, "messages": 2, "bytes": 6,
        })
    );
}

#[test]
fn binary_content_survives_in_a_pipe_and_as_base64() {
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    let file = folder.path().join("all.png");
    std::fs::write(&file, &bytes).unwrap();
    let id = client(&node, "alice", &["send", "bob@example.com", "--file", file.to_str().unwrap()]).ok();
    let raw = command(&node, "bob", &["fetch", id.trim_end()]).output().unwrap();
    assert_eq!(raw.stdout, bytes);
    let lines = client(&node, "bob", &["fetch", id.trim_end(), "--json"]).json();
    assert_eq!(lines[0]["type"], "image/png");
    assert!(lines[0]["base64"].as_str().unwrap().starts_with("AAECAwQF"));
}

#[test]
fn a_large_file_goes_as_a_session_and_comes_back_whole() {
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = folder.path().join("large.bin");
    std::fs::write(&file, &bytes).unwrap();
    let sent =
        client(&node, "alice", &["send", "bob@example.com", "--json", "--file", file.to_str().unwrap()]);
    assert_eq!(sent.json()[0]["deposited_as"], "session");
    let out = folder.path().join("out");
    let kept = client(&node, "bob", &["fetch", "--new", "--out", out.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read(kept.trim_end()).unwrap(), bytes);
}

#[test]
fn over_udp_it_is_the_same() {
    let node = Node::start();
    let udp = format!("udp:{}", node.sip);
    let with = |arguments: &[&str]| {
        let mut command = restante();
        let who = ["--as", "bob@example.com", "--node", &udp];
        command.args(arguments).args(who).stdout(Stdio::piped()).stderr(Stdio::piped());
        run(&mut command)
    };
    // Above 1300 bytes the MESSAGE goes over TCP (RFC 3261 18.1.1), and so does the NOTIFY that lists it.
    let long = "x".repeat(2000);
    let id = with(&["send", "bob@example.com", &long, "--subject", &"s".repeat(900)]).ok();
    assert_eq!(with(&["summary"]).ok().split('\t').next(), Some(id.trim_end()));
    assert_eq!(with(&["fetch", id.trim_end()]).ok(), long);
}

#[test]
fn a_watch_tells_what_comes() {
    use std::io::BufRead;
    let node = Node::start();
    let mut watch = command(&node, "bob", &["summary", "--watch", "--json", "--trace"]).spawn().unwrap();
    let mut stderr = watch.stderr.take().unwrap();
    let trace = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
        text
    });
    let mut lines = std::io::BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<serde_json::Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["waiting"], 0);
    let id = leave(&node, "bob", "hello");
    let told = next();
    assert_eq!((&told["waiting"], &told["items"][0]["message_id"]), (&json!(1), &json!(id)));
    // Ctrl-C: unsubscribed, and out.
    let interrupt = std::process::Command::new("kill").args(["-INT", &watch.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert_eq!(watch.wait().unwrap().code(), Some(130));
    let trace = trace.join().unwrap();
    assert!(trace.contains("Expires: 0\n") && trace.contains("terminated;reason=timeout"), "{trace}");
}

// proves `--watch`: it stays, whatever becomes of the node
#[test]
fn a_watch_outlives_the_node() {
    use std::io::BufRead;
    let mut node = Node::start();
    let mut watch = command(&node, "bob", &["summary", "--watch", "--json"]).spawn().unwrap();
    let mut told = std::io::BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut said = std::io::BufReader::new(watch.stderr.take().unwrap()).lines();
    assert!(told.next().unwrap().unwrap().contains("\"waiting\":0"));
    node.kill();
    let line = said.next().unwrap().unwrap();
    assert!(line.ends_with("; trying again"), "{line}");
    node.launch();
    leave(&node, "bob", "hello");
    assert!(told.any(|line| line.unwrap().contains("\"waiting\":1")));
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(said.count(), 0, "once");
}

#[test]
fn the_trace_shows_every_message() {
    let node = Node::start();
    let id = leave(&node, "bob", "hello");
    let traced = client(&node, "bob", &["fetch", &id, "--store", "mailserver.example.com", "--trace"]);
    let (stdout, stderr) = (traced.stdout, traced.stderr);
    assert_eq!(stdout, "hello");
    for shown in
        ["INVITE sip:", "SIP/2.0 200 OK", "ACK sip:", "MSRP ", " SEND\n", "Deferred-Message-ID: ", "BYE sip:"]
    {
        assert!(stderr.contains(shown), "{shown} in {stderr}");
    }
    assert!(!stderr.contains('\r'));
}

#[test]
fn completions_are_scripts() {
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef restante"), ("fish", "complete -c restante")]
    {
        let mut command = restante();
        let script =
            run(command.args(["completions", shell]).stdout(Stdio::piped()).stderr(Stdio::piped())).ok();
        assert!(script.contains(mark) && script.contains("fetch"), "{shell}");
        if shell == "bash" {
            let mut bash =
                std::process::Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(bash.wait().unwrap().success());
        }
    }
}
