//! Ids, idempotency, quota, sessions, expiry, changes.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use restante::store::{
    After, Counts, ItemKind, ItemState, ListQuery, Overview, Quota, Store, StoreError, SubscriptionRecord,
    Tally,
};

use super::*;

#[test]
fn a_deposit_comes_back_as_it_went_in_and_outlives_the_process() {
    let place = place();
    let store = open(&place);
    let deposited = wait(store.deposit(pager(key("a@b", "t", 1), "hello"))).unwrap();
    assert_eq!((deposited.message_id, deposited.repeated, deposited.sequence), (id("a@b"), false, 1));
    let before = wait(store.open(bob(), id("a@b"))).unwrap().unwrap();
    drop(store);
    let store = open(&place);
    let item = wait(store.open(bob(), id("a@b"))).unwrap().unwrap();
    assert_eq!(item, before);
    assert_eq!(item.head.envelope, envelope());
    assert_eq!((item.head.kind, item.head.state), (ItemKind::Pager, ItemState::New));
    assert_eq!((item.head.arrived, item.head.ends), (Timestamp(1000), Timestamp(5000)));
    assert_eq!(bodies(&store, &item), ["hello"]);
    assert_eq!(wait(store.list(bob(), ListQuery::default())).unwrap(), [item.head]);
    assert_eq!(wait(store.open(Owner::new(b"eve", "example.com"), id("a@b"))).unwrap(), None);
}

// proves RFC 3261 8.2.2.2: the same Call-ID, From tag and CSeq are the same request
#[test]
fn the_same_deposit_is_kept_once_even_after_its_item_is_gone() {
    let place = place();
    let store = open(&place);
    let first = wait(store.deposit(pager(key("a", "t", 1), "x"))).unwrap();
    let again = wait(store.deposit(pager(key("a", "t", 1), "x"))).unwrap();
    assert_eq!((again.message_id, again.repeated, again.sequence), (first.message_id, true, 1));
    assert_eq!(again.counts.items, 1);
    wait(store.delete(bob(), id("a"))).unwrap().unwrap();
    drop(store);
    let store = open(&place);
    let again = wait(store.deposit(pager(key("a", "t", 1), "x"))).unwrap();
    assert_eq!((again.message_id, again.repeated), (id("a"), true));
    assert_eq!(wait(store.counts(bob())).unwrap(), Counts::default());
}

#[test]
fn another_senders_deposit_of_the_same_key_is_no_repetition() {
    let place = place();
    let eve = || Owner::new(b"eve", "example.org");
    let deposit = |store: &Archive, sender: Owner| {
        let deposited = wait(store.deposit(PagerDeposit { sender, ..pager(key("a", "t", 7), "x") })).unwrap();
        (deposited.message_id, deposited.repeated)
    };
    let mut store = open(&place);
    assert_eq!(deposit(&store, eve()), (id("a"), false));
    assert_eq!(deposit(&store, alice()), (id("a~7"), false));
    for _ in 0..2 {
        assert_eq!(deposit(&store, eve()), (id("a"), true));
        assert_eq!(deposit(&store, alice()), (id("a~7"), true));
        for id in ["a", "a~7"] {
            wait(store.delete(bob(), super::id(id))).unwrap();
        }
        drop(store);
        store = open(&place);
    }
    // 1000 + 9000: now both are forgotten.
    while wait(store.expire(Timestamp(10_000), 1)).unwrap().more {}
    assert_eq!(deposit(&store, alice()), (id("a"), false));
    assert_eq!(deposit(&store, eve()), (id("a~7"), false));
}

#[test]
fn taken_ids_get_suffixes_and_stay_taken_while_remembered() {
    let place = place();
    let store = open(&place);
    let deposit = |tag, cseq| wait(store.deposit(pager(key("a", tag, cseq), "x"))).unwrap().message_id;
    assert_eq!(deposit("t", 1), id("a"));
    assert_eq!(deposit("t", 2), id("a~2"));
    assert_eq!(deposit("u", 2), id("a~2~2"));
    wait(store.delete(bob(), id("a"))).unwrap().unwrap();
    assert_eq!(deposit("v", 2), id("a~2~3"));
    // 1000 + 9000: now the deposit is forgotten, its id free.
    while wait(store.expire(Timestamp(10_000), 2)).unwrap().more {}
    assert_eq!(deposit("w", 9), id("a"));
    assert_eq!(deposit("x", 2), id("a~2"));
    assert!(!wait(store.deposit(pager(key("a", "u", 2), "x"))).unwrap().repeated);
}

