//! Faults strike as planned, the same way for the same seed, and leave what is kept alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::store::memory::Memory;
use crate::store::{DepositKey, Envelope};

fn poll<T>(answer: &mut Answer<T>) -> Poll<Result<T, StoreError>> {
    answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn now<T>(mut answer: Answer<T>) -> Result<T, StoreError> {
    match poll(&mut answer) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the answer is late"),
    }
}

fn bob() -> Owner {
    Owner::new(b"bob", "example.com")
}

fn pager(number: u64) -> PagerDeposit {
    PagerDeposit {
        owner: bob(),
        sender: Owner::default(),
        key: DepositKey { call_id: number.to_string().into(), from_tag: Bytes::new(), cseq: 1 },
        envelope: Envelope::default(),
        body: Body::Inline(Bytes::from_static(b"x")),
        quota: Quota::default(),
        now: Timestamp(0),
        ends: Timestamp(u64::MAX),
        remember: Duration::ZERO,
    }
}

fn outcomes(seed: u64) -> Vec<Result<bool, StoreError>> {
    let plan = Plan { busy: 100, unavailable: 100, lost: 100, ..Plan::default() };
    let store = Faulty::new(Memory::new(), plan, seed);
    (0..200).map(|number| now(store.deposit(pager(number))).map(|deposited| deposited.repeated)).collect()
}

#[test]
fn the_same_seed_brings_the_same_faults_and_another_brings_others() {
    assert_eq!(outcomes(7), outcomes(7));
    assert_ne!(outcomes(7), outcomes(8));
}

#[test]
fn what_is_refused_was_not_done_and_what_is_lost_was() {
    let memory = Memory::new();
    let plan = Plan { busy: 200, unavailable: 200, lost: 200, ..Plan::default() };
    let store = Faulty::new(memory.clone(), plan, 1);
    let kept = (0..300).filter(|number| now(store.deposit(pager(*number))).is_ok()).count() as u64;
    let struck = store.struck();
    assert_eq!(struck.calls, 300);
    assert!(struck.busy > 20 && struck.unavailable > 20 && struck.lost > 20, "{struck:?}");
    assert_eq!(kept, 300 - struck.busy - struck.unavailable - struck.lost);
    assert_eq!(now(memory.counts(bob())).unwrap().items, kept + struck.lost);
}

#[test]
fn a_late_answer_comes_when_its_ticks_have_passed() {
    let store = Faulty::new(Memory::new(), Plan { late: 1000, late_ticks: 3, ..Plan::default() }, 1);
    let mut answers: Vec<_> = (0..50).map(|number| store.deposit(pager(number))).collect();
    assert_eq!(store.held(), 50);
    let mut left = Vec::new();
    for _ in 0..3 {
        answers.retain_mut(|answer| poll(answer).is_pending());
        left.push(answers.len());
        store.tick();
    }
    assert_eq!((left[0], store.held()), (50, 0));
    assert!(left[1] < 50 && left[2] < left[1] && left[2] > 0, "{left:?}");
    assert!(answers.iter_mut().all(|answer| poll(answer).is_ready()));
    let mut last = store.counts(bob());
    assert!(poll(&mut last).is_pending());
    store.release();
    assert_eq!(now(last).unwrap().items, 50);
}

#[test]
fn a_store_that_breaks_refuses_everything_until_it_is_mended() {
    let store = Faulty::new(Memory::new(), Plan { breaks_at: Some(2), ..Plan::default() }, 1);
    let refused = |number| matches!(now(store.deposit(pager(number))), Err(StoreError::Unavailable(_)));
    assert_eq!([0, 1, 2, 3].map(refused), [false, false, true, true]);
    let staging = store.stage();
    assert!(now(staging.write(0, Bytes::from_static(b"x"))).is_err());
    store.follow(Plan::default());
    assert!(!refused(4));
    assert_eq!(now(store.counts(bob())).unwrap().items, 3);
}
