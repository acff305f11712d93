//! What an MSRP session tells its Focus or Recorder.

use std::sync::Arc;

use actix::Message;
use bytes::Bytes;
use restante::focus::fan_out::Participant;
use restante::machine::msrp::IncomingId;
use tokio::sync::OwnedSemaphorePermit;

use super::underway::Place;

/// What the user of a session is told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum SessionReport {
    /// The connection is usable: the client's first frame came, or ours is open.
    Bound,
    /// A message begins to arrive.
    Started {
        /// Its number.
        id: IncomingId,
        /// Its Message-ID.
        message_id: Bytes,
        /// Its Content-Type.
        content_type: Option<Bytes>,
        /// Its other headers.
        headers: Vec<(Bytes, Bytes)>,
        /// Its size, where the sender told it.
        total: Option<u64>,
    },
    /// Bytes of a message.
    Data {
        /// Whose.
        id: IncomingId,
        /// Where they belong, from 0.
        offset: u64,
        /// What they are.
        bytes: Bytes,
        /// Read credit of the connection; to be kept as long as the bytes are.
        credit: ReadCredit,
    },
    /// A message is whole and waits for [`super::Judge`].
    Complete {
        /// Which one.
        id: IncomingId,
        /// Its size, in bytes.
        size: u64,
    },
    /// A message will not become whole.
    Dropped {
        /// Which one.
        id: IncomingId,
    },
    /// The client has acknowledged these messages: each is of a participant, at a place in its item.
    Delivered(Vec<Place>),
    /// The client has refused a message of this participant with an MSRP status.
    Refused(Participant, u16),
    /// So many pieces have left.
    Credit(usize),
    /// The connection is gone, or could not be made; another may take its place, by [`super::Join`] or by itself.
    Lost(&'static str),
    /// The client has opened another connection for a session that had lost its own.
    Rejoined,
    /// The session is over.
    Ended(&'static str),
}

/// Credit to read on, shared by the bytes of one batch.
#[derive(Clone, Debug, Default)]
pub struct ReadCredit {
    permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl ReadCredit {
    /// The credit of a batch.
    pub(super) fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { permit: permit.map(Arc::new) }
    }

    /// How many bytes it is.
    pub fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, |permit| permit.num_permits())
    }

    /// Whether it is the credit of the same batch.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.permit, &other.permit) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}
