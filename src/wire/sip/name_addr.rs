//! Addresses in header fields: `"Name" <uri>;params` and `uri;params` (RFC 3261 20, 20.10, 25.1).

use std::fmt;

use bytes::Bytes;

use super::grammar::{closing_quote, is_blank, is_token_char, is_uri_char, share, trim, unquote};
use super::params::{Params, find_param, is_header_params};

/// The value of From, To, Contact, Route, P-Asserted-Identity and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name without quotes and backslashes; `None` when there is none.
    pub display: Option<Bytes>,
    /// The URI, byte for byte as it came, of any scheme.
    pub uri: Bytes,
    /// The header parameters.
    pub params: Params,
}

/// Where the pieces of an address stand: display name, URI, parameters.
struct Parts<'a> {
    display: &'a [u8],
    uri: &'a [u8],
    params: &'a [u8],
    bracketed: bool,
}

impl NameAddr {
    /// Reads one address; the error says what is wrong.
    pub fn parse(value: &Bytes) -> Result<Self, &'static str> {
        let parts = checked(value)?;
        let display = (!parts.display.is_empty()).then(|| unquote(value, parts.display));
        Ok(Self { display, uri: share(value, parts.uri), params: Params::shared(value, parts.params) })
    }

    /// The URI of an address; fails where [`Self::parse`] does.
    pub(super) fn uri_of(value: &[u8]) -> Result<&[u8], &'static str> {
        checked(value).map(|parts| parts.uri)
    }

    /// An address without display name and parameters.
    #[must_use]
    pub fn from_uri(uri: impl Into<Bytes>) -> Self {
        Self { display: None, uri: uri.into(), params: Params::new() }
    }

    /// The tag parameter.
    #[must_use]
    pub fn tag(&self) -> Option<Bytes> {
        self.params.value("tag")
    }

    /// The address as a header value, always with angle brackets.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.uri.len() + self.params.as_bytes().len() + 32);
        if let Some(display) = &self.display {
            out.push(b'"');
            for &byte in display {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.extend_from_slice(b"\" ");
        }
        out.push(b'<');
        out.extend_from_slice(&self.uri);
        out.push(b'>');
        out.extend_from_slice(self.params.as_bytes());
        Bytes::from(out)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.encode()))
    }
}

/// Splits an address into pieces of which each is well formed.
fn checked(value: &[u8]) -> Result<Parts<'_>, &'static str> {
    let parts = parts(value)?;
    check_display(parts.display)?;
    check_uri(parts.uri, parts.bracketed)?;
    is_header_params(parts.params).then_some(parts).ok_or("parameters")
}

/// Splits an address without looking into its pieces.
fn parts(value: &[u8]) -> Result<Parts<'_>, &'static str> {
    let value = trim(value);
    let mut at = 0;
    if value.first() == Some(&b'"') {
        at = closing_quote(value).ok_or("unterminated quoted string")?;
    }
    let rest = value.get(at..).unwrap_or_default();
    // A bracket behind the first semicolon belongs to a parameter.
    if let Some((open, b'<')) = memchr::memchr2(b'<', b';', rest).and_then(|at| Some((at, *rest.get(at)?))) {
        let start = at + open;
        let inside = value.get(start + 1..).unwrap_or_default();
        let length = memchr::memchr(b'>', inside).ok_or("unclosed angle bracket")?;
        return Ok(Parts {
            display: trim(value.get(..start).unwrap_or_default()),
            uri: inside.get(..length).unwrap_or_default(),
            params: inside.get(length + 1..).unwrap_or_default(),
            bracketed: true,
        });
    }
    if at > 0 {
        return Err("display name without an address");
    }
    // RFC 3261 20: without brackets, what follows the first semicolon are header parameters
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (uri, params) = value.split_at(end);
    Ok(Parts { display: &[], uri: trim(uri), params, bracketed: false })
}

/// `*(token LWS) / quoted-string`
fn check_display(display: &[u8]) -> Result<(), &'static str> {
    let valid = match display.first() {
        Some(b'"') => closing_quote(display) == Some(display.len()),
        _ => display.iter().all(|byte| is_token_char(*byte) || is_blank(*byte)),
    };
    if valid { Ok(()) } else { Err("display name") }
}

