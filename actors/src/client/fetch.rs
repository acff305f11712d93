//! Retrieval: an INVITE to message URIs, the messages over MSRP, and the focus' word on each (RFC 4575).

use std::time::Duration;

use restante::client::{
    InvitationEnd, InvitationEvent, ItemState, ReceptionEvent, RetrievedItem, Selection, SubscriptionEvent,
    UserAgentEvent,
};
use restante::machine::msrp::{IncomingId, Verdict};
use restante::machine::sip::Body;
use restante::wire::conference_info::{self, ConferenceInfo};
use restante::wire::sdp::Direction;

use super::connect::{Accepted, OurMedia, focus_of, invite};
use super::driver::Begun;
use super::error::ClientError;
use super::handle::Client;
use super::keep::{InMemory, Keep, ReceivedMessage};
use super::msrp::{MsrpEvent, MsrpSession};
use crate::chance::Chance;

/// How long the focus' word is waited for: the first, before anything is retrieved, and the last, after the BYE.
const WORD: Duration = Duration::from_secs(2);
/// How long the conference is subscribed to.
const SUBSCRIBED: Duration = Duration::from_secs(3600);
/// Bytes that [`Client::fetch`] keeps in memory.
const IN_MEMORY: usize = 256 << 20;

/// What a retrieval brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The messages, in the order in which they became whole; empty where the caller kept them himself.
    pub messages: Vec<ReceivedMessage>,
    /// What became of each item, in the order asked for.
    pub items: Vec<RetrievedItem>,
    /// What could not be kept: the item, and why.
    pub unkept: Vec<(String, String)>,
}

impl Fetched {
    /// Whether everything that was asked for is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unkept.is_empty() && self.items.iter().all(|item| item.state == ItemState::Complete)
    }
}

impl Client {
    /// Retrieves items into memory, up to 256 MiB. What was retrieved whole is old at the store afterwards.
    ///
    /// ```
    /// # use restante_node::client::{Client, ClientConfig, ItemState};
    /// # use restante_node::embedded::Embedded;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let node = Embedded::start(Embedded::example(folder.path()))?;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let bob = Client::connect(ClientConfig::new("bob@example.com".parse()?, node.sip().into())).await?;
    /// let one = bob.send_text("sip:bob@example.com", "one").await?;
    /// let two = bob.send_text("sip:bob@example.com", "two").await?;
    /// // Both by one INVITE with a URI-list (RFC 5366), and one that is not there: it fails alone.
    /// let ids = [one.call_id, "unknown".to_owned(), two.call_id];
    /// let fetched = bob.fetch(&bob.select(&ids).await?).await?;
    /// let texts: Vec<_> = fetched.messages.iter().map(|message| message.content.clone()).collect();
    /// assert_eq!(texts, ["one", "two"]);
    /// assert!(matches!(fetched.items[1].state, ItemState::Failed { status: 404, .. }));
    /// # bob.close().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # node.stop();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The node refuses the INVITE or cannot be reached, or no MSRP connection could be made. That single items
    /// failed, or the session broke midway, is no error: [`Fetched::items`] tells.
    pub async fn fetch(&self, selection: &Selection) -> Result<Fetched, ClientError> {
        let mut keep = InMemory::new(IN_MEMORY);
        let fetched = self.fetch_into(selection, &mut keep).await?;
        Ok(Fetched { messages: keep.into_messages(), ..fetched })
    }

    /// Retrieves items into a place of the caller's. Dropped midway, the session gets a BYE, and what was not
    /// whole stays new.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn fetch_into(
        &self,
        selection: &Selection,
        keep: &mut dyn Keep,
    ) -> Result<Fetched, ClientError> {
        let ours = OurMedia::prepare(self, Direction::RecvOnly)?;
        let body: Body = selection.body(ours.offer(), &mut Chance);
        let uri = selection.request_uri(&self.shared.config.account);
        let invite = invite(uri, body, selection.needs_list(), None);
        let Accepted { begun, response, agreed } = ours.invite(self, invite, self.opening()).await?;
        let mut retrieval = restante::client::Retrieval::new(selection.uris());
        // Before the connection is bound nothing is sent: so the focus is heard from the first item on.
        let focus = match focus_of(&response) {
            Some(uri) => self.attend(uri, &mut retrieval).await,
            None => None,
        };
        keep.progress(retrieval.items());
        let msrp = ours.connect(self, &agreed, true).await?;
        let fetch =
            Fetch { client: self, keep, retrieval, msrp, begun, focus, unkept: Vec::new(), orderly: None };
        fetch.run().await
    }

    /// Subscribes to the conference state, and waits for the first document.
    async fn attend(&self, uri: String, retrieval: &mut restante::client::Retrieval) -> Option<Begun> {
        let accept = conference_info::MEDIA_TYPE;
        let mut begun = self.subscribe_to(uri, "conference", accept, SUBSCRIBED).await.ok()?;
        let first = async {
            loop {
                match begun.next().await? {
                    UserAgentEvent::Subscription(SubscriptionEvent::Notified(body)) => {
                        take(retrieval, &body);
                        return Some(());
                    }
                    UserAgentEvent::Subscription(
                        SubscriptionEvent::Interrupted(_) | SubscriptionEvent::Ended(_),
                    ) => return None,
                    _ => {}
                }
            }
        };
        let heard = tokio::time::timeout(WORD, first).await;
        match heard {
            Ok(None) => None,
            _ => Some(begun),
        }
    }
}

