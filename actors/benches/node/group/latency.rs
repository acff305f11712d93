//! How long a deposit takes when the node is loaded by half: sent by the clock, whether the last was answered
//! or not.

use crate::BODY;
use crate::board::{Board, Row};
use crate::client::flood::{Load, Transport, flood, pace};
use crate::contest::percentile;
use crate::process::Node;
use crate::size::Size;

/// What p99 should be at most.
const MOST: f64 = 10.0;

pub fn run(size: &Size, board: &mut Board) {
    let node = Node::start();
    for (transport, name) in [(Transport::Tcp, "TCP"), (Transport::Udp, "UDP")] {
        let full = flood(node.sip, &Load::new(transport, 4, 64, BODY), size.span * 2);
        let load = Load::new(transport, 1, 1, BODY);
        let (mut rounds, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..size.rounds {
            let (mut took, share) = pace(node.sip, &load, full / 2.0, size.span * 3);
            refused.push(share);
            rounds.push([0.5, 0.99, 0.999].map(|share| percentile(&mut took, share)));
        }
        let what = |share: &str| format!("deposit over {name} at half of {full:.0}/s, {share}");
        let column = |at: usize| rounds.iter().map(|round| round[at]).collect::<Vec<f64>>();
        board.row(Row::new(&what("median"), "ms", &column(0)));
        board.row(Row::new(&what("p99"), "ms", &column(1)).at_most(MOST));
        board.row(Row::new(&what("p99.9"), "ms", &column(2)));
        board.row(Row::new("  refused with 503, the node being too busy", "%", &refused));
    }
}
