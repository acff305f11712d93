//! The recipient list of an INVITE (RFC 5366): the session description and the URIs of a body.

use bytes::Bytes;

use super::rejection::Rejection;
use crate::wire::mime::{self, Part};
use crate::wire::resource_lists::{self, ListError, ListLimits};
use crate::wire::sip::{Request, StatusCode};

/// The option tag of RFC 5366 4.
pub const OPTION: &str = "recipient-list-invite";
const LIST: &str = "application/resource-lists+xml";
const SDP: &str = "application/sdp";

/// What an INVITE carries in its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InviteBody {
    /// The session description, if there is one.
    pub sdp: Option<Bytes>,
    /// The resource list, if there is one (RFC 5363 5).
    pub list: Option<Bytes>,
}

/// Whether the body of an INVITE or re-INVITE holds a recipient list.
#[must_use]
pub fn present(request: &Request) -> bool {
    body(request).is_ok_and(|body| body.list.is_some())
}

/// Takes the body of an INVITE apart.
///
/// # Errors
/// 415 for types and encodings that are not understood, 400 for a broken multipart.
pub fn body(request: &Request) -> Result<InviteBody, Rejection> {
    let malformed = |what: &str| Rejection::because(StatusCode::BAD_REQUEST, format!("Malformed {what}"));
    if super::pager::coded(request) {
        return Err(Rejection::unsupported_encoding());
    }
    if request.body.is_empty() {
        return Ok(InviteBody::default());
    }
    let content_type = request
        .headers
        .content_type()
        .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
    // RFC 3261 20.15: a body that is not empty MUST have a Content-Type.
    let Some(content_type) = content_type else {
        return Err(malformed("Content-Type"));
    };
    let essence = content_type.essence();
    match essence.as_str() {
        SDP => Ok(InviteBody { sdp: Some(request.body.clone()), list: None }),
        LIST => Ok(InviteBody { sdp: None, list: Some(request.body.clone()) }),
        multipart if multipart.starts_with("multipart/") => {
            let boundary = content_type.params.value("boundary").ok_or_else(|| malformed("Content-Type"))?;
            let parts = mime::parts(&request.body, &boundary).map_err(|_| malformed("multipart body"))?;
            from_parts(&parts)
        }
        _ => Err(Rejection::unsupported_body()),
    }
}

fn from_parts(parts: &[Part]) -> Result<InviteBody, Rejection> {
    let sdp = mime::body_of(parts, SDP);
    let list = mime::body_of(parts, LIST);
    if sdp.is_none() && list.is_none() {
        return Err(Rejection::unsupported_body());
    }
    Ok(InviteBody { sdp, list })
}

/// The URIs of a recipient list, in its order, each once (byte for byte as they came).
///
/// # Errors
/// 400 for XML that is broken or names nobody, 413 for more than `max` entries.
pub fn uris(list: &[u8], max: usize) -> Result<Vec<String>, Rejection> {
    let limits = ListLimits { entries: max, ..ListLimits::default() };
    resource_lists::uris(list, limits).map_err(|error| match error {
        error if error.is_over_limit() => {
            Rejection::because(StatusCode::REQUEST_ENTITY_TOO_LARGE, "Recipient List Too Long")
        }
        ListError::Empty => Rejection::because(StatusCode::BAD_REQUEST, "Empty Recipient List"),
        other => Rejection::because(StatusCode::BAD_REQUEST, format!("Malformed Recipient List: {other}")),
    })
}
