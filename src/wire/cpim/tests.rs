#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use proptest::prelude::*;

use super::*;

const SANDERS: &str = "From: MR SANDERS <im:piglet@100akerwood.com>\r\n\
    To: Depressed Donkey <im:eeyore@100akerwood.com>\r\n\
    DateTime: 2000-12-13T13:40:00-08:00\r\n\
    Subject: the weather will be fine today\r\n\
    Subject:;lang=fr beau temps prevu pour aujourd'hui\r\n\
    NS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\n\
    Require: MyFeatures.VitalMessageOption\r\n\
    MyFeatures.VitalMessageOption: Confirmation-requested\r\n\
    MyFeatures.WackyMessageOption: Use-silly-font\r\n\
    \r\n\
    Content-type: text/xml; charset=utf-8\r\n\
    Content-ID: <1234567890@foo.com>\r\n\
    \r\n\
    <body>\r\nHere is the text of my message.\r\n</body>";

fn party(display: Option<&str>, uri: &str) -> Party {
    Party { display: display.map(Into::into), uri: uri.to_owned() }
}

// proves RFC 3862 section 5.1
#[test]
fn the_example_is_read() {
    let message = Bytes::from_static(SANDERS.as_bytes());
    let cpim = Cpim::parse(&message).unwrap();
    assert_eq!(cpim.from(), Some(party(Some("MR SANDERS"), "im:piglet@100akerwood.com")));
    assert_eq!(cpim.to(), Some(party(Some("Depressed Donkey"), "im:eeyore@100akerwood.com")));
    assert_eq!(cpim.date_time(), Some("2000-12-13T13:40:00-08:00"));
    assert_eq!(cpim.subject().as_deref(), Some("the weather will be fine today"));
    assert_eq!(cpim.headers.len(), 9);
    let french = cpim.headers.get(4).unwrap();
    assert_eq!(
        (french.parameters.as_deref(), french.text().as_str()),
        (Some("lang=fr"), "beau temps prevu pour aujourd'hui")
    );
    assert_eq!(cpim.content_type().unwrap(), "text/xml; charset=utf-8");
    assert_eq!(parse(&message).as_ref(), Ok(&cpim));
    assert!(cpim.content.starts_with(b"<body>\r\n") && cpim.content.ends_with(b"</body>"));
    assert!(message.as_ptr_range().contains(&cpim.content.as_ptr()), "the content is a slice");
    // proves RFC 3862 section 2.2: header names match exactly
    assert!(cpim.header("from").is_none());
}

#[test]
fn the_prefix_has_a_fixed_layout() {
    let wrapper = Wrapper {
        from: party(Some("Alice"), "sip:alice@example.org"),
        to: party(None, "sip:charlie@example.com"),
        date_time: Some("2000-07-09T21:23:01-07:00".to_owned()),
        subject: Some("carpool tomorrow?".to_owned()),
        content: vec![
            ("Content-Type".into(), "text/plain;charset=utf-8".into()),
            ("Content-Length".into(), "3".into()),
        ],
    };
    assert_eq!(
        wrapper.prefix(),
        "From: Alice <sip:alice@example.org>\r\nTo: <sip:charlie@example.com>\r\n\
         DateTime: 2000-07-09T21:23:01-07:00\r\nSubject: carpool tomorrow?\r\n\r\n\
         Content-Type: text/plain;charset=utf-8\r\n\r\n"
    );
    let bare = Wrapper { date_time: None, subject: Some(" ".to_owned()), content: Fields::new(), ..wrapper };
    assert!(bare.prefix().ends_with(b"<sip:charlie@example.com>\r\n\r\nContent-Type: text/plain\r\n\r\n"));
}

