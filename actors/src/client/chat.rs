//! A session with somebody, or with the store in his place: [`Chat`].

use std::time::Duration;

use bytes::Bytes;
use restante::client::{InvitationEvent, MessageHead, Opening, PagerMessage, ReceptionEvent, UserAgentEvent};
use restante::entropy::Entropy as _;
use restante::machine::msrp::{Event, IncomingId, Outgoing, OutgoingId, Verdict};
use restante::machine::offer_answer::AcceptTypes;
use restante::machine::sip::Body;
use restante::wire::sdp::Direction;

use super::connect::{Accepted, OurMedia, invite};
use super::driver::{Begun, Command};
use super::error::ClientError;
use super::handle::Client;
use super::keep::{InMemory, Keep as _, ReceivedMessage};
use super::msrp::{MsrpEvent, MsrpSession};
use crate::chance::Chance;
use crate::clock;

/// Bytes of one message that are handed to the connection at once.
const PIECE: usize = 64 * 1024;
/// Bytes that may wait to be written before more are handed over.
const AHEAD: usize = 256 * 1024;
/// Bytes of what the other side says that are kept in memory.
const HEARD: usize = 16 << 20;

/// A session in which messages are sent one after the other, each acknowledged.
///
/// ```
/// # use restante_node::client::{Body, Client, ClientConfig, Selection};
/// # use restante_node::embedded::Embedded;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let node = Embedded::start(Embedded::example(folder.path()))?;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let joe = Client::connect(ClientConfig::new("joe@example.com".parse()?, node.sip().into())).await?;
/// let mut chat = joe.chat("sip:bob@example.com", None).await?;
/// chat.say("Slides are on my desk.").await?;
/// chat.say("Thank you!").await?;
/// chat.bye().await?;
///
/// // The whole session is one item.
/// let bob = Client::connect(ClientConfig::new("bob@example.com".parse()?, node.sip().into())).await?;
/// let fetched = bob.fetch(&Selection::New).await?;
/// assert_eq!((fetched.items.len(), fetched.messages.len()), (1, 2));
/// # joe.close().await;
/// # bob.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # node.stop();
/// # Ok(())
/// # }
/// ```
pub struct Chat {
    client: Client,
    call_id: String,
    begun: Begun,
    msrp: MsrpSession,
    heard: InMemory,
    accepts: AcceptTypes,
    max_size: Option<u64>,
}

/// What the other side of a [`Chat`] does.
#[derive(Debug)]
pub enum ChatEvent {
    /// It says something.
    Said(Box<ReceivedMessage>),
    /// It ended the session.
    Ended,
}

impl Client {
    /// Invites somebody to a session; the store answers in place of one who is away. `about` tells subject,
    /// priority and the like of what will be deposited.
    ///
    /// # Errors
    /// He refuses, or cannot be reached, or no MSRP connection could be made.
    pub async fn chat(&self, to: &str, about: Option<PagerMessage>) -> Result<Chat, ClientError> {
        self.chat_as(to, about, self.opening()).await
    }

    /// As [`Client::chat`], with a Call-ID and tag of the caller's.
    ///
    /// # Errors
    /// As [`Client::chat`].
    pub async fn chat_as(
        &self,
        to: &str,
        about: Option<PagerMessage>,
        opening: Opening,
    ) -> Result<Chat, ClientError> {
        let ours = OurMedia::prepare(self, Direction::SendRecv)?;
        let call_id = opening.call_id.clone();
        let invite = invite(to.to_owned(), Body::sdp(ours.offer()), false, about);
        let Accepted { begun, agreed, .. } = ours.invite(self, invite, opening).await?;
        let msrp = ours.connect(self, &agreed, true).await?;
        Ok(Chat {
            client: self.clone(),
            call_id,
            begun,
            msrp,
            heard: InMemory::new(HEARD),
            accepts: agreed.remote_accepts,
            max_size: agreed.remote_max_size,
        })
    }
}

impl Chat {
    /// The Call-ID: the Message-ID of the session, where the store keeps it.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Sends a text, and waits until it is acknowledged.
    ///
    /// # Errors
    /// As [`Chat::send`].
    pub async fn say(&mut self, text: &str) -> Result<(), ClientError> {
        let content = Bytes::copy_from_slice(text.as_bytes());
        self.send("text/plain;charset=UTF-8", content, |_| {}).await
    }

