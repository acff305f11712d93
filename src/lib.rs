//! What a SIP/MSRP message store *knows*: wire formats, protocol machines and the rules of
//! deposit, summary and retrieval (OMA SIMPLE IM deferred messages).
//!
//! Nothing here opens a socket, reads a clock, draws randomness or runs on an executor: time
//! ([`time::Instant`], [`time::Timestamp`]) and randomness ([`entropy::Entropy`]) are parameters.
//! The package `restante-node` drives these machines over real sockets.
//!
//! Layers, each using only those to its left: [`wire`] ← [`machine`] ← [`focus`], [`store`] ← [`focus`],
//! and [`machine`] ← [`client`]: the node's own rules, and those of the other side. [`ladder`] draws what
//! was said.

pub mod client;
pub mod entropy;
pub mod focus;
pub mod ladder;
pub mod machine;
pub mod queue;
pub mod store;
pub mod time;
pub mod wire;
