//! Where the first record of a kind may be. The engine walks over every record that has gone until it has compacted it:
//! who looks again and again for the first of those that are left begins behind what he has found to be gone.

use super::keys::{self, Key};

/// The first key under which a record of a kind may be. After a start nobody knows: the first look finds it.
#[derive(Debug)]
pub(super) struct Floor {
    first: Key,
    /// The first key that the batch under way writes: no look at the disk finds it yet.
    writes: Key,
    behind: Key,
}

impl Floor {
    pub(super) fn of(kind: [u8; 1]) -> Self {
        let behind = keys::behind(kind);
        Self { first: kind.into(), writes: behind.clone(), behind }
    }

    /// A batch begins; what was written before is on the disk.
    pub(super) fn begin(&mut self) {
        self.writes = self.behind.clone();
    }

    /// Where to begin to look.
    pub(super) const fn first(&self) -> &Key {
        &self.first
    }

    /// A record is written; it does no harm if that is taken back.
    pub(super) fn written(&mut self, key: &Key) {
        for first in [&mut self.first, &mut self.writes] {
            if key < first {
                *first = key.clone();
            }
        }
    }

    /// On the disk there is none before `key`, or will be none when the batch under way is written: if that is given up,
    /// all this is forgotten.
    pub(super) fn rise(&mut self, key: Key) {
        self.first = key.min(self.writes.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_behind_what_is_gone_but_not_above_what_is_written() {
        let key = |number: u8| Key::from([b'x', number]);
        let mut floor = Floor::of(*b"x");
        assert_eq!(*floor.first(), Key::from(*b"x"));
        floor.rise(key(7));
        assert_eq!(*floor.first(), key(7));
        floor.written(&key(9));
        assert_eq!(*floor.first(), key(7));
        floor.written(&key(5));
        assert_eq!(*floor.first(), key(5));
        floor.rise(key(8));
        assert_eq!(*floor.first(), key(5), "it is not on the disk yet");
        floor.begin();
        floor.rise(key(8));
        assert_eq!(*floor.first(), key(8));
    }
}
