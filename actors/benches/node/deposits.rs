//! Deposits a second, of the node and of its store alone.

use super::process::Node;
use super::sip::Sip;
use super::{BODY, Size, fresh, pairs, place, row_of_pairs};
use bytes::Bytes;
use restante::store::{Body, DepositKey, Envelope, Owner, PagerDeposit, Quota, Store};
use restante::time::Timestamp;
use restante_node::archive::Archive;
use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 64;
/// Connections that the deposits are spread over, each with its share of what is in flight.
const CONNECTIONS: usize = 4;
const MAILBOXES: u64 = 1000;

/// Deposits by MESSAGE until the 202, beside the same deposits through the store's trait.
pub fn run(size: &Size) {
    let node = Node::start();
    let folder = place();
    let store = Arc::new(Archive::open(&folder.path().join("store")).unwrap());
    let next = Rc::new(Cell::new(0));
    let ours = || {
        let start = Instant::now();
        let done: u64 = std::thread::scope(|scope| {
            let lanes = [0; CONNECTIONS].map(|_| scope.spawn(|| lane(&node, start, size.span)));
            lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
        });
        done as f64 / start.elapsed().as_secs_f64()
    };
    let rates = pairs(ours, || alone(&store, size.span, &next));
    row_of_pairs("deposits/s, 64 in flight, MESSAGE to 202", &rates, "of the store alone");
}

/// One connection's deposits: as many more as were answered, in one write.
fn lane(node: &Node, start: Instant, span: Duration) -> u64 {
    let mut sip = Sip::connect(node);
    let body = "x".repeat(BODY);
    let (mut waiting, mut done) = (0, 0);
    loop {
        let more = if start.elapsed() < span { IN_FLIGHT / CONNECTIONS - waiting } else { 0 };
        let mut text = String::new();
        for _ in 0..more {
            let id = fresh("m");
            let number = u64::from_str_radix(&id[1..], 16).unwrap() % MAILBOXES;
            text.push_str(&sip.pager(&format!("user{number}"), &id, &body));
        }
        sip.stream.write_all(text.as_bytes()).unwrap();
        waiting += more;
        if waiting == 0 {
            return done;
        }
        loop {
            let (head, _) = sip.receive();
            assert!(sip.buffer[head].starts_with(b"SIP/2.0 202 "), "a deposit is refused");
            waiting -= 1;
            done += 1;
            if waiting == 0 || sip.used == sip.buffer.len() {
                break;
            }
        }
    }
}

/// Deposits a second through the trait, by as many tasks as are in flight.
fn alone(store: &Arc<Archive>, span: Duration, next: &Rc<Cell<u64>>) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let from = next.get();
    let start = Instant::now();
    let tasks = tokio::task::LocalSet::new();
    for _ in 0..IN_FLIGHT {
        let (store, next) = (store.clone(), next.clone());
        tasks.spawn_local(async move {
            while start.elapsed() < span {
                let number = next.replace(next.get() + 1);
                assert!(!store.deposit(deposit(number)).await.unwrap().repeated);
            }
        });
    }
    runtime.block_on(tasks);
    (next.get() - from) as f64 / start.elapsed().as_secs_f64()
}

/// What the node makes of such a MESSAGE.
fn deposit(number: u64) -> PagerDeposit {
    let id = format!("m{number:08x}");
    PagerDeposit {
        owner: Owner::new(format!("user{}", number % MAILBOXES).as_bytes(), "example.com"),
        sender: Owner::new(b"alice", "example.org"),
        key: DepositKey { call_id: id.clone().into(), from_tag: id.clone().into(), cseq: 1 },
        envelope: Envelope {
            from: format!("<sip:alice@example.org>;tag={id}").into(),
            to: format!("<sip:user{}@example.com>", number % MAILBOXES).into(),
            subject: Some(Bytes::from_static(b"carpool tomorrow?")),
            date: Bytes::from_static(b"Sun, 09 Jul 2000 21:23:01 GMT"),
            priority: None,
            content: vec![(Bytes::from_static(b"Content-Type"), Bytes::from_static(b"text/plain"))],
            expires: None,
            text: true,
            urgent: false,
        },
        body: Body::Inline(vec![b'x'; BODY].into()),
        quota: Quota::shared(10_000, 1 << 30, 80, 100, 1 << 16),
        now: Timestamp(1_700_000_000_000 + number),
        ends: Timestamp(1_702_592_000_000 + number),
        remember: Duration::from_secs(7 * 86_400),
    }
}
