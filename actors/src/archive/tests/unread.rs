//! A block of a table that cannot be read: what is in it is missing, and everything else is served.

use std::path::PathBuf;

use restante::store::{ListQuery, Store};

use super::*;
use crate::archive::tree::Durable;
use crate::archive::{ends, salvage};

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

/// When every item has ended.
const LAST: Timestamp = Timestamp(5000 + ITEMS as u64 * 20_000);

/// Has all expire that can; how many items did.
fn expire_all(store: &Archive) -> usize {
    let mut removed = 0;
    for _ in 0..ITEMS {
        let step = wait(store.expire(LAST, 256)).unwrap();
        removed += step.removed;
        if !step.more {
            break;
        }
    }
    removed
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
    let removed = expire_all(&store);
    assert!(removed >= heads.len(), "{removed}");
    assert!(!wait(store.expire(LAST, 256)).unwrap().more);
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
    let removed = expire_all(&store);
    assert!(removed > all - ends::GROUP && removed > read, "{removed} of {all}, {read} before the hole");
    assert!(store.working());
}

/// What is told of a mailbox is what can be opened of it.
fn assert_sound(store: &Archive) -> usize {
    let heads = wait(store.list(bob(), ListQuery::default())).unwrap();
    for head in &heads {
        let item =
            wait(store.open(bob(), head.message_id.clone())).unwrap().expect("each is found by its id");
        assert_eq!(bodies(store, &item).len(), 1);
    }
    let counts = wait(store.counts(bob())).unwrap();
    let bytes = heads.iter().map(|head| head.bytes).sum::<u64>();
    assert_eq!((counts.items, counts.bytes), (heads.len() as u64, bytes));
    heads.len()
}

#[test]
fn a_store_is_made_anew_from_what_can_be_read_of_it() {
    for percent in [5, 30, 50, 70, 90] {
        let place = in_tables();
        let store = open(&place);
        let large = |call_id| pager(key(call_id, "t", 1), noise(50_000));
        wait(store.deposit(PagerDeposit { ends: Timestamp(u64::MAX), ..large("large") })).unwrap();
        wait(store.delete(bob(), id("item7"))).unwrap().unwrap();
        drop(store);
        damage(&place, 1, percent);
        damage(&place, 2, percent);
        let salvaged = salvage(place.path()).unwrap();
        assert!(salvaged.unread >= 1 && salvaged.records > 1000, "{salvaged:?} at {percent}");
        let store = open(&place);
        let kept = assert_sound(&store);
        assert!((ITEMS - 10..ITEMS).contains(&kept), "{kept} of {ITEMS} at {percent}");
        assert_eq!(files(place.path()), 1, "and its file is kept");
        // The engine compacts without stopping.
        for keyspace in store.reader.tree.keyspaces() {
            keyspace.major_compact().unwrap();
        }
        wait(store.deposit(large("next"))).unwrap();
        while wait(store.expire(Timestamp(1 << 50), 256)).unwrap().more {}
        assert_eq!(assert_sound(&store), 1, "everything that has an end has one in the index");
        drop(store);
        let again = salvage(place.path());
        assert!(matches!(again, Err(StoreError::Unavailable(why)) if why.contains("engine.damaged")));
    }
}

