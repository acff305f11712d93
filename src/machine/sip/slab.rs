//! A table of transactions whose ids are never reused: an index and a generation in 64 bits.

/// Values under small ids; a freed place gets another generation, so that an old id finds nothing.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    live: usize,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    /// Boxed: a place outlives its value.
    value: Option<Box<T>>,
}

const fn parts(id: u64) -> (usize, u32) {
    ((id & 0xffff_ffff) as usize, (id >> 32) as u32)
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), live: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.live
    }

    /// Puts `value` in a free place and returns its id; `None` where 2^32 places are taken.
    pub(super) fn insert(&mut self, value: T) -> Option<u64> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.places.len()).ok()?;
                self.places.push(Place { generation: 0, value: None });
                index
            }
        };
        let place = self.places.get_mut(index as usize)?;
        place.value = Some(Box::new(value));
        self.live += 1;
        Some(u64::from(place.generation) << 32 | u64::from(index))
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        let (index, generation) = parts(id);
        self.places.get(index).filter(|place| place.generation == generation)?.value.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let (index, generation) = parts(id);
        self.places.get_mut(index).filter(|place| place.generation == generation)?.value.as_deref_mut()
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let (index, generation) = parts(id);
        let place = self.places.get_mut(index).filter(|place| place.generation == generation)?;
        let value = place.value.take()?;
        self.live -= 1;
        // A place whose generations are used up is left empty for good rather than reused.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(index as u32);
        }
        Some(*value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_old_id_finds_nothing_in_a_reused_place() {
        let mut slab = Slab::new();
        let first = slab.insert("first").unwrap();
        assert_eq!(slab.remove(first), Some("first"));
        assert_eq!(slab.remove(first), None);
        let second = slab.insert("second").unwrap();
        assert_ne!(first, second);
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&"second")));
        assert_eq!(slab.get_mut(u64::MAX), None);
        assert_eq!(slab.len(), 1);
    }
}
