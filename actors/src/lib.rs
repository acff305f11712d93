//! What a restante node *does*: actix actors, tokio sockets, store engines, configuration.

pub mod archive;
