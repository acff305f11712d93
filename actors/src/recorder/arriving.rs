//! A message of a session that is being deposited, until it is whole and in the store.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use restante::focus::pager;
use restante::store::{Body, NewMessage, SessionDeposit, SessionId, Staging, StoreError};
use restante::wire::mime;
use tokio::sync::OnceCell;

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
