//! A retrieval: its participants (one virtual user agent per stored-message URI) and what has
//! become of each. A retrieval of one is a list of one.
//!
//! ```text
//! Dialing --opened--> Connected --all sent, all acknowledged--> Storing --marked--> Departed
//!    |                    |                                        |
//!    +----- failed -------+-------------- failed ------------------+--> Failed
//! ```
//! An item turns old only from `Storing`: after MSRP's 200 for every message of it.

use bytes::Bytes;

use super::acknowledged::Acknowledged;
use super::fan_out::Participant;
use crate::queue::Queue;
use crate::store::MessageId;

/// Why a participant did not deliver its item. Told to the client by the conference package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No such item in the caller's mailbox, or no message URI of this store at all.
    NotFound,
    /// The client's offer accepts neither the content nor its wrapping.
    NotAcceptable,
    /// The client refused a message with this MSRP status.
    Refused(u16),
    /// The store could not read or mark the item.
    Store,
    /// The client's session ended first.
    Broken,
    /// The virtual user agent itself has failed.
    Internal,
}

impl Failure {
    /// The SIP status that an INVITE to this participant would have got, for the `reason` of
    /// conference-info (RFC 4575 5.7.7).
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::NotAcceptable => 488,
            Self::Refused(status) => *status,
            Self::Store | Self::Internal => 500,
            Self::Broken => 487,
        }
    }

    /// The cause in words.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::NotFound => "Not Found",
            Self::NotAcceptable => "Not Acceptable Here",
            Self::Refused(_) => "Refused by the client",
            Self::Store => "Store failure",
            Self::Broken => "Session ended",
            Self::Internal => "Server Internal Error",
        }
    }
}

/// Where a participant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its item is being opened.
    Dialing,
    /// It replays its item.
    Connected {
        /// Messages of the item that were begun.
        begun: u32,
        /// Whether its last message has been begun and handed over whole.
        replayed: bool,
    },
    /// Everything was acknowledged; the store is told.
    Storing,
    /// The item is old.
    Departed,
    /// The item stays as it was.
    Failed(Failure),
}

/// One virtual user agent, as the focus sees it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The URI as it came in the list.
    pub uri: String,
    /// The item it names, if it is a message URI of this store.
    pub message_id: Option<MessageId>,
    /// Where it is.
    pub state: State,
    /// Which of its messages the client has acknowledged.
    pub acknowledged: Acknowledged,
}

/// What the retrieval asks of its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Tell the store that the item was retrieved, then call [`Retrieval::marked`].
    MarkRetrieved(Participant, MessageId),
    /// The conference state of this participant changed.
    Changed(Participant),
    /// Every participant has ended.
    Finished,
}

/// All participants of a focus.
#[derive(Debug)]
pub struct Retrieval {
    entries: Vec<Entry>,
    open: usize,
    events: Queue<Event>,
}

impl Retrieval {
    /// A retrieval of `list`, in order: the URIs as they came, and what they name.
    #[must_use]
    pub fn new(list: Vec<(String, Option<MessageId>)>) -> Self {
        let entries: Vec<Entry> = list
            .into_iter()
            .map(|(uri, message_id)| Entry {
                uri,
                message_id,
                state: State::Dialing,
                acknowledged: Acknowledged::default(),
            })
            .collect();
        Self { open: entries.len(), entries, events: Queue::new() }
    }

