//! Certificate fingerprints (RFC 8122 section 5): `sha-256 12:DF:3E:...`.
//!
//! SHA-256, SHA-384 and SHA-512 are understood. RFC 8122 forbids MD2 and MD5; SHA-1 and SHA-224 are left
//! out, too: whoever offers only those offers no fingerprint that is worth a check.

use std::fmt;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The hash function of a fingerprint, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl HashFunction {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its textual name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// The hash of a certificate in its DER form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    function: HashFunction,
    hash: Vec<u8>,
}

impl Fingerprint {
    /// The SHA-256 fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let function = HashFunction::Sha256;
        Self { function, hash: function.hash(certificate) }
    }

    /// Reads the value of the attribute. `None`: malformed, or of a hash function that is not understood.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (name, digits) = value.trim().split_once(' ')?;
        let function = HashFunction::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(name))?;
        let pair = |text: &str| (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten();
        let hash: Vec<u8> = digits.trim().split(':').map(pair).collect::<Option<_>>()?;
        (hash.len() == function.length()).then_some(Self { function, hash })
    }

    /// Whether a certificate satisfies a description with these fingerprints; never where there is none.
    #[must_use]
    pub fn accept(all: &[Self], certificate: &[u8]) -> bool {
        // RFC 8122 5.1: an endpoint MUST select the set of fingerprints that use its most preferred hash
        // function (out of those offered by the peer) and verify that the certificate matches one of that set
        let Some(function) = all.iter().map(|it| it.function).max() else { return false };
        let hash = function.hash(certificate);
        all.iter().any(|it| it.function == function && it.hash == hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.as_str())?;
        for (index, byte) in self.hash.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // "abc", FIPS 180-2.
    const ABC: &str = "sha-256 BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";

    // proves RFC 8122 5
    #[test]
    fn a_fingerprint_is_written_and_read() {
        assert_eq!(Fingerprint::of(b"abc").to_string(), ABC);
        assert_eq!(Fingerprint::parse(ABC), Some(Fingerprint::of(b"abc")));
        assert_eq!(Fingerprint::parse(&ABC.to_ascii_lowercase()), Some(Fingerprint::of(b"abc")));
        for bad in
            ["", "sha-256", "sha-256 ", "sha-256 BA:78", "sha-1 BA:78", "md5 00", &ABC[..ABC.len() - 1]]
        {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }

    // proves RFC 8122 5.1
    #[test]
    fn the_strongest_set_decides() {
        let of = |function: HashFunction, text: &[u8]| Fingerprint { function, hash: function.hash(text) };
        let right = Fingerprint::of(b"abc");
        let wrong = Fingerprint::of(b"abd");
        assert!(Fingerprint::accept(&[wrong.clone(), right.clone()], b"abc"));
        assert!(!Fingerprint::accept(std::slice::from_ref(&wrong), b"abc"));
        assert!(!Fingerprint::accept(&[], b"abc"));
        assert!(!Fingerprint::accept(&[right.clone(), of(HashFunction::Sha512, b"abd")], b"abc"));
        assert!(Fingerprint::accept(&[wrong, of(HashFunction::Sha384, b"abc")], b"abc"));
    }
}
