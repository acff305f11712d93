//! TLS by rustls: the node's certificate and whom it believes, sessions over a connection, and what
//! certificates say (RFC 3261 26, RFC 4975 14, RFC 5922, RFC 8122).

mod client;
mod names;
mod server;
mod session;
mod signatures;
mod watch;

pub(crate) use client::{Expect, config, connect, is_authority};
pub use names::sip_domains;
pub(crate) use server::Purpose;
pub use server::{Tls, TlsError, TlsFiles};
pub(crate) use session::{TlsSession, handshake};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use std::sync::{Arc, OnceLock};

/// What a handshake has told about the peer.
#[derive(Clone, Debug, Default)]
pub struct TlsPeer {
    /// The certificate the peer has shown, and proved to hold the key of.
    pub certificate: Option<CertificateDer<'static>>,
    /// The domains that certificate speaks for (RFC 5922 7.1); none where it was not verified.
    pub domains: Vec<String>,
}

/// The cryptography: ring's.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}
