//! Linger: what a peer said over MSRP before his BYE comes by another connection, and may be read later. Its session is
//! kept until that connection is silent.

use std::time::Duration;

use restante::time::Instant;

/// How often in a row nothing may have come before it is taken that nothing does.
const QUIET: u32 = 4;

/// How often that is looked at. A node that had no processor for a while looks once.
const LOOK: Duration = Duration::from_millis(25);

/// The wait for a connection that is silent.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    due: Instant,
    quiet: u32,
}

impl Linger {
    /// Begins to wait.
    #[must_use]
    pub fn begin(now: Instant) -> Self {
        Self { due: now + LOOK, quiet: 0 }
    }

    /// When to call [`Self::look`].
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Something came.
    pub const fn heard(&mut self) {
        self.quiet = 0;
    }

    /// Looks, if it is time; whether the connection is silent. While it is not read at will, as `held` says, nothing
    /// can be told.
    pub fn look(&mut self, now: Instant, held: bool) -> bool {
        if self.due <= now {
            self.due = now + LOOK;
            self.quiet = if held { 0 } else { self.quiet + 1 };
        }
        self.quiet >= QUIET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_nothing_came_for_a_while() {
        let at = |millis| Instant::from_origin(Duration::from_millis(millis));
        let mut linger = Linger::begin(at(0));
        assert_eq!((linger.due(), linger.look(at(24), false)), (at(25), false));
        for millis in [25, 50, 75] {
            assert!(!linger.look(at(millis), false), "{millis}");
        }
        linger.heard();
        assert!(!linger.look(at(100), false) && !linger.look(at(124), false));
        assert!(!linger.look(at(125), false) && !linger.look(at(150), true), "what is not read may be there");
        for (millis, silent) in [(175, false), (200, false), (225, false), (250, true)] {
            assert_eq!(linger.look(at(millis), false), silent, "{millis}");
        }
    }
}
