//! WebSocket (RFC 6455) for SIP (RFC 7118) and MSRP (RFC 7977): the HTTP request that opens one, and the
//! socket that carries one message a piece.

mod handshake;
mod socket;

pub(crate) use handshake::{Refusal, handshake};
pub(crate) use socket::WebSocket;

use std::time::Duration;

/// What WebSocket listeners demand and bear.
#[derive(Clone, Debug)]
pub struct WebLimits {
    /// The path that is served.
    pub path: String,
    /// Pages of these origins may connect; none named: of any.
    pub origins: Vec<String>,
    /// How often a silent peer is pinged; one that is silent for three times as long is given up.
    pub ping: Duration,
    /// Bytes of the largest message.
    pub message: usize,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self { path: String::from("/"), origins: Vec::new(), ping: Duration::from_secs(30), message: 1 << 20 }
    }
}
