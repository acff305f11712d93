//! SIP's state machines: the transactions of a user agent core ([`Endpoint`]), what two user agents
//! share ([`Dialog`]), a session somebody invited us to ([`InviteSession`]) and a subscription
//! somebody holds with us ([`Notifier`]). RFC 3261, 3581, 6026, 6665.
//!
//! ```text
//!   sockets ── handle_request, handle_response ──▶ Endpoint ── poll_event ──▶ user
//!      ▲                                            │    ▲                      │
//!      └────────────── poll_transmit ───────────────┘    └─ respond, request ───┤
//!                                                                               ▼
//!                                              InviteSession, Notifier (each with its Dialog)
//! ```

mod alarms;
mod attempts;
mod client;
mod described;
mod dialog;
mod endpoint;
mod event;
mod failed_places;
mod fingerprint;
mod in_dialog;
mod invite_session;
pub mod locate;
mod notifier;
mod pacing;
mod repeats;
mod reply;
mod server;
mod session_event;
mod slab;
mod stateless;
mod timers;
pub mod transactions;
mod transport;
mod unacknowledged;
mod unsent;
mod written;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod dialog_tests;
#[cfg(test)]
mod invite_session_tests;
#[cfg(test)]
mod lossy_tests;
#[cfg(test)]
mod notifier_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod test_support;

pub use attempts::{Attempts, NextAttempt, Outcome};
pub use dialog::{Dialog, Unfit};
pub use endpoint::Endpoint;
pub use event::{ClientTxn, EndpointConfig, EndpointEvent, FailureCause, ServerTxn, Transmit, TransmitId};
pub use failed_places::{FailedPlaces, Finding};
pub use invite_session::InviteSession;
pub use notifier::{NO_SHARING, Notifier, NotifierRecord, NotifyOutcome, Refreshed, TerminationReason};
pub use pacing::{Pacing, Turn};
pub use server::Terms;
pub use session_event::{Body, EndedBy, Rejection, SessionAction, SessionEvent};
pub use stateless::StatelessTags;
pub use timers::{Timer, Timers};
pub use transport::{Destination, Flow, Transport};
pub use unsent::Sender;
