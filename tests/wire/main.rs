//! Conformance of the wire formats: whole messages in, verdicts and the same bytes out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../fuzz/src/lib.rs"]
mod properties;

mod corpus;
mod cuts;
mod differential;
mod hostile;
mod round_trip;
mod torture;
