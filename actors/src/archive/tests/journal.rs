//! Journals whose end was never written, and such as are damaged: nothing that was acknowledged is lost without a word.

use restante::store::{After, ListQuery, Store};

use super::*;
use crate::archive::journal;

/// The bytes of the only journal, and where it is.
fn journal(place: &TempDir) -> (std::path::PathBuf, Vec<u8>) {
    let path = place.path().join("engine/0.jnl");
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

fn deposit(store: &Archive, call_id: &str, body: impl Into<Bytes>) {
    wait(store.deposit(pager(key(call_id, "t", 1), body))).unwrap();
}

/// A store that holds `items` and then one with a body of 16 kB, as a kill leaves it; where the last batch begins.
fn with_a_large_end(items: usize) -> (TempDir, usize) {
    let place = place();
    let store = open(&place);
    (0..items).for_each(|number| deposit(&store, &format!("item{number}"), "x"));
    let before = written(&journal(&place).1);
    deposit(&store, "last", vec![b'B'; 16_000]);
    drop(store);
    (place, before)
}

/// Where the zeros begin that end a journal.
fn written(bytes: &[u8]) -> usize {
    // A page at a time, for it was made with 64 MB of them.
    let pages =
        bytes.chunks(4096).rposition(|page| page != &[0; 4096][..page.len()]).map_or(0, |last| last + 1);
    bytes.iter().take(pages * 4096).rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The names of what was cut off.
fn aside(place: &TempDir) -> Vec<String> {
    let names =
        std::fs::read_dir(place.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("torn-")).collect()
}

fn items(place: &TempDir) -> usize {
    wait(open(place).list(bob(), ListQuery::default())).unwrap().len()
}

#[test]
fn what_the_engine_writes_is_read_to_its_end() {
    let (place, before) = with_a_large_end(5);
    let (_, bytes) = journal(&place);
    let batches = journal::batches(&mut bytes.as_slice());
    assert!(batches.iter().all(|(_, sound, _)| *sound), "the engine's format has changed: {batches:?}");
    // Each deposit was synced by itself.
    assert_eq!(batches.iter().filter(|(.., marks)| !marks).count(), 6);
    let ends: Vec<_> = batches.iter().map(|(end, ..)| usize::try_from(*end).unwrap()).collect();
    assert!(ends.contains(&before) && ends.last() == Some(&written(&bytes)), "{ends:?}, {before}");
}

#[test]
fn a_mark_is_known_from_what_is_synced_first() {
    let place = place();
    let store = open(&place);
    deposit(&store, "a", "x");
    let before = written(&journal(&place).1);
    wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap();
    wait(store.close()).unwrap();
    let (_, bytes) = journal(&place);
    let batches = journal::batches(&mut bytes.as_slice());
    let marks: Vec<_> = batches.iter().filter(|(.., marks)| *marks).collect();
    assert_eq!(marks.len(), 1, "{batches:?}");
    assert!(marks[0].0 > before as u64);
}

#[test]
fn a_batch_with_a_hole_that_was_never_acknowledged_is_dropped_and_kept_aside() {
    let (place, before) = with_a_large_end(5);
    let (path, mut bytes) = journal(&place);
    let hole = bytes.windows(4096).position(|page| page == [b'B'; 4096]).unwrap().next_multiple_of(4096);
    bytes[hole..hole + 4096].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(items(&place), 5);
    assert_eq!(aside(&place), [format!("torn-0-{before}")]);
    let copy = std::fs::read(place.path().join(format!("torn-0-{before}"))).unwrap();
    assert_eq!(copy, bytes[before..written(&bytes)]);
    // What comes then is kept, and nothing is torn any more.
    deposit(&open(&place), "next", "x");
    assert_eq!(items(&place), 6);
    assert_eq!(aside(&place).len(), 1);
}

#[test]
fn wherever_the_last_batch_ends_or_has_a_hole_the_store_opens_with_what_was_before() {
    let (first, before) = with_a_large_end(2);
    let (_, whole) = journal(&first);
    let end = written(&whole);
    let cuts: Vec<_> = (before..end).step_by(2801).chain([before + 1, end - 1]).collect();
    for cut in cuts {
        for hole in [false, true] {
            // Either nothing was written from there on, or the end was and a part of the middle was not.
            let mut bytes = whole[..if hole { end } else { cut }].to_vec();
            bytes[cut..].iter_mut().take(512).for_each(|byte| *byte = 0);
            let path = first.path().join("engine/0.jnl");
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(items(&first), 2, "cut at {cut}, {hole}");
        }
    }
}

#[test]
fn a_damaged_batch_with_acknowledged_ones_behind_it_keeps_the_store_from_opening_and_changes_nothing() {
    let place = place();
    let store = open(&place);
    let mut starts = Vec::new();
    for number in 0..10 {
        starts.push(written(&journal(&place).1));
        deposit(&store, &format!("item{number}"), "x");
    }
    drop(store);
    let (path, whole) = journal(&place);
    // Its first tag, its count, the head of its first entry, a key, and the checksum at its end.
    for at in [starts[4], starts[4] + 1, starts[4] + 14, starts[4] + 40, starts[5] - 6] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&path, &bytes).unwrap();
        let Err(StoreError::Unavailable(why)) = Archive::open(place.path()) else {
            panic!("opened, flipped at {at}")
        };
        assert!(why.contains("0.jnl is damaged at byte") && why.contains("truncate -s"), "{why}");
        assert!(why.contains(&format!("at byte {},", starts[4])), "{why}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    // Whoever obeys the line has what was before.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(starts[4] as u64).unwrap();
    assert_eq!(items(&place), 4);
}

#[test]
fn marks_that_were_lost_with_the_deposit_behind_them_are_no_damage() {
    let place = place();
    let store = open(&place);
    deposit(&store, "a", "x");
    deposit(&store, "b", "x");
    let before = written(&journal(&place).1);
    wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap();
    // It would be synced together with the mark.
    deposit(&store, "never acknowledged", "x");
    drop(store);
    let (path, mut bytes) = journal(&place);
    bytes[before + 40] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(items(&place), 2);
    assert_eq!(aside(&place).len(), 1);
}

#[test]
fn a_content_that_looks_like_batches_is_none() {
    let other = place();
    let store = open(&other);
    (0..20).for_each(|number| deposit(&store, &format!("forged{number}"), "x"));
    drop(store);
    let (_, forged) = journal(&other);
    let forged = Bytes::copy_from_slice(&forged[..written(&forged)]);

    let place = place();
    let store = open(&place);
    deposit(&store, "a", "x");
    let before = written(&journal(&place).1);
    deposit(&store, "last", [&forged[..], &[b'B'; 9000]].concat());
    drop(store);
    let (path, mut bytes) = journal(&place);
    let hole = before + bytes[before..].iter().rposition(|byte| *byte == b'B').unwrap() - 4096;
    bytes[hole..hole + 512].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(items(&place), 1);
}
