//! Two sessions wired to each other on a virtual clock: random messages, interleaved and cut
//! anywhere, arrive whole.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;

use super::testing::*;
use super::*;
use crate::entropy::{Entropy, Sequence};
use crate::time::Instant;
use crate::wire::msrp::{Decoder, DecoderLimits};

/// One end: a session, the decoder of its connection, and its user.
struct End {
    session: Session,
    decoder: Decoder,
    buffer: BytesMut,
    /// Bytes on their way to this end.
    wire: Vec<u8>,
    /// What is being sent: bytes, and how many were handed over.
    sending: BTreeMap<OutgoingId, (Vec<u8>, usize)>,
    receiving: HashMap<IncomingId, Vec<u8>>,
    unanswered: Vec<IncomingId>,
    received: Vec<Vec<u8>>,
    delivered: usize,
}

impl End {
    fn new(local: &str, remote: &str, max_chunk: u64, seed: u64) -> Self {
        let limits = Arc::new(SessionLimits { max_chunk, ..SessionLimits::default() });
        let config = SessionConfig { local: uri(local), remote: vec![uri(remote)], limits };
        let mut session = Session::new(config, &mut Sequence::new(seed));
        session.handle_bound(T0);
        Self {
            session,
            decoder: Decoder::new(DecoderLimits::default()),
            buffer: BytesMut::new(),
            wire: Vec::new(),
            sending: BTreeMap::new(),
            receiving: HashMap::new(),
            unanswered: Vec::new(),
            received: Vec::new(),
            delivered: 0,
        }
    }

    fn begin(&mut self, now: Instant, number: usize, body: Vec<u8>) {
        let outgoing = Outgoing {
            message_id: format!("message{number}").into(),
            content_type: "application/octet-stream".into(),
            headers: vec![],
            total: body.len() as u64,
        };
        let id = self.session.begin(now, outgoing);
        self.sending.insert(id, (body, 0));
    }

    /// Hands a few bytes of some message to the session.
    fn send_some(&mut self, now: Instant, random: &mut Sequence) {
        let unsent: Vec<_> =
            self.sending.iter().filter(|(_, (b, at))| *at < b.len()).map(|(id, _)| *id).collect();
        if unsent.is_empty() {
            return;
        }
        let id = unsent[random.next_u64() as usize % unsent.len()];
        let (body, at) = self.sending.get_mut(&id).unwrap();
        let count = (random.next_u64() as usize % 3000).min(body.len() - *at);
        self.session.data(now, id, body[*at..*at + count].to_vec().into());
        *at += count;
    }

    fn receive_some(&mut self, now: Instant, random: &mut Sequence) {
        let count = (random.next_u64() as usize % 2000).min(self.wire.len());
        self.buffer.extend_from_slice(&self.wire[..count]);
        self.wire.drain(..count);
        while let Some(piece) = self.decoder.decode(&mut self.buffer).unwrap() {
            self.session.handle_piece(now, piece);
            self.drain();
        }
    }

