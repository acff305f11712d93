//! The service's own rules: who may reach which mailbox, what a deposit keeps, what a summary
//! shows, how a retrieval fans out over its virtual user agents. Built upon [`crate::wire`],
//! [`crate::machine`] and [`crate::store`]; no IO of its own.

pub mod acknowledged;
pub mod belongs;
pub mod body;
pub mod conference;
pub mod conference_subscriptions;
pub mod delivery;
pub mod expiry_clock;
pub mod fan_out;
pub mod identity;
pub mod intent;
pub mod lockout;
pub mod pager;
pub mod privacy;
pub mod realm;
pub mod recipient_list;
pub mod rejection;
pub mod retrieval;
pub mod session_deposit;
pub mod subscriber;
pub mod subscription_terms;
pub mod subscriptions;
pub mod summary;

/// What the body of one NOTIFY holds at most, if what it tells can be divided and no less is configured: with the header fields it
/// fits a datagram, by which alone some subscribers can be told, and it is far from filling a connection that others share.
pub const NOTIFY_BODY: usize = 48 << 10;
