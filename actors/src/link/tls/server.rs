//! The node's own certificate, and the configurations that are made of it: read at boot, and again when
//! its files change, without touching a connection that is open.

use super::provider;
use super::signatures::Signatures;
use restante::wire::fingerprint::Fingerprint;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerifier};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use tracing::{error, info, warn};

/// The files that TLS is configured by, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The node's certificate, and those that certify it.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Authorities whose client certificates are believed.
    pub client_ca: Option<PathBuf>,
    /// Authorities beside the platform's, for connections that the node opens.
    pub roots: Option<PathBuf>,
    /// Whether those of `roots` are believed alone, without the platform's.
    pub roots_alone: bool,
}

/// Why the files do not make a configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file holds no such thing, or a broken one.
    #[error("no usable {what} in {}: {problem}", path.display())]
    Unusable {
        /// What it should hold.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Only one of certificate and key is named.
    #[error("a certificate and its key go together: one of them is not named")]
    Incomplete,
}

/// The node's TLS; shared by everything that accepts or opens connections.
pub struct Tls {
    files: TlsFiles,
    present: RwLock<Arc<Material>>,
    /// What was read last, good or not.
    read: Mutex<Vec<Option<Vec<u8>>>>,
    roots: OnceLock<Arc<RootCertStore>>,
}

/// What was made of one state of the files.
struct Material {
    key: Option<Arc<CertifiedKey>>,
    servers: Option<Servers>,
}

