//! A message in a datagram (RFC 3261 18.3).

use bytes::Bytes;

use super::error::{Limits, ParseError};
use super::head::{Fault, Head, body_fault, head_length, refuse};
use super::message::Message;
use super::status::StatusCode;

/// Reads the one message in `datagram`.
///
/// What follows the body is ignored; line breaks before the start line are, too.
pub fn parse_datagram(datagram: Bytes, limits: &Limits) -> Result<Message, ParseError> {
    let start = datagram.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    // RFC 5626 4.4.1: a keep-alive holds nothing but line breaks
    let Some(start) = start else { return Err(ParseError::Silent("keep-alive".to_owned())) };
    let datagram = datagram.slice(start..);
    let end = head_length(&datagram);
    let head = Head::parse(&datagram.slice(..end.unwrap_or(datagram.len())), limits);
    let body = end.map(|end| datagram.slice(end..));
    assemble(head, body, datagram.len(), limits)
}

fn assemble(head: Head, body: Option<Bytes>, size: usize, limits: &Limits) -> Result<Message, ParseError> {
    if head.fault.is_some() {
        return head.finish();
    }
    match body_of(&head, body, size, limits) {
        Ok(body) => {
            let mut message = head.message;
            message.set_body(body);
            Ok(message)
        }
        Err(fault) => Err(refuse(head.message, fault)),
    }
}

fn body_of(head: &Head, body: Option<Bytes>, size: usize, limits: &Limits) -> Result<Bytes, Fault> {
    // RFC 3261 7: the empty line MUST be present even if there is no body
    let body = body.ok_or_else(|| Fault::bad("Missing empty line after the header fields"))?;
    let length = head.content_length()?.unwrap_or(body.len());
    if length > body.len() {
        // RFC 3261 18.3: a datagram that ends before the body: 400 to a request, a response is discarded
        return Err(Fault::bad("Malformed Content-Length: larger than the message"));
    }
    if let Some(fault) = body_fault(length, limits) {
        return Err(fault);
    }
    if size > limits.message {
        return Err(Fault::new(StatusCode::REQUEST_ENTITY_TOO_LARGE, "Message too large"));
    }
    // RFC 3261 18.3: bytes beyond the end of the body MUST be discarded; without a Content-Length
    // the body extends to the end of the datagram
    Ok(body.slice(..length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const HEAD: &str = "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n";

    fn parse(rest: &str) -> Result<Message, ParseError> {
        parse_datagram(Bytes::from(format!("{HEAD}{rest}")), &Limits { message: 200, headers: 4, body: 20 })
    }

    fn status(rest: &str) -> (u16, String) {
        match parse(rest) {
            Err(ParseError::Reject { status, reason, .. }) => (status.0, reason),
            other => panic!("{other:?}"),
        }
    }

    // proves RFC 3261 18.3
    #[test]
    fn the_body_is_as_long_as_declared_or_the_rest() {
        assert_eq!(parse("\r\nhello").unwrap().body(), "hello");
        assert_eq!(parse("l: 2\r\n\r\nhello").unwrap().body(), "he");
        assert_eq!(parse("l: 0\r\n\r\nhello").unwrap().body(), "");
        assert_eq!(status("l: 6\r\n\r\nhello").0, 400);
    }

    #[test]
    fn too_much_is_refused_not_dropped() {
        assert_eq!(status(&format!("\r\n{}", "x".repeat(21))), (413, "Request Entity Too Large".to_owned()));
        assert_eq!(status(&format!("S: {}\r\n\r\n", "x".repeat(200))), (413, "Message too large".to_owned()));
        assert_eq!(
            status("a: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\n\r\n"),
            (413, "Too many header fields".to_owned())
        );
    }

    #[test]
    fn what_a_response_needs_is_kept_beyond_the_limit() {
        let rest = "a: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\nTo: <sip:b>\r\nTo: <sip:c>\r\nCSeq: 1 MESSAGE\r\n\r\n";
        let Err(ParseError::Reject { request, .. }) = parse(rest) else { panic!("accepted") };
        assert_eq!(request.respond(StatusCode::BAD_REQUEST).headers.len(), 3);
        assert_eq!(request.headers.len(), 6);
    }

    // proves RFC 5626 4.4.1 and RFC 3261 7.5
    #[test]
    fn line_breaks_alone_are_a_keep_alive() {
        let limits = Limits::default();
        for text in [&b""[..], b"\r\n\r\n", b"\n"] {
            assert!(matches!(parse_datagram(Bytes::from_static(text), &limits), Err(ParseError::Silent(_))));
        }
        let text = Bytes::from(format!("\r\n\r\n{HEAD}\r\n"));
        assert!(parse_datagram(text, &limits).is_ok());
    }

    #[test]
    fn garbage_is_dropped_in_silence() {
        for text in [
            "\0\0\0\0",
            "GET / HTTP/1.1\r\n\r\n",
            "ACK sip:a SIP/3.0\r\nVia: x\r\n\r\n",
            "SIP/2.0 99 x\r\n\r\n",
            ":",
        ] {
            let parsed = parse_datagram(Bytes::from_static(text.as_bytes()), &Limits::default());
            assert!(matches!(parsed, Err(ParseError::Silent(_))), "{text:?}");
        }
    }

    #[test]
    fn a_stray_line_end_is_a_fault_and_hides_nothing() {
        let Err(ParseError::Reject { reason, request, .. }) = parse("S: a\nl: 3\r\n\r\nhello") else {
            panic!("accepted")
        };
        assert_eq!(reason, "Line not ended by CRLF");
        assert_eq!(request.headers.len(), 3);
    }
}
