//! The end of a session that is being deposited: it becomes an item, if need be at the second attempt.

use std::sync::Arc;
use std::time::Duration;

use restante::store::{Deposited, SessionId, Store, StoreError};

use crate::seldom::seldom;

/// How long is waited before the first repetition; each time twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// Repetitions before the caller is told that the session is over, some 13 seconds after it was.
const REPETITIONS: u32 = 7;
/// How long is waited before each repetition from then on.
const LATER: Duration = Duration::from_secs(30);

/// How a session was closed.
#[derive(Debug)]
pub(super) enum Closed {
    /// It is an item.
    Item(Deposited),
    /// There is nothing to be done: it held no message, or the store knows it no more, which makes an item of
    /// what it has of a session that it cannot go on with.
    Settled,
}

/// Closes `draft`, and again where the store fails to: what was acknowledged must not stay hidden until the node is
/// started anew.
///
/// # Errors
/// The store failed each time, or takes nothing more at all: then the session becomes an item when it is opened
/// again.
pub(super) async fn close(store: Arc<dyn Store>, draft: SessionId) -> Result<Closed, StoreError> {
    let mut wait = FIRST;
    for _ in 0..REPETITIONS {
        match attempt(&*store, draft).await {
            Err(error) if store.working() => {
                seldom!(warn, %error, again_ms = wait.as_millis(), "session not closed");
            }
            end => return end,
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    attempt(&*store, draft).await
}

/// As [`close`], for a session whose caller does not wait any more: as long as the store works.
///
/// # Errors
/// The store takes nothing more.
pub(super) async fn close_later(store: Arc<dyn Store>, draft: SessionId) -> Result<Closed, StoreError> {
    loop {
        tokio::time::sleep(LATER).await;
        match attempt(&*store, draft).await {
            Err(_) if store.working() => {}
            end => return end,
        }
    }
}

async fn attempt(store: &dyn Store, draft: SessionId) -> Result<Closed, StoreError> {
    match store.close_session(draft).await {
        Ok(Some(deposited)) => Ok(Closed::Item(deposited)),
        // An attempt whose answer was an error may have taken effect all the same.
        Ok(None) | Err(StoreError::UnknownSession) => Ok(Closed::Settled),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bytes::Bytes;
    use restante::store::faulty::{Faulty, Plan};
    use restante::store::memory::Memory;
    use restante::store::{Body, DepositKey, Envelope, ListQuery, NewMessage, Owner, Quota, SessionDeposit};
    use restante::time::Timestamp;

    fn bob() -> Owner {
        Owner::new(b"bob", "example.com")
    }

    /// A session with one message.
    async fn draft(store: &dyn Store) -> SessionId {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let session = SessionDeposit {
            owner: bob(),
            sender: Owner::new(b"alice", "example.org"),
            key: DepositKey { call_id: text("call"), from_tag: text("1"), cseq: 1 },
            envelope: Envelope {
                from: text("<sip:alice@example.org>"),
                to: text("<sip:bob@example.com>"),
                subject: None,
                date: text("Sun, 09 Jul 2000 21:23:01 GMT"),
                priority: None,
                content: Vec::new(),
                expires: None,
                text: true,
                urgent: false,
            },
            quota: Quota::default(),
            now: Timestamp(1),
            ends: Timestamp(u64::MAX),
            remember: Duration::from_secs(1),
        };
        let id = store.open_session(session).await.unwrap();
        let message = NewMessage {
            message_id: text("m"),
            content_type: None,
            headers: Vec::new(),
            body: Body::Inline(text("said")),
            received: Timestamp(1),
            text: true,
        };
        store.append(id, message).await.unwrap();
        id
    }

    /// A store that fails from now on as `plan` says, and well again after `seconds`.
    async fn failing(plan: Plan, seconds: u64) -> (Arc<dyn Store>, SessionId, Faulty) {
        let store = Faulty::new(Memory::new(), Plan::default(), 1);
        let id = draft(&store).await;
        store.follow(plan);
        let well = store.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            well.follow(Plan::default());
        });
        (Arc::new(store.clone()), id, store)
    }

    async fn items(store: &dyn Store) -> usize {
        store.list(bob(), ListQuery::default()).await.unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_for_a_while_has_the_item_in_the_end() {
        let plans = [
            Plan { busy: 1000, ..Plan::default() },
            Plan { unavailable: 1000, ..Plan::default() },
            // Done, and answered as failed.
            Plan { lost: 1000, ..Plan::default() },
        ];
        for plan in plans {
            let (store, id, faulty) = failing(plan.clone(), 5).await;
            let closed = close(Arc::clone(&store), id).await.unwrap();
            assert!(faulty.struck().calls > 3, "it has failed at least once");
            faulty.follow(Plan::default());
            assert_eq!(items(&*store).await, 1, "{plan:?}: {closed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_for_long_has_it_later() {
        let (store, id, _) = failing(Plan { unavailable: 1000, ..Plan::default() }, 120).await;
        let begun = tokio::time::Instant::now();
        assert!(matches!(close(Arc::clone(&store), id).await, Err(StoreError::Unavailable(_))));
        assert!(begun.elapsed() < Duration::from_secs(20), "the caller has waited long enough");
        assert!(matches!(close_later(Arc::clone(&store), id).await, Ok(Closed::Item(_))));
        assert_eq!(items(&*store).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_takes_nothing_more_is_not_asked_for_ever() {
        let (store, id, faulty) = failing(Plan { breaks_at: Some(0), ..Plan::default() }, 1_000_000).await;
        assert!(close(Arc::clone(&store), id).await.is_err());
        let calls = faulty.struck().calls;
        assert!(close_later(store, id).await.is_err());
        assert!(faulty.struck().calls <= calls + 1);
    }
}
