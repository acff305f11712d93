//! Tests of the sending half against a peer made of text.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use bytes::Bytes;

use super::testing::*;
use super::*;
use crate::time::Instant;
use crate::wire::msrp::{Continuation, FailureReport};

fn begin(session: &mut Session, message_id: &str, total: u64) -> OutgoingId {
    let headers = vec![("Deferred-Message-ID".into(), "a@b".into())];
    let outgoing = Outgoing {
        message_id: message_id.to_owned().into(),
        content_type: "text/plain".into(),
        headers,
        total,
    };
    session.begin(T0, outgoing)
}

fn data(session: &mut Session, id: OutgoingId, bytes: impl Into<Bytes>) {
    session.data(T0, id, bytes.into());
}

fn seconds(n: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(n))
}

/// Range, body length and flag of each frame.
fn shape(frames: &[Frame]) -> Vec<(String, usize, Continuation)> {
    frames.iter().map(|f| (f.range(), f.body.len(), f.end)).collect()
}

fn acknowledge(session: &mut Session, frames: &[Frame]) {
    for frame in frames {
        feed(session, T0, response(&frame.head.transaction, 200));
    }
}

// proves RFC 4975 7.1, 7.1.1: a small message is one chunk that says where it ends
#[test]
fn a_small_message_is_one_chunk() {
    let mut store = session(config());
    let id = begin(&mut store, "m001", 5);
    data(&mut store, id, "hello");
    assert_eq!(events(&mut store), [Event::Sent { id }]);
    let frames = written(&mut store);
    assert_eq!(shape(&frames), [("1-5/5".into(), 5, Continuation::Complete)]);
    let head = &frames[0].head;
    assert_eq!((head.to_path.as_slice(), head.from_path.as_slice()), (&[uri(ALICE)][..], &[uri(STORE)][..]));
    assert_eq!((head.success_report, head.failure_report), (false, FailureReport::Yes));
    assert_eq!(head.message_id.as_deref(), Some(&b"m001"[..]));
    assert_eq!(head.content_type.as_deref(), Some(&b"text/plain"[..]));
    assert_eq!(head.other("deferred-message-id").map(|v| v.as_ref()), Some(&b"a@b"[..]));
    acknowledge(&mut store, &frames);
    assert_eq!(events(&mut store), [Event::Delivered { id }]);
    assert_eq!(store.poll_timeout(), None);
}

// proves RFC 4975 7.1.1: above 2048 octets range-end MUST be "*"
#[test]
fn only_a_chunk_of_up_to_2048_bytes_says_where_it_ends() {
    for (size, range) in [(2048, "1-2048/2048"), (2049, "1-*/2049")] {
        let mut store = session(config());
        let id = begin(&mut store, "m001", size as u64);
        data(&mut store, id, vec![b'a'; size]);
        assert_eq!(shape(&written(&mut store)), [(range.into(), size, Continuation::Complete)]);
    }
}

// proves RFC 4975 7.1.1: zero-length content is "1-0/0"
#[test]
fn an_empty_message_is_sent_at_once() {
    let mut store = session(config());
    let id = begin(&mut store, "m001", 0);
    let frames = written(&mut store);
    assert_eq!(shape(&frames), [("1-0/0".into(), 0, Continuation::Complete)]);
    assert!(frames[0].head.has_body() && frames[0].head.content_type.is_some());
    acknowledge(&mut store, &frames);
    assert_eq!(events(&mut store), [Event::Sent { id }, Event::Delivered { id }]);
}

// proves RFC 4975 5.1, 7.1.1: a chunk stays open until another message's data comes, or max_chunk
#[test]
fn chunks_are_interrupted_only_where_they_must_be() {
    let mut store = session(within(SessionLimits { max_chunk: 4000, ..SessionLimits::default() }));
    let (one, two) = (begin(&mut store, "m001", 9000), begin(&mut store, "m002", 3));
    data(&mut store, one, vec![b'a'; 1000]);
    data(&mut store, one, vec![b'b'; 1500]);
    assert!(store.has_open_chunk());
    data(&mut store, two, "xyz");
    data(&mut store, one, vec![b'c'; 6500]);
    let frames = written(&mut store);
    assert_eq!(
        shape(&frames),
        [
            ("1-*/9000".into(), 2500, Continuation::More),
            ("1-3/3".into(), 3, Continuation::Complete),
            ("2501-*/9000".into(), 4000, Continuation::More),
            ("6501-*/9000".into(), 2500, Continuation::Complete),
        ]
    );
    assert_eq!(events(&mut store), [Event::Sent { id: two }, Event::Sent { id: one }]);
    acknowledge(&mut store, &frames[..3]);
    assert_eq!(events(&mut store), [Event::Delivered { id: two }]);
    acknowledge(&mut store, &frames[3..]);
    assert_eq!(events(&mut store), [Event::Delivered { id: one }]);
}

