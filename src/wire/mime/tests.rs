#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use proptest::prelude::*;

use super::*;
use crate::wire::resource_lists;

const INVITE: &[u8] = b"--boundary1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=alice 2890844526 2890842807 IN IP4 atlanta.example.com\r\n\
    s=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\n\r\n--boundary1\r\n\
    Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n\
    <?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">\r\n\
    <list><entry uri=\"sip:bill@example.com\"/></list></resource-lists>\r\n--boundary1--";

fn message(content_type: &'static str, body: &'static [u8]) -> Part {
    Part::new(content_type, body)
}

// proves RFC 5366 section 6: the body of figure 3
#[test]
fn sdp_and_uri_list_are_told_apart() {
    let leaves = message("multipart/mixed;boundary=\"boundary1\"", INVITE).leaves().unwrap();
    assert_eq!(leaves.len(), 2);
    let sdp = body_of(&leaves, "application/sdp").unwrap();
    assert!(sdp.starts_with(b"v=0") && sdp.ends_with(b"RTP/AVP 0\r\n"));
    let list = body_of(&leaves, resource_lists::MEDIA_TYPE).unwrap();
    assert_eq!(resource_lists::uris(&list, Default::default()).unwrap(), ["sip:bill@example.com"]);
    assert_eq!(matching(&leaves, resource_lists::MEDIA_TYPE, Some("recipient-list")).count(), 1);
    assert_eq!(matching(&leaves, resource_lists::MEDIA_TYPE, None).count(), 0);
    assert_eq!(not_understood(&leaves, &["application/sdp", resource_lists::MEDIA_TYPE]), None);
    assert_eq!(not_understood(&leaves, &["application/sdp"]), leaves.get(1));
}

#[test]
fn parts_are_slices_of_the_body() {
    let body = Bytes::from_static(INVITE);
    let found = parts(&body, b"boundary1").unwrap();
    let range = body.as_ptr_range();
    assert!(found.iter().all(|part| range.contains(&part.body.as_ptr())));
}

// proves RFC 2046 section 5.1.1: preamble, epilogue, padding, CRLF of the delimiter, implicit type
#[test]
fn the_simple_example_of_rfc_2046_is_read() {
    let body = Bytes::from_static(
        b"This is the preamble.\r\n--simple boundary not this\r\n\r\n--simple boundary \t\r\n\r\n\
        implicitly typed\r\nNOT end with a linebreak.\r\n--simple boundary\r\nContent-type: text/plain; charset=us-ascii\r\n\r\n\
        explicitly typed,\r\nends with a linebreak.\r\n\r\n--simple boundary--  \r\n\r\nThe epilogue.\r\n--simple boundary\r\n",
    );
    let found = parts(&body, &boundary(b"multipart/mixed; boundary=\"simple boundary\"").unwrap()).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].body, "implicitly typed\r\nNOT end with a linebreak.");
    assert_eq!(found[0].media_type(), "text/plain");
    assert_eq!(found[1].body, "explicitly typed,\r\nends with a linebreak.\r\n");
    assert_eq!(parameter(found[1].header("CONTENT-TYPE").unwrap(), "Charset").unwrap(), b"us-ascii");
}

#[test]
fn parts_may_lack_header_body_or_both() {
    let body = Bytes::from_static(b"--b\r\n--b\r\n\r\n--b\r\nContent-Type: a/b\r\n--b\n\nbare\n--b--");
    let found = parts(&body, b"b").unwrap();
    let seen: Vec<_> = found.iter().map(|part| (part.headers.len(), &part.body[..])).collect();
    assert_eq!(seen, [(0, &b""[..]), (0, b""), (1, b""), (0, b"bare")]);
}

