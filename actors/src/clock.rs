//! The node's clocks: monotonic for timers, civil for what is written down.
//!
//! In the library's tests a thread may run on a clock of its own, see `simulated`.

#[cfg(not(test))]
pub use system::{now, wall};

#[cfg(test)]
pub use simulated::{now, wall};

#[cfg_attr(test, allow(dead_code))]
mod system {
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
}

/// The clocks of a simulation: tokio's paused time, and a civil time that can be set as an
/// administrator would. On threads that do not simulate they are the system's.
#[cfg(test)]
pub mod simulated {
    use std::cell::Cell;

    use restante::time::{Instant, Timestamp};

    use super::system;

    thread_local! {
        /// When the simulation began, and what civil time it was (or would have been) then.
        static BEGUN: Cell<Option<(tokio::time::Instant, u64)>> = const { Cell::new(None) };
    }

    /// Begins a simulation on this thread at the civil time `wall`, in milliseconds.
    pub fn begin(wall: u64) {
        BEGUN.set(Some((tokio::time::Instant::now(), wall)));
    }

    /// Ends it.
    pub fn end() {
        BEGUN.set(None);
    }

    /// Sets the civil clock `milliseconds` forward, or back where negative.
    pub fn jump(milliseconds: i64) {
        BEGUN.set(BEGUN.get().map(|(at, wall)| (at, wall.saturating_add_signed(milliseconds))));
    }

    /// As the node's own.
    #[must_use]
    pub fn now() -> Instant {
        match BEGUN.get() {
            Some((at, _)) => Instant::from_origin(at.elapsed()),
            None => system::now(),
        }
    }

    /// As the node's own.
    #[must_use]
    pub fn wall() -> Timestamp {
        match BEGUN.get() {
            Some((at, wall)) => Timestamp(wall).after(at.elapsed()),
            None => system::wall(),
        }
    }
}
