//! Contents that are written while they arrive.

use std::fmt;

use bytes::Bytes;

use super::{Answer, Body, ContentId};

/// A content that is being written. Dropped before [`Staging::finish`], it leaves nothing.
pub trait Staging: Send {
    /// Writes `bytes` at `offset`; parts may come in any order and overlap, a later one wins.
    ///
    /// However small the parts, they wait for the disk: whoever writes bounds the bytes that are not answered yet.
    ///
    /// # Errors
    /// [`super::StoreError::Busy`] when megabytes of this content are not written yet.
    fn write(&self, offset: u64, bytes: Bytes) -> Answer<()>;

    /// Cuts the content off behind `size` bytes, after every write asked for before; a shorter one stays as it is.
    ///
    /// # Errors
    /// As [`Staging::write`].
    fn truncate(&self, size: u64) -> Answer<()>;

    /// Ends the writing, after every write asked for before. The content is durable when this
    /// resolves, and may be used for one deposit; a small one comes back inline.
    ///
    /// # Errors
    /// That of the first write that failed.
    fn finish(self: Box<Self>) -> Answer<Body>;
}

/// A content that is written and belongs to no message yet. Dropped, it is discarded.
pub struct Staged {
    content: ContentId,
    size: u64,
    discard: Option<Box<dyn FnOnce(ContentId) + Send>>,
}

impl Staged {
    /// A content of `size` bytes that calls `discard` when it is dropped unused.
    pub fn new(content: ContentId, size: u64, discard: impl FnOnce(ContentId) + Send + 'static) -> Self {
        Self { content, size, discard: Some(Box::new(discard)) }
    }

    /// Which content it is.
    #[must_use]
    pub const fn content(&self) -> ContentId {
        self.content
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Keeps the content: a record names it now.
    pub fn keep(mut self) {
        self.discard = None;
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").field("content", &self.content).field("size", &self.size).finish()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(discard) = self.discard.take() {
            discard(self.content);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn an_unused_content_is_discarded_and_a_kept_one_is_not() {
        let discarded = Arc::new(AtomicU64::new(0));
        let staged = |id| {
            let discarded = discarded.clone();
            Staged::new(ContentId(id), 1, move |content| discarded.store(content.0, Ordering::Relaxed))
        };
        staged(3).keep();
        assert_eq!(discarded.load(Ordering::Relaxed), 0);
        drop(staged(4));
        assert_eq!(discarded.load(Ordering::Relaxed), 4);
    }
}
