//! Acceptance of the whole node: the real binary over real sockets, seen by a peer that shares no code with it.
//!
//! Every test has a node of its own, with ports and data of its own. What is waited for is a condition with a deadline, and
//! never a span that should do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../skipped.rs"]
mod skipped;
mod support;
#[path = "../text.rs"]
mod text;

mod all;
mod asserted;
mod challenge;
mod client;
mod conference;
mod crash;
mod deposit;
mod deposit_limits;
mod deposit_repeat;
mod examples;
mod fairness;
mod figure1;
mod forgery;
mod hostile;
mod in_dialog;
mod kamailio;
mod ladder;
mod limits;
mod list;
mod locate;
mod operators;
mod privacy;
mod process;
mod proxy;
mod rates;
mod reinvite;
mod rejection;
mod retrieval;
mod retrieval_content;
mod retrieval_failure;
mod routing;
mod self_test;
mod session_chunks;
mod session_deposit;
mod session_refusal;
mod session_report;
mod session_setup;
mod sipp;
mod stateless;
mod subscription;
mod summary;
mod summary_change;
mod supervision;
mod tls;
mod tools;
mod transport;
mod tshark;
mod users;
mod web;
