//! Authorization and Proxy-Authorization: digest credentials (RFC 3261 20.7, 20.28, RFC 7616 3.4,
//! RFC 8760).
//!
//! What RFC 7616 leaves optional and this project does not speak is refused in clear words: `username*`
//! (a SIP user is ASCII, escaped), and credentials of the days before `qop`.

use bytes::Bytes;

use super::auth_param::{AuthParams, push_quoted, push_token, scheme};

/// Credentials of the scheme `Digest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Who wants to be let in.
    pub username: Bytes,
    /// The realm of the challenge that is answered.
    pub realm: Bytes,
    /// The nonce of that challenge.
    pub nonce: Bytes,
    /// The Request-URI as the sender wrote it; it goes into the digest byte for byte.
    pub uri: Bytes,
    /// The digest in hexadecimal digits.
    pub response: Bytes,
    /// The hash algorithm; `None` means MD5.
    pub algorithm: Option<Bytes>,
    /// The sender's own random text.
    pub cnonce: Bytes,
    /// The opaque text of the challenge.
    pub opaque: Option<Bytes>,
    /// The quality of protection.
    pub qop: Bytes,
    /// How many requests were sent with this nonce, this one included.
    pub nc: NonceCount,
    /// Whether the user name is hashed (RFC 7616 3.4.4).
    pub userhash: bool,
}

/// A nonce count, with the digits in which it is written: as they stand they go into the digest (RFC 7616 3.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceCount {
    value: u32,
    digits: [u8; 8],
}

impl NonceCount {
    /// A count as it is to be written.
    #[must_use]
    pub fn new(value: u32) -> Self {
        let digit = |place: usize| b"0123456789abcdef"[(value >> (28 - 4 * place) & 15) as usize];
        Self { value, digits: std::array::from_fn(digit) }
    }

    /// Reads `8LHEX`; capitals are none, but some write them.
    fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; 8] =
            text.try_into().ok().filter(|text: &[u8; 8]| text.iter().all(u8::is_ascii_hexdigit))?;
        let value = u32::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
        Some(Self { value, digits })
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.value
    }

    /// How it is written.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.digits
    }
}

impl Default for NonceCount {
    fn default() -> Self {
        Self::new(0)
    }
}

/// The realm of a header value, if it holds digest credentials and names one: enough to tell whose they are.
#[must_use]
pub fn realm_of(value: &Bytes) -> Option<Bytes> {
    let (name, rest) = scheme(value);
    let params = name.eq_ignore_ascii_case(b"Digest").then(|| AuthParams::parse(&rest).ok()).flatten()?;
    params.quoted("realm").ok()?
}

impl Credentials {
    /// Reads credentials; `Ok(None)`: they are of another scheme. The error says what is wrong.
    pub fn parse(value: &Bytes) -> Result<Option<Self>, &'static str> {
        let (name, rest) = scheme(value);
        if !name.eq_ignore_ascii_case(b"Digest") {
            return Ok(None);
        }
        let params = AuthParams::parse(&rest)?;
        if params.has("username*") {
            return Err("username* is not supported");
        }
        // RFC 7616 3.4: qop, nc and cnonce MUST be used by all implementations.
        let (qop, nc) = (params.token("qop").ok_or("no qop")?, params.token("nc").ok_or("no nc")?);
        Ok(Some(Self {
            username: params.quoted("username").map_err(|()| UNQUOTED)?.ok_or("no username")?,
            realm: params.quoted("realm").map_err(|()| UNQUOTED)?.ok_or("no realm")?,
            nonce: params.quoted("nonce").map_err(|()| UNQUOTED)?.ok_or("no nonce")?,
            // RFC 8760 2.6: the uri MUST be enclosed in quotation marks.
            uri: params.quoted("uri").map_err(|()| UNQUOTED)?.ok_or("no uri")?,
            response: params.quoted("response").map_err(|()| UNQUOTED)?.ok_or("no response")?,
            cnonce: params.quoted("cnonce").map_err(|()| UNQUOTED)?.ok_or("no cnonce")?,
            opaque: params.quoted("opaque").map_err(|()| UNQUOTED)?,
            algorithm: params.token("algorithm"),
            qop,
            nc: NonceCount::parse(&nc).ok_or("nc is not eight hexadecimal digits")?,
            userhash: params.token("userhash").is_some_and(|text| text.eq_ignore_ascii_case(b"true")),
        }))
    }

    /// The credentials as a header value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        // RFC 7616 3.4: some MUST be quoted, the others MUST NOT.
        let mut out = b"Digest".to_vec();
        push_quoted(&mut out, "username", &self.username);
        push_quoted(&mut out, "realm", &self.realm);
        push_quoted(&mut out, "nonce", &self.nonce);
        push_quoted(&mut out, "uri", &self.uri);
        push_quoted(&mut out, "response", &self.response);
        if let Some(algorithm) = &self.algorithm {
            push_token(&mut out, "algorithm", algorithm);
        }
        push_quoted(&mut out, "cnonce", &self.cnonce);
        if let Some(opaque) = &self.opaque {
            push_quoted(&mut out, "opaque", opaque);
        }
        push_token(&mut out, "qop", &self.qop);
        push_token(&mut out, "nc", self.nc.as_bytes());
        if self.userhash {
            push_token(&mut out, "userhash", b"true");
        }
        Bytes::from(out)
    }
}

