//! Requests that belong to nothing a user agent has going on, and how they are answered.

use bytes::Bytes;

use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

/// The methods a client answers to.
pub(super) const ALLOW: &[u8] = b"INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY, UPDATE";

/// The answer to a request that belongs to nothing.
pub(super) fn stray(request: &Request) -> Response {
    let in_dialog = request.headers.has_to_tag();
    match request.method {
        // RFC 6665 4.1.3: a NOTIFY that matches no subscription is answered 481.
        Method::Notify | Method::Bye => request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        _ if in_dialog => request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        Method::Options => {
            let mut response = request.respond(StatusCode::OK);
            response.headers.push(HeaderName::Allow, Bytes::from_static(ALLOW));
            response
        }
        Method::Invite => request.respond(StatusCode::TEMPORARILY_UNAVAILABLE),
        ref method if method.is_known() => {
            let mut response = request.respond(StatusCode::METHOD_NOT_ALLOWED);
            response.headers.push(HeaderName::Allow, Bytes::from_static(ALLOW));
            response
        }
        _ => request.respond(StatusCode::NOT_IMPLEMENTED),
    }
}