    /// The participants, in the list's order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many items were delivered and turned old.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.entries.iter().filter(|entry| entry.state == State::Departed).count()
    }

    /// Whether every participant has ended.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.open == 0
    }

    /// The participant's item is open and its replay begins.
    pub fn opened(&mut self, participant: Participant) {
        self.step(participant, |state| match state {
            State::Dialing => Some(State::Connected { begun: 0, replayed: false }),
            _ => None,
        });
    }

    /// The message at this place in the participant's item was begun.
    pub fn begun(&mut self, participant: Participant, message: u32) {
        if let Some(State::Connected { begun, .. }) = self.state(participant) {
            *begun = (*begun).max(message + 1);
        }
    }

    /// The last byte of the participant's last message was handed over.
    pub fn replayed(&mut self, participant: Participant) {
        if let Some(State::Connected { replayed, .. }) = self.state(participant) {
            *replayed = true;
        }
        self.settle(participant);
    }

    /// The message at this place in the participant's item was acknowledged whole by the client.
    pub fn acknowledged(&mut self, participant: Participant, message: u32) {
        if let Some(entry) = self.entries.get_mut(participant) {
            entry.acknowledged.add(message);
        }
        self.settle(participant);
    }

    /// The client's connection is another one: those who replay begin again, behind what was acknowledged
    /// (RFC 4975 5.4). Returns who has not ended.
    pub fn restart(&mut self) -> Vec<Participant> {
        let mut unfinished = Vec::new();
        for (participant, entry) in self.entries.iter_mut().enumerate() {
            match &mut entry.state {
                State::Dialing => unfinished.push(participant),
                State::Connected { replayed, .. } => {
                    *replayed = false;
                    unfinished.push(participant);
                }
                State::Storing | State::Departed | State::Failed(_) => {}
            }
        }
        unfinished
    }

    /// The store has (or has not) made the item old.
    pub fn marked(&mut self, participant: Participant, stored: bool) {
        self.step(participant, |state| match state {
            State::Storing if stored => Some(State::Departed),
            State::Storing => Some(State::Failed(Failure::Store)),
            _ => None,
        });
    }

    /// The participant can not deliver its item. Once the store is being told, only the store's
    /// answer counts. Whether it was not known before that it can not.
    pub fn failed(&mut self, participant: Participant, failure: Failure) -> bool {
        self.step(participant, |state| match state {
            State::Dialing | State::Connected { .. } => Some(State::Failed(failure)),
            _ => None,
        })
    }

    /// The client's session is over: whatever was not acknowledged has failed.
    pub fn broken(&mut self) {
        for participant in 0..self.entries.len() {
            self.failed(participant, Failure::Broken);
        }
    }

    /// What the driver has to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn state(&mut self, participant: Participant) -> Option<&mut State> {
        self.entries.get_mut(participant).map(|entry| &mut entry.state)
    }

    fn settle(&mut self, participant: Participant) {
        let Some(entry) = self.entries.get_mut(participant) else { return };
        if let State::Connected { begun, replayed: true } = entry.state
            && entry.acknowledged.first_missing() >= begun
            && let Some(message_id) = entry.message_id.clone()
        {
            entry.state = State::Storing;
            self.events.push_back(Event::MarkRetrieved(participant, message_id));
        }
    }

    /// Whether it has made the transition.
    fn step(&mut self, participant: Participant, transition: impl FnOnce(&State) -> Option<State>) -> bool {
        let Some(entry) = self.entries.get_mut(participant) else { return false };
        let Some(next) = transition(&entry.state) else { return false };
        let ended = matches!(next, State::Departed | State::Failed(_));
        entry.state = next;
        self.events.push_back(Event::Changed(participant));
        if ended {
            self.open = self.open.saturating_sub(1);
            if self.open == 0 {
                self.events.push_back(Event::Finished);
            }
        }
        true
    }
}

