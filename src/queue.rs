//! [`Queue`]: first in, first out, and nothing held while it is empty.

use std::collections::VecDeque;

/// A queue that takes one pointer while it is empty, which most of a session that waits are.
#[derive(Debug)]
#[allow(clippy::box_collection, reason = "a queue of its own takes four times the room of a pointer")]
pub(crate) struct Queue<T>(Option<Box<VecDeque<T>>>);

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn push_back(&mut self, item: T) {
        self.0.get_or_insert_default().push_back(item);
    }

    pub(crate) fn push_front(&mut self, item: T) {
        self.0.get_or_insert_default().push_front(item);
    }

    /// The first; its room is given back when it is found empty, not with the last that is taken: others mostly follow.
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let next = self.0.as_mut()?.pop_front();
        if next.is_none() {
            self.0 = None;
        }
        next
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.0.as_ref()?.front()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flat_map(|queue| queue.iter_mut())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
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
