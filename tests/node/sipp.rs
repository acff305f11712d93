//! SIPp, another implementation of SIP, deposits and subscribes.

use crate::support::*;
use crate::tools::{find_or_skip, repository};
use std::process::{Command, Stdio};

/// Runs a scenario against the node; every call of it must succeed.
fn play(node: &Node, scenario: &str, transport: &str, arguments: &[&str]) -> bool {
    let Some(sipp) = find_or_skip("sipp", scenario) else { return false };
    let port = ports::free(node.sip.ip()).to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(sipp)
        .current_dir(folder.path())
        .arg(node.sip.to_string())
        .arg("-sf")
        .arg(repository("tests/sipp").join(scenario))
        .args([
            "-t",
            transport,
            "-i",
            "127.0.0.1",
            "-p",
            &port,
            "-nostdin",
            "-timeout",
            "60s",
            "-timeout_error",
        ])
        .args(["-max_socket", "1000"])
        .args(["-trace_err", "-error_file", "errors.log"])
        .args(arguments)
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = std::fs::read_to_string(folder.path().join("errors.log")).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scenario} over {transport}: {}\n{errors}\n{said}", output.status);
    true
}

#[test]
fn sipp_deposits_over_udp_and_tcp() {
    let node = Node::start();
    for transport in ["u1", "t1"] {
        if !play(&node, "deposit.xml", transport, &["-m", "100", "-r", "500", "-l", "50", "-s", "bob"]) {
            return;
        }
    }
    assert_eq!(fetch(&node, "bob").totals(), (200, 0));
}

#[test]
fn sipp_subscribes_and_is_notified() {
    let node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, "sip:bob@example.com", "x");
    for transport in ["u1", "t1"] {
        if !play(&node, "subscribe.xml", transport, &["-m", "10", "-r", "20", "-s", "bob"]) {
            return;
        }
    }
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

#[test]
fn sipp_is_refused_what_is_not_there() {
    let node = Node::start();
    play(&node, "unknown.xml", "u1", &["-m", "20", "-r", "100", "-s", "bob"]);
}
