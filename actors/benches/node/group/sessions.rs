//! Sessions deposited: short ones by many at once, long ones message by message, and one large message.

use super::limits::relay;
use crate::board::Board;
use crate::client::sip::Sip;
use crate::contest::Contest;
use crate::process::Node;
use crate::size::Size;
use crate::{BODY, MEGABYTE};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const AT_ONCE: usize = 16;

pub fn run(size: &Size, board: &mut Board) {
    let node = Node::start();
    let short = Contest::new(|| {
        let (done, start) = (AtomicU64::new(0), Instant::now());
        std::thread::scope(|scope| {
            for lane in 0..AT_ONCE {
                let (node, done) = (&node, &done);
                scope.spawn(move || {
                    let (mut sip, body) = (Sip::connect(node), "x".repeat(BODY));
                    while start.elapsed() < size.span {
                        let mut call = sip.invite("alice", &format!("sip:user{lane}@example.com"), None);
                        call.msrp.chat(&body, 1, 1);
                        call.bye(&mut sip);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        done.into_inner() as f64 / start.elapsed().as_secs_f64()
    });
    board.row(short.run(size.rounds, "sessions of one message, INVITE to BYE, 16 at once", "sessions/s"));

    let long = Contest::new(|| {
        let (lanes, each) = (4, size.list * 2);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for lane in 0..lanes {
                let node = &node;
                scope.spawn(move || {
                    let mut sip = Sip::connect(node);
                    let mut call = sip.invite("alice", &format!("sip:user{lane}@example.com"), None);
                    call.msrp.chat(&"x".repeat(BODY), each, 64);
                    call.bye(&mut sip);
                });
            }
        });
        (lanes * each) as f64 / start.elapsed().as_secs_f64()
    });
    board.row(long.run(
        size.rounds,
        "messages of 200 bytes in 4 sessions, 64 in flight in each",
        "messages/s",
    ));

    let (body, megabytes) = (vec![b'x'; size.large], size.large as f64 / MEGABYTE);
    let mut sip = Sip::connect(&node);
    let large = Contest::new(|| {
        let mut call = sip.invite("alice", "sip:bob@example.com", None);
        call.msrp.say(&body);
        call.bye(&mut sip);
        megabytes / call.accepted.elapsed().as_secs_f64()
    })
    .beside("TCP relay", || megabytes / relay(&body, 64 * 1024).as_secs_f64());
    board.row(large.run(
        size.rounds,
        &format!("session with a message of {megabytes:.0} MB, durable"),
        "MB/s",
    ));
}
