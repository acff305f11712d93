//! A disk that is full or fails: nothing is acknowledged that is not kept, and nothing is lost that
//! was.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use restante::store::{After, ListQuery, Store, SubscriptionRecord};

use super::skipped::{absent, skipped};
use super::*;

fn unavailable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

fn deposit(store: &Archive, call_id: &str, size: usize) -> Result<(), StoreError> {
    wait(store.deposit(pager(key(call_id, "t", 1), noise(size)))).map(drop)
}

#[test]
fn after_a_failed_write_nothing_is_taken_and_what_was_kept_is_read() {
    let place = place();
    let store = open(&place);
    deposit(&store, "before", 10).unwrap();
    assert!(store.working());
    store.reader.tree.fails.store(true, Ordering::Relaxed);
    assert!(unavailable(&deposit(&store, "failed", 10)));
    assert!(!store.working());
    // The disk works again, but what it holds is known only when it is opened again.
    store.reader.tree.fails.store(false, Ordering::Relaxed);
    assert!(unavailable(&deposit(&store, "after", 10)));
    assert!(unavailable(&wait(store.delete(bob(), id("before")))));
    assert!(wait(store.open(bob(), id("before"))).unwrap().is_some());
    assert_eq!(wait(store.list(bob(), ListQuery::default())).unwrap().len(), 1);
    drop(store);
    let store = open(&place);
    assert!(store.working());
    deposit(&store, "after", 10).unwrap();
    assert_eq!(wait(store.counts(bob())).unwrap().items, 2);
}

/// A store that holds one item, was told that it is retrieved, and can sync nothing that was not synced at once.
fn marked(after: After) -> (TempDir, Archive) {
    let place = place();
    let store = open(&place);
    deposit(&store, "one", 10).unwrap();
    store.reader.tree.unsyncable.store(true, Ordering::Relaxed);
    let counts = wait(store.retrieved(bob(), id("one"), after)).unwrap().unwrap();
    assert_eq!(counts.text.new, 0);
    (place, store)
}

/// Waits until the sync is tried, which breaks the store, and does `meanwhile` again and again.
fn assert_synced(store: &Archive, meanwhile: impl Fn()) {
    let begun = Instant::now();
    while store.working() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is never synced");
        meanwhile();
    }
}

#[test]
fn a_mark_is_answered_before_it_is_synced_and_synced_all_the_same() {
    // By itself,
    let (_place, store) = marked(After::Keep);
    assert_synced(&store, || std::thread::sleep(Duration::from_millis(1)));
    // before what writes nothing is answered,
    let (_place, store) = marked(After::Keep);
    assert!(unavailable(&wait(store.retrieved(bob(), id("none"), After::Delete))));
    // and at the end.
    let (_place, store) = marked(After::Keep);
    assert!(unavailable(&wait(store.close())));
}

#[test]
fn a_mark_is_synced_in_time_where_marks_never_end() {
    let (_place, store) = marked(After::Keep);
    // The writer always finds another one queued.
    assert_synced(&store, || {
        (0..100).for_each(|_| drop(store.retrieved(bob(), id("none"), After::Keep)));
    });
}

#[test]
fn a_deposit_in_a_batch_that_a_mark_has_begun_is_synced_first() {
    let place = place();
    let store = open(&place);
    deposit(&store, "one", 10).unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    // It holds up the writer until the sender's end is dropped.
    store.on_change(Arc::new(move |_| {
        let _ = released.lock().unwrap().recv();
    }));
    let holding = store.deposit(pager(key("holding", "t", 1), noise(10)));
    let mark = store.retrieved(bob(), id("one"), After::Keep);
    let two = store.deposit(pager(key("two", "t", 1), noise(10)));
    store.reader.tree.unsyncable.store(true, Ordering::Relaxed);
    drop(release);
    assert!(wait(holding).is_ok() && wait(mark).is_ok() && wait(two).is_ok());
    // Nothing is left to be synced.
    wait(store.close()).unwrap();
}

#[test]
fn a_mark_is_synced_with_the_next_deposit_and_a_removal_at_once() {
    let (_place, store) = marked(After::Keep);
    // Unless the time was up before.
    if deposit(&store, "two", 10).is_ok() {
        wait(store.close()).unwrap();
    }
    let (_place, store) = marked(After::Delete);
    wait(store.close()).unwrap();
}

