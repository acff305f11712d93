//! A connection as a stream of bytes, plain or within TLS, and why there is none ([`Fault`]).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A byte stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why nothing can be said to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not there, or does not talk.
    Unreachable(String),
    /// It does not prove to be who it must be.
    Untrusted(String),
}

impl Fault {
    /// The same, of one of several places.
    pub(super) fn at(self, place: SocketAddr) -> Self {
        match self {
            Self::Unreachable(cause) => Self::Unreachable(format!("{place}: {cause}")),
            Self::Untrusted(cause) => Self::Untrusted(format!("{place}: {cause}")),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unreachable(cause) | Self::Untrusted(cause)) = self;
        f.write_str(cause)
    }
}

/// Connects to `peer`, within `timeout`.
pub(super) async fn dial(peer: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    match tokio::time::timeout(timeout, TcpStream::connect(peer)).await {
        Ok(stream) => stream,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
    }
}
