//! What is measured, group by group.

mod cores;
mod deposits;
mod idle;
mod large;
mod latency;
mod limits;
mod list;
mod rivals;
mod sessions;
mod start;
mod store;
mod summaries;

use crate::board::Board;
use crate::size::Size;

/// A group: its name, what it measures, and how.
pub type Group = (&'static str, &'static str, fn(&Size, &mut Board));

pub const ALL: &[Group] = &[
    ("limits", "what the machine can do: relay and echo over loopback", limits::run),
    ("deposits", "pager messages over UDP and TCP, beside the store alone", deposits::run),
    ("rivals", "the same deposits, beside Kamailio's msilo and Dovecot's LMTP", rivals::run),
    (
        "latency",
        "how long a deposit takes at fixed rates, and at half of what the node can take",
        latency::run,
    ),
    ("sessions", "sessions deposited, beside the relay", sessions::run),
    (
        "list",
        "retrieval of one, of 100 and of 1000 small messages, beside IMAP's FETCH and msilo's dump",
        list::run,
    ),
    ("large", "retrieval of large messages, beside the relay and IMAP's FETCH", large::run),
    ("summaries", "subscribers that are told while deposits go on", summaries::run),
    ("idle", "memory of sessions and subscriptions that wait", idle::run),
    ("start", "a node that starts with many items", start::run),
    ("cores", "the same load on one core and on more, the load driver kept off them", cores::run),
];