/// A retrieval that goes on.
struct Fetch<'a> {
    client: &'a Client,
    keep: &'a mut dyn Keep,
    retrieval: restante::client::Retrieval,
    msrp: MsrpSession,
    begun: Begun,
    focus: Option<Begun>,
    unkept: Vec<(String, String)>,
    /// Whether the store ended the session by a BYE; none while it goes on.
    orderly: Option<bool>,
}

/// What woke the retrieval.
enum Woken {
    Msrp(Result<MsrpEvent, ClientError>),
    Session(Option<UserAgentEvent>),
    Focus(Option<UserAgentEvent>),
    Silence,
}

impl Fetch<'_> {
    async fn run(mut self) -> Result<Fetched, ClientError> {
        let patience = self.client.shared.config.patience.max(Duration::from_secs(30));
        while self.orderly.is_none() {
            match self.wait(patience).await {
                Woken::Msrp(Ok(event)) => self.msrp(event),
                // Without its connection the session is over. Whether every message had come the focus alone can
                // say: a BYE that follows may say that the store is done, or that it has given up.
                Woken::Msrp(Err(_)) => self.orderly = Some(false),
                Woken::Session(event) => self.session(event),
                Woken::Focus(event) => self.focus(event),
                Woken::Silence => self.orderly = Some(false),
            }
        }
        self.hear_out().await;
        self.msrp.finish().await;
        self.retrieval.ended(self.orderly == Some(true));
        self.keep.progress(self.retrieval.items());
        Ok(Fetched { messages: Vec::new(), items: self.retrieval.items().to_vec(), unkept: self.unkept })
    }

    async fn wait(&mut self, patience: Duration) -> Woken {
        let focus = async {
            match &mut self.focus {
                Some(focus) => focus.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.msrp.next() => Woken::Msrp(event),
            event = self.begun.next() => Woken::Session(event),
            event = focus => Woken::Focus(event),
            () = tokio::time::sleep(patience) => Woken::Silence,
        }
    }

    /// The session is over: what the focus has still to say of its participants.
    async fn hear_out(&mut self) {
        let told = async {
            while self.focus.is_some() && !self.retrieval.is_settled() {
                let event = match &mut self.focus {
                    Some(focus) => focus.next().await,
                    None => None,
                };
                self.focus(event);
            }
        };
        let _ = tokio::time::timeout(WORD, told).await;
    }

    fn session(&mut self, event: Option<UserAgentEvent>) {
        match event {
            Some(UserAgentEvent::Session(InvitationEvent::Ended(end))) => {
                self.orderly = Some(end == InvitationEnd::Remote);
            }
            Some(_) => {}
            None => self.orderly = Some(false),
        }
    }

    fn focus(&mut self, event: Option<UserAgentEvent>) {
        match event {
            Some(UserAgentEvent::Subscription(SubscriptionEvent::Notified(body))) => {
                take(&mut self.retrieval, &body);
                self.keep.progress(self.retrieval.items());
            }
            // A focus does not outlive its retrieval: there is nothing to wait for.
            Some(UserAgentEvent::Subscription(
                SubscriptionEvent::Interrupted(_) | SubscriptionEvent::Ended(_),
            ))
            | None => self.focus = None,
            Some(_) => {}
        }
    }

    fn msrp(&mut self, event: MsrpEvent) {
        let MsrpEvent::Reception(event) = event else { return };
        match event {
            ReceptionEvent::Begun { id, head } => {
                let (item, number) = self.retrieval.begun(id, &head);
                let name = self.retrieval.items().get(item).map(|item| item.id.clone()).unwrap_or_default();
                let kept = self.keep.begin(id, &name, number, &head);
                self.unless_kept(id, kept);
            }
            ReceptionEvent::Data { id, bytes } => {
                self.retrieval.received(id, bytes.len());
                if self.retrieval.is_arriving(id) {
                    let kept = self.keep.data(id, &bytes);
                    self.unless_kept(id, kept);
                }
            }
            ReceptionEvent::Complete { id } => {
                if self.retrieval.is_arriving(id) {
                    let kept = self.keep.commit(id);
                    if self.unless_kept(id, kept) {
                        self.retrieval.kept(id);
                        self.msrp.answer(id, &Verdict::Stored);
                    }
                }
            }
            ReceptionEvent::Dropped { id, .. } => {
                self.keep.discard(id);
                self.retrieval.dropped(id);
            }
            ReceptionEvent::Unwanted { id } => self.refuse(id),
        }
        self.keep.progress(self.retrieval.items());
    }

    /// Refuses a message that could not be kept. Says whether it could.
    fn unless_kept(&mut self, id: IncomingId, kept: std::io::Result<()>) -> bool {
        let Err(error) = kept else { return true };
        let name = self.retrieval.item_of(id).map(|item| item.id.clone()).unwrap_or_default();
        self.unkept.push((name, error.to_string()));
        self.refuse(id);
        false
    }

    fn refuse(&mut self, id: IncomingId) {
        self.keep.discard(id);
        self.retrieval.dropped(id);
        // RFC 4975 10.5: the sender stops sending this message, and goes on with others.
        self.msrp.answer(id, &Verdict::Refused(413, bytes::Bytes::new()));
    }
}

fn take(retrieval: &mut restante::client::Retrieval, body: &Body) {
    if let Ok(info) = ConferenceInfo::parse(&body.bytes) {
        retrieval.handle_conference(&info);
    }
}
