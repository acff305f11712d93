//! Conformance of the wire formats: whole messages in, verdicts and the same bytes out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cuts;
mod hostile;
mod round_trip;
mod torture;
