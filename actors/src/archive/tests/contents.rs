//! Contents of every size: inline, in a record, in a file; written, read, and removed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use restante::store::{Content, Store, StoreError};

use super::*;
use crate::archive::CONTENT_WRITERS;

#[test]
fn bodies_of_every_size_come_back_byte_for_byte() {
    let place = place();
    let store = open(&place);
    let sizes = [0, 1, 4096, 4097, 32 << 10, (32 << 10) + 1, 300_000];
    for size in sizes {
        wait(store.deposit(pager(key(&size.to_string(), "t", 1), noise(size)))).unwrap();
    }
    assert_eq!(files(place.path()), 2);
    drop(store);
    let store = open(&place);
    for size in sizes {
        let item = wait(store.open(bob(), id(&size.to_string()))).unwrap().unwrap();
        assert_eq!(item.head.bytes, size as u64);
        assert_eq!(bodies(&store, &item), [noise(size)]);
    }
    assert_eq!(files(place.path()), 2);
}

#[test]
fn a_read_ends_where_the_content_does() {
    let place = place();
    let store = open(&place);
    for size in [100, 10_000, 100_000] {
        wait(store.deposit(pager(key(&size.to_string(), "t", 1), noise(size)))).unwrap();
        let item = wait(store.open(bob(), id(&size.to_string()))).unwrap().unwrap();
        let content = &item.messages[0].content;
        let read = |offset, len| wait(store.read(content.clone(), offset, len)).unwrap();
        assert_eq!(read(10, 20), noise(size).slice(10..30));
        assert_eq!(read(size as u64 - 5, usize::MAX), noise(size).slice(size - 5..));
        assert_eq!(read(size as u64, 1), "");
        assert_eq!(read(u64::MAX, 1), "");
    }
}

#[test]
fn a_content_is_written_in_any_order_and_a_small_one_comes_back_inline() {
    let place = place();
    let store = open(&place);
    let whole = noise(100_000);
    let staging = store.stage();
    let second = staging.write(50_000, whole.slice(50_000..));
    let first = staging.write(0, whole.slice(..50_000));
    let body = wait(staging.finish()).unwrap();
    wait(second).unwrap();
    wait(first).unwrap();
    assert!(matches!(&body, Body::Staged(staged) if staged.size() == 100_000));
    wait(store.deposit(PagerDeposit { body, ..pager(key("a", "t", 1), "") })).unwrap();
    let item = wait(store.open(bob(), id("a"))).unwrap().unwrap();
    assert_eq!(bodies(&store, &item), [whole]);

    let staging = store.stage();
    wait(staging.write(1, Bytes::from_static(b"b"))).unwrap();
    wait(staging.write(0, Bytes::from_static(b"a"))).unwrap();
    assert!(matches!(wait(staging.finish()).unwrap(), Body::Inline(bytes) if bytes == "ab"));
}

/// Keeps the threads that write contents from doing so while `meanwhile` runs.
fn with_a_hanging_disk<T>(store: &Archive, meanwhile: impl FnOnce() -> T) -> T {
    let disk = Arc::new(Mutex::new(()));
    let held = disk.lock().unwrap();
    for _ in 0..CONTENT_WRITERS {
        let disk = Arc::clone(&disk);
        store.contents.pool.submit(move || drop(disk.lock().unwrap())).unwrap();
    }
    let done = meanwhile();
    drop(held);
    done
}

#[test]
fn small_writes_wait_for_the_disk_and_none_is_refused() {
    let place = place();
    let store = open(&place);
    let whole = noise(512 << 10);
    let staging = store.stage();
    let writes: Vec<_> = with_a_hanging_disk(&store, || {
        let parts = (0..whole.len()).step_by(500);
        parts.map(|at| staging.write(at as u64, whole.slice(at..whole.len().min(at + 500)))).collect()
    });
    assert!(writes.into_iter().all(|write| wait(write) == Ok(())));
    let body = wait(staging.finish()).unwrap();
    wait(store.deposit(PagerDeposit { body, ..pager(key("a", "t", 1), "") })).unwrap();
    let item = wait(store.open(bob(), id("a"))).unwrap().unwrap();
    assert!(bodies(&store, &item) == [whole]);
}

#[test]
fn what_waits_for_the_disk_is_bounded() {
    let place = place();
    let store = open(&place);
    let staging = store.stage();
    let writes: Vec<_> = with_a_hanging_disk(&store, || {
        (0..20).map(|part| staging.write(part << 20, noise(1 << 20))).collect()
    });
    let taken = writes.into_iter().map(wait).filter(|outcome| *outcome != Err(StoreError::Busy)).count();
    assert_eq!(taken, 7);
}

