//! Protocol state machines without IO. One contract for all: getters; `handle_*` (input, `now`);
//! commands; `poll_transmit`, `poll_event`, `poll_timeout`. Every mutation is followed by a
//! complete drain of the polls.

pub mod digest;
pub mod msrp;
pub mod offer_answer;
pub mod sip;
