//! Late answers: futures that wait behind a gate until its ticks have passed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::store::{Answer, StoreError};

#[derive(Debug, Default)]
struct State {
    ticks: u32,
    waker: Option<Waker>,
}

/// Keeps one answer back.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Mutex<State>>);

impl Gate {
    /// A gate that opens after `ticks`.
    pub(super) fn new(ticks: u32) -> Self {
        Self(Arc::new(Mutex::new(State { ticks, waker: None })))
    }

    /// Lets `ticks` pass; whether the gate is open now.
    pub(super) fn pass(&self, ticks: u32) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ticks = state.ticks.saturating_sub(ticks);
        let open = state.ticks == 0;
        let waker = if open { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        open
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ticks == 0 {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// An answer behind a gate.
pub(super) struct Late<T> {
    pub(super) gate: Gate,
    pub(super) answer: Answer<T>,
}

impl<T> Future for Late<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.gate.poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => self.answer.as_mut().poll(context),
        }
    }
}