#[test]
fn header_fields_are_unfolded() {
    let block = Bytes::from_static(b"Content-Type: multipart/mixed;\r\n\tboundary=x\r\nX : y\r\n\r\nrest");
    let (fields, rest) = fields(&block).unwrap();
    assert_eq!(fields[0].1, "multipart/mixed; boundary=x");
    assert_eq!(fields[1], (Bytes::from("X"), Bytes::from("y")));
    assert_eq!(rest, "rest");
}

#[test]
fn parameters_are_quote_aware() {
    let field = br#"multipart/mixed; a="x;boundary=no\"; " ; BOUNDARY = "q \"uo\\ted";c=d"#;
    assert_eq!(parameter(field, "boundary").unwrap(), br#"q "uo\ted"#);
    assert_eq!(parameter(field, "c").unwrap(), b"d");
    assert_eq!(parameter(field, "e"), None);
    let commented = br#"x/y;a=b (c);d = "e (f)" (g)"#;
    assert_eq!(
        (parameter(commented, "a").unwrap(), parameter(commented, "d").unwrap()),
        (b"b".to_vec(), b"e (f)".to_vec())
    );
    assert_eq!(value(field), "multipart/mixed");
    // proves RFC 2045 5.1: comments are allowed
    for (field, bare) in [
        ("Application/SDP (session)", "application/sdp"),
        ("8bit (plain; (as it is) \\) still)", "8bit"),
        ("(first) session (x);handling=required", "session"),
        ("text/plain)", "text/plain)"),
        ("session (open; x", "session"),
    ] {
        assert_eq!(value(field.as_bytes()), bare, "{field}");
    }
    assert_eq!(parameter(b"a=b", "a"), None, "the value itself is no parameter");
}

/// A multipart of this type and handling among others.
fn inner(subtype: &str, handling: &str, parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("--i\r\n{part}\r\n")).collect();
    format!("Content-Type: multipart/{subtype};boundary=i\r\n{handling}\r\n{parts}--i--")
}

// proves RFC 5621 8.1, 8.2 and 8.3
#[test]
fn a_multipart_has_its_say_whether_its_parts_are_required() {
    const OPTIONAL: &str = "Content-Disposition: render;handling=optional\r\n";
    let (unknown, optional) =
        ("Content-Type: x/y\r\n\r\n?", &*format!("Content-Type: x/y\r\n{OPTIONAL}\r\n?"));
    let understood = |part: &str| {
        let body = format!("--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\n{part}\r\n--b--");
        let leaves = Part::new("multipart/mixed;boundary=b", body).leaves()?;
        Ok::<_, MimeError>(not_understood(&leaves, &["application/sdp"]).is_none())
    };
    for subtype in ["mixed", "related", "alternative"] {
        assert_eq!(understood(&inner(subtype, "", &[unknown, unknown])), Ok(false), "{subtype}");
        assert_eq!(understood(&inner(subtype, OPTIONAL, &[unknown, unknown])), Ok(true), "{subtype}");
        let twice = inner(
            "mixed",
            OPTIONAL,
            &[&inner(subtype, "", &[unknown]).replace("--i", "--j").replace("=i", "=j")],
        );
        assert_eq!(understood(&twice), Ok(true), "{subtype}");
    }
    assert_eq!(understood(&inner("mixed", "", &[optional])), Ok(true));
    assert_eq!(
        understood(&inner("alternative", "", &[optional, optional])),
        Ok(false),
        "one of them is meant"
    );
    let coded = &*format!("Content-Type: x/y\r\nContent-Transfer-Encoding: x-own\r\n{OPTIONAL}\r\n?");
    let sdp = "Content-Type: application/sdp\r\n\r\nv=0";
    assert_eq!(understood(&inner("alternative", "", &[coded, sdp])), Ok(true), "the other one is");
    assert!(understood(&inner("alternative", "", &[coded, coded])).is_err());
    for broken in ["Content-Type: multipart/mixed\r\n", "Content-Type: multipart/mixed;boundary=i\r\n"] {
        assert!(understood(&format!("{broken}\r\n--i\r\n\r\n?")).is_err());
        assert_eq!(understood(&format!("{broken}{OPTIONAL}\r\n--i\r\n\r\n?")), Ok(true));
    }
}

