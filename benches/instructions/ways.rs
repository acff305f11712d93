//! The ways that are counted: from received bytes to bytes to be sent, without sockets, actors and store.

use bytes::{BufMut as _, Bytes, BytesMut};
use restante::entropy::Sequence;
use restante::focus::fan_out::FanOut;
use restante::focus::intent::Intent;
use restante::focus::pager::{DepositRules, Pager};
use restante::focus::realm::Realm;
use restante::focus::{identity, intent, pager};
use restante::machine::msrp::{Event, Outgoing, Session, SessionConfig, SessionLimits};
use restante::machine::sip::{Endpoint, EndpointConfig, EndpointEvent, Flow, Transport};
use restante::time::{Instant, Timestamp};
use restante::wire::msrp::{Decoder, DecoderLimits, MsrpUri};
use restante::wire::sip::{
    Limits, Message, Request, StatusCode, StreamDecoder, StreamEvent, parse_datagram, stamp_via, validate,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

pub type Run = fn(u64);

pub const ALL: &[(&str, Run)] = &[
    ("MESSAGE parsed and serialised", parse_and_serialise),
    ("deposit, outside of the store", deposit_by_stream),
    ("deposit by datagram, outside of the store", deposit_by_datagram),
    ("small message relayed and acknowledged", relay_small),
    ("chunk of 64 KiB relayed and acknowledged", relay_large),
];

/// A MESSAGE of 200 bytes with this number; `via` is its transport.
fn message(number: u64, via: &str) -> String {
    let rport = if via == "UDP" { ";rport" } else { "" };
    format!(
        "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/{via} 192.0.2.1:5066;branch=z9hG4bK{number:08x}{rport}\r\n\
         Max-Forwards: 70\r\nFrom: \"Alice\" <sip:alice@example.org>;tag=t{number:08x}\r\n\
         To: <sip:bob@example.com>\r\nCall-ID: {number:08x}@192.0.2.1\r\nCSeq: 1 MESSAGE\r\n\
         Subject: carpool tomorrow?\r\nDate: Sun, 09 Jul 2000 21:23:01 GMT\r\nContent-Type: text/plain\r\n\
         Content-Length: 200\r\n\r\n{}",
        "x".repeat(200)
    )
}

fn parse_and_serialise(count: u64) {
    let datagram = Bytes::from(message(1, "TCP"));
    for _ in 0..count {
        let Ok(Message::Request(request)) = parse_datagram(black_box(datagram.clone()), &Limits::default())
        else {
            panic!("a request")
        };
        black_box(request.encode());
    }
}

fn deposit_by_stream(count: u64) {
    let mut decoder = StreamDecoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    deposit(count, Transport::Tcp, |number| {
        buffer.put_slice(message(number, "TCP").as_bytes());
        match decoder.decode(&mut buffer) {
            Some(StreamEvent::Message(Message::Request(request))) => request,
            _ => panic!("a request"),
        }
    });
}

fn deposit_by_datagram(count: u64) {
    deposit(count, Transport::Udp, |number| {
        match parse_datagram(Bytes::from(message(number, "UDP")), &Limits::default()) {
            Ok(Message::Request(request)) => request,
            _ => panic!("a request"),
        }
    });
}

/// From what was received to the 202, with what the store is asked in between.
fn deposit(count: u64, transport: Transport, mut receive: impl FnMut(u64) -> Request) {
    let realm = Realm::new(&["example.com".to_owned()], "mailserver.example.com", None);
    let rules = DepositRules {
        ignore_types: vec!["application/im-iscomposing+xml".to_owned()],
        max_body: 65_536,
        lifetime: Duration::from_secs(30 * 86_400),
        max_lifetime: Duration::from_secs(365 * 86_400),
    };
    let (local, peer) = (([192, 0, 2, 9], 5060).into(), ([192, 0, 2, 1], 5066).into());
    let flow = Flow { transport, connection: 1, local, peer };
    let mut endpoint = Endpoint::new(EndpointConfig::new("aa".to_owned()), &mut Sequence::new(7));
    let now = Instant::ZERO;
    for number in 0..count {
        let mut request = receive(number);
        stamp_via(&mut request, peer);
        validate(&request).unwrap();
        endpoint.handle_request(now, request, flow);
        while let Some(event) = endpoint.poll_event() {
            let EndpointEvent::Request { txn, request, .. } = event else { continue };
            let caller = identity::asserted(&realm, &request, true).unwrap();
            let Ok(Intent::DepositPager(owner)) = intent::intent(&realm, &request, &caller) else {
                panic!("a deposit")
            };
            let Ok(Pager::Kept { key, envelope, ends }) = pager::pager(&request, &rules, Timestamp(1)) else {
                panic!("kept")
            };
            black_box((owner, key, envelope, ends, request.body.clone()));
            // The endpoint adds the To tag, as for the node.
            endpoint.respond(now, txn, request.respond(StatusCode::ACCEPTED));
        }
        black_box(endpoint.poll_transmit().expect("a 202"));
        endpoint.handle_timeout(now);
    }
}

const STORE: &str = "msrp://store.example.com:2855/s1abcdefghijklmnop;tcp";
const CLIENT: &str = "msrp://client.example.com:7777/a1abcdefghijklmnop;tcp";

fn session(local: &str, remote: &str) -> Session {
    let limits = Arc::new(SessionLimits { max_chunk: 64 * 1024, ..SessionLimits::default() });
    let remote = vec![remote.parse::<MsrpUri>().unwrap()];
    let config = SessionConfig { local: local.parse().unwrap(), remote, limits };
    let mut session = Session::new(config, &mut Sequence::new(7));
    session.handle_bound(Instant::ZERO);
    session
}

/// Granted, filled, relayed, sent; and the client's 200 read.
fn relay(count: u64, size: usize) {
    let body = Bytes::from(vec![b'x'; size]);
    let mut store = session(STORE, CLIENT);
    let mut fan_out = FanOut::new(count as usize, 16);
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut buffer = BytesMut::new();
    let (now, mut delivered) = (Instant::ZERO, 0);
    for number in 0..count {
        let participant = fan_out.grant().expect("a grant");
        fan_out.fill(participant, body.clone(), false).expect("room");
        let (_, piece) = fan_out.relay().expect("a piece");
        let outgoing = Outgoing {
            message_id: format!("msg{number:08}").into(),
            content_type: Bytes::from_static(b"text/plain"),
            headers: vec![(Bytes::from_static(b"Deferred-Message-ID"), format!("item{number:08}").into())],
            total: size as u64,
        };
        let id = store.begin(now, outgoing);
        store.data(now, id, piece);
        let first = store.poll_transmit().expect("a head");
        while let Some(bytes) = store.poll_transmit() {
            black_box(bytes);
        }
        fan_out.credit(1);
        let transaction = std::str::from_utf8(&first[5..]).map_or("", |text| text.split(' ').next().unwrap());
        let answer = format!(
            "MSRP {transaction} 200 OK\r\nTo-Path: {STORE}\r\nFrom-Path: {CLIENT}\r\n-------{transaction}$\r\n"
        );
        buffer.put_slice(answer.as_bytes());
        while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
            store.handle_piece(now, piece);
        }
        while let Some(event) = store.poll_event() {
            delivered += u64::from(matches!(event, Event::Delivered { .. }));
        }
    }
    assert_eq!(delivered, count, "every message is acknowledged");
}

fn relay_small(count: u64) {
    relay(count, 200);
}

fn relay_large(count: u64) {
    relay(count, 64 * 1024);
}
