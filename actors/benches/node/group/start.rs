//! A node that starts with many items: after a clean end, and after `kill -9`.

use super::store::Alone;
use crate::BODY;
use crate::board::{Board, Row};
use crate::client::flood::{Load, Transport, fill};
use crate::process::Plan;
use crate::size::Size;
use std::time::Duration;

pub fn run(size: &Size, board: &mut Board) {
    let alone = Alone::open();
    let rate = alone.rate(1024, BODY, Duration::from_secs(600), size.items);
    board.row(Row::new(&format!("{} items stored, 1024 in flight, store alone", size.items), "/s", &[rate]));
    let Alone { store, mut folder } = alone;
    drop(store);
    let (mut clean, mut killed) = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let node = Plan::new().start_in(folder);
        clean.push(node.started.as_secs_f64());
        // Something to be found in the journal.
        fill(node.sip, &Load::new(Transport::Tcp, 1, 64, BODY), size.items as usize / 50);
        folder = node.kill();
        let node = Plan::new().start_in(folder);
        killed.push(node.started.as_secs_f64());
        folder = node.stop();
    }
    let row = |name: &str, values: &[f64]| {
        Row::new(&format!("start with {} items, {name}", size.items), "s", values).at_most(1.0)
    };
    board.row(row("after a clean end", &clean));
    board.row(row("after kill -9 under load", &killed));
}
