//! Bytes as a source of decisions, and as the seed of what is drawn beside them.

use bytes::Bytes;
use restante::entropy::Sequence;

/// Decisions read from bytes; when they are used up, every decision is the first.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// Decisions out of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether there are none left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Up to 255 bytes as they come.
    pub fn some(&mut self) -> Bytes {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Bytes::copy_from_slice(taken)
    }
}

/// A sequence that belongs to these bytes (FNV-1a).
pub fn sequence(data: &[u8]) -> Sequence {
    let hash = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Sequence::new(hash)
}

/// Cuts `data` into pieces of 1 to 40 bytes, or of many, by its own hash.
pub fn cut(data: &[u8]) -> Vec<&[u8]> {
    use restante::entropy::Entropy;
    let mut sequence = sequence(data);
    let widest = if sequence.next_u64().is_multiple_of(2) { 40 } else { 2000 };
    let mut pieces = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let length = 1 + (sequence.next_u64() % widest) as usize;
        let (piece, tail) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}
