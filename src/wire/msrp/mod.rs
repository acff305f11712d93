//! MSRP on the wire (RFC 4975 sections 6, 7 and 9): URIs, frame heads, and the framing of a byte
//! stream into [`Piece`]s. A *frame* is one request or response: a [`Head`], body bytes if there
//! are any, and an end-line. Knows neither sessions nor messages.

mod byte_range;
mod decoder;
mod encode;
pub(crate) mod end_line;
mod head;
mod parse;
mod response;
mod split;
mod uri;

#[cfg(test)]
mod tests;

pub use byte_range::ByteRange;
pub use decoder::{Decoder, DecoderLimits, FrameError, Piece};
pub use encode::{SendHead, encode_end};
pub use head::{Continuation, DEFERRED_MESSAGE_ID, FailureReport, FrameKind, Head, Status};
pub(crate) use response::reply_path;
pub use response::{comment_of, encode_response, refuse};
pub use split::frames;
pub use uri::{MsrpUri, UriError};
