//! What waits to be written: small things gathered in one buffer, large bodies passed uncopied.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A body of fewer bytes is copied rather than passed as a buffer of its own.
const COPIED_BELOW: usize = 1024;

/// An ordered queue of bytes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    ready: VecDeque<Bytes>,
    gathered: BytesMut,
}

impl Outbox {
    /// The buffer for small things.
    pub(super) const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.gathered
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPIED_BELOW {
            self.gathered.extend_from_slice(&bytes);
        } else {
            self.seal();
            self.ready.push_back(bytes);
        }
    }

    /// Takes the next bytes to write.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            self.seal();
        }
        let next = self.ready.pop_front();
        if next.is_none() {
            // A session that waits holds no buffers.
            self.clear();
        }
        next
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn seal(&mut self) {
        if !self.gathered.is_empty() {
            self.ready.push_back(self.gathered.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bytes_are_gathered_and_large_ones_passed() {
        let mut outbox = Outbox::default();
        outbox.push("a".into());
        outbox.buffer().extend_from_slice(b"b");
        let large = Bytes::from(vec![b'c'; COPIED_BELOW]);
        outbox.push(large.clone());
        outbox.push("d".into());
        assert_eq!(outbox.pop().as_deref(), Some(&b"ab"[..]));
        assert_eq!(outbox.pop().map(|b| b.as_ptr()), Some(large.as_ptr()));
        assert_eq!(outbox.pop().as_deref(), Some(&b"d"[..]));
        assert_eq!(outbox.pop(), None);
    }
}
