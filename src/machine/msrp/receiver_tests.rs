//! Tests of the receiving half against a peer made of text.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use super::testing::*;
use super::*;
use crate::wire::msrp::ByteRange;

/// Feeds one frame; gives the kinds of what was written and the events.
fn step(session: &mut Session, frame: impl AsRef<[u8]>) -> (Vec<String>, Vec<Event>) {
    feed(session, T0, frame);
    (kinds(session), events(session))
}

fn completed(session: &mut Session) -> (IncomingId, u64) {
    let found = events(session).into_iter().find_map(|e| match e {
        Event::Complete { id, size } => Some((id, size)),
        _ => None,
    });
    found.unwrap()
}

fn names(events: &[Event]) -> Vec<&'static str> {
    let name = |event: &Event| match event {
        Event::Started { .. } => "Started",
        Event::Described { .. } => "Described",
        Event::Data { .. } => "Data",
        Event::Complete { .. } => "Complete",
        Event::Dropped { cause: DropCause::Aborted, .. } => "Aborted",
        Event::Dropped { cause: DropCause::TooLarge, .. } => "TooLarge",
        Event::Dropped { cause: DropCause::Fragmented, .. } => "Fragmented",
        Event::Dropped { cause: DropCause::Closed, .. } => "Closed",
        _ => "other",
    };
    events.iter().map(name).collect()
}

// proves RFC 4975 7.1.3, 7.1.4 and 7.2: every combination of Success-Report and Failure-Report
#[test]
fn every_combination_of_reports_hears_what_it_asked_for() {
    for success in [None, Some("no"), Some("yes")] {
        for failure in [None, Some("yes"), Some("no"), Some("partial")] {
            for verdict in [Verdict::Stored, Verdict::Refused(403, "".into())] {
                let mut headers = vec!["Message-ID: m001".to_owned(), "Byte-Range: 1-4/4".to_owned()];
                headers.extend(success.map(|s| format!("Success-Report: {s}")));
                headers.extend(failure.map(|f| format!("Failure-Report: {f}")));
                let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
                let mut store = session(config());
                feed(&mut store, T0, send("tran1", &headers, Some("abcd"), '$'));
                let (id, size) = completed(&mut store);
                assert_eq!((size, kinds(&mut store).len()), (4, 0), "nothing before the verdict");
                store.answer(T0, id, &verdict);

                let mut expected = Vec::new();
                match (&verdict, failure.unwrap_or("yes")) {
                    (Verdict::Stored, "yes") => expected.push("200"),
                    (Verdict::Refused(..), "yes" | "partial") => expected.push("403"),
                    _ => {}
                }
                if verdict == Verdict::Stored && success == Some("yes") {
                    expected.push("REPORT");
                }
                assert_eq!(kinds(&mut store), expected, "{success:?} {failure:?} {verdict:?}");
                store.answer(T0, id, &verdict);
                assert!(kinds(&mut store).is_empty(), "answered once");
            }
        }
    }
}

// proves RFC 4975 7.1.3: what a success report says, and where it goes
#[test]
fn a_success_report_covers_the_message_and_goes_back_the_whole_path() {
    let relay = "msrps://relay.example.com:9000/r1;tcp";
    let mut store = session(config());
    for (transaction, range, body, flag) in [("tran1", "1-*/6", "abc", '+'), ("tran2", "4-6/6", "def", '$')] {
        let text = chunk(transaction, "m001", range, body, flag)
            .replace("Message-ID", "Success-Report: yes\r\nMessage-ID")
            .replace(ALICE, &format!("{relay} {ALICE}"));
        feed(&mut store, T0, text);
    }
    let (id, _) = completed(&mut store);
    store.answer(T0, id, &Verdict::Stored);
    let frames = written(&mut store);
    assert_eq!(frames.iter().map(Frame::kind).collect::<Vec<_>>(), ["200", "200", "REPORT"]);
    assert_eq!(frames[1].head.to_path, [uri(relay)]);
    assert_eq!(frames[1].head.transaction, "tran2");
    let report = &frames[2].head;
    assert_eq!(report.to_path, [uri(relay), uri(ALICE)]);
    assert_eq!(report.from_path, [uri(STORE)]);
    assert_eq!(report.message_id.as_deref(), Some(&b"m001"[..]));
    assert_eq!(report.byte_range, Some(ByteRange::whole(6)));
    let status = report.status.as_ref().unwrap();
    assert_eq!((status.namespace, status.code, status.comment.as_ref()), (0, 200, &b"OK"[..]));
    assert!(!report.success_report && report.fault.is_none());
}

