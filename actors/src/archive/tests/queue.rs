//! Many at once: order, group commit, the bound of the queue, the end.

use std::sync::mpsc::channel;

use restante::store::{ListQuery, Quota, Store, StoreError};

use super::*;
use crate::archive::Limits;

#[test]
fn deposits_of_one_batch_see_each_other() {
    let place = place();
    let store = open(&place);
    let quota = Quota { items: 60, ..Quota::default() };
    let deposit = |number: u32| {
        // Every Call-ID comes twice, one of them is a repetition.
        let key = key(&format!("c{}", number % 50), "t", 1);
        store.deposit(PagerDeposit { quota, ..pager(key, "x") })
    };
    let answers: Vec<_> = (0..100).map(deposit).collect();
    let outcomes: Vec<_> = answers.into_iter().map(|answer| wait(answer).unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|deposited| deposited.repeated).count(), 50);
    let sequences: Vec<_> = outcomes.iter().take(50).map(|deposited| deposited.sequence).collect();
    assert_eq!(sequences, (1..=50).collect::<Vec<u64>>());
    let same: Vec<_> = (0..20)
        .map(|tag| store.deposit(PagerDeposit { quota, ..pager(key("c", &tag.to_string(), 7), "x") }))
        .collect();
    let (kept, refused): (Vec<_>, Vec<_>) = same.into_iter().map(wait).partition(Result::is_ok);
    assert_eq!(kept.len(), 10);
    assert!(refused.iter().all(|outcome| *outcome == Err(StoreError::QuotaItems { limit: 60 })));
    assert_eq!(kept[9].as_ref().unwrap().message_id, id("c~7~9"));
    assert_eq!(wait(store.counts(bob())).unwrap().items, 60);
}

#[test]
fn threads_that_deposit_and_read_at_once_lose_nothing() {
    let place = place();
    let store = Arc::new(open(&place));
    let deposit = |thread: usize| {
        let store = store.clone();
        move || {
            for number in 0..100 {
                let name = format!("{thread}-{number}");
                wait(store.deposit(pager(key(&name, "t", 1), name.clone()))).unwrap();
                let item = wait(store.open(bob(), id(&name))).unwrap().unwrap();
                assert_eq!(bodies(&*store, &item), [name]);
            }
        }
    };
    let threads: Vec<_> = (0..4).map(|thread| std::thread::spawn(deposit(thread))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let heads = wait(store.list(bob(), ListQuery::default())).unwrap();
    assert_eq!(heads.iter().map(|head| head.sequence).collect::<Vec<_>>(), (1..=400).collect::<Vec<u64>>());
}

#[test]
fn a_full_queue_refuses_and_what_was_queued_is_done() {
    let place = place();
    let store = open(&place);
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    // The sender's end closes the channel, so that it holds up the writer only once.
    store.on_change(Arc::new(move |_| {
        let _ = released.lock().unwrap().recv();
    }));
    let waiting = store.deposit(pager(key("first", "t", 1), "x"));
    let refused = (0..20_000).any(|number| {
        let mut answer = store.remove_subscription(bob(), number.to_string().into());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match answer.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcome) => outcome == Err(StoreError::Busy),
            std::task::Poll::Pending => false,
        }
    });
    assert!(refused);
    // The end finds no room either, and waits for it.
    let end = store.close();
    drop(release);
    assert!(!wait(waiting).unwrap().repeated);
    wait(end).unwrap();
}

#[test]
fn the_end_finishes_what_was_asked_and_refuses_what_comes() {
    let place = place();
    let store = open(&place);
    let before: Vec<_> = (0..100).map(|n| store.deposit(pager(key(&n.to_string(), "t", 1), "x"))).collect();
    wait(store.close()).unwrap();
    assert!(before.into_iter().map(wait).all(|outcome| outcome.is_ok()));
    let refused = |outcome: Result<(), StoreError>| matches!(outcome, Err(StoreError::Unavailable(_)));
    assert!(refused(wait(store.deposit(pager(key("late", "t", 1), "x"))).map(drop)));
    assert!(refused(wait(store.counts(bob())).map(drop)));
    drop(store);
    assert_eq!(wait(open(&place).counts(bob())).unwrap().items, 100);
}

#[test]
fn an_answer_nobody_waits_for_does_not_take_the_deposit_back() {
    let place = place();
    let store = open(&place);
    drop(store.deposit(pager(key("a", "t", 1), "x")));
    wait(store.close()).unwrap();
    drop(store);
    assert!(wait(open(&place).open(bob(), id("a"))).unwrap().is_some());
}

#[test]
fn a_second_user_of_the_directory_is_refused_by_name() {
    let place = place();
    let store = open(&place);
    let directory = place.path().display().to_string();
    let error = Archive::open(place.path()).err().unwrap();
    assert_eq!(error, StoreError::Locked { directory: directory.clone() });
    assert!(error.to_string().contains(&directory));
    drop(store);
    open(&place);
}

#[test]
fn a_directory_given_free_opens_again_while_other_processes_are_started() {
    let place = place();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    // Between its fork and its exec a child shares every open file, a lock too.
    let starter = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            std::process::Command::new("true").status().unwrap();
        }
    });
    let failed = (0..60).find_map(|_| Archive::open(place.path()).err());
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    starter.join().unwrap();
    assert_eq!(failed, None);
}

#[test]
fn limits_are_obeyed() {
    let place = place();
    let limits = Limits { queue: 2, batch: 1, batch_bytes: 1 };
    let store = Archive::open_with(place.path(), limits).unwrap();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let told = Arc::new(Mutex::new(0));
    let counter = told.clone();
    store.on_change(Arc::new(move |_| {
        *counter.lock().unwrap() += 1;
        let _ = released.lock().unwrap().recv();
    }));
    let first = store.deposit(pager(key("first", "t", 1), "x"));
    until(|| *told.lock().unwrap() == 1);
    // The writer is held up: two wait, the third is refused.
    let [second, third, fourth] =
        ["2", "3", "4"].map(|call_id| store.deposit(pager(key(call_id, "t", 1), "x")));
    assert_eq!(wait(fourth), Err(StoreError::Busy));
    // A batch holds one operation: each is told of by itself.
    release.send(()).unwrap();
    wait(first).unwrap();
    until(|| *told.lock().unwrap() == 2);
    release.send(()).unwrap();
    wait(second).unwrap();
    drop(release);
    wait(third).unwrap();
}
