//! Guard: which connections may carry an MSRP session (RFC 4975 14.4, RFC 8122 6.2).

use super::msrp_link::Carrier;
use super::msrp_registry::Lookup;
use restante::wire::fingerprint::Fingerprint;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Which connections may carry a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Any that is not secured: nothing else was agreed upon.
    #[default]
    Plain,
    /// One secured by TLS. Where the description told fingerprints, the peer's certificate has one of them
    /// (RFC 4975 14.4, RFC 8122 6.2).
    Secure(Vec<Fingerprint>),
    /// One secured by TLS, when the peer's answer has told the fingerprints: meanwhile it waits.
    Unanswered(Arc<Answered>),
}

/// Tells when the answer has come.
#[derive(Debug, Default)]
pub struct Answered(Notify);

impl PartialEq for Answered {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Answered {}

impl Answered {
    pub(crate) fn come(&self) -> Notified<'_> {
        self.0.notified()
    }
}

impl Guard {
    pub(super) fn admits(&self, carrier: &Carrier) -> Result<(), Lookup> {
        let good = match self {
            Self::Plain => !carrier.secure,
            Self::Secure(fingerprints) => {
                // RFC 8122 6.2: if the client does not provide a certificate, or it does not match a provided
                // fingerprint, the server endpoint MUST terminate the media connection
                let certificate = carrier.certificate.as_deref();
                let proven = || certificate.is_some_and(|it| Fingerprint::accept(fingerprints, it));
                carrier.secure && (fingerprints.is_empty() || proven())
            }
            Self::Unanswered(answered) if carrier.secure => return Err(Lookup::Early(Arc::clone(answered))),
            Self::Unanswered(_) => false,
        };
        if good { Ok(()) } else { Err(Lookup::Forbidden) }
    }

    /// Is no longer what holds: who waits for the answer looks again.
    pub(super) fn release(self) {
        if let Self::Unanswered(answered) = self {
            answered.0.notify_waiters();
        }
    }
}