#[test]
fn a_full_mailbox_refuses_items_and_bytes_sessions_included() {
    let place = place();
    let store = open(&place);
    let quota = Quota { items: 2, bytes: 10, ..Quota::default() };
    let deposit = |call_id, body: &'static str| {
        wait(store.deposit(PagerDeposit { quota, ..pager(key(call_id, "t", 1), body) }))
    };
    deposit("a", "12345").unwrap();
    assert_eq!(deposit("b", "123456"), Err(StoreError::QuotaBytes { limit: 10 }));
    let draft = wait(store.open_session(SessionDeposit { quota, ..session(key("s", "t", 1)) })).unwrap();
    wait(store.append(draft, said("1234"))).unwrap();
    assert_eq!(deposit("c", ""), Err(StoreError::QuotaItems { limit: 2 }));
    assert_eq!(wait(store.append(draft, said("12"))), Err(StoreError::QuotaBytes { limit: 10 }));
    wait(store.append(draft, said("1"))).unwrap();
    let refused = wait(store.open_session(SessionDeposit { quota, ..session(key("z", "t", 1)) }));
    assert_eq!(refused, Err(StoreError::QuotaItems { limit: 2 }));
    let counts = wait(store.close_session(draft)).unwrap().unwrap().counts;
    assert_eq!((counts.items, counts.bytes, counts.text.new), (2, 10, 2));
    wait(store.delete(bob(), id("s"))).unwrap().unwrap();
    deposit("d", "12345").unwrap();
}

#[test]
fn a_session_is_one_item_with_its_messages_in_order() {
    let place = place();
    let store = open(&place);
    let draft = wait(store.open_session(session(key("s", "t", 1)))).unwrap();
    let contents = [Bytes::from("one"), noise(5000), noise(40_000), Bytes::new()];
    for (at, body) in contents.iter().enumerate() {
        let text = at != 2;
        wait(store.append(draft, NewMessage { text, ..message(&format!("m{at}"), body.clone()) })).unwrap();
    }
    assert_eq!(wait(store.list(bob(), ListQuery::default())).unwrap(), []);
    let counts = wait(store.close_session(draft)).unwrap().unwrap().counts;
    assert_eq!(counts.multimedia.new, 1, "one message is not text");
    let item = wait(store.open(bob(), id("s"))).unwrap().unwrap();
    assert_eq!(
        (item.head.kind, item.head.messages, item.head.bytes),
        (ItemKind::Session, 4, 45_003 + 4 * 27)
    );
    assert_eq!(item.messages[1].message_id, "m1");
    assert_eq!(item.messages[1].headers, message("", "").headers);
    assert_eq!(bodies(&store, &item), contents);
    assert_eq!(wait(store.close_session(draft)), Err(StoreError::UnknownSession));
    assert_eq!(wait(store.append(draft, message("m", "late"))), Err(StoreError::UnknownSession));
}

#[test]
fn what_is_kept_with_a_content_counts_and_nothing_else_is_kept() {
    let place = place();
    let store = open(&place);
    let field = |name: &'static str, len| (Bytes::from(name), noise(len));
    let headers =
        vec![field("X-A", 7000), field("content-id", 90), field("Content-Language", 4), field("Con", 9)];
    let quota = Quota { bytes: 500, ..Quota::default() };
    let draft = wait(store.open_session(SessionDeposit { quota, ..session(key("s", "t", 1)) })).unwrap();
    let said = |id| NewMessage { headers: headers.clone(), ..message(id, "x") };
    wait(store.append(draft, said("m1"))).unwrap();
    let one = 1 + 2 + 10 + (10 + 90) + (16 + 4);
    assert_eq!(wait(store.counts(bob())).unwrap().bytes, one);
    wait(store.append(draft, said("m2"))).unwrap();
    wait(store.append(draft, said("m3"))).unwrap();
    assert_eq!(wait(store.append(draft, said("m4"))), Err(StoreError::QuotaBytes { limit: 500 }));
    assert_eq!(wait(store.close_session(draft)).unwrap().unwrap().counts.bytes, 3 * one);
    let item = wait(store.open(bob(), id("s"))).unwrap().unwrap();
    assert_eq!(item.head.bytes, 3 * one);
    assert_eq!(item.messages[0].headers, [headers[1].clone(), headers[2].clone()]);
    assert_eq!(wait(store.delete(bob(), id("s"))).unwrap().unwrap().bytes, 0);
}

