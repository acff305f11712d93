//! Leases, in memory: one process has the embedded store, so a lease need not outlive it.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use restante::time::Timestamp;

use super::pool::lock;

/// How many leases are held before those that have ended are dropped to make room.
const ROOM: usize = 1 << 16;

/// Who holds what, and until when.
#[derive(Default)]
pub(super) struct Claims(Mutex<HashMap<Bytes, (Bytes, Timestamp)>>);

impl Claims {
    /// Leases `key` unless another holds it.
    pub(super) fn claim(&self, key: Bytes, holder: Bytes, now: Timestamp, until: Timestamp) -> bool {
        let mut claims = lock(&self.0);
        if claims.get(&key).is_some_and(|(other, end)| *other != holder && *end > now) {
            return false;
        }
        if claims.len() >= ROOM {
            claims.retain(|_, (_, end)| *end > now);
        }
        claims.insert(key, (holder, until));
        true
    }

    pub(super) fn release(&self, key: &Bytes, holder: &Bytes) {
        let mut claims = lock(&self.0);
        if claims.get(key).is_some_and(|(held_by, _)| held_by == holder) {
            claims.remove(key);
        }
    }

    /// Drops the leases that have ended.
    pub(super) fn expire(&self, now: Timestamp) {
        lock(&self.0).retain(|_, (_, end)| *end > now);
    }
}
