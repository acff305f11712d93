//! What the MSRP session of a party has to tell: whether it lives, and what the records say of it.

use restante::time::Instant;

use super::Party;
use crate::records::{Said, Way};
use crate::session::{SessionInput, SessionReport};

impl Party {
    /// Takes what has come for the MSRP session.
    pub fn handle_session(&mut self, input: SessionInput) {
        if let Some(session) = &mut self.session {
            session.handle(input);
        }
    }

    /// What the MSRP session has to tell, if anything. A connection is lost only where another may come; else the session
    /// is over with it.
    pub fn poll_report(&mut self, now: Instant) -> Option<SessionReport> {
        let report = self.session.as_mut()?.poll_report()?;
        self.heard(now, &report);
        match report {
            SessionReport::Lost(cause) if !self.lost(now) => Some(SessionReport::Ended(cause)),
            report => Some(report),
        }
    }

    /// The MSRP session has reported something: the party lives.
    fn heard(&mut self, now: Instant, report: &SessionReport) {
        self.note(report);
        self.bound |= matches!(report, SessionReport::Bound);
        self.lost &= !matches!(report, SessionReport::Rejoined);
        if self.bound && self.deadline.is_some() {
            self.deadline = Some(now + self.shared.config.msrp.idle_timeout);
        }
    }

    fn note(&self, report: &SessionReport) {
        match report {
            SessionReport::Bound => self.tap.msrp(Way::In, || Said::Words("connection bound".into())),
            SessionReport::Started { message_id, content_type, total, .. } => {
                self.tap.msrp(Way::In, || Said::Send {
                    message_id: Some(message_id.as_ref().into()),
                    content_type: content_type.as_deref().unwrap_or_default().into(),
                    total: *total,
                });
            }
            SessionReport::Dropped { .. } => self.tap.msrp(Way::In, || Said::Words("message cut off".into())),
            SessionReport::Delivered(places) => {
                places.iter().for_each(|_| self.tap.msrp(Way::In, || Said::Answer(200)));
            }
            SessionReport::Refused(_, status) => self.tap.msrp(Way::In, || Said::Answer(*status)),
            SessionReport::Lost(cause) | SessionReport::Ended(cause) => {
                self.tap.msrp(Way::In, || Said::Words((*cause).into()));
            }
            SessionReport::Described { .. }
            | SessionReport::Data { .. }
            | SessionReport::Complete { .. }
            | SessionReport::Credit(_)
            | SessionReport::Rejoined => {}
        }
    }

    /// The connection is gone: whether the party is given time for a re-INVITE that brings another.
    fn lost(&mut self, now: Instant) -> bool {
        let time = self.shared.config.msrp.rejoin_timeout;
        let waits = !time.is_zero() && self.invite.is_established() && !self.over;
        if waits {
            self.bound = false;
            self.lost = true;
            self.deadline = Some(now + time);
        }
        waits
    }
}