#[test]
fn broken_multiparts_are_refused() {
    let of = |body: &'static [u8]| parts(&Bytes::from_static(body), b"b");
    assert_eq!(of(b""), Err(MimeError::NoPart));
    assert_eq!(of(b"x--b\r\n--bb\r\n"), Err(MimeError::NoPart));
    // What closes the multipart opens no part.
    assert_eq!(of(b"--b--\r\n\r\nx\r\n--b--\r\n"), Err(MimeError::NoPart));
    assert_eq!(of(b"--b\r\n\r\nx\r\n--b-\r\n"), Err(MimeError::NotClosed));
    assert_eq!(of(b"--b\r\nno colon\r\n\r\nx\r\n--b--"), Err(MimeError::Header));
    assert_eq!(of(b"--b\r\n folded: first\r\n\r\nx\r\n--b--"), Err(MimeError::Header));
    assert_eq!(parts(&Bytes::new(), b""), Err(MimeError::NoBoundary));
    assert_eq!(message("multipart/mixed", b"--b--").leaves(), Err(MimeError::NoBoundary));
    let encoded = message(
        "multipart/mixed;boundary=b",
        b"--b\r\nContent-Transfer-Encoding: X-Own\r\n\r\nAA==\r\n--b--",
    );
    assert_eq!(encoded.leaves(), Err(MimeError::TransferEncoding("x-own".to_owned())));
}

// proves RFC 5621 section 3.2
#[test]
fn transfer_encodings_are_undone() {
    let encoded = message(
        "multipart/mixed;boundary=b",
        b"--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: Base64\r\n\r\ndj0w\r\n\
          --b\r\nContent-Disposition: icon;handling=optional\r\nContent-Transfer-Encoding: X-Own\r\n\r\n?\r\n--b--",
    );
    let leaves = encoded.leaves().unwrap();
    assert_eq!((leaves.len(), &leaves[0].body[..]), (1, &b"v=0"[..]), "what is optional may be left out");
    assert_eq!(leaves[0].header("Content-Transfer-Encoding"), None, "undone once");
    assert_eq!(body_of(&[encoded], "application/sdp").unwrap(), "v=0");
}

#[test]
fn the_number_of_parts_and_their_depth_are_bounded() {
    let many = Bytes::from("--b\r\n\r\n\r\n".repeat(MOST_PARTS + 1) + "--b--");
    assert_eq!(parts(&many, b"b"), Err(MimeError::TooMany));
    let nest = |depth: usize| {
        (0..depth).fold(Part::new("text/plain", "deep"), |inner, level| {
            let boundary = format!("b{level}");
            let content_type = format!("multipart/mixed;boundary={boundary}");
            Part::new(content_type, encode(&[inner], &boundary))
        })
    };
    assert_eq!(nest(DEEPEST).leaves().unwrap()[0].body, "deep");
    assert_eq!(nest(DEEPEST + 1).leaves(), Err(MimeError::TooDeep));
    let full = vec![Part::new("text/plain", "x"); 40];
    let half = Part::new("multipart/mixed;boundary=i", encode(&full, "i"));
    let outer = Part::new("multipart/mixed;boundary=o", encode(&[half.clone(), half], "o"));
    assert_eq!(outer.leaves(), Err(MimeError::TooMany));
}

