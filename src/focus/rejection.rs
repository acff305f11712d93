//! [`Rejection`]: why a request is not served, as the final response that tells its sender.
//!
//! One table of the service's refusals; the wire's own (400, 505 ...) come from parsing.

use bytes::Bytes;

use crate::wire::sip::{Challenge, HeaderName, Headers, Method, Request, Response, StatusCode};

/// A final response other than 2xx, before it is made for a certain request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status of the response.
    pub status: StatusCode,
    /// The reason phrase, where it says more than the standard one.
    pub reason: Option<String>,
    /// Headers that tell the sender what would work (`Allow`, `Retry-After`, `Warning` ...).
    pub headers: Vec<(HeaderName, Bytes)>,
}

/// The methods served, in a dialog or without, as the value of an `Allow` header. RFC 3261 20.5: all that are understood.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, SUBSCRIBE, UPDATE, INFO";
/// The methods served in the dialog of a subscription, as the value of an `Allow` header.
pub const ALLOW_IN_SUBSCRIPTION: &str = "SUBSCRIBE, OPTIONS";
/// The event packages served, as the value of an `Allow-Events` header.
pub const ALLOW_EVENTS: &str = "message-summary, conference";
/// The body types that an INVITE may carry, as the value of an `Accept` header.
pub const ACCEPT: &str = "application/sdp, multipart/mixed, application/resource-lists+xml";
/// The extensions supported, as the value of a `Supported` header (RFC 5366 4, RFC 3327 4).
pub const SUPPORTED: &str = "path, recipient-list-invite";

/// The value of an `Allow` header where `method`, served elsewhere, is not.
#[must_use]
pub fn allow_without(method: &Method) -> String {
    let others: Vec<&str> = ALLOW.split(", ").filter(|name| name.as_bytes() != method.as_bytes()).collect();
    others.join(", ")
}

