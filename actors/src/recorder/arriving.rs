//! A message of a session that is being deposited, until it is whole and in the store.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use restante::entropy::Entropy;
use restante::focus::pager;
use restante::store::{Body, NewMessage, SessionDeposit, SessionId, Staging, StoreError};
use restante::wire::mime;
use tokio::sync::OnceCell;

use crate::chance::Chance;
use crate::clock;
use crate::shared::Shared;

/// A message that is not yet whole.
pub(super) struct Arriving {
    pub(super) message_id: Bytes,
    pub(super) content_type: Option<Bytes>,
    pub(super) headers: Vec<(Bytes, Bytes)>,
    pub(super) content: Content,
    pub(super) writing: usize,
    pub(super) complete: bool,
    pub(super) failure: Option<StoreError>,
}

/// Small content is gathered in memory, larger content goes to the store as it comes.
pub(super) enum Content {
    Memory(BytesMut),
    Staging(Box<dyn Staging>),
}

impl Arriving {
    /// A message whose first bytes are to come.
    pub(super) fn begun(
        message_id: Bytes,
        content_type: Option<Bytes>,
        headers: Vec<(Bytes, Bytes)>,
    ) -> Self {
        let content = Content::Memory(BytesMut::new());
        Self { message_id, content_type, headers, content, writing: 0, complete: false, failure: None }
    }

    /// A message that came whole, with the fields that describe its content.
    pub(super) fn whole(fields: Vec<(Bytes, Bytes)>, content: &[u8]) -> Self {
        let is_type = |(name, _): &(Bytes, Bytes)| name.eq_ignore_ascii_case(b"Content-Type");
        let content_type = fields.iter().find(|field| is_type(field)).map(|(_, value)| value.clone());
        let headers = fields.into_iter().filter(|field| !is_type(field)).collect();
        Self {
            content: Content::Memory(BytesMut::from(content)),
            complete: true,
            ..Self::begun(Bytes::from(Chance.token(20)), content_type, headers)
        }
    }

    /// Keeps `bytes` in memory, if all that is there up to their end may be as large as `inline`; whether it
    /// does.
    pub(super) fn hold(&mut self, offset: u64, bytes: &[u8], inline: usize) -> bool {
        let Content::Memory(buffer) = &mut self.content else { return false };
        let end = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(bytes.len());
        if end > inline {
            return false;
        }
        if buffer.len() < end {
            buffer.resize(end, 0);
        }
        if let Some(place) = buffer.get_mut(end - bytes.len()..end) {
            place.copy_from_slice(bytes);
        }
        true
    }

    /// Goes over from memory to a place in the store, if it is not there yet; gives what memory held, which is
    /// to be written there.
    pub(super) fn spill(&mut self, stage: impl FnOnce() -> Box<dyn Staging>) -> Bytes {
        match &mut self.content {
            Content::Staging(_) => Bytes::new(),
            Content::Memory(buffer) => {
                let held = std::mem::take(buffer).freeze();
                self.content = Content::Staging(stage());
                held
            }
        }
    }
}

/// Puts a whole message into the session `draft`, which is opened with the first; gives its size.
pub(super) async fn store(
    shared: Arc<Shared>,
    draft: Arc<OnceCell<SessionId>>,
    deposit: SessionDeposit,
    arriving: Arriving,
) -> Result<u64, StoreError> {
    if let Some(failure) = arriving.failure {
        return Err(failure);
    }
    let essence = arriving.content_type.as_deref().map_or_else(|| "text/plain".to_owned(), mime::value);
    let (body, text) = match arriving.content {
        Content::Memory(buffer) => {
            let content = buffer.freeze();
            let text = pager::content_is_text(&essence, &content);
            (Body::Inline(content), text)
        }
        Content::Staging(staging) => {
            (staging.finish().await?, pager::content_is_text(&essence, &Bytes::new()))
        }
    };
    let size = body.size();
    let session = *draft.get_or_try_init(|| shared.store.open_session(deposit)).await?;
    let message = NewMessage {
        message_id: arriving.message_id,
        content_type: arriving.content_type,
        headers: arriving.headers,
        body,
        received: clock::wall(),
        text,
    };
    shared.store.append(session, message).await?;
    Ok(size)
}