#[test]
fn whoever_opens_a_session_has_so_much_of_it_in_memory_and_no_more() {
    let place = place();
    let store = open(&place);
    let draft = wait(store.open_session(session(key("s", "t", 1)))).unwrap();
    let headers = vec![(Bytes::from_static(b"Content-Description"), noise(200_000))];
    let appended = (0..20)
        .map(|_| wait(store.append(draft, NewMessage { headers: headers.clone(), ..message("m", "x") })));
    let appended: Vec<_> = appended.collect();
    assert_eq!(appended.iter().filter(|outcome| outcome.is_ok()).count(), 10);
    assert_eq!(appended[10], Err(StoreError::TooLarge { what: "session" }));
    wait(store.close_session(draft)).unwrap();
    let item = wait(store.open(bob(), id("s"))).unwrap().unwrap();
    assert!(
        item.messages.iter().flat_map(|m| &m.headers).map(|(_, value)| value.len()).sum::<usize>() <= 2 << 20
    );
}

#[test]
fn a_session_without_a_message_leaves_nothing() {
    let place = place();
    let store = open(&place);
    let draft = wait(store.open_session(session(key("s", "t", 1)))).unwrap();
    assert_eq!(wait(store.close_session(draft)), Ok(None));
    assert_eq!(wait(store.counts(bob())).unwrap(), Counts::default());
    assert!(!wait(store.deposit(pager(key("s", "t", 1), "x"))).unwrap().repeated);
}

#[test]
fn items_opened_together_are_as_each_alone() {
    let place = place();
    let store = open(&place);
    for call_id in ["one", "two"] {
        wait(store.deposit(pager(key(call_id, "t", 1), noise(100)))).unwrap();
    }
    let ids = ["two", "none", "one"].map(id);
    let alone = ids.clone().map(|id| wait(store.open(bob(), id)));
    let together = store.open_all(bob(), ids.to_vec());
    assert_eq!(together.into_iter().map(wait).collect::<Vec<_>>(), alone);
    let found = alone.map(|opened| opened.unwrap().is_some());
    assert_eq!(found, [true, false, true]);
    let nobodys = store.open_all(alice(), ids.to_vec());
    assert_eq!(nobodys.into_iter().map(wait).collect::<Vec<_>>(), vec![Ok(None); 3]);
    wait(store.close()).unwrap();
    let closed = store.open_all(bob(), ids.to_vec());
    assert!(closed.into_iter().all(|answer| matches!(wait(answer), Err(StoreError::Unavailable(_)))));
}

#[test]
fn items_that_are_marked_together_are_each_marked_as_by_itself() {
    let place = place();
    let store = open(&place);
    for call_id in ["a", "b", "c"] {
        wait(store.deposit(pager(key(call_id, "t", 1), "x"))).unwrap();
    }
    let ids = ["a", "none", "b", "a"].map(id).to_vec();
    let outcomes = wait(store.retrieved_all(bob(), ids.clone(), After::Keep)).unwrap();
    let old = |count: u64| Tally { new: 3 - count, old: count, ..Tally::default() };
    let text = |outcome: Result<Option<Counts>, StoreError>| outcome.unwrap().map(|counts| counts.text);
    let told: Vec<_> = outcomes.into_iter().map(text).collect();
    assert_eq!(told, [Some(old(1)), None, Some(old(2)), Some(old(2))]);
    let removed = wait(store.retrieved_all(bob(), ids, After::Delete)).unwrap();
    assert_eq!(
        removed.iter().map(|it| it.as_ref().unwrap().is_some()).collect::<Vec<_>>(),
        [true, false, true, false]
    );
    assert_eq!(wait(store.list(bob(), ListQuery::default())).unwrap().len(), 1);
    wait(store.close()).unwrap();
    assert!(wait(store.retrieved_all(bob(), vec![id("c")], After::Keep)).is_err());
}

#[test]
fn retrieved_items_are_old_or_gone() {
    let place = place();
    let store = open(&place);
    for call_id in ["a", "b"] {
        wait(store.deposit(pager(key(call_id, "t", 1), "x"))).unwrap();
    }
    let counts = wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap().unwrap();
    assert_eq!(counts.text, Tally { new: 1, old: 1, ..Tally::default() });
    assert_eq!(wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap(), Some(counts));
    let fresh = ListQuery { state: Some(ItemState::New), ..ListQuery::default() };
    let heads = wait(store.list(bob(), fresh)).unwrap();
    assert_eq!(heads.iter().map(|head| head.message_id.clone()).collect::<Vec<_>>(), [id("b")]);
    let after = ListQuery { after: Some(1), limit: 1, state: None };
    assert_eq!(wait(store.list(bob(), after)).unwrap(), heads);
    let counts = wait(store.retrieved(bob(), id("a"), After::Delete)).unwrap().unwrap();
    assert_eq!((counts.items, counts.text.old), (1, 0));
    assert_eq!(wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap(), None);
}

