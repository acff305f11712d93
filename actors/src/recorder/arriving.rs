//! A message of a session that is being deposited, until it is whole and in the store.

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use restante::entropy::Entropy;
use restante::focus::pager::{self, DepositRules};
use restante::store::{Body, MAX_INLINE, NewMessage, SessionDeposit, Staging, StoreError};
use restante::time::Timestamp;
use restante::wire::mime;

use super::draft::Draft;
use super::line::Place;
use crate::chance::Chance;
use crate::clock;
use crate::session::ReadCredit;
use crate::shared::Shared;

/// Bytes of a content by which is told whether it is text, where it is not in memory.
const HEAD: usize = 8 << 10;

/// A message that is not stored yet.
pub(super) struct Arriving {
    pub(super) message_id: Bytes,
    pub(super) content_type: Option<Bytes>,
    pub(super) headers: Vec<(Bytes, Bytes)>,
    pub(super) content: Content,
    /// The batch that brought bytes last, and how many of those in memory.
    brought: (usize, usize),
    /// Credit of the bytes in memory, once it is whole: of those that came with its end, and of those before.
    credit: [ReadCredit; 2],
    /// Behind the last byte that came.
    end: u64,
    /// When it came to be whole.
    received: Timestamp,
    pub(super) writing: usize,
    /// Its place among those that are whole.
    pub(super) place: Option<Place>,
    pub(super) failure: Option<StoreError>,
}

/// Small content is gathered in memory, larger content goes to the store as it comes.
pub(super) enum Content {
    Memory(BytesMut),
    /// With its first bytes.
    Staging(Box<dyn Staging>, BytesMut),
}

impl Arriving {
    /// A message whose first bytes are to come.
    pub(super) fn begun(
        message_id: Bytes,
        content_type: Option<Bytes>,
        headers: Vec<(Bytes, Bytes)>,
    ) -> Self {
        Self {
            message_id,
            content_type,
            headers,
            content: Content::Memory(BytesMut::new()),
            brought: (0, 0),
            credit: Default::default(),
            end: 0,
            received: clock::wall(),
            writing: 0,
            place: None,
            failure: None,
        }
    }

    /// A message that came whole, with the fields that describe its content.
    pub(super) fn whole(fields: Vec<(Bytes, Bytes)>, content: &[u8]) -> Self {
        let is_type = |(name, _): &(Bytes, Bytes)| name.eq_ignore_ascii_case(b"Content-Type");
        let content_type = fields.iter().find(|field| is_type(field)).map(|(_, value)| value.clone());
        let headers = fields.into_iter().filter(|field| !is_type(field)).collect();
        Self {
            content: Content::Memory(BytesMut::from(content)),
            ..Self::begun(Bytes::from(Chance.token(20)), content_type, headers)
        }
    }

    /// Whether all of it is there.
    pub(super) const fn is_whole(&self) -> bool {
        self.place.is_some()
    }

    /// Whether it is taken and not stored, as a message of its own would not be: that somebody types, say. What is not in
    /// memory is no such thing.
    pub(super) fn is_ignored(&self, rules: &DepositRules) -> bool {
        let essence = self.content_type.as_deref().map_or_else(String::new, mime::value);
        match &self.content {
            // A copy of what wraps it: such a message is small.
            Content::Memory(buffer) => {
                let head =
                    || Bytes::copy_from_slice(buffer.get(..buffer.len().min(HEAD)).unwrap_or_default());
                rules.ignores(|kind| kind.eq_ignore_ascii_case(&essence), head)
            }
            Content::Staging(..) => false,
        }
    }

    /// Keeps `bytes` of a `batch` in memory, if all that is there up to their end may be as large as `inline`; whether
    /// it does.
    pub(super) fn hold(&mut self, offset: u64, bytes: &[u8], batch: usize, inline: usize) -> bool {
        let before = if self.brought.0 == batch { self.brought.1 } else { 0 };
        self.brought = (batch, before + bytes.len());
        let end = offset.saturating_add(bytes.len() as u64);
        self.end = self.end.max(end);
        match &mut self.content {
            Content::Memory(buffer) if usize::try_from(end).is_ok_and(|end| end <= inline) => {
                put(buffer, offset, bytes);
                true
            }
            Content::Memory(_) | Content::Staging(..) => false,
        }
    }

