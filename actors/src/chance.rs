//! The node's randomness: the thread's generator, seeded by the operating system.

use restante::entropy::Entropy;

/// Draws from the thread's cryptographic generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chance;

impl Entropy for Chance {
    fn next_u64(&mut self) -> u64 {
        rand::random()
    }
}
