//! What a restante node *does*: actix actors, tokio sockets, store engines, configuration.

pub mod cli;
pub mod config;
pub mod http;
pub mod logging;
pub mod node;
pub mod redact;