#[test]
fn a_read_that_fails_fails_its_own_operation_and_no_other() {
    let place = place();
    let store = open(&place);
    let carol = || Owner::new(b"carol", "example.com");
    deposit(&store, "before", 10).unwrap();
    let carols = |call_id| PagerDeposit { owner: carol(), ..pager(key(call_id, "t", 1), noise(50_000)) };
    wait(store.deposit(carols("hers"))).unwrap();
    let draft = wait(store.open_session(session(key("call", "t", 1)))).unwrap();
    wait(store.append(draft, said("1"))).unwrap();
    let unreadable = |on| store.reader.tree.unreadable.store(on, Ordering::Relaxed);
    let held = hold_up(&store);
    unreadable(true);
    let answers = (
        store.deposit(carols("unread")),
        store.append(draft, said("2")),
        store.delete(bob(), id("before")),
        store.retrieved_all(bob(), vec![id("before"), id("none")], After::Delete),
        store.close_session(draft),
    );
    // A large content is set aside by other threads first, and comes behind the others.
    drop(held);
    assert!(unavailable(&wait(answers.0)) && unavailable(&wait(answers.2)) && unavailable(&wait(answers.4)));
    assert_eq!(wait(answers.1), Ok(()), "it had nothing to read");
    assert!(wait(answers.3).unwrap().iter().all(unavailable), "each has its own answer");
    until(|| files(place.path()) == 1);
    unreadable(false);
    assert!(store.working(), "nothing is in doubt");
    let counts = wait(store.counts(bob())).unwrap();
    assert_eq!((counts.items, counts.bytes, counts.text.new), (2, 12, 1));
    // The session goes on.
    wait(store.append(draft, said("3"))).unwrap();
    wait(store.close_session(draft)).unwrap().unwrap();
    let item = wait(store.open(bob(), id("call"))).unwrap().unwrap();
    assert_eq!(bodies(&store, &item), ["1", "2", "3"]);
    // Whatever was not done can be done again, and counts once.
    assert!(!wait(store.deposit(carols("unread"))).unwrap().repeated);
    assert_eq!(wait(store.counts(carol())).unwrap().items, 2);
    wait(store.delete(bob(), id("before"))).unwrap().unwrap();
    let counts = [bob(), carol()].map(|owner| wait(store.counts(owner)).unwrap());
    drop(store);
    let store = open(&place);
    assert_eq!(
        [bob(), carol()].map(|owner| wait(store.counts(owner)).unwrap()),
        counts,
        "also after a restart"
    );
    for owner in [bob(), carol()] {
        let heads = wait(store.list(owner.clone(), ListQuery::default())).unwrap();
        let bytes = heads.iter().map(|head| head.bytes).sum::<u64>();
        let counts = wait(store.counts(owner)).unwrap();
        assert_eq!((counts.items, counts.bytes), (heads.len() as u64, bytes));
    }
}

#[test]
fn an_operation_that_fails_midway_leaves_nothing_of_itself() {
    let place = place();
    let store = open(&place);
    deposit(&store, "one", 10).unwrap();
    deposit(&store, "two", 20).unwrap();
    let before = wait(store.counts(bob())).unwrap();
    // It is known where the item is: what is written of its id is read only when its removal is half done.
    wait(store.open(bob(), id("one"))).unwrap().unwrap();
    let kind = |kind| store.reader.tree.unreadable_kind.store(kind, Ordering::Relaxed);
    let assert_as_before = || {
        assert_eq!(wait(store.counts(bob())).unwrap(), before);
        assert_eq!(wait(store.list(bob(), ListQuery::default())).unwrap().len(), 2);
        assert!(wait(store.open(bob(), id("one"))).unwrap().is_some());
    };
    kind(b'n');
    assert!(unavailable(&wait(store.delete(bob(), id("one")))));
    let marks = wait(store.retrieved_all(bob(), vec![id("one")], After::Delete)).unwrap();
    assert!(marks.iter().all(unavailable));
    kind(0);
    assert_as_before();
    let subscription =
        SubscriptionRecord { owner: bob(), key: "k".into(), record: Bytes::new(), expires: Timestamp(5000) };
    wait(store.put_subscription(subscription)).unwrap();
    kind(b'n');
    let step = wait(store.expire(Timestamp(5000), 100)).unwrap();
    assert_eq!((step.removed, step.owners), (1, vec![]), "the subscription has ended all the same");
    kind(0);
    assert_as_before();
    assert_eq!(wait(store.expire(Timestamp(5000), 100)).unwrap().removed, 0, "that is for later");
    let later = Timestamp(5000).after(Duration::from_secs(3600));
    assert_eq!(wait(store.expire(later, 100)).unwrap().owners, [bob()]);
    assert_eq!(wait(store.counts(bob())).unwrap(), restante::store::Counts::default());
    drop(store);
    assert_eq!(wait(open(&place).counts(bob())).unwrap(), restante::store::Counts::default());
}

