//! Messages that come over an MSRP session: [`Reception`] puts their bytes in order, unwraps message/cpim
//! (RFC 3862), and says which item each belongs to.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::arrival::{Arrival, Told};
use crate::machine::msrp::{DropCause, Event, IncomingId};

/// What is known of a message before its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageHead {
    /// The Message-ID of the item it belongs to, where the store tells it.
    pub item: Option<String>,
    /// Its own MSRP Message-ID.
    pub message_id: String,
    /// The type of the content.
    pub content_type: String,
    /// The Content-Disposition of the content.
    pub disposition: Option<String>,
    /// The transfer encoding (RFC 2045 6) that the content is still in: it could not be undone.
    pub transfer_encoding: Option<String>,
    /// From whom: `Name <uri>`.
    pub from: Option<String>,
    /// To whom: `Name <uri>`.
    pub to: Option<String>,
    /// About what.
    pub subject: Option<String>,
    /// When it was sent: RFC 3339.
    pub date: Option<String>,
    /// Bytes of the content, as far as its sender said.
    pub size: Option<u64>,
}

/// What happens to messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceptionEvent {
    /// A message begins.
    Begun {
        /// Its name from now on.
        id: IncomingId,
        /// What is known of it.
        head: Box<MessageHead>,
    },
    /// The next bytes of its content, in order.
    Data {
        /// The message.
        id: IncomingId,
        /// The bytes.
        bytes: Bytes,
    },
    /// It is whole. Keep it safe, then answer it: `Session::answer` with `Verdict::Stored`.
    Complete {
        /// The message.
        id: IncomingId,
    },
    /// It will not be completed.
    Dropped {
        /// The message.
        id: IncomingId,
        /// Why.
        cause: DropCause,
    },
    /// It is to be refused with 413: it came in a way that needs too much memory, or it does not end where its last
    /// chunk says.
    Unwanted {
        /// The message.
        id: IncomingId,
    },
}

/// The messages of one session.
#[derive(Debug, Default)]
pub struct Reception {
    arriving: BTreeMap<IncomingId, Arrival>,
    events: VecDeque<ReceptionEvent>,
}

impl Reception {
    /// Nothing has come yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<ReceptionEvent> {
        self.events.pop_front()
    }

    /// Takes what the session tells; what is not about messages received is given back.
    pub fn handle_event(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Started { id, message_id, content_type, headers, total, .. } => {
                let content_type = content_type.unwrap_or_default();
                self.arriving.insert(id, Arrival::new(message_id, content_type, headers, total));
            }
            Event::Described { id, content_type, headers } => {
                if let Some(arrival) = self.arriving.get_mut(&id) {
                    arrival.describe(content_type, headers);
                }
            }
            Event::Data { id, offset, bytes } => self.data(id, offset, bytes),
            Event::Complete { id, size } => {
                if let Some(mut arrival) = self.arriving.remove(&id) {
                    let mut told = Vec::new();
                    let finished = arrival.finish(size, &mut told);
                    self.tell(id, told);
                    self.events.push_back(match finished {
                        Ok(()) => ReceptionEvent::Complete { id },
                        Err(_) => ReceptionEvent::Unwanted { id },
                    });
                }
            }
            Event::Dropped { id, cause } => {
                if self.arriving.remove(&id).is_some() {
                    self.events.push_back(ReceptionEvent::Dropped { id, cause });
                }
            }
            other => return Some(other),
        }
        None
    }

    fn data(&mut self, id: IncomingId, offset: u64, bytes: Bytes) {
        let Some(arrival) = self.arriving.get_mut(&id) else { return };
        let mut told = Vec::new();
        let pushed = arrival.push(offset, bytes, &mut told);
        self.tell(id, told);
        if pushed.is_err() {
            self.arriving.remove(&id);
            self.events.push_back(ReceptionEvent::Unwanted { id });
        }
    }

    fn tell(&mut self, id: IncomingId, told: Vec<Told>) {
        self.events.extend(told.into_iter().map(|told| match told {
            Told::Head(head) => ReceptionEvent::Begun { id, head },
            Told::Data(bytes) => ReceptionEvent::Data { id, bytes },
        }));
    }
}
