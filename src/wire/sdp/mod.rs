//! Session descriptions (RFC 8866) as far as MSRP needs them (RFC 4975 section 8, RFC 4145, RFC 6135).
//!
//! The grammar is the crate `sdp-types`'; here are the attributes of MSRP media, with those of the
//! session inherited.

use std::borrow::Cow;

use sdp_types::{Media, Session};

use super::fingerprint::Fingerprint;
use super::msrp::MsrpUri;

/// The media type of session descriptions.
pub const MEDIA_TYPE: &str = "application/sdp";

/// Bytes of one description.
const LARGEST: usize = 64 * 1024;

/// m= lines of one description.
const MOST_MEDIA: usize = 64;

/// URIs of one path.
const LONGEST_PATH: usize = 16;

/// Fingerprints of one media line.
const MOST_PRINTS: usize = 16;

/// Entries of one list of media types.
const MOST_TYPES: usize = 256;

/// Why bytes are not a session description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// More bytes than allowed.
    #[error("session description of more than {LARGEST} bytes")]
    TooLarge,
    /// More m= lines than allowed.
    #[error("session description with more than {MOST_MEDIA} media lines")]
    TooMany,
    /// Against the grammar, in this way.
    #[error("malformed session description: {0}")]
    Malformed(String),
}

/// Who opens the connection (RFC 4145 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// The one who says so.
    Active,
    /// The other.
    Passive,
    /// Whoever the answerer chooses.
    ActPass,
    /// Nobody for now; not used with MSRP.
    HoldConn,
}

impl Setup {
    /// The value of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }

    /// The role of this spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Active, Self::Passive, Self::ActPass, Self::HoldConn];
        all.into_iter().find(|setup| setup.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

/// In which direction messages may go, as the one sees it who says so (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// From the one who says so.
    SendOnly,
    /// To the one who says so.
    RecvOnly,
    /// None.
    Inactive,
}

impl Direction {
    /// The direction in which messages go where these do.
    #[must_use]
    pub const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the one who says so sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the one who says so receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same, as the other side sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The name of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        all.into_iter().find(|direction| direction.as_str().eq_ignore_ascii_case(name))
    }
}

/// One MSRP media line with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MsrpMedia {
    /// Which of the m= lines it is, from 0.
    pub index: usize,
    /// The port; 0 says that the media is not wanted.
    pub port: u16,
    /// Whether the protocol is TCP/TLS/MSRP.
    pub secure: bool,
    /// The URIs to the peer, the first hop first.
    pub path: Vec<MsrpUri>,
    /// What may be sent to the peer.
    pub accept_types: Vec<String>,
    /// What may be sent to the peer within a container.
    pub accept_wrapped_types: Vec<String>,
    /// Bytes of the largest message the peer wants.
    pub max_size: Option<u64>,
    /// Who opens the connection; `None` when not told.
    pub setup: Option<Setup>,
    /// In which direction messages may go, as the peer sees it.
    pub direction: Direction,
    /// The fingerprints of the peer's certificate that are understood; `None` when it told none at all.
    pub fingerprints: Option<Vec<Fingerprint>>,
}

impl MsrpMedia {
    /// Whether the peer's next hop is to be reached by WebSocket (RFC 7977 5.2.1): only it can connect.
    #[must_use]
    pub fn is_web(&self) -> bool {
        self.path.first().is_some_and(|uri| uri.transport().eq_ignore_ascii_case(b"ws"))
    }

    /// Whether the media is wanted and can be reached.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.port != 0 && !self.path.is_empty()
    }
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp(Session);

/// The letters of the types of lines (RFC 8866 5).
const TYPES: &[u8] = b"vosiuepcbtrzkam";

/// The type letter of a line that has one which is not known.
// RFC 8866 5: an SDP parser MUST ignore or reject any session description that contains one.
fn unknown(text: &str) -> Option<char> {
    let is_unknown = |line: &&str| matches!(line.as_bytes(), [letter, b'=', ..] if !TYPES.contains(letter));
    text.lines().find(is_unknown)?.chars().next()
}

/// Digits of a number that the parser can hold.
const MOST_DIGITS: usize = 19;

/// The same description without further digits of numbers in its o= line: RFC 8866 9 sets them no limit, and nothing here
/// depends on them. (The t= line is that of the answer, too.)
fn in_bounds(text: &[u8]) -> Cow<'_, [u8]> {
    let is_bounded = |line: &[u8]| !line.starts_with(b"o=");
    let is_short = |line: &[u8]| numbers(line).all(|run| run.len() <= MOST_DIGITS);
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    if lines.all(|line| is_bounded(line) || is_short(line)) {
        return Cow::Borrowed(text);
    }
    let cut = |line| numbers(line).flat_map(|run| run.iter().take(MOST_DIGITS));
    let mut bounded = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match is_bounded(line) {
            true => bounded.extend_from_slice(line),
            false => bounded.extend(cut(line)),
        }
    }
    Cow::Owned(bounded)
}