/// `scheme ":" ...` of printable characters; what stands behind a scheme other than ours is its own affair.
fn check_uri(uri: &[u8], bracketed: bool) -> Result<(), &'static str> {
    let colon = memchr::memchr(b':', uri).ok_or("URI without a scheme")?;
    let (scheme, rest) = uri.split_at(colon);
    if !is_scheme(scheme) || rest.len() < 2 {
        return Err("URI");
    }
    if !rest.iter().all(|byte| is_uri_char(*byte)) {
        return Err("character in URI");
    }
    // RFC 3261 20: a URI with a comma, question mark or semicolon MUST be enclosed in brackets
    if !bracketed && rest.iter().any(|byte| matches!(byte, b',' | b'?')) {
        return Err("URI that needs angle brackets");
    }
    Ok(())
}

/// `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`
pub(super) fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// The tag of a From or To value, without reading the rest of it.
#[must_use]
pub fn tag_of(value: &Bytes) -> Option<Bytes> {
    raw_tag(value).map(|tag| unquote(value, tag))
}

/// Whether a From or To value has a tag.
pub(super) fn has_tag(value: &[u8]) -> bool {
    raw_tag(value).is_some()
}

fn raw_tag(value: &[u8]) -> Option<&[u8]> {
    find_param(parts(value).ok()?.params, "tag")?.filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &'static str) -> Result<NameAddr, &'static str> {
        NameAddr::parse(&Bytes::from_static(text.as_bytes()))
    }

    // proves RFC 3261 20.10, 25.1 name-addr and addr-spec
    #[test]
    fn addresses_come_in_both_forms() {
        let quoted = parse(r#""J \"R\" <x>"  <sip:j@example.com;lr?a=b> ; tag = 98 "#).unwrap();
        assert_eq!(quoted.display.as_ref().unwrap(), "J \"R\" <x>");
        assert_eq!(quoted.uri, "sip:j@example.com;lr?a=b");
        assert_eq!(quoted.tag().unwrap(), "98");
        let bare = parse("sip:+1972@gw.example.net;unknownparam").unwrap();
        assert_eq!(bare.uri, "sip:+1972@gw.example.net");
        assert!(bare.params.has("unknownparam"));
        assert_eq!(parse("caller<sip:c@example.com>;tag=323").unwrap().display.unwrap(), "caller");
        assert_eq!(parse("T. Watson <sip:t@x>").unwrap().display.unwrap(), "T. Watson");
        assert_eq!(parse("isbn:2983792873").unwrap().uri, "isbn:2983792873");
    }

    #[test]
    fn malformed_addresses_say_what_is_wrong() {
        for (bad, problem) in [
            ("\"Mr. J. User <sip:j@example.com>", "unterminated quoted string"),
            ("Bell, Alexander <sip:a@example.com>", "display name"),
            ("\"Tom\" < sip:t@example.org >", "URI"),
            ("<sip:t@example.org >", "character in URI"),
            ("<sip:t@example.org", "unclosed angle bracket"),
            ("sip:user@example.com?Route=%3Csip:a%3E", "URI that needs angle brackets"),
            ("alan@jasomi.com", "URI without a scheme"),
            ("<sip:>", "URI"),
            ("", "URI without a scheme"),
            ("<sip:a@b>;;;;", "parameters"),
            ("\"name\"", "display name without an address"),
            ("\"a\" b <sip:a@b>", "display name"),
        ] {
            assert_eq!(parse(bad), Err(problem), "{bad}");
        }
    }

    #[test]
    fn the_tag_is_found_without_reading_the_rest() {
        let tag = |text: &'static str| tag_of(&Bytes::from_static(text.as_bytes()));
        assert_eq!(tag("\";tag=no\" <sip:a;tag=no@b>;x=\";tag=no\";TAG=yes").unwrap(), "yes");
        assert_eq!(tag("sip:a@b;user=phone;tag=1").unwrap(), "1");
        assert_eq!(tag("<sip:a@b;tag=no>"), None);
        assert_eq!(tag("<sip:a@b>;tag="), None);
        for (value, has) in
            [("<sip:a@b>;tag=1", true), ("<sip:a@b;tag=no>", false), ("<sip:a@b>;tag", false), ("", false)]
        {
            assert_eq!((has_tag(value.as_bytes()), tag(value).is_some()), (has, has), "{value}");
        }
        // Against the grammar, but understood, and in the same way as by who reads all of it.
        assert_eq!(tag("<sip:a@b>;tag=\"1\"").unwrap(), "1");
    }

    #[test]
    fn what_is_encoded_reads_back() {
        let address = parse(r#""a \\ \"b\"" <sip:%40@x>;tag=1"#).unwrap();
        assert_eq!(NameAddr::parse(&address.encode()).unwrap(), address);
        assert_eq!(NameAddr::from_uri("sip:a@b").to_string(), "<sip:a@b>");
    }
}
