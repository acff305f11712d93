//! The other side of the store, without IO: what a client needs to deposit, to look what waits, and to
//! retrieve it.
//!
//! ```text
//!   SIP sockets  ──▶ UserAgent ── poll_event ──▶ who uses it
//!        ▲              │  Invitation, Subscription: each with its Dialog
//!        └ poll_transmit┘
//!   MSRP sockets ──▶ machine::msrp::Session ──▶ Reception ──▶ messages, unwrapped and in order
//!                                               Retrieval ──▶ which items are complete
//! ```
//!
//! It knows what RFC 3261, 3428, 3842, 4575, 4975, 5366 and 6665 ask of the asking side, and nothing of the
//! node beside it: `wire` ← `machine` ← `client`. The package `restante-node` has an asynchronous client
//! over it, and the commands `send`, `summary`, `fetch` and `chat`.

mod account;
mod arrival;
mod errand;
mod inbox;
mod invitation;
mod opening;
mod outbound;
mod pager;
mod reception;
mod refusal;
mod retrieval;
mod selection;
mod stray;
mod subscription;
mod subscription_event;
mod usage;
mod user_agent;

#[cfg(test)]
mod invitation_tests;
#[cfg(test)]
mod outbound_tests;
#[cfg(test)]
mod reception_tests;
#[cfg(test)]
mod subscription_tests;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod user_agent_tests;

pub use account::{Account, AccountError};
pub use inbox::{Inbox, WaitingItem};
pub use invitation::{Invitation, InvitationAction, InvitationEnd, InvitationEvent};
pub use opening::{Opening, identify};
pub use pager::PagerMessage;
pub use reception::{MessageHead, Reception, ReceptionEvent};
pub use refusal::Refusal;
pub use retrieval::{ItemState, Retrieval, RetrievedItem};
pub use selection::{Selection, message_id, message_uri};
pub use subscription::Subscription;
pub use subscription_event::{SubscriptionAction, SubscriptionEnd, SubscriptionEvent};
pub use usage::{Invite, Usage, UserAgentEvent};
pub use user_agent::{UserAgent, UserAgentConfig};
