//! Readers that leave a value where it stands, against those that take its pieces out: a verdict is never weaker
//! than the reading.

use bytes::Bytes;
use proptest::prelude::*;

use super::name_addr::has_tag;
use super::{
    HeaderName, Headers, MediaType, Method, NameAddr, Request, SipUri, UriError, Via, tag_of, uri, validate,
};

/// Values of header fields as they are met, with something put in or cut out here and there.
fn value() -> impl Strategy<Value = Bytes> {
    let sound = prop::sample::select(vec![
        "SIP/2.0/UDP pc.example.com:5099;branch=z9hG4bKa;received=192.0.2.9;rport",
        "SIP / 2.0 / TLS  [2001:db8::1] : 5061 ; branch = z9hG4bK ; x=\"a;\\\"b\"",
        "\"J \\\"R\\\" <x>\"  <sip:j@example.com;lr?a=b> ; tag = 98 ",
        "sip:+1972@gw.example.net;user=phone;tag=1",
        "T. Watson <tel:+1;x>;tag=\"2\"",
        "sips:a:pw@[2001:db8::1]:5070;LR;transport=tcp?Route=%3Csip:x%3E&a=",
        "Multipart / Mixed ; boundary=\"a b\"",
        "message-summary;id=7",
    ]);
    let change = (0.0..1.0_f64, 0..3_usize, "[ -~\t\r\u{e9}]{0,2}|[;=\"<>@:,/%\\[\\]]");
    (sound, prop::collection::vec(change, 0..4)).prop_map(|(sound, changes)| {
        let mut value = sound.as_bytes().to_vec();
        for (place, cut, put) in changes {
            let at = (place * value.len() as f64) as usize;
            let end = (at + cut).min(value.len());
            value.splice(at..end, put.bytes());
        }
        Bytes::from(value)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_checked_in_place_is_what_is_read(value in value()) {
        prop_assert_eq!(Via::check(&value), Via::parse(&value).map(|_| ()));
        prop_assert_eq!(MediaType::check(&value), MediaType::parse(&value).map(|_| ()));
        prop_assert_eq!(uri::parts(&value).map(|_| ()), SipUri::parse(&value).map(|_| ()));
        let address = NameAddr::parse(&value);
        prop_assert_eq!(NameAddr::uri_of(&value), address.as_ref().map(|address| &*address.uri).map_err(|problem| *problem));
        prop_assert_eq!(has_tag(&value), tag_of(&value).is_some());
        if let Ok(address) = address {
            prop_assert_eq!(tag_of(&value), address.tag());
        }
        let mut headers = Headers::new();
        headers.push(HeaderName::From, value);
        prop_assert_eq!(headers.from_uri(), headers.from().map(|from| from.uri));
    }

    // A request that is valid is one of which all that was looked at can be read.
    #[test]
    fn what_is_valid_can_be_read(values in prop::collection::vec((0..FIELDS.len(), value()), 1..3)) {
        let mut request = Request::new(Method::Message, "sip:bob@example.com");
        let mandatory = [
            (HeaderName::Via, "SIP/2.0/UDP a;branch=z9hG4bK1"),
            (HeaderName::From, "<sip:al@example.com>;tag=1"),
            (HeaderName::To, "<sip:bob@example.com>"),
            (HeaderName::CallId, "abc@host"),
            (HeaderName::CSeq, "1 MESSAGE"),
        ];
        for (name, sound) in mandatory {
            request.headers.push(name, sound);
        }
        for (which, value) in values {
            request.headers.set(FIELDS[which].clone(), value);
        }
        prop_assert_eq!(validate(&request).is_ok(), is_readable(&request.headers), "{:?}", request);
    }
}

const FIELDS: &[HeaderName] = &[
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::Contact,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::Path,
    HeaderName::Event,
    HeaderName::Expires,
    HeaderName::ContentType,
];

fn is_readable(headers: &Headers) -> bool {
    let sound = |address: &NameAddr| !matches!(SipUri::parse(&address.uri), Err(UriError::Malformed(_)));
    let lists = [headers.contacts(), headers.routes(), headers.record_routes(), headers.path()];
    [headers.from(), headers.to()].iter().all(|address| address.as_ref().is_ok_and(sound))
        && lists.iter().all(|list| list.as_ref().is_ok_and(|list| list.iter().all(sound)))
        && headers.vias().is_ok()
        && headers.event().is_ok()
        && headers.expires().is_ok()
        && headers.content_type().is_ok()
}