impl Rejection {
    /// A refusal with the standard reason phrase.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self { status, reason: None, headers: Vec::new() }
    }

    /// A refusal whose reason phrase says what was wrong.
    pub fn because(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: Some(reason.into()), headers: Vec::new() }
    }

    /// What it says, for a line of the log: its reason, and what its Warning adds.
    #[must_use]
    pub fn said(&self) -> String {
        let mut said = self.reason.clone().unwrap_or_else(|| self.status.reason().to_owned());
        for (_, warning) in self.headers.iter().filter(|(name, _)| *name == HeaderName::Warning) {
            said.push_str(": ");
            said.push_str(&String::from_utf8_lossy(warning));
        }
        said
    }

    /// The same refusal with one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<Bytes>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same refusal with a `Warning` (RFC 3261 20.43): `code agent "text"`.
    #[must_use]
    pub fn warning(self, code: u16, agent: &str, text: &str) -> Self {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        self.with(HeaderName::Warning, format!("{code} {agent} \"{text}\""))
    }

    /// 401 with the challenges, in the order of preference (RFC 3261 22.2, RFC 8760 2.3).
    #[must_use]
    pub fn unauthorized(challenges: &[Challenge]) -> Self {
        let challenge =
            |refusal: Self, one: &Challenge| refusal.with(HeaderName::WwwAuthenticate, one.encode());
        challenges.iter().fold(Self::new(StatusCode::UNAUTHORIZED), challenge)
    }

    /// 403 for whom a trusted peer has not asserted, where only an owner is served. No 401: who has an account with the peer
    /// has none here, and could not answer it (RFC 3261 21.4.4); it is the peer that has to find out (RFC 3325 5).
    #[must_use]
    pub fn unasserted() -> Self {
        Self::because(StatusCode::FORBIDDEN, "No Asserted Identity")
    }

    /// 404: nothing here by that name, or nothing that this caller may know of.
    #[must_use]
    pub const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND)
    }

    /// 405 with `Allow` (RFC 3261 8.2.1), in which what is refused does not stand.
    #[must_use]
    pub fn method_not_allowed(method: &Method) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED).with(HeaderName::Allow, allow_without(method))
    }

    /// 489 with `Allow-Events` (RFC 6665 4.2.1.1, 8.3.2).
    #[must_use]
    pub fn bad_event() -> Self {
        // RFC 6665 4.4.4: a comprehensive list.
        Self::new(StatusCode::BAD_EVENT).with(HeaderName::AllowEvents, ALLOW_EVENTS)
    }

    /// 415 with `Accept` (RFC 3261 8.2.3): a body type that is not understood here, where `accept` is.
    #[must_use]
    pub fn unsupported_body(accept: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE).with(HeaderName::Accept, accept)
    }

    /// 415 with `Accept-Encoding` (RFC 3261 8.2.3): a content coding that is not undone here.
    #[must_use]
    pub fn unsupported_encoding() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE).with(HeaderName::AcceptEncoding, "identity")
    }

    /// 420 with `Unsupported` (RFC 3261 8.2.2.3).
    #[must_use]
    pub fn bad_extension(options: &str) -> Self {
        Self::new(StatusCode::BAD_EXTENSION).with(HeaderName::Unsupported, options.to_owned())
    }

    /// 480 because the mailbox is full; `what` names the exhausted quota (items or bytes).
    #[must_use]
    pub fn mailbox_full(agent: &str, what: &str) -> Self {
        Self::new(StatusCode::TEMPORARILY_UNAVAILABLE).with(HeaderName::RetryAfter, "3600").warning(
            399,
            agent,
            &format!("mailbox full: {what}"),
        )
    }

    /// 480 because the sender has had his share of the mailbox; `what` names the exhausted quota.
    #[must_use]
    pub fn no_more_of_sender(agent: &str, what: &str) -> Self {
        Self::new(StatusCode::TEMPORARILY_UNAVAILABLE).with(HeaderName::RetryAfter, "3600").warning(
            399,
            agent,
            &format!("mailbox full for this sender: {what} of his"),
        )
    }

    /// 503 with the usual `Retry-After`: the node can not do it now, but soon, or its next run can.
    #[must_use]
    pub fn unavailable_for_now() -> Self {
        Self::unavailable(5)
    }

    /// 503 with `Retry-After` in seconds: the node can not do it now.
    #[must_use]
    pub fn unavailable(retry_after: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE).with(HeaderName::RetryAfter, retry_after.to_string())
    }

    /// 480 with `Retry-After` in seconds: this user asks for too much at once.
    #[must_use]
    pub fn too_many(agent: &str, what: &str, retry_after: u64) -> Self {
        Self::new(StatusCode::TEMPORARILY_UNAVAILABLE)
            .with(HeaderName::RetryAfter, retry_after.to_string())
            .warning(399, agent, what)
    }

    /// Makes the response to `request`; its To tag is left to the sender.
    #[must_use]
    pub fn response(&self, request: &Request) -> Response {
        let mut response = match &self.reason {
            Some(reason) => request.respond_with(self.status, reason),
            None => request.respond(self.status),
        };
        self.add_headers(&mut response.headers);
        response
    }

    /// Adds this refusal's headers to those of a response.
    pub fn add_headers(&self, headers: &mut Headers) {
        for (name, value) in &self.headers {
            headers.push(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves RFC 3261 21.4.6: the methods that are allowed
    #[test]
    fn what_is_not_allowed_does_not_stand_in_allow() {
        for method in [Method::Message, Method::Update, Method::Register] {
            let refusal = Rejection::method_not_allowed(&method);
            let allowed = refusal.headers.iter().map(|(_, value)| String::from_utf8_lossy(value)).next();
            let allowed = allowed.unwrap_or_default();
            assert!(allowed.starts_with("INVITE, ACK") && !allowed.contains(method.as_str()), "{allowed}");
        }
    }

    #[test]
    fn a_warning_quotes_its_text() {
        let full = Rejection::mailbox_full("mailserver.example.com", "100 items");
        let warning =
            full.headers.iter().find(|(name, _)| *name == HeaderName::Warning).map(|(_, v)| v.clone());
        assert_eq!(
            warning,
            Some(Bytes::from_static(b"399 mailserver.example.com \"mailbox full: 100 items\""))
        );
        assert!(full.headers.iter().any(|(name, _)| *name == HeaderName::RetryAfter));
        assert_eq!(
            full.said(),
            "Temporarily Unavailable: 399 mailserver.example.com \"mailbox full: 100 items\""
        );
        assert_eq!(Rejection::not_found().said(), "Not Found");
    }
}
