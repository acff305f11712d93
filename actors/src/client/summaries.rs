//! One's own summary, as it changes: [`Summaries`].

use std::time::Duration;

use restante::client::{Inbox, SubscriptionEvent, UserAgentEvent, WaitingItem};
use restante::wire::message_summary::Summary;

use super::driver::{Begun, Command};
use super::error::ClientError;
use super::handle::Client;

/// A node tells at most once a second: after so long without a NOTIFY it has told what it will.
const PACE: Duration = Duration::from_millis(2500);

/// A subscription to one's own summary (RFC 3842). Dropped, it is unsubscribed. It outlives the connection and the node:
/// where the node cannot be reached for a while, it is asked again, every few seconds.
///
/// ```
/// # use restante_node::client::{Client, ClientConfig};
/// # use restante_node::embedded::Embedded;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let node = Embedded::start(Embedded::example(folder.path()))?;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let bob = Client::connect(ClientConfig::new("bob@example.com".parse()?, node.sip().into())).await?;
/// let mut summaries = bob.subscribe().await?;
/// assert!(summaries.next().await?.is_empty(), "nothing waits at first");
///
/// bob.send_text("sip:bob@example.com", "a note to myself").await?;
/// let added = summaries.next().await?;
/// assert_eq!((added.len(), summaries.inbox().waiting()), (1, 1));
/// summaries.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # node.stop();
/// # Ok(())
/// # }
/// ```
pub struct Summaries {
    client: Client,
    begun: Begun,
    inbox: Inbox,
    /// What a NOTIFY has told that came before the answer to the SUBSCRIBE (RFC 6665 4.1.2.4).
    first: Option<Vec<WaitingItem>>,
}

/// What is heard of a subscription to one's own summary.
#[derive(Debug)]
pub enum Change {
    /// The summary, as [`Summaries::inbox`] has it now: the items that it has added.
    Added(Vec<WaitingItem>),
    /// The subscription is interrupted: why. Until it is told otherwise, it is tried again.
    Interrupted(ClientError),
}

impl Summaries {
    /// Waits until the subscription is accepted.
    pub(super) async fn begin(client: Client, mut begun: Begun) -> Result<Self, ClientError> {
        let first = client.patient(begun.next()).await?;
        match first {
            Some(UserAgentEvent::Subscription(SubscriptionEvent::Ended(end))) => {
                Err(client.ended(end, begun.unsent()))
            }
            Some(UserAgentEvent::Subscription(SubscriptionEvent::Notified(body))) => {
                let mut summaries = Self { client, begun, inbox: Inbox::default(), first: None };
                summaries.first = Some(summaries.take(&body.bytes)?);
                Ok(summaries)
            }
            Some(_) => Ok(Self { client, begun, inbox: Inbox::default(), first: None }),
            None => Err(ClientError::Closed),
        }
    }

    /// What is known of the mailbox.
    #[must_use]
    pub const fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Waits for the next summary; gives the items it has added. The first comes at once.
    ///
    /// # Errors
    /// The subscription has ended, or what came is no summary.
    pub async fn next(&mut self) -> Result<Vec<WaitingItem>, ClientError> {
        loop {
            if let Change::Added(added) = self.change().await? {
                return Ok(added);
            }
        }
    }

    /// Waits for the next summary, or for an interruption, of which each is told once.
    ///
    /// # Errors
    /// As [`Summaries::next`].
    pub async fn change(&mut self) -> Result<Change, ClientError> {
        if let Some(first) = self.first.take() {
            return Ok(Change::Added(first));
        }
        loop {
            match self.begun.next().await {
                Some(UserAgentEvent::Subscription(SubscriptionEvent::Notified(body))) => {
                    return self.take(&body.bytes).map(Change::Added);
                }
                Some(UserAgentEvent::Subscription(SubscriptionEvent::Interrupted(end))) => {
                    return Ok(Change::Interrupted(self.client.ended(end, self.begun.unsent())));
                }
                Some(UserAgentEvent::Subscription(SubscriptionEvent::Ended(end))) => {
                    return Err(self.client.ended(end, self.begun.unsent()));
                }
                Some(_) => {}
                None => return Err(ClientError::Closed),
            }
        }
    }

    /// Waits until as many items were told of as wait, or the node has nothing more to tell.
    ///
    /// # Errors
    /// As [`Summaries::next`].
    pub async fn whole(&mut self) -> Result<Inbox, ClientError> {
        let client = self.client.clone();
        client.patient(self.uninterrupted()).await??;
        while !self.inbox.is_whole() {
            match tokio::time::timeout(PACE, self.uninterrupted()).await {
                Ok(next) => next?,
                Err(_) => break,
            }
        }
        Ok(self.inbox.clone())
    }

    /// Waits for the next summary; an interruption is an error.
    async fn uninterrupted(&mut self) -> Result<(), ClientError> {
        match self.change().await? {
            Change::Added(_) => Ok(()),
            Change::Interrupted(why) => Err(why),
        }
    }

    /// Unsubscribes, and waits a moment for the node's word that it is done.
    pub async fn close(mut self) {
        if self.client.command(Command::Unsubscribe(self.begun.usage)).await.is_ok() {
            let done = async { while self.begun.next().await.is_some() {} };
            let _ = self.client.patient(done).await;
        }
    }

    fn take(&mut self, body: &[u8]) -> Result<Vec<WaitingItem>, ClientError> {
        let summary = Summary::parse(body).ok_or_else(|| ClientError::Ended("no summary came".to_owned()))?;
        Ok(self.inbox.update(&summary))
    }
}
