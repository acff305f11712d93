//! Nonces that the server does not have to remember (RFC 7616 3.3, 5.5): time and chance, sealed with a key.
//!
//! A nonce is bound to the address it was handed to and to the algorithm it was offered with: credentials
//! made with it prove that their sender can receive at that address, and cannot be turned into those of a
//! weaker algorithm.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::algorithm::Algorithm;
use crate::entropy::Entropy;
use crate::time::Instant;

const TIME: usize = 6;
const ID: usize = 12;
const SEAL: usize = 12;
const NONCE: usize = ID + SEAL;
/// The characters of a nonce.
const TEXT: usize = NONCE / 3 * 4;

/// What tells one nonce from another: the milliseconds of its making, then chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonceId([u8; ID]);

impl NonceId {
    /// When the nonce was made.
    #[must_use]
    pub fn made(self) -> Instant {
        let time = self.0.iter().take(TIME).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        Instant::from_origin(Duration::from_millis(time))
    }
}

/// The key that seals nonces: drawn at boot, known to nobody else.
#[derive(Clone)]
pub struct NonceKey(Hmac<Sha256>);

impl NonceKey {
    /// Draws a key.
    #[must_use]
    pub fn draw(entropy: &mut dyn Entropy) -> Self {
        let mut key = [0; 64];
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&entropy.next_u64().to_le_bytes());
        }
        Self(Hmac::new(&key.into()))
    }

    /// Makes a nonce for `peer`, to be answered by `algorithm`.
    #[must_use]
    pub fn mint(
        &self,
        algorithm: Algorithm,
        peer: IpAddr,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> String {
        let mut nonce = [0; NONCE];
        let time = u64::try_from(now.since_origin().as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        for (to, from) in nonce.iter_mut().zip(time.iter().skip(8 - TIME)) {
            *to = *from;
        }
        for (to, from) in
            nonce.iter_mut().skip(TIME).zip(entropy.next_u64().to_le_bytes().iter().take(ID - TIME))
        {
            *to = *from;
        }
        let (id, seal) = nonce.split_at_mut(ID);
        seal.copy_from_slice(&self.seal(id, algorithm, peer));
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// The id of a nonce that this key made for `peer` and `algorithm`; `None` for any other text.
    #[must_use]
    pub fn open(&self, nonce: &[u8], algorithm: Algorithm, peer: IpAddr) -> Option<NonceId> {
        let mut bytes = [0; NONCE];
        if nonce.len() != TEXT || URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).ok()? != NONCE {
            return None;
        }
        let (id, seal) = bytes.split_at(ID);
        let genuine: bool = self.seal(id, algorithm, peer).ct_eq(seal).into();
        genuine.then(|| id.try_into().ok().map(NonceId)).flatten()
    }

    fn seal(&self, id: &[u8], algorithm: Algorithm, peer: IpAddr) -> [u8; SEAL] {
        let mut mac = self.0.clone();
        mac.update(id);
        mac.update(algorithm.name().as_bytes());
        match peer.to_canonical() {
            IpAddr::V4(peer) => mac.update(&peer.octets()),
            IpAddr::V6(peer) => mac.update(&peer.octets()),
        }
        let whole = mac.finalize().into_bytes();
        let mut seal = [0; SEAL];
        for (to, from) in seal.iter_mut().zip(whole) {
            *to = from;
        }
        seal
    }
}

/// A key is not for logs.
impl std::fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceKey")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::entropy::Sequence;

    const PEER: &str = "192.0.2.7";

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    // proves RFC 7616 5.5: a nonce holds its time, its client and a secret of the server
    #[test]
    fn a_nonce_opens_for_whom_it_was_made_alone() {
        let mut entropy = Sequence::new(1);
        let key = NonceKey::draw(&mut entropy);
        let now = Instant::from_origin(Duration::from_millis(123_456_789));
        let nonce = key.mint(Algorithm::Sha256, peer(PEER), now, &mut entropy);
        assert_eq!(nonce.len(), TEXT);
        let open = |key: &NonceKey, nonce: &str, algorithm, from: &str| {
            key.open(nonce.as_bytes(), algorithm, peer(from)).map(NonceId::made)
        };
        assert_eq!(open(&key, &nonce, Algorithm::Sha256, PEER), Some(now));
        assert_eq!(open(&key, &nonce, Algorithm::Sha256, "::ffff:192.0.2.7"), Some(now));
        assert_eq!(open(&key, &nonce, Algorithm::Sha256, "192.0.2.8"), None);
        assert_eq!(open(&key, &nonce, Algorithm::Md5, PEER), None);
        assert_eq!(open(&NonceKey::draw(&mut entropy), &nonce, Algorithm::Sha256, PEER), None);
        assert_ne!(nonce, key.mint(Algorithm::Sha256, peer(PEER), now, &mut entropy));
    }

    #[test]
    fn a_nonce_with_any_other_character_is_not_ours() {
        let mut entropy = Sequence::new(2);
        let key = NonceKey::draw(&mut entropy);
        let nonce = key.mint(Algorithm::Md5, peer(PEER), Instant::ZERO, &mut entropy);
        for at in 0..nonce.len() {
            let mut other = nonce.clone().into_bytes();
            *other.get_mut(at).unwrap() ^= 1;
            assert_eq!(key.open(&other, Algorithm::Md5, peer(PEER)), None, "{at}");
        }
        for bad in ["", "a", "\u{e9}", &nonce[1..], &format!("{nonce}A")] {
            assert_eq!(key.open(bad.as_bytes(), Algorithm::Md5, peer(PEER)), None, "{bad}");
        }
        assert_eq!(format!("{key:?}"), "NonceKey");
    }
}
