//! Tokens that are new within a simulation, and the same whenever it is repeated.

use std::cell::Cell;

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// A simulation begins.
pub(crate) fn begin() {
    NEXT.set(0);
}

/// A token that no other call gave since.
pub(crate) fn fresh(prefix: &str) -> String {
    NEXT.set(NEXT.get() + 1);
    format!("{prefix}{:05x}", NEXT.get())
}
