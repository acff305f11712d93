//! `auth-param`s: the comma-separated list behind the scheme of a challenge or of credentials
//! (RFC 3261 25.1, RFC 7616 3.3, 3.4).

use bytes::Bytes;

use super::grammar::{closing_quote, is_token, share, trim, unquote};

/// The most parameters that one challenge or one set of credentials may have.
const MOST: usize = 32;

/// An authentication scheme and its parameters; names are compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthParams(Vec<(Bytes, Bytes)>);

/// Splits `value` into the scheme and the text behind it.
pub(super) fn scheme(value: &Bytes) -> (Bytes, Bytes) {
    let text = trim(value);
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    let (scheme, rest) = text.split_at(end);
    (share(value, scheme), share(value, trim(rest)))
}

impl AuthParams {
    /// Reads `auth-param *(COMMA auth-param)`; the error says what is wrong.
    pub(super) fn parse(text: &Bytes) -> Result<Self, &'static str> {
        let mut params: Vec<(Bytes, Bytes)> = Vec::new();
        let mut rest: &[u8] = text;
        loop {
            let (name, value, tail) = param(rest)?;
            if params.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                return Err("repeated parameter");
            }
            if params.len() == MOST {
                return Err("too many parameters");
            }
            params.push((share(text, name), share(text, value)));
            match tail.split_first() {
                None => return Ok(Self(params)),
                Some((_, tail)) => rest = tail,
            }
        }
    }

    /// The parameter called `name` as it stands, quotes included.
    fn raw(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Whether a parameter called `name` is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The text of a parameter that must be a quoted string.
    ///
    /// # Errors
    /// It is a bare token.
    pub(super) fn quoted(&self, name: &str) -> Result<Option<Bytes>, ()> {
        match self.raw(name) {
            Some(value) if value.starts_with(b"\"") => Ok(Some(unquote(value, value))),
            Some(_) => Err(()),
            None => Ok(None),
        }
    }

    /// The text of a parameter that should be a token; quotes, which old clients write, are taken off.
    pub(super) fn token(&self, name: &str) -> Option<Bytes> {
        self.raw(name).map(|value| unquote(value, value))
    }
}

/// Name, value and what is left of the text, which is empty or begins with the comma.
type Param<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Reads one `name = value`.
fn param(text: &[u8]) -> Result<Param<'_>, &'static str> {
    let equals = memchr::memchr(b'=', text).ok_or("parameter without a value")?;
    let name = trim(text.get(..equals).unwrap_or_default());
    if !is_token(name) {
        return Err("parameter name");
    }
    let rest = text.get(equals + 1..).unwrap_or_default();
    let rest = rest.get(rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(rest.len())..);
    let rest = rest.unwrap_or_default();
    let (value, tail) = if rest.first() == Some(&b'"') {
        rest.split_at(closing_quote(rest).ok_or("unterminated quoted string")?)
    } else {
        let (value, tail) = rest.split_at(memchr::memchr(b',', rest).unwrap_or(rest.len()));
        let value = trim(value);
        if !is_token(value) {
            return Err("parameter value");
        }
        (value, tail)
    };
    let tail = trim(tail);
    match tail.first() {
        None | Some(b',') => Ok((name, value, tail)),
        Some(_) => Err("text behind a quoted string"),
    }
}

/// Appends `name="value"`, escaped, behind a comma where it is not the first one.
pub(super) fn push_quoted(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    separate(out, name);
    out.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Appends `name=value`, behind a comma where it is not the first one; in quotes what is no token.
pub(super) fn push_token(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !is_token(value) {
        return push_quoted(out, name, value);
    }
    separate(out, name);
    out.extend_from_slice(value);
}

fn separate(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(if out.as_slice() == b"Digest" { b" " } else { b", " });
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &'static str) -> Result<AuthParams, &'static str> {
        AuthParams::parse(&Bytes::from_static(text.as_bytes()))
    }

    // proves RFC 3261 25.1 auth-param
    #[test]
    fn parameters_are_tokens_or_quoted_strings() {
        let params = parse(r#"realm = "a \"b\", c=d" ,NC=00000001,	uri="sip:a@b;x=y", e="""#).unwrap();
        assert_eq!(params.quoted("Realm").unwrap().unwrap(), r#"a "b", c=d"#);
        assert_eq!(params.token("nc").unwrap(), "00000001");
        assert_eq!(params.quoted("uri").unwrap().unwrap(), "sip:a@b;x=y");
        assert_eq!(params.quoted("e").unwrap().unwrap(), "");
        assert_eq!(params.quoted("absent"), Ok(None));
        assert_eq!(params.quoted("nc"), Err(()));
        assert!(params.has("URI") && !params.has("c"));
    }

    #[test]
    fn broken_lists_say_what_is_wrong() {
        for (bad, problem) in [
            ("", "parameter without a value"),
            ("realm", "parameter without a value"),
            ("realm=\"a", "unterminated quoted string"),
            ("realm=\"a\\\"", "unterminated quoted string"),
            ("realm=a\", nonce=\"b\"", "parameter value"),
            ("realm=a b", "parameter value"),
            ("realm=", "parameter value"),
            ("realm=a,", "parameter without a value"),
            ("realm=a,,nc=1", "parameter name"),
            ("=a", "parameter name"),
            ("realm=\"a\"b, nc=1", "text behind a quoted string"),
            ("nc=1, NC=1", "repeated parameter"),
        ] {
            assert_eq!(parse(bad), Err(problem), "{bad}");
        }
        let many: String = (0..=MOST).map(|number| format!("p{number}=1,")).collect();
        assert_eq!(
            AuthParams::parse(&Bytes::from(many.trim_end_matches(',').to_owned())),
            Err("too many parameters")
        );
    }

    #[test]
    fn what_is_pushed_reads_back() {
        let mut out = b"Digest".to_vec();
        push_quoted(&mut out, "realm", br#"a "b" \"#);
        push_token(&mut out, "nc", b"00000001");
        assert_eq!(out, br#"Digest realm="a \"b\" \\", nc=00000001"#);
        let mut quoted = b"Digest".to_vec();
        push_token(&mut quoted, "algorithm", b"a b");
        push_token(&mut quoted, "opaque", b"MyDigest");
        push_token(&mut quoted, "qop", b"auth");
        assert_eq!(quoted, br#"Digest algorithm="a b", opaque=MyDigest, qop=auth"#, "a list stays one");
        let (name, rest) = scheme(&Bytes::from(out));
        assert_eq!(name, "Digest");
        assert_eq!(AuthParams::parse(&rest).unwrap().quoted("realm").unwrap().unwrap(), r#"a "b" \"#);
    }
}
