//! A client of the store, for programs: [`Client`] sends, looks what waits, and fetches it.
//!
//! It drives the machines of [`restante::client`] over sockets of its own, on tokio. What it asks for goes to
//! the node (or a proxy) that its configuration names, over UDP, TCP or TLS; messages come over MSRP, on a
//! connection that the client opens, within TLS where the requests are.
//!
//! ```
//! use restante_node::client::{Client, ClientConfig, Selection};
//! # use restante_node::embedded::Embedded;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let node = Embedded::start(Embedded::example(folder.path()))?;
//! # let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # tokio.block_on(async {
//! // Alice leaves a message for Bob, who is away.
//! let alice = Client::connect(ClientConfig::new("alice@example.com".parse()?, node.sip().into())).await?;
//! alice.send_text("sip:bob@example.com", "Shall I fetch you at eight?").await?;
//! alice.close().await;
//!
//! // Bob looks what waits, and fetches it.
//! let bob = Client::connect(ClientConfig::new("bob@example.com".parse()?, node.sip().into())).await?;
//! let inbox = bob.summary().await?;
//! assert_eq!(inbox.waiting(), 1);
//! let fetched = bob.fetch(&Selection::New).await?;
//! assert_eq!(fetched.messages[0].content, "Shall I fetch you at eight?");
//! bob.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # node.stop();
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
pub use summaries::Summaries;
