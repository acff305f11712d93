//! What a client has acknowledged of an item.

use std::collections::BTreeSet;

/// The messages of an item that were acknowledged, by their place in it. What was acknowledged once stays
/// so, whatever connection it went over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// All before this one.
    before: u32,
    /// Single ones behind it.
    beyond: BTreeSet<u32>,
}

impl Acknowledged {
    /// The first message that was not acknowledged.
    #[must_use]
    pub const fn first_missing(&self) -> u32 {
        self.before
    }

    /// Whether this message was acknowledged.
    #[must_use]
    pub fn contains(&self, message: u32) -> bool {
        message < self.before || self.beyond.contains(&message)
    }

    /// Notes that this message was acknowledged.
    pub fn add(&mut self, message: u32) {
        if message > self.before {
            self.beyond.insert(message);
        } else if message == self.before {
            self.before += 1;
            while self.beyond.remove(&self.before) {
                self.before += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_matter_and_nothing_counts_twice() {
        let mut acknowledged = Acknowledged::default();
        for message in [2, 0, 2, 0, 4] {
            acknowledged.add(message);
        }
        assert_eq!(acknowledged.first_missing(), 1);
        let known: Vec<u32> = (0..6).filter(|message| acknowledged.contains(*message)).collect();
        assert_eq!(known, [0, 2, 4]);
        acknowledged.add(1);
        assert_eq!(acknowledged.first_missing(), 3);
    }
}
