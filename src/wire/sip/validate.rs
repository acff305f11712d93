//! What must be right about a request before anything is done with it (RFC 3261 8.1.1, 8.2, 16.3).

use super::error::{HeaderError, UriError};
use super::header_name::HeaderName;
use super::headers::Headers;
use super::media_type::MediaType;
use super::message::{Request, Response};
use super::name_addr::NameAddr;
use super::status::StatusCode;
use super::uri::parts;
use super::via::Via;

type Refusal = (StatusCode, String);

/// Checks a request: mandatory header fields there, once, and well formed; CSeq and Request-URI
/// in order. The error is the status and reason phrase to refuse it with.
///
/// Extensions, methods and addresses the node does not know are not looked at. A request of
/// RFC 2543 (no From tag, no branch, no Max-Forwards) passes.
pub fn validate(request: &Request) -> Result<(), Refusal> {
    let headers = &request.headers;
    singles(headers).map_err(bad)?;
    check_vias(headers).map_err(bad)?;
    for name in [HeaderName::From, HeaderName::To] {
        headers.required(name, |value| check_address(value)).map_err(bad)?;
    }
    headers.call_id().map_err(bad)?;
    check_cseq(request)?;
    headers.max_forwards().map_err(bad)?;
    let more = headers.iter().any(|header| is_rare(&header.name));
    if more {
        headers.expires().map_err(bad)?;
        headers.event().map_err(bad)?;
    }
    check_body(request).map_err(bad)?;
    if more {
        check_contacts(headers).map_err(bad)?;
        for name in [HeaderName::Route, HeaderName::RecordRoute, HeaderName::Path] {
            check_addresses(headers, name).map_err(bad)?;
        }
    }
    check_uri(request)
}

/// Fields that are checked where they stand, and of which a deposit has none: one look for all of them.
const fn is_rare(name: &HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Expires
            | HeaderName::Event
            | HeaderName::Contact
            | HeaderName::Route
            | HeaderName::RecordRoute
            | HeaderName::Path
    )
}

/// Checks a response as a user agent must before it looks for its transaction.
pub fn validate_response(response: &Response) -> Result<(), HeaderError> {
    let headers = &response.headers;
    singles(headers)?;
    // RFC 3261 8.1.3.3: a response with more than one Via value is discarded by a user agent
    if headers.check_list(HeaderName::Via, Via::check)? != 1 {
        let problem = HeaderError::malformed(HeaderName::Via, "not exactly one");
        return Err(if headers.contains(&HeaderName::Via) {
            problem
        } else {
            HeaderError::missing(HeaderName::Via)
        });
    }
    for name in [HeaderName::From, HeaderName::To] {
        headers.required(name, |value| NameAddr::uri_of(value))?;
    }
    headers.call_id()?;
    headers.cseq().map(|_| ())
}

fn bad(error: HeaderError) -> Refusal {
    (StatusCode::BAD_REQUEST, error.to_string())
}

/// RFC 3261 7.3.1: only fields whose value is a list may stand more than once
fn singles(headers: &Headers) -> Result<(), HeaderError> {
    let mut seen = 0_u32;
    for header in headers {
        let bit = match header.name {
            HeaderName::From => 0,
            HeaderName::To => 1,
            HeaderName::CallId => 2,
            HeaderName::CSeq => 3,
            HeaderName::MaxForwards => 4,
            HeaderName::ContentLength => 5,
            HeaderName::ContentType => 6,
            HeaderName::ContentDisposition => 7,
            HeaderName::Expires => 8,
            HeaderName::Event => 9,
            HeaderName::Date => 10,
            HeaderName::Subject => 11,
            HeaderName::Priority => 12,
            HeaderName::SubscriptionState => 13,
            _ => continue,
        };
        if seen & (1 << bit) != 0 {
            return Err(HeaderError::repeated(header.name.clone()));
        }
        seen |= 1 << bit;
    }
    Ok(())
}

