//! What a simulation draws: everything random comes from its seed.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use restante::entropy::{Entropy, Sequence};

/// A source of choices; clones share it.
#[derive(Clone)]
pub(crate) struct Dice(Rc<RefCell<Sequence>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(Sequence::new(seed))))
    }

    pub(crate) fn draw(&self) -> u64 {
        self.0.borrow_mut().next_u64()
    }

    /// A number from 0 up to, but not including, `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether something happens that happens in `percent` of a hundred cases.
    pub(crate) fn happens(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// A pause of at most `most` milliseconds.
    pub(crate) async fn pause(&self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.below(most + 1))).await;
    }

    /// An independent source.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.draw())
    }
}
