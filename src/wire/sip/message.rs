//! Requests and responses as values, and their way onto the wire (RFC 3261 7).

use bytes::{BufMut, Bytes, BytesMut};

use super::header_name::HeaderName;
use super::headers::Headers;
use super::method::Method;
use super::name_addr::tag_of;
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
        self.respond_with(status, status.reason())
    }

    /// The response to this request with a reason phrase of its own.
    #[must_use]
    pub fn respond_with(&self, status: StatusCode, reason: &str) -> Response {
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
        Response { status, reason: Bytes::copy_from_slice(reason.as_bytes()), headers, body: Bytes::new() }
    }

    /// The request as it goes onto the wire; Content-Length is written from the body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(size(&self.headers, &self.body) + self.uri.len());
        put_text(&mut out, self.method.as_bytes());
        out.put_u8(b' ');
        put_text(&mut out, &self.uri);
        out.put_slice(b" SIP/2.0\r\n");
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
            && tag_of(to).is_none()
        {
            *to = Bytes::from([to.as_ref(), b";tag=", tag.as_bytes()].concat());
        }
    }

    /// The response as it goes onto the wire; Content-Length is written from the body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(size(&self.headers, &self.body) + self.reason.len());
        out.put_slice(b"SIP/2.0 ");
        put_number(&mut out, usize::from(self.status.0));
        out.put_u8(b' ');
        put_text(&mut out, &self.reason);
        out.put_slice(b"\r\n");
        finish(out, &self.headers, &self.body)
    }
}

/// Room enough for everything but the start line's variable part.
fn size(headers: &Headers, body: &Bytes) -> usize {
    let fields: usize = headers.iter().map(|h| h.name.as_bytes().len() + h.value.len() + 4).sum();
    fields + body.len() + 80
}

fn finish(mut out: BytesMut, headers: &Headers, body: &Bytes) -> Bytes {
    for header in headers {
        if header.name == HeaderName::ContentLength {
            continue;
        }
        put_text(&mut out, header.name.as_bytes());
        out.put_slice(b": ");
        put_text(&mut out, &header.value);
        out.put_slice(b"\r\n");
    }
    // RFC 3261 18.3, 20.14: on a stream the length MUST be told; it does no harm on UDP
    out.put_slice(b"Content-Length: ");
    put_number(&mut out, body.len());
    out.put_slice(b"\r\n\r\n");
    out.put_slice(body);
    out.freeze()
}

/// Writes `text`; a line break in it, which would start another header field, becomes a space.
fn put_text(out: &mut BytesMut, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        let (line, tail) = rest.split_at(at);
        out.put_slice(line);
        out.put_u8(b' ');
        rest = tail.get(1..).unwrap_or_default();
    }
    out.put_slice(rest);
}

fn put_number(out: &mut BytesMut, number: usize) {
    let mut digits = [b'0'; 20];
    let mut left = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        used += 1;
        if left == 0 {
            break;
        }
    }
    out.put_slice(digits.get(digits.len() - used..).unwrap_or_default());
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
