#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use proptest::prelude::*;

use super::*;

fn local(direction: Direction) -> LocalMedia {
    LocalMedia {
        fingerprint: None,
        uri: MsrpUri::parse(b"msrp://bob.example.com:8493/si438dsaodes;tcp").unwrap(),
        accept_types: Box::default(),
        accept_wrapped: false,
        max_size: 0,
        direction,
        session: (2_890_844_530, 2_890_844_532),
    }
}

fn offered(attributes: &str) -> Vec<u8> {
    format!(
        "v=0\r\no=usera 2890844526 2890844527 IN IP4 alice.example.com\r\ns= -\r\nc=IN IP4 alice.example.com\r\nt=0 0\r\n\
         m=message 7394 TCP/MSRP *\r\na=accept-types:message/cpim text/plain text/html\r\n\
         a=path:msrp://alice.example.com:7394/2s93i93idj;tcp\r\n{attributes}"
    )
    .into_bytes()
}

// proves RFC 4975 section 8.7: the exchange of figures 9 and 10, with the a=setup of RFC 6135
#[test]
fn the_example_of_rfc_4975_is_answered() {
    let types = vec!["message/cpim".to_owned(), "text/plain".to_owned()];
    let local = LocalMedia { accept_types: types.into(), max_size: 70_000, ..local(Direction::SendRecv) };
    let (text, agreed) = answer(&offered(""), &local).unwrap();
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        "v=0\r\no=- 2890844530 2890844532 IN IP4 bob.example.com\r\ns=-\r\nc=IN IP4 bob.example.com\r\nt=0 0\r\n\
         m=message 8493 TCP/MSRP *\r\na=accept-types:message/cpim text/plain\r\n\
         a=path:msrp://bob.example.com:8493/si438dsaodes;tcp\r\na=setup:passive\r\na=sendrecv\r\na=max-size:70000\r\n"
    );
    assert!(!agreed.connect && !agreed.hold);
    assert_eq!(
        agreed.remote_path.first().unwrap().to_string(),
        "msrp://alice.example.com:7394/2s93i93idj;tcp"
    );
    assert!(agreed.remote_accepts.wants_cpim() && !agreed.remote_accepts.accepts("image/png"));
    assert_eq!(agreed.direction, Direction::SendRecv);
}

// proves RFC 4975 section 8.6: who takes whatever comes says that it may be wrapped
#[test]
fn who_receives_all_takes_it_wrapped() {
    for accept_wrapped in [true, false] {
        let media = LocalMedia { accept_wrapped, ..local(Direction::SendRecv) };
        let (answered, _) = answer(&offered(""), &media).unwrap();
        for text in [answered, offer(&media)] {
            let said = Sdp::parse(&text).unwrap().msrp().unwrap();
            assert_eq!(said.accept_types, ["*"]);
            let wrapped: &[&str] = if accept_wrapped { &["*"] } else { &[] };
            assert_eq!(said.accept_wrapped_types, wrapped);
        }
    }
}

// proves RFC 6135 sections 4.2.1 and 4.2.2: every a=setup of an offer
#[test]
fn every_setup_has_its_answer() {
    let table = [
        ("", Setup::Passive, false),
        ("a=setup:active\r\n", Setup::Passive, false),
        ("a=setup:passive\r\n", Setup::Active, true),
        ("a=setup:actpass\r\n", Setup::Passive, false),
        ("a=setup:holdconn\r\n", Setup::Passive, false),
        ("a=setup:what\r\n", Setup::Passive, false),
    ];
    for (attribute, setup, connect) in table {
        let (text, agreed) = answer(&offered(attribute), &local(Direction::SendRecv)).unwrap();
        assert_eq!(Sdp::parse(&text).unwrap().msrp().unwrap().setup, Some(setup), "{attribute}");
        assert_eq!(agreed.connect, connect, "{attribute}");
    }
}

// proves RFC 3264 section 6.1: every direction of an offer against every one of ours
#[test]
fn every_direction_has_its_answer() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let table = [
        (SendRecv, [SendRecv, SendOnly, RecvOnly, Inactive]),
        (SendOnly, [RecvOnly, Inactive, RecvOnly, Inactive]),
        (RecvOnly, [SendOnly, SendOnly, Inactive, Inactive]),
        (Inactive, [Inactive, Inactive, Inactive, Inactive]),
    ];
    for (offer, answers) in table {
        for (ours, expected) in [SendRecv, SendOnly, RecvOnly, Inactive].into_iter().zip(answers) {
            let text = offered(&format!("a={}\r\n", offer.as_str()));
            let (text, agreed) = answer(&text, &local(ours)).unwrap();
            assert_eq!(Sdp::parse(&text).unwrap().msrp().unwrap().direction, expected, "{offer:?} {ours:?}");
            assert_eq!((agreed.direction, agreed.hold), (expected, expected == Inactive));
        }
    }
}

// proves RFC 3264 section 6: one m= line for each of the offer, port 0 for those not accepted
#[test]
fn all_other_media_are_declined_as_they_came() {
    let offer = "v=0\r\no=- 1 1 IN IP6 2001:db8::2\r\ns=-\r\nc=IN IP6 2001:db8::2\r\nt=3034423619 3042462419\r\n\
        m=audio 49170/2 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\nm=message 2855 TCP/TLS/MSRP *\r\na=path:msrps://h:2855/t;tcp\r\n\
        m=message 2855 TCP/MSRP *\r\na=accept-types:*\r\na=path:msrp://relay:2855/r;tcp msrp://[2001:db8::2]:2855/s;tcp\r\n\
        m=message 2855 TCP/MSRP *\r\na=accept-types:*\r\na=path:msrp://h:2855/second;tcp\r\n";
    let uri = MsrpUri::parse(b"msrp://[2001:db8::1]:2855/mine;tcp").unwrap();
    let local = LocalMedia { uri, ..local(Direction::SendOnly) };
    let (text, agreed) = answer(offer.as_bytes(), &local).unwrap();
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        "v=0\r\no=- 2890844530 2890844532 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=3034423619 3042462419\r\n\
         m=audio 0 RTP/AVP 0 8\r\nm=message 0 TCP/TLS/MSRP *\r\n\
         m=message 2855 TCP/MSRP *\r\na=accept-types:*\r\na=path:msrp://[2001:db8::1]:2855/mine;tcp\r\na=setup:passive\r\na=sendonly\r\n\
         m=message 0 TCP/MSRP *\r\n"
    );
    assert_eq!(agreed.remote_path.len(), 2);
}

