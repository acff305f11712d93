//! The order of the messages of a session: that in which they came to be whole, whatever takes longer to be written.

use tokio::sync::oneshot;

/// The order of a session's messages.
#[derive(Default)]
pub(super) struct Line {
    last: Option<oneshot::Receiver<()>>,
}

/// A message's place in the line. Who is behind it comes when it is dropped: it has to be [reached](Place::reached)
/// before.
pub(super) struct Place {
    before: Option<oneshot::Receiver<()>>,
    _behind: oneshot::Sender<()>,
}

impl Line {
    /// The place behind all others.
    pub(super) fn place(&mut self) -> Place {
        let (behind, next) = oneshot::channel();
        Place { before: self.last.replace(next), _behind: behind }
    }
}

impl Place {
    /// Waits until all that stood before it are gone.
    pub(super) async fn reached(&mut self) {
        if let Some(before) = self.before.take() {
            // Nothing is sent: the other end is dropped.
            let _ = before.await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn whoever_is_ready_first_waits_for_those_before_him() {
        let (mut line, order) = (Line::default(), Arc::new(Mutex::new(Vec::new())));
        let mut waiting = tokio::task::JoinSet::new();
        let places: Vec<_> = (0..100).map(|number| (number, line.place())).collect();
        for (number, mut place) in places.into_iter().rev() {
            let order = Arc::clone(&order);
            waiting.spawn(async move {
                place.reached().await;
                order.lock().unwrap().push(number);
            });
        }
        waiting.join_all().await;
        assert!(order.lock().unwrap().is_sorted());
    }
}
