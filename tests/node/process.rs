//! The process: its start, its refusals to start, its end, and what it shows to who runs it.

use crate::support::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};

const BOB: &str = "sip:bob@example.com";

/// Runs a command that must fail by itself; gives what it said on stderr.
fn failure(command: &mut Command) -> String {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert!(!status.success(), "{text}");
    text
}

/// The lines that are not log lines below warning.
fn complaints(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains(" INFO ") && !line.contains(" WARN ")).collect()
}

#[test]
fn sigterm_ends_sessions_with_bye_and_exits_zero() {
    for signal in ["TERM", "INT"] {
        let mut node = Node::start();
        let mut alice = Ua::udp(&node, "sip:alice@example.org");
        let mut deposit_call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
        deposit_call.msrp().say("before the end");
        let kept = deposit(&mut alice, BOB, "waiting");
        let mut bob = Ua::tcp(&node, "bob");
        let retrieval = Invite::new(&bob, &message_uri(&kept), Offer::active()).call_unbound(&mut bob);
        node.signal(signal);
        let byes = [
            alice.wait_and_ok("BYE", &deposit_call.dialog.call_id),
            bob.wait_and_ok("BYE", &retrieval.dialog.call_id),
        ];
        for bye in byes {
            assert_eq!(bye.msg.get("Reason").as_deref(), Some("SIP;text=\"node stops\""), "RFC 3326 2");
        }
        let status = node.wait_exit();
        assert_eq!(status.code(), Some(0), "{signal}");
        node.launch();
        let mut ids = fetch(&node, "bob").ids();
        ids.sort_unstable();
        let mut expected = [deposit_call.dialog.call_id.clone(), kept];
        expected.sort_unstable();
        assert_eq!(ids, expected, "the session was closed as an item, the other stayed new");
    }
}

#[test]
fn no_new_work_is_taken_while_it_ends() {
    let mut node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    node.signal("TERM");
    let bye = alice.wait_request("BYE", &call.dialog.call_id);
    // The BYE is not answered yet: the node still waits for the session.
    let message = alice.request("MESSAGE", BOB).body("text/plain", "too late");
    let answer = alice.ask(message);
    assert_eq!(answer.status(), 503, "{answer}");
    alice.reply(&bye, 200, "OK");
    assert_eq!(node.wait_exit().code(), Some(0));
    node.launch();
    assert_eq!(fetch(&node, "bob").totals(), (0, 0), "nothing was stored");
}

