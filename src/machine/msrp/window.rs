//! What is under way, by numbers that rise.

use std::collections::VecDeque;

/// Values under keys that rise: what is begun last has the highest key, and what ends is mostly among the first.
///
/// A hash table would keep room for more than there are; thousands of sessions wait with one or none of each. To
/// find and to take a value costs the logarithm of how many there are, and nothing for the first, in whatever order a
/// peer lets them end.
#[derive(Debug)]
pub struct Window<K, V> {
    /// In order of their keys; without a value where it was taken from between others. The first has one.
    entries: VecDeque<(K, Option<V>)>,
    /// How many have none.
    taken: usize,
}

/// For how many there still is room when none is left.
const KEPT: usize = 4;

/// So many may be without a value before the others move together, and as many as have one.
const TAKEN: usize = 64;

impl<K, V> Default for Window<K, V> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), taken: 0 }
    }
}

impl<K: Copy + Ord, V> Window<K, V> {
    /// Adds what is under way from now on; replaces what has the same key.
    pub fn insert(&mut self, key: K, value: V) {
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(1);
        }
        if self.entries.back().is_none_or(|(last, _)| *last < key) {
            return self.entries.push_back((key, Some(value)));
        }
        match self.place(key) {
            Ok(at) => {
                if let Some((_, place)) = self.entries.get_mut(at)
                    && place.replace(value).is_none()
                {
                    self.taken = self.taken.saturating_sub(1);
                }
            }
            Err(at) => self.entries.insert(at, (key, Some(value))),
        }
    }

    /// What has this key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&V> {
        let at = self.place(key).ok()?;
        self.entries.get(at)?.1.as_ref()
    }

    /// What has this key.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.entries.get_mut(at)?.1.as_mut()
    }

    /// Takes what has this key.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let at = self.place(key).ok()?;
        let value = self.entries.get_mut(at)?.1.take()?;
        self.taken += 1;
        while self.entries.front().is_some_and(|(_, value)| value.is_none()) {
            self.entries.pop_front();
            self.taken = self.taken.saturating_sub(1);
        }
        if self.taken > self.len() + TAKEN {
            self.entries.retain(|(_, value)| value.is_some());
            self.taken = 0;
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT {
            self.entries = VecDeque::new();
        }
        Some(value)
    }

    /// Takes all, in order.
    pub fn take(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let all = std::mem::take(self).entries.into_iter();
        all.filter_map(|(key, value)| Some((key, value?)))
    }

    /// All, in order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (K, &V)> {
        self.entries.iter().filter_map(|(key, value)| Some((*key, value.as_ref()?)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len().saturating_sub(self.taken)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where this key is, or would be. Most ask for the first.
    fn place(&self, key: K) -> Result<usize, usize> {
        match self.entries.front() {
            Some((first, _)) if *first == key => Ok(0),
            _ => self.entries.binary_search_by(|(at, _)| at.cmp(&key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn one_alone_has_no_room_for_others_and_none_keeps_little() {
        let mut window = Window::default();
        window.insert(7, [0_u64; 4]);
        assert_eq!(window.entries.capacity(), 1);
        (8..100).for_each(|key| window.insert(key, [0; 4]));
        (7..100).for_each(|key| assert!(window.remove(key).is_some()));
        assert!(window.is_empty() && window.entries.capacity() <= KEPT);
    }

    #[test]
    fn one_that_stays_holds_no_room_for_those_that_went() {
        let mut window = Window::default();
        window.insert(0, [0_u64; 4]);
        for key in 1..10_000 {
            window.insert(key, [0; 4]);
            assert!(window.remove(key).is_some() && window.entries.len() <= TAKEN + 2);
        }
        assert_eq!(window.len(), 1);
    }

    proptest! {
        #[test]
        fn it_answers_as_a_sorted_map_does(steps in prop::collection::vec((0_u8..200, any::<bool>()), 0..600)) {
            let (mut window, mut map) = (Window::default(), BTreeMap::new());
            for (value, (key, enters)) in steps.into_iter().enumerate() {
                if enters {
                    window.insert(key, value);
                    map.insert(key, value);
                } else {
                    prop_assert_eq!(window.remove(key), map.remove(&key));
                }
                prop_assert_eq!(window.get(key), map.get(&key));
                prop_assert_eq!(window.get_mut(key), map.get_mut(&key));
                prop_assert_eq!((window.len(), window.is_empty()), (map.len(), map.is_empty()));
            }
            prop_assert!(window.iter().eq(map.iter().map(|(key, value)| (*key, value))));
            prop_assert!(window.take().eq(map) && window.is_empty());
        }
    }
}
