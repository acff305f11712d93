//! Tests of session descriptions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use proptest::prelude::*;

fn lines(lines: &[&str]) -> Vec<u8> {
    lines.join("\r\n").into_bytes()
}

// proves RFC 4975 section 8.7
#[test]
fn the_example_of_rfc_4975_is_read() {
    let text = lines(&[
        "v=0",
        "o=usera 2890844526 2890844527 IN IP4 alice.example.com",
        "s= -",
        "c=IN IP4 alice.example.com",
        "t=0 0",
        "m=message 7394 TCP/MSRP *",
        "a=accept-types:message/cpim text/plain text/html",
        "a=path:msrp://alice.example.com:7394/2s93i93idj;tcp",
        "",
    ]);
    let media = Sdp::parse(&text).unwrap().msrp().unwrap();
    assert_eq!((media.index, media.port, media.secure), (0, 7394, false));
    assert_eq!(media.accept_types, ["message/cpim", "text/plain", "text/html"]);
    assert_eq!(media.path.first().unwrap().to_string(), "msrp://alice.example.com:7394/2s93i93idj;tcp");
    assert_eq!((media.setup, media.max_size, media.direction), (None, None, Direction::SendRecv));
}

#[test]
fn attributes_of_the_session_are_inherited_and_overridden() {
    let text = lines(&[
        "v=0",
        "o=- 1 1 IN IP6 2001:db8::1",
        "s=-",
        "c=IN IP6 2001:db8::1",
        "t=0 0",
        "a=sendonly",
        "a=setup:actpass",
        "a=accept-types:*",
        "m=audio 4000 RTP/AVP 0",
        "m=message 0 TCP/MSRP *",
        "a=path:msrp://[2001:db8::1]:9/gone;tcp",
        "m=message 2855 tcp/tls/msrp *",
        "a=setup: active",
        "a=recvonly",
        "a=max-size:1000",
        "a=accept-wrapped-types:text/plain;charset=\"a b\"  image/*",
        "a=path:msrps://relay.example.com:2855/r;tcp msrps://[2001:db8::1]:2855/s;tcp",
    ]);
    let sdp = Sdp::parse(&text).unwrap();
    assert_eq!(sdp.msrp_lines().count(), 2);
    let media = sdp.msrp().unwrap();
    assert_eq!((media.index, media.secure, media.path.len()), (2, true, 2));
    assert_eq!((media.setup, media.direction), (Some(Setup::Active), Direction::RecvOnly));
    assert_eq!(media.accept_types, ["*"]);
    assert_eq!(media.accept_wrapped_types, ["text/plain;charset=\"a b\"", "image/*"]);
    assert_eq!(media.max_size, Some(1000));
    let gone = sdp.msrp_lines().next().unwrap();
    assert_eq!((gone.direction, gone.setup), (Direction::SendOnly, Some(Setup::ActPass)));
}

// proves RFC 8122 5
#[test]
fn fingerprints_of_the_media_take_the_place_of_the_sessions() {
    let (one, two) = (Fingerprint::of(b"one"), Fingerprint::of(b"two"));
    let fingerprints = |session: &str, media: &str| {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n{session}m=message 9 TCP/TLS/MSRP *\r\n\
             a=path:msrps://h:9/x;ws\r\n{media}"
        );
        let media = Sdp::parse(text.as_bytes()).unwrap().msrp().unwrap();
        assert!(media.is_web());
        media.fingerprints
    };
    let line = |it: &Fingerprint| format!("a=fingerprint:{it}\r\n");
    assert_eq!(fingerprints("", ""), None);
    assert_eq!(fingerprints(&line(&one), ""), Some(vec![one.clone()]));
    assert_eq!(fingerprints(&line(&one), &line(&two)), Some(vec![two.clone()]));
    assert_eq!(fingerprints("", &(line(&one) + &line(&two))), Some(vec![one, two]));
    assert_eq!(fingerprints("", "a=fingerprint:sha-1 4A:AD\r\n"), Some(Vec::new()));
}

#[test]
fn media_without_a_good_path_is_not_usable() {
    for path in ["", "a=path:", "a=path", "a=path:http://x", "a=path:msrp://a:1/x;tcp nonsense"] {
        let text = format!("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n{path}\r\n");
        assert_eq!(Sdp::parse(text.as_bytes()).unwrap().msrp(), None, "{path}");
    }
}

// proves RFC 8866 9: sess-id and sess-version are 1*DIGIT
#[test]
fn an_origin_has_numbers_of_any_length() {
    let long = "9".repeat(400);
    let text = format!(
        "v=0\r\no=- {long} {long} IN IP4 h\r\ns=-\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\na=path:msrp://h/x;tcp\r\n"
    );
    let sdp = Sdp::parse(text.as_bytes()).unwrap();
    assert_eq!(sdp.session().origin.unicast_address, "h");
    assert!(sdp.msrp().is_some());
}

// proves RFC 8866 5: a description with a type letter that is not understood is rejected
#[test]
fn a_type_letter_that_nobody_knows_spoils_a_description() {
    let media = "m=message 9 TCP/MSRP *\r\n";
    let with = |session: &str, line: &str| {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n{session}{media}a=path:msrp://h/x;tcp\r\n{line}"
        );
        Sdp::parse(text.as_bytes())
    };
    for known in ["", "i=x\r\n", "c=IN IP4 h\r\nb=AS:1\r\nk=prompt\r\na=x\r\n", "\r\n"] {
        assert!(with("", known).is_ok(), "{known:?}: {:?}", with("", known));
    }
    for unknown in ["x=foo\r\n", "X=\n", "w=1\r\n"] {
        assert!(matches!(with("", unknown), Err(SdpError::Malformed(_))), "{unknown:?}");
        assert!(matches!(with(unknown, ""), Err(SdpError::Malformed(_))), "{unknown:?}");
    }
}

#[test]
fn what_is_no_description_is_refused() {
    for text in ["", "hello", "v=1\r\n", "v=0\r\nm=message x TCP/MSRP *\r\n", "v=0\r\no=broken\r\n"] {
        assert!(matches!(Sdp::parse(text.as_bytes()), Err(SdpError::Malformed(_))), "{text}");
    }
    assert_eq!(Sdp::parse(&[b'v'; LARGEST + 1]), Err(SdpError::TooLarge));
    let many = format!("v=0\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(MOST_MEDIA + 1));
    assert_eq!(Sdp::parse(many.as_bytes()), Err(SdpError::TooMany));
    assert!(Sdp::parse(b"v=0\r\no=- 1 1 IN IP4 h\r\ns=\xff\r\nt=0 0\r\n").is_ok());
}

#[test]
fn directions_reverse_and_meet() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let table = [(SendRecv, SendRecv), (SendOnly, RecvOnly), (RecvOnly, SendOnly), (Inactive, Inactive)];
    for (one, other) in table {
        assert_eq!(one.reversed(), other);
        assert_eq!(Direction::parse(one.as_str()), Some(one));
        assert_eq!(SendRecv.and(one), one);
    }
    assert_eq!(SendOnly.and(RecvOnly), Inactive);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), lines in "([vostcma]=[a-z0-9 :/*.-]{0,20}\r\n){0,8}") {
        let _ = Sdp::parse(&bytes).map(|sdp| sdp.msrp());
        let _ = Sdp::parse(format!("v=0\r\n{lines}").as_bytes()).map(|sdp| sdp.msrp());
    }
}
