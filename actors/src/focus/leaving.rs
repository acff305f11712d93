//! Leaving: the client says BYE, or the node stops and does. What the client has acknowledged by then is old: its
//! acknowledgements come by another connection than the BYE, and are read on until none is missing or nothing comes.

use std::time::Duration;

use restante::machine::sip::EndedBy;
use restante::time::Instant;

use super::Focus;
use crate::farewell::Farewell;
use crate::party::NODE_STOPS;

/// How long a client that is told that the node stops may take to answer; what it acknowledges meanwhile counts.
const ANSWER: Duration = Duration::from_secs(1);

/// The client is about to be gone.
#[derive(Debug)]
pub(super) struct Leaving {
    cause: &'static str,
    /// Until when our BYE waits for its answer.
    told: Option<Instant>,
    /// The wait for what the client said before its BYE came, or its answer to ours. Its BYE is answered when what it
    /// acknowledged is marked.
    farewell: Option<Farewell>,
}

impl Leaving {
    /// Something came from the client.
    pub(super) const fn heard(&mut self) {
        if let Some(farewell) = &mut self.farewell {
            farewell.heard();
        }
    }

    /// When there is something to be looked at.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let farewell = self.farewell.and_then(|farewell| farewell.poll_timeout(now));
        farewell.into_iter().chain(self.told).min()
    }
}

impl Focus {
    /// The dialog is over.
    pub(super) fn left(&mut self, now: Instant, by: EndedBy) {
        if !self.party.has_session() && self.retrieval.is_finished() {
            return self.conference.end(now);
        }
        let cause = self.leaving.take().map_or(ended_by(by), |leaving| leaving.cause);
        let within = match by {
            EndedBy::Remote => self.shared.config.sip.answer_within,
            // There is nothing left to be answered.
            EndedBy::Local => Duration::ZERO,
            EndedBy::Rejected | EndedBy::Cancelled | EndedBy::AckTimeout | EndedBy::Failed => {
                return self.gone(now, cause);
            }
        };
        self.relay.end();
        let farewell = Some(Farewell::begin(now, within).lingering(now));
        self.leaving = Some(Box::new(Leaving { cause, told: None, farewell }));
    }

    /// Nothing more comes from the client.
    fn gone(&mut self, now: Instant, cause: &str) {
        self.party.close();
        self.broken(cause);
        self.conference.end(now);
    }

    /// The node stops: nothing more is sent, and the client is told, once.
    pub(super) fn stop(&mut self, now: Instant) {
        const CAUSE: &str = "the node stops";
        if self.party.is_over() {
            return;
        }
        // An INVITE that is not answered yet gets the answer that it deserves.
        if !self.party.has_session() {
            return self.broken(CAUSE);
        }
        tracing::info!(parent: &self.span, delivered = self.retrieval.delivered(), "the node stops: the client is told, and sent nothing more");
        self.relay.end();
        self.leaving = Some(Box::new(Leaving { cause: CAUSE, told: Some(now + ANSWER), farewell: None }));
        self.party.bye(Some(NODE_STOPS));
    }

    /// Looks whether something is still missing of what the client said before the dialog was over.
    pub(super) fn look(&mut self, now: Instant) {
        let answered = !self.party.awaits_answers();
        let Some(leaving) = &mut self.leaving else { return };
        let heard_all = leaving
            .farewell
            .as_mut()
            .is_some_and(|farewell| if answered { farewell.heard_all() } else { farewell.look(now, false) });
        if heard_all || leaving.told.take_if(|ends| *ends <= now).is_some() {
            let cause = leaving.cause;
            self.gone(now, cause);
        }
    }

    /// Whether the client's BYE still waits for its answer: who has it may look what is old.
    pub(super) fn is_awaited(&self, now: Instant) -> bool {
        let farewell = self.leaving.as_ref().and_then(|leaving| leaving.farewell);
        farewell.is_some_and(|farewell| farewell.may_wait(now)) && !self.retrieval.is_finished()
    }
}

const fn ended_by(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Remote => "BYE by the client",
        EndedBy::Local => "BYE by the store",
        EndedBy::Rejected => "refused",
        EndedBy::Cancelled => "cancelled by the client",
        EndedBy::AckTimeout => "no ACK came",
        EndedBy::Failed => "the INVITE was given up",
    }
}
