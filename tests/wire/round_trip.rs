//! What is written reads back as it was.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use restante::wire::sip::{
    Header, HeaderName, Headers, Limits, Message, Method, NameAddr, Params, Request, Response, SipUri,
    StatusCode, StreamDecoder, StreamEvent, escape_user, parse_datagram,
};

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,20}"
}

/// Any bytes but line ends, without blanks at the ends.
fn value() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>().prop_filter("line end", |byte| !matches!(byte, b'\r' | b'\n')), 0..60)
        .prop_map(|bytes| Bytes::copy_from_slice(bytes.trim_ascii()))
}

fn headers() -> impl Strategy<Value = Headers> {
    let header = (token(), value())
        .prop_map(|(name, value)| Header { name: HeaderName::parse(name.as_bytes()), value });
    vec(header.prop_filter("is written anew", |h| h.name != HeaderName::ContentLength), 0..12)
        .prop_map(|headers| headers.into_iter().collect())
}

/// URIs of so few letters that some are equivalent.
fn uri() -> impl Strategy<Value = String> {
    "sips?:((a|%61|A)@)?(x|X)(:5060)?(;(lr|user=a|x=(b|%62|c)|method=M)){0,2}([?](s=1|p=%31)(&t=2)?)?"
}

/// The same parameters in capital letters and the other order.
fn reversed(params: &Params) -> Params {
    let mut names: Vec<_> = params.iter().collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.clone()));
    let mut reversed = Params::new();
    for (name, value) in names {
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        reversed.push(&text(name).to_uppercase(), value.map(text).as_deref());
    }
    reversed
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn request() -> impl Strategy<Value = Request> {
    (token(), "[!-~]{1,40}", headers(), body()).prop_map(|(method, uri, headers, body)| Request {
        method: Method::parse(method.as_bytes()).unwrap(),
        uri: Bytes::from(uri),
        headers,
        body,
    })
}

fn response() -> impl Strategy<Value = Response> {
    (100_u16..700, value(), headers(), body()).prop_map(|(status, reason, headers, body)| Response {
        status: StatusCode(status),
        reason,
        headers,
        body,
    })
}

/// Both ways of reading agree, and give back what was written.
fn assert_reads_back(message: &Message) {
    let wire = message.encode();
    let datagram = parse_datagram(wire.clone(), &Limits::default()).unwrap();
    let mut buffer = BytesMut::from(wire.as_ref());
    let Some(StreamEvent::Message(streamed)) = StreamDecoder::new(Limits::default()).decode(&mut buffer)
    else {
        panic!("not read from the stream: {message:?}")
    };
    assert_eq!(datagram, streamed);
    assert!(buffer.is_empty());
    let mut expected = message.clone();
    let fields = match &mut expected {
        Message::Request(request) => &mut request.headers,
        Message::Response(response) => &mut response.headers,
    };
    fields.push(HeaderName::ContentLength, message.body().len().to_string());
    assert_eq!(datagram, expected);
}

proptest! {
    #[test]
    fn requests_read_back(request in request()) {
        assert_reads_back(&Message::Request(request));
    }

    #[test]
    fn responses_read_back(response in response()) {
        assert_reads_back(&Message::Response(response));
    }

    #[test]
    fn addresses_read_back(display in proptest::option::of("[ -~]{0,20}"), user in vec(any::<u8>(), 1..20), tag in token()) {
        let mut address = NameAddr::from_uri(format!("sip:{}@example.com;lr", escape_user(&user)));
        address.display = display.map(Bytes::from);
        address.params.push("tag", Some(&tag));
        let back = NameAddr::parse(&address.encode()).unwrap();
        prop_assert_eq!(&back, &address);
        let uri = SipUri::parse(&back.uri).unwrap();
        prop_assert_eq!(uri.user_unescaped(), user);
        prop_assert_eq!(uri.to_string().into_bytes(), back.uri.to_vec());
        prop_assert!(uri.equivalent(&uri));
    }

    // proves RFC 3261 19.1.4: equivalence looks the same from both sides, and in spite of case and order
    #[test]
    fn equivalence_is_symmetric(a in uri(), b in uri()) {
        let parse = |text: &str| SipUri::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let (a, b) = (parse(&a), parse(&b));
        prop_assert!(a.equivalent(&a));
        prop_assert_eq!(a.equivalent(&b), b.equivalent(&a));
        let mut shouted = a.clone();
        shouted.params = reversed(&a.params);
        prop_assert!(shouted.equivalent(&a));
    }
}
