//! Why a connection ended: for the log, the metrics, and those who used it.

use std::io;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CloseCause {
    /// The node closed it.
    #[error("closed")]
    Local,
    /// The peer closed it.
    #[error("closed by the peer")]
    Peer,
    /// The network reported an error.
    #[error("network error: {0}")]
    Network(io::ErrorKind),
    /// The peer does not read what it is sent.
    #[error("the peer does not read")]
    SlowReader,
    /// Nothing came for too long.
    #[error("idle")]
    Idle,
    /// A message or frame that had begun was not completed in time.
    #[error("a message was not completed in time")]
    SlowSender,
    /// What came cannot be framed.
    #[error("broken framing")]
    Broken,
    /// It belongs to no session.
    #[error("no session")]
    Unbound,
    /// It could not be opened.
    #[error("connect failed: {0}")]
    Connect(io::ErrorKind),
    /// A peer of the connection did not prove to be who it must be.
    #[error("the peer did not prove who it is")]
    Identity,
    /// The node stops.
    #[error("the node stops")]
    Stopped,
}

impl CloseCause {
    /// The value of the metric label `cause`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peer => "peer",
            Self::Network(_) => "network",
            Self::SlowReader => "slow_reader",
            Self::Idle => "idle",
            Self::SlowSender => "slow_sender",
            Self::Broken => "broken",
            Self::Unbound => "unbound",
            Self::Connect(_) => "connect",
            Self::Identity => "identity",
            Self::Stopped => "stopped",
        }
    }

    /// Whether this is the normal end of a connection.
    pub(crate) fn is_normal(self) -> bool {
        matches!(self, Self::Local | Self::Peer | Self::Idle | Self::Unbound | Self::Stopped)
    }

    /// Whether the peer may still be told that it is over.
    pub(crate) fn leaves_a_peer(self) -> bool {
        !matches!(self, Self::Network(_) | Self::SlowReader | Self::Connect(_))
    }
}
