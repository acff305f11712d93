//! The examples of docs/examples, as a stranger would repeat them.

use crate::support::*;
use crate::tools::{find_or_skip, repository};
use std::process::{Command, Stdio};

/// Sends a file with netcat from this port and gives what came back.
fn netcat(node: &Node, file: &str, port: u16) -> Option<String> {
    let nc = find_or_skip("nc", file)?;
    let text = std::fs::read_to_string(repository("docs/examples").join(file)).unwrap();
    assert!(
        text.lines().count() == text.matches("\r\n").count() || !text.ends_with('\n'),
        "lines end with CRLF"
    );
    let copy = node.folder().join(file);
    // The port that the file names is the default one; tests at the same time need one each.
    std::fs::write(&copy, text.replace("5070", &port.to_string())).unwrap();
    let output = Command::new(nc)
        .args(["-u", "-w", "1", "-p", &port.to_string(), "127.0.0.1", &node.sip.port().to_string()])
        .stdin(std::fs::File::open(copy).unwrap())
        .output()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_stranger_deposits_looks_and_retrieves() {
    let node = Node::start();
    let port = || ports::free(node.sip.ip());
    let Some(deposited) = netcat(&node, "deposit.sip", port()) else { return };
    assert!(deposited.starts_with("SIP/2.0 202 Accepted\r\n"), "{deposited}");
    let summary = netcat(&node, "summary.sip", port()).unwrap();
    assert!(summary.starts_with("SIP/2.0 200 "), "{summary}");
    assert!(summary.contains("NOTIFY sip:charlie@127.0.0.1:"), "{summary}");
    assert!(summary.contains("Text-Message: 1/0 (0/0)\r\n"), "{summary}");
    assert!(summary.contains("Message-ID: 32098d@alicepc.example.org\r\n"), "{summary}");
    let Some(bash) = find_or_skip("bash", "retrieve.sh") else { return };
    let output = Command::new(bash)
        .arg(repository("docs/examples/retrieve.sh"))
        .args(["32098d%40alicepc.example.org", "127.0.0.1", &node.sip.port().to_string(), "charlie"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("Shall I fetch you at eight?"), "{said}{errors}");
    assert_eq!(fetch(&node, "charlie").texts.as_deref(), Some("0/1 (0/0)"));
}

#[test]
fn the_unit_for_systemd_is_one() {
    let Some(analyze) = find_or_skip("systemd-analyze", "restante.service") else { return };
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(repository("docs/examples/restante.service")).unwrap();
    let unit = unit.replace("/usr/local/bin/restante", env!("CARGO_BIN_EXE_restante"));
    let file = folder.path().join("restante.service");
    std::fs::write(&file, unit).unwrap();
    let output = Command::new(analyze).arg("verify").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("restante.service"), "{said}");
}