#[test]
fn what_ends_is_removed_in_small_steps_and_what_is_renewed_stays() {
    let place = place();
    let store = open(&place);
    for number in 0..5 {
        wait(store.deposit(pager(key(&format!("c{number}"), "t", 1), "x"))).unwrap();
    }
    let never = PagerDeposit { ends: Timestamp(u64::MAX), ..pager(key("never", "t", 1), "x") };
    wait(store.deposit(never)).unwrap();
    let subscription = |expires| SubscriptionRecord {
        owner: bob(),
        key: Bytes::from_static(b"k"),
        record: Bytes::from_static(b"dialog"),
        expires: Timestamp(expires),
    };
    wait(store.put_subscription(subscription(4000))).unwrap();
    wait(store.put_subscription(subscription(6000))).unwrap();
    assert_eq!(wait(store.expire(Timestamp(4999), 100)).unwrap().removed, 0);
    let step = wait(store.expire(Timestamp(5000), 2)).unwrap();
    assert_eq!((step.removed, step.more, step.owners), (2, true, vec![bob()]));
    while wait(store.expire(Timestamp(5000), 2)).unwrap().more {}
    assert_eq!(wait(store.counts(bob())).unwrap().items, 1);
    assert_eq!(wait(store.subscriptions(None, 10)).unwrap(), [subscription(6000)]);
    while wait(store.expire(Timestamp(6000), 2)).unwrap().more {}
    assert_eq!(wait(store.subscriptions(None, 10)).unwrap(), []);
    while wait(store.expire(Timestamp(u64::MAX), 2)).unwrap().more {}
    assert!(wait(store.open(bob(), id("never"))).unwrap().is_some());
}

#[test]
fn subscriptions_are_listed_page_by_page() {
    let place = place();
    let store = open(&place);
    let record = |number: u8| SubscriptionRecord {
        owner: Owner::new(&[b'u', b'0' + number / 3], "example.com"),
        key: Bytes::from(vec![number]),
        record: Bytes::from_static(b"r"),
        expires: Timestamp(1),
    };
    for number in 0..7 {
        wait(store.put_subscription(record(number))).unwrap();
    }
    wait(store.remove_subscription(record(3).owner, record(3).key)).unwrap();
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = wait(store.subscriptions(after, 2)).unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        all.extend(page);
    }
    assert_eq!(all, [0, 1, 2, 4, 5, 6].map(record));
}

#[test]
fn each_change_is_told_before_the_answer_and_repetitions_are_not() {
    let place = place();
    let store = open(&place);
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    store.on_change(Arc::new(move |change| sink.lock().unwrap().push(change)));
    let news = || std::mem::take(&mut *told.lock().unwrap());
    let counts = wait(store.deposit(pager(key("a", "t", 1), "x"))).unwrap().counts;
    let change = news();
    assert_eq!(change.len(), 1);
    assert_eq!((&change[0].owner, change[0].counts), (&bob(), counts));
    wait(store.deposit(pager(key("a", "t", 1), "x"))).unwrap();
    let draft = wait(store.open_session(session(key("s", "t", 1)))).unwrap();
    wait(store.append(draft, message("m", "x"))).unwrap();
    assert_eq!(news(), []);
    wait(store.close_session(draft)).unwrap();
    assert_eq!(news().len(), 1);
    wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap();
    assert_eq!(news().len(), 1);
    wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap();
    assert_eq!(news(), []);
    wait(store.expire(Timestamp(5000), 100)).unwrap();
    assert_eq!(news().len(), 1);
}

#[test]
fn a_lease_excludes_others_until_it_ends() {
    let place = place();
    let store = open(&place);
    let name = |text: &'static str| Bytes::from_static(text.as_bytes());
    let claim = |holder, now, until| {
        wait(store.claim(name("item"), name(holder), Timestamp(now), Timestamp(until))).unwrap()
    };
    assert!(claim("a", 0, 10));
    assert!(!claim("b", 9, 20));
    assert!(claim("a", 9, 15));
    assert!(!claim("b", 14, 20));
    wait(store.release(name("item"), name("b"))).unwrap();
    assert!(!claim("b", 14, 20));
    assert!(claim("b", 15, 20));
    wait(store.release(name("item"), name("b"))).unwrap();
    assert!(claim("a", 16, 17));
}