    fn answer_some(&mut self, now: Instant, random: &mut Sequence) {
        if !self.unanswered.is_empty() {
            let id = self.unanswered.swap_remove(random.next_u64() as usize % self.unanswered.len());
            self.received.push(self.receiving.remove(&id).unwrap());
            self.session.answer(now, id, &Verdict::Stored);
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Bound | Event::Sent { .. } => {}
                Event::Started { id, .. } => assert!(self.receiving.insert(id, Vec::new()).is_none()),
                Event::Data { id, offset, bytes } => {
                    let whole = self.receiving.get_mut(&id).unwrap();
                    assert_eq!(whole.len() as u64, offset, "in order over one connection");
                    whole.extend_from_slice(&bytes);
                }
                Event::Complete { id, size } => {
                    assert_eq!(self.receiving[&id].len() as u64, size);
                    self.unanswered.push(id);
                }
                Event::Delivered { id } => {
                    assert!(self.sending.remove(&id).is_some());
                    self.delivered += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.sending.is_empty() && self.unanswered.is_empty() && self.wire.is_empty()
    }
}

/// Bodies, some full of end-lines that the sender's own identifiers would make.
fn body(random: &mut Sequence, prefix: &str) -> Vec<u8> {
    let size = match random.next_u64() % 4 {
        0 => random.next_u64() % 100,
        1 => random.next_u64() % 3000,
        2 => 2048,
        _ => random.next_u64() % 30_000,
    };
    let mut body = Vec::new();
    let traps = random.next_u64().is_multiple_of(2);
    while (body.len() as u64) < size {
        if traps {
            let number = random.next_u64() % 36;
            let digit = char::from_digit(number as u32, 36).unwrap();
            body.extend_from_slice(format!("\r\n-------{prefix}{digit}$\r\n-------{prefix}").as_bytes());
        } else {
            body.extend_from_slice(&random.next_u64().to_le_bytes());
        }
    }
    body
}

fn converse(seed: u64, messages: usize, max_chunk: u64) {
    let mut random = Sequence::new(seed);
    let mut ends = [End::new(STORE, ALICE, max_chunk, 1), End::new(ALICE, STORE, max_chunk, 2)];
    let mut now = T0;
    let mut bodies = [Vec::new(), Vec::new()];
    for number in 0..messages {
        for (side, end) in ends.iter_mut().enumerate() {
            let prefix = Sequence::new(side as u64 + 1).token(16);
            let body = body(&mut random, &prefix);
            bodies[side].push(body.clone());
            end.begin(now, number, body);
        }
    }
    for _ in 0..100_000 {
        let side = (random.next_u64() % 2) as usize;
        now += Duration::from_millis(1);
        match random.next_u64() % 5 {
            0 | 1 => ends[side].send_some(now, &mut random),
            2 | 3 => ends[side].receive_some(now, &mut random),
            _ => ends[side].answer_some(now, &mut random),
        }
        ends[side].drain();
        let written = output(&mut ends[side].session);
        ends[1 - side].wire.extend_from_slice(&written);
        if ends.iter().all(End::is_idle) {
            break;
        }
    }
    for side in 0..2 {
        assert_eq!(ends[side].delivered, messages);
        assert_eq!(ends[side].session.poll_timeout(), None);
        let mut received = std::mem::take(&mut ends[1 - side].received);
        received.sort();
        bodies[side].sort();
        assert_eq!(received, bodies[side]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    // proves RFC 4975 5.1, 7.1, 7.3.1: what one end sends, the other receives
    #[test]
    fn random_conversations_arrive_whole(seed: u64, messages in 1_usize..12, max_chunk in 2048_u64..20_000) {
        converse(seed, messages, max_chunk);
    }

    #[test]
    fn no_stream_makes_a_session_panic(
        seed: u64,
        frames in prop::collection::vec(("[1-9]{1,20}-([0-9]{1,20}|\\*)/([0-9]{1,20}|\\*)", 0_usize..3000, "[$+#]", "m00[0-3]"), 0..40),
    ) {
        let mut random = Sequence::new(seed);
        let mut store = session(within(SessionLimits { max_message: 10_000, max_incoming: 2, ..SessionLimits::default() }));
        for (range, size, flag, id) in frames {
            let text = chunk("tran1", &id, &range, &"x".repeat(size), flag.chars().next().unwrap());
            feed(&mut store, T0, text);
            for event in events(&mut store) {
                if let Event::Complete { id, .. } = event {
                    let refused = Verdict::Refused(413, "".into());
                    store.answer(T0, id, if random.next_u64().is_multiple_of(2) { &Verdict::Stored } else { &refused });
                }
            }
            for frame in written(&mut store) {
                prop_assert!(["200", "400", "413"].contains(&frame.kind().as_str()));
            }
        }
    }
}
