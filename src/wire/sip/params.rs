//! Parameters: `;name=value` after a header value or inside a URI (RFC 3261 7.3.1, 19.1.1).

use bytes::Bytes;
use nom::IResult;

use super::grammar::{
    blanks, closing_quote, is_uri_param, param_value, separator, share, token, trim, unquote,
};
use nom::Parser;
use nom::combinator::opt;

/// A list of parameters, kept as the text it came as. Names are compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Bytes);

impl Params {
    /// No parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self(Bytes::new())
    }

    /// Reads the parameters of a header value: nothing, or a text that begins with `;`.
    pub(super) fn parse(text: &Bytes) -> Option<Self> {
        let (rest, ()) = header_params(text).ok()?;
        trim(rest).is_empty().then(|| Self(text.clone()))
    }

    /// Reads the parameters of a SIP URI (RFC 3261 25.1 `uri-parameters`).
    pub(super) fn parse_uri(text: &Bytes) -> Option<Self> {
        let Some(list) = text.strip_prefix(b";") else { return text.is_empty().then(Self::new) };
        let well_formed = list.split(|byte| *byte == b';').all(|param| match memchr::memchr(b'=', param) {
            Some(at) => {
                is_uri_param(param.get(..at).unwrap_or_default())
                    && is_uri_param(param.get(at + 1..).unwrap_or_default())
            }
            None => is_uri_param(param),
        });
        well_formed.then(|| Self(text.clone()))
    }

    /// Keeps what is well formed at the start of `text`.
    pub(super) fn parse_leading(text: &Bytes) -> Self {
        let rest = header_params(text).map_or(text.len(), |(rest, ())| rest.len());
        Self(text.slice(..text.len().saturating_sub(rest)))
    }

    /// The parameters in order: name and value, both as they came.
    pub fn iter(&self) -> impl Iterator<Item = (Bytes, Option<Bytes>)> + '_ {
        raw_params(&self.0).map(|raw| {
            let (name, value) = name_and_value(raw);
            (share(&self.0, name), value.map(|value| share(&self.0, value)))
        })
    }

    /// Whether a parameter called `name` is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of the parameter called `name`, without quotes; `None` when it is absent or has none.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Bytes> {
        self.find(name).flatten().map(|value| unquote(&share(&self.0, value)))
    }

    /// The parameter called `name`: `None` when absent, `Some(None)` when it has no value.
    fn find(&self, name: &str) -> Option<Option<&[u8]>> {
        raw_params(&self.0)
            .map(name_and_value)
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The text they came as: empty, or beginning with `;`.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Appends `;name=value`, or `;name`; the value is quoted when it is no token, host or the like.
    pub fn push(&mut self, name: &str, value: Option<&str>) {
        let mut text = Vec::from(self.0.as_ref());
        text.push(b';');
        text.extend_from_slice(name.as_bytes());
        if let Some(value) = value {
            text.push(b'=');
            if param_value(value.as_bytes()).is_ok_and(|(rest, _)| rest.is_empty()) {
                text.extend_from_slice(value.as_bytes());
            } else {
                text.push(b'"');
                for byte in value.bytes() {
                    if matches!(byte, b'"' | b'\\') {
                        text.push(b'\\');
                    }
                    text.push(byte);
                }
                text.push(b'"');
            }
        }
        self.0 = Bytes::from(text);
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `*( SEMI generic-param )`: stops where the next parameter is malformed.
fn header_params(input: &[u8]) -> IResult<&[u8], ()> {
    let mut rest = input;
    let mut param = (separator(b';'), token, opt((separator(b'='), param_value)));
    while let Ok((tail, _)) = param.parse(rest) {
        rest = tail;
    }
    let (rest, _) = blanks(rest)?;
    Ok((rest, ()))
}

/// The raw texts between semicolons, trimmed, quoted strings whole.
pub(super) fn raw_params(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = memchr::memchr(b';', rest)? + 1;
        let list = rest.get(start..)?;
        let mut end = 0;
        while let Some(byte) = list.get(end) {
            match byte {
                b';' => break,
                b'"' => end += list.get(end..).and_then(closing_quote).unwrap_or(list.len()),
                _ => end += 1,
            }
        }
        rest = list.get(end..).unwrap_or_default();
        Some(trim(list.get(..end).unwrap_or_default()))
    })
}

/// Splits one raw parameter at its `=`.
pub(super) fn name_and_value(raw: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', raw) {
        Some(at) => (trim(raw.get(..at).unwrap_or_default()), raw.get(at + 1..).map(trim)),
        None => (raw, None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn params(text: &'static str) -> Option<Params> {
        Params::parse(&Bytes::from_static(text.as_bytes()))
    }

    // proves RFC 3261 7.3.1: blanks around separators, quoted values, names without case
    #[test]
    fn parameters_are_found_by_name_without_case() {
        let params = params("; TAG = abc ;q=\"a;\\\"b=c\" ; lr").unwrap();
        assert_eq!(params.value("tag").unwrap(), "abc");
        assert_eq!(params.value("Q").unwrap(), "a;\"b=c");
        assert!(params.has("LR") && params.value("lr").is_none());
        assert!(!params.has("b"));
        assert_eq!(params.iter().count(), 3);
    }

    #[test]
    fn empty_and_open_parameters_are_malformed() {
        for bad in [";;", ";", ";a=", ";a=\"b", ";=b", "a=b", ";a b", ";a=b,c"] {
            assert_eq!(params(bad), None, "{bad}");
        }
        assert_eq!(params(""), Some(Params::new()));
        assert_eq!(Params::parse_leading(&Bytes::from_static(b";a=1;;b")).as_bytes(), ";a=1");
    }

    // proves RFC 3261 19.1.1: characters of a URI parameter
    #[test]
    fn uri_parameters_have_their_own_characters() {
        let uri = |text: &'static str| Params::parse_uri(&Bytes::from_static(text.as_bytes()));
        assert_eq!(uri(";lr;%6C%72;x=[a]/:&+$").unwrap().iter().count(), 3);
        for bad in [";", ";;a", ";a=", ";a=%4", ";a=\"b\"", "a"] {
            assert_eq!(uri(bad), None, "{bad}");
        }
    }

    #[test]
    fn pushed_values_are_quoted_when_they_need_it() {
        let mut params = Params::new();
        params.push("a", Some("tok"));
        params.push("b", Some("x \"y\""));
        params.push("c", None);
        assert_eq!(params.as_bytes(), ";a=tok;b=\"x \\\"y\\\"\";c");
        assert_eq!(params.value("b").unwrap(), "x \"y\"");
    }
}
