//! Framing tests: the examples of RFC 4975, every stream cut at every byte, and round trips.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

const FIRST: &str = "MSRP d93kswow SEND\r\n\
    To-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n\
    From-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n\
    Message-ID: 12339sdqwer\r\n\
    Byte-Range: 1-16/16\r\n\
    Content-Type: text/plain\r\n\r\n\
    Hi, I'm Alice!\r\n\r\n\
    -------d93kswow$\r\n";
const OK: &str = "MSRP d93kswow 200 OK\r\n\
    To-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n\
    From-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n\
    -------d93kswow$\r\n";
const REPORT: &str = "MSRP dkei38sd REPORT\r\n\
    To-Path: msrp://alicepc.example.com:7777/iau39soe2843z;tcp\r\n\
    From-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n\
    Message-ID: 12339sdqwer\r\n\
    Byte-Range: 1-106/106\r\n\
    Status: 000 200 OK\r\n\
    -------dkei38sd$\r\n";

/// A frame as its pieces say it: head, whole body, end.
type Frame = (Head, Vec<u8>, Continuation);

/// Feeds `stream` in portions of the given sizes, repeated, and gathers frames.
fn frames(stream: &[u8], portions: &[usize]) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let (mut buffer, mut rest, mut frames) = (BytesMut::new(), stream, Vec::new());
    let mut open: Option<(Head, Vec<u8>)> = None;
    for size in portions.iter().cycle() {
        let (now, later) = rest.split_at((*size).clamp(1, rest.len().max(1)).min(rest.len()));
        buffer.extend_from_slice(now);
        rest = later;
        while let Some(piece) = decoder.decode(&mut buffer)? {
            match (piece, open.take()) {
                (Piece::Head(head), None) => open = Some((*head, Vec::new())),
                (Piece::Body(bytes), Some((head, mut body))) => {
                    assert!(!bytes.is_empty());
                    body.extend_from_slice(&bytes);
                    open = Some((head, body));
                }
                (Piece::End(end), Some((head, body))) => frames.push((head, body, end)),
                (piece, open) => panic!("{piece:?} after {open:?}"),
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    assert!(open.is_none() && buffer.is_empty() && decoder.is_between_frames());
    Ok(frames)
}

fn one(stream: &str) -> Frame {
    let mut all = frames(stream.as_bytes(), &[usize::MAX]).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

// proves RFC 4975 11.1 and 11.6: the examples
#[test]
fn the_examples_are_read() {
    let (head, body, end) = one(FIRST);
    assert_eq!(head.kind, FrameKind::Send);
    assert_eq!(head.transaction, "d93kswow");
    assert_eq!(head.to_path.first().unwrap().session_id(), b"9di4eae923wzd");
    assert_eq!(head.from_path.first().unwrap().port(), Some(7777));
    assert_eq!(head.byte_range, Some(ByteRange::whole(16)));
    assert_eq!(head.content_type.as_deref(), Some(&b"text/plain"[..]));
    assert_eq!((head.success_report, head.failure_report, head.fault), (false, FailureReport::Yes, None));
    assert_eq!((body.as_slice(), end), (&b"Hi, I'm Alice!\r\n"[..], Continuation::Complete));

    let (head, body, _) = one(OK);
    assert_eq!(head.kind, FrameKind::Response { status: 200, comment: "OK".into() });
    assert!(body.is_empty() && !head.has_body());

    let (head, ..) = one(REPORT);
    assert_eq!(head.status, Some(Status { namespace: 0, code: 200, comment: "OK".into() }));
    assert_eq!(head.fault, None);
}

/// A stream with what framing can stumble over.
fn hard_stream() -> Vec<u8> {
    let mut stream = format!("{FIRST}{OK}\r\n{REPORT}").into_bytes();
    let tricks: [&[u8]; 12] = [
        b"",
        b"\r\n",
        b"-------",
        b"\r\n-------d93k",
        b"\r\n-------d93kswow",
        b"\r\n-------d93kswow*\r\n",
        b"\r\n-------d93kswow$\r",
        b"\r\n-------d93kswow$x\r\n-------d93kswow+y",
        b"\r\n\r\n-------d93kswo\r\n-------d93ksw\r\n\r\r\n",
        b"MSRP d93kswow SEND\r\n\r\n",
        b"-------d93kswow",
        &[0xFF; 300],
    ];
    for (body, flag) in tricks.iter().zip(b"$+#".iter().cycle()) {
        stream.extend_from_slice(FIRST.split("Hi, I").next().unwrap().as_bytes());
        stream.extend_from_slice(body);
        stream.extend_from_slice(b"\r\n-------d93kswow");
        stream.push(*flag);
        stream.extend_from_slice(b"\r\n");
    }
    stream
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_frames() {
    let stream = hard_stream();
    let whole = frames(&stream, &[usize::MAX]).unwrap();
    assert_eq!(whole.len(), 15);
    assert_eq!(whole.get(9).unwrap().1, b"\r\n-------d93kswow$\r");
    for cut in 1..stream.len() {
        assert_eq!(frames(&stream, &[cut, usize::MAX]).as_ref(), Ok(&whole), "cut at {cut}");
    }
    for size in [1, 2, 3, 5, 7, 11, 64] {
        assert_eq!(frames(&stream, &[size]).unwrap(), whole, "portions of {size}");
    }
}

// proves RFC 4975 7.1: a request without body has no blank line; one with an empty body has
#[test]
fn empty_bodies_and_missing_bodies_differ() {
    let start = FIRST.split("Content-Type").next().unwrap();
    let (head, body, _) = one(&format!("{start}-------d93kswow$\r\n"));
    assert!(!head.has_body() && body.is_empty());
    for empty in ["\r\n\r\n\r\n", "\r\n\r\n"] {
        let (head, body, _) = one(&format!("{start}Content-Type: a/b{empty}-------d93kswow#\r\n"));
        assert!(head.has_body() && body.is_empty());
    }
}

#[test]
fn body_bytes_are_slices_of_the_input() {
    let start = FIRST.split("Hi, I").next().unwrap();
    let mut buffer = BytesMut::with_capacity(8192);
    buffer.extend_from_slice(start.as_bytes());
    buffer.extend_from_slice(&[b'x'; 4000]);
    let range = buffer.as_ptr() as usize..buffer.as_ptr() as usize + 8192;
    let mut decoder = Decoder::new(DecoderLimits::default());
    assert!(matches!(decoder.decode(&mut buffer), Ok(Some(Piece::Head(_)))));
    let Ok(Some(Piece::Body(body))) = decoder.decode(&mut buffer) else { panic!("no body") };
    assert_eq!(body.len(), 4000);
    assert!(range.contains(&(body.as_ptr() as usize)));
    assert!(buffer.is_empty(), "nothing that cannot be an end-line is held back");
}

#[test]
fn streams_that_are_no_msrp_are_refused_early_and_for_good() {
    let limit = DecoderLimits::default().header_bytes;
    for (stream, error) in [
        ("GET".to_owned(), FrameError::NotMsrp),
        ("MSRQ ".to_owned(), FrameError::NotMsrp),
        ("MSRP abc SEND\r\n".to_owned(), FrameError::Transaction),
        (format!("MSRP {} SEND\r\n", "a".repeat(33)), FrameError::Transaction),
        ("MSRP -abcd SEND\r\n".to_owned(), FrameError::Transaction),
        ("MSRP abcdSEND\r\n".to_owned(), FrameError::StartLine),
        ("MSRP abcd send\r\n".to_owned(), FrameError::StartLine),
        ("MSRP abcd 20\r\n".to_owned(), FrameError::StartLine),
        ("MSRP abcd 2000\r\n".to_owned(), FrameError::StartLine),
        (format!("MSRP {}", "a".repeat(limit)), FrameError::HeadTooLarge { limit }),
        (format!("MSRP abcd SEND\r\n{}", "a: b\r\n".repeat(limit)), FrameError::HeadTooLarge { limit }),
    ] {
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut buffer = BytesMut::from(stream.as_bytes());
        assert_eq!(decoder.decode(&mut buffer), Err(error), "{:.40}", stream);
        buffer = BytesMut::from(FIRST.as_bytes());
        assert_eq!(decoder.decode(&mut buffer), Err(error));
    }
}

#[test]
fn a_malformed_field_is_a_fault_of_its_frame_alone() {
    for (field, fault) in [
        ("Byte-Range: 0-1/2", "malformed Byte-Range"),
        ("Message-ID: a b", "malformed Message-ID"),
        ("Success-Report: maybe", "malformed Success-Report"),
        ("Failure-Report: maybe", "malformed Failure-Report"),
        ("Status: 00 200", "malformed Status"),
        ("Status: 000 200OK", "malformed Status"),
        ("To-Path: msrp://h:1/s;tcp", "header field given twice"),
        ("From-Path: msrp://h:1/s", "malformed URI in a path"),
        ("no colon", "header field without a colon"),
        (": x", "malformed header field name"),
        ("X: a\nb", "control character in a header field"),
        ("-------d93kswow$x", "header field without a colon"),
    ] {
        let stream = FIRST.replace("Message-ID: 12339sdqwer\r\nByte-Range: 1-16/16", field);
        let (head, body, _) = one(&format!("{stream}{OK}").replace(OK, ""));
        assert_eq!(head.fault, Some(fault), "{field}");
        assert_eq!(body, b"Hi, I'm Alice!\r\n");
    }
    let (head, ..) = one("MSRP d93kswow SEND\r\n-------d93kswow$\r\n");
    assert_eq!(head.fault, Some("no To-Path"));
    let (head, ..) = one(&REPORT.replace("Status: 000 200 OK\r\n", ""));
    assert_eq!(head.fault, Some("no Status"));
}

// proves RFC 4975 7.2 and 7.1.2: who is refused, and who is not answered
#[test]
fn a_refusal_goes_back_on_the_path_of_the_request() {
    let (mut head, ..) = one(FIRST);
    let text = String::from_utf8(refuse(&head, 481).unwrap().to_vec()).unwrap();
    assert_eq!(text, OK.replace("200 OK", "481 No Such Session"));
    head.from_path.push(MsrpUri::parse(b"msrp://far.example.com:1/x;tcp").unwrap());
    assert_eq!(refuse(&head, 481).unwrap(), text);
    head.kind = FrameKind::Other("NICKNAME".into());
    let (answer, ..) = one(std::str::from_utf8(&refuse(&head, 501).unwrap()).unwrap());
    assert_eq!(answer.to_path, head.from_path);
    head.failure_report = FailureReport::No;
    assert_eq!(refuse(&head, 481), None);
    assert_eq!(refuse(&one(REPORT).0, 481), None);
    assert_eq!(refuse(&one(OK).0, 481), None);
}

#[test]
fn a_value_cannot_smuggle_a_header_field() {
    let (mut head, ..) = one(OK);
    head.others.push(("X".into(), "a\r\nStatus: 000 200".into()));
    let mut out = BytesMut::new();
    head.encode(false, &mut out);
    encode_end(&head.transaction, Continuation::Complete, &mut out);
    let (read, ..) = one(std::str::from_utf8(&out).unwrap());
    assert_eq!((read.status, read.others), (None, vec![("X".into(), "a  Status: 000 200".into())]));
}

fn uri() -> impl Strategy<Value = MsrpUri> {
    ("[a-z][a-z0-9.]{0,12}", 1_u16.., "[A-Za-z0-9+=/._~-]{1,20}", any::<bool>())
        .prop_map(|(host, port, session, secure)| MsrpUri::new(secure, &host, port, &session).unwrap())
}

fn kind() -> impl Strategy<Value = FrameKind> {
    prop_oneof![
        Just(FrameKind::Send),
        "X[A-Z]{0,8}".prop_map(|m| FrameKind::Other(m.into())),
        (0_u16..1000, "[!-~]{0,8}").prop_map(|(status, c)| FrameKind::Response { status, comment: c.into() }),
    ]
}

fn head() -> impl Strategy<Value = Head> {
    let paths = (prop::collection::vec(uri(), 1..3), prop::collection::vec(uri(), 1..3));
    let range =
        (1_u64..1 << 40, prop::option::of(0_u64..1 << 30), any::<bool>()).prop_map(|(start, len, total)| {
            let end = len.map(|len| start + len);
            ByteRange { start, end, total: total.then_some(end.unwrap_or(start)) }
        });
    let reports = (
        any::<bool>(),
        prop_oneof![Just(FailureReport::Yes), Just(FailureReport::No), Just(FailureReport::Partial),],
    );
    let others = prop::collection::vec(("X-[a-zA-Z]{1,9}", "[!-~]{0,20}"), 0..4);
    let optional = (
        prop::option::of("[a-z0-9.+%=-]{4,32}"),
        prop::option::of(range),
        reports,
        prop::option::of("[a-z]{1,9}/[a-z;= ]{1,9}[a-z]"),
        others,
        any::<bool>(),
    );
    ("[A-Za-z0-9][A-Za-z0-9.+%=-]{3,31}", kind(), paths, optional).prop_map(
        |(transaction, kind, (to, from), (id, range, reports, content_type, others, has_body))| {
            let mut head = Head::new(kind, transaction.into(), to, from);
            head.message_id = id.map(Bytes::from);
            head.byte_range = range;
            (head.success_report, head.failure_report) = reports;
            head.content_type = content_type.filter(|_| has_body).map(Bytes::from);
            head.others = others.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
            head.has_body = has_body;
            head
        },
    )
}

/// Bodies that love to look like end-lines.
fn body(transaction: &Bytes) -> impl Strategy<Value = Vec<u8>> + use<> {
    let needle = [b"\r\n-------", transaction.as_ref()].concat();
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (0..=needle.len()).prop_map(move |n| needle.get(..n).unwrap().to_vec()),
        Just(b"\r\n".to_vec()),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    // proves RFC 4975 7.1: decode(encode(x)) = x, however the stream is cut
    #[test]
    fn what_is_encoded_is_decoded(
        all in prop::collection::vec(
            head().prop_flat_map(|h| { let b = body(&h.transaction); (Just(h), b, 0_usize..3) }), 1..5),
        portions in prop::collection::vec(1_usize..200, 1..6),
    ) {
        let (mut stream, mut expected) = (BytesMut::new(), Vec::new());
        for (head, body, flag) in all {
            let end = [Continuation::Complete, Continuation::More, Continuation::Aborted][flag];
            let line = [b"-------", head.transaction.as_ref()].concat();
            let collides = [b"$".as_slice(), b"+", b"#"].iter()
                .any(|f| memchr::memmem::find(&body, &[line.as_slice(), f].concat()).is_some());
            let body = if head.has_body && !collides { body } else { Vec::new() };
            head.encode(head.has_body, &mut stream);
            if head.has_body {
                stream.extend_from_slice(&body);
                stream.extend_from_slice(b"\r\n");
            }
            encode_end(&head.transaction, end, &mut stream);
            expected.push((head, body, end));
        }
        prop_assert_eq!(frames(&stream, &portions).unwrap(), expected);
    }

    // Where a SEND asks for no report, it is written as any head is.
    #[test]
    fn a_borrowed_head_is_written_as_one_that_is_kept(mut head in head(), id in "[a-z0-9]{4,32}", whole in 0_u64..99) {
        head.kind = FrameKind::Send;
        (head.success_report, head.failure_report) = (false, FailureReport::Yes);
        let range = *head.byte_range.get_or_insert(ByteRange::whole(whole));
        let message_id = head.message_id.get_or_insert(id.into()).clone();
        let borrowed = SendHead {
            transaction: &head.transaction,
            to_path: &head.to_path,
            from_path: &head.from_path,
            message_id: &message_id,
            byte_range: range,
            others: &head.others,
            content_type: head.content_type.as_deref(),
        };
        let (mut kept, mut written) = (BytesMut::new(), BytesMut::new());
        head.encode(head.content_type.is_some(), &mut kept);
        borrowed.encode(&mut written);
        prop_assert_eq!(kept, written);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(noise: Vec<u8>, at in 0_usize..2000, cut in 1_usize..50) {
        let mut stream = hard_stream();
        let at = at.min(stream.len());
        stream.splice(at..at, noise);
        let mut decoder = Decoder::new(DecoderLimits { header_bytes: 512 });
        let mut buffer = BytesMut::new();
        for portion in stream.chunks(cut) {
            buffer.extend_from_slice(portion);
            loop {
                match decoder.decode(&mut buffer) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
            prop_assert!(buffer.len() <= 512);
        }
    }
}
