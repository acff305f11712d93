//! What a session is given at birth: its two ends and its limits.

use std::sync::Arc;
use std::time::Duration;

use crate::wire::msrp::MsrpUri;

/// The two ends of a session, and what it takes.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Our URI, which the peer's To-Path names.
    pub local: MsrpUri,
    /// The peer's path; leftmost is the next hop.
    pub remote: Vec<MsrpUri>,
    /// What it takes, which sessions share.
    pub limits: Arc<SessionLimits>,
}

impl SessionConfig {
    /// A session between `local` and `remote` with the limits of [`SessionLimits::default`].
    #[must_use]
    pub fn new(local: MsrpUri, remote: Vec<MsrpUri>) -> Self {
        Self { local, remote, limits: Arc::default() }
    }
}

/// What a session takes, and how it sends.
#[derive(Clone, Debug)]
pub struct SessionLimits {
    /// Bytes of a message that is received at most; above: 413.
    pub max_message: u64,
    /// Media types that are received: `*`, `type/*` or `type/subtype`; others: 415.
    pub accepts: Box<[String]>,
    /// Bytes of the body of a chunk that is sent at most; 0 counts as 1. RFC 4975 wants no less than 2048.
    pub max_chunk: u64,
    /// How long a response is waited for.
    pub transaction_timeout: Duration,
    /// Messages that are being received at once at most; above: 413.
    pub max_incoming: usize,
    /// Whether content is received; if not, a SEND with a body gets 403, one without 200.
    pub receives: bool,
}

impl Default for SessionLimits {
    /// Every type, 10 MiB a message, 16 messages at once, chunks of up to 256 KiB.
    fn default() -> Self {
        Self {
            max_message: 10 * 1024 * 1024,
            accepts: Box::from(["*".to_owned()]),
            max_chunk: 256 * 1024,
            // RFC 4975 7.1.1: 30 seconds from the time the last byte of the transaction is sent.
            transaction_timeout: Duration::from_secs(30),
            max_incoming: 16,
            receives: true,
        }
    }
}

impl SessionLimits {
    /// Bytes of the body of a chunk that is sent at most; with none a message would never be sent.
    pub(super) const fn chunk(&self) -> u64 {
        if self.max_chunk == 0 { 1 } else { self.max_chunk }
    }

    /// Whether a message of this Content-Type is received; its parameters do not matter.
    #[must_use]
    pub fn accepts(&self, content_type: &[u8]) -> bool {
        let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
        let essence = content_type.get(..end).unwrap_or_default().trim_ascii();
        let Some(slash) = memchr::memchr(b'/', essence) else { return false };
        // RFC 4975 7.3.1: all endpoints MUST be able to receive multipart/mixed and
        // multipart/alternative.
        let always = ["multipart/mixed", "multipart/alternative"];
        always.iter().any(|t| essence.eq_ignore_ascii_case(t.as_bytes()))
            || self.accepts.iter().any(|pattern| matches(pattern, essence, slash))
    }
}

fn matches(pattern: &str, essence: &[u8], slash: usize) -> bool {
    match pattern.strip_suffix("/*") {
        Some("*") => true,
        Some(kind) => essence.get(..slash).is_some_and(|k| k.eq_ignore_ascii_case(kind.as_bytes())),
        None => pattern == "*" || essence.eq_ignore_ascii_case(pattern.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves RFC 4975 7.3.1: media types
    #[test]
    fn patterns_decide_on_media_types() {
        let mut limits = SessionLimits::default();
        assert!(limits.accepts(b"application/x-anything"));
        assert!(!limits.accepts(b"nonsense"));
        limits.accepts = Box::from(["text/*".into(), "Message/CPIM".into()]);
        for (content_type, taken) in [
            (&b"text/plain"[..], true),
            (b"TEXT/html ; charset=utf-8", true),
            (b"message/cpim", true),
            (b"message/sip", false),
            (b"textual/plain", false),
            (b"multipart/mixed;boundary=x", true),
            (b"multipart/alternative", true),
            (b"multipart/related", false),
            (b"", false),
        ] {
            assert_eq!(limits.accepts(content_type), taken, "{content_type:?}");
        }
    }
}
