//! The INVITE client transaction: RFC 3261 17.1.1 (figure 5) with the Accepted state of
//! RFC 6026 7.2 and 8.4.

use super::Action::{Ack, Again, Cancel, Send, Start, Stop, Tell, TimedOut, Unsent};
use super::{Action, Step};
use crate::machine::sip::timers::Timer;

/// The states of figure 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent, nothing heard.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A final response other than 2xx came and is acknowledged each time it comes.
    Completed,
    /// A 2xx came; further ones are passed on.
    Accepted,
    /// Gone.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A 1xx response.
    Provisional,
    /// A 2xx response.
    Success,
    /// A 300-699 response.
    Failure,
    /// The user wants the INVITE cancelled.
    Cancel,
    /// A message could not be sent.
    TransportError,
    /// A timer fired.
    Timer(Timer),
}

/// What happens when the transaction is created in [`State::Calling`].
pub const START: &[Action] = &[Send, Start(Timer::A), Start(Timer::B)];

/// The table; `None`: nothing happens.
#[must_use]
pub const fn step(state: State, input: Input) -> Option<Step<State>> {
    use State::{Accepted, Calling, Completed, Proceeding, Terminated};
    match (state, input) {
        // RFC 3261 17.1.1.2: when timer A fires, the request MUST be passed to the transport again.
        (Calling, Input::Timer(Timer::A)) => Step::to(Calling, &[Send, Again(Timer::A)]),
        // RFC 3261 17.1.1.2: in Calling when timer B fires, the user SHOULD be informed of a timeout.
        (Calling, Input::Timer(Timer::B)) => Step::to(Terminated, &[TimedOut]),
        (Calling, Input::TransportError) => Step::to(Terminated, &[Unsent]),
        (Calling, Input::Provisional) => Step::to(Proceeding, &[Stop(Timer::A), Stop(Timer::B), Tell]),
        (Proceeding, Input::Provisional) => Step::to(Proceeding, &[Tell]),
        // RFC 3261 9.1: a CANCEL MUST NOT be sent before a provisional response has come; without a
        // final response for 64*T1 after it, the transaction SHOULD be destroyed.
        (Proceeding, Input::Cancel) => Step::to(Proceeding, &[Cancel, Start(Timer::Cancel)]),
        (Proceeding, Input::Timer(Timer::Cancel)) => Step::to(Terminated, &[TimedOut]),
        // RFC 6026 8.4: a 2xx MUST be passed to the user, and Accepted be entered with timer M.
        (Calling | Proceeding, Input::Success) => {
            Step::to(Accepted, &[Stop(Timer::A), Start(Timer::M), Tell])
        }
        (Accepted, Input::Success) => Step::to(Accepted, &[Tell]),
        (Accepted, Input::Timer(Timer::M)) => Step::to(Terminated, &[]),
        // RFC 3261 17.1.1.2: a 300-699 MUST be passed to the user, and an ACK be generated here.
        (Calling | Proceeding, Input::Failure) => {
            Step::to(Completed, &[Stop(Timer::A), Ack, Start(Timer::D), Tell])
        }
        // RFC 3261 17.1.1.2: retransmissions of it MUST have the ACK sent again, and MUST NOT be passed on.
        (Completed, Input::Failure) => Step::to(Completed, &[Send]),
        (Completed, Input::Timer(Timer::D)) => Step::to(Terminated, &[]),
        // The user has his final response already: there is nothing left to inform him of.
        (Completed, Input::TransportError) => Step::to(Terminated, &[]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expected, table};
    use super::*;

    // proves RFC 3261 17.1.1.2, 9.1, RFC 6026 8.4
    #[test]
    fn every_state_meets_every_input() {
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        let inputs = [
            Input::Provisional,
            Input::Success,
            Input::Failure,
            Input::Cancel,
            Input::TransportError,
            Input::Timer(Timer::A),
            Input::Timer(Timer::B),
            Input::Timer(Timer::D),
            Input::Timer(Timer::M),
            Input::Timer(Timer::Cancel),
        ];
        let states = [Calling, Proceeding, Completed, Accepted, Terminated];
        assert_eq!(
            table(&states, &inputs, step),
            expected(
                "Calling + Provisional = Proceeding Stop(A) Stop(B) Tell
                 Calling + Success = Accepted Stop(A) Start(M) Tell
                 Calling + Failure = Completed Stop(A) Ack Start(D) Tell
                 Calling + TransportError = Terminated Unsent
                 Calling + Timer(A) = Calling Send Again(A)
                 Calling + Timer(B) = Terminated TimedOut
                 Proceeding + Provisional = Proceeding Tell
                 Proceeding + Success = Accepted Stop(A) Start(M) Tell
                 Proceeding + Failure = Completed Stop(A) Ack Start(D) Tell
                 Proceeding + Cancel = Proceeding Cancel Start(Cancel)
                 Proceeding + Timer(Cancel) = Terminated TimedOut
                 Completed + Failure = Completed Send
                 Completed + TransportError = Terminated
                 Completed + Timer(D) = Terminated
                 Accepted + Success = Accepted Tell
                 Accepted + Timer(M) = Terminated"
            )
        );
    }
}
