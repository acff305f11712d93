//! The upkeep of the store while the node runs: what has ended goes, in small steps; a store that
//! has failed makes the node not ready.

use std::sync::Arc;
use std::time::Duration;

use restante::focus::expiry_clock::Jump;
use restante::store::Store;

use crate::expiry::Expiry;
use crate::http::Readiness;

/// Items, remembered deposits and subscriptions that end in one step.
const AT_ONCE: usize = 256;
/// How often expired items are looked for, and the store is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// A store that does not answer for so long is not ready.
const SILENCE: Duration = Duration::from_secs(30);

/// Keeps up `store` by the clock of `expiry`, and `readiness` true to it, for ever.
pub async fn keep_up(store: Arc<dyn Store>, expiry: Arc<Expiry>, readiness: Readiness) {
    let mut stalled = false;
    loop {
        if !store.working() && readiness.is_ready() {
            let why = store.ailment().map(|error| error.to_string()).unwrap_or_default();
            tracing::error!("not ready: {why}");
            readiness.refuse(why);
        }
        if !store.working() {
            tokio::time::sleep(INTERVAL).await;
            continue;
        }
        let (now, jump) = expiry.read();
        report(jump);
        let mut expiring = store.expire(now, AT_ONCE);
        let expired = match tokio::time::timeout(SILENCE, &mut expiring).await {
            Ok(expired) => expired,
            Err(_) => {
                // What is under way is not asked for again; the node is ready when it has ended.
                tracing::error!(seconds = SILENCE.as_secs(), "not ready: the store does not answer");
                stalled = readiness.is_ready();
                readiness.refuse("the store does not answer".to_owned());
                expiring.await
            }
        };
        if std::mem::take(&mut stalled) && store.working() {
            tracing::info!("ready: the store answers again");
            readiness.set(true);
        }
        match expired {
            Ok(expired) => {
                if expired.removed > 0 {
                    metrics::counter!("restante_expired_items_total").increment(expired.items as u64);
                    tracing::debug!(items = expired.items, all = expired.removed, "expired");
                }
                if expired.more {
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            Err(error) => tracing::error!(%error, "expired items not removed; tried again"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn report(jump: Option<Jump>) {
    match jump {
        None => {}
        Some(Jump::Ahead(by)) => tracing::error!(
            seconds = by.as_secs(),
            "the wall clock has jumped ahead: nothing expires by it unless it stays so for an hour"
        ),
        Some(Jump::Believed) => {
            tracing::warn!("the wall clock has stayed ahead for an hour: items expire by it now");
        }
        Some(Jump::Over) => tracing::info!("the wall clock has come back: nothing had expired by it"),
        Some(Jump::Back(by)) => {
            tracing::warn!(seconds = by.as_secs(), "the wall clock has gone back: items expire later");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use restante::store::faulty::{Faulty, Plan};
    use restante::store::memory::Memory;
    use restante::store::{Body, DepositKey, Envelope, Owner, PagerDeposit, Quota, SubscriptionRecord};
    use restante::time::Timestamp;

    async fn until(condition: impl Fn() -> bool) {
        for _ in 0..1000 {
            if condition() {
                return;
            }
            tokio::time::sleep(INTERVAL / 10).await;
        }
        panic!("the condition never held");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_has_failed_makes_the_node_not_ready() {
        let store = Faulty::new(Memory::new(), Plan::default(), 1);
        let readiness = Readiness::new();
        readiness.set(true);
        let upkeep = tokio::spawn(keep_up(Arc::new(store.clone()), Arc::default(), readiness.clone()));
        until(|| store.struck().calls > 3).await;
        assert!(readiness.is_ready());
        assert_eq!(readiness.why_not(), None);
        store.follow(Plan { breaks_at: Some(0), ..Plan::default() });
        until(|| !readiness.is_ready()).await;
        assert_eq!(readiness.why_not().unwrap(), "the store is unavailable: it takes nothing");
        upkeep.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn items_that_had_ended_are_counted_and_nothing_else_that_has() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _counting = metrics::set_default_local_recorder(&recorder);
        let store = Memory::new();
        let bob = Owner::new(b"bob", "example.com");
        let deposit = || PagerDeposit {
            owner: bob.clone(),
            sender: Owner::new(b"alice", "example.org"),
            key: DepositKey { call_id: "a".into(), from_tag: "t".into(), cseq: 1 },
            envelope: Envelope::default(),
            body: Body::Inline("x".into()),
            quota: Quota::default(),
            now: Timestamp(1),
            ends: Timestamp(2),
            remember: Duration::from_millis(1),
        };
        assert!(!store.deposit(deposit()).await.unwrap().repeated);
        let (key, record) = ("k".into(), "dialog".into());
        let subscription = SubscriptionRecord { owner: bob.clone(), key, record, expires: Timestamp(2) };
        store.put_subscription(subscription).await.unwrap();
        let upkeep = tokio::spawn(keep_up(Arc::new(store.clone()), Arc::default(), Readiness::new()));
        tokio::time::sleep(2 * INTERVAL).await;
        upkeep.abort();
        assert!(!store.deposit(deposit()).await.unwrap().repeated, "it is forgotten");
        let text = recorder.handle().render();
        assert!(text.contains("restante_expired_items_total 1\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_makes_the_node_not_ready_until_it_does() {
        let store = Faulty::new(Memory::new(), Plan { late: 1000, ..Plan::default() }, 1);
        let readiness = Readiness::new();
        readiness.set(true);
        let upkeep = tokio::spawn(keep_up(Arc::new(store.clone()), Arc::default(), readiness.clone()));
        until(|| !readiness.is_ready()).await;
        assert_eq!(readiness.why_not().unwrap(), "the store does not answer");
        store.follow(Plan::default());
        store.release();
        until(|| readiness.is_ready()).await;
        assert_eq!(readiness.why_not(), None);
        upkeep.abort();
    }
}
