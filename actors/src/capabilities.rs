//! What the node can do, told to who asks by OPTIONS (RFC 3261 11.2), within a dialog or without.

use restante::focus::intent;
use restante::focus::rejection::{self, Rejection};
use restante::machine::sip::NO_SHARING;
use restante::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

/// The answer to OPTIONS.
#[must_use]
pub fn of_node(request: &Request) -> Response {
    let mut response = request.respond(StatusCode::OK);
    response.headers.push(HeaderName::Allow, rejection::ALLOW);
    response.headers.push(HeaderName::Accept, rejection::ACCEPT);
    response.headers.push(HeaderName::AcceptEncoding, "identity");
    response.headers.push(HeaderName::Supported, rejection::SUPPORTED);
    response.headers.push(HeaderName::AllowEvents, rejection::ALLOW_EVENTS);
    response
}

/// The answer to a request within a session that the session itself has no use for.
#[must_use]
pub fn within(request: &Request) -> Response {
    match request.method {
        Method::Options => of_node(request),
        Method::Other(_) => Rejection::new(StatusCode::NOT_IMPLEMENTED)
            .with(HeaderName::Allow, rejection::ALLOW)
            .response(request),
        // RFC 6665 4.5.2: no dialog is shared. A 481 would say that there is no session, either (RFC 5057).
        Method::Subscribe => match intent::package(request) {
            Ok(_) => request.respond_with(StatusCode::FORBIDDEN, NO_SHARING),
            Err(rejection) => rejection.response(request),
        },
        _ => Rejection::method_not_allowed(&request.method).response(request),
    }
}

/// The answer to a request other than SUBSCRIBE within the dialog of a subscription.
#[must_use]
pub fn within_subscription(request: &Request) -> Response {
    if let Err(rejection) = intent::required(request) {
        return rejection.response(request);
    }
    let status = match request.method {
        // RFC 3261 11.2: the answer within a dialog is the one that is given outside of it.
        Method::Options => return of_node(request),
        Method::Other(_) => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    Rejection::new(status).with(HeaderName::Allow, rejection::ALLOW_IN_SUBSCRIPTION).response(request)
}
