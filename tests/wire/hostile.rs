//! Nothing that arrives makes the reader panic, hang or let a line break through.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use restante::wire::sip::{
    HeaderName, Headers, Limits, Message, ParseError, Request, Response, SipUri, StatusCode, StreamDecoder,
    StreamEvent, parse_datagram, stamp_via, validate, validate_response,
};
use restante::wire::xml::{self, XmlLimits};

use crate::torture::{VERDICTS, load};

const NASTY: [u8; 8] = [0, b'\n', b'"', b'<', b',', b';', b'%', 0xff];
const LIMITS: Limits = Limits { message: 4096, headers: 40, body: 2048 };

/// Reads everything that can be read of header fields.
fn read_all(headers: &Headers) {
    assert!(headers.len() <= LIMITS.headers + 7, "{}", headers.len());
    let _ = (headers.via(), headers.vias(), headers.from(), headers.to(), headers.call_id(), headers.cseq());
    let _ = (headers.contact(), headers.contacts(), headers.max_forwards(), headers.content_length());
    let _ = (headers.content_type(), headers.expires(), headers.routes(), headers.record_routes());
    let _ = (
        headers.p_asserted_identity(),
        headers.event(),
        headers.accept(),
        headers.from_tag(),
        headers.to_tag(),
    );
    assert!(headers.values(&HeaderName::Contact).count() >= headers.all(&HeaderName::Contact).count());
    for header in headers {
        assert!(!header.value.contains(&b'\n') && !header.value.contains(&b'\r'));
        let _ = SipUri::parse(&header.value).map(|uri| assert!(uri.equivalent(&uri)));
    }
}

fn exercise_request(mut request: Request) {
    read_all(&request.headers);
    let verdict = validate(&request);
    stamp_via(&mut request, "[2001:db8::7]:4711".parse().unwrap());
    // Stamping harms nothing: what was valid stays valid.
    assert_eq!(validate(&request).is_ok(), verdict.is_ok(), "{request:?} {verdict:?}");
    let (status, reason) = verdict.err().unwrap_or((StatusCode::OK, "OK".to_owned()));
    let mut response = request.respond_with(status, &reason);
    response.set_to_tag("tag");
    exercise_response(&response);
    assert!(matches!(parse_datagram(response.encode(), &Limits::default()), Ok(Message::Response(_))));
    assert!(!request.encode().is_empty());
}

fn exercise_response(response: &Response) {
    read_all(&response.headers);
    let _ = validate_response(response);
}

fn exercise_outcome(outcome: Result<Message, ParseError>) {
    match outcome {
        Ok(Message::Request(request)) => exercise_request(request),
        Ok(Message::Response(response)) => exercise_response(&response),
        Err(ParseError::Reject { request, .. }) => exercise_request(*request),
        Err(ParseError::Silent(reason)) => assert!(!reason.is_empty()),
    }
}

/// Every byte of a message of usual length, fewer of the long ones.
fn stride(text: &[u8]) -> usize {
    1 + text.len() / 600
}

fn exercise(bytes: &[u8]) {
    exercise_outcome(parse_datagram(Bytes::copy_from_slice(bytes), &LIMITS));
    let mut decoder = StreamDecoder::new(LIMITS);
    let mut buffer = BytesMut::from(bytes);
    while let Some(event) = decoder.decode(&mut buffer) {
        match event {
            StreamEvent::Message(message) => exercise_outcome(Ok(message)),
            StreamEvent::Malformed(error) | StreamEvent::Broken(error) => exercise_outcome(Err(error)),
            StreamEvent::Ping => {}
        }
    }
}

#[test]
fn every_torture_message_truncated_anywhere() {
    for (name, _) in VERDICTS {
        let text = load(name);
        for end in (0..=text.len()).step_by(stride(&text)) {
            exercise(&text[..end]);
        }
    }
}

