//! The model keeps the rules it is the reference for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::Memory;
use crate::store::{
    After, Answer, Body, Content, Counts, DepositKey, Envelope, ListQuery, MessageId, NewMessage, Owner,
    PagerDeposit, Quota, SessionDeposit, Store, StoreError,
};
use crate::time::Timestamp;

fn now<T>(mut answer: Answer<T>) -> Result<T, StoreError> {
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the model answers at once"),
    }
}

fn bob() -> Owner {
    Owner::new(b"bob", "example.com")
}

fn alice() -> Owner {
    Owner::new(b"alice", "example.org")
}

fn id(text: &'static str) -> MessageId {
    MessageId::new(text)
}

fn key(call_id: &'static str, from_tag: &'static str, cseq: u32) -> DepositKey {
    DepositKey { call_id: Bytes::from_static(call_id.as_bytes()), from_tag: from_tag.into(), cseq }
}

fn pager(key: DepositKey) -> PagerDeposit {
    PagerDeposit {
        owner: bob(),
        sender: alice(),
        key,
        envelope: Envelope { text: true, ..Envelope::default() },
        body: Body::Inline(Bytes::from_static(b"hello")),
        quota: Quota { items: 3, bytes: 100, ..Quota::default() },
        now: Timestamp(100),
        ends: Timestamp(200),
        remember: Duration::from_millis(400),
    }
}

fn session(key: DepositKey) -> SessionDeposit {
    let PagerDeposit { owner, sender, key, envelope, quota, now, ends, remember, .. } = pager(key);
    SessionDeposit { owner, sender, key, envelope, quota, now, ends, remember }
}

fn message(body: &'static [u8]) -> NewMessage {
    NewMessage {
        message_id: Bytes::from_static(b"m"),
        content_type: None,
        headers: Vec::new(),
        body: Body::Inline(Bytes::from_static(body)),
        received: Timestamp(150),
        text: true,
    }
}

// proves RFC 3261 8.2.2.2: the same Call-ID, From tag and CSeq are the same request
#[test]
fn the_same_deposit_is_known_until_item_and_memory_are_gone() {
    let store = Memory::new();
    assert!(!now(store.deposit(pager(key("a", "t", 1)))).unwrap().repeated);
    assert!(now(store.deposit(pager(key("a", "t", 1)))).unwrap().repeated);
    assert_eq!(now(store.deposit(pager(key("a", "t", 2)))).unwrap().message_id, id("a~2"));
    assert_eq!(now(store.deposit(pager(key("a", "u", 2)))).unwrap().message_id, id("a~2~2"));
    let ended = now(store.expire(Timestamp(200), 10)).unwrap();
    assert_eq!((ended.owners, ended.items), (vec![bob()], 3));
    assert_eq!(now(store.counts(bob())).unwrap(), Counts::default());
    assert!(now(store.deposit(pager(key("a", "u", 2)))).unwrap().repeated);
    let forgotten = now(store.expire(Timestamp(500), 10)).unwrap();
    assert_eq!((forgotten.removed, forgotten.items), (3, 0));
    assert!(!now(store.deposit(pager(key("a", "u", 2)))).unwrap().repeated);
}

#[test]
fn another_senders_deposit_of_the_same_key_is_no_repetition() {
    let store = Memory::new();
    let deposit = |sender: Owner| {
        let deposited = now(store.deposit(PagerDeposit { sender, ..pager(key("a", "t", 7)) })).unwrap();
        (deposited.message_id, deposited.repeated)
    };
    let eve = || Owner::new(b"eve", "example.org");
    assert_eq!(deposit(eve()), (id("a"), false));
    assert_eq!(deposit(alice()), (id("a~7"), false));
    assert_eq!((deposit(eve()), deposit(alice())), ((id("a"), true), (id("a~7"), true)));
}

