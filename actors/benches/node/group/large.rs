//! Retrieval of large messages: alone, and a hundred of a megabyte by a list; what the node's memory grows by.

use super::limits::relay;
use super::list::retrieved;
use crate::MEGABYTE;
use crate::board::{Board, Row};
use crate::client::imap::Imap;
use crate::client::sip::Sip;
use crate::contest::Contest;
use crate::process::Node;
use crate::rival::dovecot::Dovecot;
use crate::size::Size;

pub fn run(size: &Size, board: &mut Board) {
    let node = Node::start();
    let mut sip = Sip::connect(&node);
    for bytes in [size.large, size.larger] {
        one(&node, &mut sip, bytes, size, board);
    }
    hundred(&mut sip, size, board);
}

/// Deposits a session with one message; gives its Message-ID.
fn deposited(sip: &mut Sip, body: &[u8]) -> String {
    let mut call = sip.invite("alice", "sip:bob@example.com", None);
    call.msrp.say(body);
    call.bye(sip);
    call.call_id
}

fn one(node: &Node, sip: &mut Sip, bytes: usize, size: &Size, board: &mut Board) {
    let (body, megabytes) = (vec![b'x'; bytes], bytes as f64 / MEGABYTE);
    let uri = format!("sip:{}@mailserver.example.com", deposited(sip, &body));
    node.forget_peak();
    let resident = node.memory("VmRSS:");
    let contest = Contest::new(|| {
        let mut call = sip.invite("bob", &uri, None);
        assert!(call.msrp.take(1) >= bytes, "all of it came");
        megabytes / sip.wait_bye().duration_since(call.accepted).as_secs_f64()
    })
    .at_least(0.8, "TCP relay", || megabytes / relay(&body, 64 * 1024).as_secs_f64());
    board.row(contest.run(
        size.rounds,
        &format!("message of {megabytes:.0} MB retrieved, 200 to BYE"),
        "MB/s",
    ));
    let grown = (node.memory("VmHWM:") - resident) / 1024.0;
    board.row(Row::new(&format!("  memory of the node grows by, {megabytes:.0} MB"), "KiB", &[grown]));
}

fn hundred(sip: &mut Sip, size: &Size, board: &mut Board) {
    const BYTES: usize = 1_000_000;
    let body = vec![b'x'; BYTES];
    let ids: Vec<String> = (0..size.heavy).map(|_| deposited(sip, &body)).collect();
    let megabytes = (size.heavy * BYTES) as f64 / MEGABYTE;
    let all = vec![b'x'; size.heavy * BYTES];
    let mut contest = Contest::new(|| megabytes / retrieved(sip, &ids, BYTES).0.as_secs_f64()).at_least(
        0.8,
        "TCP relay",
        || megabytes / relay(&all, 64 * 1024).as_secs_f64(),
    );
    let dovecot = Dovecot::start();
    match &dovecot {
        Some(dovecot) => {
            dovecot.stock("bob", size.heavy, BYTES);
            let mut imap = Imap::select(dovecot.imap, "bob");
            contest = contest.beside("Dovecot, FETCH of a selected mailbox", move || {
                let start = std::time::Instant::now();
                assert!(imap.fetch(size.heavy) >= size.heavy * BYTES);
                megabytes / start.elapsed().as_secs_f64()
            });
        }
        None => board.note("Dovecot is not installed here, or may not be started: no FETCH to compare with."),
    }
    board.row(contest.run(size.rounds, &format!("list of {} x 1 MB, first SEND to BYE", size.heavy), "MB/s"));
}
