//! The recipient list of an INVITE (RFC 5366): the session description and the URIs of a body.

use bytes::Bytes;

use super::body;
use super::rejection::{ACCEPT, Rejection};
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
/// 415 for types, dispositions and encodings that are required and not understood, 400 for a broken multipart.
pub fn body(request: &Request) -> Result<InviteBody, Rejection> {
    of_leaves(&body::leaves(request, ACCEPT)?)
}

fn of_leaves(leaves: &[Part]) -> Result<InviteBody, Rejection> {
    // RFC 5621 8.4, RFC 3261 8.2.3: a part that is required and not understood: 415.
    if mime::not_understood(leaves, &[SDP, LIST]).is_some() {
        return Err(Rejection::unsupported_body(ACCEPT));
    }
    let body = InviteBody { sdp: mime::body_of(leaves, SDP), list: mime::body_of(leaves, LIST) };
    let is_used = body.sdp.is_some() || body.list.is_some();
    // RFC 5621 8.4: also where the type is understood, but not the disposition.
    if !is_used && leaves.iter().any(Part::is_required) {
        return Err(Rejection::unsupported_body(ACCEPT));
    }
    Ok(body)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::sip::{HeaderName, Method};

    fn invite(
        content_type: &'static str,
        content: &'static str,
        more: &[(HeaderName, &'static str)],
    ) -> Request {
        let mut request = Request::new(Method::Invite, "sip:store");
        request.headers.push(HeaderName::ContentType, content_type);
        more.iter().for_each(|(name, value)| request.headers.push(name.clone(), *value));
        request.body = Bytes::from_static(content.as_bytes());
        request
    }

    fn multipart(parts: &'static str) -> Result<InviteBody, u16> {
        body(&invite("multipart/mixed;boundary=b", parts, &[])).map_err(|refused| refused.status.0)
    }

    // proves RFC 5621 sections 3.2 and 8.4
    #[test]
    fn parts_are_decoded_and_what_is_required_is_understood() {
        let sdp = InviteBody { sdp: Some("v=0".into()), list: None };
        let encoded =
            "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n--b--";
        assert_eq!(multipart(encoded).unwrap(), sdp);
        let unknown =
            "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\nContent-Type: x/y\r\n\r\n?\r\n--b--";
        assert_eq!(multipart(unknown), Err(415));
        let optional = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\nContent-Type: x/y\r\n\
            Content-Disposition: icon;handling=optional\r\n\r\n?\r\n--b--";
        assert_eq!(multipart(optional).unwrap(), sdp);
        let broken =
            "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\n?\r\n--b--";
        assert_eq!(multipart(broken), Err(415));
        assert_eq!(multipart("--b\r\n"), Err(400));
    }

    // proves RFC 3261 section 8.2.3
    #[test]
    fn a_body_that_may_be_ignored_is() {
        let of = |kind, content, disposition| {
            let more = [(HeaderName::ContentDisposition, disposition)];
            body(&invite(kind, content, &more)).map_err(|refused| refused.status.0)
        };
        assert_eq!(of("x/y", "?", "icon;handling=optional"), Ok(InviteBody::default()));
        assert_eq!(of("x/y", "?", "icon"), Err(415));
        assert_eq!(of("application/sdp", "v=0", "session").unwrap().sdp.unwrap(), "v=0");
        assert_eq!(of("application/sdp", "v=0", "early-session"), Err(415));
        assert_eq!(of(LIST, "<x/>", "recipient-list").unwrap().list.unwrap(), "<x/>");
    }
}