// proves RFC 3862 section 2.3
#[test]
fn escapes_are_written_and_read() {
    let text = "a\\b\t\r\n\u{8}\u{0}\u{1f}\u{7f}\"'é";
    let mut out = String::new();
    escape_into(&mut out, text, false);
    assert_eq!(out, "a\\\\b\\t\\r\\n\\b\\u0000\\u001f\\u007f\"'é");
    assert_eq!(unescape(&out), text);
    assert_eq!(unescape(r"\u00e9\'\q\u12\uD800\"), "é'qu12uD800");
    let quoted = party(Some("a \"b\" \\c"), "sip:x@y");
    let mut out = String::new();
    quoted.write(&mut out);
    assert_eq!(out, r#""a \"b\" \\c" <sip:x@y>"#);
    assert_eq!(Party::parse(&out), Some(quoted));
}

#[test]
fn addresses_of_sip_lose_their_parameters() {
    let sip = |text: &str| Party::from_sip(text.as_bytes()).unwrap();
    assert_eq!(
        sip("\"Mr \\\"<\\n\" <sip:a@b;transport=tcp>;tag=1"),
        party(Some("Mr \"<n"), "sip:a@b;transport=tcp")
    );
    assert_eq!(sip("Alice <sip:a@b>"), party(Some("Alice"), "sip:a@b"));
    assert_eq!(sip("sip:a@b;tag=88sja8x"), party(None, "sip:a@b"));
    assert_eq!(Party::from_sip(b""), None);
    assert_eq!(Party::from_sip(b"Alice <>"), None);
    assert_eq!(Party::parse("<sip:a@b"), None);
}

#[test]
fn an_address_cannot_end_its_line() {
    let mut out = String::new();
    party(Some("x\r\nTo: <y>"), "sip:a>\r\n@b").write(&mut out);
    assert_eq!(out, "\"x\\r\\nTo: <y>\" <sip:a%3E%0D%0A@b>");
}

#[test]
fn what_is_no_cpim_is_refused() {
    let read = |text: &'static str| Cpim::parse(&Bytes::from_static(text.as_bytes()));
    assert_eq!(read("From: <a:b>\r\n"), Err(CpimError::Unterminated));
    assert_eq!(read("hello\r\n\r\n"), Err(CpimError::Header));
    assert_eq!(read("\r\nno header\r\n\r\n"), Err(CpimError::Mime(MimeError::Header)));
    assert_eq!(Cpim::parse(&Bytes::from_static(b"A: \xff\r\n\r\n")), Err(CpimError::Header));
    assert_eq!(Cpim::parse(&Bytes::from("A: b\r\n".repeat(65) + "\r\n")), Err(CpimError::TooMany));
    let long = format!("A: {}\r\n\r\n", "b".repeat(LONGEST_HEADER));
    assert_eq!(Cpim::parse(&Bytes::from(long)), Err(CpimError::Unterminated));
    let careless = read("From:<sip:a@b>\nTo: sip:c@d\n\n\nhi").unwrap();
    assert_eq!(careless.from().unwrap().uri, "sip:a@b");
    assert_eq!(careless.to().unwrap().uri, "sip:c@d");
    assert_eq!((careless.content_headers.len(), careless.content), (0, Bytes::from("hi")));
}

proptest! {
    #[test]
    fn wrapped_contents_come_back(
        display in proptest::option::of("\\PC{1,20}"),
        subject in "[^ ]{1,20}",
        content in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let display = display.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let from = Party { display, uri: "sip:a%40b@c".to_owned() };
        let wrapper = Wrapper {
            from: from.clone(),
            to: party(None, "sip:d@e"),
            date_time: None,
            subject: Some(subject.clone()),
            content: vec![("Content-Type".into(), "a/b".into())],
        };
        let wrapped = [&wrapper.prefix()[..], &content].concat();
        let cpim = Cpim::parse(&Bytes::from(wrapped)).unwrap();
        prop_assert_eq!(cpim.from(), Some(from));
        prop_assert_eq!(cpim.subject().unwrap_or_default(), subject.trim());
        prop_assert_eq!(&cpim.content[..], &content[..]);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in "[\\\\u0-9a-f\"<> :;\r\n]{0,60}") {
        let _ = Cpim::parse(&Bytes::from(bytes.clone()));
        let _ = Cpim::parse(&Bytes::from(text.clone()));
        let _ = (Party::from_sip(&bytes), Party::parse(&text), unescape(&text));
    }
}

// found by fuzzing: with a Content-Type (RFC 3862 2.4: MUST) these were more headers than are read
#[test]
fn what_is_read_can_be_wrapped_and_read_again() {
    let message = |fields: &str| Bytes::from(format!("From: <sip:a@b>\nTo: <sip:c@d>\n\n{fields}\nhi"));
    let long = |line: &str, lines: usize| line.repeat(lines);
    for (fields, is_read) in [
        (long("m:\n", 64), false),
        (long("m:\n", 63), true),
        (long("m:\n", 63) + "content-type:a/b\n", true),
        (format!("m:{}\n", "x".repeat((16 << 10) - 3)), false),
        (format!("m:{}\n", "x".repeat((16 << 10) - 40)), true),
    ] {
        let read = Cpim::parse(&message(&fields));
        assert_eq!(read.is_ok(), is_read, "{} bytes", fields.len());
        let Ok(cpim) = read else { continue };
        let (from, to) = (cpim.from().unwrap(), cpim.to().unwrap());
        let wrapper = Wrapper { from, to, date_time: None, subject: None, content: cpim.content_headers };
        let wrapped = Bytes::from([&wrapper.prefix()[..], &cpim.content].concat());
        assert_eq!(Cpim::parse(&wrapped).unwrap().content, "hi", "{} bytes", fields.len());
    }
}

#[test]
fn a_party_of_blanks_is_none() {
    assert_eq!(Party::parse("Donkey <  >"), None);
    assert_eq!(Party::parse("<\r>"), None);
    assert_eq!(Party::from_sip(b"\"Donkey\" < >;tag=1"), None);
}
