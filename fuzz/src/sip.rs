//! SIP messages: what is read can be read on, answered, written and read again; a stream gives the same
//! messages however it is cut.

use bytes::{Bytes, BytesMut};
use restante::wire::sip::{
    HeaderName, Headers, Limits, Message, ParseError, Request, Response, StatusCode, StreamDecoder,
    StreamEvent, parse_datagram, stamp_via, validate, validate_response,
};

use super::choices::cut;

const LIMITS: Limits = Limits { message: 8192, headers: 60, body: 4096 };

/// Reads everything that can be read of header fields.
fn fields(headers: &Headers) {
    assert!(headers.len() <= LIMITS.headers + 7, "{} header fields", headers.len());
    let _ = (headers.via(), headers.vias(), headers.from(), headers.to(), headers.call_id(), headers.cseq());
    let _ = (headers.contact(), headers.contacts(), headers.max_forwards(), headers.content_length());
    let _ = (headers.content_type(), headers.expires(), headers.routes(), headers.record_routes());
    let _ = (headers.path(), headers.p_asserted_identity(), headers.event(), headers.accept());
    assert_eq!(headers.from_tag(), headers.from().ok().and_then(|from| from.tag()).or(headers.from_tag()));
    for header in headers {
        assert!(!header.value.contains(&b'\n') && !header.value.contains(&b'\r'), "a line breaks through");
    }
    for name in [HeaderName::Contact, HeaderName::Route, HeaderName::Require, HeaderName::Via] {
        for value in headers.values(&name) {
            assert!(!value.contains(&b'\n'));
        }
    }
}

fn request(mut request: Request) {
    fields(&request.headers);
    let verdict = validate(&request);
    if verdict.is_ok() {
        same_again(&Message::Request(request.clone()));
    }
    stamp_via(&mut request, "[2001:db8::7]:4711".parse().unwrap());
    assert_eq!(validate(&request).is_ok(), verdict.is_ok(), "stamping changes no verdict");
    let (status, reason) = verdict.err().unwrap_or((StatusCode::OK, "OK".to_owned()));
    let mut answer = request.respond_with(status, &reason);
    answer.set_to_tag("tag");
    response(&answer);
    let read = parse_datagram(answer.encode(), &Limits::default());
    assert!(matches!(read, Ok(Message::Response(_))), "what is answered can be read: {read:?}");
}

fn response(response: &Response) {
    fields(&response.headers);
    if validate_response(response).is_ok() {
        same_again(&Message::Response(response.clone()));
    }
}

/// What is fit to be processed is the same after it was written and read.
fn same_again(message: &Message) {
    let again = parse_datagram(message.encode(), &Limits::default()).expect("what is written can be read");
    assert_eq!(again.body(), message.body());
    let kept = |message: &Message| {
        let fields = message.headers().iter().filter(|header| header.name != HeaderName::ContentLength);
        fields.cloned().collect::<Vec<_>>()
    };
    assert_eq!(kept(&again), kept(message));
    match (&again, message) {
        (Message::Request(a), Message::Request(b)) => assert_eq!((&a.uri, &a.method), (&b.uri, &b.method)),
        (Message::Response(a), Message::Response(b)) => {
            assert_eq!((a.status, &a.reason), (b.status, &b.reason))
        }
        _ => panic!("it changed its kind"),
    }
}

fn outcome(outcome: Result<Message, ParseError>) {
    match outcome {
        Ok(Message::Request(message)) => request(message),
        Ok(Message::Response(message)) => response(&message),
        Err(ParseError::Reject { request: refused, status, reason }) => {
            assert!(status.0 >= 400 && !reason.contains(['\r', '\n']));
            let answer = refused.respond_with(status, &reason);
            assert!(matches!(parse_datagram(answer.encode(), &Limits::default()), Ok(Message::Response(_))));
            request(*refused);
        }
        Err(ParseError::Silent(reason)) => assert!(!reason.is_empty()),
    }
}

/// A datagram.
pub fn datagram(data: &[u8]) {
    outcome(parse_datagram(Bytes::copy_from_slice(data), &LIMITS));
}

fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut decoder = StreamDecoder::new(LIMITS);
    let mut buffer = BytesMut::new();
    let mut events = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(event) = decoder.decode(&mut buffer) {
            events.push(format!("{event:?}"));
            match event {
                StreamEvent::Message(message) => outcome(Ok(message)),
                StreamEvent::Malformed(error) | StreamEvent::Broken(error) => outcome(Err(error)),
                StreamEvent::Ping => {}
            }
        }
        assert!(buffer.len() <= LIMITS.message, "{} bytes are held", buffer.len());
    }
    events
}

/// A stream.
pub fn stream(data: &[u8]) {
    assert_eq!(events([data]), events(cut(data)));
}
