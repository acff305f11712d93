//! One message between two who speak.

use serde::{Deserialize, Serialize};

/// What carried a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// SIP (RFC 3261).
    #[default]
    Sip,
    /// MSRP (RFC 4975).
    Msrp,
    /// A message between actors of the node: it was on no wire.
    Inside,
}

/// One message: when, between whom, and what it was. Its content is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrow {
    /// When, in microseconds since 1970-01-01T00:00:00Z.
    pub at_us: u64,
    /// What it belongs to: the Call-ID of the dialog or of the request.
    pub session: String,
    /// Who sent it.
    pub from: String,
    /// Who received it; the sender again for a note about one party.
    pub to: String,
    /// What carried it.
    pub carrier: Carrier,
    /// What it was, in a few words: `INVITE sip:bob@example.com`, `200 OK (INVITE)`.
    pub label: String,
}
