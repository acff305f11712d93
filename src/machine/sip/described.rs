//! What the body of a request says of a session: whatever else there is in it, an offer or an answer is a session
//! description (RFC 3264, RFC 3261 13.2.1; RFC 5621 8.4).

use bytes::Bytes;

use crate::wire::mime::{self, Part};
use crate::wire::sip::Request;

const SDP: &str = "application/sdp";

/// The parts of a body; `None` where it cannot be taken apart.
fn leaves(request: &Request) -> Option<Vec<Part>> {
    match request.body.is_empty() {
        true => Some(Vec::new()),
        false => Part::of(request).leaves().ok(),
    }
}

/// The session description in a body: as the whole of it, or as a part.
pub(super) fn description(request: &Request) -> Option<Bytes> {
    mime::body_of(&leaves(request)?, SDP)
}

/// Whether a body holds nothing but what may be ignored.
pub(super) fn is_of_no_account(request: &Request) -> bool {
    leaves(request)
        .is_some_and(|leaves| mime::not_understood(&leaves, &[]).is_none() && !has_session(&leaves))
}

fn has_session(leaves: &[Part]) -> bool {
    mime::body_of(leaves, SDP).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::test_support::bare;
    use super::*;
    use crate::wire::sip::{HeaderName, Method};

    fn with(headers: &[(HeaderName, &'static str)], body: &'static str) -> Request {
        let mut request = bare(Method::Update, "call", 1);
        for (name, value) in headers {
            request.headers.push(name.clone(), *value);
        }
        request.body = Bytes::from_static(body.as_bytes());
        request
    }

    #[test]
    fn a_description_is_found_as_a_part_and_by_its_type() {
        let typed = |kind, body| with(&[(HeaderName::ContentType, kind)], body);
        assert_eq!(description(&typed("application/sdp", "v=0")).as_deref(), Some(&b"v=0"[..]));
        let mixed =
            typed("multipart/mixed;boundary=b", "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--");
        assert_eq!(description(&mixed).as_deref(), Some(&b"v=0"[..]));
        assert_eq!(description(&typed("text/plain", "v=0")), None);
        assert_eq!(description(&typed("multipart/mixed;boundary=b", "--b\r\n")), None);
        let coded = [(HeaderName::ContentType, "application/sdp"), (HeaderName::ContentEncoding, "gzip")];
        assert_eq!(description(&with(&coded, "v=0")), None);
        assert_eq!(description(&with(&[], "")), None);
    }

    #[test]
    fn what_is_optional_and_no_description_is_of_no_account() {
        let optional = (HeaderName::ContentDisposition, "icon;handling=optional");
        let note = (HeaderName::ContentType, "text/x-note");
        assert!(is_of_no_account(&with(&[], "")));
        assert!(is_of_no_account(&with(&[note.clone(), optional.clone()], "hello")));
        assert!(!is_of_no_account(&with(&[note], "hello")));
        let session = [
            (HeaderName::ContentType, "application/sdp"),
            (HeaderName::ContentDisposition, "session;handling=optional"),
        ];
        assert!(!is_of_no_account(&with(&session, "v=0")));
        assert!(!is_of_no_account(&with(
            &[(HeaderName::ContentType, "multipart/mixed;boundary=b")],
            "--b\r\n"
        )));
    }
}
