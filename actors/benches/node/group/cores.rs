//! The same load on one core and on all but one, with the load driver kept on a core of its own.

use crate::BODY;
use crate::board::{Board, Row};
use crate::client::flood::{Load, Transport, flood};
use crate::contest::Contest;
use crate::machine;
use crate::process::{Node, Plan};
use crate::size::Size;
use std::cell::Cell;

pub fn run(size: &Size, board: &mut Board) {
    let (cores, own) = (machine::cores(), std::process::id());
    let last = (cores - 1).to_string();
    if cores < 2 || !machine::pin(own, &last) {
        board.note("One core, or no `taskset`: the load driver cannot be kept off the node's cores.");
        return;
    }
    let node =
        |workers: &str, on: &'static str| Plan::new().key("node", "workers", workers).cores(on).start();
    let one = node("1", "0");
    let two = node("2", "0");
    let apart = node("1", "0,1");
    let both = node("2", "0,1");
    let load = Load::new(Transport::Tcp, 4, 64, BODY);
    let used: [Cell<f64>; 4] = Default::default();
    let turn = |node: &Node, at: usize| {
        let before = node.busy();
        let rate = flood(node.sip, &load, size.span);
        used[at].set((node.busy() - before) / (rate * size.span.as_secs_f64()) * 1e6);
        rate
    };
    let contest = Contest::new(|| turn(&one, 0))
        .beside("two workers on that core: what a second worker costs", || turn(&two, 1))
        .beside("one worker, its store's threads on the driver's core too", || turn(&apart, 2))
        .beside("two workers on both cores, one of them shared with the driver", || turn(&both, 3));
    board.row(contest.run(size.rounds, "deposits over TCP, 64 in flight: one worker on one core", "/s"));
    let names =
        ["one worker, one core", "two workers, one core", "one worker, two cores", "two workers, two cores"];
    for (name, used) in names.iter().zip(&used) {
        board.row(Row::new(&format!("  processor time for each, {name}"), "us", &[used.get()]));
    }
    // What can be spread over more cores, and what cannot.
    // The system keeps fifteen letters of a thread's name, of which an arbiter's are all like this.
    let [shard, writer] = ["actix-rt", "archive-writer"].map(|name| both.busy_threads(name));
    let share = |part: f64| part / both.busy() * 100.0;
    board.row(Row::new("  of that on the shards' threads, two workers", "%", &[share(shard)]));
    board.row(Row::new("  of that on the store's one writer, two workers", "%", &[share(writer)]));
    if cores > 2 {
        board.note("More than two cores: start it with `taskset -c 0,1` to compare with figures of two.");
    }
    let all = if cores == 1 { "0".to_owned() } else { format!("0-{last}") };
    machine::pin(own, &all);
}