/// Holds up the writer of a store until what is given is dropped, so that what is asked for meanwhile is one batch.
fn hold_up(store: &Archive) -> std::sync::mpsc::Sender<()> {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    store.on_change(Arc::new(move |_| {
        let _ = released.lock().unwrap().recv();
    }));
    drop(store.deposit(PagerDeposit { owner: alice(), ..pager(key("holding", "t", 1), "x") }));
    release
}

#[test]
fn a_batch_that_is_given_up_cuts_sessions_off_hides_nothing_of_them_and_leaves_no_file() {
    let place = place();
    let store = open(&place);
    let changes = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&changes);
    store.on_change(Arc::new(move |_| *counted.lock().unwrap() += 1));
    let draft = wait(store.open_session(session(key("call", "t", 1)))).unwrap();
    wait(store.append(draft, said("said"))).unwrap();
    let unreadable = |on| store.reader.tree.unreadable.store(on, Ordering::Relaxed);
    // It reads nothing itself; when the batch is written, a key is looked for that is free.
    let subscription = SubscriptionRecord {
        owner: bob(),
        key: Bytes::from_static(b"k"),
        record: Bytes::new(),
        expires: Timestamp(9000),
    };
    let staging = store.stage();
    wait(staging.write(0, noise(50_000))).unwrap();
    let body = wait(staging.finish()).unwrap();
    unreadable(true);
    let large = store.append(draft, NewMessage { body, ..said("") });
    let given_up = store.put_subscription(subscription.clone());
    let _ = wait(large);
    assert!(unavailable(&wait(given_up)));
    // The engine cannot be read yet when it is tried to make an item of the session.
    assert!(unavailable(&wait(store.put_subscription(subscription))));
    unreadable(false);
    assert!(store.working(), "nothing was written: nothing is in doubt");
    until(|| {
        let _ = wait(store.delete(bob(), id("none")));
        wait(store.open(bob(), id("call"))).unwrap().is_some()
    });
    assert_eq!(wait(store.append(draft, said("cut off"))), Err(StoreError::UnknownSession));
    assert_eq!(wait(store.close_session(draft)), Err(StoreError::UnknownSession));
    let item = wait(store.open(bob(), id("call"))).unwrap().expect("what was acknowledged is an item");
    assert_eq!(bodies(&store, &item)[0], Bytes::from_static(b"said"));
    assert_eq!(*changes.lock().unwrap(), 1, "and its owner's subscribers are told");
    until(|| files(place.path()) == item.messages.len() - 1);
    // A session that begins now goes on.
    let draft = wait(store.open_session(session(key("second", "t", 1)))).unwrap();
    wait(store.append(draft, said("more"))).unwrap();
    wait(store.close_session(draft)).unwrap();
    let counts = wait(store.counts(bob())).unwrap();
    assert_eq!((counts.items, counts.bytes), (2, item.head.bytes + 4));
    drop(store);
    assert_eq!(wait(open(&place).counts(bob())).unwrap(), counts, "also after a restart");
}

#[test]
fn what_cannot_be_read_keeps_nothing_else_from_ending() {
    let place = place();
    let store = open(&place);
    deposit(&store, "item", 10).unwrap();
    let subscription = |key: &'static [u8]| SubscriptionRecord {
        owner: bob(),
        key: key.into(),
        record: Bytes::new(),
        expires: Timestamp(5000),
    };
    wait(store.put_subscription(subscription(b"k"))).unwrap();
    store.reader.tree.unreadable.store(true, Ordering::Relaxed);
    // The groups of ends cannot be read either, and are left for later.
    let step = wait(store.expire(Timestamp(5000), 100)).unwrap();
    assert_eq!((step.removed, step.more), (0, false));
    store.reader.tree.unreadable.store(false, Ordering::Relaxed);
    let step = wait(store.expire(Timestamp(5000), 100)).unwrap();
    assert_eq!(step.removed, 2);
}