#[test]
fn keys_no_engine_could_hold_are_refused() {
    let place = place();
    let store = open(&place);
    let long = "x".repeat(9000);
    let too_large = |outcome: Result<_, StoreError>| matches!(outcome, Err(StoreError::TooLarge { .. }));
    assert!(too_large(wait(store.deposit(pager(key(&long, "t", 1), "x"))).map(drop)));
    assert!(too_large(wait(store.deposit(pager(key("a", &long, 1), "x"))).map(drop)));
    let owner = Owner::new(long.as_bytes(), "example.com");
    assert!(too_large(wait(store.deposit(PagerDeposit { owner, ..pager(key("a", "t", 1), "x") })).map(drop)));
    assert_eq!(wait(store.open(bob(), MessageId::new(vec![b'x'; 100_000]))), Ok(None));
}

#[test]
fn a_sender_is_held_to_his_share_from_wherever_it_is_counted() {
    let place = place();
    let quota = Quota { sender_items: 3, sender_bytes: 100, ..Quota::default() };
    let carol = || Owner::new(b"carol", "example.org");
    let deposit = |store: &Archive, call_id: &str, sender: Owner, size: usize| {
        let body = noise(size);
        wait(store.deposit(PagerDeposit { quota, sender, ..pager(key(call_id, "t", 1), body) })).map(drop)
    };
    let store = open(&place);
    deposit(&store, "a", alice(), 10).unwrap();
    deposit(&store, "b", alice(), 10).unwrap();
    let draft = wait(store.open_session(SessionDeposit { quota, ..session(key("s", "t", 1)) })).unwrap();
    wait(store.append(draft, message("m", noise(50)))).unwrap();
    assert_eq!(deposit(&store, "c", alice(), 1), Err(StoreError::SenderItems { limit: 3 }));
    assert_eq!(
        wait(store.append(draft, message("m", noise(31)))),
        Err(StoreError::SenderBytes { limit: 100 })
    );
    assert_eq!(wait(store.room(bob(), alice(), quota)), Err(StoreError::SenderItems { limit: 3 }));
    assert_eq!(wait(store.room(bob(), carol(), quota)), Ok(()));
    deposit(&store, "d", carol(), 100).unwrap();
    drop(store);
    // The session that the process left is an item now, and alice's still.
    let store = open(&place);
    assert_eq!(deposit(&store, "c", alice(), 1), Err(StoreError::SenderItems { limit: 3 }));
    wait(store.delete(bob(), id("s"))).unwrap();
    deposit(&store, "c", alice(), 1).unwrap();
    while wait(store.expire(Timestamp(5000), 100)).unwrap().more {}
    assert_eq!(wait(store.counts(bob())).unwrap(), Counts::default());
    deposit(&store, "e", alice(), 100).unwrap();
    assert_eq!(deposit(&store, "f", alice(), 1), Err(StoreError::SenderBytes { limit: 100 }));
}

#[test]
fn a_summary_lists_the_items_that_it_counts() {
    let place = place();
    let store = open(&place);
    let all = ListQuery { state: None, after: None, limit: 1000 };
    let deposit = |n: u32| wait(store.deposit(pager(key(&format!("m{n}"), "t", 1), "x"))).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..200).for_each(|n| drop(deposit(n))));
        while !writer.is_finished() {
            let Overview { counts, items } = wait(store.summary(bob(), Some(all))).unwrap();
            assert_eq!(counts.items, items.len() as u64);
        }
    });
    assert_eq!(wait(store.summary(bob(), Some(all))).unwrap().items.len(), 200);
    assert_eq!(wait(store.summary(alice(), Some(all))).unwrap(), Overview::default());
}

#[test]
fn counts_are_true_whenever_the_ledger_was_written_last() {
    let place = place();
    let mut store = open(&place);
    for number in 1..=20 {
        wait(store.deposit(pager(key(&number.to_string(), "t", 1), "xy"))).unwrap();
        let counts = wait(store.counts(bob())).unwrap();
        assert_eq!((counts.items, counts.bytes, counts.text.new), (number, number * 2, number));
        if number % 3 == 0 {
            drop(store);
            store = open(&place);
            assert_eq!(wait(store.counts(bob())).unwrap(), counts);
        }
    }
}
