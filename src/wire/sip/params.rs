//! Parameters: `;name=value` after a header value or inside a URI (RFC 3261 7.3.1, 19.1.1).

use bytes::Bytes;

use super::grammar::{
    behind, behind_param_value, closing_quote, is_uri_param, share, skip_blanks, split_token, trim, unquote,
};

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
        is_header_params(text).then(|| Self(text.clone()))
    }

    /// Those that stand in a part of `whole` which has been read ([`is_header_params`], [`is_uri_params`]).
    pub(super) fn shared(whole: &Bytes, part: &[u8]) -> Self {
        Self(share(whole, part))
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
        self.find(name).flatten().map(|value| unquote(&self.0, value))
    }

    /// The parameter called `name`: `None` when absent, `Some(None)` when it has no value.
    fn find(&self, name: &str) -> Option<Option<&[u8]>> {
        find_param(&self.0, name)
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
            if behind_param_value(value.as_bytes()).is_some_and(<[u8]>::is_empty) {
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

/// Whether `text` is the parameters of a header value: nothing, or a text that begins with `;`.
pub(super) fn is_header_params(text: &[u8]) -> bool {
    behind_header_params(text).is_empty()
}

/// What is well formed at the start of the parameters `text`.
pub(super) fn leading_params(text: &[u8]) -> &[u8] {
    text.get(..text.len() - behind_header_params(text).len()).unwrap_or_default()
}

/// `*( SEMI generic-param )`: what stands behind, from where the next parameter is malformed.
fn behind_header_params(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some((_, tail)) = behind(b';', rest).and_then(split_token) {
        // A value that is malformed is none of this parameter's.
        rest = behind(b'=', tail).and_then(behind_param_value).unwrap_or(tail);
    }
    skip_blanks(rest)
}

/// Whether `text` is the parameters of a SIP URI (RFC 3261 25.1 `uri-parameters`): nothing, or a text that
/// begins with `;`.
pub(super) fn is_uri_params(text: &[u8]) -> bool {
    let Some(list) = text.strip_prefix(b";") else { return text.is_empty() };
    list.split(|byte| *byte == b';').all(|param| match memchr::memchr(b'=', param) {
        Some(at) => {
            is_uri_param(param.get(..at).unwrap_or_default())
                && is_uri_param(param.get(at + 1..).unwrap_or_default())
        }
        None => is_uri_param(param),
    })
}

/// The parameter called `name` in `text`: `None` when absent, `Some(None)` when it has no value.
pub(super) fn find_param<'a>(text: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    raw_params(text).find_map(|raw| named(raw, name))
}

/// The value in `raw` if it is the parameter called `name`, of which it may have none.
fn named<'a>(raw: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    let (start, rest) = raw.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    match skip_blanks(rest).split_first() {
        None => Some(None),
        Some((b'=', value)) => Some(Some(trim(value))),
        Some(_) => None,
    }
}

/// The raw texts between semicolons, trimmed, quoted strings whole.
pub(super) fn raw_params(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| *byte == b';')? + 1;
        let list = rest.get(start..)?;
        // Behind a quote that is never closed there is nothing to be found.
        let end = param_end(list).unwrap_or(usize::MAX);
        rest = list.get(end..).unwrap_or_default();
        Some(trim(list.get(..end).unwrap_or_default()))
    })
}

/// Where the parameter at the start of `list` ends; `None` where a quoted string in it does not.
fn param_end(list: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let rest = list.get(end..)?;
        match memchr::memchr2(b';', b'"', rest) {
            None => return Some(list.len()),
            Some(found) => end += found,
        }
        match list.get(end..)? {
            quoted @ [b'"', ..] => end += closing_quote(quoted)?,
            _ => return Some(end),
        }
    }
}

/// Splits one raw parameter at its `=`.
pub(super) fn name_and_value(raw: &[u8]) -> (&[u8], Option<&[u8]>) {
    match raw.iter().position(|byte| *byte == b'=') {
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
        assert_eq!(leading_params(b";a=1;;b"), b";a=1");
        assert_eq!(leading_params(b";a=1;b= ;c"), b";a=1;b");
    }

    // proves RFC 3261 19.1.1: characters of a URI parameter
    #[test]
    fn uri_parameters_have_their_own_characters() {
        for good in ["", ";lr;%6C%72;x=[a]/:&+$"] {
            assert!(is_uri_params(good.as_bytes()), "{good}");
        }
        for bad in [";", ";;a", ";a=", ";a=%4", ";a=\"b\"", "a"] {
            assert!(!is_uri_params(bad.as_bytes()), "{bad}");
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
