//! The whole node as its clients see it, over loopback: deposits, retrievals, lists and sessions that wait;
//! beside the store alone and a plain relay in the same run. Medians of three rounds.
//!
//! `cargo bench -p restante-node --bench node [-- [--quick] [SESSIONS]]`: how many sessions wait at once (1000;
//! beyond 9000, `ulimit -n` must allow it). The data is kept under the directory of the build: a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod deposits;
mod msrp;
mod process;
mod sip;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use process::Node;
use sip::{Call, Sip};
use tempfile::TempDir;

const ROUNDS: usize = 3;
const BODY: usize = 200;
const PIECE: usize = 64 * 1024;
const MEGABYTE: f64 = 1e6;

/// How much of everything.
struct Size {
    span: Duration,
    large: usize,
    list: usize,
    sessions: usize,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let quick = words.iter().any(|word| word == "--quick" || word == "--test");
    let sessions = words.iter().find_map(|word| word.parse().ok());
    let size = if quick {
        Size {
            span: Duration::from_millis(300),
            large: 5_000_000,
            list: 20,
            sessions: sessions.unwrap_or(50),
        }
    } else {
        Size {
            span: Duration::from_secs(2),
            large: 50_000_000,
            list: 200,
            sessions: sessions.unwrap_or(1000),
        }
    };
    println!("{:<46} {:>12} {:>12} {:>8}", "median of 3", "node", "beside", "ratio");
    deposits::run(&size);
    large_message(&size);
    list(&size);
    waiting_sessions(&size);
}

/// Both in turn, so that what else the machine does falls on either.
fn pairs(mut ours: impl FnMut() -> f64, mut beside: impl FnMut() -> f64) -> Vec<(f64, f64)> {
    (0..ROUNDS).map(|_| (ours(), beside())).collect()
}

/// The medians of both, and of the ratios of each round with the lowest and the highest of them.
fn row_of_pairs(what: &str, pairs: &[(f64, f64)], of: &str) {
    let middle = |value: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = pairs.iter().map(value).collect();
        all.sort_by(f64::total_cmp);
        (all[0], all[all.len() / 2], all[all.len() - 1])
    };
    let ((_, ours, _), (_, best, _)) = (middle(|pair| pair.0), middle(|pair| pair.1));
    let (low, ratio, high) = middle(|pair| pair.0 / pair.1);
    println!("{what:<46} {ours:>12.0} {best:>12.0} {ratio:>8.2}  {of} ({low:.2} to {high:.2})");
}

fn row(what: &str, value: f64) {
    println!("{what:<46} {value:>12.0}");
}

fn median(mut round: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}

/// A word that was never used before.
fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}{:08x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn place() -> TempDir {
    tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap()
}

/// One large message: deposited by a session, then retrieved, beside a relay of as many bytes.
fn large_message(size: &Size) {
    let node = Node::start();
    let mut sip = Sip::connect(&node);
    let body = vec![b'x'; size.large];
    let megabytes = size.large as f64 / MEGABYTE;
    let mut uri = String::new();
    let relayed = || megabytes / relay(&body).as_secs_f64();
    let store = || {
        let mut call = sip.invite("alice", "sip:bob@example.com", None);
        call.msrp.say(&body);
        call.bye(&mut sip);
        uri = format!("sip:{}@mailserver.example.com", call.call_id);
        megabytes / call.accepted.elapsed().as_secs_f64()
    };
    let stored = pairs(store, relayed);
    row_of_pairs(&format!("session of {megabytes:.0} MB deposited, MB/s"), &stored, "of a plain relay");
    node.forget_peak();
    let resident = node.memory("VmRSS:");
    let take = || {
        let mut call = sip.invite("bob", &uri, None);
        assert!(call.msrp.take(1) >= size.large, "all of it came");
        let end = sip.wait_bye();
        megabytes / end.duration_since(call.accepted).as_secs_f64()
    };
    let taken = pairs(take, relayed);
    row_of_pairs(&format!("message of {megabytes:.0} MB retrieved, MB/s"), &taken, "of a plain relay");
    let peak = node.memory("VmHWM:") - resident;
    row("  peak growth of the node's memory, KiB", peak / 1024.0);
    row("  memory of the node afterwards, KiB", node.memory("VmRSS:") / 1024.0);
}

/// How long a thread that copies from one connection to another needs for `body`.
fn relay(body: &[u8]) -> Duration {
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [near, far] = [0, 1].map(|at: usize| listeners[at].local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut from, _) = listeners[0].accept().unwrap();
            let (mut to, mut piece) = (TcpStream::connect(far).unwrap(), vec![0; PIECE]);
            while let Ok(length @ 1..) = from.read(&mut piece) {
                to.write_all(&piece[..length]).unwrap();
            }
        });
        let start = Instant::now();
        scope.spawn(|| TcpStream::connect(near).unwrap().write_all(body).unwrap());
        let (mut sink, _) = listeners[1].accept().unwrap();
        let (mut left, mut piece) = (body.len(), vec![0; 4 * PIECE]);
        while left > 0 {
            left -= sink.read(&mut piece).unwrap();
        }
        start.elapsed()
    })
}

/// A list of small messages, from the 200 to the INVITE until the BYE.
fn list(size: &Size) {
    let node = Node::start();
    let mut sip = Sip::connect(&node);
    let rate = median(|| {
        let ids = sip.stock("bob", size.list);
        let mut xml = String::from(
            "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>",
        );
        for id in &ids {
            write!(xml, "<entry uri=\"sip:{id}@mailserver.example.com\"/>").unwrap();
        }
        xml.push_str("</list></resource-lists>");
        let mut call = sip.invite("bob", "sip:mailserver.example.com", Some(&xml));
        assert!(call.msrp.take(size.list) >= size.list * BODY);
        let end = sip.wait_bye();
        size.list as f64 / end.duration_since(call.accepted).as_secs_f64()
    });
    row(&format!("list of {} messages retrieved, messages/s", size.list), rate);
}

/// Sessions whose message was sent and is not acknowledged: what each holds.
fn waiting_sessions(size: &Size) {
    let mut opened = 0.0;
    let held = median(|| {
        let node = Node::start();
        let mut sip = Sip::connect(&node);
        let id = sip.stock("bob", 1).remove(0);
        let uri = format!("sip:{id}@mailserver.example.com");
        let before = node.memory("VmRSS:");
        let start = Instant::now();
        let mut calls: Vec<Call> = (0..size.sessions).map(|_| sip.invite("bob", &uri, None)).collect();
        opened = size.sessions as f64 / start.elapsed().as_secs_f64();
        // What is not read does not hurt: once each has got its SEND, all of them wait.
        calls.iter_mut().for_each(|call| assert!(call.msrp.next().send));
        (node.memory("VmRSS:") - before) / size.sessions as f64
    });
    row(&format!("{} sessions waiting, bytes each", size.sessions), held);
    row("  sessions opened/s, one after another", opened);
}
