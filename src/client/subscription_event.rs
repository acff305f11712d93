//! What a subscription wants done ([`SubscriptionAction`]) and tells ([`SubscriptionEvent`]).

use std::time::Duration;

use super::refusal::Refusal;
use crate::machine::sip::{Body, FailureCause, ServerTxn};
use crate::wire::sip::{Request, Response};

/// What a subscription wants done.
#[derive(Clone, Debug)]
pub enum SubscriptionAction {
    /// Send a SUBSCRIBE; what comes of it goes to [`super::Subscription::handle_response`] and
    /// [`super::Subscription::handle_failed`].
    Subscribe(Request),
    /// Subscribe anew, by [`super::Subscription::anew`].
    Anew,
    /// Answer a NOTIFY.
    Respond(ServerTxn, Response),
}

/// What a subscription tells its user.
#[derive(Debug)]
pub enum SubscriptionEvent {
    /// It is accepted for so long.
    Accepted(Duration),
    /// The state, or what changed of it.
    Notified(Body),
    /// It is interrupted, and asked for again until that succeeds; told once. The end is that of the dialog or request.
    Interrupted(SubscriptionEnd),
    /// The subscription is over. Nothing follows.
    Ended(SubscriptionEnd),
}

/// How a subscription came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// The SUBSCRIBE was refused.
    Refused(Refusal),
    /// A SUBSCRIBE was not answered, or no NOTIFY came for it.
    Failed(FailureCause),
    /// The notifier ended it: its reason, and when to try again (RFC 6665 4.1.3).
    Terminated {
        /// `deactivated`, `noresource`, `timeout` ...; empty where none was told.
        reason: String,
        /// Not before so long.
        retry_after: Option<Duration>,
    },
    /// It was unsubscribed, or the state was fetched.
    Done,
}