/// A limit of nothing would never send anything.
#[test]
fn a_chunk_of_no_bytes_at_most_has_one() {
    let mut store = session(within(SessionLimits { max_chunk: 0, ..SessionLimits::default() }));
    let id = begin(&mut store, "m001", 3);
    data(&mut store, id, "abc");
    let frames = written(&mut store);
    assert_eq!(frames.iter().map(|frame| frame.body.len()).collect::<Vec<_>>(), [1, 1, 1]);
}

// proves RFC 4975 7.3.2, 10.5: what is out cannot be stopped; a late refusal is told, a late 200 of what was given up is not
#[test]
fn nothing_more_is_written_of_a_message_that_is_out() {
    let out = || {
        let mut store = session(config());
        let id = begin(&mut store, "m001", 3000);
        data(&mut store, id, vec![b'a'; 3000]);
        let frames = written(&mut store);
        assert_eq!((frames.len(), events(&mut store)), (1, vec![Event::Sent { id }]));
        (store, id, frames)
    };
    let (mut store, id, frames) = out();
    data(&mut store, id, "more");
    store.abort(T0, id);
    acknowledge(&mut store, &frames);
    assert!(output(&mut store).is_empty() && events(&mut store).is_empty());
    let (mut store, id, _) = out();
    feed(&mut store, T0, report("m001", "000 413"));
    assert_eq!(events(&mut store), [Event::Refused { id, status: 413 }]);
    assert!(output(&mut store).is_empty());
}

// proves RFC 4975 7.1.1: a chunk MUST be interrupted if a response has to be sent
#[test]
fn a_response_interrupts_the_open_chunk() {
    let mut store = session(config());
    let id = begin(&mut store, "m001", 5000);
    data(&mut store, id, vec![b'a'; 3000]);
    feed(&mut store, T0, send("tran1", &[], None, '$'));
    assert!(!store.has_open_chunk());
    data(&mut store, id, vec![b'a'; 1000]);
    store.interrupt(T0);
    data(&mut store, id, vec![b'a'; 5000]);
    let frames = written(&mut store);
    assert_eq!(frames.iter().map(Frame::kind).collect::<Vec<_>>(), ["SEND", "200", "SEND", "SEND"]);
    assert_eq!(frames[3].range(), "4001-5000/5000");
    assert_eq!(frames[3].body.len(), 1000, "what goes beyond the total is ignored");
}

#[test]
fn large_bodies_are_passed_uncopied() {
    let mut store = session(config());
    let body = Bytes::from(vec![b'a'; 100_000]);
    let id = begin(&mut store, "m001", 100_000);
    data(&mut store, id, body.clone());
    let parts: Vec<Bytes> = std::iter::from_fn(|| store.poll_transmit()).collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[1].as_ptr(), body.as_ptr());
}

/// The end-lines of the first transactions that a session mints.
fn end_line(session: &mut Session, number: u64) -> String {
    session.probe(T0);
    let probe = written(session).remove(0).head.transaction;
    feed(session, T0, response(&probe, 200));
    let prefix = std::str::from_utf8(&probe).unwrap().strip_suffix('1').unwrap();
    format!("-------{prefix}{number}")
}

// proves RFC 4975 7.1: the sender MUST ensure that the end-line is not present in the body
#[test]
fn a_body_with_the_end_line_gets_another_transaction() {
    let mut store = session(config());
    let trap = end_line(&mut store, 2) + "$\r\n";
    let id = begin(&mut store, "m001", trap.len() as u64);
    data(&mut store, id, trap.clone());
    let frames = written(&mut store);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].body, trap.as_bytes());
    assert!(!trap.contains(std::str::from_utf8(&frames[0].head.transaction).unwrap()));
}

