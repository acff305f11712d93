//! The clients' side: just what has to be said to the node and to what it is compared with. None of it shares
//! code with the node.

pub mod flood;
pub mod imap;
pub mod msrp;
pub mod sip;
pub mod template;
pub mod watcher;
