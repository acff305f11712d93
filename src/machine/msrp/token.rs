//! Transaction identifiers of one session: a random part, and a number that makes each differ.

use crate::entropy::Entropy;

/// Mints transaction identifiers and knows them again.
#[derive(Debug)]
pub(super) struct Tokens {
    prefix: [u8; PREFIX],
    next: u64,
}

/// RFC 4975 7.1: the transaction identifier MUST contain at least 64 bits of randomness; 16 characters have 80, and
/// up to 13 digits follow, which keeps within the 32 of the grammar.
const PREFIX: usize = 16;

/// How long an identifier may become.
pub(super) const LONGEST: usize = PREFIX + 13;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

impl Tokens {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        let token = TokenSource(entropy).token(PREFIX);
        let mut prefix = [b'0'; PREFIX];
        prefix.iter_mut().zip(token.bytes()).for_each(|(to, from)| *to = from);
        Self { prefix, next: 0 }
    }

    /// The number of a new transaction.
    pub(super) const fn mint(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Appends the identifier of a transaction.
    pub(super) fn write(&self, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prefix);
        let at = out.len();
        let mut rest = number;
        loop {
            out.push(DIGITS.get((rest % 36) as usize).copied().unwrap_or(b'0'));
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        if let Some(digits) = out.get_mut(at..) {
            digits.reverse();
        }
    }

    /// The identifier of a new transaction.
    pub(super) fn mint_identifier(&mut self) -> Vec<u8> {
        let number = self.mint();
        let mut identifier = Vec::with_capacity(LONGEST);
        self.write(number, &mut identifier);
        identifier
    }

    /// The number of a transaction of ours; none for identifiers of others.
    pub(super) fn number(&self, identifier: &[u8]) -> Option<u64> {
        let digits = identifier.strip_prefix(&self.prefix).filter(|d| !d.is_empty())?;
        digits.iter().try_fold(0_u64, |n, b| {
            let digit = DIGITS.iter().position(|d| d == b)? as u64;
            n.checked_mul(36)?.checked_add(digit)
        })
    }
}

/// Gives a borrowed source the methods that want a sized one.
struct TokenSource<'a>(&'a mut dyn Entropy);

impl Entropy for TokenSource<'_> {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Sequence;

    // proves RFC 4975 7.1: identifiers do not collide
    #[test]
    fn identifiers_are_known_again() {
        let (mut ours, theirs) = (Tokens::new(&mut Sequence::new(1)), Tokens::new(&mut Sequence::new(2)));
        for number in [0, 1, 35, 36, 12_345_678, u64::MAX] {
            let mut identifier = Vec::new();
            ours.write(number, &mut identifier);
            assert!(identifier.len() <= LONGEST && LONGEST <= 32);
            assert_eq!(ours.number(&identifier), Some(number));
            assert_eq!(theirs.number(&identifier), None);
        }
        assert_ne!(ours.mint_identifier(), ours.mint_identifier());
        assert_eq!(ours.number(b""), None);
        assert_eq!(ours.number(&ours.prefix), None);
        assert_eq!(ours.number(&[&ours.prefix[..], b"zzzzzzzzzzzzzzzzz"].concat()), None);
    }
}
