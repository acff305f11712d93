//! A progress bar on stderr, for somebody who waits. In a pipe it shows nothing.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A transfer of less is over before anybody looks.
const WORTH_SHOWING: u64 = 256 * 1024;

/// The bar, or none.
pub(super) struct Progress(ProgressBar);

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
        Self(bar)
    }

    /// A bar whose total becomes known with time.
    pub(super) fn growing(quiet: bool) -> Self {
        Self::of_bytes(if quiet { 0 } else { WORTH_SHOWING }, quiet)
    }

    /// So many bytes are there.
    pub(super) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// So many bytes of so many are there, in so many words.
    pub(super) fn tell(&self, bytes: u64, total: u64, words: String) {
        self.0.set_length(total);
        self.0.set_position(bytes);
        self.0.set_message(words);
    }

    /// Writes something else in between.
    pub(super) fn suspended<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
