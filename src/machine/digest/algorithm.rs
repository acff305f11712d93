//! What is hashed: the algorithms of RFC 7616 6.1, A1, A2 and the response (RFC 7616 3.4.1 - 3.4.3).

use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};

/// A hash algorithm, from the strongest to the weakest. The `-sess` variants are not spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `SHA-512-256`: SHA-512 cut down to 256 bits.
    Sha512_256,
    /// `SHA-256`.
    Sha256,
    /// `MD5`: for old clients alone (RFC 8760 3).
    Md5,
}

impl Algorithm {
    /// All of them, the strongest first.
    pub const ALL: [Self; 3] = [Self::Sha512_256, Self::Sha256, Self::Md5];

    /// The name in an `algorithm` parameter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// Reads an `algorithm` parameter, in any case; none means MD5 (RFC 7616 3.3).
    #[must_use]
    pub fn parse(name: Option<&[u8]>) -> Option<Self> {
        let Some(name) = name else { return Some(Self::Md5) };
        Self::ALL.into_iter().find(|algorithm| name.eq_ignore_ascii_case(algorithm.name().as_bytes()))
    }

    /// `H(data)` in lower-case hexadecimal digits (RFC 8760 2.2), of the parts joined by colons.
    #[must_use]
    pub fn hash(self, parts: &[&[u8]]) -> String {
        fn of<D: Digest>(parts: &[&[u8]]) -> String {
            let mut digest = D::new();
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    digest.update(b":");
                }
                digest.update(part);
            }
            hex::encode(digest.finalize())
        }
        match self {
            Self::Sha512_256 => of::<Sha512_256>(parts),
            Self::Sha256 => of::<Sha256>(parts),
            Self::Md5 => of::<Md5>(parts),
        }
    }

    /// The hexadecimal digits of a hash.
    #[must_use]
    pub const fn digits(self) -> usize {
        match self {
            Self::Sha512_256 | Self::Sha256 => 64,
            Self::Md5 => 32,
        }
    }

    /// `H(A1)`: what stands for a password (RFC 7616 3.4.2). Whoever has it can answer challenges.
    #[must_use]
    pub fn secret(self, username: &[u8], realm: &[u8], password: &[u8]) -> String {
        self.hash(&[username, realm, password])
    }

    /// The `response` parameter of a `qop` of `auth` (RFC 7616 3.4.1), in lower-case hexadecimal digits.
    #[must_use]
    pub fn response(self, secret: &str, digested: &Digested<'_>) -> String {
        let a2 = self.hash(&[digested.method, digested.uri]);
        let Digested { nonce, nc, cnonce, qop, .. } = *digested;
        self.hash(&[secret.as_bytes(), nonce, nc, cnonce, qop, a2.as_bytes()])
    }
}

/// What goes into a `response` beside the secret; all as it stands on the wire, without quotes.
#[derive(Clone, Copy, Debug)]
pub struct Digested<'a> {
    /// The method of the request.
    pub method: &'a [u8],
    /// The `uri` parameter.
    pub uri: &'a [u8],
    /// The nonce of the challenge.
    pub nonce: &'a [u8],
    /// The client's nonce.
    pub cnonce: &'a [u8],
    /// The nonce count.
    pub nc: &'a [u8],
    /// The quality of protection.
    pub qop: &'a [u8],
}

/// What a server keeps instead of one user's password: `H(A1)` for each algorithm that it offers.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    sha256: String,
    md5: String,
}

impl Secrets {
    /// Those of a user name, as it is sent, in a realm.
    #[must_use]
    pub fn new(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let secret = |algorithm: Algorithm| algorithm.secret(username, realm, password);
        Self { sha256: secret(Algorithm::Sha256), md5: secret(Algorithm::Md5) }
    }

    /// Those that were written down; `None` if one is not the lower-case hexadecimal text of a hash.
    #[must_use]
    pub fn from_hex(sha256: &str, md5: &str) -> Option<Self> {
        let good = |text: &str, algorithm: Algorithm| {
            text.len() == algorithm.digits()
                && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        (good(sha256, Algorithm::Sha256) && good(md5, Algorithm::Md5))
            .then(|| Self { sha256: sha256.to_owned(), md5: md5.to_owned() })
    }

    /// `H(A1)` of an algorithm; `None` for one that is not offered.
    #[must_use]
    pub fn of(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Sha512_256 => None,
            Algorithm::Sha256 => Some(&self.sha256),
            Algorithm::Md5 => Some(&self.md5),
        }
    }
}

/// A secret is not for logs.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mufasa(algorithm: Algorithm) -> String {
        let secret = algorithm.secret(b"Mufasa", b"http-auth@example.org", b"Circle of Life");
        algorithm.response(
            &secret,
            &Digested {
                method: b"GET",
                uri: b"/dir/index.html",
                nonce: b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                cnonce: b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                nc: b"00000001",
                qop: b"auth",
            },
        )
    }

    // proves RFC 7616 3.9.1: both of its responses
    #[test]
    fn the_example_of_the_rfc_is_computed() {
        assert_eq!(mufasa(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            mufasa(Algorithm::Sha256),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    // proves RFC 8760 2.6: the hash of nothing
    #[test]
    fn the_hash_of_nothing_is_that_of_the_rfc() {
        assert_eq!(
            Algorithm::Sha256.hash(&[b""]),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(Algorithm::Md5.hash(&[b""]), "d41d8cd98f00b204e9800998ecf8427e");
        // FIPS 180-4's SHA-512/256 of "abc"
        assert_eq!(
            Algorithm::Sha512_256.hash(&[b"abc"]),
            "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"
        );
    }

    #[test]
    fn algorithms_are_named_in_any_case() {
        assert_eq!(Algorithm::parse(None), Some(Algorithm::Md5));
        assert_eq!(Algorithm::parse(Some(b"sha-256")), Some(Algorithm::Sha256));
        assert_eq!(Algorithm::parse(Some(b"SHA-256-sess")), None);
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(Some(algorithm.name().as_bytes())), Some(algorithm));
            assert_eq!(algorithm.hash(&[b"x"]).len(), algorithm.digits());
        }
    }

    #[test]
    fn secrets_are_read_back_and_never_shown() {
        let alice = Secrets::new(b"alice", b"example.com", b"wonderland");
        let again =
            Secrets::from_hex(alice.of(Algorithm::Sha256).unwrap(), alice.of(Algorithm::Md5).unwrap());
        assert_eq!(again, Some(alice.clone()));
        assert_eq!(format!("{alice:?}"), "Secrets");
        assert_eq!(alice.of(Algorithm::Sha512_256), None);
        assert_eq!(Secrets::from_hex("00", "00"), None);
        assert_eq!(Secrets::from_hex(&"G".repeat(64), &"0".repeat(32)), None);
    }
}
