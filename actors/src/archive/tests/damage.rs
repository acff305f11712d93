//! Records that cannot be read: reported once, skipped, the rest is served.

use restante::store::{After, ListQuery, Store, StoreError};

use super::*;
use crate::archive::desk::Desk;
use crate::archive::ends::End;
use crate::archive::keys::{self, Key, MailboxId};
use crate::archive::transaction::Transaction;
use crate::archive::tree::{Durable, Tree};

/// Changes a record behind the store's back.
fn tamper(place: &TempDir, key: Key, change: impl FnOnce(&mut Vec<u8>)) {
    let tree = Tree::open(&place.path().join("engine")).unwrap();
    let mut value = tree.get(&key).unwrap().expect("the record").to_vec();
    change(&mut value);
    tree.commit([(key, Some(value.into()))].into_iter(), Durable::First).unwrap();
}

/// The number of the first mailbox that came.
const BOBS: MailboxId = MailboxId(1);

fn three_items(place: &TempDir) {
    let store = open(place);
    for call_id in ["a", "b", "c"] {
        wait(store.deposit(pager(key(call_id, "t", 1), "x"))).unwrap();
    }
}

#[test]
fn a_damaged_item_is_skipped_and_expires_with_the_counts_set_right() {
    let place = place();
    three_items(&place);
    tamper(&place, keys::item(BOBS, 2), |value| value[20] ^= 1);
    let store = open(&place);
    let heads = wait(store.list(bob(), ListQuery::default())).unwrap();
    assert_eq!(heads.iter().map(|head| head.sequence).collect::<Vec<_>>(), [1, 3]);
    assert!(matches!(wait(store.open(bob(), id("b"))), Err(StoreError::Damaged { .. })));
    let asked = ["a", "b", "x", "c"].map(id).to_vec();
    let held: Vec<_> = wait(store.held(bob(), asked)).unwrap().iter().map(Option::is_some).collect();
    assert_eq!(held, [true, true, false, true], "the damaged one is there");
    assert!(wait(store.open(bob(), id("c"))).unwrap().is_some());
    let counts = wait(store.delete(bob(), id("b"))).unwrap().unwrap();
    assert_eq!((counts.items, counts.bytes, counts.text.new), (2, 2, 2));
    let next = wait(store.deposit(pager(key("d", "t", 1), "x"))).unwrap();
    assert_eq!((next.sequence, next.counts.items), (4, 3));
}

/// As versions before this one kept what became of deposits whose ids were taken.
#[test]
fn an_outcome_that_was_written_without_its_sender_is_found_and_forgotten() {
    let place = place();
    let store = open(&place);
    for tag in ["t", "u"] {
        wait(store.deposit(pager(key("a", tag, 7), "x"))).unwrap();
    }
    drop(store);
    let tree = Tree::open(&place.path().join("engine")).unwrap();
    let [old, new] = [None, Some(&alice())].map(|sender| keys::deposit(BOBS, &key("a", "u", 7), sender));
    let value = tree.get(&new).unwrap().unwrap();
    tree.commit([(new, None), (old.clone(), Some(value))].into_iter(), Durable::First).unwrap();
    drop(tree);
    let store = open(&place);
    let again = wait(store.deposit(pager(key("a", "u", 7), "x"))).unwrap();
    assert_eq!((again.message_id, again.repeated), (id("a~7"), true));
    while wait(store.expire(Timestamp(10_000), 9)).unwrap().more {}
    drop(store);
    assert_eq!(Tree::open(&place.path().join("engine")).unwrap().get(&old).unwrap(), None);
}

#[test]
fn a_damaged_item_keeps_no_other_from_being_marked() {
    let place = place();
    three_items(&place);
    tamper(&place, keys::item(BOBS, 2), |value| value[20] ^= 1);
    let store = open(&place);
    let outcomes = wait(store.retrieved_all(bob(), ["a", "b", "c"].map(id).to_vec(), After::Keep)).unwrap();
    assert!(matches!(outcomes.as_slice(), [Ok(Some(_)), Err(StoreError::Damaged { .. }), Ok(Some(_))]));
}

#[test]
fn a_damaged_ledger_is_counted_anew() {
    let place = place();
    three_items(&place);
    {
        let store = open(&place);
        let draft = wait(store.open_session(session(key("s", "t", 1)))).unwrap();
        wait(store.append(draft, said("12345"))).unwrap();
    }
    tamper(&place, keys::ledger(BOBS), |value| *value = b"nonsense".to_vec());
    let store = open(&place);
    let counts = wait(store.counts(bob())).unwrap();
    assert_eq!((counts.items, counts.bytes, counts.text.new), (4, 8, 4));
    assert_eq!(wait(store.deposit(pager(key("d", "t", 1), "x"))).unwrap().sequence, 5);
}

