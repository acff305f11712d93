//! What comes before the first SIP or MSRP byte: the handshakes of TLS and WebSocket, bounded in time and
//! number.

use super::close_cause::CloseCause;
use super::net::TcpStream;
use super::stop::Stop;
use super::stream::Stream;
use super::tls::{self, Expect, Purpose, Tls, TlsPeer};
use super::web::{self, WebLimits, WebSocket};
use crate::seldom::{Seldom, seldom};
use restante::machine::sip::Transport;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

/// Limits of handshakes.
#[derive(Clone, Debug)]
pub struct HandshakeLimits {
    /// How long all of them may take together.
    pub timeout: Duration,
    /// How many connections may be in one at once; further ones are closed.
    pub parallel: usize,
    /// What WebSocket listeners demand.
    pub web: WebLimits,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), parallel: 1000, web: WebLimits::default() }
    }
}

/// Opens what was accepted, for one protocol.
pub(crate) struct Opening {
    protocol: &'static str,
    limits: HandshakeLimits,
    tls: Arc<Tls>,
    under_way: Semaphore,
    failures: Seldom,
}

/// Why a connection was closed before it carried anything.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("too many handshakes at once")]
    Full,
    #[error("the node stops")]
    Stopped,
    #[error("the handshake was not completed in time")]
    Late,
    #[error("there is no certificate")]
    NoCertificate,
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("not TLS: {0}")]
    NotTls(io::Error),
    #[error("WebSocket: {0}")]
    Web(io::Error),
    #[error("WebSocket: {0}")]
    Refused(web::Refusal),
}

impl Failure {
    const fn label(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Stopped => "stopped",
            Self::Late => "late",
            Self::NoCertificate => "no_certificate",
            Self::Tls(_) => "tls",
            Self::NotTls(_) => "not_tls",
            Self::Web(_) => "web",
            Self::Refused(_) => "refused",
        }
    }

    /// An error of a TLS handshake, the peer's fault named.
    fn of_tls(error: io::Error) -> Self {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls(error),
            _ => Self::Tls(error),
        }
    }
}

impl Opening {
    pub(crate) fn new(protocol: &'static str, limits: HandshakeLimits, tls: Arc<Tls>) -> Self {
        let under_way = Semaphore::new(limits.parallel.min(Semaphore::MAX_PERMITS));
        Self { protocol, limits, tls, under_way, failures: Seldom::new(10) }
    }

    /// The node's TLS.
    pub(crate) fn tls(&self) -> &Arc<Tls> {
        &self.tls
    }

    /// Does the handshakes that `transport` wants; a connection that fails is closed, and told to the log.
    pub(crate) async fn accept(
        &self,
        transport: Transport,
        tcp: TcpStream,
        peer: SocketAddr,
        stop: &mut Stop,
    ) -> Option<(Stream, TlsPeer)> {
        if transport == Transport::Tcp {
            return Some((Stream::Plain(tcp), TlsPeer::default()));
        }
        // Boxed: the task carries its handshake only while it lasts.
        let opened = Box::pin(self.within_limits(transport, tcp, stop)).await;
        let (protocol, name) = (self.protocol, transport.label());
        let outcome = opened.as_ref().map_or_else(Failure::label, |_| "done");
        metrics::counter!("restante_handshakes_total",
            "protocol" => protocol, "transport" => name, "outcome" => outcome)
        .increment(1);
        match opened {
            Ok(opened) => Some(opened),
            Err(failure) => {
                if let Some(left_out) = self.failures.tell(Instant::now()) {
                    warn!(protocol, transport = name, %peer, cause = %failure, left_out, "handshake failed");
                } else {
                    debug!(protocol, transport = name, %peer, cause = %failure, "handshake failed");
                }
                None
            }
        }
    }

    async fn within_limits(
        &self,
        transport: Transport,
        tcp: TcpStream,
        stop: &mut Stop,
    ) -> Result<(Stream, TlsPeer), Failure> {
        let _under_way = self.under_way.try_acquire().map_err(|_| Failure::Full)?;
        tokio::select! {
            biased;
            () = stop.stopped() => Err(Failure::Stopped),
            opened = tokio::time::timeout(self.limits.timeout, self.shake_hands(transport, tcp)) => {
                opened.unwrap_or(Err(Failure::Late))
            }
        }
    }

    async fn shake_hands(&self, transport: Transport, tcp: TcpStream) -> Result<(Stream, TlsPeer), Failure> {
        let (stream, peer) = if transport.is_secure() {
            self.secure(transport, tcp).await?
        } else {
            (Stream::Plain(tcp), TlsPeer::default())
        };
        if !matches!(transport, Transport::Ws | Transport::Wss) {
            return Ok((stream, peer));
        }
        match web::handshake(&stream, self.protocol, &self.limits.web).await.map_err(Failure::Web)? {
            Ok(()) => Ok((Stream::Web(Box::new(WebSocket::accepted(stream, &self.limits.web))), peer)),
            Err(refusal) => {
                see_off(&stream).await;
                Err(Failure::Refused(refusal))
            }
        }
    }

    async fn secure(&self, transport: Transport, tcp: TcpStream) -> Result<(Stream, TlsPeer), Failure> {
        let purpose = match (transport, self.protocol) {
            (Transport::Wss, _) => Purpose::Web,
            (_, "msrp") => Purpose::Media,
            _ => Purpose::Signalling,
        };
        let config = self.tls.server_config(purpose).ok_or(Failure::NoCertificate)?;
        let session = rustls::ServerConnection::new(config)
            .map_err(|error| Failure::Tls(io::Error::other(error)))?
            .into();
        match tls::handshake(tcp, session, purpose == Purpose::Signalling).await {
            Ok((session, peer)) => Ok((Stream::Tls(Box::new(session)), peer)),
            Err((error, tcp)) => {
                // The alert is not to be lost to a reset.
                if error.kind() == io::ErrorKind::InvalidData {
                    see_off(&Stream::Plain(tcp)).await;
                }
                Err(Failure::of_tls(error))
            }
        }
    }

    /// Secures a connection that the node has opened.
    pub(crate) async fn connect(
        &self,
        tcp: TcpStream,
        host: &str,
        expect: Expect,
    ) -> Result<(Stream, TlsPeer), CloseCause> {
        let peer = tcp.peer_addr().ok();
        let opened =
            tokio::time::timeout(self.limits.timeout, tls::connect(&self.tls, tcp, host, expect)).await;
        let outcome = match &opened {
            Ok(Ok(_)) => "done",
            Ok(Err(_)) => "tls",
            Err(_) => "late",
        };
        metrics::counter!("restante_handshakes_total",
            "protocol" => self.protocol, "transport" => "tls", "outcome" => outcome)
        .increment(1);
        match opened {
            Ok(Ok((session, peer))) => Ok((Stream::Tls(Box::new(session)), peer)),
            Ok(Err(error)) => {
                seldom!(warn, protocol = self.protocol, ?peer, host, cause = %error, "TLS towards the peer failed");
                Err(match error.kind() {
                    io::ErrorKind::InvalidData => CloseCause::Identity,
                    kind => CloseCause::Connect(kind),
                })
            }
            Err(_) => Err(CloseCause::Connect(io::ErrorKind::TimedOut)),
        }
    }
}

/// Reads and discards until the peer closes, so that what was written last is not lost to a reset.
pub(crate) async fn see_off(stream: &Stream) {
    stream.shutdown();
    let discard = async {
        while stream.readable().await.is_ok() && stream.try_discard() {
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(super::LINGER, discard).await;
}