#[test]
fn a_content_is_cut_off_where_it_ends() {
    let place = place();
    let store = open(&place);
    for (written, size) in [(10_usize, 5_usize), (100_000, 50_000), (100_000, 5), (100, 200)] {
        let staging = store.stage();
        drop(staging.write(0, noise(written)));
        drop(staging.truncate(size as u64));
        let body = wait(staging.finish()).unwrap();
        assert_eq!(body.size(), size.min(written) as u64);
        let call_id = format!("{written}-{size}");
        wait(store.deposit(PagerDeposit { body, ..pager(key(&call_id, "t", 1), "") })).unwrap();
        let item = wait(store.open(bob(), id(&call_id))).unwrap().unwrap();
        assert!(bodies(&store, &item) == [noise(size.min(written))], "{call_id}");
    }
}

#[test]
fn a_panic_while_a_content_is_written_fails_it_and_nothing_else() {
    let place = place();
    let store = open(&place);
    store.contents.panics.store(true, Ordering::Relaxed);
    let staging = store.stage();
    let [panicked, behind] =
        with_a_hanging_disk(&store, || [0, 50_000].map(|at| staging.write(at, noise(50_000))));
    assert!(matches!(wait(panicked), Err(StoreError::Unavailable(_))));
    assert_eq!(wait(behind), Ok(()));
    assert!(matches!(wait(staging.finish()), Err(StoreError::Unavailable(_))));
    wait(store.deposit(pager(key("a", "t", 1), noise(50_000)))).unwrap();
}

#[test]
fn contents_that_no_record_names_are_unlinked() {
    let place = place();
    let store = open(&place);
    let staging = store.stage();
    wait(staging.write(0, noise(50_000))).unwrap();
    assert_eq!(files(place.path()), 1);
    drop(staging);
    until(|| files(place.path()) == 0);

    let staging = store.stage();
    wait(staging.write(0, noise(50_000))).unwrap();
    drop(wait(staging.finish()).unwrap());
    until(|| files(place.path()) == 0);

    // A repeated deposit's content is not needed.
    wait(store.deposit(pager(key("a", "t", 1), "x"))).unwrap();
    assert!(wait(store.deposit(pager(key("a", "t", 1), noise(50_000)))).unwrap().repeated);
    until(|| files(place.path()) == 0);
}

#[test]
fn the_file_goes_with_its_item_and_a_late_reader_is_told() {
    let place = place();
    let store = open(&place);
    wait(store.deposit(pager(key("a", "t", 1), noise(50_000)))).unwrap();
    let item = wait(store.open(bob(), id("a"))).unwrap().unwrap();
    let content = item.messages[0].content.clone();
    assert!(matches!(content, Content::File(_)));
    wait(store.delete(bob(), id("a"))).unwrap().unwrap();
    until(|| files(place.path()) == 0);
    assert_eq!(wait(store.read(content, 0, 1)), Err(StoreError::Gone));
}

#[test]
fn what_a_crash_left_is_swept_and_ids_are_not_given_twice() {
    let place = place();
    let store = open(&place);
    wait(store.deposit(pager(key("a", "t", 1), noise(50_000)))).unwrap();
    drop(store);
    std::fs::write(place.path().join("content/00000000000000ff"), b"left").unwrap();
    let store = open(&place);
    assert_eq!(files(place.path()), 1);
    wait(store.deposit(pager(key("b", "t", 1), noise(50_000)))).unwrap();
    assert!(place.path().join("content/0000000000000100").exists());
    let item = wait(store.open(bob(), id("a"))).unwrap().unwrap();
    assert_eq!(bodies(&store, &item), [noise(50_000)]);
}

#[test]
fn a_long_session_is_opened_without_all_of_its_contents() {
    let place = place();
    let store = open(&place);
    let draft = wait(store.open_session(session(key("s", "t", 1)))).unwrap();
    let mut appended: Vec<_> =
        (0..100).map(|at| store.append(draft, message(&at.to_string(), noise(4000 + at)))).collect();
    appended.drain(..).for_each(|append| wait(append).unwrap());
    wait(store.close_session(draft)).unwrap();
    let item = wait(store.open(bob(), id("s"))).unwrap().unwrap();
    let inline: usize = item
        .messages
        .iter()
        .map(|m| if let Content::Inline(bytes) = &m.content { bytes.len() } else { 0 })
        .sum();
    assert!(inline <= 256 << 10, "{inline} bytes inline");
    let expected: Vec<_> = (0..100).map(|at| noise(4000 + at)).collect();
    assert_eq!(bodies(&store, &item), expected);
}
