//! MSRP on the wire (RFC 4975 sections 6, 7 and 9): URIs and frame heads.

mod byte_range;
mod head;
mod uri;

pub use byte_range::ByteRange;
pub use head::{Continuation, FailureReport, FrameKind, Head, Status};
pub use uri::{MsrpUri, UriError};
