//! What the node shows to who runs it: health, also when its disk is full, and metrics.

use crate::skipped::skipped;
use crate::support::*;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

const BOB: &str = "sip:bob@example.com";

/// What `/metrics` says, by series; every metric has a line of help.
fn scrape(node: &Node) -> BTreeMap<String, f64> {
    let (status, text) = node.get("/metrics");
    assert_eq!(status, 200);
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("restante_")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let name =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(text.contains(&format!("# HELP {name} ")), "{name} says nothing of itself: {text}");
        samples.insert(series.to_owned(), value.parse::<f64>().unwrap());
    }
    samples
}

#[test]
fn health_and_metrics_are_served() {
    let node = Plan::new()
        .set("trust", "peers = [\"127.0.0.2/32\"]")
        .set("rates", "requests_per_address = 10")
        .set("rates", "burst = \"1s\"")
        .users(&[("alice@example.com", "wonderland")])
        .start();
    assert_eq!(node.get("/healthz/live").0, 200);
    assert_eq!(node.get("/healthz/ready").0, 200);
    let mut alice = Ua::udp(&node, "alice").with_login("alice", "wonderland");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "counted");
    assert_eq!(alice.ask(message).status(), 202);
    alice.login = None;
    assert_eq!(alice.ask_options().status(), 401);
    until("too many requests", || (alice.ask_options().status() == 503).then_some(()));
    let samples = scrape(&node);
    for expected in [
        "restante_authentications_total{outcome=\"proven\"}",
        "restante_authentications_total{outcome=\"challenged\"}",
        "restante_refused_total{by=\"address_rate\"}",
        "restante_sip_responses_total{class=\"4xx\"}",
        "restante_sip_received_total{transport=\"udp\"}",
        "restante_deposits_total{outcome=\"stored\"}",
    ] {
        assert!(samples.get(expected).is_some_and(|value| *value >= 1.0), "{expected} in {samples:?}");
    }
}

#[test]
fn what_became_of_messages_is_counted_and_what_was_not_delivered_is_said() {
    let node = Plan::new().start();
    let mut joe = Ua::tcp(&node, "sip:joe@example.net");
    let ids = ["one", "two"].map(|text| deposit(&mut joe, BOB, text));
    let session = deposit_session(&mut joe, BOB, &["three", "four"]);
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    let mut list: Vec<String> = ids.iter().chain([&session]).map(|id| message_uri(id)).collect();
    list.push(message_uri("nothing@nowhere"));
    let mut call = Invite::list(&bob, &list, Offer::active()).call(&mut bob);
    let refused = ids[1].clone();
    call.msrp().receive_with(3, |frame| {
        let refused = frame.get("Deferred-Message-ID") == Some(refused.as_str());
        if refused { Verdict::Refuse(413) } else { Verdict::Take }
    });
    call.wait_bye(&mut bob);
    let samples = scrape(&node);
    for (series, count) in [
        ("restante_deposits_total{outcome=\"stored\"}", 2.0),
        ("restante_session_messages_total{outcome=\"stored\"}", 2.0),
        ("restante_session_deposits_total{outcome=\"stored\"}", 1.0),
        ("restante_retrievals_total", 1.0),
        ("restante_retrieved_items_total{outcome=\"delivered\"}", 2.0),
        ("restante_retrieved_items_total{outcome=\"refused\"}", 1.0),
        ("restante_retrieved_items_total{outcome=\"not_found\"}", 1.0),
        ("restante_subscriptions{event=\"message-summary\"}", 1.0),
    ] {
        assert_eq!(samples.get(series), Some(&count), "{series} in {samples:?}");
    }
    assert!(samples["restante_store_commit_seconds_count"] >= 1.0, "{samples:?}");
    for (id, status) in [(refused.as_str(), 413), ("nothing@nowhere", 404)] {
        let line = until(&format!("{id} is told of"), || {
            let told = |line: &&str| line.contains("not delivered") && line.contains(id);
            node.log().lines().find(told).map(str::to_owned)
        });
        assert!(line.contains(&format!("status={status}")) && line.contains("call_id="), "{line}");
    }
}