fn check_vias(headers: &Headers) -> Result<(), HeaderError> {
    match headers.check_list(HeaderName::Via, Via::check)? {
        // RFC 3261 8.1.1: a valid request MUST contain To, From, CSeq, Call-ID and Via
        0 => Err(HeaderError::missing(HeaderName::Via)),
        _ => Ok(()),
    }
}

/// A SIP or SIPS URI in an address must be one; other schemes are left alone.
fn check_address(value: &[u8]) -> Result<(), &'static str> {
    check_address_uri(NameAddr::uri_of(value)?)
}

fn check_address_uri(uri: &[u8]) -> Result<(), &'static str> {
    match parts(uri) {
        Ok(_) | Err(UriError::UnknownScheme) => Ok(()),
        Err(UriError::Malformed(problem)) => Err(problem),
    }
}

/// All addresses of a list well formed, then all their URIs.
fn check_addresses(headers: &Headers, name: HeaderName) -> Result<(), HeaderError> {
    if headers.check_list(name.clone(), |value| NameAddr::uri_of(value).map(|_| ()))? > 0 {
        headers.check_list(name, check_address)?;
    }
    Ok(())
}

fn check_cseq(request: &Request) -> Result<(), Refusal> {
    let cseq = request.headers.cseq().map_err(bad)?;
    if cseq.method == request.method {
        return Ok(());
    }
    // RFC 4475 3.1.2.18: an unknown method is better told as such than its mismatch
    if !request.method.is_known() {
        return Err((StatusCode::NOT_IMPLEMENTED, StatusCode::NOT_IMPLEMENTED.reason().to_owned()));
    }
    // RFC 3261 8.1.1.5: the method MUST match that of the request
    Err(bad(HeaderError::malformed(HeaderName::CSeq, "not the method of the request")))
}

fn check_body(request: &Request) -> Result<(), HeaderError> {
    request.headers.content_length()?;
    // RFC 3261 20.15: Content-Type MUST be present if the body is not empty
    let content_type = request.headers.optional(HeaderName::ContentType, |value| MediaType::check(value))?;
    if content_type.is_none() && !request.body.is_empty() {
        return Err(HeaderError::missing(HeaderName::ContentType));
    }
    Ok(())
}

fn check_contacts(headers: &Headers) -> Result<(), HeaderError> {
    if headers.get(&HeaderName::Contact).is_some_and(|value| value == "*") {
        return Ok(());
    }
    check_addresses(headers, HeaderName::Contact)
}

