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

/// Whether a certificate was refused because it is that of an authority (RFC 5280 4.2.1.9), as some programs make them
/// where they are asked for one that signs itself.
pub(crate) fn is_authority(problem: &CertificateError) -> bool {
    let CertificateError::Other(other) = problem else { return false };
    matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Whether it is believed without anybody's signature.
fn is_root(roots: &RootCertStore, certificate: &CertificateDer<'_>) -> bool {
    webpki::anchor_from_trusted_cert(certificate).is_ok_and(|anchor| roots.roots.contains(&anchor))
}

/// Whether an authority has certified it for `name`, or it is that of an authority itself.
fn certified(
    roots: &RootCertStore,
    certificate: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let algorithms = provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms) {
        // It is in its time, and believed as it is. Whoever has its key could have signed another for the same
        // name: to take it for a server's own gives nothing away.
        Err(Error::InvalidCertificate(problem)) if is_authority(&problem) && is_root(roots, certificate) => {}
        verdict => verdict?,
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use std::time::Duration;

    const PROXY: &str = "proxy.example.com";

    /// A certificate as `openssl req -x509` makes it: signed by itself, and an authority's; until 2030.
    fn of_its_own() -> CertificateDer<'static> {
        let mut params = CertificateParams::new([PROXY.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2030, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn judged(
        root: &CertificateDer<'static>,
        shown: &CertificateDer<'_>,
        name: &str,
        seconds: u64,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        certified(&roots, shown, &[], &name, UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    // proves RFC 5922 7.3 where there is no chain: who is believed himself still proves his domain
    #[test]
    fn a_certificate_that_is_itself_believed_needs_nobody_to_sign_it() {
        let (in_2027, in_2031) = (1_800_000_000, 1_930_000_000);
        let own = of_its_own();
        assert_eq!(judged(&own, &own, PROXY, in_2027), Ok(()));
        let problem = |root, shown, name, at| match judged(root, shown, name, at) {
            Err(Error::InvalidCertificate(problem)) => problem,
            other => unreachable!("{other:?}"),
        };
        assert_eq!(problem(&own, &own, "other.example.com", in_2027), CertificateError::NotValidForName);
        assert!(matches!(problem(&own, &own, PROXY, in_2031), CertificateError::ExpiredContext { .. }));
        // Another with the same name is nobody.
        let refused = problem(&own, &of_its_own(), PROXY, in_2027);
        assert!(is_authority(&refused), "{refused:?}");
    }
}
