//! Typed views of header fields, read when they are asked for.
//!
//! Each reads the first field of its name; that fields of a single value stand once is
//! [`super::validate`]'s to check.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::cseq::CSeq;
use super::error::HeaderError;
use super::event::Event;
use super::grammar::{decimal, is_call_id, share};
use super::header_name::HeaderName;
use super::headers::{Headers, elements};
use super::media_type::MediaType;
use super::name_addr::{NameAddr, has_tag, tag_of};
use super::via::Via;

type Problem = &'static str;

impl Headers {
    /// The topmost Via.
    pub fn via(&self) -> Result<Via, HeaderError> {
        self.required(HeaderName::Via, |value| {
            Via::parse(&share(value, elements(value).next().unwrap_or_default()))
        })
    }

    /// All Via values, topmost first.
    pub fn vias(&self) -> Result<Vec<Via>, HeaderError> {
        self.list(HeaderName::Via, Via::parse)
    }

    /// The From address.
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        self.required(HeaderName::From, NameAddr::parse)
    }

    /// The To address.
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        self.required(HeaderName::To, NameAddr::parse)
    }

    /// The tag of the From address, without reading the rest of it.
    #[must_use]
    pub fn from_tag(&self) -> Option<Bytes> {
        self.get(&HeaderName::From).and_then(tag_of)
    }

    /// The tag of the To address, without reading the rest of it.
    #[must_use]
    pub fn to_tag(&self) -> Option<Bytes> {
        self.get(&HeaderName::To).and_then(tag_of)
    }

    /// Whether the To address has a tag: a request so belongs to a dialog (RFC 3261 12.2).
    #[must_use]
    pub fn has_to_tag(&self) -> bool {
        self.get(&HeaderName::To).is_some_and(|value| has_tag(value))
    }

    /// The URI of the From address, without the rest of it; fails where [`Self::from`] does.
    pub fn from_uri(&self) -> Result<Bytes, HeaderError> {
        self.required(HeaderName::From, |value| NameAddr::uri_of(value).map(|uri| share(value, uri)))
    }

    /// The Call-ID.
    pub fn call_id(&self) -> Result<Bytes, HeaderError> {
        self.required(HeaderName::CallId, |value| {
            is_call_id(value).then(|| value.clone()).ok_or("not one or two words")
        })
    }

    /// The Call-ID as it stands, well formed or not, for a line of the log; empty where there is none.
    #[must_use]
    pub fn call_id_text(&self) -> Cow<'_, str> {
        self.get(&HeaderName::CallId).map(|id| String::from_utf8_lossy(id)).unwrap_or_default()
    }

    /// The CSeq.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        self.required(HeaderName::CSeq, CSeq::parse)
    }

    /// The time of Retry-After; `None` where there is none, or it is no number.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        // RFC 3261 20.33: a number of seconds, then perhaps a comment or parameters.
        let value = self.get(&HeaderName::RetryAfter)?.trim_ascii();
        let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
        let digits = std::str::from_utf8(value.get(..end)?).ok()?;
        digits.parse().ok().map(Duration::from_secs)
    }

    /// The first Contact address; `None` when there is none, or it is `*`.
    pub fn contact(&self) -> Result<Option<NameAddr>, HeaderError> {
        match self.values(&HeaderName::Contact).next() {
            Some(value) if value != "*" => NameAddr::parse(&value)
                .map(Some)
                .map_err(|problem| HeaderError::malformed(HeaderName::Contact, problem)),
            _ => Ok(None),
        }
    }

    /// All Contact addresses; none for `*`.
    pub fn contacts(&self) -> Result<Vec<NameAddr>, HeaderError> {
        if self.get(&HeaderName::Contact).is_some_and(|value| value == "*") {
            return Ok(Vec::new());
        }
        self.list(HeaderName::Contact, NameAddr::parse)
    }

    /// Max-Forwards, at most 255.
    pub fn max_forwards(&self) -> Result<Option<u32>, HeaderError> {
        // RFC 3261 20.22: an integer in the range 0-255
        self.optional(HeaderName::MaxForwards, |value| {
            decimal(value)
                .and_then(|hops| u8::try_from(hops).ok())
                .map(u32::from)
                .ok_or("not a number up to 255")
        })
    }

    /// Content-Length; an error when it stands more than once or is no number below 2^32.
    pub fn content_length(&self) -> Result<Option<usize>, HeaderError> {
        let mut lengths = self.all(&HeaderName::ContentLength);
        let Some(value) = lengths.next() else { return Ok(None) };
        if lengths.next().is_some() {
            return Err(HeaderError::repeated(HeaderName::ContentLength));
        }
        decimal(value)
            .and_then(|length| u32::try_from(length).ok())
            .and_then(|length| usize::try_from(length).ok())
            .map(Some)
            .ok_or(HeaderError::malformed(HeaderName::ContentLength, "not a number below 2^32"))
    }

    /// The Content-Type.
    pub fn content_type(&self) -> Result<Option<MediaType>, HeaderError> {
        self.optional(HeaderName::ContentType, MediaType::parse)
    }

    /// Expires in seconds; a number of 2^32 or more counts as 2^32-1.
    pub fn expires(&self) -> Result<Option<u32>, HeaderError> {
        self.optional(HeaderName::Expires, |value| {
            decimal(value).map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)).ok_or("not a number")
        })
    }

    /// The Route set, topmost first.
    pub fn routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.list(HeaderName::Route, NameAddr::parse)
    }

    /// The Record-Route set, topmost first.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.list(HeaderName::RecordRoute, NameAddr::parse)
    }

    /// The Path vector, topmost first (RFC 3327 4).
    pub fn path(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.list(HeaderName::Path, NameAddr::parse)
    }

    /// The asserted identities (RFC 3325 9.1).
    pub fn p_asserted_identity(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.list(HeaderName::PAssertedIdentity, NameAddr::parse)
    }

    /// The Event.
    pub fn event(&self) -> Result<Option<Event>, HeaderError> {
        self.optional(HeaderName::Event, Event::parse)
    }

    /// The media ranges of Accept; `None` when the field is absent, empty when it accepts nothing.
    pub fn accept(&self) -> Result<Option<Vec<MediaType>>, HeaderError> {
        if !self.contains(&HeaderName::Accept) {
            return Ok(None);
        }
        // RFC 3261 20.1: an empty Accept means that no formats are acceptable
        let ranges = self.values(&HeaderName::Accept).filter(|value| !value.is_empty());
        ranges
            .map(|value| MediaType::parse(&value))
            .collect::<Result<_, _>>()
            .map(Some)
            .map_err(|problem| HeaderError::malformed(HeaderName::Accept, problem))
    }

    /// Whether the comma-separated list in the fields called `name` holds `token`, without case
    /// (Require, Supported, Allow-Events ...).
    #[must_use]
    pub fn lists(&self, name: &HeaderName, token: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether every element of the lists in the fields called `name` is well formed; says how many there are.
    pub(super) fn check_list(
        &self,
        name: HeaderName,
        check: impl Fn(&[u8]) -> Result<(), Problem>,
    ) -> Result<usize, HeaderError> {
        let mut count = 0;
        for field in self.all(&name) {
            for element in elements(field) {
                check(element).map_err(|problem| HeaderError::malformed(name.clone(), problem))?;
                count += 1;
            }
        }
        Ok(count)
    }

    pub(super) fn required<'a, T>(
        &'a self,
        name: HeaderName,
        read: impl FnOnce(&'a Bytes) -> Result<T, Problem>,
    ) -> Result<T, HeaderError> {
        match self.get(&name) {
            Some(value) => read(value).map_err(|problem| HeaderError::malformed(name, problem)),
            None => Err(HeaderError::missing(name)),
        }
    }

    pub(super) fn optional<'a, T>(
        &'a self,
        name: HeaderName,
        read: impl FnOnce(&'a Bytes) -> Result<T, Problem>,
    ) -> Result<Option<T>, HeaderError> {
        let value = self.get(&name).map(read).transpose();
        value.map_err(|problem| HeaderError::malformed(name, problem))
    }

    fn list<T>(
        &self,
        name: HeaderName,
        read: impl Fn(&Bytes) -> Result<T, Problem>,
    ) -> Result<Vec<T>, HeaderError> {
        let mut list = Vec::new();
        for field in self.all(&name) {
            for element in elements(field) {
                let value = read(&share(field, element));
                list.push(value.map_err(|problem| HeaderError::malformed(name.clone(), problem))?);
            }
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(fields: &[(HeaderName, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        fields.iter().for_each(|(name, value)| headers.push(name.clone(), *value));
        headers
    }

    #[test]
    fn absence_is_told_from_error() {
        let empty = Headers::new();
        assert_eq!(empty.from().unwrap_err().to_string(), "Missing From");
        assert_eq!(empty.from_uri().unwrap_err(), empty.from().unwrap_err());
        assert_eq!(empty.max_forwards(), Ok(None));
        assert_eq!(empty.contact(), Ok(None));
        assert_eq!(empty.accept(), Ok(None));
        assert_eq!(empty.routes(), Ok(Vec::new()));
        let broken = headers(&[(HeaderName::From, "x"), (HeaderName::MaxForwards, "256")]);
        assert_eq!(broken.from().unwrap_err().to_string(), "Malformed From: URI without a scheme");
        assert_eq!(broken.from_uri().unwrap_err(), broken.from().unwrap_err());
        assert_eq!(broken.max_forwards().unwrap_err().header, HeaderName::MaxForwards);
    }

    #[test]
    fn a_call_id_is_shown_even_where_it_cannot_be_read() {
        assert_eq!(Headers::new().call_id_text(), "");
        let broken = headers(&[(HeaderName::CallId, "one two three")]);
        assert!(broken.call_id().is_err());
        assert_eq!(broken.call_id_text(), "one two three");
    }

    // proves RFC 3261 20.1 (empty Accept), 20.19 (Expires), 20.10 (Contact: *)
    #[test]
    fn odd_but_legal_values_are_read() {
        let odd = headers(&[
            (HeaderName::Accept, ""),
            (HeaderName::Expires, "10000000000000000000000000"),
            (HeaderName::Contact, "*"),
            (HeaderName::MaxForwards, "0068"),
            (HeaderName::Require, "a, Recipient-List-Invite"),
        ]);
        assert_eq!(odd.accept(), Ok(Some(Vec::new())));
        assert_eq!(odd.expires(), Ok(Some(u32::MAX)));
        assert_eq!(odd.contact(), Ok(None));
        assert_eq!(odd.max_forwards(), Ok(Some(68)));
        assert!(odd.lists(&HeaderName::Require, "recipient-list-invite"));
    }

    // proves RFC 3261 20.14 and RFC 4475 3.1.2.3, 3.3.9
    #[test]
    fn a_content_length_is_one_number() {
        let length = |values: &[&'static str]| {
            headers(&values.iter().map(|v| (HeaderName::ContentLength, *v)).collect::<Vec<_>>())
                .content_length()
        };
        assert_eq!(length(&["0150"]), Ok(Some(150)));
        for bad in [&["-999"][..], &["13", "5"], &["5", "5"], &["4294967296"], &[""], &["1 2"], &["0x1"]] {
            assert!(length(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lists_run_over_several_fields() {
        let headers = headers(&[
            (HeaderName::Route, "<sip:a;lr>, <sip:b>"),
            (HeaderName::Route, "<sip:c>"),
            (HeaderName::Via, "SIP/2.0/UDP x, SIP/2.0/TCP y"),
        ]);
        assert_eq!(headers.routes().unwrap().len(), 3);
        assert_eq!(headers.via().unwrap().transport, "UDP");
        assert_eq!(headers.vias().unwrap().len(), 2);
    }
}
