//! Bytes to values and back, without state: SIP, MSRP, SDP, MIME, CPIM, resource lists, message
//! summaries and conference information.

pub mod conference_info;
pub mod cpim;
pub mod date;
pub mod fingerprint;
pub mod line;
pub mod message_summary;
pub mod mime;
pub mod msrp;
pub mod resource_lists;
pub mod sdp;
pub mod sip;
pub mod xml;
