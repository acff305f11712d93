//! What happens when an actor fails (panics). actix drops it, and calls no `stopped()`: what has to be done
//! is done by `Drop`, which runs however an actor ends.
//!
//! | who fails | what is done |
//! |---|---|
//! | Focus, Recorder | the INVITE gets 500, or the dialog a BYE; its place is free |
//! | VirtualUa | its item has failed, the others go on |
//! | Mailbox | the shard makes it anew from the subscriptions that are written down |
//! | Shard, SipEndpoint | fatal: the process ends; what was acknowledged is in the store |

use std::sync::{Arc, OnceLock};

use actix::{Message, Recipient};
use restante::store::Owner;
use tokio::sync::Notify;

/// Whether what is being dropped just now is dropped because it has failed.
#[must_use]
pub fn has_failed() -> bool {
    std::thread::panicking()
}

/// A Focus has ended, or a Mailbox has failed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Exited {
    /// Whose it was.
    pub owner: Owner,
    /// Who it was.
    pub who: Who,
}

/// Who has ended.
#[derive(Debug)]
pub enum Who {
    /// A focus, by its dialog's tag.
    Focus(Arc<str>),
    /// A mailbox, which has failed.
    Mailbox,
}

impl Exited {
    /// The focus with the dialog tag `tag`.
    #[must_use]
    pub const fn focus(owner: Owner, tag: Arc<str>) -> Self {
        Self { owner, who: Who::Focus(tag) }
    }

    /// A mailbox, which has failed.
    #[must_use]
    pub const fn mailbox(owner: Owner) -> Self {
        Self { owner, who: Who::Mailbox }
    }
}

/// Tells the shard of an actor's end, once, however it ends: kept in the actor, and dropped with it.
pub struct Obituary {
    shard: Arc<Recipient<Exited>>,
    exited: Option<Exited>,
}

impl Obituary {
    /// `exited` is what the shard will be told.
    #[must_use]
    pub const fn new(shard: Arc<Recipient<Exited>>, exited: Exited) -> Self {
        Self { shard, exited: Some(exited) }
    }
}

impl Drop for Obituary {
    fn drop(&mut self) {
        if let Some(exited) = self.exited.take() {
            self.shard.do_send(exited);
        }
    }
}

/// Learns that an actor has failed without which the node cannot go on; clones are the same.
#[derive(Clone, Default)]
pub struct Fatal(Arc<Inner>);

#[derive(Default)]
struct Inner {
    failed: OnceLock<String>,
    told: Notify,
}

impl Fatal {
    /// What an actor called `name` keeps to be vital.
    #[must_use]
    pub fn vital(&self, name: String) -> Vital {
        Vital { name, fatal: self.clone() }
    }

    /// Waits until a vital actor has failed; returns its name.
    pub async fn failed(&self) -> &str {
        loop {
            let told = self.0.told.notified();
            if let Some(name) = self.0.failed.get() {
                return name;
            }
            told.await;
        }
    }
}

/// Kept by an actor whose failure is fatal.
pub struct Vital {
    name: String,
    fatal: Fatal,
}

impl Drop for Vital {
    fn drop(&mut self) {
        if has_failed() {
            let _ = self.fatal.0.failed.set(std::mem::take(&mut self.name));
            self.fatal.0.told.notify_waiters();
            self.fatal.0.told.notify_one();
        }
    }
}

/// Lets a failure be one line of the log, in the log's own form, with the place in the source.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let cause = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        tracing::error!(place, cause, "a part of the node has failed; what was done about it follows");
    }));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[actix::test]
    async fn only_a_failure_is_fatal() {
        let fatal = Fatal::default();
        drop(fatal.vital("the one that stops".into()));
        assert!(fatal.0.failed.get().is_none());
        let vital = fatal.vital("the one that fails".into());
        let failing = actix::spawn(async move {
            let _vital = vital;
            panic!("on purpose");
        });
        assert_eq!(fatal.failed().await, "the one that fails");
        assert!(failing.await.is_err());
        assert_eq!(fatal.failed().await, "the one that fails", "told to whoever asks later, too");
    }
}
