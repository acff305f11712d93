//! The same deposits to the node, to Kamailio's msilo on each database, and to Dovecot by LMTP, in turns.

use crate::board::Board;
use crate::client::flood::{Load, Transport, flood};
use crate::client::imap::Lmtp;
use crate::contest::Contest;
use crate::process::Node;
use crate::rival::dovecot::{Dovecot, lines};
use crate::rival::kamailio::Kamailio;
use crate::size::Size;
use crate::{BODY, rival};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub fn run(size: &Size, board: &mut Board) {
    let node = Node::start();
    let rivals = Kamailio::all(rival::free());
    if rivals.is_empty() {
        board.note("Kamailio with msilo and a database is not installed here (Debian: kamailio kamailio-mysql-modules kamailio-postgres-modules kamailio-sqlite-modules mariadb-server postgresql sqlite3): nothing to compare with.");
    }
    let dovecot = Dovecot::start();
    if dovecot.is_none() {
        board.note("Dovecot is not installed here, or may not be started (Debian: dovecot-imapd dovecot-lmtpd; as root): nothing to compare with.");
    }
    // Over TCP Kamailio serves the requests of one connection one after another: so as many connections as
    // are in flight, for everybody.
    let loads = [
        ("deposits over UDP, 64 in flight, 200 bytes", Load::new(Transport::Udp, 4, 64, BODY)),
        ("deposits over TCP, 64 connections, one in flight on each", Load::new(Transport::Tcp, 64, 64, BODY)),
        ("deposits over TCP, 64 connections, 512 in flight in all", Load::new(Transport::Tcp, 64, 512, BODY)),
    ];
    for (what, load) in loads {
        let mut contest = Contest::new(|| flood(node.sip, &load, size.span));
        for rival in &rivals {
            let addr = rival.addr;
            contest = contest.at_least(3.0, &rival.name(), move || flood(addr, &load, size.span));
        }
        if load.connections == 64
            && load.in_flight == 64
            && let Some(dovecot) = &dovecot
        {
            let lmtp = dovecot.lmtp;
            contest = contest.beside("Dovecot LMTP", move || delivered(lmtp, 64, size.span));
        }
        board.row(contest.run(size.rounds, what, "/s"));
    }
}

/// Messages a second that are delivered by LMTP over so many connections.
fn delivered(to: SocketAddr, connections: usize, span: Duration) -> f64 {
    let (body, done, start) = (lines(BODY), AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for lane in 0..connections {
            let (body, done) = (&body, &done);
            scope.spawn(move || {
                let mut lmtp = Lmtp::connect(to);
                while start.elapsed() < span {
                    lmtp.deliver(&format!("user{lane}"), body);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner() as f64 / start.elapsed().as_secs_f64()
}