    /// Goes over from memory to a place in the store, if it is not there yet; gives what memory held, which is
    /// to be written there.
    pub(super) fn spill(&mut self, stage: impl FnOnce() -> Box<dyn Staging>) -> Bytes {
        match &mut self.content {
            Content::Staging(..) => Bytes::new(),
            Content::Memory(buffer) => {
                let held = std::mem::take(buffer).freeze();
                let mut head = BytesMut::new();
                put_head(&mut head, 0, &held);
                self.content = Content::Staging(stage(), head);
                held
            }
        }
    }

    /// `bytes` go to the store; those at its beginning are kept in mind.
    pub(super) fn pass(&mut self, offset: u64, bytes: &[u8]) {
        if let Content::Staging(_, head) = &mut self.content {
            put_head(head, offset, bytes);
        }
    }

    /// All of it is there, and it has `size`; whether bytes are behind that which have to be cut off in the store. In
    /// memory it holds `credit` for all of its bytes, as far as there is some.
    // RFC 4975 7.3.1: the chunk with "$" defines the total length.
    pub(super) fn ends_at(&mut self, size: u64, credit: &ReadCredit) -> bool {
        self.received = clock::wall();
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        match &mut self.content {
            Content::Memory(buffer) => {
                buffer.truncate(most);
                let here = if self.brought.0 == credit.batch() { self.brought.1 } else { 0 };
                self.credit = [credit.clone(), credit.more(buffer.len().saturating_sub(here))];
                false
            }
            Content::Staging(_, head) => {
                head.truncate(most);
                self.end > size
            }
        }
    }
}

fn put_head(head: &mut BytesMut, offset: u64, bytes: &[u8]) {
    let left = HEAD.saturating_sub(usize::try_from(offset).unwrap_or(usize::MAX));
    put(head, offset, bytes.get(..left.min(bytes.len())).unwrap_or_default());
}

/// Puts `bytes` in their place; where they are none, there is no place.
fn put(buffer: &mut BytesMut, offset: u64, bytes: &[u8]) {
    let Ok(start) = usize::try_from(offset) else { return };
    let end = start.saturating_add(bytes.len());
    if bytes.is_empty() {
        return;
    }
    if buffer.len() < end {
        buffer.resize(end, 0);
    }
    if let Some(place) = buffer.get_mut(start..end) {
        place.copy_from_slice(bytes);
    }
}

/// Puts a whole message into the session `draft`, which is opened with the first; gives its size.
pub(super) async fn store(
    shared: Arc<Shared>,
    draft: Rc<Draft>,
    deposit: SessionDeposit,
    mut arriving: Arriving,
    mut place: Place,
) -> Result<u64, StoreError> {
    // Until the store has answered, as much less is read from the connection.
    let _credit = std::mem::take(&mut arriving.credit);
    let prepared = prepare(&shared, arriving).await;
    // Also what cannot be stored waits for its turn: who is behind it must not overtake who is before it.
    place.reached().await;
    let message = prepared?;
    let size = message.body.size();
    let _room = shared.appends.acquire().await.map_err(|_| StoreError::Busy)?;
    let session = draft.opened(&*shared.store, deposit).await?;
    let appending = shared.store.append(session, message);
    // It has its place in the session, and need not be there yet: what comes behind it may be written with it.
    drop(place);
    draft.noted(session, appending.await).map(|()| size)
}

/// What is to be stored, with a large content written.
async fn prepare(shared: &Shared, arriving: Arriving) -> Result<NewMessage, StoreError> {
    if let Some(failure) = arriving.failure {
        return Err(failure);
    }
    let essence = arriving.content_type.as_deref().map_or_else(|| "text/plain".to_owned(), mime::value);
    let is_text = |content: &Bytes| pager::content_is_text(&essence, content);
    let (body, text) = match arriving.content {
        Content::Memory(buffer) => {
            let content = buffer.freeze();
            let text = is_text(&content);
            (set_aside(shared, content).await?, text)
        }
        Content::Staging(staging, head) => (staging.finish().await?, is_text(&head.freeze())),
    };
    Ok(NewMessage {
        message_id: arriving.message_id,
        content_type: arriving.content_type,
        headers: arriving.headers,
        body,
        received: arriving.received,
        text,
    })
}

/// A large content is written before its message has its place: the store would do it behind that.
async fn set_aside(shared: &Shared, content: Bytes) -> Result<Body, StoreError> {
    if content.len() <= MAX_INLINE {
        return Ok(Body::Inline(content));
    }
    let staging = shared.store.stage();
    staging.write(0, content).await?;
    staging.finish().await
}
