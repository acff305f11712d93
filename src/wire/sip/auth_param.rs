//! `auth-param`s: the comma-separated list behind the scheme of a challenge or of credentials
//! (RFC 3261 25.1, RFC 7616 3.3, 3.4).

use bytes::Bytes;
use nom::branch::alt;
use nom::bytes::complete::{is_not, take, take_while1};
use nom::character::complete::{char, space0};
use nom::combinator::{all_consuming, cut, recognize};
use nom::error::{ContextError, ErrorKind, ParseError, context};
use nom::multi::{many0_count, separated_list1};
use nom::sequence::{preceded, separated_pair, terminated};
use nom::{Finish, IResult, Parser};

use super::grammar::{is_token, is_token_char, share, trim, unquote};

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
        // RFC 3261 25.1: COMMA has blanks on either side, which each parameter takes with it.
        let list = separated_list1(char(','), cut(preceded(space0, terminated(param, space0))));
        let list = context("text behind a parameter", all_consuming(list));
        let mut params: Vec<(Bytes, Bytes)> = Vec::new();
        for (name, value) in parse_with(list, text)? {
            if params.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                return Err("repeated parameter");
            }
            if params.len() == MOST {
                return Err("too many parameters");
            }
            params.push((share(text, name), share(text, value)));
        }
        Ok(Self(params))
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

/// What is wrong: the innermost of what was being read.
struct Fault(&'static str);

impl<I> ParseError<I> for Fault {
    fn from_error_kind(_: I, _: ErrorKind) -> Self {
        Self("")
    }

    fn append(_: I, _: ErrorKind, inner: Self) -> Self {
        inner
    }
}

impl<I> ContextError<I> for Fault {
    fn add_context(_: I, context: &'static str, inner: Self) -> Self {
        if inner.0.is_empty() { Self(context) } else { inner }
    }
}

type Reading<'a, T> = IResult<&'a [u8], T, Fault>;

fn parse_with<'a, T>(
    mut grammar: impl Parser<&'a [u8], Output = T, Error = Fault>,
    text: &'a [u8],
) -> Result<T, &'static str> {
    grammar.parse(text).finish().map(|(_, read)| read).map_err(|fault| fault.0)
}

/// `auth-param-name EQUAL ( token / quoted-string )`: the name, and the value with its quotes.
fn param(text: &[u8]) -> Reading<'_, (&[u8], &[u8])> {
    separated_pair(
        context("parameter name", token),
        context("parameter without a value", (space0, char('='), space0)),
        context("parameter value", alt((quoted_string, token))),
    )
    .parse(text)
}

fn token(text: &[u8]) -> Reading<'_, &[u8]> {
    take_while1(is_token_char).parse(text)
}

fn quoted_string(text: &[u8]) -> Reading<'_, &[u8]> {
    let quoted_pair = recognize((char('\\'), take(1_usize)));
    let inside = many0_count(alt((is_not(&b"\"\\"[..]), quoted_pair)));
    let closed = context("unterminated quoted string", (inside, char('"')));
    recognize((char('"'), cut(closed))).parse(text)
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
            ("", "parameter name"),
            ("realm", "parameter without a value"),
            ("realm=\"a", "unterminated quoted string"),
            ("realm=\"a\\\"", "unterminated quoted string"),
            ("realm=a\", nonce=\"b\"", "text behind a parameter"),
            ("realm=a b", "text behind a parameter"),
            ("realm=", "parameter value"),
            ("realm=a,", "parameter name"),
            ("realm=a,,nc=1", "parameter name"),
            ("=a", "parameter name"),
            ("realm=\"a\"b, nc=1", "text behind a parameter"),
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
