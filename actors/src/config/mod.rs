//! The node's configuration: a TOML file, overridden by the environment, checked before anything starts.
//!
//! [`Config`] and its sections are declared once, in `keys.rs`, each key with its type, default and meaning; the
//! structs, the defaults, the reading of files and environment, `restante config` and the table in
//! `docs/operations.md` all come from that declaration. Nothing here opens a socket or starts a thread.

mod describe;
mod environment;
mod error;
mod keys;
mod load;
mod log_filter;
mod raw;
mod setting;
mod units;
mod users;
mod validate;
mod values;

pub use describe::{describe, markdown};
pub use environment::CLIENT_PASSWORD;
pub use error::{ConfigError, Origin};
pub use keys::{
    Auth, Config, Deposit, Http, Key, Log, Msrp, Node, Rates, Retrieval, Sip, Store, Summary, Tls, Trust,
    Websocket,
};
pub use log_filter::LogFilter;
pub use setting::Mismatch;
pub use units::Size;
pub use users::UserRule;
pub use values::{
    Advertise, After, DigestAlgorithm, Domain, Listen, LogFormat, StoreUrl, SummaryField, SummaryHeaders,
    TrustedPeer,
};

#[cfg(test)]
mod tests;
