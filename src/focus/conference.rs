//! The conference state of a focus (RFC 4575): one `user` per stored-message URI, full at first,
//! then partial documents with rising version.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::fan_out::Participant;
use super::retrieval::{Entry, State};
use crate::wire::conference_info::{ConferenceInfo, DisconnectionMethod, Endpoint, EndpointStatus, User};

/// One subscriber's view: its version, and what changed since its last notification.
#[derive(Debug)]
pub struct Conference {
    entity: String,
    version: u32,
    full: bool,
    changed: BTreeSet<Participant>,
}

impl Conference {
    /// The view of a subscriber that has seen nothing yet; `entity` is the focus' URI.
    pub fn new(entity: impl Into<String>) -> Self {
        Self { entity: entity.into(), version: 0, full: true, changed: BTreeSet::new() }
    }

    /// Notes that a participant changed.
    pub fn changed(&mut self, participant: Participant) {
        self.changed.insert(participant);
    }

    /// Asks for the whole state in the next document (a refreshed subscription, RFC 4575 4.4).
    pub const fn resend(&mut self) {
        self.full = true;
    }

    /// The next document: full state at first, else the participants that changed.
    pub fn document(&mut self, entries: &[Entry]) -> Bytes {
        self.version += 1;
        let changed = std::mem::take(&mut self.changed);
        let info = if std::mem::take(&mut self.full) {
            let mut info =
                ConferenceInfo::full(&self.entity, self.version, entries.iter().map(user).collect());
            info.user_count = u32::try_from(entries.len()).ok();
            info.active = Some(true);
            info
        } else {
            let users =
                changed.into_iter().filter_map(|participant| entries.get(participant)).map(user).collect();
            ConferenceInfo::partial(&self.entity, self.version, users)
        };
        info.encode()
    }
}

fn user(entry: &Entry) -> User {
    let endpoint = |status| Endpoint::dialed_out(entry.uri.clone(), status);
    User::with_endpoint(match &entry.state {
        State::Dialing => endpoint(EndpointStatus::DialingOut),
        State::Connected { .. } | State::Storing => endpoint(EndpointStatus::Connected),
        State::Departed => {
            endpoint(EndpointStatus::Disconnected).disconnected(DisconnectionMethod::Departed, None)
        }
        State::Failed(failure) => {
            // RFC 4575 5.7.5: the reason, in the form of a Reason header (RFC 3326).
            let reason = format!("SIP;cause={};text=\"{}\"", failure.status(), failure.text());
            endpoint(EndpointStatus::Disconnected).disconnected(DisconnectionMethod::Failed, Some(reason))
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::focus::retrieval::{Failure, Retrieval};
    use crate::store::MessageId;
    use crate::wire::conference_info::State as Completeness;

    // proves RFC 4575 4.4: full first, then partial, versions rising by one
    #[test]
    fn the_first_document_is_full_and_later_ones_tell_changes() {
        let list = ["a", "b"].map(|id| (format!("sip:{id}@store"), Some(MessageId::new(id))));
        let mut retrieval = Retrieval::new(list.into());
        let mut conference = Conference::new("sip:focus-1@store");
        let first = ConferenceInfo::parse(&conference.document(retrieval.entries())).unwrap();
        assert_eq!((first.state, first.version, first.users.len()), (Completeness::Full, 1, 2));
        retrieval.failed(1, Failure::NotFound);
        conference.changed(1);
        let second = ConferenceInfo::parse(&conference.document(retrieval.entries())).unwrap();
        assert_eq!((second.state, second.version, second.users.len()), (Completeness::Partial, 2, 1));
        let endpoint = second.users.first().unwrap().endpoints.first().unwrap().clone();
        assert_eq!(endpoint.status, Some(EndpointStatus::Disconnected));
        let disconnection = endpoint.disconnection.unwrap();
        assert_eq!(disconnection.method, DisconnectionMethod::Failed);
        assert!(disconnection.reason.unwrap().contains("404"));
    }
}