#[test]
fn what_comes_while_it_starts_is_answered() {
    for round in 0..5 {
        let mut node = Plan::new().prepare();
        let sip = node.sip;
        // Asks the moment that somebody listens, which is before the node says that it is ready.
        let early = std::thread::spawn(move || {
            let deadline = clock::Deadline::after(clock::PATIENCE);
            let mut stream = loop {
                match TcpStream::connect(sip) {
                    Ok(stream) => break stream,
                    Err(_) => assert!(deadline.left().is_some(), "nobody listens"),
                }
            };
            stream.set_read_timeout(Some(clock::PATIENCE)).unwrap();
            let here = stream.local_addr().unwrap();
            let options = format!(
                "OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP {here};branch=z9hG4bKearly{round}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=1\r\nTo: <sip:example.com>\r\n\
                 Call-ID: early{round}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            stream.write_all(options.as_bytes()).unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).map(|()| answer)
        });
        node.launch();
        let answer = early.join().unwrap().unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(&answer, b"SIP/2.0 200 ", "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = ports::free("127.0.0.1".parse().unwrap());
    let address: SocketAddr = format!("127.0.0.1:{taken}").parse().unwrap();
    let (udp, tcp) = (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
    let plans = [
        Plan::new().set("sip", &format!("listen = [\"udp:{address}\"]")),
        Plan::new().set("sip", &format!("listen = [\"tcp:{address}\"]")),
        Plan::new().set("msrp", &format!("listen = [\"tcp:{address}\"]")),
        Plan::new().set("http", &format!("listen = \"{address}\"")),
    ];
    for plan in plans {
        let node = plan.prepare();
        let said = failure(&mut node.command());
        let lines = complaints(&said);
        assert_eq!(lines.len(), 1, "one clear line: {said}");
        assert!(lines[0].contains(&taken.to_string()), "it names the port: {said}");
    }
    drop((udp, tcp));
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let node = Node::start();
    let data = node.folder().join("data");
    let other = Plan::new().set("store", &format!("url = \"embedded:{}\"", data.display())).prepare();
    let said = failure(&mut other.command());
    let lines = complaints(&said);
    assert_eq!(lines.len(), 1, "one clear line: {said}");
    assert!(lines[0].contains(&data.display().to_string()), "it names the folder: {said}");
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, BOB, "the first is unharmed");
}

#[test]
fn a_bad_configuration_is_refused_and_named() {
    let unknown = Plan::new().set("sip", "lisen = []").prepare();
    let said = failure(&mut unknown.command());
    assert!(said.contains("lisen") && said.lines().count() == 1, "{said}");
    let said = failure(restante().args(["serve", "--config", "/nonexistent/node.toml"]));
    assert!(said.contains("/nonexistent/node.toml") && said.lines().count() == 1, "{said}");
    let node = Plan::new().prepare();
    let said = failure(node.command().env("RESTANTE_SIP__LISEN", "x"));
    assert!(said.contains("RESTANTE_SIP__LISEN"), "{said}");
}

#[test]
fn check_and_config_say_what_is_good() {
    let node = Plan::new().prepare();
    let good = restante().arg("check").arg("--config").arg(node.file()).status().unwrap();
    assert!(good.success());
    let bad = Plan::new().set("node", "workers = \"many\"").prepare();
    assert!(failure(restante().arg("check").arg("--config").arg(bad.file())).contains("workers"));
    let printed = restante().arg("config").stdout(Stdio::piped()).output().unwrap();
    assert!(printed.status.success());
    let text = String::from_utf8(printed.stdout).unwrap();
    for key in [
        "domains",
        "store_host",
        "listen",
        "advertise",
        "url",
        "peers",
        "realm",
        "quota_items",
        "max_list",
        "after",
    ] {
        assert!(
            text.lines().any(|line| line.trim_start_matches(['#', ' ']).starts_with(key)),
            "{key} in:\n{text}"
        );
    }
    let file = node.folder().join("printed.toml");
    std::fs::write(&file, &text).unwrap();
    assert!(
        restante().arg("check").arg("--config").arg(file).status().unwrap().success(),
        "what it prints is good"
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let node = Plan::new().set("deposit", "quota_items = 5").prepare();
    let mut child =
        node.command().env("RESTANTE_DEPOSIT__QUOTA_ITEMS", "1").stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = Vec::new();
    let mut stderr = child.stderr.take().unwrap();
    let mut byte = [0];
    while !is_ready(&String::from_utf8_lossy(&ready)) {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&ready));
        ready.extend(byte);
    }
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit(&mut alice, BOB, "the only one");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "x");
    let status = alice.ask(message).status();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(status, 480);
}

#[test]
fn a_subscription_does_not_hold_up_the_end() {
    let mut node = Node::start();
    let mut bob = Ua::tcp(&node, "bob");
    let dialog = subscribe(&mut bob, "sip:bob@example.com", 3600);
    notified(&mut bob, &dialog);
    let begun = std::time::Instant::now();
    node.signal("TERM");
    assert!(node.wait_exit().success());
    assert!(begun.elapsed() < std::time::Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[test]
fn peers_that_answer_nothing_do_not_hold_up_the_end() {
    let mut node = Node::start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let kept = deposit(&mut alice, BOB, "waiting");
    let mut deposit_call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    deposit_call.msrp().say("acknowledged");
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 3600);
    notified(&mut bob, &dialog);
    let retrieval = Invite::list(&bob, &[message_uri(&kept)], Offer::active()).call_unbound(&mut bob);
    let focus = address(&retrieval.ok.need("Contact"));
    let watching = bob.request("SUBSCRIBE", &focus).add("Event", "conference").add("Expires", "600");
    assert_eq!(bob.ask(watching.clone()).status(), 200);
    bob.wait_and_ok("NOTIFY", &watching.call_id());
    let begun = std::time::Instant::now();
    node.signal("TERM");
    assert_eq!(node.wait_exit().code(), Some(0));
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    node.launch();
    let mut ids = fetch(&node, "bob").ids();
    ids.sort_unstable();
    let mut expected = [deposit_call.dialog.call_id, kept];
    expected.sort_unstable();
    assert_eq!(ids, expected, "what was said is an item, and what was not delivered is new");
}

#[test]
fn the_content_of_a_message_is_never_logged() {
    let node = Plan::new().set("log", "level = \"trace\"").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "the-secret-content");
    let session = deposit_session(&mut alice, BOB, &["the-secret-content"]);
    let mut bob = Ua::udp(&node, "bob");
    retrieve(&mut bob, &message_uri(&id), 1);
    retrieve(&mut bob, &message_uri(&session), 1);
    assert!(!node.log().contains("the-secret-content"));
}

#[test]
fn a_log_that_cannot_be_written_takes_nothing_else_with_it() {
    let node = Plan::new().prepare();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut process = node.command().stderr(full).spawn().unwrap();
    until("somebody listens", || TcpStream::connect(node.sip).ok());
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let kept = deposit(&mut alice, BOB, "kept");
    let mut bob = Ua::tcp(&node, "bob");
    retrieve(&mut bob, &message_uri(&kept), 1);
    let (_, metrics) = node.get("/metrics");
    let lost = metrics.lines().find_map(|line| line.strip_prefix("restante_log_lines_lost_total "));
    assert!(lost.is_some_and(|lost| lost.parse::<u64>().unwrap() > 2), "{metrics}");
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
}
