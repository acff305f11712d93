//! The non-INVITE server transaction: RFC 3261 17.2.2 (figure 8), RFC 4320.

use super::Action::{Send, Start, Tell, TimedOut, Unsent};
use super::{Action, Step};
use crate::machine::sip::timers::Timer;

/// The states of figure 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The user has it; nothing was sent.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// The final response was sent, and is sent again for each retransmission of the request.
    Completed,
    /// Gone.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The request again.
    Request,
    /// The user sends a 1xx response.
    RespondProvisional,
    /// The user sends a 200-699 response.
    RespondFinal,
    /// A response could not be sent.
    TransportError,
    /// A timer fired.
    Timer(Timer),
}

/// What happens when the transaction is created in [`State::Trying`].
pub const START: &[Action] = &[Start(Timer::Patience), Tell];

/// The table; `None`: nothing happens.
#[must_use]
pub const fn step(state: State, input: Input) -> Option<Step<State>> {
    use State::{Completed, Proceeding, Terminated, Trying};
    match (state, input) {
        (Trying | Proceeding, Input::RespondProvisional) => Step::to(Proceeding, &[Send]),
        (Trying | Proceeding, Input::RespondFinal) => Step::to(Completed, &[Send, Start(Timer::J)]),
        // RFC 3261 17.2.2: a retransmission in Proceeding or Completed MUST have the last response sent again.
        (Proceeding, Input::Request) => Step::to(Proceeding, &[Send]),
        (Completed, Input::Request) => Step::to(Completed, &[Send]),
        (Completed, Input::Timer(Timer::J)) => Step::to(Terminated, &[]),
        // RFC 4320 4.2: MUST NOT answer 408; after 64*T1 the client has given up as well.
        (Trying | Proceeding, Input::Timer(Timer::Patience)) => Step::to(Terminated, &[TimedOut]),
        // RFC 6026 8.8: SHOULD inform the user, and MUST remain in the current state.
        (Proceeding, Input::TransportError) => Step::to(Proceeding, &[Unsent]),
        (Completed, Input::TransportError) => Step::to(Completed, &[Unsent]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expected, table};
    use super::*;

    // proves RFC 3261 17.2.2, RFC 4320 4.2, RFC 6026 8.8
    #[test]
    fn every_state_meets_every_input() {
        use State::{Completed, Proceeding, Terminated, Trying};
        let inputs = [
            Input::Request,
            Input::RespondProvisional,
            Input::RespondFinal,
            Input::TransportError,
            Input::Timer(Timer::J),
            Input::Timer(Timer::Patience),
        ];
        assert_eq!(
            table(&[Trying, Proceeding, Completed, Terminated], &inputs, step),
            expected(
                "Trying + RespondProvisional = Proceeding Send
                 Trying + RespondFinal = Completed Send Start(J)
                 Trying + Timer(Patience) = Terminated TimedOut
                 Proceeding + Request = Proceeding Send
                 Proceeding + RespondProvisional = Proceeding Send
                 Proceeding + RespondFinal = Completed Send Start(J)
                 Proceeding + TransportError = Proceeding Unsent
                 Proceeding + Timer(Patience) = Terminated TimedOut
                 Completed + Request = Completed Send
                 Completed + TransportError = Completed Unsent
                 Completed + Timer(J) = Terminated"
            )
        );
    }
}
