//! The load that the benchmarks of the store put on it: deposits of 200 bytes, so many in flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use restante::store::{Body, DepositKey, Envelope, Owner, PagerDeposit, Quota};
use restante::time::Timestamp;

/// How many mailboxes the deposits go to.
pub const MAILBOXES: u64 = 1000;

/// The middle one.
pub fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Keeps `in_flight` operations going for `span`, and gives how many ended in a second.
pub async fn rate<F: Future<Output = ()>>(
    in_flight: usize,
    span: Duration,
    next: &mut u64,
    operation: impl Fn(u64) -> F,
) -> f64 {
    let counter = std::cell::Cell::new(*next);
    let done = std::cell::Cell::new(0u64);
    let start = Instant::now();
    let lane = async || {
        while start.elapsed() < span {
            let number = counter.get();
            counter.set(number + 1);
            operation(number).await;
            done.set(done.get() + 1);
        }
    };
    let lanes = tokio::task::LocalSet::new();
    lanes.run_until(join_all((0..in_flight).map(|_| Box::pin(lane())))).await;
    *next = counter.get();
    done.get() as f64 / start.elapsed().as_secs_f64()
}

/// Waits for all of the futures, and polls only those that were woken.
async fn join_all<F: Future<Output = ()>>(futures: impl Iterator<Item = std::pin::Pin<Box<F>>>) {
    let mut lanes: Vec<Option<Lane<F>>> = futures.map(|future| Some(Lane::new(future))).collect();
    std::future::poll_fn(move |context| {
        let mut left = false;
        for slot in &mut lanes {
            if slot.as_mut().is_some_and(|lane| lane.poll(context)) {
                *slot = None;
            }
            left |= slot.is_some();
        }
        if left { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}

struct Lane<F> {
    future: std::pin::Pin<Box<F>>,
    flag: Arc<Flag>,
}

struct Flag {
    woken: std::sync::atomic::AtomicBool,
    task: std::sync::Mutex<Option<std::task::Waker>>,
}

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, std::sync::atomic::Ordering::Release);
        if let Some(task) = self.task.lock().unwrap().as_ref() {
            task.wake_by_ref();
        }
    }
}

impl<F: Future<Output = ()>> Lane<F> {
    fn new(future: std::pin::Pin<Box<F>>) -> Self {
        let flag = Flag { woken: true.into(), task: std::sync::Mutex::default() };
        Self { future, flag: Arc::new(flag) }
    }

    fn poll(&mut self, context: &std::task::Context<'_>) -> bool {
        *self.flag.task.lock().unwrap() = Some(context.waker().clone());
        if !self.flag.woken.swap(false, std::sync::atomic::Ordering::AcqRel) {
            return false;
        }
        let waker = self.flag.clone().into();
        self.future.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_ready()
    }
}

/// Whose mailbox a deposit of this number goes to.
pub fn owner(number: u64) -> Owner {
    Owner::new(format!("user{}", number % MAILBOXES).as_bytes(), "example.com")
}

/// A deposit of 200 bytes with about 300 of what is kept beside them.
pub fn deposit(owner: Owner, number: u64) -> PagerDeposit {
    let call_id = format!("{number:016x}b1946ac92492d2347c6235b4@alicepc.example.org");
    PagerDeposit {
        owner,
        sender: Owner::new(b"alice", "example.org"),
        key: DepositKey { call_id: call_id.into(), from_tag: Bytes::from_static(b"88sja8x"), cseq: 1 },
        envelope: Envelope {
            from: Bytes::from_static(b"\"Alice\" <sip:alice@example.org>;tag=88sja8x"),
            to: Bytes::from_static(b"\"Bob\" <sip:bob@example.com>"),
            subject: Some(Bytes::from_static(b"carpool tomorrow?")),
            date: Bytes::from_static(b"Sun, 09 Jul 2000 21:23:01 GMT"),
            priority: Some(Bytes::from_static(b"normal")),
            content: vec![(Bytes::from_static(b"Content-Type"), Bytes::from_static(b"text/plain"))],
            expires: None,
            text: true,
            urgent: false,
        },
        body: Body::Inline(vec![b'x'; 200].into()),
        quota: Quota { items: 1 << 40, bytes: 1 << 60, ..Quota::default() },
        now: Timestamp(1_700_000_000_000 + number),
        ends: Timestamp(1_700_600_000_000 + number),
        remember: Duration::from_secs(86_400),
    }
}
