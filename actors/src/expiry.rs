//! The time by which items end, for all who are asked for them: what has ended is neither listed nor opened, whether it
//! was removed yet or not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use restante::focus::expiry_clock::{ExpiryClock, Jump};
use restante::time::Timestamp;

use crate::clock;

/// The node's [`ExpiryClock`].
#[derive(Debug, Default)]
pub struct Expiry(Mutex<ExpiryClock>);

impl Expiry {
    /// By what items are removed now, and what is to be told of the wall clock. For one reader alone, who reads often.
    pub fn read(&self) -> (Timestamp, Option<Jump>) {
        self.clock().read(clock::wall(), clock::now())
    }

    /// By what items have ended now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock().peek(clock::wall(), clock::now())
    }

    fn clock(&self) -> MutexGuard<'_, ExpiryClock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
