//! What an arrow says of a SIP message: method and Request-URI, or status and the method answered.

use bytes::Bytes;

use crate::wire::sip::{HeaderName, Headers, Request, Response};

/// The longest Call-ID, URI or phrase that is kept, in bytes; the rest is cut off.
const LONGEST: usize = 200;

/// What is kept of a SIP message for a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// The Call-ID, at most 200 bytes of it.
    pub call_id: Bytes,
    /// The start line's words: the method, or status and reason phrase.
    pub what: Bytes,
    /// The Request-URI of a request as it was; empty for a response.
    pub uri: Bytes,
    /// The method that a response answers, the event that is subscribed to, or nothing.
    pub about: Bytes,
}

/// The caption of a request that was received. Nothing in it holds the request's buffer.
#[must_use]
pub fn caption_of_request(request: &Request) -> Caption {
    let event = request.headers.get(&HeaderName::Event).map_or(&b""[..], |event| first_token(event));
    Caption {
        call_id: call_id(&request.headers),
        what: Bytes::copy_from_slice(cut(request.method.as_str().as_bytes())),
        uri: Bytes::copy_from_slice(cut(&request.uri)),
        about: Bytes::copy_from_slice(cut(event)),
    }
}

/// The caption of a response that was received.
#[must_use]
pub fn caption_of_response(response: &Response) -> Caption {
    let method = response.headers.get(&HeaderName::CSeq).map_or(&b""[..], |cseq| last_word(cseq));
    let mut what = format!("{} ", response.status.0).into_bytes();
    what.extend_from_slice(cut(&response.reason));
    Caption {
        call_id: call_id(&response.headers),
        what: what.into(),
        uri: Bytes::new(),
        about: Bytes::copy_from_slice(cut(method)),
    }
}

/// The caption of a message that is about to be sent, from its bytes; `None` where they are no SIP message
/// with a Call-ID.
///
/// It reads only what this node writes: full header names, no folded lines.
#[must_use]
pub fn scan_sip(bytes: &[u8]) -> Option<Caption> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let start = lines.next()?;
    let (mut call_id, mut cseq, mut event) = (None, &b""[..], &b""[..]);
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?.trim_ascii());
        if name.eq_ignore_ascii_case(b"Call-ID") {
            call_id = Some(value);
        } else if name.eq_ignore_ascii_case(b"CSeq") {
            cseq = last_word(value);
        } else if name.eq_ignore_ascii_case(b"Event") {
            event = first_token(value);
        }
    }
    let kept = |raw: &[u8]| Bytes::copy_from_slice(cut(raw));
    let call_id = kept(call_id?);
    if let Some(status) = start.strip_prefix(b"SIP/2.0 ") {
        return Some(Caption { call_id, what: kept(status), uri: Bytes::new(), about: kept(cseq) });
    }
    let mut words = start.split(|byte| *byte == b' ');
    let (method, uri) = (words.next()?, words.next()?);
    Some(Caption { call_id, what: kept(method), uri: kept(uri), about: kept(event) })
}

/// The label of an MSRP frame, from its bytes: what is told before its body. `None` where they are no frame's
/// beginning.
#[must_use]
pub fn label_of_msrp(bytes: &[u8]) -> Option<String> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let start = lines.next()?.strip_prefix(b"MSRP ")?;
    let (_, what) = start.split_at(start.iter().position(|byte| *byte == b' ')? + 1);
    let mut label = cut(what).escape_ascii().to_string();
    for line in lines.take_while(|line| !line.is_empty() && !line.starts_with(b"-------")) {
        for name in [&b"Byte-Range: "[..], b"Status: ", b"Content-Type: "] {
            if let Some(value) = line.strip_prefix(name) {
                label = format!("{label} {}", cut(value).escape_ascii());
            }
        }
    }
    Some(label)
}

impl Caption {
    /// The label of an arrow. `show` writes the Request-URI, or what may be seen of it, which may be nothing.
    #[must_use]
    pub fn label(&self, show: impl FnOnce(&Bytes) -> String) -> String {
        let about = match self.about.is_empty() {
            true => String::new(),
            false => format!(" ({})", self.about.escape_ascii()),
        };
        let uri = if self.uri.is_empty() { String::new() } else { show(&self.uri) };
        let space = if uri.is_empty() { "" } else { " " };
        format!("{}{space}{uri}{about}", self.what.escape_ascii())
    }
}

fn call_id(headers: &Headers) -> Bytes {
    headers.get(&HeaderName::CallId).map_or_else(Bytes::new, |id| Bytes::copy_from_slice(cut(id)))
}

fn first_token(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

fn last_word(value: &[u8]) -> &[u8] {
    value.rsplit(|byte| *byte == b' ').next().unwrap_or_default()
}

fn cut(raw: &[u8]) -> &[u8] {
    raw.get(..LONGEST).unwrap_or(raw)
}
