//! A progress bar on stderr, for somebody who waits. In a pipe it shows nothing.

use std::cell::Cell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A transfer of less is over before anybody looks.
const WORTH_SHOWING: u64 = 256 * 1024;

/// The bar, or none.
pub(super) struct Progress {
    bar: ProgressBar,
    /// Whether it is to be shown once there is enough to wait for.
    pending: Cell<bool>,
}

impl Progress {
    /// A bar over `total` bytes; none where it is short, or nobody looks.
    pub(super) fn of_bytes(total: u64, quiet: bool) -> Self {
        let bar = if quiet || total < WORTH_SHOWING {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        };
        let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, pending: Cell::new(false) }
    }

    /// A bar whose total becomes known with time; shown as soon as that is worth it.
    pub(super) fn growing(quiet: bool) -> Self {
        Self { pending: Cell::new(!quiet), ..Self::of_bytes(0, quiet) }
    }

    /// So many bytes are there.
    pub(super) fn at(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// So many bytes of so many are there, in so many words.
    pub(super) fn tell(&self, bytes: u64, total: u64, words: String) {
        if total >= WORTH_SHOWING && self.pending.take() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(bytes);
        self.bar.set_message(words);
    }

    /// Writes something else in between.
    pub(super) fn suspended<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
