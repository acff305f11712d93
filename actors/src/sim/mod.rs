//! Whole nodes in virtual time: the real actors and links on one thread, over a network and a store in
//! memory that misbehave as a seed draws it, among clients that do too.
//!
//! Every seed is a story: senders, owners with several devices, and strangers do what they do while the
//! network loses, repeats, delays and cuts, the store is slow and fails, the wall clock jumps, and the node
//! is killed or stopped and started again. Then it is calm, all that is left is retrieved, and the audit
//! follows: nothing that was acknowledged is lost or stored twice; nothing is delivered to anybody but its owner;
//! nothing is old of which the owner has not acknowledged every message; no request is answered twice in
//! two ways, or never; subscribers were told what is true in the end; nothing is left that should have
//! ended; nothing panicked.
//!
//! `cargo test -p restante-node --lib sim` tells as many as take some ten seconds, with `--release` ten thousand. `SIMULATION_SEEDS=100000` tells more,
//! `SIMULATION_SEED=17` tells one and writes down what happens. A story that ends badly names its seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod asking;
mod call;
mod crossing;
mod deposits;
mod dialog;
mod dice;
mod leaving;
mod ledger;
mod line;
pub(crate) mod net;
mod overload;
mod owner;
mod peer;
mod proxy;
mod sabotage;
mod sender;
mod sharing;
mod stopping;
mod store;
mod story;
mod stranger;
mod taking;
mod ua;
mod world;
