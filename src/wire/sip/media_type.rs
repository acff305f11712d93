//! Media types of Content-Type and media ranges of Accept (RFC 3261 20.1, 20.15).

use std::fmt;

use bytes::Bytes;
use nom::Parser;

use super::grammar::{blanks, separator, share, token};
use super::params::Params;

/// `type/subtype;params`, or a range with `*` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// The type, as it came.
    pub kind: Bytes,
    /// The subtype, as it came.
    pub subtype: Bytes,
    /// The parameters: boundary, charset, q ...
    pub params: Params,
}

impl MediaType {
    /// Reads one media type or range; the error says what is wrong.
    pub fn parse(value: &Bytes) -> Result<Self, &'static str> {
        let mut grammar = (blanks, token, separator(b'/'), token, blanks);
        let (rest, (_, kind, _, subtype, _)) =
            grammar.parse(value.as_ref()).map_err(|_| "type and subtype")?;
        let params = Params::parse(&share(value, rest)).ok_or("parameters")?;
        Ok(Self { kind: share(value, kind), subtype: share(value, subtype), params })
    }

    /// `type/subtype` in lower case, without parameters.
    #[must_use]
    pub fn essence(&self) -> String {
        let mut text =
            String::from_utf8_lossy(&[self.kind.as_ref(), b"/", &self.subtype].concat()).into_owned();
        text.make_ascii_lowercase();
        text
    }

    /// Whether this is `essence`, compared without case.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(kind, subtype)| {
            self.kind.eq_ignore_ascii_case(kind.as_bytes())
                && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
        })
    }

    /// Whether this, taken as a media range, admits the type `essence`; `q=0` admits nothing.
    #[must_use]
    pub fn admits(&self, essence: &str) -> bool {
        let fits = |range: &Bytes, part: &str| range == "*" || range.eq_ignore_ascii_case(part.as_bytes());
        essence.split_once('/').is_some_and(|(kind, subtype)| {
            fits(&self.kind, kind) && fits(&self.subtype, subtype) && !self.refuses()
        })
    }

    fn refuses(&self) -> bool {
        self.params.value("q").is_some_and(|q| q.iter().all(|byte| matches!(byte, b'0' | b'.')))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.essence())?;
        f.write_str(&String::from_utf8_lossy(self.params.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &'static str) -> Result<MediaType, &'static str> {
        MediaType::parse(&Bytes::from_static(text.as_bytes()))
    }

    // proves RFC 3261 20.15
    #[test]
    fn types_are_compared_without_case_and_parameters() {
        let mixed = parse("Multipart / Mixed ; boundary=\"a b\"").unwrap();
        assert_eq!(mixed.essence(), "multipart/mixed");
        assert!(mixed.is("multipart/MIXED") && !mixed.is("multipart/related"));
        assert_eq!(mixed.params.value("boundary").unwrap(), "a b");
        for bad in ["text", "text/", "/plain", "text/plain;", "text/plain x", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    // proves RFC 3261 20.1
    #[test]
    fn ranges_admit_what_they_cover() {
        assert!(parse("*/*").unwrap().admits("message/cpim"));
        assert!(parse("text/*").unwrap().admits("TEXT/plain"));
        assert!(!parse("text/*").unwrap().admits("image/png"));
        assert!(!parse("text/plain;q=0.0").unwrap().admits("text/plain"));
        assert!(parse("text/plain;q=0.1").unwrap().admits("text/plain"));
    }
}
