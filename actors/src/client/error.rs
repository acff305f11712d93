//! Why a client could not do what it was asked.

use std::io;

use restante::client::{AccountError, Refusal};

use crate::link::TlsError;

/// What went wrong, and whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// An address that is none.
    #[error(transparent)]
    Address(#[from] AccountError),
    /// The place where requests are to go is not understood.
    #[error("`{text}`: {problem}")]
    Node {
        /// As it was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody is there: no connection, no answer in time.
    #[error("{node} cannot be reached: {cause}")]
    Unreachable {
        /// Where the request was to go.
        node: String,
        /// Why it did not arrive, or was not answered.
        cause: String,
    },
    /// Somebody is there who does not prove to be who he must be.
    #[error("{peer} is not trusted: {cause}")]
    Untrusted {
        /// Whom it should have been.
        peer: String,
        /// What is wrong with his certificate.
        cause: String,
    },
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The node does not believe who asks.
    #[error("the node does not accept {}", credentials(.user.as_deref()))]
    Unauthorized {
        /// The name that was given with a password; none, where there was none.
        user: Option<String>,
    },
    /// The request was refused.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The MSRP session could not be set up, or broke.
    #[error("MSRP: {0}")]
    Msrp(String),
    /// A message was not taken over MSRP, with this status.
    #[error("message refused over MSRP with {0}")]
    MessageRefused(u16),
    /// The peer ended the session, or the subscription, before its time.
    #[error("ended by the peer{}", reason(.0))]
    Ended(String),
    /// Something on this machine failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
}

fn credentials(user: Option<&str>) -> String {
    match user {
        Some(user) => format!("the name `{user}` or its password"),
        None => "an identity without a password".to_owned(),
    }
}

fn reason(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
