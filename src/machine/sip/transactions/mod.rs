//! The four transaction machines of RFC 3261 17 as amended by RFC 6026, each a pure table
//! `step(state, input)`: no memory, no clock, no message. [`super::Endpoint`] keeps the
//! transactions and carries the actions out.

pub mod client_invite;
pub mod client_non_invite;
pub mod server_invite;
pub mod server_non_invite;

use super::timers::Timer;

/// What a transition asks of the endpoint, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sends the transaction's current message: the request, the ACK, or the last response.
    Send,
    /// Builds the ACK for the response that came, makes it the current message and sends it.
    Ack,
    /// Sends a CANCEL for the request.
    Cancel,
    /// Answers 408 in place of a user who did not answer.
    GiveUp,
    /// Passes the message that came to the user.
    Tell,
    /// Tells the user that nobody answered in time.
    TimedOut,
    /// Tells the user that a message could not be sent.
    Unsent,
    /// Starts a timer, in place of one that runs in the same role.
    Start(Timer),
    /// Starts a pacing timer again for longer than it ran before, up to its ceiling.
    Again(Timer),
    /// Starts a pacing timer again for T2.
    Slowly(Timer),
    /// Stops a timer.
    Stop(Timer),
}

/// A transition: the state to go to and what to do on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<S> {
    /// The next state.
    pub next: S,
    /// What to do, in order.
    pub actions: &'static [Action],
}

impl<S> Step<S> {
    /// Goes to `next`, doing `actions`. Always `Some`: a table says `None` for what is absorbed.
    pub(super) const fn to(next: S, actions: &'static [Action]) -> Option<Self> {
        Some(Self { next, actions })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::Step;
    use std::fmt::Debug;
    use std::fmt::Write;

    /// Writes a whole table, a line for each pair of state and input that is not absorbed.
    pub fn table<S: Debug + Copy, I: Debug + Copy>(
        states: &[S],
        inputs: &[I],
        step: fn(S, I) -> Option<Step<S>>,
    ) -> String {
        let mut out = String::new();
        for &state in states {
            for &input in inputs {
                if let Some(step) = step(state, input) {
                    let _ = write!(out, "{state:?} + {input:?} = {:?}", step.next);
                    for action in step.actions {
                        let _ = write!(out, " {action:?}");
                    }
                    out.push('\n');
                }
            }
        }
        out
    }

    /// The same text without the indentation of the source file.
    pub fn expected(text: &str) -> String {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .fold(String::new(), |out, line| out + line + "\n")
    }
}
