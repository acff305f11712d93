//! The session in the store: opened with the first message, and anew where the store has given it up.

use std::cell::Cell;

use restante::store::{SessionDeposit, SessionId, Store, StoreError};

/// Which session messages go to.
#[derive(Default)]
pub(super) struct Draft(Cell<Option<SessionId>>);

impl Draft {
    /// The session, if there is one.
    pub(super) fn id(&self) -> Option<SessionId> {
        self.0.get()
    }

    /// The session; opened if there is none. One at a time asks.
    ///
    /// # Errors
    /// Those of [`Store::open_session`].
    pub(super) async fn opened(
        &self,
        store: &dyn Store,
        deposit: SessionDeposit,
    ) -> Result<SessionId, StoreError> {
        if let Some(session) = self.id() {
            return Ok(session);
        }
        let session = store.open_session(deposit).await?;
        self.0.set(Some(session));
        Ok(session)
    }

    /// What the store said to a message for `session`. Where it does not know the session any more, what it has of it is
    /// an item or will be one, and what follows begins another.
    pub(super) fn noted<T>(
        &self,
        session: SessionId,
        answer: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if matches!(answer, Err(StoreError::UnknownSession)) && self.id() == Some(session) {
            self.0.set(None);
        }
        answer
    }
}
