//! TLS of a client (RFC 3261 26.3, RFC 4975 14, RFC 5922, RFC 8122): whom it believes, and who it proves to be.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use restante::wire::fingerprint::Fingerprint;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::ClientError;
use super::stream::Fault;
use crate::link::{Expect, Tls, TlsFiles, is_authority, tls_config, tls_provider};

/// The name in a certificate that is made for one run: its fingerprint is what counts (RFC 8122 3).
const NOBODY: &str = "anonymous.invalid";

/// TLS of a client; all files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Authorities that may certify the node; without it, those of the system.
    pub ca: Option<PathBuf>,
    /// The client's certificate, for a node that asks for one, and those that certify it.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Fingerprints of which the node's certificate must have one, whoever has certified it.
    pub pins: Vec<Fingerprint>,
}

/// TLS as it was set up.
pub(super) struct Secure {
    tls: Arc<Tls>,
    pins: Vec<Fingerprint>,
    /// What is shown in sessions: the client's own certificate, or one that is made for this run.
    media: OnceLock<Arc<CertifiedKey>>,
}

impl Secure {
    /// Reads the files.
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, ClientError> {
        let TlsSettings { ca, certificate, key, pins } = settings.clone();
        let files = TlsFiles { certificate, key, client_ca: None, roots_alone: ca.is_some(), roots: ca };
        Ok(Self { tls: Tls::load(files)?, pins, media: OnceLock::new() })
    }

    /// Secures a connection to the node that is called `host`.
    pub(super) async fn signalling(&self, tcp: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, Fault> {
        let expect = match self.pins.as_slice() {
            [] => Expect::Authority,
            pins => Expect::Fingerprint(pins.to_vec()),
        };
        self.shake_hands(tcp, host, expect, None).await
    }

    /// Secures the connection of a session, whose peer has told these fingerprints; where it has told none, `host` is
    /// what counts.
    pub(super) async fn session(
        &self,
        tcp: TcpStream,
        host: &str,
        fingerprints: &[Fingerprint],
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let own = self.media()?;
        if fingerprints.is_empty() && self.pins.is_empty() {
            return self.shake_hands(tcp, host, Expect::Authority, Some(own)).await;
        }
        // RFC 4975 14.4: MUST check that the fingerprint provided and that of the certificate match
        let told = if fingerprints.is_empty() { self.pins.clone() } else { fingerprints.to_vec() };
        self.shake_hands(tcp, host, Expect::Fingerprint(told), Some(own)).await
    }

    /// The fingerprint to be told in a session description.
    pub(super) fn fingerprint(&self) -> io::Result<Fingerprint> {
        let own = self.media()?;
        let certificate = own.cert.first().ok_or_else(|| io::Error::other("no certificate"))?;
        Ok(Fingerprint::of(certificate))
    }

    fn media(&self) -> io::Result<Arc<CertifiedKey>> {
        if let Some(own) = self.media.get() {
            return Ok(Arc::clone(own));
        }
        let own = match self.tls.own() {
            Some(own) => own,
            None => Arc::new(self_signed()?),
        };
        Ok(Arc::clone(self.media.get_or_init(|| own)))
    }

    async fn shake_hands(
        &self,
        tcp: TcpStream,
        host: &str,
        expect: Expect,
        own: Option<Arc<CertifiedKey>>,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let told = matches!(expect, Expect::Fingerprint(_));
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| Fault::Unreachable(format!("`{host}` is no name for TLS")))?;
        let config = tls_config(&self.tls, expect, own).map_err(io::Error::other)?;
        let connected = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
        connected.map_err(|error| fault(&error, host, told))
    }
}

/// A certificate for one run of the client, of nobody in particular.
fn self_signed() -> io::Result<CertifiedKey> {
    let made = rcgen::generate_simple_self_signed([NOBODY.to_owned()]).map_err(io::Error::other)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
    CertifiedKey::from_der(vec![made.cert.der().clone()], key, &tls_provider()).map_err(io::Error::other)
}

/// What an error of the handshake, or of reading afterwards, means to the user.
pub(super) fn fault(error: &io::Error, host: &str, told: bool) -> Fault {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(problem)) => Fault::Untrusted(match problem {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "nobody who is believed has signed its certificate".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } if told => {
                "its certificate has another fingerprint".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("its certificate is not for `{host}`")
            }
            other if is_authority(other) => "it shows the certificate of an authority as its own".to_owned(),
            other => format!("its certificate: {other}"),
        }),
        Some(rustls::Error::InvalidMessage(_)) => {
            Fault::Unreachable("what listens there does not speak TLS".to_owned())
        }
        Some(rustls::Error::AlertReceived(alert)) => Fault::Unreachable(match alert {
            AlertDescription::CertificateRequired => "it wants a certificate of the client".to_owned(),
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => {
                format!("it does not accept the certificate of the client ({alert:?})")
            }
            other => format!("it refuses TLS ({other:?})"),
        }),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            Fault::Unreachable("the connection was closed in the TLS handshake".to_owned())
        }
        _ => Fault::from(io::Error::new(error.kind(), error.to_string())),
    }
}
