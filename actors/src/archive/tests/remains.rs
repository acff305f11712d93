//! Items of many messages: they go at once, and what they have taken of the disk little by little.

use restante::store::{After, Store};

use super::*;
use crate::archive::keys::{self, MailboxId};

const BOBS: MailboxId = MailboxId(1);

/// A session of so many messages; every hundredth content lies in a file, every tenth beside its record.
fn session_of(store: &Archive, call_id: &str, messages: usize) {
    let draft = wait(store.open_session(session(key(call_id, "t", 1)))).unwrap();
    let size = |number| match number {
        _ if number % 100 == 50 => 40_000,
        _ if number % 10 == 5 => 5000,
        _ => 1,
    };
    let appended: Vec<_> =
        (0..messages).map(|number| store.append(draft, said(noise(size(number))))).collect();
    appended.into_iter().for_each(|appended| wait(appended).unwrap());
    wait(store.close_session(draft)).unwrap().unwrap();
}

/// How many records of messages and contents there are.
fn records(store: &Archive) -> usize {
    let moment = store.reader.tree.moment();
    [b"m", b"b"].iter().map(|kind| moment.prefix(&kind[..]).count()).sum()
}

#[test]
fn a_large_item_goes_at_once_and_its_messages_in_steps_across_a_restart() {
    let place = place();
    let store = open(&place);
    session_of(&store, "large", 2500);
    session_of(&store, "other", 10);
    let (all, both) = (records(&store), wait(store.counts(bob())).unwrap());
    assert_eq!((all, both.items, files(place.path())), (2500 + 250 + 10 + 1, 2, 25));
    let counts = wait(store.retrieved(bob(), id("large"), After::Delete)).unwrap().unwrap();
    assert_eq!((counts.items, counts.bytes), (1, 5009), "the mailbox has room at once");
    assert_eq!(wait(store.open(bob(), id("large"))).unwrap(), None);
    assert_eq!(records(&store), all);
    let step = wait(store.expire(Timestamp(0), 1)).unwrap();
    assert!(step.more && step.removed == 0 && step.owners.is_empty());
    assert!(all - records(&store) <= 1024 * 11 / 10 + 1, "a step is small");
    drop(store);
    let store = open(&place);
    // A ledger that is counted anew gives no number to others that is in use.
    assert!(wait(store.expire(Timestamp(0), 1)).unwrap().more);
    assert!(!wait(store.expire(Timestamp(0), 1)).unwrap().more);
    assert_eq!(records(&store), 11);
    assert_eq!(store.reader.tree.moment().prefix(&keys::REMAINS).count(), 0);
    until(|| files(place.path()) == 0);
    let item = wait(store.open(bob(), id("other"))).unwrap().unwrap();
    assert_eq!(bodies(&store, &item).len(), 10);
}

#[test]
fn an_item_that_expires_leaves_what_the_next_steps_remove() {
    let place = place();
    let store = open(&place);
    session_of(&store, "large", 1500);
    let step = wait(store.expire(Timestamp(5000), 100)).unwrap();
    assert_eq!((step.removed, step.more, step.owners), (1, true, vec![bob()]));
    while wait(store.expire(Timestamp(5000), 100)).unwrap().more {}
    assert_eq!(records(&store), 0);
}

#[test]
fn what_remains_has_its_number_while_it_does() {
    let place = place();
    let store = open(&place);
    session_of(&store, "large", 1500);
    wait(store.delete(bob(), id("large"))).unwrap();
    let tree = &store.reader.tree;
    let nonsense = (keys::ledger(BOBS), Some(b"nonsense".to_vec().into()));
    tree.commit([nonsense].into_iter(), crate::archive::tree::Durable::First).unwrap();
    drop(store);
    let store = open(&place);
    session_of(&store, "new", 10);
    while wait(store.expire(Timestamp(0), 100)).unwrap().more {}
    let item = wait(store.open(bob(), id("new"))).unwrap().unwrap();
    assert_eq!(bodies(&store, &item).len(), 10);
}