#[test]
fn an_engine_that_has_stopped_is_called_so() {
    let place = place();
    let store = open(&place);
    assert_eq!(store.ailment(), None);
    store.reader.tree.stopped.store(true, Ordering::Relaxed);
    assert!(unavailable(&deposit(&store, "late", 10)));
    let why = store.ailment().unwrap().to_string();
    assert!(why.contains("its engine has stopped"), "{why}");
    assert!(!store.working());
}

/// A small file system in memory; `None`, said plainly, where that is not permitted.
struct Tiny(TempDir);

impl Tiny {
    fn mount(megabytes: u32) -> Option<Self> {
        let place = place();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(place.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(place));
        }
        skipped("the store on a full disk", "a tmpfs cannot be mounted here");
        None
    }

    fn grow(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_deposits_and_loses_none() {
    let Some(disk) = Tiny::mount(6) else { return };
    let mut kept = Vec::new();
    let store = open(&disk.0);
    for number in 0..5000 {
        let call_id = number.to_string();
        // Records and content files in turns.
        let size = if number % 10 == 3 { 40_000 } else { 3000 };
        match deposit(&store, &call_id, size) {
            Ok(()) => kept.push((call_id, size)),
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
                if !store.working() {
                    break;
                }
            }
        }
    }
    assert!(!store.working(), "the disk was never full");
    assert!(kept.len() > 20, "{} kept", kept.len());
    assert!(unavailable(&deposit(&store, "late", 1)));
    drop(store);
    disk.grow(300);
    let store = open(&disk.0);
    for (call_id, size) in &kept {
        let item = wait(store.open(bob(), id(call_id))).unwrap().expect("acknowledged, so it is there");
        assert_eq!(bodies(&store, &item), [noise(*size)]);
    }
    deposit(&store, "late", 1).unwrap();
}

/// Set for the child process: where its store is.
const DIRECTORY: &str = "RESTANTE_FAULT_DIRECTORY";

/// The child: deposits until the disk fails, and says what was acknowledged.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = Archive::open(Path::new(&directory)).unwrap();
    let mut out = std::io::stdout();
    for number in 0..1000 {
        if deposit(&store, &number.to_string(), 100).is_err() {
            let more =
                (0..20).filter(|number| deposit(&store, &format!("late{number}"), 100).is_ok()).count();
            out.write_all(format!("\nfailed {number} then {more} working {}\n", store.working()).as_bytes())
                .unwrap();
            out.flush().unwrap();
            // A disk that fails is left at once, as by a crash.
            std::process::exit(0);
        }
    }
}

#[test]
fn a_sync_that_fails_acknowledges_nothing_more() {
    let strace = || {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]);
        strace.args(["-e", "inject=fdatasync:error=EIO:when=30"]).stderr(Stdio::null());
        strace
    };
    match strace().arg("true").status() {
        Ok(status) if status.success() => {}
        Ok(_) => return skipped("a sync that fails", "strace may not trace here"),
        Err(_) => return absent("strace", "a sync that fails"),
    }
    let place = place();
    drop(open(&place));
    let mut child = strace()
        .arg(std::env::current_exe().unwrap())
        .args(["archive::tests::faults::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, place.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: Vec<String> = lines.map_while(Result::ok).filter(|line| line.starts_with("failed ")).collect();
    child.wait().unwrap();
    let said = said.first().expect("the child has seen its disk fail");
    let words: Vec<&str> = said.split(' ').collect();
    let ["failed", failed, "then", more, "working", working] = words[..] else { panic!("{said}") };
    // Only one sync failed; the later ones would have succeeded.
    assert_eq!((more, working), ("0", "false"));
    let store = open(&place);
    for number in 0..failed.parse::<u32>().unwrap() {
        assert!(wait(store.open(bob(), id(&number.to_string()))).unwrap().is_some(), "{number} is lost");
    }
}
