//! What has gone costs nobody anything: who looks walks over it once, and begins behind it from then on.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use restante::store::memory::Memory;
use restante::store::{After, ItemHead, ItemState, ListQuery, Store, SubscriptionRecord};

use super::*;
use crate::archive::desk::Desk;
use crate::archive::keys::{self, Key};
use crate::archive::transaction::Transaction;
use crate::archive::tree::{Durable, Tree};

const SOON: Timestamp = Timestamp(5000);
const LATE: Timestamp = Timestamp(90_000);

/// Bob gets so many items that end at that time.
fn items(store: &Archive, name: &str, many: usize, ends: Timestamp) {
    let deposit = |number| {
        let deposit = pager(key(&format!("{name}{number}"), "t", 1), "x");
        store.deposit(PagerDeposit { ends, ..deposit })
    };
    let deposits: Vec<_> = (0..many).map(deposit).collect();
    deposits.into_iter().for_each(|deposited| drop(wait(deposited).unwrap()));
}

fn expire(store: &Archive, now: Timestamp) {
    while wait(store.expire(now, 256)).unwrap().more {}
}

const NEW: ListQuery = ListQuery { state: Some(ItemState::New), after: None, limit: 100 };
const ALL: ListQuery = ListQuery { state: None, after: None, limit: 100 };

/// What is listed, in a summary and by itself, and how many sequences were walked over in vain for each of both.
fn look(store: &Archive, query: ListQuery) -> (Vec<ItemHead>, u64, u64) {
    let passed = || store.reader.tree.passed.swap(0, Ordering::Relaxed);
    passed();
    let told = wait(store.summary(bob(), Some(query))).unwrap().items;
    let first = passed();
    let listed = wait(store.list(bob(), query)).unwrap();
    assert_eq!(listed, told);
    (listed, first, passed())
}

#[track_caller]
fn assert_look(store: &Archive, query: ListQuery, sequences: &[u64], first: u64, then: u64) {
    let (heads, walked, again) = look(store, query);
    assert_eq!(heads.iter().map(|head| head.sequence).collect::<Vec<_>>(), sequences);
    assert_eq!((walked, again), (first, then));
}

#[test]
fn a_mailbox_that_has_been_emptied_is_not_walked_through() {
    let place = place();
    let store = open(&place);
    items(&store, "soon", 200, SOON);
    expire(&store, SOON);
    for query in [NEW, ALL] {
        assert_look(&store, query, &[], 0, 0);
    }
    drop(store);
    assert_look(&open(&place), NEW, &[], 0, 0);
}

#[test]
fn what_has_ended_is_walked_over_once() {
    let place = place();
    let store = open(&place);
    // Between the kept ones as well as before and behind them.
    items(&store, "before", 100, SOON);
    items(&store, "one", 1, LATE);
    items(&store, "between", 200, SOON);
    items(&store, "two", 1, LATE);
    items(&store, "behind", 50, SOON);
    assert_eq!(look(&store, ListQuery { limit: 1000, ..NEW }).0.len(), 352);
    expire(&store, SOON);
    // Sequences begin with 1; behind the last one that is counted nobody walks.
    for query in [NEW, ALL] {
        assert_look(&store, query, &[101, 302], 301, 0);
        assert_look(&store, ListQuery { after: Some(101), ..query }, &[302], 50, 0);
        assert_look(&store, ListQuery { after: Some(150), ..query }, &[302], 0, 0);
        assert_look(&store, ListQuery { after: Some(302), ..query }, &[], 0, 0);
    }
    // More come and go: only they are walked over.
    items(&store, "more", 60, SOON);
    items(&store, "three", 1, LATE);
    expire(&store, SOON);
    assert_look(&store, NEW, &[101, 302, 413], 60, 0);
    wait(store.delete(bob(), id("two0"))).unwrap();
    assert_look(&store, NEW, &[101, 413], 1, 1);
    drop(store);
    let store = open(&place);
    assert_look(&store, NEW, &[101, 413], 412, 0);
}

