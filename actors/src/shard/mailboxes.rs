//! The mailboxes of a shard: made when they are asked for, left when nobody watches them any more, and made anew
//! when one has failed.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use dashmap::DashMap;
use restante::store::{Owner, SubscriptionRecord};
use tokio::sync::mpsc;

use super::Shard;
use crate::mailbox::{self, Changed, Mailbox, Restore, Retire};

/// How long a mailbox that has failed is left alone before it is made anew.
const RESTORE_AFTER: Duration = Duration::from_secs(1);

/// Who is to be told of a mailbox's changes; read by the store's change feed.
pub type Watched = Arc<DashMap<Owner, Addr<Mailbox>>>;

/// A Mailbox has no subscriptions after so many messages from the shard.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Idle {
    /// Whose mailbox.
    pub owner: Owner,
    /// How many messages it has had.
    pub received: u64,
}

/// A subscription that outlived the last run.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Resume {
    /// As it was written down.
    pub record: SubscriptionRecord,
    /// Dropped when its dialog is known.
    pub known: mpsc::Sender<()>,
}

/// A mailbox, and how many messages it was sent.
pub(super) struct MailboxEntry {
    mailbox: Addr<Mailbox>,
    sent: u64,
}

impl Shard {
    /// The mailbox of `owner`, to be sent one message.
    pub(super) fn mailbox(&mut self, owner: Owner, ctx: &Context<Self>) -> Option<Addr<Mailbox>> {
        let endpoint = self.endpoint.clone()?;
        let entry = self.mailboxes.entry(owner.clone()).or_insert_with(|| {
            let mailbox = Mailbox::new(
                Arc::clone(&self.shared),
                endpoint,
                ctx.address(),
                owner.clone(),
                self.tag.clone(),
            )
            .start();
            self.watched.insert(owner, mailbox.clone());
            MailboxEntry { mailbox, sent: 0 }
        });
        entry.sent += 1;
        Some(entry.mailbox.clone())
    }

    /// Makes a mailbox that has failed anew from what is written down of it; not at once, so that one that
    /// fails again and again does not keep the core from all else.
    pub(super) fn restore(&mut self, owner: Owner, ctx: &mut Context<Self>) {
        if self.mailboxes.get(&owner).is_some_and(|entry| !entry.mailbox.connected()) {
            self.mailboxes.remove(&owner);
            self.watched.remove(&owner);
        }
        let store = Arc::clone(&self.shared.store);
        let reading = async move {
            tokio::time::sleep(RESTORE_AFTER).await;
            mailbox::written_down(store.as_ref(), &owner).await
        };
        ctx.spawn(reading.into_actor(self).map(|read, shard, ctx| match read {
            Ok(records) => {
                tracing::info!(subscriptions = records.len(), "mailbox made anew");
                for record in records {
                    shard.resume(record, None, ctx);
                }
            }
            Err(error) => {
                tracing::error!(%error, "mailbox not made anew: its subscriptions go on when the node starts again");
            }
        }));
    }

    fn resume(&mut self, record: SubscriptionRecord, known: Option<mpsc::Sender<()>>, ctx: &Context<Self>) {
        if let Some(mailbox) = self.mailbox(record.owner.clone(), ctx) {
            mailbox.do_send(Restore { record, known });
        }
    }
}

impl Handler<Idle> for Shard {
    type Result = ();
    fn handle(&mut self, idle: Idle, _: &mut Self::Context) {
        // A message may have been sent meanwhile; then the mailbox lives on and says so again.
        if self.mailboxes.get(&idle.owner).is_some_and(|entry| entry.sent == idle.received)
            && let Some(entry) = self.mailboxes.remove(&idle.owner)
        {
            self.watched.remove(&idle.owner);
            entry.mailbox.do_send(Retire);
        }
    }
}

impl Handler<Resume> for Shard {
    type Result = ();
    fn handle(&mut self, resume: Resume, ctx: &mut Self::Context) {
        self.resume(resume.record, Some(resume.known), ctx);
    }
}

/// Tells whoever watches a mailbox that it changed; called by the store's change feed.
pub fn tell_changed(watched: &Watched, owner: &Owner) {
    if let Some(mailbox) = watched.get(owner) {
        mailbox.do_send(Changed);
    }
}
