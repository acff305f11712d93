//! The stop signal: one [`Stopper`] for the node, one signal in every task that holds a socket.
//!
//! A task that holds a signal ends soon after [`Stopper::stop`]; [`Stopper::ended`] resolves when the last
//! one is gone.

use std::sync::Arc;
use tokio::sync::watch;

/// Tells every task of the links to end, and knows when they have. Clones are the same stopper.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<bool>>);

impl Stopper {
    /// A stopper that has not been used.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Tells all tasks to end: listeners close at once, connections after writing what is queued, within
    /// [`super::LINGER`].
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Waits until every task of the links has ended.
    pub async fn ended(&self) {
        self.0.closed().await;
    }

    /// A signal for one task.
    pub(crate) fn signal(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Default for Stopper {
    fn default() -> Self {
        Self::new()
    }
}

/// The signal as one task sees it; while it lives, the task counts as running.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Whether it was given.
    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the signal. A stopper that is gone counts as one that was used.
    pub(crate) async fn stopped(&mut self) {
        while !self.is_set() && self.0.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[tokio::test]
    async fn every_task_hears_the_signal_and_is_waited_for() {
        let stopper = Stopper::new();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let mut stop = stopper.signal();
                tokio::spawn(async move { stop.stopped().await })
            })
            .collect();
        stopper.stop();
        stopper.ended().await;
        for task in tasks {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_signal_taken_after_the_stop_fires_at_once() {
        let stopper = Stopper::new();
        stopper.stop();
        stopper.signal().stopped().await;
    }

    #[tokio::test]
    async fn a_stopper_that_is_gone_stops() {
        let stopper = Stopper::new();
        let mut stop = stopper.signal();
        drop(stopper);
        stop.stopped().await;
    }
}
