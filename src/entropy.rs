//! Randomness as a parameter: whoever mints a tag, a branch or a session-id draws from [`Entropy`].

/// A source of unpredictable bits. In the node it is seeded by the operating system; in tests it
/// is a counter.
pub trait Entropy {
    /// Draws 64 bits.
    fn next_u64(&mut self) -> u64;

    /// Draws a token of `len` characters out of `a-z2-7`, five random bits in each: fit for SIP
    /// tags and branches (RFC 3261 19.3: at least 32 bits), MSRP transaction ids (RFC 4975 7.1:
    /// at least 64 bits) and MSRP session-ids (RFC 4975 14.1: at least 80 bits).
    fn token(&mut self, len: usize) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut out = String::with_capacity(len);
        let mut bits = 0;
        let mut pool = 0_u64;
        for _ in 0..len {
            if bits < 5 {
                pool = self.next_u64();
                bits = 64;
            }
            out.push(char::from(ALPHABET[(pool & 31) as usize]));
            pool >>= 5;
            bits -= 5;
        }
        out
    }
}

/// A predictable sequence for tests and simulations (SplitMix64): the same seed, the same bits.
#[derive(Clone, Debug)]
pub struct Sequence(u64);

impl Sequence {
    /// Starts the sequence that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Entropy for Sequence {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_length_and_the_alphabet_asked_for() {
        let mut entropy = Sequence::new(7);
        let token = entropy.token(40);
        assert_eq!(token.len(), 40);
        assert!(token.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)));
        assert_ne!(token, entropy.token(40));
    }
}