#[test]
fn refusals_name_their_cause() {
    let refused = |media: &str| {
        let offer = format!("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n{media}");
        answer(offer.as_bytes(), &local(Direction::SendRecv)).unwrap_err()
    };
    let tls = "m=message 1 TCP/TLS/MSRP *\r\na=path:msrps://h:1/x;tcp\r\n";
    let gone = "m=message 0 TCP/MSRP *\r\na=path:msrp://h:1/x;tcp\r\n";
    let table = [
        ("", Refusal::NoMessages, 304),
        ("m=audio 1 RTP/AVP 0\r\n", Refusal::NoMessages, 304),
        (tls, Refusal::Transport { expected: "TCP/MSRP" }, 302),
        (gone, Refusal::Declined, 304),
        ("m=message 1 TCP/MSRP *\r\na=accept-types:*\r\n", Refusal::Path, 399),
    ];
    for (media, refusal, code) in table {
        let seen = refused(media);
        assert_eq!((seen.status(), seen.warn_code()), (488, code), "{media}");
        assert_eq!(seen, refusal);
    }
    let html = LocalMedia { accept_types: Box::from(["image/png".to_owned()]), ..local(Direction::SendRecv) };
    let refusal = answer(&offered(""), &html).unwrap_err();
    assert_eq!(refusal.warning("h"), "305 h \"Incompatible media format: no common accept-types\"");
    let broken = answer(b"v=0\r\nm=\"\\", &html).unwrap_err();
    assert_eq!(broken.status(), 400);
    assert_eq!(broken.warning("h").matches('"').count(), 2, "{}", broken.warning("h"));
}

// proves RFC 3264 section 8 and RFC 4975 section 8.4: a later exchange keeps id and path
#[test]
fn a_later_answer_keeps_path_and_session_id() {
    let first = local(Direction::SendRecv);
    let second = LocalMedia { session: (first.session.0, first.session.1 + 1), ..first.clone() };
    let read = |local: &LocalMedia| {
        let sdp = Sdp::parse(&answer(&offered("a=sendonly\r\n"), local).unwrap().0).unwrap();
        let origin = sdp.session().origin.clone();
        (sdp.msrp().unwrap().path, origin.sess_id, origin.sess_version)
    };
    let ((path, id, version), (path_again, id_again, next)) = (read(&first), read(&second));
    assert_eq!((path, id), (path_again, id_again));
    assert_eq!(next, version + 1);
}

// proves RFC 6135 section 4.2.2: an offer says actpass, and the answer decides
#[test]
fn our_offer_is_answered_by_another() {
    let ours = local(Direction::SendOnly);
    let text = offer(&ours);
    let media = Sdp::parse(&text).unwrap().msrp().unwrap();
    assert_eq!((media.setup, media.direction), (Some(Setup::ActPass), Direction::SendOnly));
    let theirs =
        LocalMedia { uri: MsrpUri::parse(b"msrp://a:1/x;tcp").unwrap(), ..local(Direction::SendRecv) };
    let (reply, agreed) = answer(&text, &theirs).unwrap();
    assert!(!agreed.connect);
    let settled = accept_answer(&ours, &reply).unwrap();
    assert!(settled.connect, "they are passive");
    assert_eq!((settled.direction, agreed.direction), (Direction::SendOnly, Direction::RecvOnly));
    assert_eq!(settled.remote_path, [theirs.uri]);
}

#[test]
fn the_answer_to_our_offer_says_who_connects() {
    for (attribute, connect) in [
        ("", true),
        ("a=setup:passive\r\n", true),
        ("a=setup:active\r\n", false),
        ("a=setup:actpass\r\n", true),
    ] {
        let settled = accept_answer(&local(Direction::SendRecv), &offered(attribute)).unwrap();
        assert_eq!(settled.connect, connect, "{attribute}");
    }
    let declined = String::from_utf8(offered("")).unwrap().replace("message 7394", "message 0");
    assert_eq!(accept_answer(&local(Direction::SendRecv), declined.as_bytes()), Err(Refusal::Declined));
}

proptest! {
    #[test]
    fn no_offer_panics(attributes in "(a=[a-z-]{0,12}:?[ -~]{0,30}\r\n){0,6}", media in "(m=[a-z]{1,8} [0-9]{1,5} [A-Z/]{1,9} [*0-9 ]{1,5}\r\n){0,4}") {
        let _ = answer(&offered(&attributes), &local(Direction::SendRecv));
        let mut offer = offered(&attributes);
        offer.extend_from_slice(media.as_bytes());
        if let Ok((reply, _)) = answer(&offer, &local(Direction::SendRecv)) {
            let (given, answered) = (Sdp::parse(&offer).unwrap(), Sdp::parse(&reply).unwrap());
            prop_assert_eq!(given.session().medias.len(), answered.session().medias.len());
            prop_assert_eq!(answered.session().medias.iter().filter(|media| media.port != 0).count(), 1);
        }
    }
}
