//! Subscribers that are told of every change, while deposits go on.

use crate::BODY;
use crate::board::{Board, Row};
use crate::client::flood::{Load, Transport, fill, flood};
use crate::client::sip::Sip;
use crate::client::watcher;
use crate::contest::{Contest, percentile};
use crate::process::{Node, Plan};
use crate::size::Size;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub fn run(size: &Size, board: &mut Board) {
    under_load(size, board);
    delay(size, board);
}

/// Deposits to mailboxes that are watched, beside deposits to such that nobody watches.
fn under_load(size: &Size, board: &mut Board) {
    let node = Node::start();
    let mut sip = Sip::connect(&node);
    watcher::subscribe(&mut sip, 0, size.watched);
    sip.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (told, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut notified = 0.0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if let Some(message) = sip.next_within() {
                    assert!(message.head.starts_with("NOTIFY "), "{}", message.head);
                    watcher::answer(&mut sip, &message);
                    told.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let load = |first: u64| {
            let mut load = Load::new(Transport::Tcp, 4, 64, BODY);
            load.users = (first, size.watched as u64);
            load
        };
        let span = size.span * 2;
        let contest = Contest::new(|| {
            let (before, start) = (told.load(Ordering::Relaxed), Instant::now());
            let rate = flood(node.sip, &load(0), span);
            notified = (told.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
            rate
        })
        .beside("to mailboxes that nobody watches", || flood(node.sip, &load(100_000), span));
        let what = format!("deposits over TCP, 64 in flight, to {} watched mailboxes", size.watched);
        board.row(contest.run(size.rounds, &what, "/s"));
        stop.store(true, Ordering::Relaxed);
    });
    board.row(Row::new("  NOTIFYs meanwhile, at most one a second to each", "/s", &[notified]));
}

/// From a MESSAGE until the NOTIFY of it has come, on a quiet node.
fn delay(size: &Size, board: &mut Board) {
    let node = Plan::new().key("summary", "min_interval", "\"1ms\"").start();
    let mut sip = Sip::connect(&node);
    watcher::subscribe(&mut sip, 0, 1);
    let mut load = Load::new(Transport::Tcp, 1, 1, BODY);
    load.users = (0, 1);
    let mut took: Vec<f64> = (0..size.list / 5)
        .map(|_| {
            let start = Instant::now();
            fill(node.sip, &load, 1);
            let message = sip.next();
            let took = start.elapsed().as_secs_f64() * 1000.0;
            assert!(message.head.starts_with("NOTIFY "), "{}", message.head);
            watcher::answer(&mut sip, &message);
            took
        })
        .collect();
    let p99 = percentile(&mut took, 0.99);
    board.row(Row::new("from a MESSAGE, over a new connection, to its NOTIFY", "ms", &took));
    board.row(Row::new("  p99", "ms", &[p99]));
}
