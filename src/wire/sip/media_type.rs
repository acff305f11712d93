//! Media types of Content-Type and media ranges of Accept (RFC 3261 20.1, 20.15).

use std::fmt;

use bytes::Bytes;

use super::grammar::{behind, share, skip_blanks, split_token};
use super::params::{Params, is_header_params};

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

/// Where the pieces of a media type stand.
struct Parts<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    params: &'a [u8],
}

impl MediaType {
    /// Reads one media type or range; the error says what is wrong.
    pub fn parse(value: &Bytes) -> Result<Self, &'static str> {
        let Parts { kind, subtype, params } = parts(value)?;
        Ok(Self {
            kind: share(value, kind),
            subtype: share(value, subtype),
            params: Params::shared(value, params),
        })
    }

    /// Whether [`Self::parse`] reads `value`.
    pub(super) fn check(value: &[u8]) -> Result<(), &'static str> {
        parts(value).map(|_| ())
    }

    /// `type/subtype` in lower case, without parameters.
    #[must_use]
    pub fn essence(&self) -> String {
        let mut text = [self.kind.as_ref(), b"/", &self.subtype].concat();
        text.make_ascii_lowercase();
        // Both are tokens, hence ASCII, unless somebody has put them together otherwise.
        String::from_utf8(text).unwrap_or_else(|text| String::from_utf8_lossy(text.as_bytes()).into_owned())
    }

    /// Whether this is `essence`, compared without case.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        let essence = essence.as_bytes();
        let (kind, subtype) = (self.kind.len(), self.subtype.len());
        essence.len() == kind + 1 + subtype
            && essence.get(kind) == Some(&b'/')
            && self.kind.eq_ignore_ascii_case(essence.get(..kind).unwrap_or_default())
            && self.subtype.eq_ignore_ascii_case(essence.get(kind + 1..).unwrap_or_default())
    }

    /// Whether the media ranges of an Accept admit the type `essence`: that which names it most exactly decides, and
    /// `q=0` is a refusal. Where several are as exact, one that admits is enough.
    #[must_use]
    pub fn admit(ranges: &[Self], essence: &str) -> bool {
        // RFC 3261 20.1 by way of RFC 2616 14.1: the most specific range has precedence.
        let covering = ranges.iter().filter_map(|range| Some((range.exactness(essence)?, !range.refuses())));
        covering.max().is_some_and(|(_, admits)| admits)
    }

    /// How exactly this, taken as a media range, names the type `essence`; `None` where it does not cover it.
    fn exactness(&self, essence: &str) -> Option<u8> {
        let (kind, subtype) = essence.split_once('/')?;
        let exact = |range: &Bytes, part: &str| {
            if range == "*" { Some(0) } else { range.eq_ignore_ascii_case(part.as_bytes()).then_some(1) }
        };
        Some(exact(&self.kind, kind)? + exact(&self.subtype, subtype)?)
    }

    fn refuses(&self) -> bool {
        self.params.value("q").is_some_and(|q| q.iter().all(|byte| matches!(byte, b'0' | b'.')))
    }
}

/// `m-type SLASH m-subtype *( SEMI m-parameter )`
fn parts(value: &[u8]) -> Result<Parts<'_>, &'static str> {
    let essence = split_token(skip_blanks(value)).and_then(|(kind, rest)| {
        split_token(behind(b'/', rest)?).map(|(subtype, rest)| (kind, subtype, rest))
    });
    let (kind, subtype, params) = essence.ok_or("type and subtype")?;
    let params = skip_blanks(params);
    is_header_params(params).then_some(Parts { kind, subtype, params }).ok_or("parameters")
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
        let admits = |ranges: &[&'static str], essence| {
            let ranges: Vec<MediaType> = ranges.iter().map(|range| parse(range).unwrap()).collect();
            MediaType::admit(&ranges, essence)
        };
        assert!(admits(&["*/*"], "message/cpim"));
        assert!(admits(&["image/png", "text/*"], "TEXT/plain"));
        assert!(!admits(&["text/*"], "image/png"));
        assert!(!admits(&[], "text/plain"), "an empty Accept accepts nothing");
        assert!(!admits(&["text/plain;q=0.0"], "text/plain"));
        assert!(admits(&["text/plain;q=0.1"], "text/plain"));
        assert!(!admits(&["*/*", "text/plain;q=0"], "text/plain"), "the most exact one decides");
        assert!(!admits(&["text/plain;q=0", "text/*", "*/*"], "text/plain"));
        assert!(admits(&["text/*;q=0", "text/plain;q=0.5", "*/*;q=0"], "text/plain"));
        assert!(!admits(&["text/*;q=0", "*/*"], "text/plain"));
        assert!(admits(&["text/plain;q=0", "text/plain;level=1"], "text/plain"));
    }
}
