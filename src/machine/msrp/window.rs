//! What is under way, by numbers that rise.

use std::collections::VecDeque;

/// Values under keys that rise: what is begun last has the highest key, and what ends is mostly among the first.
///
/// A hash table would keep room for more than there are; thousands of sessions wait with one or none of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window<K, V>(VecDeque<(K, V)>);

/// For how many there still is room when none is left.
const KEPT: usize = 4;

impl<K, V> Default for Window<K, V> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: Copy + Ord, V> Window<K, V> {
    /// Adds what is under way from now on; replaces what has the same key.
    pub fn insert(&mut self, key: K, value: V) {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(1);
        }
        if self.0.back().is_none_or(|(last, _)| *last < key) {
            return self.0.push_back((key, value));
        }
        match self.place(key) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// What has this key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&V> {
        let at = self.place(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// What has this key.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Takes what has this key.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let (_, value) = match self.place(key).ok()? {
            0 => self.0.pop_front(),
            at => self.0.remove(at),
        }?;
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = VecDeque::new();
        }
        Some(value)
    }

    /// Takes all, in order.
    pub fn take(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        std::mem::take(&mut self.0).into_iter()
    }

    /// All, in order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where this key is, or would be. Most ask for the first.
    fn place(&self, key: K) -> Result<usize, usize> {
        match self.0.front() {
            Some((first, _)) if *first == key => Ok(0),
            _ => self.0.binary_search_by(|(at, _)| at.cmp(&key)),
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
        assert_eq!(window.0.capacity(), 1);
        (8..100).for_each(|key| window.insert(key, [0; 4]));
        (7..100).for_each(|key| assert!(window.remove(key).is_some()));
        assert!(window.is_empty() && window.0.capacity() <= KEPT);
    }

    proptest! {
        #[test]
        fn it_answers_as_a_sorted_map_does(steps in prop::collection::vec((0_u8..40, any::<bool>()), 0..200)) {
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
