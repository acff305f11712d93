//! Why an offer or an answer leads to no MSRP session, and how SIP says so.

use crate::wire::msrp::MsrpUri;
use crate::wire::sdp::{MsrpMedia, Sdp, SdpError};

/// Why a session description was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a session description.
    #[error(transparent)]
    Broken(#[from] SdpError),
    /// No m= line is for messages.
    #[error("Media type not available: no message media")]
    NoMessages,
    /// The message media does not use the MSRP transport that is spoken here.
    #[error("Incompatible transport protocol: {expected} is needed")]
    Transport {
        /// The protocol of the m= line that would do.
        expected: &'static str,
    },
    /// The MSRP media has port 0: it is not wanted.
    #[error("Media type not available: the MSRP media is declined")]
    Declined,
    /// The MSRP media has no path of MSRP URIs.
    #[error("MSRP media without a usable path attribute")]
    Path,
    /// The certificate's fingerprints are all of hash functions that are not understood.
    #[error("MSRP media without a fingerprint of sha-256, sha-384 or sha-512")]
    Fingerprint,
    /// A WebSocket client wants to be connected to, which cannot be done.
    #[error("A WebSocket client must be active")]
    Passive,
    /// No media type is understood by both sides.
    #[error("Incompatible media format: no common accept-types")]
    ContentTypes,
}

impl Refusal {
    /// The status of the response: 488, or 400 for what is no session description.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Broken(_) => 400,
            _ => 488,
        }
    }

    /// The warn-code (RFC 3261 section 20.43).
    #[must_use]
    pub const fn warn_code(&self) -> u16 {
        match self {
            Self::Transport { .. } => 302,
            Self::NoMessages | Self::Declined => 304,
            Self::ContentTypes => 305,
            Self::Broken(_) | Self::Path | Self::Fingerprint | Self::Passive => 399,
        }
    }

    /// The value of a Warning header by the host `agent`.
    #[must_use]
    pub fn warning(&self, agent: &str) -> String {
        let quotable = |c: char| if matches!(c, '"' | '\\') || c.is_control() { '\'' } else { c };
        let text: String = self.to_string().chars().map(quotable).collect();
        format!("{} {agent} \"{text}\"", self.warn_code())
    }
}

/// The MSRP media to be used: the first that is wanted, reachable and carried as `uri`, our own, says.
pub(super) fn choose(sdp: &Sdp, uri: &MsrpUri) -> Result<MsrpMedia, Refusal> {
    let secure = uri.is_secure();
    let web = is_web(uri);
    let spoken = |media: &MsrpMedia| {
        media.secure == secure && (media.is_web() == web || media.path.is_empty() || media.port == 0)
    };
    if let Some(media) = sdp.msrp_lines().find(|media| spoken(media) && media.is_usable()) {
        return Ok(media);
    }
    let mut lines = sdp.msrp_lines().filter(spoken).peekable();
    if lines.peek().is_some() {
        return Err(if lines.all(|media| media.port == 0) { Refusal::Declined } else { Refusal::Path });
    }
    if sdp.session().medias.iter().any(|media| media.media.eq_ignore_ascii_case("message")) {
        return Err(Refusal::Transport { expected: protocol(secure) });
    }
    Err(Refusal::NoMessages)
}

/// Whether connections to a URI are WebSockets.
pub(super) fn is_web(uri: &MsrpUri) -> bool {
    uri.transport().eq_ignore_ascii_case(b"ws")
}

/// The protocol of an MSRP media line.
pub(super) const fn protocol(secure: bool) -> &'static str {
    if secure { "TCP/TLS/MSRP" } else { "TCP/MSRP" }
}