// proves RFC 4975 7.1: also where the end-line spans two, or many, pieces
#[test]
fn an_end_line_that_spans_pieces_interrupts_the_chunk() {
    let length = end_line(&mut session(config()), 2).len();
    for cut in 1..length {
        for size in [length, 1, 2, 7] {
            let mut store = session(config());
            let trap = format!("abc\r\n{}$\r\nxyz", end_line(&mut store, 2));
            let id = begin(&mut store, "m001", trap.len() as u64 + 10_000);
            let (first, rest) = trap.as_bytes().split_at(5 + cut);
            data(&mut store, id, first.to_vec());
            rest.chunks(size).for_each(|piece| data(&mut store, id, piece.to_vec()));
            data(&mut store, id, vec![b'.'; 10_000]);
            let frames = written(&mut store);
            assert_eq!(frames.len(), 2, "cut {cut}, then pieces of {size}");
            let whole: Vec<u8> = frames.iter().flat_map(|f| f.body.clone()).collect();
            assert!(whole.starts_with(trap.as_bytes()) && whole.len() == trap.len() + 10_000);
            let second = format!("{}-*/{}", frames[0].body.len() + 1, whole.len());
            assert_eq!((frames[0].end, frames[1].range()), (Continuation::More, second));
        }
    }
}

// proves RFC 4975 7.1: a message given up ends with "#"
#[test]
fn an_aborted_message_ends_with_a_hash() {
    let mut store = session(config());
    let (open, between, fresh) =
        (begin(&mut store, "m001", 5000), begin(&mut store, "m002", 5000), begin(&mut store, "m003", 5000));
    data(&mut store, between, vec![b'b'; 2500]);
    data(&mut store, open, vec![b'a'; 2500]);
    for id in [open, between, fresh] {
        store.abort(T0, id);
        data(&mut store, id, "more");
    }
    assert_eq!(
        shape(&written(&mut store)),
        [
            ("1-*/5000".into(), 2500, Continuation::More),
            ("1-*/5000".into(), 2500, Continuation::Aborted),
            ("2501-*/5000".into(), 0, Continuation::Aborted),
        ]
    );
    assert!(events(&mut store).is_empty());
}

/// Refuses message 1 in the midst of its chunk; gives events and what was written after that.
fn refused_with(status: u16) -> (Vec<Event>, Vec<Frame>, OutgoingId) {
    let mut store = session(config());
    let id = begin(&mut store, "m001", 50_000);
    data(&mut store, id, vec![b'a'; 3000]);
    let head = String::from_utf8(output(&mut store)).unwrap();
    let transaction = Bytes::copy_from_slice(head.split(' ').nth(1).unwrap().as_bytes());
    feed(&mut store, T0, response(&transaction, status));
    data(&mut store, id, vec![b'a'; 3000]);
    let frames = frames_of(&[head.as_bytes(), &output(&mut store)].concat());
    (events(&mut store), frames, id)
}

// proves RFC 4975 10.4 to 10.10, 7.3.2: what each refusal does to the chunk and the session
#[test]
fn a_refused_message_is_stopped_at_once() {
    for status in [400, 403, 408, 413, 415, 423, 501, 481, 506] {
        let (seen, frames, id) = refused_with(status);
        assert_eq!(shape(&frames), [("1-*/50000".into(), 3000, Continuation::Aborted)]);
        let mut expected = vec![Event::Refused { id, status }];
        if matches!(status, 481 | 506) {
            expected.push(Event::Failed(SessionFailure::Refused(status)));
        }
        assert_eq!(seen, expected);
    }
}

// proves RFC 4975 7.3.2: failure reports, as responses; bytes lost fail the session
#[test]
fn failure_reports_are_heard() {
    for (status, refused, failure) in [
        ("000 200 OK", None, None),
        ("001 413", None, None),
        ("000 413", Some(413), None),
        ("000 415 No", Some(415), None),
        ("000 408", Some(408), Some(SessionFailure::Reported(408))),
        ("000 481", Some(481), Some(SessionFailure::Refused(481))),
    ] {
        let mut store = session(config());
        let id = begin(&mut store, "m001", 5000);
        data(&mut store, id, vec![b'a'; 3000]);
        feed(&mut store, T0, report("m001", status));
        let expected: Vec<Event> = refused
            .map(|status| Event::Refused { id, status })
            .into_iter()
            .chain(failure.map(Event::Failed))
            .collect();
        assert_eq!(events(&mut store), expected, "{status}");
        assert_eq!(store.is_over(), failure.is_some());
        assert_eq!(store.has_open_chunk(), refused.is_none());
    }
}

