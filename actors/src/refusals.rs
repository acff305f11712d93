//! What a store's error, or a session description that cannot be met, means to who deposits or asks.

use bytes::Bytes;
use restante::focus::rejection::Rejection;
use restante::machine::offer_answer::Refusal;
use restante::store::StoreError;
use restante::wire::sip::{HeaderName, StatusCode};

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The sender asks for what cannot be had.
    Sender,
    /// The store, or the node.
    Store,
}

/// The SIP response to a request that the store could not serve.
#[must_use]
pub fn of_store(error: &StoreError, agent: &str) -> Rejection {
    match error {
        StoreError::QuotaItems { limit } => Rejection::mailbox_full(agent, &format!("{limit} items")),
        StoreError::QuotaBytes { limit } => Rejection::mailbox_full(agent, &format!("{limit} bytes")),
        StoreError::SenderItems { limit } => Rejection::no_more_of_sender(agent, &format!("{limit} items")),
        StoreError::SenderBytes { limit } => Rejection::no_more_of_sender(agent, &format!("{limit} bytes")),
        StoreError::TooLarge { .. } => Rejection::new(StatusCode::REQUEST_ENTITY_TOO_LARGE),
        StoreError::Gone => Rejection::not_found(),
        StoreError::Busy
        | StoreError::UnknownSession
        | StoreError::Damaged { .. }
        | StoreError::Locked { .. }
        | StoreError::Unavailable(_) => Rejection::unavailable_for_now(),
    }
}

/// The SIP response to an offer that cannot be answered (RFC 3261 20.43: with a Warning that says why).
#[must_use]
pub fn of_offer(refusal: &Refusal, agent: &str) -> Rejection {
    Rejection::new(StatusCode(refusal.status())).with(HeaderName::Warning, refusal.warning(agent))
}

/// The MSRP status of a message that could not be stored (RFC 4975 10), and whose fault that is.
#[must_use]
pub const fn msrp_of_store(error: &StoreError) -> (u16, Blame) {
    match error {
        StoreError::QuotaItems { .. }
        | StoreError::QuotaBytes { .. }
        | StoreError::SenderItems { .. }
        | StoreError::SenderBytes { .. }
        | StoreError::TooLarge { .. } => (413, Blame::Sender),
        // RFC 4975 10.4, 10.2: it may pass, as a request may be answered that was not in time; 403 would say that it never
        // will.
        _ => (408, Blame::Store),
    }
}

/// What the sender of a message that could not be stored is told: what he can mend. What the store suffers from, paths and
/// all, is for the log.
#[must_use]
pub fn comment_of_store(error: &StoreError) -> Bytes {
    match msrp_of_store(error).1 {
        Blame::Sender => Bytes::from(error.to_string()),
        Blame::Store => Bytes::from_static(b"The store failed"),
    }
}

/// Tells the log what the store would not serve. A store that has too much waiting is no error: it serves again.
macro_rules! store_failed {
    ($error:expr, $($line:tt)+) => {
        match $error {
            restante::store::StoreError::Busy => $crate::seldom::seldom!(warn, $($line)+),
            _ => $crate::seldom::seldom!(error, $($line)+),
        }
    };
}

pub(crate) use store_failed;

/// Counts a response that is sent.
pub fn count(status: StatusCode) {
    metrics::counter!("restante_sip_responses_total", "class" => status.class().label()).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_is_told_from_a_failing_store() {
        assert_eq!(
            of_store(&StoreError::QuotaItems { limit: 3 }, "store").status,
            StatusCode::TEMPORARILY_UNAVAILABLE
        );
        assert_eq!(of_store(&StoreError::Busy, "store").status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(msrp_of_store(&StoreError::QuotaBytes { limit: 3 }), (413, Blame::Sender));
        assert_eq!(msrp_of_store(&StoreError::Unavailable(String::new())), (408, Blame::Store));
        assert_eq!(msrp_of_store(&StoreError::Busy), (408, Blame::Store));
        let local = StoreError::Unavailable("/var/lib/restante/content: No space left".to_owned());
        assert_eq!(comment_of_store(&local), "The store failed");
        assert_eq!(comment_of_store(&StoreError::TooLarge { what: "it" }), "it is too large to be stored");
    }
}
