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
    /// The resource lists (RFC 5363 5), in order.
    pub lists: Vec<Bytes>,
}

/// Whether the body of an INVITE or re-INVITE holds a recipient list.
#[must_use]
pub fn present(request: &Request) -> bool {
    body(request).is_ok_and(|body| !body.lists.is_empty())
}

/// Takes the body of an INVITE apart.
///
/// # Errors
/// 415 for types, dispositions, encodings and codings that are required and not understood, 400 for a broken multipart.
pub fn body(request: &Request) -> Result<InviteBody, Rejection> {
    of_leaves(&body::leaves(request, ACCEPT)?)
}

fn of_leaves(leaves: &[Part]) -> Result<InviteBody, Rejection> {
    // RFC 5621 8.4, RFC 3261 8.2.3: a part that is required and not understood: 415.
    if let Some(part) = mime::not_understood(leaves, &[SDP, LIST]) {
        let kind = part.media_type();
        let readable = kind == SDP || kind == LIST || kind.starts_with("multipart/");
        let coded = readable && part.is_coded();
        return Err(if coded {
            Rejection::unsupported_encoding()
        } else {
            Rejection::unsupported_body(ACCEPT)
        });
    }
    Ok(InviteBody { sdp: mime::body_of(leaves, SDP), lists: mime::bodies_of(leaves, LIST) })
}

/// The URIs of recipient lists, in their order (byte for byte as they came).
///
/// # Errors
/// 400 for XML that is broken, or where all lists together name nobody, 413 for more than `max` entries.
pub fn uris(lists: &[Bytes], max: usize) -> Result<Vec<String>, Rejection> {
    let mut found = Vec::new();
    // RFC 5363 4.1: more than one recipient-list body part MUST be taken as one list that contains all their URIs.
    for list in lists {
        let limits = ListLimits { entries: max.saturating_sub(found.len()), ..ListLimits::default() };
        match resource_lists::uris(list, limits) {
            Ok(uris) => found.extend(uris),
            Err(ListError::Empty) => {}
            Err(error) => return Err(unusable(&error)),
        }
    }
    if found.is_empty() { Err(unusable(&ListError::Empty)) } else { Ok(found) }
}

fn unusable(error: &ListError) -> Rejection {
    match error {
        error if error.is_over_limit() => {
            Rejection::because(StatusCode::REQUEST_ENTITY_TOO_LARGE, "Recipient List Too Long")
        }
        ListError::Empty => Rejection::because(StatusCode::BAD_REQUEST, "Empty Recipient List"),
        other => Rejection::because(StatusCode::BAD_REQUEST, format!("Malformed Recipient List: {other}")),
    }
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
        let sdp = InviteBody { sdp: Some("v=0".into()), lists: Vec::new() };
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

    // proves RFC 3261 sections 8.2.3 and 20.12
    #[test]
    fn a_part_that_matters_is_in_no_content_coding() {
        let sdp = || Part::new("application/sdp", "v=0");
        let gzip = |part: Part| part.with("Content-Encoding", "gzip");
        let accepted = |parts: &[Part]| {
            let mut request = Request::new(Method::Invite, "sip:store");
            request.headers.push(HeaderName::ContentType, "multipart/mixed;boundary=o");
            request.body = mime::encode(parts, "o");
            body(&request).map_err(|refused| refused == Rejection::unsupported_encoding())
        };
        assert_eq!(accepted(&[gzip(sdp()), list(&["a"])]), Err(true));
        assert_eq!(accepted(&[sdp(), list(&["a"]), gzip(list(&["b"]))]), Err(true));
        let nested = gzip(Part::new("multipart/mixed;boundary=i", "?"));
        assert_eq!(accepted(&[sdp(), nested]), Err(true));
        assert_eq!(
            accepted(&[sdp(), gzip(Part::new("x/y", "?"))]),
            Err(false),
            "the type is not known either"
        );
        let plain = sdp().with("Content-Encoding", "Identity");
        let unused = gzip(Part::new("x/y", "?")).with("Content-Disposition", "icon;handling=optional");
        assert_eq!(accepted(&[plain, unused]).unwrap().sdp.unwrap(), "v=0");
        let either = mime::encode(&[sdp(), gzip(Part::new("application/sdp", "?"))], "a");
        let either = Part::new("multipart/alternative;boundary=a", either);
        assert_eq!(accepted(&[either]).unwrap().sdp.unwrap(), "v=0", "the other alternative is understood");
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
        assert_eq!(of(LIST, "<x/>", "recipient-list").unwrap().lists, ["<x/>"]);
    }

    /// A resource list of these users, as a body part.
    fn list(users: &[&str]) -> Part {
        let xml = resource_lists::encode(users.iter().map(|user| format!("sip:{user}@s")));
        Part::new(LIST, xml).with("Content-Disposition", "recipient-list")
    }

    fn users(parts: &[Part], max: usize) -> Result<String, u16> {
        let mut request = Request::new(Method::Invite, "sip:store");
        request.headers.push(HeaderName::ContentType, "multipart/mixed;boundary=o");
        request.body = mime::encode(parts, "o");
        let found = body(&request).and_then(|body| uris(&body.lists, max));
        found
            .map(|uris| uris.join(",").replace("sip:", "").replace("@s", ""))
            .map_err(|refused| refused.status.0)
    }

    // proves RFC 5363 section 4.1
    #[test]
    fn several_lists_are_one() {
        let sdp = Part::new("application/sdp", "v=0");
        let both = [list(&["a", "b"]), sdp, list(&["c"])];
        assert_eq!(users(&both, 3).unwrap(), "a,b,c");
        assert_eq!(users(&both, 2), Err(413), "the limit is that of all together");
        assert_eq!(users(&[list(&["a"]), list(&[])], 1).unwrap(), "a", "an empty one adds nothing");
        assert_eq!(users(&[list(&[]), list(&[])], 1), Err(400));
        let broken = Part::new(LIST, "<x/>").with("Content-Disposition", "recipient-list");
        assert_eq!(users(&[list(&["a"]), broken], 9), Err(400));
        // RFC 2046 5.1.4: of alternatives only one is meant, and it may consist of several.
        let two = mime::encode(&[list(&["d"]), list(&["e"])], "i");
        let either = mime::encode(&[list(&["c"]), Part::new("multipart/mixed;boundary=i", two)], "a");
        let chosen = Part::new("multipart/alternative;boundary=a", either);
        assert_eq!(users(&[list(&["a"]), chosen, list(&["f"])], 9).unwrap(), "a,d,e,f");
    }
}
