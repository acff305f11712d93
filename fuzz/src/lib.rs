//! What must hold for whatever arrives: the properties that the fuzz targets, and the tests that replay
//! the corpus, check.
//!
//! Each property takes bytes and panics where it does not hold. Those of parsers take them as they are,
//! so that any message is a seed; those of machines read decisions out of them ([`choices`]). Whatever
//! is drawn beside them (where a stream is cut) comes from a hash of the bytes: the same bytes, the same run.

pub mod bodies;
pub mod choices;
pub mod differential;
pub mod dns;
pub mod msrp;
pub mod msrp_session;
pub mod sip;
pub mod user_agent;
pub mod values;

/// A property: its name, which is that of its target and of its folder in the corpus, and its check.
pub type Property = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Property] = &[
    ("sip_datagram", sip::datagram),
    ("sip_stream", sip::stream),
    ("sip_uri", values::uri),
    ("name_addr", values::name_addr),
    ("via", values::via),
    ("digest", values::digest),
    ("date", values::date),
    ("sdp", bodies::sdp),
    ("mime", bodies::mime),
    ("cpim", bodies::cpim),
    ("resource_lists", bodies::resource_lists),
    ("message_summary", bodies::message_summary),
    ("conference_info", bodies::conference_info),
    ("msrp_stream", msrp::stream),
    ("msrp_uri", msrp::uri),
    ("msrp_session", msrp_session::check),
    ("user_agent", user_agent::check),
    ("locate", dns::locate),
    ("differential", differential::check),
];
