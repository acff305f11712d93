//! How long a deposit takes at a rate, sent by the clock, whether the last was answered or not: at rates that
//! many nodes will never see, and where the node is loaded by half.

use crate::BODY;
use crate::board::{Board, Row};
use crate::client::flood::{Load, Transport, flood, pace};
use crate::contest::percentile;
use crate::process::Node;
use crate::size::Size;
use std::time::Duration;

/// What p99 should be at most, in ms.
const MOST: f64 = 10.0;

/// Deposits a second. What the engine does beside now and then is in p99.9 there, not in p99.
const RATES: [f64; 3] = [2_000.0, 5_000.0, 10_000.0];

pub fn run(size: &Size, board: &mut Board) {
    at_rates(size, board);
    at_half(size, board);
}

fn at_rates(size: &Size, board: &mut Board) {
    let node = Node::start();
    for rate in RATES {
        let span = Duration::from_secs_f64(size.paced / rate / size.rounds as f64);
        let what = format!("deposit over TCP at {rate:.0}/s");
        measure(&node, Transport::Tcp, rate, span, &what, size.rounds, board);
    }
}

fn at_half(size: &Size, board: &mut Board) {
    let node = Node::start();
    for (transport, name) in [(Transport::Tcp, "TCP"), (Transport::Udp, "UDP")] {
        let full = flood(node.sip, &Load::new(transport, 4, 64, BODY), size.span * 2);
        let what = format!("deposit over {name} at half of {full:.0}/s");
        measure(&node, transport, full / 2.0, size.span * 3, &what, size.rounds, board);
    }
}

/// So many rounds of `span` each.
fn measure(
    node: &Node,
    transport: Transport,
    rate: f64,
    span: Duration,
    what: &str,
    count: usize,
    board: &mut Board,
) {
    let load = Load::new(transport, 1, 1, BODY);
    let (mut rounds, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (mut took, share) = pace(node.sip, &load, rate, span);
        refused.push(share);
        rounds.push([0.5, 0.99, 0.999].map(|share| percentile(&mut took, share)));
    }
    let column = |at: usize| rounds.iter().map(|round| round[at]).collect::<Vec<f64>>();
    board.row(Row::new(&format!("{what}, median"), "ms", &column(0)));
    board.row(Row::new(&format!("{what}, p99"), "ms", &column(1)).at_most(MOST));
    board.row(Row::new(&format!("{what}, p99.9"), "ms", &column(2)));
    board.row(Row::new("  refused with 503, the node being too busy", "%", &refused));
}
