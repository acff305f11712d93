//! The body of a request, taken apart as far as it has to be understood (RFC 3261 8.2.3, RFC 5621).

use super::pager;
use super::rejection::Rejection;
use crate::wire::mime::{self, MimeError, Part};
use crate::wire::sip::{Request, StatusCode};

/// The parts of a body where the media types of `accept` are understood; none where it is empty.
///
/// # Errors
/// 415 for a coding, or a transfer encoding that is required and not understood; 400 for a broken multipart.
pub fn leaves(request: &Request, accept: &'static str) -> Result<Vec<Part>, Rejection> {
    let malformed = |what: &str| Rejection::because(StatusCode::BAD_REQUEST, format!("Malformed {what}"));
    if pager::coded(request) {
        return Err(Rejection::unsupported_encoding());
    }
    if request.body.is_empty() {
        return Ok(Vec::new());
    }
    let content_type = request
        .headers
        .content_type()
        .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
    // RFC 3261 20.15: a body that is not empty MUST have a Content-Type.
    let Some(content_type) = content_type else {
        return Err(malformed("Content-Type"));
    };
    if content_type.essence().starts_with("multipart/") && content_type.params.value("boundary").is_none() {
        return Err(malformed("Content-Type"));
    }
    Part::of(request).leaves().map_err(|error| match error {
        MimeError::TransferEncoding(_) => Rejection::unsupported_body(accept),
        MimeError::NoBoundary => malformed("Content-Type"),
        _ => malformed("multipart body"),
    })
}

/// Judges the body of a request that has no use for any.
///
/// # Errors
/// 415 for one that may not be ignored, 400 where that cannot be told.
pub fn none(request: &Request) -> Result<(), Rejection> {
    // RFC 3261 8.2.3: MUST be 415 with Accept, unless the body is optional; 20.1: an empty one accepts nothing.
    const NOTHING: &str = "";
    if request.body.is_empty() || !Part::of(request).is_required() {
        return Ok(());
    }
    let refused = mime::not_understood(&leaves(request, NOTHING)?, &[]).is_some();
    if refused { Err(Rejection::unsupported_body(NOTHING)) } else { Ok(()) }
}
