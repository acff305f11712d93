//! Standing: whether the store takes anything, and why not.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use restante::store::StoreError;

/// Of a store that is open, closed or broken. A broken one takes nothing more until it is opened again.
#[derive(Debug, Default)]
pub(super) struct Standing {
    closed: AtomicBool,
    broken: OnceLock<Broken>,
}

/// By what a store is broken.
#[derive(Debug)]
pub(super) enum Broken {
    /// A batch could not be written or synced.
    Write,
    /// The engine has stopped.
    Engine,
    /// It was given up, and why.
    GivenUp(String),
}

impl Standing {
    /// Takes nothing more; `false` if it is closed already.
    pub(super) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Takes nothing more until the store is opened again; `false` if it is broken already.
    pub(super) fn fail(&self, broken: Broken) -> bool {
        self.broken.set(broken).is_ok()
    }

    /// As [`Self::fail`], for this `cause`.
    pub(super) fn give_up(&self, cause: &str) {
        if self.fail(Broken::GivenUp(cause.to_owned())) {
            tracing::error!(
                cause,
                "the store is broken: nothing more is taken until the node is started again"
            );
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.get().is_some()
    }

    /// Why nothing more is taken, if so.
    pub(super) fn refusal(&self) -> Result<(), StoreError> {
        if self.is_closed() { Err(closed()) } else { self.breakage() }
    }

    /// Why nothing more is written, if so: what was queued before the store was closed is.
    pub(super) fn breakage(&self) -> Result<(), StoreError> {
        self.broken.get().map_or(Ok(()), |broken| Err(broken.error()))
    }
}

impl Broken {
    fn error(&self) -> StoreError {
        const NOTHING_MORE: &str = "it takes nothing more until the node is started again";
        StoreError::Unavailable(match self {
            Self::Write => format!("a write failed; {NOTHING_MORE}"),
            Self::Engine => format!(
                "its engine has stopped, for it could not read or write one of its tables; {NOTHING_MORE}"
            ),
            Self::GivenUp(cause) => format!("{cause}; {NOTHING_MORE}"),
        })
    }
}

/// What a closed store answers.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}
