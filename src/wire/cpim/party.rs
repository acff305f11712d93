//! Who sends and receives (RFC 3862 sections 4.1 and 4.2): the name-addresses of CPIM and of SIP.

use std::fmt::Write as _;

use super::escape::{escape_into, unescape};

/// Who sends or receives: a URI and perhaps a name for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The formal name.
    pub display: Option<String>,
    /// The URI.
    pub uri: String,
}

impl Party {
    /// Reads `Formal Name <uri>` or `<uri>`, and for the sake of careless agents a bare URI.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        Self::read(value, unescape)
    }

    fn read(value: &str, unescape: fn(&str) -> String) -> Option<Self> {
        let value = value.trim();
        let Some(open) = opening(value) else {
            return (!value.is_empty() && !value.contains(['<', '"', ' ']))
                .then(|| Self { display: None, uri: value.to_owned() });
        };
        let (name, rest) = value.split_at_checked(open)?;
        let (uri, _) = rest.strip_prefix('<')?.split_once('>')?;
        let display = formal_name(name.trim(), unescape);
        let uri = uri.trim();
        (!uri.is_empty()).then(|| Self { display, uri: uri.to_owned() })
    }

    /// What a From or To header of SIP names: the parameters (and with them the tag) fall away.
    #[must_use]
    pub fn from_sip(value: &[u8]) -> Option<Self> {
        let value = String::from_utf8_lossy(value);
        if opening(&value).is_some() {
            return Self::read(&value, unpair);
        }
        // RFC 3261 20.10: without angle brackets, parameters after the URI are header parameters.
        Self::read(value.split(';').next().unwrap_or_default(), unpair)
    }

    /// Writes `Formal Name <uri>`.
    pub(super) fn write(&self, out: &mut String) {
        match self.display.as_deref().map(str::trim) {
            None | Some("") => {}
            // RFC 3862 3.6: Formal-name = 1*( Token SP ) / String
            Some(name) if name.split(' ').all(is_token) => {
                out.push_str(name);
                out.push(' ');
            }
            Some(name) => {
                out.push('"');
                escape_into(out, name, true);
                out.push_str("\" ");
            }
        }
        out.push('<');
        if self.uri.bytes().any(breaks_out) {
            for character in self.uri.chars() {
                match u8::try_from(character).ok().filter(|byte| breaks_out(*byte)) {
                    Some(byte) => {
                        let _ = write!(out, "%{byte:02X}");
                    }
                    None => out.push(character),
                }
            }
        } else {
            out.push_str(&self.uri);
        }
        out.push('>');
    }
}

/// What must not stand in a URI between angle brackets as it is.
const fn breaks_out(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'"' | b'\\' | 0..=b' ' | 0x7F)
}

/// Where the `<` of the URI stands: the first one outside quotes.
fn opening(value: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    value.bytes().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        byte == b'<' && !quoted
    })
}

fn formal_name(name: &str, unescape: fn(&str) -> String) -> Option<String> {
    let bare = match name.strip_prefix('"') {
        Some(inner) => unescape(inner.strip_suffix('"').unwrap_or(inner)),
        None => name.to_owned(),
    };
    (!bare.is_empty()).then_some(bare)
}

/// RFC 3261 25.1: quoted-pair = "\" any character of US-ASCII.
fn unpair(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        out.extend(if character == '\\' { rest.next() } else { Some(character) });
    }
    out
}

/// RFC 3862 3.6: TOKENCHAR is NAMECHAR, "." and what lies beyond US-ASCII.
fn is_token(word: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-.^_`|~".contains(c);
    !word.is_empty() && word.chars().all(token)
}