const UNQUOTED: &str = "parameter without quotes";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Option<Credentials>, &'static str> {
        Credentials::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    const GOOD: &str = r#"Digest username="bob", realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="sip:bob@biloxi.com", response="6629fae49393a05397450978507c4ef1", cnonce="0a4f113b", opaque="5ccc069c403ebaf9f0171e9517f40e41", qop=auth, nc=0000001f"#;

    // proves RFC 3261 22.2: its example
    #[test]
    fn credentials_are_read_and_written() {
        let bob = parse(GOOD).unwrap().unwrap();
        assert_eq!((bob.username.as_ref(), bob.nc.value()), (b"bob".as_ref(), 31));
        assert_eq!(bob.encode(), GOOD);
        let hashed = Credentials { userhash: true, algorithm: Some("SHA-256".into()), opaque: None, ..bob };
        assert_eq!(Credentials::parse(&hashed.encode()).unwrap().unwrap(), hashed);
        assert_eq!(realm_of(&Bytes::from_static(GOOD.as_bytes())).unwrap(), "biloxi.com");
    }

    #[test]
    fn a_nonce_count_is_kept_as_it_is_written() {
        for (value, digits) in [(0, "00000000"), (11, "0000000b"), (u32::MAX, "ffffffff")] {
            assert_eq!(NonceCount::new(value).as_bytes(), digits.as_bytes());
            assert_eq!(NonceCount::parse(digits.as_bytes()), Some(NonceCount::new(value)));
        }
        let capital = NonceCount::parse(b"0000000B").unwrap();
        assert_eq!((capital.value(), capital.as_bytes()), (11, b"0000000B".as_ref()));
    }

    // proves RFC 7616 3.4: what is improper or missing is an error
    #[test]
    fn what_is_missing_or_broken_is_told() {
        for (from, to, problem) in [
            ("username=\"bob\", ", "", "no username"),
            ("username=\"bob\"", "username=bob", "parameter without quotes"),
            ("username=\"bob\"", "username=\"bob", "text behind a parameter"),
            ("username=\"bob\"", "username=\"bob\", username*=UTF-8''bob", "username* is not supported"),
            ("uri=\"sip:bob@biloxi.com\"", "uri=sip:bob@biloxi.com", "text behind a parameter"),
            (", qop=auth", "", "no qop"),
            (", nc=0000001f", "", "no nc"),
            ("nc=0000001f", "nc=1f", "nc is not eight hexadecimal digits"),
            ("nc=0000001f", "nc=+000001f", "nc is not eight hexadecimal digits"),
            ("cnonce=\"0a4f113b\", ", "", "no cnonce"),
            ("realm=\"biloxi.com\"", "realm=\"biloxi.com\", realm=\"x\"", "repeated parameter"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let found = parse(&text).unwrap_err();
            assert_eq!(found, problem, "{to}");
        }
        assert_eq!(parse("Basic dXNlcjpwYXNz"), Ok(None));
        assert_eq!(realm_of(&Bytes::from_static(b"Basic dXNlcjpwYXNz")), None);
    }
}