// proves RFC 4975 7.3.1: chunks out of order, overlapping, interleaved with another message
#[test]
fn chunks_come_in_any_order_and_the_last_missing_one_completes() {
    let mut store = session(config());
    let (replies, seen) = step(&mut store, chunk("tran1", "m001", "5-8/8", "EFGH", '$'));
    assert_eq!((replies, names(&seen)), (vec!["200".into()], vec!["Started", "Data"]));
    let Some(Event::Data { id, offset: 4, bytes }) = seen.get(1) else { panic!("{seen:?}") };
    assert_eq!(bytes.as_ref(), b"EFGH");
    let (replies, _) = step(&mut store, chunk("tran2", "m002", "1-*/*", "other", '+'));
    assert_eq!(replies, ["200"]);
    let (_, seen) = step(&mut store, chunk("tran3", "m001", "3-6/8", "cdef", '+'));
    assert_eq!(seen, [Event::Data { id: *id, offset: 2, bytes: "cdef".into() }]);
    let (replies, seen) = step(&mut store, chunk("tran4", "m001", "1-2/8", "ab", '+'));
    assert!(replies.is_empty(), "the response of the last chunk waits");
    assert_eq!(names(&seen), ["Described", "Data", "Complete"]);
    store.answer(T0, *id, &Verdict::Stored);
    assert_eq!(written(&mut store)[0].head.transaction, "tran4");
    let (replies, seen) = step(&mut store, chunk("tran5", "m002", "6-*/*", "!", '$'));
    assert!(replies.is_empty());
    assert!(matches!(seen.last(), Some(Event::Complete { size: 6, .. })));
}

// proves RFC 4975 7.3.1: chunks out of order: the first one says what the message is, whenever it comes
#[test]
fn the_chunk_with_the_first_byte_describes_the_message() {
    let described = |transaction: &str, range: &str, body: &str, flag: char, kind: &str| {
        let headers =
            ["Message-ID: m001", &format!("Byte-Range: {range}"), &format!("Content-Disposition: {kind}")];
        send(transaction, &headers, Some(body), flag).replace("text/plain", &format!("text/{kind}"))
    };
    let mut store = session(config());
    let (_, seen) = step(&mut store, described("tran1", "5-8/12", "EFGH", '+', "later"));
    let Some(Event::Started { id, content_type: Some(kind), .. }) = seen.first() else { panic!("{seen:?}") };
    assert_eq!(kind, "text/later");
    let (_, seen) = step(&mut store, described("tran2", "3-4/12", "CD", '+', "later"));
    assert_eq!(names(&seen), ["Data"]);
    let (_, seen) = step(&mut store, described("tran3", "1-2/12", "AB", '+', "first"));
    let headers = vec![("Content-Disposition".into(), "first".into())];
    assert_eq!(seen[0], Event::Described { id: *id, content_type: "text/first".into(), headers });
    assert_eq!(names(&seen), ["Described", "Data"], "before its bytes");
    let (_, seen) = step(&mut store, described("tran4", "1-2/12", "AB", '+', "again"));
    assert_eq!(names(&seen), ["Data"], "it has been told");
    // In order the first chunk has told at once.
    let (_, seen) = step(&mut store, chunk("tran5", "m002", "1-2/4", "AB", '+'));
    assert_eq!(names(&seen), ["Started", "Data"]);
    let (_, seen) = step(&mut store, chunk("tran6", "m002", "1-2/4", "AB", '+'));
    assert_eq!(names(&seen), ["Data"]);
}

