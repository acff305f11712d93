//! Farewell: a BYE that is answered, or sent, when what was said before it is seen to. That came over MSRP, by another
//! connection, and may be read later: its session is kept until that connection is silent.

use std::time::Duration;

use restante::time::Instant;

/// How often in a row nothing may have come before it is taken that nothing does.
const QUIET: u32 = 4;

/// How often that is looked at. A node that had no processor for a while looks once.
const LOOK: Duration = Duration::from_millis(25);

/// The end of a session, from the BYE on.
#[derive(Clone, Copy, Debug)]
pub struct Farewell {
    answer_by: Instant,
    linger: Option<Linger>,
}

/// The wait for a connection that is silent.
#[derive(Clone, Copy, Debug)]
struct Linger {
    due: Instant,
    quiet: u32,
}

impl Farewell {
    /// The BYE waits from `now` on, for `within` at most.
    #[must_use]
    pub fn begin(now: Instant, within: Duration) -> Self {
        Self { answer_by: now + within, linger: None }
    }

    /// Waits also until the connection is silent, however long that takes.
    #[must_use]
    pub fn lingering(self, now: Instant) -> Self {
        Self { linger: Some(Linger { due: now + LOOK, quiet: 0 }), ..self }
    }

    /// Something came.
    pub const fn heard(&mut self) {
        if let Some(linger) = &mut self.linger {
            linger.quiet = 0;
        }
    }

    /// Looks, if it is time; whether the connection has become silent, and is not waited for any more. While it is not
    /// read at will, as `held` says, nothing can be told.
    pub fn look(&mut self, now: Instant, held: bool) -> bool {
        self.linger.take_if(|linger| linger.look(now, held)).is_some()
    }

    /// Nothing more is missing, or taken; whether it was waited for.
    pub const fn heard_all(&mut self) -> bool {
        self.linger.take().is_some()
    }

    /// Whether the BYE may still wait.
    #[must_use]
    pub fn may_wait(&self, now: Instant) -> bool {
        now < self.answer_by
    }

    /// When to call [`Self::look`], or to look whether it [may wait](Self::may_wait).
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let linger = self.linger.map(|linger| linger.due);
        linger.into_iter().chain(self.may_wait(now).then_some(self.answer_by)).min()
    }
}

impl Linger {
    fn look(&mut self, now: Instant, held: bool) -> bool {
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

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn it_ends_when_nothing_came_for_a_while() {
        let mut farewell = Farewell::begin(at(0), Duration::from_secs(10)).lingering(at(0));
        assert_eq!((farewell.poll_timeout(at(0)), farewell.look(at(24), false)), (Some(at(25)), false));
        for millis in [25, 50, 75] {
            assert!(!farewell.look(at(millis), false), "{millis}");
        }
        farewell.heard();
        assert!(!farewell.look(at(100), false) && !farewell.look(at(124), false));
        assert!(
            !farewell.look(at(125), false) && !farewell.look(at(150), true),
            "what is not read may be there"
        );
        for (millis, silent) in [(175, false), (200, false), (225, false), (250, true)] {
            assert_eq!(farewell.look(at(millis), false), silent, "{millis}");
        }
        assert!(!farewell.look(at(275), false) && !farewell.heard_all(), "it is told once");
    }

    #[test]
    fn its_bye_waits_so_long_and_no_longer() {
        let farewell = Farewell::begin(at(5), Duration::from_millis(20));
        assert_eq!((farewell.may_wait(at(24)), farewell.poll_timeout(at(24))), (true, Some(at(25))));
        assert_eq!((farewell.may_wait(at(25)), farewell.poll_timeout(at(25))), (false, None));
        let mut lingers = farewell.lingering(at(5));
        assert_eq!(lingers.poll_timeout(at(25)), Some(at(30)), "it is listened to on");
        assert!(lingers.heard_all() && lingers.poll_timeout(at(25)).is_none());
    }
}
