//! [`Client`]: what a program holds.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use restante::client::{
    Inbox, Opening, PagerMessage, Refusal, Selection, SubscriptionEnd, UserAgent, UserAgentConfig,
    UserAgentEvent, identify, message_uri,
};
use restante::machine::sip::{EndpointConfig, FailureCause, Transport};
use restante::wire::message_summary;
use tokio::sync::{mpsc, oneshot};

use super::config::ClientConfig;
use super::driver::{Begun, Command, Driver, Subscribe};
use super::error::ClientError;
use super::places::{self, Found};
use super::secure::Secure;
use super::stream::Fault;
use super::summaries::Summaries;
use super::transport::{Eye, SipSockets};
use crate::chance::Chance;
use crate::link::Resolver;

/// Commands that wait for the driver.
const COMMANDS: usize = 64;
/// How long a subscription is asked for.
const SUBSCRIBED: Duration = Duration::from_secs(3600);

/// A client of the store. Clones are the same client.
///
/// Everything it began ends when it is closed: sessions get a BYE, subscriptions are unsubscribed.
#[derive(Clone)]
pub struct Client {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) config: ClientConfig,
    pub(super) local: SocketAddr,
    pub(super) resolver: Resolver,
    pub(super) secure: Arc<Secure>,
    /// Whether sessions are carried within TLS.
    pub(super) secure_sessions: bool,
    /// Whether requests go over TLS to every place.
    is_secure: bool,
    /// The places that are tried.
    places: u32,
    pub(super) eye: Eye,
    pub(super) commands: mpsc::Sender<Command>,
}

/// A message in safe hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposited {
    /// The Call-ID it was sent with: the store's Message-ID, unless it was taken before.
    pub call_id: String,
    /// The status: 202 from a store, 200 from a user agent.
    pub status: u16,
}

