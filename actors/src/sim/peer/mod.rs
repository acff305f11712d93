//! The words of the clients: SIP, MSRP, SDP and CPIM as the whole-node tests write and read them, which
//! share no code with the node.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub(crate) mod clock;
#[path = "../../../../tests/node/support/cpim.rs"]
pub(crate) mod cpim;
#[path = "../../../../tests/node/support/frame.rs"]
pub(crate) mod frame;
#[path = "../../../../tests/node/support/sdp.rs"]
pub(crate) mod sdp;
#[path = "../../../../tests/node/support/sip.rs"]
pub(crate) mod sip;
