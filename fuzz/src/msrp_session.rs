//! A whole MSRP session against a peer that sends frames, responses and reports in any order and goes
//! whenever it likes: every request is answered at most once, every message ends at most once, nothing
//! grows beyond what came, and nothing is left when the connection is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use restante::entropy::Sequence;
use restante::machine::msrp::{
    Event, IncomingId, Outgoing, OutgoingId, Session, SessionConfig, SessionLimits, Verdict,
};
use restante::time::Instant;
use restante::wire::msrp::{Decoder, DecoderLimits, FrameKind, MsrpUri, Piece};

use super::choices::Choices;

const LOCAL: &str = "msrp://store.example.com:2855/s1;tcp";
const REMOTE: &str = "msrp://alice.example.com:7777/a1;tcp";

#[derive(Debug, PartialEq, Eq)]
enum Arriving {
    Open,
    Complete,
    Ended,
}

struct Peer {
    session: Session,
    now: Instant,
    decoder: Decoder,
    /// What the peer asked, and how often; what was answered.
    asked: BTreeMap<Bytes, usize>,
    answered: BTreeMap<Bytes, usize>,
    /// Transactions of the session's own that are open for an answer.
    sent: Vec<Bytes>,
    arriving: BTreeMap<IncomingId, Arriving>,
    leaving: BTreeMap<OutgoingId, bool>,
    over: bool,
    /// Bytes of content that came, and that were told.
    came: usize,
    told: usize,
}

impl Peer {
    fn new(choices: &mut Choices<'_>) -> Self {
        let uri = |text: &str| MsrpUri::parse(text.as_bytes()).unwrap();
        let mut limits = SessionLimits { max_message: 2000, max_incoming: 3, ..SessionLimits::default() };
        limits.max_chunk = choices.one(&[2048, 30]);
        limits.receives = choices.byte() != 1;
        if choices.byte() == 1 {
            limits.accepts = Box::from(["text/*".to_owned()]);
        }
        let config = SessionConfig { local: uri(LOCAL), remote: vec![uri(REMOTE)], limits: limits.into() };
        Self {
            session: Session::new(config, &mut Sequence::new(1)),
            now: Instant::ZERO,
            decoder: Decoder::new(DecoderLimits::default()),
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            sent: Vec::new(),
            arriving: BTreeMap::new(),
            leaving: BTreeMap::new(),
            over: false,
            came: 0,
            told: 0,
        }
    }

    /// A frame of the peer's, whole.
    fn frame(&mut self, choices: &mut Choices<'_>) -> String {
        let to = choices.one(&[LOCAL, LOCAL, LOCAL, LOCAL, "msrp://store.example.com:2855/other;tcp"]);
        let (line, transaction) = match choices.below(8) {
            0 if !self.sent.is_empty() => {
                let transaction = self.sent[choices.below(self.sent.len())].clone();
                let transaction = String::from_utf8_lossy(&transaction).into_owned();
                (choices.one(&["200 OK", "200", "413 no", "408", "481", "506", "999"]), transaction)
            }
            1 => ("200 OK", "n0ne".to_owned()),
            2 => ("REPORT", format!("r{:03}", choices.below(8))),
            3 => ("NICKNAME", format!("x{:03}", choices.below(8))),
            _ => ("SEND", format!("t{:03}", choices.below(16))),
        };
        let mut text = format!("MSRP {transaction} {line}\r\nTo-Path: {to}\r\nFrom-Path: {REMOTE}\r\n");
        if line == "SEND" || line == "NICKNAME" {
            *self.asked.entry(Bytes::from(transaction.clone())).or_default() += 1;
        }
        if line != "SEND" && line != "REPORT" {
            return text + &format!("-------{transaction}$\r\n");
        }
        text += &format!("Message-ID: m{:03}\r\n", choices.below(5));
        if choices.byte() != 1 {
            let (start, end) = (choices.below(20), choices.one(&["*", "0", "5", "10", "1900"]));
            let total = choices.one(&["*", "10", "5", "0", "1900", "99999"]);
            text += &format!("Byte-Range: {start}-{end}/{total}\r\n");
        }
        text += choices.one(&["", "Success-Report: yes\r\n"]);
        text += choices.one(&[
            "",
            "",
            "Failure-Report: no\r\n",
            "Failure-Report: partial\r\n",
            "Failure-Report: x\r\n",
        ]);
        if line == "REPORT" {
            text += choices.one(&["Status: 000 200 OK\r\n", "Status: 000 413\r\n", ""]);
        }
        let length = choices.one(&[0, 1, 5, 10, 300]);
        if length > 0 || choices.byte() == 1 {
            let content_type = choices.one(&["text/plain", "image/png", "message/cpim", "nonsense"]);
            text += &format!("Content-Type: {content_type}\r\n\r\n{}\r\n", "b".repeat(length));
            self.came += length;
        }
        text + &format!("-------{transaction}{}\r\n", choices.one(&['$', '+', '#']))
    }

    fn receive(&mut self, text: &str) {
        let mut buffer = BytesMut::from(text);
        while let Some(piece) = self.decoder.decode(&mut buffer).expect("the peer writes good frames") {
            self.session.handle_piece(self.now, piece);
            self.drain();
        }
        assert!(buffer.is_empty());
    }