fn check_uri(request: &Request) -> Result<(), Refusal> {
    match parts(&request.uri) {
        // RFC 3261 19.1.1, table 1: headers are not allowed in a Request-URI
        Ok(uri) if uri.headers.is_some() => {
            Err((StatusCode::BAD_REQUEST, "Malformed Request-URI: headers".to_owned()))
        }
        Ok(_) => Ok(()),
        // RFC 3261 8.2.2.1: a scheme the server does not know
        Err(UriError::UnknownScheme) => {
            Err((StatusCode::UNSUPPORTED_URI_SCHEME, StatusCode::UNSUPPORTED_URI_SCHEME.reason().to_owned()))
        }
        Err(UriError::Malformed(problem)) => {
            Err((StatusCode::BAD_REQUEST, format!("Malformed Request-URI: {problem}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::Method;

    fn request() -> Request {
        let mut request = Request::new(Method::Message, "sip:bob@example.com");
        request.headers.push(HeaderName::Via, "SIP/2.0/UDP a;branch=z9hG4bK1");
        request.headers.push(HeaderName::From, "<sip:al@example.com>;tag=1");
        request.headers.push(HeaderName::To, "<sip:bob@example.com>");
        request.headers.push(HeaderName::CallId, "abc@host");
        request.headers.push(HeaderName::CSeq, "1 MESSAGE");
        request
    }

    fn verdict(change: impl FnOnce(&mut Request)) -> (u16, String) {
        let mut request = request();
        change(&mut request);
        validate(&request).map_or_else(|(status, reason)| (status.0, reason), |()| (200, String::new()))
    }

    fn bad(reason: &str) -> (u16, String) {
        (400, reason.to_owned())
    }

    // proves RFC 3261 8.1.1: the mandatory header fields; 7.3.1: once each
    #[test]
    fn the_reason_names_the_missing_or_repeated_field() {
        assert_eq!(verdict(|_| ()).0, 200);
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq]
        {
            assert_eq!(
                verdict(|r| {
                    r.headers.remove(&name);
                }),
                bad(&format!("Missing {name}"))
            );
        }
        assert_eq!(verdict(|r| r.headers.push(HeaderName::CallId, "x")), bad("Repeated Call-ID"));
        assert_eq!(verdict(|r| r.headers.push(HeaderName::Via, "SIP/2.0/UDP b")).0, 200);
    }

    #[test]
    fn malformed_fields_are_named() {
        let set = |name: HeaderName, value: &'static str| verdict(|r| r.headers.set(name, value)).1;
        assert_eq!(set(HeaderName::Via, "SIP/2.0/UDP a;;"), "Malformed Via: parameters");
        assert_eq!(set(HeaderName::From, "<sip:a@>"), "Malformed From: host");
        assert_eq!(set(HeaderName::To, "<sip:%@x>"), "Malformed To: user");
        assert_eq!(set(HeaderName::To, "<tel:+1;x>"), "");
        assert_eq!(set(HeaderName::CallId, "a b"), "Malformed Call-ID: not one or two words");
        assert_eq!(set(HeaderName::CSeq, "1 INVITE"), "Malformed CSeq: not the method of the request");
        assert_eq!(set(HeaderName::MaxForwards, "300"), "Malformed Max-Forwards: not a number up to 255");
        assert_eq!(set(HeaderName::Expires, "soon"), "Malformed Expires: not a number");
        assert_eq!(set(HeaderName::Contact, "<sip:a@b>;;"), "Malformed Contact: parameters");
        assert_eq!(set(HeaderName::Contact, "*"), "");
        assert_eq!(set(HeaderName::Route, "<sip:a;lr>, sip"), "Malformed Route: URI without a scheme");
        assert_eq!(set(HeaderName::Path, "<sip:a@>"), "Malformed Path: host");
        assert_eq!(set(HeaderName::ContentType, "text"), "Malformed Content-Type: type and subtype");
        assert_eq!(verdict(|r| r.body = "x".into()), bad("Missing Content-Type"));
    }

    // proves RFC 3261 8.2.2.1 and 19.1.1
    #[test]
    fn the_request_uri_is_a_sip_uri_without_headers() {
        assert_eq!(verdict(|r| r.uri = "tel:+1".into()).0, 416);
        assert_eq!(verdict(|r| r.uri = "sip:a@b?x=y".into()), bad("Malformed Request-URI: headers"));
        assert_eq!(verdict(|r| r.uri = "bob".into()), bad("Malformed Request-URI: no scheme"));
    }

    // proves RFC 4475 3.1.2.18
    #[test]
    fn an_unknown_method_is_told_before_its_mismatch() {
        assert_eq!(verdict(|r| r.method = Method::Other("FOO".into())).0, 501);
    }

    // proves RFC 3261 8.1.3.3
    #[test]
    fn a_response_has_exactly_one_via() {
        let mut response = request().respond(StatusCode::OK);
        assert_eq!(validate_response(&response), Ok(()));
        response.headers.push(HeaderName::Via, "SIP/2.0/UDP b");
        assert!(validate_response(&response).is_err());
        response.headers.remove(&HeaderName::Via);
        assert_eq!(validate_response(&response), Err(HeaderError::missing(HeaderName::Via)));
    }
}
