//! A client of the store, for programs: [`Client`] sends, looks what waits, and fetches it.
//!
//! It drives the machines of [`restante::client`] over sockets of its own, on tokio. What it asks for goes to
//! the node (or a proxy) that its configuration names, over UDP, TCP or TLS; messages come over MSRP, on a
//! connection that the client opens, within TLS where the requests are.
//!
//! ```
//! use restante_node::client::{Client, ClientConfig};
//! # use restante_node::embedded::Embedded;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let node = Embedded::start(Embedded::example(folder.path()))?;
//! # let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # tokio.block_on(async {
//! // Bob asks to be told what is left for him: nothing so far.
//! let bob = Client::connect(ClientConfig::new("bob@example.com".parse()?, node.sip().into())).await?;
//! let mut summaries = bob.subscribe().await?;
//! assert!(summaries.next().await?.is_empty());
//!
//! // Alice leaves a message. Its id is what the store calls it.
//! let alice = Client::connect(ClientConfig::new("alice@example.com".parse()?, node.sip().into())).await?;
//! let sent = alice.send_text("sip:bob@example.com", "Shall I fetch you at eight?").await?;
//! alice.close().await;
//!
//! // Bob is told of it, and fetches it.
//! let added = summaries.next().await?;
//! assert_eq!((added.len(), added[0].id.as_str()), (1, sent.call_id.as_str()));
//! let ids: Vec<String> = added.into_iter().map(|item| item.id).collect();
//! let fetched = bob.fetch(&bob.select(&ids).await?).await?;
//! assert!(fetched.is_complete());
//! assert_eq!(fetched.messages[0].content, "Shall I fetch you at eight?");
//!
//! // Nothing new waits any more: it is old at the store.
//! summaries.next().await?;
//! assert_eq!((summaries.inbox().waiting(), summaries.inbox().old()), (0, 1));
//! summaries.close().await;
//! bob.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # node.stop();
//! # Ok(())
//! # }
//! ```
//!
//! A node that is found by the DNS and reached over TLS, and asks for a password:
//!
//! ```no_run
//! use restante_node::client::{Client, ClientConfig, Login, TlsSettings};
//! # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(ClientConfig {
//!     login: Some(Login::new("bob", "a secret")),
//!     tls: TlsSettings { ca: Some("ca.pem".into()), ..TlsSettings::default() },
//!     ..ClientConfig::new("bob@example.com".parse()?, "sips:example.com".parse()?)
//! })
//! .await?;
//! # client.close().await;
//! # Ok(())
//! # }
//! ```

mod chat;
mod config;
mod connect;
mod driver;
mod error;
mod fetch;
mod handle;
mod keep;
mod msrp;
mod observer;
mod places;
mod secure;
mod stream;
mod summaries;
mod tap;
mod transport;

pub use chat::{Chat, ChatEvent};
pub use config::{ClientConfig, NodeAddress};
pub use error::ClientError;
pub use fetch::Fetched;
pub use handle::{Client, Deposited};
pub use keep::{InMemory, Keep, ReceivedMessage};
pub use observer::{Observer, Seen, SeenProtocol, visible};
pub use restante::client::{
    Account, Inbox, ItemState, MessageHead, PagerMessage, Refusal, RetrievedItem, Selection, WaitingItem,
};
pub use restante::machine::digest::Login;
pub use restante::machine::msrp::IncomingId;
pub use restante::machine::sip::Body;
pub use restante::wire::fingerprint::Fingerprint;
pub use secure::TlsSettings;
pub use summaries::{Change, Summaries};