// proves RFC 4975 7.1.1, 10.4: 30 seconds after the last byte without a response, as a 408
#[test]
fn a_silent_peer_is_a_timeout() {
    let mut store = session(config());
    let (one, two) = (begin(&mut store, "m001", 3), begin(&mut store, "m002", 5000));
    store.data(seconds(5), one, "abc".into());
    store.data(seconds(6), two, vec![b'a'; 2500].into());
    assert_eq!(store.poll_timeout(), Some(seconds(35)));
    store.interrupt(seconds(10));
    store.handle_timeout(seconds(34));
    assert_eq!(events(&mut store), [Event::Sent { id: one }]);
    store.handle_timeout(seconds(35));
    assert_eq!(events(&mut store), [Event::Refused { id: one, status: 408 }]);
    assert_eq!(store.poll_timeout(), Some(seconds(40)));
    store.data(seconds(36), two, vec![b'a'; 500].into());
    store.handle_timeout(seconds(40));
    assert_eq!(events(&mut store), [Event::Refused { id: two, status: 408 }]);
    assert_eq!(shape(&written(&mut store)).last().unwrap().2, Continuation::Aborted);
    assert_eq!(store.poll_timeout(), None);
    assert!(!store.is_over());
}

#[test]
fn a_peer_that_answers_slowly_is_no_timeout() {
    let limits = SessionLimits { max_chunk: 2500, ..SessionLimits::default() };
    let mut store = session(within(limits));
    let id = begin(&mut store, "m001", 10_000);
    data(&mut store, id, vec![b'a'; 10_000]);
    let frames = written(&mut store);
    assert_eq!(frames.len(), 4);
    // All of them are out at once; the peer reads and answers one in 25 seconds.
    for (frame, now) in frames.iter().zip([25, 50, 75, 100].map(seconds)) {
        store.handle_timeout(now);
        assert_eq!(store.unanswered(), frames.len() - (now.since_origin().as_secs() / 25 - 1) as usize);
        feed(&mut store, now, response(&frame.head.transaction, 200));
    }
    assert_eq!(events(&mut store), [Event::Sent { id }, Event::Delivered { id }]);
    assert_eq!((store.poll_timeout(), store.unanswered()), (None, 0));
}

// proves RFC 4975 5.4: the active endpoint's first SEND, without content
#[test]
fn a_probe_binds_or_fails() {
    for (answer, failure) in [
        (Some(200), None),
        (Some(481), Some(SessionFailure::Refused(481))),
        (Some(506), Some(SessionFailure::Refused(506))),
        (None, Some(SessionFailure::ProbeTimeout)),
    ] {
        let mut store = session(config());
        store.probe(T0);
        let frames = written(&mut store);
        assert_eq!(shape(&frames), [("1-0/0".into(), 0, Continuation::Complete)]);
        assert!(!frames[0].head.has_body() && frames[0].head.content_type.is_none());
        match answer {
            Some(status) => feed(&mut store, T0, response(&frames[0].head.transaction, status)),
            None => store.handle_timeout(seconds(30)),
        }
        assert_eq!(events(&mut store), failure.map(Event::Failed).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn an_early_acknowledgment_still_delivers() {
    let mut store = session(config());
    let id = begin(&mut store, "m001", 5000);
    data(&mut store, id, vec![b'a'; 2500]);
    let early = String::from_utf8(output(&mut store)).unwrap();
    let transaction = Bytes::copy_from_slice(early.split(' ').nth(1).unwrap().as_bytes());
    feed(&mut store, T0, response(&transaction, 200));
    feed(&mut store, T0, response(&transaction, 200));
    data(&mut store, id, vec![b'a'; 2500]);
    assert_eq!(events(&mut store), [Event::Sent { id }, Event::Delivered { id }]);
    assert_eq!(store.poll_timeout(), None);
}

#[test]
fn a_failed_session_still_writes_its_last_words_and_then_nothing() {
    let mut store = session(config());
    let (one, two) = (begin(&mut store, "m001", 5000), begin(&mut store, "m002", 5000));
    data(&mut store, one, vec![b'a'; 2500]);
    data(&mut store, two, vec![b'a'; 2500]);
    feed(&mut store, T0, report("m001", "000 408"));
    assert_eq!(shape(&written(&mut store)).len(), 2);
    data(&mut store, two, vec![b'a'; 2500]);
    store.probe(T0);
    store.abort(T0, two);
    store.interrupt(T0);
    store.handle_timeout(seconds(99));
    feed(&mut store, T0, send("tran1", &[], None, '$'));
    assert!(output(&mut store).is_empty());
    events(&mut store);
    store.handle_closed(T0);
    assert!(events(&mut store).is_empty());
}
