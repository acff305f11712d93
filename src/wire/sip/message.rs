//! Requests and responses as values, and their way onto the wire (RFC 3261 7).

use bytes::Bytes;

use super::digits::Digits;
use super::header_name::HeaderName;
use super::headers::Headers;
use super::method::Method;
use super::name_addr::has_tag;
use super::status::StatusCode;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The Request-URI, byte for byte as it came.
    pub uri: Bytes,
    /// The header fields.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase, any bytes.
    pub reason: Bytes,
    /// The header fields.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// The header fields of either.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The body of either.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }

    pub(super) fn set_body(&mut self, body: Bytes) {
        match self {
            Self::Request(request) => request.body = body,
            Self::Response(response) => response.body = body,
        }
    }

    /// The message as it goes onto the wire.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Request(request) => request.encode(),
            Self::Response(response) => response.encode(),
        }
    }
}

impl Request {
    /// A request without header fields and body.
    #[must_use]
    pub fn new(method: Method, uri: impl Into<Bytes>) -> Self {
        Self { method, uri: uri.into(), headers: Headers::new(), body: Bytes::new() }
    }

    /// The response to this request with the standard reason phrase.
    ///
    /// Via, From, To, Call-ID and CSeq are copied as they came; no To tag is added
    /// ([`Response::set_to_tag`] does that).
    #[must_use]
    pub fn respond(&self, status: StatusCode) -> Response {
        self.answer(status, Bytes::from_static(status.reason().as_bytes()))
    }

    /// The response to this request with a reason phrase of its own.
    #[must_use]
    pub fn respond_with(&self, status: StatusCode, reason: &str) -> Response {
        self.answer(status, Bytes::copy_from_slice(reason.as_bytes()))
    }

    fn answer(&self, status: StatusCode, reason: Bytes) -> Response {
        let mut headers = Headers::with_capacity(10);
        for header in &self.headers {
            // RFC 3261 8.2.6.2: Via values in order; From, Call-ID, CSeq and To equal those of the request
            let copied = match header.name {
                HeaderName::Via => true,
                HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq => {
                    !headers.contains(&header.name)
                }
                // RFC 3261 8.2.6.1: a Timestamp MUST be copied into the 100
                HeaderName::Timestamp => status == StatusCode::TRYING,
                _ => false,
            };
            if copied {
                headers.push(header.name.clone(), header.value.clone());
            }
        }
        Response { status, reason, headers, body: Bytes::new() }
    }

    /// The request as it goes onto the wire; Content-Length is written from the body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let start = self.method.as_bytes().len() + self.uri.len() + " SIP/2.0\r\n".len() + 1;
        let mut out = Vec::with_capacity(start + size(&self.headers, &self.body));
        put_text(&mut out, self.method.as_bytes());
        out.push(b' ');
        put_text(&mut out, &self.uri);
        out.extend_from_slice(b" SIP/2.0\r\n");
        finish(out, &self.headers, &self.body)
    }
}

impl Response {
    /// Whether this answers a request of `method`, by its CSeq.
    #[must_use]
    pub fn is_for(&self, method: &Method) -> bool {
        self.headers.cseq().is_ok_and(|cseq| cseq.method == *method)
    }

    /// Adds `tag` to the To field; does nothing when it has a tag already.
    pub fn set_to_tag(&mut self, tag: &str) {
        if let Some(to) = self.headers.first_mut(&HeaderName::To)
            && !has_tag(to)
        {
            *to = Bytes::from([to.as_ref(), b";tag=", tag.as_bytes()].concat());
        }
    }

    /// The response as it goes onto the wire; Content-Length is written from the body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let status = Digits::of(self.status.0.into());
        let start = "SIP/2.0 ".len() + status.as_bytes().len() + self.reason.len() + " \r\n".len();
        let mut out = Vec::with_capacity(start + size(&self.headers, &self.body));
        out.extend_from_slice(b"SIP/2.0 ");
        out.extend_from_slice(status.as_bytes());
        out.push(b' ');
        put_text(&mut out, &self.reason);
        out.extend_from_slice(b"\r\n");
        finish(out, &self.headers, &self.body)
    }
}

