//! Retrieval of small messages: one, 100 and 1000 by a list, each acknowledged; beside IMAP's FETCH, which
//! acknowledges none, and msilo's dump on REGISTER.

use crate::board::{Board, Row};
use crate::client::flood::{Load, Transport, fill};
use crate::client::imap::Imap;
use crate::client::sip::{Call, Sip};
use crate::contest::Contest;
use crate::process::Node;
use crate::rival::dovecot::Dovecot;
use crate::rival::kamailio::Kamailio;
use crate::size::Size;
use crate::{BODY, fresh, number};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

pub fn run(size: &Size, board: &mut Board) {
    let node = Node::start();
    let sip = RefCell::new(Sip::connect(&node));
    one(size, board, &sip);
    hundred(size, board, &sip);
    long(size, board, &sip);
    first_byte(size, board, &sip);
}

/// The body of an INVITE that names these items.
pub fn resource_list(ids: &[String]) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>",
    );
    ids.iter().for_each(|id| write!(xml, "<entry uri=\"sip:{id}@mailserver.example.com\"/>").unwrap());
    xml + "</list></resource-lists>"
}

/// An accepted INVITE for these items, whose connection has said nothing yet.
fn selection(sip: &mut Sip, ids: &[String]) -> Call {
    sip.call("bob", "sip:mailserver.example.com", Some(&resource_list(ids)))
}

/// From the client's first SEND until the node's BYE; gives the whole call too.
pub fn retrieved(sip: &mut Sip, ids: &[String], bytes: usize) -> (Duration, Call) {
    let mut call = selection(sip, ids);
    let start = Instant::now();
    call.msrp.begin();
    assert!(call.msrp.take(ids.len()) >= ids.len() * bytes, "all of it came");
    (sip.wait_bye().duration_since(start), call)
}

fn one(size: &Size, board: &mut Board, sip: &RefCell<Sip>) {
    let mut sip = sip.borrow_mut();
    let mut took = Vec::new();
    for _ in 0..size.list / 5 {
        let id = sip.stock("bob", 1).remove(0);
        let mut call = sip.call("bob", &format!("sip:{id}@mailserver.example.com"), None);
        call.msrp.begin();
        assert!(call.msrp.take(1) >= BODY);
        took.push(sip.wait_bye().duration_since(call.invited).as_secs_f64() * 1000.0);
    }
    board.row(Row::new("one message retrieved, INVITE to BYE", "ms", &took));
}

fn hundred(size: &Size, board: &mut Board, sip: &RefCell<Sip>) {
    const COUNT: usize = 100;
    let dovecot = Dovecot::start();
    let retrieve = || {
        let mut sip = sip.borrow_mut();
        let rates: Vec<f64> = (0..size.list / 50)
            .map(|_| {
                let ids = sip.stock("bob", COUNT);
                COUNT as f64 / retrieved(&mut sip, &ids, BODY).0.as_secs_f64()
            })
            .collect();
        crate::contest::spread(&rates)[1]
    };
    let mut contest = Contest::new(retrieve);
    match &dovecot {
        Some(dovecot) => {
            dovecot.stock("bob", COUNT, BODY);
            let mut imap = Imap::select(dovecot.imap, "bob");
            contest = contest.at_least(1.0, "Dovecot, FETCH of 100 of a selected mailbox", move || {
                let rates: Vec<f64> = (0..size.list / 50)
                    .map(|_| {
                        let start = Instant::now();
                        assert!(imap.fetch(COUNT) >= COUNT * BODY);
                        COUNT as f64 / start.elapsed().as_secs_f64()
                    })
                    .collect();
                crate::contest::spread(&rates)[1]
            });
        }
        None => board.note("Dovecot is not installed here, or may not be started: no FETCH to compare with."),
    }
    let what = "list of 100 retrieved, from the first SEND to the BYE";
    board.row(contest.run(size.rounds, what, "messages/s"));
}

fn long(size: &Size, board: &mut Board, sip: &RefCell<Sip>) {
    let inbox = UdpSocket::bind("127.0.0.1:0").unwrap();
    inbox.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let rivals = Kamailio::all(inbox.local_addr().unwrap());
    if rivals.is_empty() {
        board.note("Kamailio with msilo and a database is not installed here: no dump to compare with.");
    }
    let mut contest = Contest::new(|| {
        let mut sip = sip.borrow_mut();
        let ids = sip.stock("bob", size.list);
        let call = retrieved(&mut sip, &ids, BODY).1;
        size.list as f64 / call.invited.elapsed().as_secs_f64()
    });
    for rival in &rivals {
        let inbox = &inbox;
        contest = contest.beside(&format!("{}, dump on REGISTER", rival.name()), move || {
            size.list as f64 / dump(rival, inbox, size.list).as_secs_f64()
        });
    }
    let what = format!("list of {} retrieved, INVITE to BYE", size.list);
    board.row(contest.run(size.rounds, &what, "messages/s"));
}

/// How long msilo needs to hand over `count` messages that it has just stored for a new user.
fn dump(rival: &Kamailio, inbox: &UdpSocket, count: usize) -> Duration {
    let user = 500_000 + number() % 400_000;
    let mut load = Load::new(Transport::Udp, 1, 16, BODY);
    load.users = (user, 1);
    fill(rival.addr, &load, count);
    let (here, call) = (inbox.local_addr().unwrap(), fresh("r"));
    let register = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:user{user:06}@example.com>;tag={call}\r\nTo: <sip:user{user:06}@example.com>\r\n\
         Call-ID: {call}\r\nCSeq: 1 REGISTER\r\nContact: <sip:user{user:06}@{here}>\r\nExpires: 600\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let start = Instant::now();
    inbox.send_to(register.as_bytes(), rival.addr).unwrap();
    let (mut buffer, mut came) = (vec![0; 65536], rustc_hash::FxHashSet::default());
    while came.len() < count {
        let (length, from) = inbox.recv_from(&mut buffer).expect("the dump comes");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !text.starts_with("MESSAGE ") {
            continue;
        }
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        for line in text.split("\r\n").take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap();
            if ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name) {
                write!(answer, "{line}\r\n").unwrap();
            }
            if name == "Call-ID" {
                came.insert(line.to_owned());
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        inbox.send_to(answer.as_bytes(), from).unwrap();
    }
    start.elapsed()
}

/// From the INVITE until the first byte of the first message has come.
fn first_byte(size: &Size, board: &mut Board, sip: &RefCell<Sip>) {
    let mut sip = sip.borrow_mut();
    let took: Vec<f64> = (0..size.rounds * 3)
        .map(|_| {
            let ids = sip.stock("bob", size.list);
            let mut call = selection(&mut sip, &ids);
            call.msrp.begin();
            assert!(call.msrp.take_chunk() >= BODY);
            let first = call.invited.elapsed().as_secs_f64() * 1000.0;
            call.msrp.take(ids.len() - 1);
            sip.wait_bye();
            first
        })
        .collect();
    let what = format!("list of {}, INVITE to the first message", size.list);
    board.row(Row::new(&what, "ms", &took).at_most(20.0));
}
