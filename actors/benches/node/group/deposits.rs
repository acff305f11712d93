//! Deposits by MESSAGE until the 202, beside the same deposits through the store's trait, and
//! beside bare records in the engine alone.

use super::store::{Alone, Engine};
use crate::BODY;
use crate::board::{Board, Row};
use crate::client::flood::{Load, Transport, flood};
use crate::contest::Contest;
use crate::process::Node;
use crate::size::Size;
use std::cell::Cell;

/// Connections that the deposits are spread over: what a few proxies in front of the node have.
const CONNECTIONS: usize = 4;

pub fn run(size: &Size, board: &mut Board) {
    let node = Node::start();
    let (alone, engine) = (Alone::open(), Engine::open());
    for in_flight in [1, 64, 512] {
        for (transport, name) in [(Transport::Udp, "UDP"), (Transport::Tcp, "TCP")] {
            // A datagram of 10 kB is beyond what RFC 3261 18.1.1 lets a client send.
            let bodies: &[usize] = if transport == Transport::Udp { &[BODY] } else { &[BODY, 10_000] };
            for body in bodies {
                let load = Load::new(transport, CONNECTIONS.min(in_flight), in_flight, *body);
                let (used, done) = (Cell::new(0.0), Cell::new(0.0));
                let ours = || {
                    let before = node.busy();
                    let rate = flood(node.sip, &load, size.span);
                    used.set(used.get() + node.busy() - before);
                    done.set(done.get() + rate * size.span.as_secs_f64());
                    rate
                };
                let what = format!("deposits over {name}, {in_flight} in flight, {body} bytes");
                let of = "the store alone, through its trait";
                let store = || alone.rate(in_flight, *body, size.span, u64::MAX);
                let contest = Contest::new(ours);
                // Kept to the aim where it was set: at 64 in flight.
                let contest = if in_flight == 64 && *body == BODY {
                    let bare = "the engine alone, a bare record each";
                    contest.at_least(0.7, bare, || engine.rate(in_flight, size.span)).beside(of, store)
                } else {
                    contest.beside(of, store)
                };
                board.row(contest.run(size.rounds, &what, "/s"));
                if in_flight == 64 && *body == BODY {
                    let each = used.get() / done.get() * 1e6;
                    board.row(Row::new(
                        &format!("processor time of the node for each, {name}"),
                        "us",
                        &[each],
                    ));
                }
            }
        }
    }
}
