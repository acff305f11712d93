//! What the tests of this room share: requests, responses, and messages that arrive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{Account, Opening};
use crate::entropy::Sequence;
use crate::machine::msrp::{Event, IncomingId, Session, SessionConfig, SessionLimits};
use crate::machine::sip::{Endpoint, EndpointConfig, EndpointEvent, Flow, ServerTxn, Transport};
use crate::time::Instant;
use crate::wire::msrp::{Decoder, DecoderLimits, MsrpUri};
use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

/// The instant `milliseconds` after the origin.
pub(super) fn at(milliseconds: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(milliseconds))
}

/// Charlie.
pub(super) fn account() -> Account {
    Account::parse("charlie@example.com").unwrap()
}

/// A request of Charlie's to `uri`, as the client makes them.
pub(super) fn request(method: Method, uri: &str) -> Request {
    let opening = Opening { call_id: "call@192.0.2.9".to_owned(), tag: "c1".to_owned() };
    let mut request = opening.request(method, uri, uri, &account());
    request.headers.push(HeaderName::Contact, "<sip:charlie@192.0.2.9:5070>");
    request
}

/// The answer of the store to `request`, with its tag and Contact.
pub(super) fn answer(request: &Request, status: StatusCode, tag: &str) -> Response {
    let mut response = request.respond(status);
    response.set_to_tag(tag);
    response.headers.push(HeaderName::Contact, "<sip:focus@192.0.2.2:5060>;isfocus");
    response
}

/// A request of the store within the dialog that `opened` opened with the tag `tag`.
pub(super) fn within(opened: &Request, method: Method, cseq: u32, tag: &str) -> Request {
    let mut request = Request::new(method.clone(), "sip:charlie@192.0.2.9:5070");
    let from = opened.headers.get(&HeaderName::To).unwrap();
    let headers = &mut request.headers;
    headers.push(HeaderName::From, Bytes::from([from, b";tag=".as_ref(), tag.as_bytes()].concat()));
    headers.push(HeaderName::To, opened.headers.get(&HeaderName::From).unwrap().clone());
    headers.push(HeaderName::CallId, opened.headers.get(&HeaderName::CallId).unwrap().clone());
    headers.push(HeaderName::CSeq, format!("{cseq} {method}"));
    headers.push(HeaderName::Contact, "<sip:focus@192.0.2.2:5060>");
    request
}

/// A flow between 192.0.2.9 and 192.0.2.2.
pub(super) fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        connection: 0,
        local: "192.0.2.9:5070".parse().unwrap(),
        peer: "192.0.2.2:5060".parse().unwrap(),
    }
}

/// Transactions as an endpoint names them: of two requests that came.
pub(super) fn transactions() -> [ServerTxn; 2] {
    let mut config = EndpointConfig::new("t");
    let local = "192.0.2.2:5060".parse().unwrap();
    config.sent_by = vec![(Transport::Udp, local, "192.0.2.2:5060".to_owned())];
    let mut endpoint = Endpoint::new(config, &mut Sequence::new(1));
    for branch in ["one", "two"] {
        let mut request = request(Method::Options, "sip:x@y");
        request.headers.set(HeaderName::CallId, branch);
        request.headers.push_front(HeaderName::Via, format!("SIP/2.0/UDP h;branch=z9hG4bK{branch}"));
        endpoint.handle_request(at(0), request, flow());
    }
    [(), ()].map(|()| match endpoint.poll_event() {
        Some(EndpointEvent::Request { txn, .. }) => txn,
        other => panic!("{other:?}"),
    })
}

/// What a receiving session tells of the frames in `wire`.
pub(super) fn events(wire: &[u8]) -> Vec<Event> {
    let local = MsrpUri::parse(b"msrp://192.0.2.9:9/c;tcp").unwrap();
    let remote = MsrpUri::parse(b"msrp://192.0.2.2:9/s;tcp").unwrap();
    let limits = Arc::new(SessionLimits { max_incoming: 100, ..SessionLimits::default() });
    let config = SessionConfig { local, remote: vec![remote], limits };
    let mut session = Session::new(config, &mut Sequence::new(1));
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut buffer = BytesMut::from(wire);
    while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
        session.handle_piece(at(0), piece);
    }
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// A SEND of `body`, the bytes from `start` (counted from one) of `total`.
pub(super) fn chunk(
    number: usize,
    message_id: &str,
    headers: &str,
    (start, total): (usize, usize),
    body: &str,
) -> String {
    let flag = if start - 1 + body.len() == total { '$' } else { '+' };
    format!(
        "MSRP tid{number:05} SEND\r\nTo-Path: msrp://192.0.2.9:9/c;tcp\r\nFrom-Path: msrp://192.0.2.2:9/s;tcp\r\n\
         Message-ID: {message_id}\r\nByte-Range: {start}-*/{total}\r\n{headers}\r\n\r\n{body}\r\n-------tid{number:05}{flag}\r\n"
    )
}

/// The names of four messages that arrive.
pub(super) fn incoming_ids() -> [IncomingId; 4] {
    let wire: String = (0..4)
        .map(|number| chunk(number, &format!("message{number}"), "Content-Type: text/plain", (1, 9), "a"))
        .collect();
    let ids: Vec<_> = events(wire.as_bytes())
        .into_iter()
        .filter_map(|event| match event {
            Event::Started { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    ids.try_into().unwrap()
}
