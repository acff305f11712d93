//! Reading and writing a typical MESSAGE; target: under 1.5 us to read and drop it.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use restante::wire::sip::{
    Limits, Message, Request, StatusCode, StreamDecoder, parse_datagram, stamp_via, validate,
};

const MESSAGE: &str = "MESSAGE sip:bob@example.com SIP/2.0\r\n\
Via: SIP/2.0/UDP pc33.atlanta.example.org:5066;branch=z9hG4bK776sgdkse7a;rport\r\n\
Max-Forwards: 70\r\n\
From: \"Alice\" <sip:alice@atlanta.example.org>;tag=49583\r\n\
To: \"Bob\" <sip:bob@example.com>\r\n\
Call-ID: asd88asd77a@pc33.atlanta.example.org\r\n\
CSeq: 4711 MESSAGE\r\n\
Subject: carpool tomorrow?\r\n\
Date: Sun, 09 Jul 2000 21:23:01 GMT\r\n\
P-Asserted-Identity: <sip:alice@atlanta.example.org>\r\n\
User-Agent: example-client/4.2\r\n\
Content-Type: text/plain;charset=UTF-8\r\n\
Content-Length: 87\r\n\
\r\n\
Watson, come here. I need you to pick me up at eight, the other car is in the garage..\n";

fn parse(datagram: &Bytes, limits: &Limits) -> Option<Request> {
    match parse_datagram(datagram.clone(), limits) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    }
}

fn sip_parse(criterion: &mut Criterion) {
    let limits = Limits::default();
    let datagram = Bytes::from_static(MESSAGE.as_bytes());
    // Counting references to a received buffer costs more than naming a static one.
    let received = Bytes::from([MESSAGE.as_bytes(), b"x"].concat()).slice(..MESSAGE.len());
    assert!(parse(&datagram, &limits).is_some_and(|request| validate(&request).is_ok()));
    let mut group = criterion.benchmark_group("sip_parse");
    group.throughput(Throughput::Bytes(MESSAGE.len() as u64));
    group.bench_function("datagram", |bench| bench.iter(|| parse(black_box(&received), &limits)));
    group.bench_function("datagram_and_validate", |bench| {
        bench.iter(|| parse(black_box(&received), &limits).map(|request| validate(&request)))
    });
    group.bench_function("stream", |bench| {
        let mut decoder = StreamDecoder::new(limits);
        bench.iter(|| decoder.decode(&mut BytesMut::from(black_box(MESSAGE))))
    });
    group.bench_function("parse_and_serialise", |bench| {
        bench.iter(|| parse(black_box(&received), &limits).map(|request| request.encode()))
    });
    let peer = ([192, 0, 2, 1], 5066).into();
    group.bench_function("parse_validate_stamp_respond", |bench| {
        bench.iter(|| {
            let mut request = parse(black_box(&received), &limits)?;
            validate(&request).ok()?;
            stamp_via(&mut request, peer);
            let mut response = request.respond(StatusCode::ACCEPTED);
            response.set_to_tag("abcdefgh");
            Some(response.encode())
        });
    });
    group.finish();
}

criterion_group!(benches, sip_parse);
criterion_main!(benches);
