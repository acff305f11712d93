//! WWW-Authenticate and Proxy-Authenticate: the digest challenge (RFC 3261 20.27, 20.44, RFC 7616 3.3,
//! RFC 8760).

use bytes::Bytes;

use super::auth_param::{AuthParams, push_quoted, push_token, scheme};
use super::grammar::trim;

/// A challenge of the scheme `Digest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Whose users are asked for; names the protection domain (RFC 3261 22.1).
    pub realm: Bytes,
    /// What the answer is made with.
    pub nonce: Bytes,
    /// To be returned unchanged.
    pub opaque: Option<Bytes>,
    /// The hash algorithm; `None` means MD5.
    pub algorithm: Option<Bytes>,
    /// The qualities of protection on offer; empty where the server is older than RFC 2617.
    pub qop: Vec<Bytes>,
    /// Whether the credentials were right and only their nonce was too old.
    pub stale: bool,
    /// Whether the user name is to be hashed (RFC 7616 3.4.4).
    pub userhash: bool,
}

impl Challenge {
    /// Reads a challenge; `Ok(None)`: it is of another scheme. The error says what is wrong.
    pub fn parse(value: &Bytes) -> Result<Option<Self>, &'static str> {
        let (name, rest) = scheme(value);
        if !name.eq_ignore_ascii_case(b"Digest") {
            return Ok(None);
        }
        let params = AuthParams::parse(&rest)?;
        let is_true = |name: &str| params.token(name).is_some_and(|text| text.eq_ignore_ascii_case(b"true"));
        let qop = params.token("qop").map(|list| {
            let tokens = list.split(|byte| *byte == b',').map(trim).filter(|token| !token.is_empty());
            tokens.map(|token| list.slice_ref(token)).collect()
        });
        Ok(Some(Self {
            realm: params.quoted("realm").map_err(|()| "realm without quotes")?.ok_or("no realm")?,
            nonce: params.quoted("nonce").map_err(|()| "nonce without quotes")?.ok_or("no nonce")?,
            opaque: params.quoted("opaque").map_err(|()| "opaque without quotes")?,
            algorithm: params.token("algorithm"),
            qop: qop.unwrap_or_default(),
            stale: is_true("stale"),
            userhash: is_true("userhash"),
        }))
    }

    /// The challenge as a header value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = b"Digest".to_vec();
        push_quoted(&mut out, "realm", &self.realm);
        if !self.qop.is_empty() {
            push_quoted(&mut out, "qop", &self.qop.join(b", ".as_slice()));
        }
        if let Some(algorithm) = &self.algorithm {
            push_token(&mut out, "algorithm", algorithm);
        }
        push_quoted(&mut out, "nonce", &self.nonce);
        if let Some(opaque) = &self.opaque {
            push_quoted(&mut out, "opaque", opaque);
        }
        if self.stale {
            push_token(&mut out, "stale", b"true");
        }
        if self.userhash {
            push_token(&mut out, "userhash", b"true");
        }
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &'static str) -> Result<Option<Challenge>, &'static str> {
        Challenge::parse(&Bytes::from_static(text.as_bytes()))
    }

    // proves RFC 7616 3.9.1, RFC 8760 2.3
    #[test]
    fn a_challenge_is_read_and_written() {
        let text = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
        let challenge = parse(text).unwrap().unwrap();
        assert_eq!(challenge.realm, "http-auth@example.org");
        assert_eq!(challenge.qop, ["auth", "auth-int"]);
        assert_eq!(challenge.algorithm.as_deref().unwrap(), b"SHA-256");
        assert!(!challenge.stale && !challenge.userhash);
        assert_eq!(challenge.encode(), text);
        let stale = Challenge { stale: true, userhash: true, opaque: None, ..challenge };
        assert_eq!(Challenge::parse(&stale.encode()).unwrap().unwrap(), stale);
    }

    // proves RFC 3261 20.27: its example, without algorithm
    #[test]
    fn the_example_of_sip_is_read() {
        let old = parse(
            r#"Digest realm="atlanta.com", domain="sip:ss1.carrier.com", qop="auth", nonce="f84f1cec41e6cbe5aea9c8e88d359", opaque="", stale=FALSE, algorithm=MD5"#,
        );
        let old = old.unwrap().unwrap();
        assert!(!old.stale);
        assert_eq!(old.opaque.unwrap(), "");
        assert_eq!(parse("digest realm=\"a\",nonce=\"b\"").unwrap().unwrap().qop, Vec::<Bytes>::new());
    }

    #[test]
    fn other_schemes_are_passed_over_and_broken_ones_refused() {
        assert_eq!(parse("Basic realm=\"a\""), Ok(None));
        assert_eq!(parse("Digest realm=a, nonce=\"b\""), Err("realm without quotes"));
        assert_eq!(parse("Digest realm=\"a\""), Err("no nonce"));
        assert_eq!(parse("Digest realm=\"a"), Err("unterminated quoted string"));
        assert!(parse("Digest").is_err());
    }
}