impl Client {
    /// Finds the node, by the DNS where its address leaves something open (RFC 3263), and binds the client's sockets.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// The node's name has no address, a file for TLS cannot be used, or no socket could be bound.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let secure = Arc::new(Secure::new(&config.tls)?);
        let resolver = places::resolver(&config)?;
        let Found { best, others, local } = places::find(&config, &resolver).await?;
        let is_secure = best.transport.is_secure() && others.iter().all(|it| it.transport.is_secure());
        let places = u32::try_from(others.len() + 1).unwrap_or(u32::MAX);
        let local = config.local.unwrap_or_else(|| SocketAddr::new(local, 0));
        let eye = Eye(config.observer.clone());
        // A little less, so that what is wrong with a connection is told before it is only late.
        let (sockets, inbound) =
            SipSockets::bind(local, config.patience.mul_f32(0.9), Arc::clone(&secure), eye.clone()).await?;
        let local = sockets.local();
        let mut endpoint = EndpointConfig::new("c");
        endpoint.timers = config.timers;
        endpoint.max_transactions = 1000;
        endpoint.server_name = concat!("restante/", env!("CARGO_PKG_VERSION")).to_owned();
        endpoint.sent_by = [Transport::Udp, Transport::Tcp, Transport::Tls]
            .map(|transport| (transport, local, local.to_string()))
            .into();
        let agent = UserAgentConfig {
            account: config.account.clone(),
            outbound: best,
            fallbacks: others,
            patience: config.patience,
            contact: local.to_string(),
            endpoint,
            login: config.login.clone(),
        };
        let (commands, queue) = mpsc::channel(COMMANDS);
        let driver = Driver {
            agent: UserAgent::new(agent, &mut Chance),
            sockets,
            inbound,
            commands: queue,
            sender: commands.downgrade(),
            listeners: HashMap::new(),
            closing: None,
        };
        tokio::spawn(driver.run());
        let secure_sessions = config.secure_sessions.unwrap_or(is_secure);
        let shared =
            Shared { config, local, resolver, secure, secure_sessions, is_secure, places, eye, commands };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The address it sends from and listens at.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.shared.local
    }

    /// Deposits a text. The same as [`Client::send`] with a text/plain message.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_text(&self, to: &str, text: &str) -> Result<Deposited, ClientError> {
        self.send(PagerMessage::text(to, text)).await
    }

    /// Deposits a message by MESSAGE: when it returns, the message is in safe hands.
    ///
    /// # Errors
    /// The node refuses it, or cannot be reached. Then nobody may have it; [`Client::send_as`] with the same
    /// opening may be used to try again, and deposits it once at most.
    pub async fn send(&self, message: PagerMessage) -> Result<Deposited, ClientError> {
        self.send_as(message, self.opening()).await
    }

    /// A Call-ID and a tag for [`Client::send_as`].
    #[must_use]
    pub fn opening(&self) -> Opening {
        identify(&self.shared.local.ip().to_string(), &mut Chance)
    }

    /// As [`Client::send`], with a Call-ID and a tag of the caller's: the same again is the same deposit.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_as(&self, message: PagerMessage, opening: Opening) -> Result<Deposited, ClientError> {
        let call_id = opening.call_id.clone();
        self.secure_enough(&message.to)?;
        let message = Box::new(message);
        let mut begun = self.begin(|begun| Command::Deposit { message, opening, begun }).await?;
        let answer = self.patient(begun.next()).await?;
        match answer {
            Some(UserAgentEvent::Answered(response)) => Ok(Deposited { call_id, status: response.status.0 }),
            Some(UserAgentEvent::Refused(refusal)) => Err(self.refused(refusal)),
            Some(UserAgentEvent::Failed(cause)) => Err(self.unreachable(cause, begun.unsent())),
            _ => Err(ClientError::Closed),
        }
    }

    /// Subscribes to one's own summary: what waits, and each change of it.
    ///
    /// # Errors
    /// The node refuses it, or cannot be reached.
    pub async fn subscribe(&self) -> Result<Summaries, ClientError> {
        let uri = self.shared.config.account.uri().to_owned();
        let begun =
            self.subscribe_to(uri, "message-summary", message_summary::MEDIA_TYPE, SUBSCRIBED).await?;
        Summaries::begin(self.clone(), begun).await
    }

    /// What waits, as whole as the node tells it within its own pace.
    ///
    /// # Errors
    /// The node refuses it, or cannot be reached.
    pub async fn summary(&self) -> Result<Inbox, ClientError> {
        let mut summaries = self.subscribe().await?;
        let inbox = summaries.whole().await?;
        summaries.close().await;
        Ok(inbox)
    }

    /// The message URI of a Message-ID; a SIP URI stays what it is. Where the configuration names no host, the
    /// node is asked for its summary first, whose account names it.
    ///
    /// # Errors
    /// The node refuses that, cannot be reached, or tells no host.
    pub async fn message_uris(&self, ids: &[String]) -> Result<Vec<String>, ClientError> {
        let is_uri = |id: &String| id.starts_with("sip:") || id.starts_with("sips:");
        let host = match &self.shared.config.store_host {
            _ if ids.iter().all(is_uri) => String::new(),
            Some(host) => host.clone(),
            None => {
                let inbox = self.summary().await?;
                let told = inbox.store_host().map(str::to_owned);
                told.ok_or_else(|| ClientError::Node {
                    text: self.shared.config.node.to_string(),
                    problem: "its summary names no host of message URIs; configure it".to_owned(),
                })?
            }
        };
        Ok(ids.iter().map(|id| if is_uri(id) { id.clone() } else { message_uri(id, &host) }).collect())
    }

    /// The selection of these Message-IDs or message URIs.
    ///
    /// # Errors
    /// As [`Client::message_uris`].
    pub async fn select(&self, ids: &[String]) -> Result<Selection, ClientError> {
        Ok(Selection::of(self.message_uris(ids).await?))
    }

    /// Ends what is going on and gives the sockets back; returns when that is done.
    pub async fn close(self) {
        let (closed, done) = oneshot::channel();
        if self.shared.commands.send(Command::Close(closed)).await.is_ok() {
            let _ = done.await;
        }
    }

    pub(super) async fn subscribe_to(
        &self,
        uri: String,
        event: &'static str,
        accept: &'static str,
        wanted: Duration,
    ) -> Result<Begun, ClientError> {
        self.secure_enough(&uri)?;
        let subscribe = Box::new(Subscribe { uri, event, accept, wanted });
        let opening = self.opening();
        self.begin(|begun| Command::Subscribe { subscribe, opening, begun }).await
    }

    /// Has the driver begin something.
    pub(super) async fn begin(
        &self,
        command: impl FnOnce(oneshot::Sender<Begun>) -> Command,
    ) -> Result<Begun, ClientError> {
        let (begun, answer) = oneshot::channel();
        self.command(command(begun)).await?;
        answer.await.map_err(|_| ClientError::Closed)
    }

    pub(super) async fn command(&self, command: Command) -> Result<(), ClientError> {
        self.shared.commands.send(command).await.map_err(|_| ClientError::Closed)
    }

    /// How long something of the node's is waited for: as long as the configuration says for each of its places.
    pub(super) fn patience(&self) -> Duration {
        self.shared.config.patience.saturating_mul(self.shared.places)
    }

    /// Waits for something of the node's.
    pub(super) async fn patient<T>(&self, something: impl Future<Output = T>) -> Result<T, ClientError> {
        let patience = self.patience();
        match tokio::time::timeout(patience, something).await {
            Ok(value) => Ok(value),
            Err(_) => Err(ClientError::Unreachable {
                node: self.shared.config.node.to_string(),
                cause: format!("no answer within {} s", patience.as_secs_f32()),
            }),
        }
    }

    /// Whether the way to the node is as secure as `uri` demands.
    pub(super) fn secure_enough(&self, uri: &str) -> Result<(), ClientError> {
        let demands = uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"));
        if demands && !self.shared.is_secure {
            // RFC 3261 26.2.2: a SIPS URI specifies that TLS is to be used on every hop.
            return Err(ClientError::Node {
                text: self.shared.config.node.to_string(),
                problem: "a sips: address is reached over TLS alone, as by a node tls:HOST".to_owned(),
            });
        }
        Ok(())
    }

    pub(super) fn unreachable(&self, cause: FailureCause, unsent: Option<&Fault>) -> ClientError {
        let node = self.shared.config.node.to_string();
        match (unsent, cause) {
            (Some(Fault::Untrusted(cause)), _) => ClientError::Untrusted { peer: node, cause: cause.clone() },
            (Some(Fault::Unreachable(cause)), _) => ClientError::Unreachable { node, cause: cause.clone() },
            (None, FailureCause::Timeout) => ClientError::Unreachable { node, cause: "no answer".to_owned() },
            (None, FailureCause::Transport | FailureCause::Unresolved) => {
                ClientError::Unreachable { node, cause: "the request could not be sent".to_owned() }
            }
        }
    }

    /// A refusal, told apart by whether it is about who asks.
    pub(super) fn refused(&self, refusal: Refusal) -> ClientError {
        match refusal.status.0 {
            401 | 407 => {
                let user = self.shared.config.login.as_ref().map(|login| login.user().into_owned());
                ClientError::Unauthorized { user }
            }
            _ => refusal.into(),
        }
    }

    pub(super) fn ended(&self, end: SubscriptionEnd, unsent: Option<&Fault>) -> ClientError {
        match end {
            SubscriptionEnd::Refused(refusal) => self.refused(refusal),
            SubscriptionEnd::Failed(cause) => self.unreachable(cause, unsent),
            SubscriptionEnd::Terminated { reason, .. } => ClientError::Ended(reason),
            SubscriptionEnd::Done => ClientError::Closed,
        }
    }
}
