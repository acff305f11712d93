//! Leaving: the client says BYE, or the node stops and does. What the client has acknowledged by then is old: its
//! acknowledgements come by another connection than the BYE, and are read on until none is missing or nothing comes.

use restante::machine::sip::EndedBy;
use restante::time::Instant;

use super::Focus;
use crate::linger::Linger;
use crate::party::NODE_STOPS;

/// The client is about to be gone.
#[derive(Debug)]
pub(super) struct Leaving {
    cause: &'static str,
    /// The wait for what the client said before its BYE came, or its answer to ours.
    linger: Option<Linger>,
    /// Whether the client's BYE is answered when what it acknowledged is marked, and until when it waits for that.
    awaited: Option<Instant>,
}

impl Leaving {
    /// Something came from the client.
    pub(super) const fn heard(&mut self) {
        if let Some(linger) = &mut self.linger {
            linger.heard();
        }
    }

    /// When there is something to be looked at.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let linger = self.linger.map(|linger| linger.due());
        linger.into_iter().chain(self.awaited.filter(|ends| *ends > now)).min()
    }
}

impl Focus {
    /// The dialog is over.
    pub(super) fn left(&mut self, now: Instant, by: EndedBy) {
        let cause = self.leaving.take().map_or(ended_by(by), |leaving| leaving.cause);
        let awaited = match by {
            EndedBy::Remote => Some(now + self.shared.config.sip.answer_within),
            EndedBy::Local => None,
            EndedBy::Rejected | EndedBy::Cancelled | EndedBy::AckTimeout | EndedBy::Failed => {
                return self.gone(now, cause);
            }
        };
        self.relay.end();
        self.leaving = Some(Box::new(Leaving { cause, linger: Some(Linger::begin(now)), awaited }));
    }

    /// Nothing more comes from the client.
    fn gone(&mut self, now: Instant, cause: &str) {
        self.party.close();
        self.broken(cause);
        self.conference.end(now);
    }

    /// The node stops: nothing more is sent, and the client is told.
    pub(super) fn stop(&mut self) {
        const CAUSE: &str = "the node stops";
        // An INVITE that is not answered yet gets the answer that it deserves.
        if !self.party.has_session() {
            return self.broken(CAUSE);
        }
        tracing::info!(parent: &self.span, delivered = self.retrieval.delivered(), "the node stops: the client is told, and sent nothing more");
        self.relay.end();
        self.leaving = Some(Box::new(Leaving { cause: CAUSE, linger: None, awaited: None }));
        self.party.bye(Some(NODE_STOPS));
    }

    /// Looks whether something is still missing of what the client said before the dialog was over.
    pub(super) fn look(&mut self, now: Instant) {
        let answered = !self.party.awaits_answers();
        let Some(leaving) = &mut self.leaving else { return };
        let Some(linger) = &mut leaving.linger else { return };
        if answered || linger.look(now, false) {
            leaving.linger = None;
            let cause = leaving.cause;
            self.gone(now, cause);
        }
    }

    /// Whether the client's BYE still waits for its answer: who has it may look what is old.
    pub(super) fn is_awaited(&self, now: Instant) -> bool {
        let awaited = self.leaving.as_ref().and_then(|leaving| leaving.awaited);
        awaited.is_some_and(|ends| now < ends && !self.retrieval.is_finished())
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
