//! What the node shows to who runs it: health, also when its disk is full, and metrics, each of which is described.

use crate::support::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BOB: &str = "sip:bob@example.com";

/// The names of the metrics that stand in the table of `docs/operations.md`.
fn described() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `restante_"));
    rows.map(|row| format!("restante_{}", row.split(['{', '`']).next().unwrap())).collect()
}

/// What is counted or measured anywhere in the node: the first argument of the `metrics` macros.
fn counted(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            counted(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("http_tests.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for (at, _) in source.match_indices("metrics::") {
                let Some((macro_name, rest)) = source[at + 9..].split_once("!(") else { continue };
                if ["counter", "gauge", "histogram"].contains(&macro_name) {
                    found.insert(rest.split('"').nth(1).unwrap().to_owned());
                }
            }
        }
    }
}

#[test]
fn every_metric_is_described_and_no_other() {
    let mut found = BTreeSet::new();
    counted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 15, "{found:?}");
    assert_eq!(found, described(), "counted in the node, and described in docs/operations.md");
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
    let (status, text) = node.get("/metrics");
    assert_eq!(status, 200);
    let described = described();
    let mut samples = std::collections::BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("restante_")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        assert!(described.contains(name), "{name} is not described in docs/operations.md");
        samples.insert(series.to_owned(), value.parse::<f64>().unwrap());
    }
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
        eprintln!("skipped: a tmpfs cannot be mounted here");
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
