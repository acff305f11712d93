//! The timers of RFC 3261 17 (table 4) and RFC 6026: their names and how long each runs.

use std::time::Duration;

/// The base values from which every timer's length follows (RFC 3261 17.1.1.1, table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// An estimate of the round-trip time.
    pub t1: Duration,
    /// The longest interval between retransmissions of a non-INVITE request or an INVITE response.
    pub t2: Duration,
    /// How long a message may remain in the network.
    pub t4: Duration,
    /// How long an INVITE may be unanswered before a 100 is sent for it.
    pub trying_after: Duration,
    /// How long an INVITE may stay without a final response before it is given up with a 408.
    pub invite_patience: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            trying_after: Duration::from_millis(200),
            invite_patience: Duration::from_secs(180),
        }
    }
}

impl Timers {
    /// 64*T1, after which a transaction is given up.
    #[must_use]
    pub const fn give_up(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// How long `timer` runs the first time it is started.
    #[must_use]
    pub fn duration(&self, timer: Timer, reliable: bool) -> Duration {
        match timer {
            Timer::A | Timer::E | Timer::G => self.t1,
            Timer::Trying => self.trying_after,
            Timer::InvitePatience => self.invite_patience,
            // RFC 3261 17.1.1.2: timer D is at least 32 s for unreliable transports, 0 for reliable ones.
            Timer::D if !reliable => self.give_up().max(Duration::from_secs(32)),
            // RFC 3261 17.2.2: timer J is 64*T1 for unreliable transports, 0 for reliable ones.
            Timer::J if !reliable => self.give_up(),
            // RFC 3261 17.1.2.2, 17.2.1: timers I and K are T4 for unreliable transports, 0 for reliable ones.
            Timer::I | Timer::K if !reliable => self.t4,
            Timer::D | Timer::I | Timer::J | Timer::K => Duration::ZERO,
            // RFC 6026 7.1, 7.2: timers L and M are 64*T1 for all transports.
            Timer::B | Timer::F | Timer::H | Timer::L | Timer::M => self.give_up(),
            Timer::Cancel | Timer::Patience => self.give_up(),
        }
    }

    /// How long `timer` runs when it is started again after it ran for `last`.
    #[must_use]
    pub fn again(&self, timer: Timer, last: Duration) -> Duration {
        let doubled = last.saturating_mul(2);
        // RFC 3261 17.1.1.2: timer A doubles without a ceiling; 17.1.2.2, 17.2.1: E and G up to T2.
        if timer == Timer::A { doubled } else { doubled.min(self.t2) }
    }
}

/// A timer of a transaction, by its letter in RFC 3261 table 4 and RFC 6026.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// INVITE request retransmission, unreliable transports only.
    A,
    /// INVITE transaction timeout.
    B,
    /// Wait for retransmissions of the response to an INVITE.
    D,
    /// Non-INVITE request retransmission, unreliable transports only.
    E,
    /// Non-INVITE transaction timeout.
    F,
    /// INVITE response retransmission, unreliable transports only.
    G,
    /// Wait for the ACK to a final response other than 2xx.
    H,
    /// Wait for retransmissions of the ACK.
    I,
    /// Wait for retransmissions of a non-INVITE request.
    J,
    /// Wait for retransmissions of the response to a non-INVITE request.
    K,
    /// Wait for retransmissions of an accepted INVITE (RFC 6026).
    L,
    /// Wait for retransmissions of the 2xx to an INVITE (RFC 6026).
    M,
    /// Wait for a response to an INVITE before a 100 is sent (RFC 3261 17.2.1).
    Trying,
    /// Wait for the final response to a cancelled INVITE (RFC 3261 9.1).
    Cancel,
    /// Wait for the user's answer to a non-INVITE request, as long as the client waits for it.
    Patience,
    /// Wait for the user's final answer to an INVITE.
    InvitePatience,
}

impl Timer {
    /// Whether the timer sends something and the transaction goes on, so that it may run beside
    /// one that ends the state.
    #[must_use]
    pub const fn is_pacing(self) -> bool {
        matches!(self, Self::A | Self::E | Self::G | Self::Trying)
    }

    /// Whether the timer runs for unreliable transports only.
    #[must_use]
    pub const fn is_for_datagrams(self) -> bool {
        matches!(self, Self::A | Self::E | Self::G)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves RFC 3261 17 table 4, RFC 6026 7.1 and 7.2
    #[test]
    fn lengths_follow_table_4() {
        let timers = Timers::default();
        let of =
            |timer| (timers.duration(timer, false).as_millis(), timers.duration(timer, true).as_millis());
        for timer in [Timer::B, Timer::F, Timer::H, Timer::L, Timer::M] {
            assert_eq!(of(timer), (32_000, 32_000), "{timer:?}");
        }
        assert_eq!((of(Timer::D), of(Timer::J)), ((32_000, 0), (32_000, 0)));
        assert_eq!((of(Timer::I), of(Timer::K)), ((5_000, 0), (5_000, 0)));
        assert_eq!(of(Timer::A).0, 500);
    }

    // proves RFC 3261 17.1.1.2 and 17.1.2.2
    #[test]
    fn a_doubles_without_end_and_e_up_to_t2() {
        let timers = Timers::default();
        let run = |timer| {
            let mut last = timers.duration(timer, false);
            let mut all = vec![last.as_millis()];
            for _ in 0..5 {
                last = timers.again(timer, last);
                all.push(last.as_millis());
            }
            all
        };
        assert_eq!(run(Timer::A), [500, 1000, 2000, 4000, 8000, 16000]);
        assert_eq!(run(Timer::E), [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(run(Timer::G), run(Timer::E));
    }
}
