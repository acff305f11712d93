//! Where items were found last: it spares a look-up, and never decides.

use restante::store::{After, Store};

use super::*;
use crate::archive::keys::{self, IdHash, MailboxId};
use crate::archive::tree::Durable;

/// The number of the first mailbox that came.
const BOBS: MailboxId = MailboxId(1);

fn store_of(place: &TempDir, call_ids: &[&str]) -> Archive {
    let store = open(place);
    for call_id in call_ids {
        wait(store.deposit(pager(key(call_id, "t", 1), call_id.to_string()))).unwrap();
    }
    store
}

fn hint(store: &Archive, call_id: &str, sequence: u64) {
    store.reader.tree.hints().note(BOBS, IdHash::of(&id(call_id)), sequence);
}

fn said(store: &Archive, call_id: &str) -> Option<Vec<Bytes>> {
    wait(store.open(bob(), id(call_id))).unwrap().map(|item| bodies(store, &item))
}

#[test]
fn what_was_found_is_found_again_without_its_id() {
    let place = place();
    let store = store_of(&place, &["a", "b"]);
    assert_eq!(wait(store.held(bob(), vec![id("a")])).unwrap().iter().flatten().count(), 1);
    let forgotten = ["a", "b"].map(|name| (keys::ids(BOBS, IdHash::of(&id(name)).place), None));
    store.reader.tree.commit(forgotten.into_iter(), Durable::First).unwrap();
    assert_eq!(said(&store, "a"), Some(vec!["a".into()]));
    assert_eq!(said(&store, "b"), None, "it was not looked for before");
    assert!(wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap().is_some());
}

#[test]
fn a_hint_that_leads_elsewhere_is_not_followed() {
    let place = place();
    let store = store_of(&place, &["a", "b"]);
    for wrong in [2, 99] {
        hint(&store, "a", wrong);
        assert_eq!(said(&store, "a"), Some(vec!["a".into()]));
    }
    hint(&store, "a", 2);
    let counts = wait(store.delete(bob(), id("a"))).unwrap().unwrap();
    assert_eq!(counts.items, 1);
    assert_eq!(said(&store, "b"), Some(vec!["b".into()]), "the other one is still there");
    for stale in [1, 2] {
        hint(&store, "a", stale);
        assert_eq!(said(&store, "a"), None);
        assert_eq!(wait(store.held(bob(), vec![id("a")])).unwrap(), [None]);
        assert_eq!(wait(store.retrieved(bob(), id("a"), After::Keep)).unwrap(), None);
    }
    assert_eq!(wait(store.counts(bob())).unwrap().text.new, 1);
}

#[test]
fn a_damaged_record_is_told_of_as_without_a_hint() {
    let place = place();
    let store = store_of(&place, &["a"]);
    let key = keys::item(BOBS, 1);
    let mut value = store.reader.tree.get(&key).unwrap().unwrap().to_vec();
    value[20] ^= 1;
    store.reader.tree.commit([(key, Some(value.into()))].into_iter(), Durable::First).unwrap();
    let outcomes = [false, true].map(|hinted| {
        if hinted {
            hint(&store, "a", 1);
        }
        wait(store.open(bob(), id("a"))).map(drop)
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(matches!(outcomes[0], Err(StoreError::Damaged { .. })), "{outcomes:?}");
}