// proves RFC 2046 section 5.1.4: the best alternative comes last, and one that is understood is enough
#[test]
fn of_alternatives_one_is_enough() {
    let either = encode(&[Part::new("text/plain", "plain"), Part::new("application/sdp", "v=0")], "a");
    let mixed = encode(
        &[
            Part::new("multipart/alternative;boundary=a", either),
            Part::new("x/y", "z").with("Content-Disposition", "icon;handling=optional"),
        ],
        "m",
    );
    let leaves = Part::new("Multipart/Mixed; boundary=m", mixed).leaves().unwrap();
    let types: Vec<_> = leaves.iter().map(Part::media_type).collect();
    assert_eq!(types, ["application/sdp", "text/plain", "x/y"]);
    assert_eq!(not_understood(&leaves, &["application/sdp"]), None);
    assert_eq!(not_understood(&leaves, &["application/other"]), leaves.first());
}

// proves RFC 5621 section 8.4: 415 for a required part whose disposition is not understood, whatever its type
#[test]
fn a_disposition_has_to_be_understood_where_its_part_is_required() {
    let part = |kind: &'static str, disposition: &'static str| {
        Part::new(kind, "x").with("Content-Disposition", disposition)
    };
    let known = ["application/sdp", resource_lists::MEDIA_TYPE];
    for understood in ["session", "Render", "session;handling=required", "foo;handling=optional"] {
        assert_eq!(not_understood(&[part("application/sdp", understood)], &known), None, "{understood}");
    }
    assert_eq!(not_understood(&[part(resource_lists::MEDIA_TYPE, "Recipient-List")], &known), None);
    for (kind, disposition) in [
        ("application/sdp", "early-session;handling=required"),
        ("application/sdp", "recipient-list"),
        (resource_lists::MEDIA_TYPE, "foo"),
        (resource_lists::MEDIA_TYPE, "recipient-list-history"),
    ] {
        let parts = [Part::new("application/sdp", "v=0"), part(kind, disposition)];
        assert_eq!(not_understood(&parts, &known), parts.last(), "{kind} {disposition}");
    }
}

#[test]
fn a_plain_body_is_its_own_leaf() {
    let plain = message("application/SDP ; charset=x", b"v=0");
    let leaves = plain.leaves().unwrap();
    assert_eq!(leaves, [plain]);
    assert_eq!(body_of(&leaves, "application/sdp").unwrap(), "v=0");
}

// proves RFC 5366 section 5 and RFC 5363 section 4.1: only a recipient-list is one
#[test]
fn a_body_is_found_within_multiparts_and_by_its_disposition() {
    let list = |text: &'static str| Part::new(resource_lists::MEDIA_TYPE, text);
    let history = list("history").with("Content-Disposition", "recipient-list-history; handling=optional");
    let wanted = list("wanted").with("content-disposition", "Recipient-List");
    let inner = encode(&[history.clone(), list("plain"), wanted], "i");
    let outer =
        [Part::new("multipart/related;boundary=i", inner), Part::new("multipart/mixed;boundary=x", "broken")];
    assert_eq!(body_of(&outer, resource_lists::MEDIA_TYPE).unwrap(), "wanted");
    assert_eq!(body_of(&[history.clone(), list("plain")], resource_lists::MEDIA_TYPE).unwrap(), "plain");
    assert_eq!(body_of(&[history], resource_lists::MEDIA_TYPE), None);
    let early = Part::new("application/sdp", "v=0").with("Content-Disposition", "early-session");
    assert_eq!(body_of(&[early], "application/sdp"), None);
}

proptest! {
    #[test]
    fn encoded_parts_come_back(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..8)) {
        let given: Vec<_> = bodies.into_iter().map(|body| Part::new("a/b", body).with("X-Y", "z")).collect();
        let body = encode(&given, "unlikely-9f3b");
        prop_assert_eq!(parts(&body, b"unlikely-9f3b").unwrap(), given);
    }

    #[test]
    fn no_bytes_panic(body in "[-b\r\n: \tx]{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = parts(&Bytes::from(body.clone()), b"b");
        let _ = Part::new("multipart/mixed;boundary=b", body).leaves();
        let _ = fields(&Bytes::from(bytes.clone()));
        let _ = (parameter(&bytes, "a"), value(&bytes), boundary(&bytes));
    }
}
