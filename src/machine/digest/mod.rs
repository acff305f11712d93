//! Digest authentication, both sides (RFC 3261 22, RFC 7616, RFC 8760): a [`Login`] answers challenges, a
//! [`Verifier`] makes them and judges the answers, [`Replays`] tells an answer from its repetition.
//!
//! None reads a clock or draws randomness: time, key and client nonces are parameters. What is hashed lies
//! in [`Algorithm`], which both sides use.

mod algorithm;
mod login;
mod nonce;
mod replay;
mod verifier;

#[cfg(test)]
mod verifier_tests;

pub use algorithm::{Algorithm, Digested, Secrets};
pub use login::{Login, LoginError};
pub use nonce::{NonceId, NonceKey};
pub use replay::{NotTaken, Replays};
pub use verifier::{Cause, Proof, Source, Verdict, Verifier};