    fn drain(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert!(!self.over, "an event after the end: {event:?}");
            self.event(event);
        }
        let mut out = BytesMut::new();
        while let Some(bytes) = self.session.poll_transmit() {
            assert!(!bytes.is_empty());
            out.extend_from_slice(&bytes);
        }
        self.written(out);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Bound => {}
            Event::Started { id, .. } => {
                assert_eq!(self.arriving.insert(id, Arriving::Open), None, "begun twice");
                // Those that are complete and not answered have a bound of their own.
                let open = self.arriving.values().filter(|state| **state == Arriving::Open).count();
                assert!(open <= 3, "{open} messages at once");
            }
            Event::Described { id, .. } => assert_eq!(self.arriving.get(&id), Some(&Arriving::Open)),
            Event::Data { id, bytes, offset } => {
                assert_eq!(self.arriving.get(&id), Some(&Arriving::Open));
                self.told += bytes.len();
                assert!(self.told <= self.came, "more is told than came");
                assert!(offset + bytes.len() as u64 <= 2000, "beyond the limit");
            }
            Event::Complete { id, size } => {
                assert!(size <= 2000);
                assert_eq!(self.arriving.insert(id, Arriving::Complete), Some(Arriving::Open));
            }
            Event::Dropped { id, .. } => {
                let before = self.arriving.insert(id, Arriving::Ended);
                assert!(matches!(before, Some(Arriving::Open | Arriving::Complete)), "{before:?}");
            }
            Event::Sent { id } => assert!(self.leaving.contains_key(&id)),
            Event::Delivered { id } | Event::Refused { id, .. } => {
                assert_eq!(self.leaving.insert(id, true), Some(false), "ended twice");
            }
            Event::Failed(_) => self.over = true,
        }
    }

    /// Reads what the session wrote: whole frames, once a chunk is interrupted.
    fn written(&mut self, mut out: BytesMut) {
        if self.session.has_open_chunk() {
            self.session.interrupt(self.now);
            while let Some(bytes) = self.session.poll_transmit() {
                out.extend_from_slice(&bytes);
            }
        }
        let mut decoder = Decoder::new(DecoderLimits::default());
        while let Some(piece) = decoder.decode(&mut out).expect("the session writes good frames") {
            let Piece::Head(head) = piece else { continue };
            match head.kind {
                FrameKind::Response { .. } => {
                    let answers = self.answered.entry(head.transaction.clone()).or_default();
                    *answers += 1;
                    let asked = self.asked.get(&head.transaction).copied().unwrap_or_default();
                    assert!(*answers <= asked, "{:?} is answered {answers} times", head.transaction);
                }
                FrameKind::Send => self.sent.push(head.transaction.clone()),
                FrameKind::Report | FrameKind::Other(_) => {}
            }
        }
        assert!(out.is_empty() && decoder.is_between_frames(), "half a frame: {out:?}");
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(10) {
            0..=4 => {
                let text = self.frame(choices);
                self.receive(&text);
            }
            5 => {
                let complete: Vec<_> = (self.arriving.iter())
                    .filter(|(_, state)| **state == Arriving::Complete)
                    .map(|(id, _)| *id)
                    .collect();
                if !complete.is_empty() {
                    let id = complete[choices.below(complete.len())];
                    let refused = Verdict::Refused(413, Bytes::new());
                    let verdict = if choices.byte() == 1 { refused } else { Verdict::Stored };
                    self.arriving.insert(id, Arriving::Ended);
                    self.session.answer(self.now, id, &verdict);
                }
            }
            6 => {
                let total = choices.one(&[0_u64, 3, 100]);
                let outgoing = Outgoing {
                    message_id: Bytes::from(format!("out{}", self.leaving.len())),
                    content_type: Bytes::from_static(b"text/plain"),
                    headers: Vec::new(),
                    total,
                };
                let id = self.session.begin(self.now, outgoing);
                assert_eq!(self.leaving.insert(id, false), None);
                self.drain();
                if choices.byte() != 1 {
                    self.session.data(self.now, id, Bytes::from(vec![b'o'; total as usize]));
                }
            }
            7 => {
                self.now += choices.one(&[Duration::from_secs(1), Duration::from_secs(31)]);
                self.session.handle_timeout(self.now);
            }
            8 => self.session.handle_bound(self.now),
            _ => {
                if let Some(id) = self.leaving.keys().nth(choices.below(4)).copied() {
                    self.session.abort(self.now, id);
                }
            }
        }
        self.drain();
    }
}

/// A session.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut peer = Peer::new(&mut choices);
    for _ in 0..200 {
        if choices.is_empty() {
            break;
        }
        peer.step(&mut choices);
    }
    peer.session.handle_closed(peer.now);
    let (asked, answered) = (peer.asked.len(), peer.answered.len());
    while let Some(event) = peer.session.poll_event() {
        peer.event(event);
    }
    assert!(peer.session.poll_transmit().is_none(), "nothing is written to a connection that is gone");
    assert_eq!(peer.session.poll_timeout(), None);
    assert!(peer.session.is_over() && answered <= asked);
    let open: BTreeSet<_> = (peer.arriving.iter()).filter(|(_, state)| **state == Arriving::Open).collect();
    assert!(open.is_empty(), "still arriving: {open:?}");
}

impl PartialOrd for Arriving {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arriving {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        format!("{self:?}").cmp(&format!("{other:?}"))
    }
}
