//! How a peer proves that it holds the key of the certificate that it shows: one proof for clients and
//! servers, whatever the certificate itself is believed for.

use super::provider;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{self, WebPkiSupportedAlgorithms};
use rustls::pki_types::CertificateDer;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// The kinds of signature that are understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signatures(WebPkiSupportedAlgorithms);

impl Signatures {
    /// Those that the provider can check.
    pub(super) fn of_provider() -> Self {
        Self(provider().signature_verification_algorithms)
    }

    /// Checks a signature of TLS 1.2.
    pub(super) fn verify_tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    /// Checks a signature of TLS 1.3.
    pub(super) fn verify_tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    /// What a peer may choose from.
    pub(super) fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