/// How each kind of listener does its handshakes.
struct Servers {
    /// Asks for client certificates where `client_ca` says whom to believe.
    signalling: Arc<ServerConfig>,
    /// Asks for any client certificate: the session description tells its fingerprint.
    media: Arc<ServerConfig>,
    /// Asks for none: a browser would bother its user.
    web: Arc<ServerConfig>,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Signalling,
    Media,
    Web,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let contents = read_all(&files)?;
        let material = Material::make(&files, &contents)?;
        let tls = Self {
            present: RwLock::new(Arc::new(material)),
            read: Mutex::new(contents),
            roots: OnceLock::new(),
            files,
        };
        if tls.files.roots.is_some() {
            let roots = tls.read_roots()?;
            let _ = tls.roots.set(roots);
        }
        Ok(Arc::new(tls))
    }

    /// Reads the files again. Where they have changed and are good, new connections use them; where they
    /// are broken, one line says so and what was read before stays. Returns whether something changed.
    pub fn reload(&self) -> bool {
        let contents = match read_all(&self.files) {
            Ok(contents) => contents,
            Err(error) => return self.refuse(&error, Vec::new()),
        };
        if *self.read.lock().unwrap_or_else(PoisonError::into_inner) == contents {
            return false;
        }
        match Material::make(&self.files, &contents) {
            Ok(material) => {
                *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
                *self.read.lock().unwrap_or_else(PoisonError::into_inner) = contents;
                metrics::counter!("restante_tls_reloads_total", "outcome" => "used").increment(1);
                let fingerprint = self.fingerprint().map(|it| it.to_string()).unwrap_or_default();
                info!(fingerprint, "certificate reloaded");
                true
            }
            Err(error) => self.refuse(&error, contents),
        }
    }

    /// Says once what is wrong with a new state of the files.
    fn refuse(&self, error: &TlsError, contents: Vec<Option<Vec<u8>>>) -> bool {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read != contents {
            *read = contents;
            metrics::counter!("restante_tls_reloads_total", "outcome" => "refused").increment(1);
            error!(cause = %error, "certificate not reloaded: the one read before stays in use");
        }
        false
    }

    /// The files that are watched.
    pub(super) fn watched(&self) -> impl Iterator<Item = &Path> {
        [&self.files.certificate, &self.files.key, &self.files.client_ca]
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
    }

    fn present(&self) -> Arc<Material> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the node has a certificate, and so can accept connections.
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.present().servers.is_some()
    }

    /// How handshakes are done now at listeners for `purpose`; `None` without a certificate.
    pub(crate) fn server_config(&self, purpose: Purpose) -> Option<Arc<ServerConfig>> {
        self.present().servers.as_ref().map(|servers| {
            Arc::clone(match purpose {
                Purpose::Signalling => &servers.signalling,
                Purpose::Media => &servers.media,
                Purpose::Web => &servers.web,
            })
        })
    }

    /// The certificate of the node and its key, where it has one.
    pub(crate) fn own(&self) -> Option<Arc<CertifiedKey>> {
        self.present().key.clone()
    }

    /// The fingerprint of the node's certificate (RFC 8122).
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let present = self.present();
        present.key.as_ref().and_then(|key| key.cert.first()).map(|der| Fingerprint::of(der))
    }

    /// The authorities that are believed for connections the node opens.
    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(self.roots.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            add_platform_roots(&mut roots);
            Arc::new(roots)
        }))
    }

    fn read_roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        let mut roots = RootCertStore::empty();
        if !self.files.roots_alone {
            add_platform_roots(&mut roots);
        }
        if let Some(path) = &self.files.roots {
            for certificate in certificates(path, &read(path)?)? {
                roots.add(certificate).map_err(|error| unusable("certificate", path, error))?;
            }
        }
        Ok(Arc::new(roots))
    }

    /// How a handshake is done that the node begins; the peer is judged by `verifier`, and is shown `own` or
    /// else the node's certificate where it asks for one.
    pub(super) fn client_config(
        &self,
        verifier: Arc<dyn ServerCertVerifier>,
        own: Option<Arc<CertifiedKey>>,
    ) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match own.or_else(|| self.own()) {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Material {
    /// What the contents of certificate, key and client_ca make.
    fn make(files: &TlsFiles, contents: &[Option<Vec<u8>>]) -> Result<Self, TlsError> {
        let content = |index: usize| contents.get(index).and_then(Option::as_deref);
        let (certificate, key) = match (&files.certificate, &files.key) {
            (None, None) => return Ok(Self { key: None, servers: None }),
            (Some(certificate), Some(key)) => (certificate, key),
            _ => return Err(TlsError::Incomplete),
        };
        let chain = certificates(certificate, content(0).unwrap_or_default())?;
        let secret = PrivateKeyDer::from_pem_slice(content(1).unwrap_or_default())
            .map_err(|error| unusable("private key", key, error))?;
        let certified = CertifiedKey::from_der(chain, secret, &provider())
            .map_err(|error| unusable("private key for the certificate", key, error))?;
        let certified = Arc::new(certified);
        let signalling: Arc<dyn ClientCertVerifier> = match &files.client_ca {
            None => Arc::new(NoClientAuth),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path, content(2).unwrap_or_default())? {
                    roots.add(authority).map_err(|error| unusable("certificate", path, error))?;
                }
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| unusable("certificate", path, error))?
            }
        };
        let server = |verifier: Arc<dyn ClientCertVerifier>| {
            let builder = ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .map_err(|error| unusable("certificate", certificate, error))?;
            let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&certified)));
            Ok(Arc::new(builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver)))
        };
        let servers = Servers {
            signalling: server(signalling)?,
            media: server(Arc::new(AnyCertificate(Signatures::of_provider())))?,
            web: server(Arc::new(NoClientAuth))?,
        };
        Ok(Self { key: Some(certified), servers: Some(servers) })
    }
}

/// The contents of certificate, key and client_ca, where they are named.
fn read_all(files: &TlsFiles) -> Result<Vec<Option<Vec<u8>>>, TlsError> {
    let paths = [&files.certificate, &files.key, &files.client_ca];
    paths.into_iter().map(|path| path.as_deref().map(read).transpose()).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::Unreadable { path: path.to_owned(), cause })
}

fn unusable(what: &'static str, path: &Path, problem: impl fmt::Display) -> TlsError {
    TlsError::Unusable { what, path: path.to_owned(), problem: problem.to_string() }
}

/// At least one certificate.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unusable("certificate", path, error))?;
    if found.is_empty() { Err(unusable("certificate", path, "there is none")) } else { Ok(found) }
}

fn add_platform_roots(roots: &mut RootCertStore) {
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let cause = found.errors.first().map(ToString::to_string).unwrap_or_default();
        warn!(cause, "the platform has no root certificates: only those of [tls] roots are believed");
    }
}

/// Takes any client certificate whose key the client has: the session description says which it must be
/// (RFC 8122 6.2), and who shows none may only use sessions that told no fingerprint.
#[derive(Debug)]
struct AnyCertificate(Signatures);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.schemes()
    }
}
