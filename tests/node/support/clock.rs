//! Deadlines: every wait of a test is for a condition, and ends in a failure that says what was waited for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a test waits for what must come. Generous: a slow machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A moment after which waiting ends.
#[derive(Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(span: Duration) -> Self {
        Self(Instant::now() + span)
    }

    /// What is left; `None` once it has passed.
    pub fn left(&self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

/// A token that no other call of this or an earlier run gave.
pub fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    static START: std::sync::OnceLock<u128> = std::sync::OnceLock::new();
    let start = START
        .get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() & 0xff_ffff_ffff);
    format!("{prefix}{start:x}{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Bytes that do not repeat soon and hold every byte value: content that shows any change.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ length as u64;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}
