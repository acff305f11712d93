//! The HTTP request that opens a WebSocket (RFC 6455 4.2): read, judged, answered.

use super::WebLimits;
use crate::link::stream::{Octets, Stream};
use httparse::{EMPTY_HEADER, Request, Status};
use std::fmt::Write as _;
use std::io::{self, Read};
use tungstenite::handshake::derive_accept_key;

/// Bytes of the largest request.
const LARGEST: usize = 8 << 10;
/// Header fields of a request.
const FIELDS: usize = 64;

/// Why a request opens no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is no HTTP request.
    #[error("not an HTTP request")]
    Malformed,
    /// It is larger than a handshake may be.
    #[error("request too large")]
    TooLarge,
    /// Nothing is served there.
    #[error("no WebSocket at this path")]
    Path,
    /// It is another method.
    #[error("only GET opens a WebSocket")]
    Method,
    /// It does not ask for a WebSocket of version 13.
    #[error("a WebSocket upgrade of version 13 is needed")]
    Upgrade,
    /// It has no good key.
    #[error("no usable Sec-WebSocket-Key")]
    Key,
    /// It comes from a page of another origin.
    #[error("this origin is not allowed")]
    Origin,
    /// It does not offer the subprotocol spoken here.
    #[error("Sec-WebSocket-Protocol does not offer the subprotocol of this port")]
    Subprotocol,
}

impl Refusal {
    const fn status(self) -> &'static str {
        match self {
            Self::Malformed | Self::Key | Self::Subprotocol => "400 Bad Request",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Path => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::Upgrade => "426 Upgrade Required",
            Self::Origin => "403 Forbidden",
        }
    }

    fn response(self, protocol: &str) -> String {
        let body = match self {
            Self::Subprotocol => format!("{self}: {protocol}\n"),
            _ => format!("{self}\n"),
        };
        let more = match self {
            Self::Method => "Allow: GET\r\n",
            // RFC 6455 4.4: the server MUST tell the versions it supports
            Self::Upgrade => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        format!(
            "HTTP/1.1 {}\r\n{more}Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            self.status(),
            body.len(),
        )
    }
}

/// Opens a WebSocket of the subprotocol `protocol`. What is refused is answered by HTTP, and told in the
/// second of the results.
///
/// # Errors
/// The connection failed.
pub(crate) async fn handshake(
    stream: &Stream,
    protocol: &'static str,
    limits: &WebLimits,
) -> io::Result<Result<(), Refusal>> {
    let mut head = Vec::new();
    let verdict = loop {
        if let Some(verdict) = judge(&head, protocol, limits) {
            break verdict;
        }
        read_some(stream, &mut head).await?;
    };
    let response = match &verdict {
        Ok(response) => response.clone(),
        Err(refusal) => refusal.response(protocol),
    };
    stream.write_all(response.as_bytes()).await?;
    Ok(verdict.map(drop))
}

async fn read_some(stream: &Stream, head: &mut Vec<u8>) -> io::Result<()> {
    loop {
        match read_once(stream, head) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
            Err(error) => return Err(error),
        }
    }
}

fn read_once(stream: &Stream, head: &mut Vec<u8>) -> io::Result<usize> {
    let mut scratch = [0_u8; 1024];
    let count = Octets(stream).read(&mut scratch)?;
    head.extend_from_slice(scratch.get(..count).unwrap_or_default());
    Ok(count)
}

/// The response to a request, why it is refused, or `None` while it is not complete.
fn judge(head: &[u8], protocol: &str, limits: &WebLimits) -> Option<Result<String, Refusal>> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        // RFC 6455 4.1: the client must wait for the response before it sends more.
        Ok(Status::Complete(size)) if size == head.len() => Some(accept(&request, protocol, limits)),
        Ok(Status::Complete(_)) => Some(Err(Refusal::Malformed)),
        Ok(Status::Partial) if head.len() < LARGEST => None,
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => Some(Err(Refusal::TooLarge)),
        Err(_) => Some(Err(Refusal::Malformed)),
    }
}

