//! The SIP parser beside another one, `sipx-sip`: who takes a message, and what each reads in it.
//!
//! Where both take a message they must read the same ([`disagreement`]). Where one refuses what the other
//! takes, the test `tests/wire/differential.rs` lists the reason.

use bytes::Bytes;
use restante::wire::sip::{
    HeaderName, Limits, Message, ParseError, parse_datagram, validate, validate_response,
};
use sipx_sip::{CSeq, CallId, Via, headers};

/// What is compared of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Method and Request-URI, or status and reason.
    pub start: (String, Bytes),
    /// Transport, host, port and branch of the topmost Via.
    pub via: (String, String, Option<u16>, Option<Bytes>),
    /// How many Via values there are.
    pub vias: usize,
    /// URI and tag of From.
    pub from: (Bytes, Option<Bytes>),
    /// URI and tag of To.
    pub to: (Bytes, Option<Bytes>),
    /// Call-ID.
    pub call_id: Bytes,
    /// CSeq.
    pub cseq: (u32, String),
    /// The body.
    pub body: Bytes,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A message as this project reads it, or why it does not.
///
/// # Errors
/// The reason phrase of the refusal.
pub fn ours(data: &[u8]) -> Result<Reading, String> {
    let limits = Limits { message: 1 << 16, headers: 256, body: 1 << 16 };
    let message = parse_datagram(copy(data), &limits).map_err(|error| match error {
        ParseError::Reject { status, reason, .. } => format!("{} {reason}", status.0),
        ParseError::Silent(reason) => reason,
    })?;
    let start = match &message {
        Message::Request(request) => {
            validate(request).map_err(|(status, reason)| format!("{} {reason}", status.0))?;
            (request.method.to_string(), request.uri.clone())
        }
        Message::Response(response) => {
            validate_response(response).map_err(|error| error.to_string())?;
            (response.status.0.to_string(), response.reason.clone())
        }
    };
    let headers = message.headers();
    let unread = |error: restante::wire::sip::HeaderError| error.to_string();
    let via = headers.via().map_err(unread)?;
    let (from, to) = (headers.from().map_err(unread)?, headers.to().map_err(unread)?);
    let cseq = headers.cseq().map_err(unread)?;
    Ok(Reading {
        start,
        via: (text(&via.transport), via.host.to_string().to_lowercase(), via.port, via.branch()),
        vias: headers.values(&HeaderName::Via).count(),
        from: (copy(&from.uri), from.tag()),
        to: (copy(&to.uri), to.tag()),
        call_id: headers.call_id().map_err(unread)?,
        cseq: (cseq.number, cseq.method.to_string()),
        body: message.body().clone(),
    })
}

/// A message as `sipx-sip` reads it, or why it does not.
///
/// # Errors
/// Its error, or its findings.
pub fn theirs(data: &[u8]) -> Result<Reading, String> {
    let limits = sipx_sip::Limits { max_header_bytes: 1 << 16, ..sipx_sip::Limits::datagram() };
    let message = sipx_sip::parse_datagram(copy(data), &limits).map_err(|error| format!("{error:?}"))?;
    let findings = sipx_sip::validate(&message);
    // RFC 2543 knows no Max-Forwards, and a user agent does not need it.
    let fatal: Vec<_> = findings.iter().filter(|finding| !finding.is_repairable()).collect();
    if !fatal.is_empty() {
        return Err(format!("{fatal:?}"));
    }
    let start = match &message {
        sipx_sip::Message::Request(request) => (text(request.method.as_bytes()), request.uri.to_bytes()),
        sipx_sip::Message::Response(response) => {
            (response.status.code().to_string(), response.reason.clone())
        }
    };
    let all = message.headers();
    fn needed<T, E: std::fmt::Debug>(found: Option<Result<T, E>>) -> Result<T, String> {
        found.ok_or("missing")?.map_err(|error| format!("{error:?}"))
    }
    let via = needed(all.typed::<Via>())?;
    let from = needed(all.typed::<headers::From>())?.0;
    let to = needed(all.typed::<headers::To>())?.0;
    let cseq = needed(all.typed::<CSeq>())?;
    let mut vias = 0;
    for header in all.iter().filter(|header| *header.name() == sipx_sip::HeaderName::Via) {
        vias += Via::parse_list(&header.value()).map_err(|error| format!("{error:?}"))?.len();
    }
    let tag = |address: &sipx_sip::Address| address.tag().map(copy);
    Ok(Reading {
        start,
        via: (
            text(&via.transport),
            text(&via.host.to_bytes()).to_lowercase(),
            via.port,
            via.branch().map(copy),
        ),
        vias,
        from: (from.uri.to_bytes(), tag(&from)),
        to: (to.uri.to_bytes(), tag(&to)),
        call_id: copy(&needed(all.typed::<CallId>())?.0),
        cseq: (cseq.sequence, text(cseq.method.as_bytes())),
        body: message.body().clone(),
    })
}

/// What two readings of one message do not agree on.
pub fn disagreement(ours: &Reading, theirs: &Reading) -> Option<String> {
    let differ = |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
        let (a, b) = (format!("{a:?}"), format!("{b:?}"));
        (a != b).then(|| format!("{what}: ours {a}, theirs {b}"))
    };
    differ("start line", &ours.start, &theirs.start)
        .or_else(|| differ("Via", &ours.via, &theirs.via))
        .or_else(|| differ("number of Vias", &ours.vias, &theirs.vias))
        .or_else(|| differ("From", &ours.from, &theirs.from))
        .or_else(|| differ("To", &ours.to, &theirs.to))
        .or_else(|| differ("Call-ID", &ours.call_id, &theirs.call_id))
        .or_else(|| differ("CSeq", &ours.cseq, &theirs.cseq))
        .or_else(|| differ("body", &ours.body, &theirs.body))
}

/// A datagram that both take is read alike by both.
pub fn check(data: &[u8]) {
    if let (Ok(ours), Ok(theirs)) = (ours(data), theirs(data))
        && let Some(difference) = disagreement(&ours, &theirs)
    {
        panic!("{difference}");
    }
}
