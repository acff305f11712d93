//! The node's randomness: the thread's generator, seeded by the operating system.
//!
//! In the library's tests a thread may be given a seed instead, see `seed`.

use restante::entropy::Entropy;

/// Draws from the thread's cryptographic generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chance;

impl Entropy for Chance {
    #[cfg(not(test))]
    fn next_u64(&mut self) -> u64 {
        rand::random()
    }

    #[cfg(test)]
    fn next_u64(&mut self) -> u64 {
        SEEDED.with_borrow_mut(|seeded| match seeded {
            Some(sequence) => sequence.next_u64(),
            None => rand::random(),
        })
    }
}

#[cfg(test)]
thread_local! {
    static SEEDED: std::cell::RefCell<Option<restante::entropy::Sequence>> = const { std::cell::RefCell::new(None) };
}

/// Makes this thread's chance predictable, or with `None` what it was.
#[cfg(test)]
pub fn seed(seed: Option<u64>) {
    SEEDED.set(seed.map(restante::entropy::Sequence::new));
}
