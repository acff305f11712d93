//! What the tests of a session share: two URIs, a peer made of text, and readers of both outputs.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::{Bytes, BytesMut};

use super::{Event, Session, SessionConfig, SessionLimits};
use crate::entropy::Sequence;
use crate::time::Instant;
use crate::wire::msrp::{Continuation, Decoder, DecoderLimits, FrameKind, Head, MsrpUri, Piece};

pub(super) const T0: Instant = Instant::ZERO;
pub(super) const STORE: &str = "msrp://store.example.com:2855/s1;tcp";
pub(super) const ALICE: &str = "msrp://alice.example.com:7777/a1;tcp";

pub(super) fn uri(text: &str) -> MsrpUri {
    text.parse().unwrap()
}

/// The store's session with Alice.
pub(super) fn config() -> SessionConfig {
    SessionConfig::new(uri(STORE), vec![uri(ALICE)])
}

/// A session with these limits.
pub(super) fn within(limits: SessionLimits) -> SessionConfig {
    SessionConfig { limits: limits.into(), ..config() }
}

pub(super) fn session(config: SessionConfig) -> Session {
    let mut session = Session::new(config, &mut Sequence::new(1));
    session.handle_bound(T0);
    assert_eq!(session.poll_event(), Some(Event::Bound));
    session
}

/// A frame with its body.
#[derive(Debug)]
pub(super) struct Frame {
    pub head: Head,
    pub body: Vec<u8>,
    pub end: Continuation,
}

impl Frame {
    /// `SEND`, `REPORT`, a method, or a status code.
    pub fn kind(&self) -> String {
        match &self.head.kind {
            FrameKind::Send => "SEND".into(),
            FrameKind::Report => "REPORT".into(),
            FrameKind::Other(method) => String::from_utf8_lossy(method).into(),
            FrameKind::Response { status, .. } => status.to_string(),
        }
    }

    pub fn range(&self) -> String {
        self.head.byte_range.map(|r| r.to_string()).unwrap_or_default()
    }
}

pub(super) fn frames_of(bytes: &[u8]) -> Vec<Frame> {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut buffer = BytesMut::from(bytes);
    let mut frames: Vec<Frame> = Vec::new();
    while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
        match piece {
            Piece::Head(head) => {
                frames.push(Frame { head: *head, body: Vec::new(), end: Continuation::More })
            }
            Piece::Body(bytes) => frames.last_mut().unwrap().body.extend_from_slice(&bytes),
            Piece::End(end) => frames.last_mut().unwrap().end = end,
        }
    }
    assert!(buffer.is_empty() && decoder.is_between_frames(), "half a frame: {buffer:?}");
    frames
}

pub(super) fn output(session: &mut Session) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(bytes) = session.poll_transmit() {
        assert!(!bytes.is_empty());
        out.extend_from_slice(&bytes);
    }
    out
}

/// The frames that the session wrote.
pub(super) fn written(session: &mut Session) -> Vec<Frame> {
    frames_of(&output(session))
}

/// The kinds of the frames that the session wrote.
pub(super) fn kinds(session: &mut Session) -> Vec<String> {
    written(session).iter().map(Frame::kind).collect()
}

pub(super) fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

pub(super) fn feed(session: &mut Session, now: Instant, text: impl AsRef<[u8]>) {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut buffer = BytesMut::from(text.as_ref());
    while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
        session.handle_piece(now, piece);
    }
}

/// A SEND from Alice: header lines (without Content-Type), body (none: no body), flag.
pub(super) fn send(transaction: &str, headers: &[&str], body: Option<&str>, flag: char) -> String {
    let mut text = format!("MSRP {transaction} SEND\r\nTo-Path: {STORE}\r\nFrom-Path: {ALICE}\r\n");
    headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
    if let Some(body) = body {
        text.push_str(&format!("Content-Type: text/plain\r\n\r\n{body}\r\n"));
    }
    format!("{text}-------{transaction}{flag}\r\n")
}

/// A chunk of message `id` from Alice.
pub(super) fn chunk(transaction: &str, id: &str, range: &str, body: &str, flag: char) -> String {
    let headers = [format!("Message-ID: {id}"), format!("Byte-Range: {range}")];
    send(transaction, &[&headers[0], &headers[1]], Some(body), flag)
}

/// Alice's response to a transaction of ours.
pub(super) fn response(transaction: &Bytes, status: u16) -> String {
    let transaction = std::str::from_utf8(transaction).unwrap();
    format!(
        "MSRP {transaction} {status}\r\nTo-Path: {STORE}\r\nFrom-Path: {ALICE}\r\n-------{transaction}$\r\n"
    )
}

/// A REPORT from Alice.
pub(super) fn report(message_id: &str, status: &str) -> String {
    format!(
        "MSRP rep0rt REPORT\r\nTo-Path: {STORE}\r\nFrom-Path: {ALICE}\r\nMessage-ID: {message_id}\r\n\
         Byte-Range: 1-1/1\r\nStatus: {status}\r\n-------rep0rt$\r\n"
    )
}
