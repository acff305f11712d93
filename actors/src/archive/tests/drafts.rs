//! Sessions under way when drafts are recovered: who goes on with his is left alone.

use restante::store::SessionId;

use super::*;
use crate::archive::desk::Desk;
use crate::archive::session::recover_drafts;
use crate::archive::transaction::Transaction;
use crate::archive::tree::{Durable, Tree};

const LIVE: SessionId = SessionId(1);

fn append(tree: &Tree, desk: &mut Desk, id: SessionId, said: &'static str) {
    let mut transaction = Transaction::new(tree, desk);
    transaction.append(id, message(said, said)).unwrap();
    transaction.commit(Durable::First).unwrap();
}

/// A session that has said one thing.
fn begin(tree: &Tree, desk: &mut Desk, id: SessionId, deposit: SessionDeposit) {
    Transaction::new(tree, desk).open_session(id, deposit).unwrap();
    append(tree, desk, id, "one");
}

#[test]
fn a_draft_that_somebody_goes_on_with_is_no_item_yet() {
    let place = place();
    drop(open(&place));
    let carol = Owner::new(b"carol", "example.com");
    let (left, carols) = (SessionId(2), SessionId(3));
    {
        let tree = Tree::open(&place.path().join("engine")).unwrap();
        let mut desk = Desk::new(1);
        begin(&tree, &mut desk, LIVE, session(key("live", "t", 1)));
        begin(&tree, &mut desk, left, session(key("left", "t", 1)));
        // The number of its bundle is that of Bob's live one.
        begin(
            &tree,
            &mut desk,
            carols,
            SessionDeposit { owner: carol.clone(), ..session(key("hers", "t", 1)) },
        );
        for orphan in [left, carols] {
            desk.drafts.remove(&orphan);
        }
        assert_eq!(recover_drafts(&tree, &mut desk).unwrap().items, 2);
        assert_eq!(recover_drafts(&tree, &mut desk).unwrap().items, 0, "they are drafts no more");
        append(&tree, &mut desk, LIVE, "two");
        let mut transaction = Transaction::new(&tree, &mut desk);
        let item = transaction.close_session(LIVE).unwrap().expect("what was said is an item");
        transaction.commit(Durable::First).unwrap();
        assert_eq!(item.message_id, id("live"));
    }
    let store = open(&place);
    let said = |owner: &Owner, call_id| {
        let item = wait(store.open(owner.clone(), id(call_id))).unwrap().expect("an item");
        bodies(&store, &item)
    };
    assert_eq!(said(&bob(), "live"), ["one", "two"]);
    assert_eq!(said(&bob(), "left"), ["one"]);
    assert_eq!(said(&carol, "hers"), ["one"]);
    assert_eq!(wait(store.counts(bob())).unwrap().items, 2);
}
