//! SIP on the wire (RFC 3261 7, 19, 20, 25): messages, header fields and URIs as values, read from
//! datagrams and streams, and written.
//!
//! What came is kept as it came: URIs are not decoded, unknown header fields and bytes that are no
//! UTF-8 survive, all pieces share the buffer they were received in. Header fields are read when
//! they are asked for, and in place: a value is split where it stands, and only what somebody keeps is
//! taken out of it. Transactions and dialogs are not known here.

mod auth_param;
mod challenge;
mod credentials;
mod cseq;
mod datagram;
mod digits;
mod error;
mod escape;
mod event;
mod fields;
mod grammar;
mod head;
mod header_name;
mod headers;
mod host;
#[cfg(test)]
mod in_place_tests;
mod media_type;
mod message;
mod method;
mod name_addr;
mod params;
mod privacy;
mod status;
mod stream;
mod uri;
mod validate;
mod via;

pub use challenge::Challenge;
pub use credentials::{Credentials, NonceCount, realm_of};
pub use cseq::CSeq;
pub use datagram::parse_datagram;
pub use error::{HeaderError, Limits, ParseError, UriError};
pub use escape::{escape_user, unescape};
pub use event::Event;
pub(super) use grammar::is_token;
pub use header_name::HeaderName;
pub use headers::{Header, Headers};
pub use host::Host;
pub use media_type::MediaType;
pub use message::{Message, Request, Response};
pub use method::Method;
pub use name_addr::{NameAddr, tag_of};
pub use params::Params;
pub use status::{StatusClass, StatusCode};
pub use stream::{StreamDecoder, StreamEvent};
pub use uri::{Scheme, SipUri};
pub use validate::{validate, validate_response};
pub use via::{MAGIC_COOKIE, Via, stamp_via};