#[test]
fn sessions_count_against_the_quota_from_their_first_message() {
    let store = Memory::new();
    let draft = now(store.open_session(session(key("s", "t", 1)))).unwrap();
    assert_eq!(now(store.counts(bob())).unwrap().items, 0);
    now(store.append(draft, message(b"12345"))).unwrap();
    let counts = now(store.counts(bob())).unwrap();
    assert_eq!((counts.items, counts.bytes, counts.new_items()), (1, 5 + 1, 0), "with its Message-ID");
    now(store.deposit(pager(key("a", "t", 1)))).unwrap();
    now(store.deposit(pager(key("b", "t", 1)))).unwrap();
    assert_eq!(now(store.deposit(pager(key("c", "t", 1)))), Err(StoreError::QuotaItems { limit: 3 }));
    assert_eq!(now(store.append(draft, message(&[0; 90]))), Err(StoreError::QuotaBytes { limit: 100 }));
    assert_eq!(now(store.close_session(draft)).unwrap().unwrap().counts.new_items(), 3);
    assert_eq!(now(store.close_session(draft)), Err(StoreError::UnknownSession));
}

#[test]
fn an_invite_again_is_another_session_and_no_repeated_message() {
    let store = Memory::new();
    for expected in ["s", "s~1"] {
        let draft = now(store.open_session(session(key("s", "t", 1)))).unwrap();
        now(store.append(draft, message(b"x"))).unwrap();
        assert_eq!(now(store.close_session(draft)).unwrap().unwrap().message_id, id(expected));
    }
    let pager = now(store.deposit(pager(key("s", "t", 1)))).unwrap();
    assert_eq!((pager.message_id, pager.repeated), (id("s~1~2"), false));
}

#[test]
fn sessions_under_way_become_items_when_the_process_ends() {
    let store = Memory::new();
    let [silent, spoken] =
        ["silent", "spoken"].map(|call_id| now(store.open_session(session(key(call_id, "t", 1)))).unwrap());
    now(store.append(spoken, message(b"x"))).unwrap();
    now(store.close()).unwrap();
    assert!(matches!(now(store.counts(bob())), Err(StoreError::Unavailable(_))));
    store.restart();
    let heads = now(store.list(bob(), ListQuery::default())).unwrap();
    assert_eq!(heads.iter().map(|head| &head.message_id).collect::<Vec<_>>(), [&id("spoken")]);
    assert_eq!(now(store.append(silent, message(b"x"))), Err(StoreError::UnknownSession));
}

#[test]
fn a_large_content_is_kept_beside_its_item_and_goes_with_it() {
    let store = Memory::new();
    let staging = store.stage();
    now(staging.write(20_000, Bytes::from(vec![b'b'; 20_000]))).unwrap();
    now(staging.write(0, Bytes::from(vec![b'a'; 20_000]))).unwrap();
    let body = now(staging.finish()).unwrap();
    let quota = Quota::default();
    now(store.deposit(PagerDeposit { body, quota, ..pager(key("a", "t", 1)) })).unwrap();
    let item = now(store.open(bob(), id("a"))).unwrap().unwrap();
    let content = item.messages[0].content.clone();
    assert!(matches!(content, Content::File(_)));
    assert_eq!(now(store.read(content.clone(), 19_999, 2)).unwrap(), "ab");
    assert_eq!(now(store.retrieved(bob(), id("a"), After::Delete)).unwrap().unwrap().items, 0);
    assert_eq!(now(store.read(content, 0, 1)), Err(StoreError::Gone));
}

#[test]
fn a_sender_has_his_share_and_no_more_until_an_item_of_his_goes() {
    let store = Memory::new();
    let quota = Quota { sender_items: 2, ..Quota::default() };
    let deposit = |call_id, sender: Owner| {
        now(store.deposit(PagerDeposit { quota, sender, ..pager(key(call_id, "t", 1)) })).map(drop)
    };
    deposit("a", alice()).unwrap();
    let draft = now(store.open_session(SessionDeposit { quota, ..session(key("s", "t", 1)) })).unwrap();
    now(store.append(draft, message(b"x"))).unwrap();
    assert_eq!(deposit("b", alice()), Err(StoreError::SenderItems { limit: 2 }));
    assert_eq!(now(store.room(bob(), alice(), quota)), Err(StoreError::SenderItems { limit: 2 }));
    deposit("c", Owner::new(b"carol", "example.org")).unwrap();
    now(store.close_session(draft)).unwrap();
    now(store.delete(bob(), id("s"))).unwrap();
    deposit("b", alice()).unwrap();
}
