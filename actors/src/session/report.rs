//! What an MSRP session tells its Focus or Recorder.

use std::sync::Arc;

use bytes::Bytes;
use restante::focus::fan_out::Participant;
use restante::machine::msrp::IncomingId;
use tokio::sync::OwnedSemaphorePermit;

use super::underway::Place;

/// What the user of a session is told.
#[derive(Debug)]
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
        /// Whether he wants to be told that it is stored.
        answered: bool,
    },
    /// What the first chunk of a message, which came behind others, says of it: it counts.
    Described {
        /// Its number.
        id: IncomingId,
        /// Its Content-Type.
        content_type: Bytes,
        /// Its other headers.
        headers: Vec<(Bytes, Bytes)>,
    },
    /// Bytes of a message.
    Data {
        /// Whose.
        id: IncomingId,
        /// Where they belong, from 0.
        offset: u64,
        /// What they are.
        bytes: Bytes,
        /// Read credit of the connection, to be kept as long as the bytes are; but not until more of them come, which
        /// may be too much to be read without it.
        credit: ReadCredit,
    },
    /// A message is whole and waits for [`super::MsrpSession::judge`].
    Complete {
        /// Which one.
        id: IncomingId,
        /// Its size, in bytes.
        size: u64,
        /// Read credit of the bytes that came with its end; to be kept as long as the message is.
        credit: ReadCredit,
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

    /// Tells the batch from others, while somebody holds it.
    pub fn batch(&self) -> usize {
        self.permit.as_ref().map_or(0, |permit| Arc::as_ptr(permit).addr())
    }

    /// Takes as much more of the connection's credit as there is, up to `bytes`, for what came before this batch.
    pub fn more(&self, bytes: usize) -> Self {
        let permit = self.permit.as_ref().filter(|_| bytes > 0).and_then(|permit| {
            let credit = permit.semaphore();
            let there = u32::try_from(bytes.min(credit.available_permits())).unwrap_or(u32::MAX);
            Arc::clone(credit).try_acquire_many_owned(there).ok()
        });
        Self::new(permit)
    }
}
