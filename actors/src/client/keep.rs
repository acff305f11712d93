//! Where fetched messages are kept: [`Keep`], and [`InMemory`].

use std::collections::HashMap;
use std::io;

use bytes::{Bytes, BytesMut};
use restante::client::{MessageHead, RetrievedItem};
use restante::machine::msrp::IncomingId;

/// A place for messages that arrive. Several may arrive at once, in pieces.
///
/// An error refuses the message: its item stays new at the store.
pub trait Keep: Send {
    /// A message begins: the `number`th of `item`, counted from 0.
    ///
    /// # Errors
    /// It cannot or must not be kept.
    fn begin(&mut self, id: IncomingId, item: &str, number: usize, head: &MessageHead) -> io::Result<()>;

    /// The next bytes of its content.
    ///
    /// # Errors
    /// They cannot be kept.
    fn data(&mut self, id: IncomingId, bytes: &Bytes) -> io::Result<()>;

    /// It is whole: when this returns, it must be safe. Only then the store is told.
    ///
    /// # Errors
    /// It cannot be kept.
    fn commit(&mut self, id: IncomingId) -> io::Result<()>;

    /// It will not be completed.
    fn discard(&mut self, id: IncomingId);

    /// How far the retrieval is. Called often.
    fn progress(&mut self, _items: &[RetrievedItem]) {}
}

/// A message that was fetched into memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The Message-ID of its item.
    pub item: String,
    /// Which message of the item it is, from 0.
    pub number: usize,
    /// What is known of it.
    pub head: MessageHead,
    /// The content.
    pub content: Bytes,
}

/// Keeps messages in memory, up to a limit of bytes in all.
#[derive(Debug)]
pub struct InMemory {
    left: usize,
    arriving: HashMap<IncomingId, (ReceivedMessage, BytesMut)>,
    messages: Vec<ReceivedMessage>,
}

impl InMemory {
    /// Keeps up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { left: limit, arriving: HashMap::new(), messages: Vec::new() }
    }

    /// Takes out the first message that is whole.
    pub(super) fn take_first(&mut self) -> Option<ReceivedMessage> {
        (!self.messages.is_empty()).then(|| {
            let message = self.messages.remove(0);
            self.left += message.content.len();
            message
        })
    }

    /// What was fetched, in the order in which it became whole.
    #[must_use]
    pub fn into_messages(self) -> Vec<ReceivedMessage> {
        self.messages
    }
}

impl Keep for InMemory {
    fn begin(&mut self, id: IncomingId, item: &str, number: usize, head: &MessageHead) -> io::Result<()> {
        let message =
            ReceivedMessage { item: item.to_owned(), number, head: head.clone(), content: Bytes::new() };
        self.arriving.insert(id, (message, BytesMut::new()));
        Ok(())
    }

    fn data(&mut self, id: IncomingId, bytes: &Bytes) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if let Some((_, content)) = self.arriving.get_mut(&id) {
            content.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn commit(&mut self, id: IncomingId) -> io::Result<()> {
        if let Some((message, content)) = self.arriving.remove(&id) {
            self.messages.push(ReceivedMessage { content: content.freeze(), ..message });
        }
        Ok(())
    }

    fn discard(&mut self, id: IncomingId) {
        if let Some((_, content)) = self.arriving.remove(&id) {
            self.left += content.len();
        }
    }
}