#[test]
fn every_torture_message_with_a_byte_replaced() {
    for (name, _) in VERDICTS {
        let text = load(name);
        for (turn, at) in (0..text.len()).step_by(2 * stride(&text)).enumerate() {
            let mut changed = text.to_vec();
            changed[at] = NASTY[turn % NASTY.len()];
            exercise(&changed);
        }
    }
}

// What is opened and never closed must not be looked for again and again.
#[test]
fn a_megabyte_of_openings_is_read_in_linear_time() {
    for (start, unit) in [
        ("Via: SIP/2.0/UDP a", ","),
        ("Contact: ", "<,"),
        ("Contact: ", "\"\\"),
        ("To: <sip:a@b>;x=\"", "\\\""),
        ("To: <sip:a@b>", ";"),
        ("To: sip:a@b", ";a"),
        ("To: <sip:a@b", ";a"),
        ("Contact: <sip:a@b>", ",<sip:a@b>"),
        ("v: SIP/2.0/UDP a", "\r\nv:"),
        ("l: 0", "\r\nl:0"),
        ("X: 0", "\r\n "),
        ("X: 0", "\r\n\r"),
        ("X: 0", "\n"),
    ] {
        let text = format!(
            "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n{start}{}\r\n\r\n",
            unit.repeat(1_000_000 / unit.len())
        );
        let before = Instant::now();
        let limits = Limits { message: 2 << 20, headers: 40, body: 0 };
        let outcome = parse_datagram(Bytes::from(text), &limits);
        let request = match outcome {
            Ok(Message::Request(request)) => request,
            Err(ParseError::Reject { request, .. }) => *request,
            other => panic!("{start}{unit}: {other:?}"),
        };
        let _ = (validate(&request), request.headers.to_tag(), request.respond(StatusCode::OK).encode());
        assert!(before.elapsed() < Duration::from_secs(5), "{start}{unit}: {:?}", before.elapsed());
    }
}

// Nothing in a document is looked at as often as there is something before it.
#[test]
fn a_megabyte_of_xml_is_read_in_linear_time() {
    let limits = XmlLimits { bytes: 1 << 20, depth: 16, elements: 20_000 };
    let attributes: String = (0..80_000).map(|n| format!(" a{n}=''")).collect();
    let namespaces: String = (0..50_000).map(|n| format!(" xmlns:p{n}='u'")).collect();
    let value = "&amp;".repeat(200_000);
    for xml in [
        format!("<a{attributes}/>"),
        format!("<a{namespaces}>{}</a>", "<p1:b/>".repeat(1000)),
        format!("<a b='{value}'/>"),
        format!("<a>{value}</a>"),
        "<a>".repeat(300_000),
        "<a/>".repeat(250_000),
        format!("<a>{}</a>", "<b/>".repeat(250_000)),
        format!("<a>{}</a>", "<![CDATA[]]>".repeat(80_000)),
        format!("<!DOCTYPE a [{}]><a/>", "<!ENTITY x 'y'>".repeat(60_000)),
    ] {
        assert!(xml.len() <= limits.bytes, "{}", xml.len());
        let before = Instant::now();
        let _ = xml::parse(xml.as_bytes(), limits);
        assert!(before.elapsed() < Duration::from_secs(5), "{}: {:?}", &xml[..20], before.elapsed());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        exercise(&bytes);
    }

    #[test]
    fn any_header_values(values in vec("[ -~\t]{0,40}", 1..12)) {
        let names = ["Via", "From", "To", "Contact", "CSeq", "l", "Route", "Accept", "Event", "Max-Forwards", "c", "i"];
        let fields: String = names.iter().zip(&values).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        exercise(format!("MESSAGE sip:bob@example.com SIP/2.0\r\n{fields}\r\n").as_bytes());
    }

    #[test]
    fn spliced_torture(a in 0..VERDICTS.len(), b in 0..VERDICTS.len(), x in 0_usize..1000, y in 0_usize..1000) {
        let (left, right) = (load(VERDICTS[a].0), load(VERDICTS[b].0));
        exercise(&[&left[..x.min(left.len())], &right[y.min(right.len())..]].concat());
    }
}
