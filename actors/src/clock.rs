//! The node's clocks: monotonic for timers, civil for what is written down.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use restante::time::{Instant, Timestamp};

/// The present on the monotonic clock, counted from the first call in this process.
#[must_use]
pub fn now() -> Instant {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    Instant::from_origin(ORIGIN.get_or_init(std::time::Instant::now).elapsed())
}

/// The present in civil time. A system clock before 1970 counts as 1970.
#[must_use]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
