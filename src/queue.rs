//! [`Queue`]: first in, first out, and nothing held while it is empty.

use std::collections::VecDeque;

/// A queue that takes one pointer while it is empty, which most of a session that waits are.
#[derive(Debug)]
#[allow(clippy::box_collection, reason = "a queue of its own takes four times the room of a pointer")]
pub struct Queue<T>(Option<Box<VecDeque<T>>>);

impl<T> Queue<T> {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Puts an item behind all others.
    pub fn push_back(&mut self, item: T) {
        self.0.get_or_insert_default().push_back(item);
    }

    /// Puts an item before all others.
    pub fn push_front(&mut self, item: T) {
        self.0.get_or_insert_default().push_front(item);
    }

    /// The first; its room is given back when it is found empty, not with the last that is taken: others mostly follow.
    pub fn pop_front(&mut self) -> Option<T> {
        let next = self.0.as_mut()?.pop_front();
        if next.is_none() {
            self.0 = None;
        }
        next
    }

    /// The first, if there is one.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.0.as_ref()?.front()
    }

    /// All, the first first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flat_map(|queue| queue.iter_mut())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FromIterator<T> for Queue<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let items: VecDeque<T> = items.into_iter().collect();
        Self((!items.is_empty()).then(|| Box::new(items)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_order_and_holds_nothing_when_it_was_found_empty() {
        let mut queue: Queue<u8> = (2..4).collect();
        queue.push_front(1);
        queue.push_back(4);
        queue.iter_mut().for_each(|item| *item *= 2);
        assert_eq!((queue.front(), queue.len()), (Some(&2), 4));
        assert_eq!(std::iter::from_fn(|| queue.pop_front()).collect::<Vec<_>>(), [2, 4, 6, 8]);
        assert!(queue.is_empty() && queue.0.is_none());
        queue.push_back(1);
        queue.clear();
        assert_eq!((queue.pop_front(), size_of::<Queue<[u8; 100]>>()), (None, size_of::<usize>()));
        assert!(std::iter::empty::<u8>().collect::<Queue<u8>>().0.is_none());
    }
}