    /// Sends a message, and waits until it is acknowledged: then it is in safe hands. `progress` is told how many
    /// bytes have been handed over.
    ///
    /// # Errors
    /// The other side does not take it, ended the session, or is gone.
    pub async fn send(
        &mut self,
        content_type: &str,
        content: Bytes,
        mut progress: impl FnMut(u64),
    ) -> Result<(), ClientError> {
        // RFC 4975 8.6: MUST NOT send a type not signaled, SHOULD NOT send more than max-size.
        if !self.accepts.accepts(content_type) {
            return Err(ClientError::MessageRefused(415));
        }
        if self.max_size.is_some_and(|most| content.len() as u64 > most) {
            return Err(ClientError::MessageRefused(413));
        }
        let outgoing = Outgoing {
            message_id: Chance.token(24).into(),
            content_type: Bytes::copy_from_slice(content_type.as_bytes()),
            headers: Vec::new(),
            total: content.len() as u64,
        };
        let id = self.msrp.machine().begin(clock::now(), outgoing);
        let mut left = content.clone();
        let patience = self.client.shared.config.patience.max(Duration::from_secs(30));
        loop {
            while !left.is_empty() && self.msrp.queued() < AHEAD {
                let piece = left.split_to(left.len().min(PIECE));
                self.msrp.machine().data(clock::now(), id, piece);
                progress((content.len() - left.len()) as u64);
            }
            tokio::select! {
                event = self.msrp.next() => {
                    if self.outcome(id, event?)? {
                        return Ok(());
                    }
                }
                event = self.begun.next() => over(event)?,
                () = tokio::time::sleep(patience) => {
                    return Err(ClientError::Msrp("the message was not acknowledged in time".to_owned()));
                }
            }
        }
    }

    /// Waits for something that the other side says or does.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<ChatEvent, ClientError> {
        loop {
            if let Some(message) = self.heard.take_first() {
                return Ok(ChatEvent::Said(Box::new(message)));
            }
            tokio::select! {
                event = self.msrp.next() => {
                    self.hear(event?);
                }
                event = self.begun.next() => {
                    if over(event).is_err() {
                        return Ok(ChatEvent::Ended);
                    }
                }
            }
        }
    }

    /// Ends the session, and waits until the other side knows.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn bye(mut self) -> Result<(), ClientError> {
        self.client.command(Command::Bye(self.begun.usage)).await?;
        let client = self.client.clone();
        client
            .patient(async {
                while let Some(event) = self.begun.next().await {
                    if over(Some(event)).is_err() {
                        break;
                    }
                }
            })
            .await?;
        self.msrp.finish().await;
        Ok(())
    }

    /// What became of a message that is sent: whether it is acknowledged.
    fn outcome(&mut self, id: OutgoingId, event: MsrpEvent) -> Result<bool, ClientError> {
        match event {
            MsrpEvent::Session(Event::Delivered { id: delivered }) => Ok(delivered == id),
            MsrpEvent::Session(Event::Refused { id: refused, status }) if refused == id => {
                Err(ClientError::MessageRefused(status))
            }
            MsrpEvent::Session(Event::Failed(failure)) => Err(ClientError::Msrp(format!("{failure:?}"))),
            other => {
                self.hear(other);
                Ok(false)
            }
        }
    }

    fn hear(&mut self, event: MsrpEvent) {
        let MsrpEvent::Reception(event) = event else { return };
        let (id, kept) = match event {
            ReceptionEvent::Begun { id, head } => (id, self.begin(id, &head)),
            ReceptionEvent::Data { id, bytes } => (id, self.heard.data(id, &bytes)),
            ReceptionEvent::Complete { id } => {
                let kept = self.heard.commit(id);
                if kept.is_ok() {
                    self.msrp.answer(id, &Verdict::Stored);
                }
                (id, kept)
            }
            ReceptionEvent::Dropped { id, .. } => return self.heard.discard(id),
            ReceptionEvent::Unwanted { id } => (id, Err(std::io::ErrorKind::FileTooLarge.into())),
        };
        if kept.is_err() {
            self.heard.discard(id);
            self.msrp.answer(id, &Verdict::Refused(413, Bytes::new()));
        }
    }

    fn begin(&mut self, id: IncomingId, head: &MessageHead) -> std::io::Result<()> {
        self.heard.begin(id, &self.call_id, 0, head)
    }
}

/// An error once the session is over.
fn over(event: Option<UserAgentEvent>) -> Result<(), ClientError> {
    match event {
        Some(UserAgentEvent::Session(InvitationEvent::Ended(_))) | None => {
            Err(ClientError::Ended(String::new()))
        }
        Some(_) => Ok(()),
    }
}
