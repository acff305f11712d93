//! TLS towards a peer that the node connects to: who it must prove to be (RFC 5922 7.3, RFC 8122 6.2).

use super::signatures::Signatures;
use super::{Tls, TlsPeer, TlsSession, handshake, provider, sip_domains};
use crate::link::net::TcpStream;
use restante::wire::fingerprint::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error,
    RootCertStore, SignatureScheme,
};
use std::io;
use std::sync::Arc;

/// Who the peer must be.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// One that an authority has certified for the host that was connected to: a SIP domain or an address.
    Authority,
    /// One with a certificate of such a fingerprint, whoever has certified it.
    Fingerprint(Vec<Fingerprint>),
}

/// Does the handshake over a connection that was just opened.
///
/// # Errors
/// The connection failed, or the peer did not prove to be who it must be.
pub(crate) async fn connect(
    tls: &Tls,
    tcp: TcpStream,
    host: &str,
    expect: Expect,
) -> io::Result<(TlsSession, TlsPeer)> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
    let verified = matches!(expect, Expect::Authority);
    let config = config(tls, expect, None).map_err(io::Error::other)?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    handshake(tcp, Connection::Client(session), verified).await.map_err(|(error, _)| error)
}

/// How a handshake is done with a peer of whom that is expected; it is shown the certificate `own`, or else that of
/// `tls`, where it asks for one.
pub(crate) fn config(
    tls: &Tls,
    expect: Expect,
    own: Option<Arc<CertifiedKey>>,
) -> Result<ClientConfig, Error> {
    let proof = match expect {
        Expect::Authority => Proof::Certified(tls.roots()),
        Expect::Fingerprint(fingerprints) => Proof::Fingerprint(fingerprints),
    };
    tls.client_config(Arc::new(PeerVerifier { proof, signatures: Signatures::of_provider() }), own)
}

/// Judges the certificate by what is expected; that the peer has its key is proved the same way for all.
#[derive(Debug)]
struct PeerVerifier {
    proof: Proof,
    signatures: Signatures,
}

/// What the certificate must be.
#[derive(Debug)]
enum Proof {
    /// Certified by one of these authorities, for the domain or address that was connected to.
    Certified(Arc<RootCertStore>),
    /// Of one of these fingerprints.
    Fingerprint(Vec<Fingerprint>),
}

/// Whether an authority has certified it for `name`.
fn certified(
    roots: &RootCertStore,
    certificate: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
    match name {
        // RFC 5922 7.3: the client MUST compare the identities of the certificate with the domain of the
        // URI it resolved; 7.2: exactly, without wildcards
        ServerName::DnsName(domain) => {
            let domain = domain.as_ref().to_ascii_lowercase();
            let is_named = sip_domains(certificate).contains(&domain);
            is_named.then_some(()).ok_or_else(|| CertificateError::NotValidForName.into())
        }
        address => verify_server_name(&parsed, address),
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.proof {
            Proof::Certified(roots) => certified(roots, certificate, intermediates, name, now)?,
            Proof::Fingerprint(fingerprints) if Fingerprint::accept(fingerprints, certificate) => {}
            // RFC 8122 6.2: if the certificate does not match, the client endpoint MUST terminate the media
            // connection with a bad_certificate error; NotValidForName is what becomes that alert.
            Proof::Fingerprint(_) => return Err(CertificateError::NotValidForName.into()),
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}
