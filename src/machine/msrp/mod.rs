//! One MSRP session as a state machine (RFC 4975 sections 5, 7 and 10): a sender, a receiver, and
//! the transactions between them. Neither opens connections nor finds the session of a frame.

mod config;
mod coverage;
mod event;
mod outbox;
mod receiver;
mod reply;
mod sender;
mod session;
mod token;
mod transaction;
mod window;

#[cfg(test)]
mod pair_tests;
#[cfg(test)]
mod receiver_tests;
#[cfg(test)]
mod sender_tests;
#[cfg(test)]
mod testing;

pub use crate::wire::msrp::refuse;
pub use config::{SessionConfig, SessionLimits};
pub use event::{DropCause, Event, IncomingId, Outgoing, OutgoingId, SessionFailure, Verdict};
pub use session::Session;
pub use window::Window;
