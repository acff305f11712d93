//! On which core a task runs: the runtimes of the node's arbiters, taken in turn.

use actix::ArbiterHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The runtimes, one a core, that the links' tasks are spread over. Clones share the turn.
#[derive(Clone, Debug)]
pub struct Cores(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    first: Handle,
    others: Box<[Handle]>,
    turn: AtomicUsize,
}

/// An arbiter ended before it told its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an arbiter has ended")]
pub struct ArbiterGone;

impl Cores {
    /// The runtimes given, at least one.
    #[must_use]
    pub fn new(first: Handle, others: Vec<Handle>) -> Self {
        Self(Arc::new(Inner { first, others: others.into_boxed_slice(), turn: AtomicUsize::new(0) }))
    }

    /// Only the runtime this is called on. Panics outside one, as [`Handle::current`] does.
    #[must_use]
    pub fn here() -> Self {
        Self::new(Handle::current(), Vec::new())
    }

    /// The runtimes of these arbiters, in their order; the present one when there are none.
    ///
    /// # Errors
    /// One of the arbiters has ended.
    pub async fn of_arbiters(arbiters: &[ArbiterHandle]) -> Result<Self, ArbiterGone> {
        let mut handles = Vec::with_capacity(arbiters.len());
        for arbiter in arbiters {
            let (tell, told) = oneshot::channel();
            arbiter.spawn(async move {
                let _ = tell.send(Handle::current());
            });
            handles.push(told.await.map_err(|_| ArbiterGone)?);
        }
        let mut handles = handles.into_iter();
        Ok(match handles.next() {
            Some(first) => Self::new(first, handles.collect()),
            None => Self::here(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.others.len().saturating_add(1)
    }

    /// The next one in turn.
    #[must_use]
    pub fn next(&self) -> &Handle {
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed) % self.count();
        self.at(turn).unwrap_or(&self.0.first)
    }

    /// The number of the runtime this is called on, if it is one of them.
    #[must_use]
    pub fn current(&self) -> Option<u16> {
        let id = Handle::try_current().ok()?.id();
        let all = std::iter::once(&self.0.first).chain(&self.0.others);
        u16::try_from(all.into_iter().position(|handle| handle.id() == id)?).ok()
    }

    /// The runtime of a number.
    #[must_use]
    pub fn get(&self, number: u16) -> Option<&Handle> {
        self.at(usize::from(number))
    }

    fn at(&self, index: usize) -> Option<&Handle> {
        index.checked_sub(1).map_or(Some(&self.0.first), |other| self.0.others.get(other))
    }

    /// The runtime this is called on, else the next one in turn.
    #[must_use]
    pub fn here_or_next(&self) -> Handle {
        Handle::try_current().unwrap_or_else(|_| self.next().clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn takes_the_arbiters_in_turn() {
        actix::System::new().block_on(async {
            let arbiters = [actix::Arbiter::new(), actix::Arbiter::new()];
            let handles: Vec<_> = arbiters.iter().map(actix::Arbiter::handle).collect();
            let cores = Cores::of_arbiters(&handles).await.unwrap();
            assert_eq!(cores.count(), 2);
            let mut ids = Vec::new();
            for _ in 0..4 {
                ids.push(cores.next().spawn(async { std::thread::current().id() }).await.unwrap());
            }
            assert_eq!(ids[0], ids[2]);
            assert_eq!(ids[1], ids[3]);
            assert_ne!(ids[0], ids[1]);
            assert_eq!(cores.current(), None, "this one is none of them");
            for number in [0, 1] {
                let named = cores.clone();
                let here = cores.get(number).unwrap().spawn(async move { named.current() }).await.unwrap();
                assert_eq!(here, Some(number));
            }
            assert!(cores.get(2).is_none());
        });
    }
}
