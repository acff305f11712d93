//! The INVITE server transaction: RFC 3261 17.2.1 (figure 7) with the Accepted state of
//! RFC 6026 7.1 and 8.7.

use super::Action::{Again, GiveUp, Send, Start, Stop, Tell, TimedOut, Unsent};
use super::{Action, Step};
use crate::machine::sip::timers::Timer;

/// The states of figure 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No final response yet.
    Proceeding,
    /// A final response other than 2xx was sent; its ACK is awaited.
    Completed,
    /// The ACK came; further ones are absorbed.
    Confirmed,
    /// A 2xx was sent; the user repeats it until its ACK comes.
    Accepted,
    /// Gone.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The INVITE again.
    Invite,
    /// An ACK that matches the transaction.
    Ack,
    /// The user sends a 1xx response.
    RespondProvisional,
    /// The user sends a 2xx response.
    RespondSuccess,
    /// The user sends a 300-699 response.
    RespondFailure,
    /// A response could not be sent.
    TransportError,
    /// A timer fired.
    Timer(Timer),
}

/// What happens when the transaction is created in [`State::Proceeding`].
pub const START: &[Action] = &[Start(Timer::Trying), Start(Timer::InvitePatience), Tell];

/// The table; `None`: nothing happens. In [`State::Proceeding`] the message at hand is a 100 until
/// the user sends another.
#[must_use]
pub const fn step(state: State, input: Input) -> Option<Step<State>> {
    use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
    match (state, input) {
        // RFC 3261 17.2.1: MUST generate a 100 unless the user answers within 200 ms.
        (Proceeding, Input::Timer(Timer::Trying)) => Step::to(Proceeding, &[Send]),
        // RFC 3261 17.2.1: upon a retransmission the most recent provisional response MUST be sent.
        (Proceeding, Input::Invite) => Step::to(Proceeding, &[Send, Stop(Timer::Trying)]),
        (Proceeding, Input::RespondProvisional) => Step::to(Proceeding, &[Send, Stop(Timer::Trying)]),
        // RFC 6026 7.1: a 2xx moves to Accepted, where timer L runs for all transports.
        (Proceeding, Input::RespondSuccess) => {
            Step::to(Accepted, &[Send, Stop(Timer::Trying), Start(Timer::L)])
        }
        (Proceeding, Input::RespondFailure) => {
            Step::to(Completed, &[Send, Stop(Timer::Trying), Start(Timer::G), Start(Timer::H)])
        }
        (Proceeding, Input::Timer(Timer::InvitePatience)) => Step::to(
            Completed,
            &[GiveUp, Send, Stop(Timer::Trying), Start(Timer::G), Start(Timer::H), TimedOut],
        ),
        // RFC 3261 17.2.1: in Completed the response is sent again upon timer G and each retransmission.
        (Completed, Input::Invite) => Step::to(Completed, &[Send]),
        (Completed, Input::Timer(Timer::G)) => Step::to(Completed, &[Send, Again(Timer::G)]),
        (Completed, Input::Ack) => Step::to(Confirmed, &[Stop(Timer::G), Start(Timer::I)]),
        // RFC 3261 17.2.1: timer H says that the ACK was never received.
        (Completed, Input::Timer(Timer::H)) => Step::to(Terminated, &[TimedOut]),
        (Confirmed, Input::Timer(Timer::I)) => Step::to(Terminated, &[]),
        // RFC 6026 8.7: in Accepted a 2xx of the user MUST be sent, an ACK MUST be passed up, and
        // retransmissions of the INVITE are absorbed.
        (Accepted, Input::RespondSuccess) => Step::to(Accepted, &[Send]),
        (Accepted, Input::Ack) => Step::to(Accepted, &[Tell]),
        (Accepted, Input::Timer(Timer::L)) => Step::to(Terminated, &[]),
        // RFC 6026 8.8: SHOULD inform the user, and MUST remain in the current state.
        (Proceeding, Input::TransportError) => Step::to(Proceeding, &[Unsent]),
        (Completed, Input::TransportError) => Step::to(Completed, &[Unsent]),
        (Accepted, Input::TransportError) => Step::to(Accepted, &[Unsent]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expected, table};
    use super::*;

    // proves RFC 3261 17.2.1, RFC 6026 7.1, 8.7 and 8.8
    #[test]
    fn every_state_meets_every_input() {
        use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
        let inputs = [
            Input::Invite,
            Input::Ack,
            Input::RespondProvisional,
            Input::RespondSuccess,
            Input::RespondFailure,
            Input::TransportError,
            Input::Timer(Timer::Trying),
            Input::Timer(Timer::InvitePatience),
            Input::Timer(Timer::G),
            Input::Timer(Timer::H),
            Input::Timer(Timer::I),
            Input::Timer(Timer::L),
        ];
        assert_eq!(
            table(&[Proceeding, Completed, Confirmed, Accepted, Terminated], &inputs, step),
            expected(
                "Proceeding + Invite = Proceeding Send Stop(Trying)
                 Proceeding + RespondProvisional = Proceeding Send Stop(Trying)
                 Proceeding + RespondSuccess = Accepted Send Stop(Trying) Start(L)
                 Proceeding + RespondFailure = Completed Send Stop(Trying) Start(G) Start(H)
                 Proceeding + TransportError = Proceeding Unsent
                 Proceeding + Timer(Trying) = Proceeding Send
                 Proceeding + Timer(InvitePatience) = Completed GiveUp Send Stop(Trying) Start(G) Start(H) TimedOut
                 Completed + Invite = Completed Send
                 Completed + Ack = Confirmed Stop(G) Start(I)
                 Completed + TransportError = Completed Unsent
                 Completed + Timer(G) = Completed Send Again(G)
                 Completed + Timer(H) = Terminated TimedOut
                 Confirmed + Timer(I) = Terminated
                 Accepted + Ack = Accepted Tell
                 Accepted + RespondSuccess = Accepted Send
                 Accepted + TransportError = Accepted Unsent
                 Accepted + Timer(L) = Terminated"
            )
        );
    }
}
