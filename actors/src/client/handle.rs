//! [`Client`]: what a program holds.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use restante::client::{
    Inbox, Opening, PagerMessage, Selection, SubscriptionEnd, UserAgent, UserAgentConfig, UserAgentEvent,
    identify, message_uri,
};
use restante::machine::sip::{Destination, EndpointConfig, FailureCause, Transport};
use restante::wire::message_summary;
use tokio::sync::{mpsc, oneshot};

use super::config::{ClientConfig, NodeAddress};
use super::driver::{Begun, Command, Driver, Subscribe};
use super::error::ClientError;
use super::summaries::Summaries;
use super::transport::{Eye, SipSockets, toward};
use crate::chance::Chance;

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
    /// Binds the client's sockets and finds the node. Nothing is sent yet.
    ///
    /// # Errors
    /// The node's name has no address, or no socket could be bound.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let outbound = outbound(&config).await?;
        let local = match config.local {
            Some(local) => local,
            None => SocketAddr::new(toward(outbound.addr).await?, 0),
        };
        let eye = Eye(config.observer.clone());
        let (sockets, inbound) = SipSockets::bind(local, config.patience, eye.clone()).await?;
        let local = sockets.local();
        let mut endpoint = EndpointConfig::new("c");
        endpoint.timers = config.timers;
        endpoint.max_transactions = 1000;
        endpoint.server_name = concat!("restante/", env!("CARGO_PKG_VERSION")).to_owned();
        endpoint.sent_by =
            [Transport::Udp, Transport::Tcp].map(|transport| (transport, local, local.to_string())).into();
        let agent = UserAgentConfig {
            account: config.account.clone(),
            outbound,
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
        Ok(Self { shared: Arc::new(Shared { config, local, eye, commands }) })
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
        let message = Box::new(message);
        let mut begun = self.begin(|begun| Command::Deposit { message, opening, begun }).await?;
        let answer = self.patient(begun.next()).await?;
        match answer {
            Some(UserAgentEvent::Answered(response)) => Ok(Deposited { call_id, status: response.status.0 }),
            Some(UserAgentEvent::Refused(refusal)) => Err(refusal.into()),
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

    /// Waits for something of the node's, as long as the configuration says.
    pub(super) async fn patient<T>(&self, something: impl Future<Output = T>) -> Result<T, ClientError> {
        let patience = self.shared.config.patience;
        match tokio::time::timeout(patience, something).await {
            Ok(value) => Ok(value),
            Err(_) => Err(ClientError::Unreachable {
                node: self.shared.config.node.to_string(),
                cause: format!("no answer within {} s", patience.as_secs_f32()),
            }),
        }
    }

    pub(super) fn unreachable(&self, cause: FailureCause, unsent: Option<&str>) -> ClientError {
        let cause = match (unsent, cause) {
            (Some(unsent), _) => unsent.to_owned(),
            (None, FailureCause::Timeout) => "no answer".to_owned(),
            (None, FailureCause::Transport) => "the request could not be sent".to_owned(),
        };
        ClientError::Unreachable { node: self.shared.config.node.to_string(), cause }
    }

    pub(super) fn ended(&self, end: SubscriptionEnd, unsent: Option<&str>) -> ClientError {
        match end {
            SubscriptionEnd::Refused(refusal) => refusal.into(),
            SubscriptionEnd::Failed(cause) => self.unreachable(cause, unsent),
            SubscriptionEnd::Terminated { reason, .. } => ClientError::Ended(reason),
            SubscriptionEnd::Done => ClientError::Closed,
        }
    }
}

/// The first address of a host, as the system knows it.
pub(super) async fn lookup(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((host, port)).await?.next();
    found.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"))
}

async fn outbound(config: &ClientConfig) -> Result<Destination, ClientError> {
    let NodeAddress { transport, host, port } = &config.node;
    let unreachable = |cause: String| ClientError::Unreachable { node: config.node.to_string(), cause };
    match tokio::time::timeout(config.patience, lookup(host, *port)).await {
        Ok(Ok(addr)) => {
            let domain =
                host.parse::<std::net::IpAddr>().is_err().then(|| Arc::from(host.to_ascii_lowercase()));
            Ok(Destination { domain, ..Destination::new(*transport, addr) })
        }
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable("the name was not resolved in time".to_owned())),
    }
}