// proves RFC 3261 15.1.1: whoever sends a BYE considers the session terminated as soon as it is sent
#[test]
fn a_session_is_over_with_the_bye_also_of_a_client_that_is_silent() {
    let node = Plan::new().start();
    let mut joe = Ua::tcp(&node, "sip:joe@example.net");
    let id = deposit(&mut joe, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
    call.msrp().receive(1);
    bob.wait_request("BYE", &call.dialog.call_id);
    until("no MSRP session", || (scrape(&node).get("restante_msrp_sessions") == Some(&0.0)).then_some(()));
}

/// A small file system in memory; `None`, said plainly, where that is not permitted.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(&at).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        skipped("the node on a full disk", "a tmpfs cannot be mounted here");
        None
    }

    fn grow(&self) {
        assert!(
            Command::new("mount").args(["-o", "remount,size=300m"]).arg(&self.0).status().unwrap().success()
        );
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_what_was_acknowledged_is_kept() {
    let mut node = Plan::new().set("deposit", "max_body = \"64KiB\"").prepare();
    let Some(disk) = Tiny::mount(node.folder().join("data")) else { return };
    node.launch();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let mut kept = Vec::new();
    let refused = loop {
        let message = alice.request("MESSAGE", BOB).body("text/plain", vec![b'x'; 10_000]);
        let (id, answer) = (message.call_id(), alice.ask(message));
        match answer.status() {
            202 => kept.push(id),
            _ => break answer,
        }
        assert!(kept.len() < 5000, "the disk is never full");
    };
    assert_eq!(refused.status(), 503, "{refused}");
    assert!(refused.get("Retry-After").is_some(), "{refused}");
    until("not ready", || (node.get("/healthz/ready").0 == 503).then_some(()));
    assert_eq!(node.get("/healthz/live").0, 200, "the process itself is well");
    node.wait_log("the store is broken");
    // What is kept is shown and retrieved all the same.
    let last = kept.last().expect("something was kept").clone();
    let mut bob = Ua::udp(&node, "bob");
    assert_eq!(retrieve(&mut bob, &message_uri(&last), 1).len(), 1);
    node.signal("TERM");
    node.wait_exit();
    disk.grow();
    node.launch();
    assert_eq!(node.get("/healthz/ready").0, 200, "there is room, and the node was started again");
    let (new, old) = fetch(&node, "bob").totals();
    assert_eq!(new + old, kept.len() as u64);
    deposit(&mut Ua::udp(&node, "sip:alice@example.org"), BOB, "goes on");
    drop(node);
}

/// Writes into files that have no name any more do not fail.
#[test]
fn an_engine_that_is_taken_away_is_told_once_and_what_is_refused_then_in_a_few_lines_a_second() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let mut bob = Ua::tcp(&node, "bob");
    deposit(&mut alice, BOB, "kept");
    std::fs::rename(node.folder().join("data/engine"), node.folder().join("away")).unwrap();
    until("not ready", || (node.get("/healthz/ready").0 == 503).then_some(()));
    let told = node.get("/healthz/ready").1;
    assert!(told.contains("data/engine was removed, moved or replaced"), "{told}");
    let begun = Instant::now();
    for number in 0..200 {
        let message = alice.request("MESSAGE", BOB).body("text/plain", "x");
        assert_eq!(alice.ask(message).status(), 503);
        let subscribe = subscribe_request(&bob, BOB, 600 + number);
        assert_eq!(bob.ask(subscribe).status(), 503);
        let retrieve = Invite::new(&alice, "sip:nobody@example.com", Offer::active()).request;
        assert!(alice.ask(retrieve).status() >= 400);
        drop(TcpStream::connect(node.sip).unwrap());
    }
    let most = 10 * (begun.elapsed().as_secs() as usize + 2);
    let log = node.log();
    assert_eq!(log.matches("the store is broken").count(), 1, "{log}");
    for line in ["deposit refused", "SUBSCRIBE refused", "SUBSCRIBE answered", "connection closed"] {
        let lines = log.matches(line).count();
        assert!((1..=most).contains(&lines), "{line}: {lines} of 200, and {most} are allowed");
    }
    assert!(log.lines().count() < 15 * most, "{log}");
}