/// The numbers of a line, and what is between them byte by byte.
fn numbers(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.chunk_by(|one, next| one.is_ascii_digit() && next.is_ascii_digit())
}

impl Sdp {
    /// Reads a description. Bytes that are not UTF-8 are replaced where they stand.
    ///
    /// # Errors
    /// [`SdpError`] when it is too large or against the grammar.
    pub fn parse(text: &[u8]) -> Result<Self, SdpError> {
        if text.len() > LARGEST {
            return Err(SdpError::TooLarge);
        }
        let text = String::from_utf8_lossy(text);
        if let Some(letter) = unknown(&text) {
            return Err(SdpError::Malformed(format!("the unknown type letter {letter}")));
        }
        let text = in_bounds(text.as_bytes());
        let session = Session::parse(&text).map_err(|error| SdpError::Malformed(error.to_string()))?;
        if session.medias.len() > MOST_MEDIA {
            return Err(SdpError::TooMany);
        }
        Ok(Self(session))
    }

    /// The description as parsed.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.0
    }

    /// All MSRP media lines, usable or not.
    pub fn msrp_lines(&self) -> impl Iterator<Item = MsrpMedia> {
        self.0.medias.iter().enumerate().filter_map(|(index, media)| self.msrp_line(index, media))
    }

    /// The first MSRP media line that is wanted and has a path.
    #[must_use]
    pub fn msrp(&self) -> Option<MsrpMedia> {
        self.msrp_lines().find(MsrpMedia::is_usable)
    }

    fn msrp_line(&self, index: usize, media: &Media) -> Option<MsrpMedia> {
        // RFC 4975 8.1: the protocol field MUST be "TCP/MSRP", or "TCP/TLS/MSRP", the media field "message".
        let secure = media.proto.eq_ignore_ascii_case("TCP/TLS/MSRP");
        let plain = media.proto.eq_ignore_ascii_case("TCP/MSRP");
        if !media.media.eq_ignore_ascii_case("message") || !(secure || plain) {
            return None;
        }
        Some(MsrpMedia {
            index,
            port: media.port,
            secure,
            path: self.value(media, "path").and_then(path).unwrap_or_default(),
            accept_types: self.value(media, "accept-types").map(types).unwrap_or_default(),
            accept_wrapped_types: self.value(media, "accept-wrapped-types").map(types).unwrap_or_default(),
            max_size: self.value(media, "max-size").and_then(|text| text.parse().ok()),
            setup: self.value(media, "setup").and_then(Setup::parse),
            direction: self.direction(media),
            fingerprints: self.fingerprints(media),
        })
    }

    /// RFC 8122 5: a session-level attribute applies where there is no media-level one.
    fn fingerprints(&self, media: &Media) -> Option<Vec<Fingerprint>> {
        let told = |attributes: &[sdp_types::Attribute]| -> Option<Vec<Fingerprint>> {
            let is_one = |it: &&sdp_types::Attribute| it.attribute.eq_ignore_ascii_case("fingerprint");
            let mut values = attributes.iter().filter(is_one).peekable();
            values.peek()?;
            Some(values.filter_map(|it| Fingerprint::parse(it.value.as_deref()?)).take(MOST_PRINTS).collect())
        };
        told(&media.attributes).or_else(|| told(&self.0.attributes))
    }

    /// The trimmed value of an attribute of the media, else of the session.
    fn value<'a>(&'a self, media: &'a Media, name: &str) -> Option<&'a str> {
        let attributes = media.attributes.iter().chain(&self.0.attributes);
        let mut values = attributes.filter(|it| it.attribute.eq_ignore_ascii_case(name));
        values.find_map(|it| it.value.as_deref()).map(str::trim)
    }

    // RFC 8866 6.7: a media-level direction overrides the session's; without any it is "sendrecv".
    fn direction(&self, media: &Media) -> Direction {
        let attributes = media.attributes.iter().chain(&self.0.attributes);
        attributes.filter_map(|it| Direction::parse(&it.attribute)).next().unwrap_or_default()
    }
}

/// RFC 4975 8.2: path-list = MSRP-URI *(SP MSRP-URI). One bad URI spoils the path.
fn path(text: &str) -> Option<Vec<MsrpUri>> {
    if text.split_ascii_whitespace().count() > LONGEST_PATH {
        return None;
    }
    text.split_ascii_whitespace().map(|uri| MsrpUri::parse(uri.as_bytes()).ok()).collect()
}

/// RFC 4975 8.6: format-list = format-entry *( SP format-entry); a quoted parameter may contain spaces.
fn types(text: &str) -> Vec<String> {
    let mut quoted = false;
    let mut entries = vec![String::new()];
    for character in text.chars() {
        quoted ^= character == '"';
        match entries.last_mut() {
            Some(entry) if quoted || !character.is_ascii_whitespace() => entry.push(character),
            Some(entry) if entry.is_empty() => {}
            _ => entries.push(String::new()),
        }
    }
    entries.retain(|entry| !entry.is_empty());
    entries.truncate(MOST_TYPES);
    entries
}

#[cfg(test)]
mod tests;
