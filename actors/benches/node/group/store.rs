//! The store alone, through its trait: what a node's deposits can come to at most.

use crate::{number, place};
use bytes::Bytes;
use restante::store::{Body, DepositKey, Envelope, Owner, PagerDeposit, Quota, Store};
use restante::time::Timestamp;
use restante_node::archive::Archive;
use std::cell::Cell;
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
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let done = std::rc::Rc::new(Cell::new(0));
        let start = Instant::now();
        let tasks = tokio::task::LocalSet::new();
        let content = Bytes::from(vec![b'x'; body]);
        for _ in 0..in_flight {
            let (store, done, content) = (self.store.clone(), done.clone(), content.clone());
            tasks.spawn_local(async move {
                while start.elapsed() < span && done.get() < most {
                    done.set(done.get() + 1);
                    assert!(!store.deposit(deposit(number(), content.clone())).await.unwrap().repeated);
                }
            });
        }
        runtime.block_on(tasks);
        done.get() as f64 / start.elapsed().as_secs_f64()
    }
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
