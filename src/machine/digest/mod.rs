//! Digest authentication, both sides (RFC 3261 22, RFC 7616, RFC 8760): a [`Login`] answers challenges.
//!
//! Neither reads a clock or draws randomness: time, key and client nonces are parameters. What is hashed
//! lies in [`Algorithm`], which both sides use.

mod algorithm;
mod login;

pub use algorithm::{Algorithm, Digested, Secrets};
pub use login::{Login, LoginError};