fn accept(request: &Request<'_, '_>, protocol: &str, limits: &WebLimits) -> Result<String, Refusal> {
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    if path != limits.path {
        return Err(Refusal::Path);
    }
    if request.method != Some("GET") {
        return Err(Refusal::Method);
    }
    let has = |name, word: &str| values(request, name).any(|value| value.eq_ignore_ascii_case(word));
    // RFC 6455 4.2.1: HTTP/1.1 or higher, Upgrade, Connection and Sec-WebSocket-Version as they must be
    let upgrade = has("Upgrade", "websocket") && has("Connection", "Upgrade");
    if request.version != Some(1) || !upgrade || !has("Sec-WebSocket-Version", "13") {
        return Err(Refusal::Upgrade);
    }
    let key = values(request, "Sec-WebSocket-Key").next().filter(|key| is_key(key)).ok_or(Refusal::Key)?;
    let origin = values(request, "Origin").next();
    if let Some(origin) = origin
        && !limits.origins.is_empty()
        && !limits.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    {
        return Err(Refusal::Origin);
    }
    // RFC 7118 4.1, RFC 7977 4: the client MUST include the subprotocol; the server MUST include it, too
    if !has("Sec-WebSocket-Protocol", protocol) {
        return Err(Refusal::Subprotocol);
    }
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {protocol}\r\n",
        derive_accept_key(key.as_bytes()),
    );
    if let Some(origin) = origin {
        // RFC 7977 7: SHOULD indicate cross-origin resource sharing. httparse lets no line break through.
        let _ = write!(response, "Access-Control-Allow-Origin: {origin}\r\n");
    }
    response.push_str("\r\n");
    Ok(response)
}

/// RFC 6455 4.2.1: a base64-encoded value that, when decoded, is 16 bytes in length.
fn is_key(key: &str) -> bool {
    let (value, padding) = key.split_at_checked(22).unwrap_or_default();
    padding == "==" && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// The members of a list-valued field, or the value of one that is no list.
fn values<'a>(request: &'a Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a str> {
    let fields = request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    let texts = fields.filter_map(|field| std::str::from_utf8(field.value).ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "GET / HTTP/1.1\r\nHost: a.example.com\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: https://www.example.com\r\nSec-WebSocket-Protocol: chat, sip\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    fn verdict(text: &str, limits: &WebLimits) -> Result<String, Refusal> {
        judge(text.as_bytes(), "sip", limits).unwrap()
    }

    // proves RFC 7118 4.1, RFC 7977 4, RFC 6455 4.2.2
    #[test]
    fn the_handshake_of_the_rfc_is_accepted() {
        let response = verdict(GOOD, &WebLimits::default()).unwrap();
        assert!(response.starts_with("HTTP/1.1 101 "));
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(response.contains("Sec-WebSocket-Protocol: sip\r\n"));
        for cut in 0..GOOD.len() {
            assert_eq!(judge(&GOOD.as_bytes()[..cut], "sip", &WebLimits::default()), None, "{cut}");
        }
    }

    #[test]
    fn what_opens_no_websocket_is_told_why() {
        let table = [
            ("GET /", "POST /", Refusal::Method),
            ("GET /", "GET /elsewhere?x", Refusal::Path),
            ("HTTP/1.1", "HTTP/1.0", Refusal::Upgrade),
            ("Upgrade: websocket", "Upgrade: h2c", Refusal::Upgrade),
            ("keep-alive, Upgrade", "keep-alive", Refusal::Upgrade),
            ("Version: 13", "Version: 8", Refusal::Upgrade),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl", Refusal::Key),
            ("chat, sip", "chat, msrp", Refusal::Subprotocol),
            ("\r\n\r\n", "\r\n\r\nMESSAGE", Refusal::Malformed),
            ("GET / HTTP/1.1", "MESSAGE sip:bob@example.com SIP/2.0", Refusal::Malformed),
        ];
        for (from, to, refusal) in table {
            assert_eq!(verdict(&GOOD.replace(from, to), &WebLimits::default()), Err(refusal), "{to}");
            assert!(refusal.response("sip").starts_with("HTTP/1.1 4"), "{refusal}");
        }
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(LARGEST));
        assert_eq!(verdict(&long, &WebLimits::default()), Err(Refusal::TooLarge));
    }

    #[test]
    fn origins_are_allowed_by_name() {
        let limits = |origin: &str| WebLimits { origins: vec![origin.to_owned()], ..WebLimits::default() };
        assert!(verdict(GOOD, &limits("https://WWW.example.com")).is_ok());
        assert_eq!(verdict(GOOD, &limits("https://example.com")), Err(Refusal::Origin));
        // Who is no browser names none, and could name any.
        assert!(verdict(&GOOD.replace("Origin", "X-Origin"), &limits("https://example.com")).is_ok());
    }
}