#[test]
fn what_has_been_retrieved_and_is_kept_is_walked_over_once_by_who_looks_for_new_items() {
    let place = place();
    let store = open(&place);
    items(&store, "old", 300, LATE);
    items(&store, "new", 1, LATE);
    let ids = (0..300).map(|number| id(&format!("old{number}"))).collect();
    assert_eq!(wait(store.retrieved_all(bob(), ids, After::Keep)).unwrap().len(), 300);
    assert_look(&store, NEW, &[301], 301, 0);
    let old: Vec<_> = (1..=100).collect();
    assert_look(&store, ListQuery { state: Some(ItemState::Old), ..NEW }, &old, 1, 1);
    assert_look(&store, ALL, &old, 1, 1);
    wait(store.retrieved(bob(), id("new0"), After::Keep)).unwrap();
    assert_look(&store, NEW, &[], 0, 0);
}

#[test]
fn sequences_that_may_be_given_again_are_not_passed_over() {
    let place = place();
    let store = open(&place);
    items(&store, "soon", 100, SOON);
    items(&store, "last", 1, LATE);
    expire(&store, Timestamp(20_000));
    assert_look(&store, NEW, &[101], 101, 0);
    assert_look(&store, ListQuery { after: Some(101), ..NEW }, &[], 0, 0);
    expire(&store, LATE);
    // Nothing is left that would tell which sequences were given.
    let ledger = (keys::ledger(keys::MailboxId(1)), Some(b"nonsense".to_vec().into()));
    store.reader.tree.commit([ledger].into_iter(), Durable::First).unwrap();
    drop(store);
    let store = open(&place);
    store.reader.tree.gaps().note(
        keys::MailboxId(1),
        crate::archive::gaps::Sought::New,
        std::slice::from_ref(&(0..102)),
    );
    items(&store, "again", 1, Timestamp(u64::MAX));
    assert_look(&store, NEW, &[1], 1, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Stretches of items go, or become old, in any order: whatever is walked past, the model lists the same.
    #[test]
    fn nothing_that_is_there_is_walked_past(
        steps in prop::collection::vec((0..4u8, 0..300usize, 1..90usize, 1..20usize), 1..14)
    ) {
        let place = place();
        let (store, model) = (open(&place), Memory::new());
        let both: [&dyn Store; 2] = [&store, &model];
        let mut deposited = 0;
        for (step, at, many, limit) in steps {
            let ids = (at..at + many).map(|number| id(&number.to_string())).collect();
            match step {
                0 => {
                    let calls = deposited..deposited + many;
                    let answers = both.map(|store| {
                        let deposit = |number: usize| store.deposit(pager(key(&number.to_string(), "t", 1), "x"));
                        let answers: Vec<_> = calls.clone().map(deposit).collect();
                        answers.into_iter().map(|answer| wait(answer).unwrap().sequence).collect::<Vec<_>>()
                    });
                    prop_assert_eq!(&answers[0], &answers[1]);
                    deposited += many;
                }
                _ => {
                    let after = if step == 1 { After::Keep } else { After::Delete };
                    let answers = both.map(|store| wait(store.retrieved_all(bob(), Vec::clone(&ids), after)));
                    prop_assert_eq!(&answers[0], &answers[1]);
                }
            }
            for state in [None, Some(ItemState::New), Some(ItemState::Old)] {
                for after in [None, Some(at as u64), Some((at + many) as u64)] {
                    let query = ListQuery { state, after, limit };
                    let [ours, theirs] = both.map(|store| wait(store.list(bob(), query)).unwrap());
                    prop_assert_eq!(&ours, &theirs);
                    let told = wait(store.summary(bob(), Some(query))).unwrap();
                    prop_assert_eq!((told.items, told.counts), (theirs, wait(model.counts(bob())).unwrap()));
                }
            }
        }
    }
}

/// A tree and a desk, as the writer has them, and what is done with them.
struct Bench {
    tree: Tree,
    desk: Desk,
}

impl Bench {
    fn new(place: &TempDir) -> Self {
        Self { tree: Tree::open(place.path()).unwrap(), desk: Desk::new(1) }
    }

    fn batch<T>(&mut self, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let mut transaction = Transaction::new(&self.tree, &mut self.desk);
        let outcome = work(&mut transaction);
        transaction.commit(Durable::First).unwrap();
        outcome
    }

    fn subscribe(&mut self, name: &str, expires: u64) {
        let (key, record) = (Bytes::copy_from_slice(name.as_bytes()), Bytes::new());
        let record = SubscriptionRecord { owner: bob(), key, record, expires: Timestamp(expires) };
        self.batch(|it| it.put_subscription(record)).unwrap();
    }

    /// How much had ended by then.
    fn expire(&mut self, now: u64) -> usize {
        let mut ended = 0;
        loop {
            let step = self.batch(|it| it.operation(|it| it.expire(Timestamp(now), 2))).unwrap();
            ended += step.removed;
            if !step.more {
                return ended;
            }
        }
    }

    /// Where the next look begins, as a time.
    fn begins(&self) -> Option<u64> {
        keys::time_of(self.desk.ends.first())
    }
}

#[test]
fn ends_are_looked_for_behind_those_that_have_come() {
    let place = place();
    let mut bench = Bench::new(&place);
    for end in [1000, 30_000, 60_000, 90_000] {
        bench.subscribe(&end.to_string(), end);
    }
    assert_eq!(bench.begins(), None, "nobody has looked");
    assert_eq!((bench.expire(60_000), bench.begins()), (3, Some(60_001)));
    assert_eq!((bench.expire(30_000), bench.begins()), (0, Some(60_001)), "a clock that was put back");
    bench.subscribe("early", 500);
    assert_eq!((bench.begins(), bench.expire(60_000), bench.begins()), (Some(500), 1, Some(60_001)));
    bench.desk.clear();
    assert_eq!(bench.begins(), None, "nobody knows what the disk holds");
    assert_eq!((bench.expire(90_000), bench.begins()), (1, Some(90_001)));
}

#[test]
fn an_end_in_the_batch_that_looks_is_found_by_the_next() {
    let place = place();
    let mut bench = Bench::new(&place);
    bench.subscribe("one", 30_000);
    bench.expire(100);
    let (key, record) = (Bytes::from_static(b"late"), Bytes::new());
    let record = SubscriptionRecord { owner: bob(), key, record, expires: Timestamp(50) };
    bench.batch(|it| {
        it.put_subscription(record).unwrap();
        for _ in 0..2 {
            assert_eq!(it.operation(|it| it.expire(Timestamp(200), 2)).unwrap().removed, 0);
        }
    });
    assert_eq!((bench.begins(), bench.expire(200), bench.begins()), (Some(50), 1, Some(201)));
}

#[test]
fn ends_that_cannot_be_read_are_looked_for_again() {
    let place = place();
    let mut bench = Bench::new(&place);
    bench.subscribe("one", 1000);
    bench.tree.unreadable.store(true, Ordering::Relaxed);
    bench.batch(|it| it.operation(|it| it.expire(Timestamp(2000), 2))).unwrap();
    bench.tree.unreadable.store(false, Ordering::Relaxed);
    assert_eq!((bench.begins(), bench.expire(2000), bench.begins()), (Some(1000), 1, Some(2001)));
}

#[test]
fn what_remains_of_items_is_looked_for_behind_what_is_gone() {
    let place = place();
    let mut bench = Bench::new(&place);
    let mailbox = keys::MailboxId(1);
    let first = |bench: &Bench| bench.desk.remains.first().clone();
    assert_eq!(bench.expire(1), 0);
    assert_eq!(first(&bench), keys::behind(keys::REMAINS));
    bench.batch(|it| it.remove_messages(mailbox, 7, 10)).unwrap();
    assert_eq!(first(&bench), keys::remains(mailbox, 7));
    assert_eq!(bench.expire(1), 0);
    assert_eq!(first(&bench), keys::behind(keys::REMAINS));
    assert_eq!(bench.tree.moment().prefix(&keys::REMAINS).count(), 0);
    // One that is still being removed is where the next look begins.
    bench.batch(|it| {
        it.remove_messages(mailbox, 8, 2000).unwrap();
        for index in 0..2000 {
            it.put(keys::message(keys::MessageKey { mailbox, bundle: 8, index }), b"x".to_vec().into());
        }
    });
    assert!(bench.batch(|it| it.remove_remains(100)).unwrap());
    assert_eq!(first(&bench), Key::from(keys::remains(mailbox, 8)));
    while bench.batch(|it| it.remove_remains(1000)).unwrap() {}
    assert_eq!(bench.tree.moment().prefix(&keys::MESSAGES).count(), 0);
    assert_eq!(first(&bench), keys::behind(keys::REMAINS));
}
