//! `restante ladder`: the call flow of a session, from the node's own records.

use crate::support::*;
use crate::text::in_order;

/// What the program prints, or says on stderr when it fails.
fn ladder(node: &Node, arguments: &[&str]) -> Result<String, String> {
    let mut command = restante();
    command.arg("ladder").args(arguments).args(["--http", &node.http.to_string()]);
    let output = command.stdout(std::process::Stdio::piped()).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

#[test]
fn a_retrieval_is_drawn_from_the_nodes_records() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let id = deposit_session(&mut joe, "sip:bob@example.com", &["a secret"]);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    let session = call.ok.call_id();
    call.finish(&mut bob, 1);
    // The answer to the BYE may still be on its way.
    let drawn = until("the answer to the BYE is noted", || {
        ladder(&node, &["--session", &session]).ok().filter(|text| text.contains("200 OK (BYE)"))
    });
    let steps = [
        &format!("INVITE {}", message_uri(&id)),
        "200 OK (INVITE)",
        "connection bound",
        "Grant",
        "Replayed",
        "SEND message/cpim",
        "200 OK (SEND)",
        "BYE",
        "200 OK (BYE)",
    ];
    assert!(in_order(&drawn, &steps), "{drawn}");
    assert!(drawn.contains("─ACK─"), "{drawn}");
    assert!(in_order(&drawn, &["store", "focus", "virtual UA 1"]), "{drawn}");
    assert!(!drawn.contains("secret") && !drawn.contains("bob@"), "{drawn}");
    let svg = ladder(&node, &["--session", &session, "--svg"]).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");

    let deposit = ladder(&node, &["--session", &id]).unwrap();
    assert!(
        in_order(&deposit, &["INVITE ~", "200 OK (INVITE)", "SEND", "200 OK (SEND)", "BYE"]),
        "{deposit}"
    );
    let everything = ladder(&node, &["--all"]).unwrap();
    assert!(everything.lines().count() > drawn.lines().count() + deposit.lines().count() - 2, "{everything}");
}

#[test]
fn what_is_not_recorded_is_said_so() {
    let node = Plan::new().set("http", "records = 0").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, "sip:bob@example.com", "hello");
    assert!(ladder(&node, &["--all"]).unwrap_err().contains("no records"));
    let nobody = restante().args(["ladder", "--all", "--http", "127.0.0.1:1"]).output().unwrap();
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(
        said.starts_with("restante: cannot read the records of the node at http://127.0.0.1:1"),
        "{said}"
    );
    let (file, broken) = (node.folder().join("records"), "{\"at_us\":1}\n");
    std::fs::write(&file, broken).unwrap();
    let output = restante().arg("ladder").arg(&file).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("line 1 is no record"));
}
