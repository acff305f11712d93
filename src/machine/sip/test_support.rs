//! What the tests of this module share: messages, flows, and looking at what an endpoint does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use bytes::Bytes;

use super::{Endpoint, EndpointConfig, EndpointEvent, Flow, ServerTxn, Transmit, Transport};
use crate::entropy::Sequence;
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Limits, Message, Method, Request, Response, StatusCode, parse_datagram};

/// The instant `milliseconds` after the origin.
pub(super) fn at(milliseconds: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(milliseconds))
}

/// A UDP flow from 192.0.2.1:5060 to us.
pub(super) fn udp() -> Flow {
    flow(Transport::Udp, 0)
}

/// A TCP connection from 192.0.2.1:40000 to us.
pub(super) fn tcp() -> Flow {
    Flow { peer: "192.0.2.1:40000".parse().unwrap(), ..flow(Transport::Tcp, 7) }
}

fn flow(transport: Transport, connection: u64) -> Flow {
    Flow {
        transport,
        connection,
        local: "192.0.2.2:5060".parse().unwrap(),
        peer: "192.0.2.1:5060".parse().unwrap(),
    }
}

/// An endpoint at 192.0.2.2.
pub(super) fn endpoint() -> Endpoint {
    let mut config = EndpointConfig::new("s0");
    let local = "192.0.2.2:5060".parse().unwrap();
    config.sent_by = vec![
        (Transport::Udp, local, "192.0.2.2:5060".to_owned()),
        (Transport::Tcp, local, "192.0.2.2:5060".to_owned()),
    ];
    Endpoint::new(config, &mut Sequence::new(1))
}

/// A request from alice at 192.0.2.1 to bob, without a Via.
pub(super) fn bare(method: Method, call_id: &str, cseq: u32) -> Request {
    let line = format!("{cseq} {method}");
    let mut request = Request::new(method, "sip:bob@example.com");
    let mut push = |name: HeaderName, value: String| request.headers.push(name, value);
    push(HeaderName::MaxForwards, "70".into());
    push(HeaderName::From, "<sip:alice@example.org>;tag=a1".into());
    push(HeaderName::To, "<sip:bob@example.com>".into());
    push(HeaderName::CallId, call_id.into());
    push(HeaderName::CSeq, line);
    push(HeaderName::Contact, "<sip:alice@192.0.2.1>".into());
    request
}

/// The same with a Via of `branch`.
pub(super) fn incoming(method: Method, branch: &str) -> Request {
    let mut request = bare(method, &format!("call-{branch}"), 1);
    let via = format!("SIP/2.0/UDP 192.0.2.1:5060;branch={branch}");
    request.headers.push_front(HeaderName::Via, via);
    request
}

/// `request` with its CSeq method and its own replaced: an ACK or CANCEL for it.
pub(super) fn like(request: &Request, method: Method) -> Request {
    let mut other = request.clone();
    let number = request.headers.cseq().unwrap().number;
    other.headers.set(HeaderName::CSeq, format!("{number} {method}"));
    other.method = method;
    other
}

/// What was sent since the last look.
pub(super) fn sent(endpoint: &mut Endpoint) -> Vec<Transmit> {
    std::iter::from_fn(|| endpoint.poll_transmit()).collect()
}

/// The start lines of what was sent since the last look, without the version.
pub(super) fn lines(endpoint: &mut Endpoint) -> Vec<String> {
    sent(endpoint).iter().map(|transmit| start_line(&transmit.bytes)).collect()
}

/// The status of a response or the method of a request.
pub(super) fn start_line(bytes: &Bytes) -> String {
    match parse(bytes) {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => response.status.to_string(),
    }
}

/// Reads what an endpoint has sent.
pub(super) fn parse(bytes: &Bytes) -> Message {
    let limits = Limits { message: 1 << 20, headers: 100, body: 1 << 20 };
    parse_datagram(bytes.clone(), &limits).expect("what is sent can be read")
}

/// The response in `bytes`.
pub(super) fn response(bytes: &Bytes) -> Response {
    match parse(bytes) {
        Message::Response(response) => response,
        Message::Request(request) => panic!("a request: {}", request.method),
    }
}

/// The request in `bytes`.
pub(super) fn request(bytes: &Bytes) -> Request {
    match parse(bytes) {
        Message::Request(request) => request,
        Message::Response(response) => panic!("a response: {}", response.status),
    }
}

/// What the user was told since the last look.
pub(super) fn events(endpoint: &mut Endpoint) -> Vec<EndpointEvent> {
    std::iter::from_fn(|| endpoint.poll_event()).collect()
}

/// The one new request the user was told of.
pub(super) fn arrived(endpoint: &mut Endpoint) -> (ServerTxn, Request) {
    match events(endpoint).pop() {
        Some(EndpointEvent::Request { txn, request, .. }) => (txn, request),
        other => panic!("no request but {other:?}"),
    }
}

/// Takes `incoming`, lets the user answer `status`, and returns the transaction.
pub(super) fn answered(endpoint: &mut Endpoint, now: Instant, incoming: Request, status: u16) -> ServerTxn {
    endpoint.handle_request(now, incoming, udp());
    let (txn, request) = arrived(endpoint);
    assert!(endpoint.respond(now, txn, request.respond(StatusCode(status))));
    txn
}

/// Fires all timers up to `until`, and tells when what was sent: `500 MESSAGE`.
pub(super) fn run(endpoint: &mut Endpoint, until: Instant) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(next) = endpoint.poll_timeout().filter(|next| *next <= until) {
        endpoint.handle_timeout(next);
        let when = next.since_origin().as_millis();
        out.extend(lines(endpoint).into_iter().map(|line| format!("{when} {line}")));
    }
    out
}

/// What the user was told since the last look, in a word each.
pub(super) fn outcomes(endpoint: &mut Endpoint) -> Vec<String> {
    let told = events(endpoint).into_iter().map(|event| match event {
        EndpointEvent::Response { response, .. } => response.status.to_string(),
        EndpointEvent::Failed { cause, .. } | EndpointEvent::Ended { cause, .. } => format!("{cause:?}"),
        EndpointEvent::Request { request, .. } | EndpointEvent::Ack { request, .. } => {
            request.method.to_string()
        }
        EndpointEvent::Cancelled { .. } => "cancelled".to_owned(),
    });
    told.collect()
}