/// The bytes of everything behind the start line.
fn size(headers: &Headers, body: &Bytes) -> usize {
    let written = headers.iter().filter(|header| header.name != HeaderName::ContentLength);
    let fields: usize =
        written.map(|header| header.name.as_bytes().len() + header.value.len() + ": \r\n".len()).sum();
    fields + CONTENT_LENGTH.len() + Digits::of(body.len()).as_bytes().len() + "\r\n\r\n".len() + body.len()
}

const CONTENT_LENGTH: &[u8] = b"Content-Length: ";

fn finish(mut out: Vec<u8>, headers: &Headers, body: &Bytes) -> Bytes {
    for header in headers {
        match &header.name {
            HeaderName::ContentLength => continue,
            HeaderName::Other(name) => put_text(&mut out, name),
            known => out.extend_from_slice(known.as_bytes()),
        }
        out.extend_from_slice(b": ");
        put_text(&mut out, &header.value);
        out.extend_from_slice(b"\r\n");
    }
    // RFC 3261 18.3, 20.14: on a stream the length MUST be told; it does no harm on UDP
    out.extend_from_slice(CONTENT_LENGTH);
    out.extend_from_slice(Digits::of(body.len()).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    // Filled to the byte, it becomes Bytes without being moved.
    debug_assert_eq!(out.len(), out.capacity());
    Bytes::from(out)
}

/// Writes `text`; a line break in it, which would start another header field, becomes a space.
fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        let (line, tail) = rest.split_at(at);
        out.extend_from_slice(line);
        out.push(b' ');
        rest = tail.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let mut request = Request::new(Method::Options, "sip:a%40b@example.com");
        request.headers.push(HeaderName::Via, "SIP/2.0/UDP a;branch=z9hG4bK1");
        request.headers.push(HeaderName::To, "<sip:bob@example.com>");
        request.headers.push(HeaderName::Via, "SIP/2.0/UDP b;branch=z9hG4bK2");
        request.headers.push(HeaderName::From, "<sip:al@example.com>;tag=1");
        request.headers.push(HeaderName::CallId, "abc");
        request.headers.push(HeaderName::CSeq, "1 OPTIONS");
        request.headers.push(HeaderName::Timestamp, "54");
        request.headers.push(HeaderName::Subject, "not copied");
        request
    }

    // proves RFC 3261 8.2.6.2
    #[test]
    fn a_response_copies_what_it_must() {
        let mut response = request().respond(StatusCode::OK);
        response.set_to_tag("xyz");
        response.set_to_tag("again");
        assert_eq!(
            response.encode(),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nTo: <sip:bob@example.com>;tag=xyz\r\n\
             Via: SIP/2.0/UDP b;branch=z9hG4bK2\r\nFrom: <sip:al@example.com>;tag=1\r\nCall-ID: abc\r\n\
             CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        assert!(response.is_for(&Method::Options) && !response.is_for(&Method::Invite));
    }

    // proves RFC 3261 8.2.6.1: the Timestamp goes into a 100, and only there
    #[test]
    fn a_trying_echoes_the_timestamp() {
        let timestamp = |status| request().respond(status).headers.contains(&HeaderName::Timestamp);
        assert!(timestamp(StatusCode::TRYING));
        assert!(!timestamp(StatusCode::RINGING));
    }

    #[test]
    fn content_length_is_that_of_the_body_whatever_was_set() {
        let mut request = request();
        request.headers.push(HeaderName::ContentLength, "9");
        request.body = Bytes::from_static(b"0123456789ab");
        let wire = request.encode();
        assert!(wire.ends_with(b"\r\nContent-Length: 12\r\n\r\n0123456789ab"));
        assert_eq!(memchr::memmem::find_iter(&wire, b"Content-Length").count(), 1);
    }

    #[test]
    fn a_line_break_in_a_value_starts_no_new_field() {
        let mut request = Request::new(Method::Message, "sip:a");
        request.headers.push(HeaderName::Subject, "x\r\nEvil: yes");
        assert_eq!(
            request.encode(),
            "MESSAGE sip:a SIP/2.0\r\nSubject: x  Evil: yes\r\nContent-Length: 0\r\n\r\n"
        );
    }
}