/// Names the item behind a message URI: the unescaped user part at the store's own host.
#[must_use]
pub fn named_item(realm: &super::realm::Realm, uri: &str) -> Option<MessageId> {
    match realm.place(&Bytes::copy_from_slice(uri.as_bytes())) {
        Ok(super::realm::Place::Store(Some(user))) => Some(MessageId::new(user)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn retrieval(count: usize) -> Retrieval {
        let id = |i: usize| MessageId::new(Bytes::from(format!("m{i}")));
        Retrieval::new((0..count).map(|i| (format!("sip:m{i}@store"), Some(id(i)))).collect())
    }

    fn drain(retrieval: &mut Retrieval) -> Vec<Event> {
        std::iter::from_fn(|| retrieval.poll_event()).collect()
    }

    #[test]
    fn an_item_turns_old_only_after_every_acknowledgement() {
        let mut retrieval = retrieval(1);
        retrieval.opened(0);
        retrieval.begun(0, 0);
        retrieval.begun(0, 1);
        retrieval.acknowledged(0, 1);
        retrieval.acknowledged(0, 1);
        retrieval.replayed(0);
        assert_eq!(drain(&mut retrieval), [Event::Changed(0)]);
        retrieval.acknowledged(0, 0);
        assert!(matches!(drain(&mut retrieval)[..], [Event::MarkRetrieved(0, _)]));
        assert_eq!(retrieval.delivered(), 0);
        retrieval.marked(0, true);
        assert_eq!(drain(&mut retrieval), [Event::Changed(0), Event::Finished]);
        assert_eq!(retrieval.delivered(), 1);
    }

    #[test]
    fn a_refused_message_leaves_its_item_as_it_was() {
        let mut retrieval = retrieval(2);
        for participant in 0..2 {
            retrieval.opened(participant);
            retrieval.begun(participant, 0);
            retrieval.replayed(participant);
        }
        retrieval.failed(0, Failure::Refused(415));
        retrieval.acknowledged(0, 0);
        retrieval.acknowledged(1, 0);
        retrieval.marked(1, true);
        let events = drain(&mut retrieval);
        assert!(!events.iter().any(|event| matches!(event, Event::MarkRetrieved(0, _))));
        assert_eq!(events.last(), Some(&Event::Finished));
        assert_eq!(
            retrieval.entries().first().map(|entry| entry.state.clone()),
            Some(State::Failed(Failure::Refused(415)))
        );
    }

    #[test]
    fn a_broken_session_does_not_undo_what_was_acknowledged() {
        let mut retrieval = retrieval(3);
        retrieval.opened(0);
        retrieval.begun(0, 0);
        retrieval.replayed(0);
        retrieval.acknowledged(0, 0);
        retrieval.opened(1);
        retrieval.broken();
        assert!(!retrieval.is_finished());
        retrieval.marked(0, true);
        assert!(retrieval.is_finished());
        assert_eq!(retrieval.delivered(), 1);
    }

    // proves RFC 4975 5.4: what was acknowledged is not sent again
    #[test]
    fn another_connection_begins_behind_what_was_acknowledged() {
        let mut retrieval = retrieval(4);
        retrieval.failed(0, Failure::NotFound);
        retrieval.opened(1);
        (0..3).for_each(|message| retrieval.begun(1, message));
        retrieval.replayed(1);
        retrieval.acknowledged(1, 0);
        retrieval.opened(2);
        retrieval.replayed(2);
        drain(&mut retrieval);
        assert_eq!(retrieval.restart(), [1, 3], "0 has failed, 2 is being stored");
        let missing =
            |retrieval: &Retrieval| retrieval.entries().get(1).unwrap().acknowledged.first_missing();
        assert_eq!(missing(&retrieval), 1);
        // What the former connection still brought counts.
        retrieval.acknowledged(1, 1);
        assert_eq!((drain(&mut retrieval), missing(&retrieval)), (vec![], 2));
        retrieval.begun(1, 1);
        retrieval.begun(1, 2);
        retrieval.replayed(1);
        assert_eq!(drain(&mut retrieval), []);
        retrieval.acknowledged(1, 2);
        assert!(matches!(drain(&mut retrieval)[..], [Event::MarkRetrieved(1, _)]));
    }

    #[test]
    fn what_has_ended_does_not_fail_again() {
        let mut retrieval = retrieval(1);
        assert!(retrieval.failed(0, Failure::Refused(413)));
        assert!(!retrieval.failed(0, Failure::Broken) && !retrieval.failed(9, Failure::Broken));
        assert_eq!(retrieval.entries()[0].state, State::Failed(Failure::Refused(413)));
    }

    #[test]
    fn every_input_in_every_state_is_harmless() {
        let reach: [fn(&mut Retrieval); 5] = [
            |_| {},
            |r| r.opened(0),
            |r| {
                r.opened(0);
                r.replayed(0);
            },
            |r| {
                r.opened(0);
                r.replayed(0);
                r.marked(0, true);
            },
            |r| _ = r.failed(0, Failure::NotFound),
        ];
        let inputs: [fn(&mut Retrieval, Participant); 7] = [
            |r, p| r.opened(p),
            |r, p| r.begun(p, 0),
            |r, p| r.acknowledged(p, 0),
            |r, p| r.marked(p, false),
            |r, p| _ = r.failed(p, Failure::Store),
            |r, _| r.broken(),
            |r, _| drop(r.restart()),
        ];
        for to in reach {
            for input in inputs {
                let mut retrieval = retrieval(1);
                to(&mut retrieval);
                let was_finished = retrieval.is_finished();
                let delivered = retrieval.delivered();
                drain(&mut retrieval);
                input(&mut retrieval, 0);
                input(&mut retrieval, 9);
                let finished =
                    drain(&mut retrieval).iter().filter(|event| **event == Event::Finished).count();
                assert_eq!(finished, usize::from(!was_finished && retrieval.is_finished()));
                assert!(retrieval.delivered() >= delivered);
            }
        }
    }
}
