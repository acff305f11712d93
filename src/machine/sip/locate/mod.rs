//! Which places a SIP URI, or a Via whose connection is gone, stands for: [`Locate`] (RFC 3263 4 and 5,
//! RFC 2782, RFC 7118 for WebSocket). It says what to ask of the DNS and orders what is found; who
//! asks, and how long, is its driver's affair.

mod machine;
mod records;
mod target;

#[cfg(test)]
mod tests;

pub use machine::Locate;
pub use records::{Answer, Naptr, NoAnswer, Question, Srv};
pub use target::{LocateError, Place, Target, TargetHost};
