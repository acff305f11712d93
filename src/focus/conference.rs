//! The conference state of a focus (RFC 4575): one `user` per stored-message URI, full at first,
//! then partial documents with rising version. What is too much for one document follows in the next ones.

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

    /// Whether something is left for another document.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.full || !self.changed.is_empty()
    }

    /// The next document: full state at first, else the participants that changed; of either as many users as a document of
    /// `most` bytes holds, and at least one.
    pub fn document(&mut self, entries: &[Entry], most: usize) -> Bytes {
        self.version += 1;
        let full = std::mem::take(&mut self.full);
        if full {
            self.changed = (0..entries.len()).collect();
        }
        let info = if full { ConferenceInfo::full } else { ConferenceInfo::partial };
        let mut info = info(&self.entity, self.version, Vec::new());
        // RFC 4575 5.5.1: how many participate now or are about to, also those of whom the next documents tell.
        let here = entries.iter().filter(|entry| !matches!(entry.state, State::Departed | State::Failed(_)));
        info.user_count = u32::try_from(here.count()).ok();
        info.active = Some(true);
        let mut room = most.saturating_sub(info.encode().len() + ConferenceInfo::AROUND_USERS);
        while let Some(participant) = self.changed.pop_first() {
            let Some(user) = entries.get(participant).map(user) else { continue };
            let left = room.checked_sub(user.written());
            if left.is_none() && !info.users.is_empty() {
                self.changed.insert(participant);
                break;
            }
            room = left.unwrap_or_default();
            info.users.push(user);
        }
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
    use crate::focus::NOTIFY_BODY;
    use crate::focus::retrieval::{Failure, Retrieval};
    use crate::store::MessageId;
    use crate::wire::conference_info::State as Completeness;

    // proves RFC 4575 4.4: full first, then partial, versions rising by one
    #[test]
    fn the_first_document_is_full_and_later_ones_tell_changes() {
        let list = ["a", "b"].map(|id| (format!("sip:{id}@store"), Some(MessageId::new(id))));
        let mut retrieval = Retrieval::new(list.into());
        let mut conference = Conference::new("sip:focus-1@store");
        let first = ConferenceInfo::parse(&conference.document(retrieval.entries(), NOTIFY_BODY)).unwrap();
        assert_eq!((first.state, first.version, first.users.len()), (Completeness::Full, 1, 2));
        assert_eq!((first.user_count, first.active), (Some(2), Some(true)));
        retrieval.failed(1, Failure::NotFound);
        conference.changed(1);
        let second = ConferenceInfo::parse(&conference.document(retrieval.entries(), NOTIFY_BODY)).unwrap();
        assert_eq!((second.state, second.version, second.users.len()), (Completeness::Partial, 2, 1));
        // proves RFC 4575 5.5.1: who has left is counted no more
        assert_eq!((second.user_count, second.active), (Some(1), Some(true)));
        let endpoint = second.users.first().unwrap().endpoints.first().unwrap().clone();
        assert_eq!(endpoint.status, Some(EndpointStatus::Disconnected));
        let disconnection = endpoint.disconnection.unwrap();
        assert_eq!(disconnection.method, DisconnectionMethod::Failed);
        assert!(disconnection.reason.unwrap().contains("404"));
    }

    #[test]
    fn a_document_holds_what_a_notify_does_and_the_next_ones_tell_the_rest() {
        let uri = |index: usize| format!("sip:{index:04}{}@store", "x".repeat(100));
        let mut list: Vec<_> = (0..500).map(|index| (uri(index), None)).collect();
        list.push((format!("sip:{}@store", "y".repeat(NOTIFY_BODY)), None));
        let retrieval = Retrieval::new(list);
        let all: Vec<_> = retrieval.entries().iter().map(|entry| entry.uri.clone()).collect();
        for most in [1024, 3 << 10, NOTIFY_BODY] {
            let mut conference = Conference::new("sip:focus-1@store");
            let mut told = Vec::new();
            while conference.has_more() {
                let bytes = conference.document(retrieval.entries(), most);
                let info = ConferenceInfo::parse(&bytes).unwrap();
                assert!(bytes.len() <= most || info.users.len() == 1, "{} of {most}", bytes.len());
                assert!(bytes.len() > most / 2 || !told.is_empty(), "{} of {most}", bytes.len());
                let state = if told.is_empty() { Completeness::Full } else { Completeness::Partial };
                assert_eq!((info.state, info.user_count), (state, Some(501)));
                told.extend(info.users.into_iter().map(|user| user.entity));
            }
            assert_eq!(told, all);
        }
    }
}
