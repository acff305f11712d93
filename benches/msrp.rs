//! How fast MSRP streams are framed, and how fast a session takes and sends messages.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use restante::entropy::Sequence;
use restante::machine::msrp::{Event, Outgoing, Session, SessionConfig, SessionLimits, Verdict};
use restante::time::Instant;
use restante::wire::msrp::{Decoder, DecoderLimits, MsrpUri, Piece};

const STORE: &str = "msrp://store.example.com:2855/s1abcdefghijklmnop;tcp";
const ALICE: &str = "msrp://alice.example.com:7777/a1abcdefghijklmnop;tcp";

/// What a socket gives at once.
const READ: usize = 64 * 1024;

fn session(local: &str, remote: &str) -> Session {
    let limits = Arc::new(SessionLimits { max_message: u64::MAX, ..SessionLimits::default() });
    let remote = vec![remote.parse::<MsrpUri>().unwrap()];
    let config = SessionConfig { local: local.parse().unwrap(), remote, limits };
    let mut session = Session::new(config, &mut Sequence::new(7));
    session.handle_bound(Instant::ZERO);
    session
}

/// The frames of `count` messages of `size` bytes from Alice.
fn stream(count: usize, size: usize) -> Vec<u8> {
    let mut alice = session(ALICE, STORE);
    let body = Bytes::from((0..size).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>());
    let mut out = Vec::new();
    for n in 0..count {
        send(&mut alice, n, &body, &mut out);
    }
    out
}

fn send(alice: &mut Session, n: usize, body: &Bytes, out: &mut Vec<u8>) {
    let message_id = format!("msg{n:08}").into();
    let content_type = Bytes::from_static(b"text/plain");
    let total = body.len() as u64;
    let id = alice.begin(Instant::ZERO, Outgoing { message_id, content_type, headers: Vec::new(), total });
    alice.data(Instant::ZERO, id, body.clone());
    while let Some(bytes) = alice.poll_transmit() {
        out.put_slice(&bytes);
    }
    while alice.poll_event().is_some() {}
}

/// Reads and frames the stream as a connection would.
fn decode(stream: &[u8], mut each: impl FnMut(Piece)) {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut buffer = BytesMut::with_capacity(2 * READ);
    for portion in stream.chunks(READ) {
        buffer.extend_from_slice(portion);
        while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
            each(piece);
        }
    }
}

fn framing(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let large = stream(256, 64 * 1024);
    group.throughput(Throughput::Bytes(large.len() as u64));
    group.bench_function("chunks of 64 KiB", |b| b.iter(|| decode(&large, drop)));
    // The same without the copy that stands for the socket's.
    group.bench_function("one buffer of 64 KiB chunks", |b| {
        b.iter_batched(
            || BytesMut::from(large.as_slice()),
            |mut buffer| {
                let mut decoder = Decoder::new(DecoderLimits::default());
                while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
                    drop(piece);
                }
            },
            BatchSize::LargeInput,
        );
    });
    let small = stream(10_000, 200);
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("messages of 200 bytes", |b| b.iter(|| decode(&small, drop)));
    group.finish();
}

fn sessions(c: &mut Criterion) {
    let mut group = c.benchmark_group("session");
    let small = stream(10_000, 200);
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("receive and answer messages of 200 bytes", |b| {
        b.iter(|| {
            let mut store = session(STORE, ALICE);
            decode(&small, |piece| {
                store.handle_piece(Instant::ZERO, piece);
                while let Some(event) = store.poll_event() {
                    if let Event::Complete { id, .. } = event {
                        store.answer(Instant::ZERO, id, &Verdict::Stored);
                    }
                }
            });
            while store.poll_transmit().is_some() {}
        });
    });
    group.bench_function("send messages of 200 bytes", |b| b.iter(|| stream(10_000, 200)));
    group.finish();
}

criterion_group!(benches, framing, sessions);
criterion_main!(benches);