/// Nobody is told of what he cannot have, and what is left of a session is had.
#[test]
fn an_item_without_its_content_is_gone_from_a_store_that_is_made_anew() {
    let place = place();
    let store = open(&place);
    let large = |call_id: &str| pager(key(call_id, "t", 1), noise(20_000));
    for call_id in ["lost", "kept"] {
        wait(store.deposit(large(call_id))).unwrap();
    }
    // Another deposit of the same Call-ID has another id, and is remembered apart.
    let other = || pager(key("kept", "other", 1), noise(20_000));
    let apart = wait(store.deposit(other())).unwrap().message_id;
    for (call_id, sizes) in [("session", [20_000, 100, 20_000, 50_000, 20_000]), ("chat", [20_000; 5])] {
        let draft = wait(store.open_session(session(key(call_id, "t", 1)))).unwrap();
        sizes.iter().for_each(|size| wait(store.append(draft, message("m", noise(*size)))).unwrap());
        wait(store.close_session(draft)).unwrap();
    }
    // The last is under way still.
    let draft = wait(store.open_session(session(key("draft", "t", 1)))).unwrap();
    (0..3).for_each(|_| wait(store.append(draft, message("m", noise(20_000)))).unwrap());
    // Of two their contents are in files, of which one is gone, and the other cut.
    let names = || {
        let files = std::fs::read_dir(place.path().join("content")).unwrap();
        files.map(|file| file.unwrap().path()).collect::<std::collections::BTreeSet<_>>()
    };
    let others = names();
    for call_id in ["unlinked", "cut"] {
        wait(store.deposit(pager(key(call_id, "t", 1), noise(100_000)))).unwrap();
    }
    let of_two: Vec<_> = names().difference(&others).cloned().collect();
    std::fs::remove_file(&of_two[0]).unwrap();
    std::fs::OpenOptions::new().write(true).open(&of_two[1]).unwrap().set_len(99_999).unwrap();
    let before = wait(store.counts(bob())).unwrap();
    assert_eq!(before.items, 8);

    // As if their blocks could not be read.
    let tree = store.reader.tree.clone();
    let is_of = |bundle: u64, key: &[u8]| u64::from_be_bytes(*key[9..].first_chunk().unwrap()) == bundle;
    let lose = |kind: u8, bundle: u64, indexes: &[u8]| {
        let all = tree.moment().prefix(&[kind]).map(|record| record.unwrap().0);
        let lost = all.filter(|key| is_of(bundle, key) && indexes.contains(key.last().unwrap()));
        let lost: Vec<_> = lost.map(|key| (key, None)).collect();
        assert_eq!(lost.len(), indexes.len(), "{bundle}");
        tree.commit(lost.into_iter(), Durable::First).unwrap();
    };
    lose(b'b', 1, &[0]);
    lose(b'm', 3, &[0]);
    lose(b'b', 4, &[0]);
    lose(b'm', 4, &[2]);
    lose(b'b', 5, &[0, 1, 2, 3, 4]);
    lose(b'm', 6, &[1]);
    drop((store, tree));
    assert_eq!(salvage(place.path()).unwrap().unread, 0);

    let store = open(&place);
    assert_eq!(names(), others, "nothing is left of what was cut");
    let heads = wait(store.list(bob(), ListQuery::default())).unwrap();
    let ids: Vec<_> = heads.iter().map(|head| head.message_id.clone()).collect();
    assert_eq!(ids, [id("kept"), id("session"), id("draft")]);
    let counts = wait(store.counts(bob())).unwrap();
    assert_eq!((counts.items, counts.bytes), (3, heads.iter().map(|head| head.bytes).sum()));
    assert_eq!(counts.text.new + counts.multimedia.new, 3);
    let sizes = |call_id| {
        let item = wait(store.open(bob(), id(call_id))).unwrap().unwrap();
        bodies(&store, &item).iter().map(Bytes::len).collect::<Vec<_>>()
    };
    assert_eq!(sizes("kept"), [20_000]);
    assert_eq!(sizes("session"), [100, 50_000, 20_000]);
    assert_eq!(sizes("draft"), [20_000, 20_000]);
    for gone in [id("lost"), id("chat"), apart, id("unlinked"), id("cut")] {
        assert!(wait(store.open(bob(), gone)).unwrap().is_none());
    }
    // What is gone is taken again.
    assert!(!wait(store.deposit(large("lost"))).unwrap().repeated);
    assert!(!wait(store.deposit(other())).unwrap().repeated);
    assert!(wait(store.deposit(large("kept"))).unwrap().repeated);
    // And nothing is left of it.
    while wait(store.expire(Timestamp(1 << 50), 256)).unwrap().more {}
    let moment = store.reader.tree.moment();
    for kind in [b'b', b'i', b'k', b'm', b'n', b'r'] {
        assert_eq!(moment.prefix(&[kind]).count(), 0, "{}", char::from(kind));
    }
}

#[test]
fn a_table_that_cannot_be_opened_is_named_as_the_cause() {
    let place = in_tables();
    for table in tables(&place, 1) {
        let len = std::fs::metadata(&table).unwrap().len();
        std::fs::OpenOptions::new().write(true).open(&table).unwrap().set_len(len / 2).unwrap();
    }
    let Err(StoreError::Unavailable(why)) = Archive::open(place.path()) else { panic!("it was opened") };
    assert!(why.contains("a table of its engine is damaged"), "{why}");
}

#[test]
fn where_there_is_no_store_nothing_is_mended_or_made() {
    let place = place();
    let nowhere = place.path().join("nowhere");
    let empty = place.path().join("empty");
    let begun = place.path().join("begun");
    std::fs::create_dir(&empty).unwrap();
    std::fs::create_dir_all(begun.join("engine")).unwrap();
    std::fs::write(begun.join("making"), "").unwrap();
    for at in [&nowhere, &empty, &begun] {
        let refused = salvage(at);
        assert!(
            matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("holds no store")),
            "{refused:?}"
        );
    }
    let entries = |at: &Path| std::fs::read_dir(at).unwrap().count();
    assert!(!nowhere.exists());
    assert_eq!((entries(&empty), entries(&begun)), (0, 2));
}

#[test]
fn a_store_that_is_open_is_not_mended() {
    let place = place();
    let _store = open(&place);
    assert!(matches!(salvage(place.path()), Err(StoreError::Locked { .. })));
}

fn keys_of_ends() -> [u8; 1] {
    crate::archive::keys::ENDS
}
