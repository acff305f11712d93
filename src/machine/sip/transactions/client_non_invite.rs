//! The non-INVITE client transaction: RFC 3261 17.1.2 (figure 6).

use super::Action::{Again, Send, Slowly, Start, Stop, Tell, TimedOut, Unsent};
use super::{Action, Step};
use crate::machine::sip::timers::Timer;

/// The states of figure 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent, nothing heard.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; retransmissions of it are absorbed.
    Completed,
    /// Gone.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A 1xx response.
    Provisional,
    /// A 200-699 response.
    Final,
    /// The request could not be sent.
    TransportError,
    /// A timer fired.
    Timer(Timer),
}

/// What happens when the transaction is created in [`State::Trying`].
pub const START: &[Action] = &[Send, Start(Timer::E), Start(Timer::F)];

/// The table; `None`: nothing happens.
#[must_use]
pub const fn step(state: State, input: Input) -> Option<Step<State>> {
    use State::{Completed, Proceeding, Terminated, Trying};
    match (state, input) {
        // RFC 3261 17.1.2.2: if timer E fires in Trying, the interval is doubled up to T2.
        (Trying, Input::Timer(Timer::E)) => Step::to(Trying, &[Send, Again(Timer::E)]),
        // RFC 3261 17.1.2.2: if timer E fires in Proceeding, it MUST be reset with T2.
        (Proceeding, Input::Timer(Timer::E)) => Step::to(Proceeding, &[Send, Slowly(Timer::E)]),
        (Trying | Proceeding, Input::Timer(Timer::F)) => Step::to(Terminated, &[TimedOut]),
        (Trying | Proceeding, Input::TransportError) => Step::to(Terminated, &[Unsent]),
        (Trying | Proceeding, Input::Provisional) => Step::to(Proceeding, &[Tell]),
        // RFC 3261 17.1.2.2: a final response MUST be passed to the user, and Completed be entered.
        (Trying | Proceeding, Input::Final) => Step::to(Completed, &[Stop(Timer::E), Start(Timer::K), Tell]),
        (Completed, Input::Timer(Timer::K)) => Step::to(Terminated, &[]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expected, table};
    use super::*;

    // proves RFC 3261 17.1.2.2
    #[test]
    fn every_state_meets_every_input() {
        use State::{Completed, Proceeding, Terminated, Trying};
        let inputs = [
            Input::Provisional,
            Input::Final,
            Input::TransportError,
            Input::Timer(Timer::E),
            Input::Timer(Timer::F),
            Input::Timer(Timer::K),
        ];
        assert_eq!(
            table(&[Trying, Proceeding, Completed, Terminated], &inputs, step),
            expected(
                "Trying + Provisional = Proceeding Tell
                 Trying + Final = Completed Stop(E) Start(K) Tell
                 Trying + TransportError = Terminated Unsent
                 Trying + Timer(E) = Trying Send Again(E)
                 Trying + Timer(F) = Terminated TimedOut
                 Proceeding + Provisional = Proceeding Tell
                 Proceeding + Final = Completed Stop(E) Start(K) Tell
                 Proceeding + TransportError = Terminated Unsent
                 Proceeding + Timer(E) = Proceeding Send Slowly(E)
                 Proceeding + Timer(F) = Terminated TimedOut
                 Completed + Timer(K) = Terminated"
            )
        );
    }
}
