//! Contents written piece by piece, in memory.

use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;

use super::lock;
use super::state::State;
use crate::store::{Answer, Body, ContentId, MAX_INLINE, Staged, Staging, StoreError};

/// The largest content a test may write: offsets come from outside.
const MOST: usize = 1 << 30;

/// A content that is being written.
pub(super) struct MemoryStaging {
    state: Arc<Mutex<State>>,
    bytes: Mutex<Vec<u8>>,
}

impl MemoryStaging {
    pub(super) const fn new(state: Arc<Mutex<State>>) -> Self {
        Self { state, bytes: Mutex::new(Vec::new()) }
    }

    fn put(&self, offset: u64, part: &[u8]) -> Result<(), StoreError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(part.len());
        if end > MOST {
            return Err(StoreError::TooLarge { what: "content" });
        }
        let mut bytes = lock(&self.bytes);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        if let Some(place) = bytes.get_mut(start..end) {
            place.copy_from_slice(part);
        }
        Ok(())
    }
}

impl Staging for MemoryStaging {
    fn write(&self, offset: u64, bytes: Bytes) -> Answer<()> {
        Box::pin(std::future::ready(self.put(offset, &bytes)))
    }

    fn truncate(&self, size: u64) -> Answer<()> {
        lock(&self.bytes).truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Box::pin(std::future::ready(Ok(())))
    }

    fn finish(self: Box<Self>) -> Answer<Body> {
        let bytes = Bytes::from(std::mem::take(&mut *lock(&self.bytes)));
        let body = if bytes.len() <= MAX_INLINE { Body::Inline(bytes) } else { keep(&self.state, bytes) };
        Box::pin(std::future::ready(Ok(body)))
    }
}

fn keep(shared: &Arc<Mutex<State>>, bytes: Bytes) -> Body {
    let mut state = lock(shared);
    state.next_content += 1;
    let id = ContentId(state.next_content);
    let size = bytes.len() as u64;
    state.contents.insert(id, bytes);
    drop(state);
    let weak: Weak<Mutex<State>> = Arc::downgrade(shared);
    Body::Staged(Staged::new(id, size, move |id| discard(&weak, id)))
}

fn discard(weak: &Weak<Mutex<State>>, id: ContentId) {
    if let Some(state) = weak.upgrade() {
        // A refused deposit is dropped while its operation holds the lock: then the content stays
        // until the state itself goes, which a model can afford.
        if let Ok(mut state) = state.try_lock() {
            state.contents.remove(&id);
        }
    }
}