#[test]
fn a_first_chunk_of_another_type_is_refused_if_that_is_not_taken() {
    let mut limited = config();
    limited.limits =
        Arc::new(SessionLimits { accepts: Box::from(["text/*".into()]), ..SessionLimits::default() });
    let mut store = session(limited);
    step(&mut store, chunk("tran1", "m001", "3-4/4", "CD", '$'));
    let first = chunk("tran2", "m001", "1-2/4", "AB", '+').replace("text/plain", "image/png");
    let (replies, seen) = step(&mut store, first);
    assert_eq!(replies, ["415"]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(matches!(seen[0], Event::Dropped { cause: DropCause::Unsupported, .. }));
    let (replies, seen) = step(&mut store, chunk("tran3", "m001", "1-4/4", "ABCD", '$'));
    assert_eq!(
        (replies.len(), names(&seen)),
        (0, vec!["Started", "Data", "Complete"]),
        "anew from its first byte"
    );
}

// proves RFC 4975 7.3.1: the length is what the payload says, and the "$" chunk defines the total
#[test]
fn the_payload_decides_not_the_header() {
    let mut store = session(config());
    step(&mut store, chunk("tran1", "m001", "1-100/100", "abc", '+'));
    let (_, seen) = step(&mut store, chunk("tran2", "m001", "4-100/100", "de", '$'));
    assert!(matches!(seen.last(), Some(Event::Complete { size: 5, .. })));
    let mut store = session(config());
    feed(&mut store, T0, chunk("tran1", "m001", "1-100/100", "abc", '$'));
    assert_eq!(completed(&mut store).1, 3);
    feed(&mut store, T0, send("tran2", &["Message-ID: m002"], Some("no range"), '$'));
    assert_eq!(completed(&mut store).1, 8);
    feed(&mut store, T0, chunk("tran3", "m003", "1-0/0", "", '$'));
    assert_eq!(completed(&mut store).1, 0);
}

// proves RFC 4975 7.2, 7.3, 10: what is refused, with which code
#[test]
fn requests_are_refused_by_the_code_that_fits() {
    let plain = chunk("tran1", "m001", "1-4/4", "abcd", '$');
    let limited = || within(SessionLimits { max_message: 3, ..SessionLimits::default() });
    let deaf = || within(SessionLimits { receives: false, ..SessionLimits::default() });
    let picky =
        || within(SessionLimits { accepts: Box::from(["image/png".into()]), ..SessionLimits::default() });
    let busy = || within(SessionLimits { max_incoming: 0, ..SessionLimits::default() });
    for (config, frame, status) in [
        (config(), plain.replace("SEND", "NICKNAME"), "501"),
        (config(), plain.replace("Byte-Range: 1", "Byte-Range: x"), "400"),
        (config(), plain.replace("Message-ID: m001\r\n", ""), "400"),
        (config(), plain.replace("Content-Type: text/plain\r\n", ""), "400"),
        (config(), plain.replace("store.example.com:2855/s1", "store.example.com:2855/s2"), "481"),
        (config(), plain.replace(STORE, &format!("{STORE} {ALICE}")), "481"),
        (deaf(), plain.clone(), "403"),
        (picky(), plain.clone(), "415"),
        (limited(), plain.clone(), "413"),
        (limited(), plain.replace("1-4/4", "1-*/*"), "413"),
        (busy(), plain.clone(), "413"),
    ] {
        for (failure, answered) in [("yes", true), ("partial", true), ("no", false)] {
            let mut store = session(config.clone());
            let frame = frame.replace("From-Path", &format!("Failure-Report: {failure}\r\nFrom-Path"));
            let (replies, _) = step(&mut store, &frame);
            assert_eq!(replies, if answered { vec![status.to_owned()] } else { vec![] }, "{frame}");
            let (replies, _) = step(&mut store, send("tran9", &[], None, '$'));
            assert_eq!(replies, ["200"], "the session goes on");
        }
    }
}

// proves RFC 4975 10.5: 413 on first knowledge; the rest of the message is dropped, and the next taken
#[test]
fn a_message_over_the_limit_is_stopped_and_the_session_goes_on() {
    let mut store = session(within(SessionLimits { max_message: 5, ..SessionLimits::default() }));
    let (replies, seen) = step(&mut store, chunk("tran1", "m001", "1-*/*", "abc", '+'));
    assert_eq!((replies, names(&seen)), (vec!["200".into()], vec!["Started", "Data"]));
    let (replies, seen) = step(&mut store, chunk("tran2", "m001", "4-*/*", "defg", '+'));
    assert_eq!((replies, names(&seen)), (vec!["413".into()], vec!["TooLarge"]));
    let (replies, seen) = step(&mut store, chunk("tran3", "m001", "8-*/*", "h", '$'));
    assert_eq!((replies, names(&seen)), (vec!["413".into()], vec![]));
    let (replies, seen) = step(&mut store, chunk("tran4", "m002", "1-*/6", "abc", '+'));
    assert_eq!((replies, names(&seen)), (vec!["413".into()], vec![]));
    let (replies, seen) = step(&mut store, chunk("tran5", "m003", "1-5/5", "abcde", '$'));
    assert_eq!((replies, names(&seen)), (vec![], vec!["Started", "Data", "Complete"]));
    // A refused Message-ID may be tried again from its beginning.
    let (_, seen) = step(&mut store, chunk("tran6", "m001", "1-2/2", "ab", '$'));
    assert_eq!(names(&seen), ["Started", "Data", "Complete"]);
    let (replies, seen) = step(&mut store, chunk("tran7", "m004", "18446744073709551615-*/*", "x", '$'));
    assert_eq!((replies, names(&seen)), (vec!["413".into()], vec!["Started", "TooLarge"]));
}

#[test]
fn hostile_fragmentation_is_bounded() {
    let mut store = session(config());
    let mut statuses = Vec::new();
    for n in 0..300 {
        let range = format!("{}-*/*", 2 * n + 1);
        statuses.extend(step(&mut store, chunk("tran1", "m001", &range, "x", '+')).0);
    }
    assert_eq!(statuses.iter().position(|s| s == "413"), Some(256));
    assert_eq!(statuses.len(), 300);
}

// proves RFC 4975 7.1.2: REPORT is never answered, whatever it says; nor are responses
#[test]
fn reports_and_responses_are_never_answered() {
    let mut store = session(config());
    for frame in [
        report("unknown", "000 200 OK"),
        report("unknown", "000 413"),
        report("unknown", "nonsense"),
        report("unknown", "000 200").replace(STORE, ALICE),
        report("unknown", "000 200").replace("From-Path", "Success-Report: yes\r\nFrom-Path"),
        response(&"unkn0wn".into(), 200),
        response(&"unkn0wn".into(), 481).replace(STORE, ALICE),
    ] {
        assert_eq!(step(&mut store, &frame), (vec![], vec![]), "{frame}");
    }
}

/// For each frame: the response, and the events.
type Row = [(&'static str, &'static [&'static str]); 5];

/// State of a Message-ID x frame.
#[test]
fn the_transition_table_holds() {
    let (open, whole) = ("1-*/*", "1-4/4");
    let frames = [
        chunk("tran5", "m001", open, "abcd", '+'),
        chunk("tran5", "m001", whole, "abcd", '$'),
        chunk("tran5", "m001", "5-*/*", "", '$'),
        chunk("tran5", "m001", "5-*/*", "ef", '#'),
        send("tran5", &["Message-ID: m001"], None, '$'),
    ];
    let expected: [(&str, Row); 6] = [
        (
            "unknown",
            [
                ("200", &["Started", "Data"]),
                ("", &["Started", "Data", "Complete"]),
                ("200", &["Started"]),
                ("200", &["Started", "Data", "Aborted"]),
                ("200", &[]),
            ],
        ),
        (
            "receiving",
            [
                ("200", &["Data"]),
                ("", &["Data", "Complete"]),
                ("", &["Complete"]),
                ("200", &["Data", "Aborted"]),
                ("200", &[]),
            ],
        ),
        ("complete", [("", &[]), ("", &[]), ("", &[]), ("", &[]), ("200", &[])]),
        ("stored", [("200", &[]), ("200", &[]), ("200", &[]), ("200", &[]), ("200", &[])]),
        (
            "refused",
            [
                ("200", &["Started", "Data"]),
                ("", &["Started", "Data", "Complete"]),
                ("403", &[]),
                ("403", &[]),
                ("200", &[]),
            ],
        ),
        (
            "aborted",
            [
                ("200", &["Started", "Data"]),
                ("", &["Started", "Data", "Complete"]),
                ("200", &["Started"]),
                ("200", &["Started", "Data", "Aborted"]),
                ("200", &[]),
            ],
        ),
    ];
    for (state, row) in expected {
        for (frame, (reply, events_expected)) in frames.iter().zip(row) {
            let mut store = session(config());
            bring_to(&mut store, state);
            let (replies, seen) = step(&mut store, frame);
            assert_eq!(
                (replies.concat().as_str(), names(&seen).as_slice()),
                (reply, events_expected),
                "{state}: {frame}"
            );
        }
    }
}

fn bring_to(store: &mut Session, state: &str) {
    let refused = Verdict::Refused(403, "no".into());
    match state {
        "receiving" => feed(store, T0, chunk("tran1", "m001", "1-*/*", "abcd", '+')),
        "aborted" => feed(store, T0, chunk("tran1", "m001", "1-*/*", "abcd", '#')),
        "complete" | "stored" | "refused" => {
            feed(store, T0, chunk("tran1", "m001", "1-4/4", "abcd", '$'));
            let (id, _) = completed(store);
            match state {
                "stored" => store.answer(T0, id, &Verdict::Stored),
                "refused" => store.answer(T0, id, &refused),
                _ => {}
            }
        }
        _ => {}
    }
    output(store);
    events(store);
}

// proves RFC 4975 5.4: duplicates are acknowledged and reported, not presented again
#[test]
fn a_repeated_message_is_acknowledged_with_the_same_verdict() {
    let text = chunk("tran1", "m001", "1-4/4", "abcd", '$')
        .replace("Message-ID", "Success-Report: yes\r\nMessage-ID");
    let mut store = session(config());
    feed(&mut store, T0, &text);
    let (id, _) = completed(&mut store);
    assert_eq!(step(&mut store, text.replace("tran1", "tran2")), (vec![], vec![]));
    store.answer(T0, id, &Verdict::Stored);
    assert_eq!(kinds(&mut store), ["200", "200", "REPORT"]);
    assert_eq!(step(&mut store, &text), (vec!["200".into(), "REPORT".into()], vec![]));
}

#[test]
fn a_refusal_may_come_while_the_message_is_arriving() {
    let mut store = session(config());
    let whole = chunk("tran1", "m001", "1-*/*", "abcdef", '+');
    let (head, tail) = whole.split_at(whole.find("def").unwrap());
    let mut decoder = crate::wire::msrp::Decoder::new(Default::default());
    let mut buffer = bytes::BytesMut::from(head);
    while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
        store.handle_piece(T0, piece);
    }
    let Some(Event::Started { id, .. }) = store.poll_event() else { panic!("not started") };
    store.answer(T0, id, &Verdict::Stored);
    assert!(kinds(&mut store).is_empty(), "what is not complete cannot be stored");
    store.answer(T0, id, &Verdict::Refused(413, "Quota".into()));
    let frames = written(&mut store);
    assert!(
        matches!(&frames[0].head.kind, crate::wire::msrp::FrameKind::Response { status: 413, comment } if comment == "Quota")
    );
    events(&mut store);
    buffer.extend_from_slice(tail.as_bytes());
    while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
        store.handle_piece(T0, piece);
    }
    assert_eq!((kinds(&mut store), events(&mut store)), (vec![], vec![]));
    assert_eq!(step(&mut store, chunk("tran2", "m001", "7-9/9", "ghi", '$')), (vec!["413".into()], vec![]));
}

// proves RFC 4975 5.4: a connection that fails takes the session with it
#[test]
fn a_lost_connection_drops_what_is_incomplete() {
    let mut store = session(config());
    feed(&mut store, T0, chunk("tran1", "m001", "1-*/*", "abc", '+'));
    feed(&mut store, T0, chunk("tran2", "m002", "1-3/3", "abc", '$'));
    let (complete, _) = completed(&mut store);
    store.handle_closed(T0);
    let seen = events(&mut store);
    assert_eq!(names(&seen), ["Closed", "other"]);
    assert_eq!(seen.last(), Some(&Event::Failed(SessionFailure::ConnectionClosed)));
    store.answer(T0, complete, &Verdict::Stored);
    store.handle_closed(T0);
    assert_eq!(step(&mut store, send("tran3", &[], None, '$')), (vec![], vec![]));
    assert!(store.is_over() && store.poll_timeout().is_none());
}

// proves RFC 4975 5.4: what is sent again on a replacement connection is a duplicate, and is acknowledged
#[test]
fn a_new_connection_knows_what_the_former_one_brought() {
    let mut store = session(config());
    feed(&mut store, T0, chunk("tran1", "m001", "1-*/*", "abc", '+'));
    feed(&mut store, T0, chunk("tran2", "m002", "1-3/3", "abc", '$'));
    let (stored, _) = completed(&mut store);
    store.answer(T0, stored, &Verdict::Stored);
    feed(&mut store, T0, chunk("tran3", "m003", "1-3/3", "abc", '$'));
    let (waiting, _) = completed(&mut store);
    kinds(&mut store);
    store.handle_closed(T0);
    store.renew(vec![uri("msrp://alice.example.com:7777/a2;tcp")]);
    assert_eq!(names(&events(&mut store)), ["Closed", "other"]);
    assert!(!store.is_bound() && !store.is_over());
    // Stored, and its 200 may have been lost: acknowledged again, not presented again.
    let again = step(&mut store, chunk("tran4", "m002", "1-3/3", "abc", '$'));
    assert_eq!(again.0, ["200"]);
    // Whole, and still with the user: his verdict answers the repetition.
    assert_eq!(step(&mut store, chunk("tran5", "m003", "1-3/3", "abc", '$')).0, Vec::<String>::new());
    store.answer(T0, waiting, &Verdict::Stored);
    assert_eq!(kinds(&mut store), ["200"]);
    // Half of it was lost: the rest alone is not taken, and all of it begins anew.
    // proves RFC 4975 5.4: the chunks of a message may be split across the sessions
    let rest = step(&mut store, chunk("tran6", "m001", "4-6/6", "def", '$'));
    assert_eq!(rest, (vec!["408".into()], vec![]));
    feed(&mut store, T0, chunk("tran7", "m001", "1-3/3", "xyz", '$'));
    completed(&mut store);
}

#[test]
fn what_was_being_sent_is_forgotten_with_its_connection() {
    let mut store = session(config());
    let outgoing =
        || Outgoing { message_id: "m100".into(), content_type: "a/b".into(), headers: vec![], total: 4 };
    let first = store.begin(T0, outgoing());
    store.data(T0, first, "ab".into());
    store.interrupt(T0);
    let early = written(&mut store).remove(0).head;
    store.renew(vec![uri("msrp://alice.example.com:7777/a2;tcp")]);
    assert_eq!((store.poll_transmit(), store.poll_timeout()), (None, None));
    // What still comes by the former connection is no request, and binds nothing (RFC 4975 5.4).
    feed(&mut store, T0, response(&early.transaction, 200));
    assert!(!store.is_bound() && events(&mut store).is_empty());
    store.data(T0, first, "cd".into());
    let second = store.begin(T0, outgoing());
    assert_ne!(first, second);
    store.data(T0, second, "abcd".into());
    store.handle_bound(T0);
    let sent = written(&mut store);
    assert_eq!((sent.len(), sent[0].body.as_slice()), (1, &b"abcd"[..]));
    assert_eq!(sent[0].head.to_path, [uri("msrp://alice.example.com:7777/a2;tcp")]);
}

/// A session that nothing has bound yet, with a message that waits to be sent.
fn unbound() -> Session {
    let mut store = Session::new(config(), &mut crate::entropy::Sequence::new(1));
    let id = store.begin(
        T0,
        Outgoing { message_id: "m100".into(), content_type: "a/b".into(), headers: vec![], total: 1 },
    );
    store.data(T0, id, "x".into());
    store
}

// proves RFC 4975 7.3: it MUST generate a 481 error and ignore the request
#[test]
fn a_frame_that_is_refused_by_its_path_binds_nothing() {
    let mut store = unbound();
    let two = send("tran1", &[], None, '$').replace(STORE, &format!("{STORE} {ALICE}"));
    feed(&mut store, T0, two);
    assert_eq!((kinds(&mut store), store.is_bound()), (vec!["481".to_owned()], false));
    feed(&mut store, T0, send("tran2", &[], None, '$'));
    assert!(events(&mut store).contains(&Event::Bound));
    assert_eq!(kinds(&mut store), ["SEND", "200"]);
}

#[test]
fn the_first_frame_binds_and_releases_what_waits() {
    let mut store = unbound();
    assert_eq!(store.poll_transmit(), None);
    feed(&mut store, T0, send("tran1", &[], None, '$'));
    assert!(events(&mut store).contains(&Event::Bound));
    assert_eq!(kinds(&mut store), ["SEND", "200"]);
}

#[test]
fn thousands_of_messages_may_wait_for_their_answers() {
    let mut store = session(config());
    let mut waiting = Vec::new();
    for n in 0..5000 {
        feed(&mut store, T0, chunk(&format!("t{n:05}"), &format!("m{n:05}"), "1-4/4", "abcd", '$'));
        waiting.push(completed(&mut store).0);
    }
    waiting.iter().rev().for_each(|id| store.answer(T0, *id, &Verdict::Stored));
    let frames = written(&mut store);
    assert_eq!(frames.len(), 5000);
    assert_eq!(frames[0].head.transaction, "t04999");
}

// proves RFC 4975 5.4: duplicates are acknowledged, not presented again
#[test]
fn thousands_of_messages_whose_answers_were_lost_are_known_when_they_come_again() {
    let mut store = session(config());
    let say = |n: u32| chunk(&format!("t{n:05}"), &format!("m{n:05}"), "1-4/4", "abcd", '$');
    for n in 0..5000 {
        feed(&mut store, T0, say(n));
        let (id, _) = completed(&mut store);
        store.answer(T0, id, &Verdict::Stored);
    }
    store.handle_closed(T0);
    store.renew(vec![uri("msrp://alice.example.com:7777/a2;tcp")]);
    events(&mut store);
    for n in 0..5000 {
        let (replies, seen) = step(&mut store, say(n));
        assert_eq!((replies, seen.len()), (vec!["200".into()], usize::from(n == 0)), "{n}: {seen:?}");
    }
}

#[test]
fn what_was_refused_and_is_stored_at_last_is_remembered_as_long_as_others() {
    let mut store = session(config());
    let say = |store: &mut Session, id: &str, verdict: &Verdict| {
        feed(store, T0, chunk("tran1", id, "1-4/4", "abcd", '$'));
        let (id, _) = completed(store);
        store.answer(T0, id, verdict);
        kinds(store);
    };
    say(&mut store, "again", &Verdict::Refused(408, "".into()));
    // Each of the longest Message-IDs costs 352 bytes, and there is room for 2978.
    let name = |n: u32| format!("{n:0>256}");
    (0..2000).for_each(|n| say(&mut store, &name(n), &Verdict::Stored));
    say(&mut store, "again", &Verdict::Stored);
    (2000..3500).for_each(|n| say(&mut store, &name(n), &Verdict::Stored));
    let repeated = |store: &mut Session, id: &str| {
        let (replies, seen) = step(store, chunk("tran2", id, "1-4/4", "abcd", '$'));
        replies == ["200"] && seen.is_empty()
    };
    assert!(repeated(&mut store, "again"), "its refusal is forgotten, and nothing else");
    assert!(repeated(&mut store, &name(3499)) && repeated(&mut store, &name(600)));
    assert!(!repeated(&mut store, &name(0)), "memory is bounded");
}

#[test]
fn events_stay_small() {
    assert!(size_of::<Event>() <= 128, "{}", size_of::<Event>());
}
