//! What a restante node *does*: actix actors, tokio sockets, store engines, configuration.

pub mod alarm;
pub mod archive;
pub mod capabilities;
pub mod chance;
pub mod cli;
pub mod client;
pub mod clock;
pub mod conference;
pub mod config;
pub mod demo;
pub mod dialog_port;
pub mod embedded;
pub mod endpoint;
pub mod fault;
pub mod focus;
pub mod http;
pub mod link;
pub mod logging;
pub mod mailbox;
pub mod node;
pub mod party;
pub mod ports;
pub mod recorder;
pub mod records;
pub mod redact;
pub mod refusals;
pub mod router;
pub mod session;
pub mod shard;
pub mod shared;
#[cfg(test)]
mod sim;
pub mod supervision;
pub mod upkeep;
pub mod virtual_ua;
