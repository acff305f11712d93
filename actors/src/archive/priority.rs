//! Threads that give way to those that somebody waits for.

use std::io;

/// By how much threads that give way do ("nice"): a tenth of the share of a thread that does not.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Does `work` on a thread that gives way to others, and waits for it. Threads that it starts give way as well, as
/// long as they run; where the system cannot do that for threads alone (Linux can), they are like any other.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn giving_way<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("archive-giving-way".into());
        let thread = thread.spawn_scoped(scope, || {
            give_way();
            work()
        })?;
        thread.join().or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(target_os = "linux")]
fn give_way() {
    // A system that forbids it costs some latency, nothing else.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "the store's engine runs at the usual priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[test]
    fn threads_started_by_what_gives_way_give_way_and_others_do_not() {
        let before = niceness();
        let (itself, started) = giving_way(|| {
            let started = std::thread::spawn(niceness);
            (niceness(), started.join().unwrap())
        })
        .unwrap();
        let lower = (before + NICE).min(19);
        assert_eq!((itself, started, niceness()), (lower, lower, before));
    }
}
