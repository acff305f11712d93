//! Sessions and subscriptions that wait: what each costs the process.

use crate::board::{Board, Row};
use crate::client::sip::{Call, Sip};
use crate::client::watcher;
use crate::machine;
use crate::process::{Node, Plan};
use crate::size::Size;
use std::time::Instant;

/// What a session and a subscription should cost at most, in kB.
const MOST: f64 = 8.0;
/// So many are there before it is measured: what the node sets up once is not what each costs.
const BEFORE: usize = 100;
/// Files that the node and the load driver need beside those of the sessions that count.
const OTHER_FILES: usize = 800;

pub fn run(size: &Size, board: &mut Board) {
    let count = possible(size.sessions, board);
    unacknowledged(count, size, board);
    silent(count, size, board);
    subscriptions(size, board);
}

/// Retrieval sessions whose message was sent and is not acknowledged.
fn unacknowledged(count: usize, size: &Size, board: &mut Board) {
    let node = Plan::new().start();
    let mut sip = Sip::connect(&node);
    let id = sip.stock("bob", 1).remove(0);
    let uri = format!("sip:{id}@mailserver.example.com");
    let mut open = |count: usize| -> (Vec<Call>, f64) {
        let start = Instant::now();
        let mut calls: Vec<Call> = (0..count).map(|_| sip.invite("bob", &uri, None)).collect();
        let rate = count as f64 / start.elapsed().as_secs_f64();
        calls.iter_mut().for_each(|call| assert!(call.msrp.next().send));
        (calls, rate)
    };
    let _first = open(BEFORE);
    let before = node.memory("VmRSS:");
    let (_calls, rate) = open(count);
    let what = format!("{count} sessions that wait for the acknowledgement");
    settle(&node, before, count, size, &what, board);
    board.row(Row::new("  sessions opened, one after another", "/s", &[rate]));
}

/// Retrieval sessions that wait for the client's first SEND.
fn silent(count: usize, size: &Size, board: &mut Board) {
    let node = Plan::new().start();
    let mut sip = Sip::connect(&node);
    let id = sip.stock("bob", 1).remove(0);
    let uri = format!("sip:{id}@mailserver.example.com");
    let mut open = |count: usize| -> Vec<Call> { (0..count).map(|_| sip.call("bob", &uri, None)).collect() };
    let _first = open(BEFORE);
    let before = node.memory("VmRSS:");
    let _calls = open(count);
    let what = format!("{count} sessions, connected, that wait for the first SEND");
    settle(&node, before, count, size, &what, board);
}

fn subscriptions(size: &Size, board: &mut Board) {
    let node = Plan::new().start();
    let mut sip = Sip::connect(&node);
    watcher::subscribe(&mut sip, 0, BEFORE);
    let (before, start) = (node.memory("VmRSS:"), Instant::now());
    watcher::subscribe(&mut sip, BEFORE, size.subscriptions);
    let rate = size.subscriptions as f64 / start.elapsed().as_secs_f64();
    let what = format!("{} subscriptions to as many mailboxes", size.subscriptions);
    settle(&node, before, size.subscriptions, size, &what, board);
    board.row(Row::new("  subscriptions opened, 64 in flight", "/s", &[rate]));
}

/// As many as the limit of open files allows, here and in the node.
fn possible(wanted: usize, board: &mut Board) -> usize {
    let most = machine::most_files().saturating_sub(OTHER_FILES);
    if most < wanted {
        board.note(&format!(
            "Only {most} of {wanted} sessions, with a connection each: the limit of open files."
        ));
    }
    wanted.min(most)
}

/// Memory for each: at once, and when the transactions that opened them are over (64 x T1).
fn settle(node: &Node, before: f64, count: usize, size: &Size, what: &str, board: &mut Board) {
    let each = || (node.memory("VmRSS:") - before) / count as f64 / 1000.0;
    board.row(Row::new(&format!("{what}, at once"), "kB each", &[each()]));
    std::thread::sleep(size.rest);
    let what = format!("{what}, {} s later", size.rest.as_secs());
    board.row(Row::new(&what, "kB each", &[each()]).at_most(MOST));
}
