//! The store alone, through its trait, and its engine alone: what a node's deposits can come to at most.

use crate::bare::Bare;
use crate::{number, place};
use bytes::Bytes;
use restante::store::{Body, DepositKey, Envelope, Owner, PagerDeposit, Quota, Store};
use restante::time::Timestamp;
use restante_node::archive::Archive;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const MAILBOXES: u64 = 1000;

pub struct Alone {
    pub store: Arc<Archive>,
    pub folder: TempDir,
}

impl Alone {
    pub fn open() -> Self {
        let folder = place();
        // Where a node keeps its own: `start` goes on with it.
        Self { store: Arc::new(Archive::open(&folder.path().join("data")).unwrap()), folder }
    }

    /// Deposits a second by as many tasks as are in flight, for `span` or up to `most`.
    pub fn rate(&self, in_flight: usize, body: usize, span: Duration, most: u64) -> f64 {
        let (store, content) = (self.store.clone(), Bytes::from(vec![b'x'; body]));
        rate(in_flight, span, most, move || {
            let answer = store.deposit(deposit(number(), content.clone()));
            async move { assert!(!answer.await.unwrap().repeated) }
        })
    }
}

/// The engine under the store, with one bare record for each deposit and nothing else.
pub struct Engine {
    bare: Rc<Bare>,
    _folder: TempDir,
}

impl Engine {
    pub fn open() -> Self {
        let folder = place();
        Self { bare: Rc::new(Bare::engine(&folder.path().join("bare"))), _folder: folder }
    }

    /// Records a second, as [`Alone::rate`].
    pub fn rate(&self, in_flight: usize, span: Duration) -> f64 {
        let bare = self.bare.clone();
        rate(in_flight, span, u64::MAX, move || bare.write(number()))
    }
}

/// How often `act` is done a second by as many tasks as are in flight, for `span` or up to `most`.
fn rate<F: Future<Output = ()> + 'static>(
    in_flight: usize,
    span: Duration,
    most: u64,
    act: impl Fn() -> F + Clone + 'static,
) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let done = Rc::new(Cell::new(0));
    let start = Instant::now();
    let tasks = tokio::task::LocalSet::new();
    for _ in 0..in_flight {
        let (act, done) = (act.clone(), done.clone());
        tasks.spawn_local(async move {
            while start.elapsed() < span && done.get() < most {
                done.set(done.get() + 1);
                act().await;
            }
        });
    }
    runtime.block_on(tasks);
    done.get() as f64 / start.elapsed().as_secs_f64()
}

/// What the node makes of a MESSAGE of the load.
fn deposit(number: u64, body: Bytes) -> PagerDeposit {
    let id = format!("m{number:08x}");
    let user = format!("user{:06}", number % MAILBOXES);
    PagerDeposit {
        owner: Owner::new(user.as_bytes(), "example.com"),
        sender: Owner::new(b"alice", "example.org"),
        key: DepositKey { call_id: id.clone().into(), from_tag: format!("t{number:08x}").into(), cseq: 1 },
        envelope: Envelope {
            from: format!("<sip:alice@example.org>;tag=t{number:08x}").into(),
            to: format!("<sip:{user}@example.com>").into(),
            subject: Some(Bytes::from_static(b"carpool tomorrow?")),
            date: Bytes::from_static(b"Sun, 09 Jul 2000 21:23:01 GMT"),
            priority: None,
            content: vec![(Bytes::from_static(b"Content-Type"), Bytes::from_static(b"text/plain"))],
            expires: None,
            text: true,
            urgent: false,
        },
        body: Body::Inline(body),
        quota: Quota::default(),
        now: now(),
        ends: Timestamp(now().0 + 30 * 86_400_000),
        remember: Duration::from_secs(7 * 86_400),
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}