#[test]
fn garbage_in_any_record_never_stops_the_store() {
    let place = place();
    {
        let store = open(&place);
        wait(store.deposit(pager(key("a", "t", 1), noise(10_000)))).unwrap();
        let draft = wait(store.open_session(session(key("s", "t", 1)))).unwrap();
        wait(store.append(draft, message("m", "x"))).unwrap();
    }
    let all: Vec<Key> = {
        let tree = Tree::open(&place.path().join("engine")).unwrap();
        let moment = tree.moment();
        (b'a'..=b'z').flat_map(|kind| moment.prefix(&[kind]).map(|record| record.unwrap().0)).collect()
    };
    assert!(all.len() >= 8, "{} records", all.len());
    for key in all {
        tamper(&place, key, |value| *value = b"\x01garbage garbage".to_vec());
    }
    let store = open(&place);
    assert!(matches!(wait(store.list(bob(), ListQuery::default())), Err(StoreError::Damaged { .. })));
    assert!(wait(store.open(bob(), id("a"))).is_err());
    wait(store.counts(bob())).unwrap();
    while wait(store.expire(Timestamp(u64::MAX - 1), 100)).unwrap().more {}
    let fresh = wait(store.deposit(pager(key("fresh", "t", 1), "x"))).unwrap();
    let item = wait(store.open(bob(), fresh.message_id)).unwrap().unwrap();
    assert_eq!(bodies(&store, &item), ["x"]);
}

#[test]
fn a_missing_content_file_is_damage() {
    let place = place();
    let store = open(&place);
    wait(store.deposit(pager(key("a", "t", 1), noise(50_000)))).unwrap();
    let item = wait(store.open(bob(), id("a"))).unwrap().unwrap();
    let file = std::fs::read_dir(place.path().join("content")).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(file.path()).unwrap();
    let read = wait(store.read(item.messages[0].content.clone(), 0, 10));
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
}

#[test]
fn damage_is_reported_once_without_the_owners_name() {
    let place = place();
    let tree = Tree::open(&place.path().join("engine")).unwrap();
    let log = Log::default();
    log.hear(|| {
        for sequence in [1, 1, 2, 1] {
            tree.damaged("item", &keys::item(BOBS, sequence));
            tree.damaged("mailbox", &keys::mailbox(&bob()));
            tree.damaged("sender", &keys::sender(BOBS, &bob()));
        }
    });
    let text = log.text();
    let errors: Vec<_> = text.lines().filter(|line| line.contains("damaged record skipped")).collect();
    assert_eq!(errors.len(), 4, "{text}");
    let named = |line: &&str| line.contains("bob") || line.contains("626f62");
    assert!(errors.iter().all(|line| line.contains("ERROR") && !named(line)), "{text}");
}

#[test]
fn a_mailbox_whose_number_is_damaged_is_found_again_by_its_ledger() {
    let place = place();
    three_items(&place);
    tamper(&place, keys::mailbox(&bob()), |value| *value = b"nonsense".to_vec());
    let store = open(&place);
    assert_eq!(wait(store.counts(bob())).unwrap().items, 3);
    assert_eq!(wait(store.list(bob(), ListQuery::default())).unwrap().len(), 3);
    assert_eq!(wait(store.deposit(pager(key("d", "t", 1), "x"))).unwrap().sequence, 4);
}

#[test]
fn a_damaged_ledger_does_not_keep_items_from_expiring() {
    let place = place();
    three_items(&place);
    tamper(&place, keys::ledger(BOBS), |value| *value = b"nonsense".to_vec());
    let store = open(&place);
    let expired = wait(store.expire(Timestamp(5000), 100)).unwrap();
    assert_eq!((expired.removed, expired.owners), (3, vec![bob()]));
    assert_eq!(wait(store.counts(bob())).unwrap().items, 0);
}

// A store that has lost what it knew of its numbers may give one again.
#[test]
fn an_item_does_not_end_by_the_time_of_another() {
    let place = place();
    three_items(&place);
    let tree = Tree::open(&place.path().join("engine")).unwrap();
    let mut desk = Desk::new(u64::MAX);
    let mut transaction = Transaction::new(&tree, &mut desk);
    transaction.add_end(Timestamp(1_500), End::Item(BOBS, 2));
    transaction.commit(Durable::First).unwrap();
    drop(tree);
    let store = open(&place);
    assert_eq!(wait(store.expire(Timestamp(2_000), 100)).unwrap().removed, 0);
    assert_eq!(wait(store.counts(bob())).unwrap().items, 3);
    assert_eq!(wait(store.expire(Timestamp(5_000), 100)).unwrap().removed, 3);
}

#[test]
fn a_damaged_share_is_counted_anew() {
    let place = place();
    let quota = restante::store::Quota { sender_items: 2, ..Default::default() };
    let deposit = |store: &Archive, call_id: &str| {
        wait(store.deposit(PagerDeposit { quota, ..pager(key(call_id, "t", 1), "x") })).map(drop)
    };
    {
        let store = open(&place);
        deposit(&store, "a").unwrap();
        deposit(&store, "b").unwrap();
        assert_eq!(deposit(&store, "c"), Err(StoreError::SenderItems { limit: 2 }));
    }
    tamper(&place, keys::sender(BOBS, &alice()), |value| *value = b"nonsense".to_vec());
    let store = open(&place);
    assert_eq!(deposit(&store, "c"), Err(StoreError::SenderItems { limit: 2 }));
    wait(store.delete(bob(), id("a"))).unwrap();
    deposit(&store, "c").unwrap();
    assert_eq!(deposit(&store, "d"), Err(StoreError::SenderItems { limit: 2 }));
}
