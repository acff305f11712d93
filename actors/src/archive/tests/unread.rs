//! A block of a table that cannot be read: what is in it is missing, and everything else is served.

use std::path::PathBuf;

use restante::store::{ListQuery, Store};

use super::*;
use crate::archive::ends;

const ITEMS: usize = 600;

/// A store whose records all lie in tables.
fn in_tables() -> TempDir {
    let place = place();
    let store = open(&place);
    let deposits: Vec<_> = (0..ITEMS)
        .map(|number| {
            let deposit = pager(key(&format!("item{number}"), "t", 1), noise(3000));
            // Each has a group of ends of its own.
            let ends = Timestamp(5000 + number as u64 * 20_000);
            store.deposit(PagerDeposit { ends, ..deposit })
        })
        .collect();
    deposits.into_iter().for_each(|deposited| drop(wait(deposited).unwrap()));
    for keyspace in store.reader.tree.keyspaces() {
        keyspace.rotate_memtable_and_wait().unwrap();
    }
    drop(store);
    place
}

/// The tables of a keyspace.
fn tables(place: &TempDir, keyspace: u32) -> Vec<PathBuf> {
    let directory = place.path().join(format!("engine/keyspaces/{keyspace}/tables"));
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Damages a block, at so many percent of each table of a keyspace.
fn damage(place: &TempDir, keyspace: u32, percent: usize) {
    for table in tables(place, keyspace) {
        let mut bytes = std::fs::read(&table).unwrap();
        let at = bytes.len() * percent / 100;
        bytes[at..at + 16].iter_mut().for_each(|byte| *byte ^= 0xff);
        std::fs::write(&table, &bytes).unwrap();
    }
}

#[test]
fn items_in_a_block_that_cannot_be_read_are_left_out_and_the_others_are_listed() {
    let place = in_tables();
    damage(&place, 2, 40);
    let store = open(&place);
    let heads = wait(store.list(bob(), ListQuery::default())).unwrap();
    assert!((ITEMS - 10..ITEMS).contains(&heads.len()), "{} of {ITEMS}", heads.len());
    let ids: Vec<_> = (0..ITEMS).map(|number| id(&format!("item{number}"))).collect();
    let held = wait(store.held(bob(), ids.clone())).unwrap();
    assert!(held.iter().all(Option::is_some), "each is there");
    let opened: Vec<_> = store.open_all(bob(), ids).into_iter().map(wait).collect();
    assert_eq!(opened.iter().filter(|opened| matches!(opened, Ok(Some(_)))).count(), heads.len());
    let unread = opened.iter().position(Result::is_err).unwrap();
    // Who has nothing to do with it does not see it.
    let carol = Owner::new(b"carol", "example.com");
    let draft =
        wait(store.open_session(SessionDeposit { owner: carol, ..session(key("s", "t", 1)) })).unwrap();
    wait(store.append(draft, said("one"))).unwrap();
    assert!(matches!(
        wait(store.delete(bob(), id(&format!("item{unread}")))),
        Err(StoreError::Unavailable(_))
    ));
    wait(store.append(draft, said("two"))).unwrap();
    assert_eq!(wait(store.close_session(draft)).unwrap().unwrap().counts.bytes, 6);

    // All that ends but what cannot be read, and nobody waits for that.
    let last = Timestamp(5000 + ITEMS as u64 * 20_000);
    let mut removed = 0;
    for _ in 0..ITEMS {
        let step = wait(store.expire(last, 256)).unwrap();
        removed += step.removed;
        if !step.more {
            break;
        }
    }
    assert!(removed >= heads.len(), "{removed}");
    assert!(!wait(store.expire(last, 256)).unwrap().more);
    assert_eq!(wait(store.list(bob(), ListQuery::default())).unwrap().len(), 0);
    assert!(store.working());
}

#[test]
fn a_hole_in_the_index_of_ends_is_passed_over() {
    let place = in_tables();
    let store = open(&place);
    let all = store.reader.tree.moment().prefix(&keys_of_ends()).count();
    drop(store);
    // The index of ends is what comes last.
    damage(&place, 1, 85);
    let store = open(&place);
    let read = store.reader.tree.moment().prefix(&keys_of_ends()).take_while(Result::is_ok).count();
    assert!(read < all, "the hole is among the ends");
    let last = Timestamp(5000 + ITEMS as u64 * 20_000);
    let mut removed = 0;
    for _ in 0..ITEMS {
        let step = wait(store.expire(last, 256)).unwrap();
        removed += step.removed;
        if !step.more {
            break;
        }
    }
    assert!(removed > all - ends::GROUP && removed > read, "{removed} of {all}, {read} before the hole");
    assert!(store.working());
}

fn keys_of_ends() -> [u8; 1] {
    crate::archive::keys::ENDS
}
