#![allow(clippy::unwrap_used)]
use super::*;
use crate::wire::sip::{HeaderName, Method, Request, StatusCode};
use bytes::Bytes;

fn arrow(at_ms: u64, from: &str, to: &str, carrier: Carrier, label: &str) -> Arrow {
    Arrow {
        at_us: 1_000_000 + at_ms * 1000,
        session: "a@b".into(),
        from: from.into(),
        to: to.into(),
        carrier,
        label: label.into(),
    }
}

fn short() -> Ladder {
    let arrows = vec![
        arrow(0, "alice", "store", Carrier::Sip, "MESSAGE sip:bob@example.com"),
        arrow(12, "store", "alice", Carrier::Sip, "202 Accepted (MESSAGE)"),
        arrow(1500, "focus", "store", Carrier::Inside, "Deliver"),
        arrow(1501, "store", "bob", Carrier::Msrp, "SEND"),
        arrow(1502, "bob", "bob", Carrier::Msrp, "reads"),
    ];
    Ladder::new(arrows, &["alice", "store", "nobody"])
}

#[test]
fn the_text_is_this_to_the_letter() {
    let expected = [
        "           alice                          store       focus        bob",
        "0.000        │─MESSAGE sip:bob@example.com─▶│           │           │",
        "0.012        │◀───202 Accepted (MESSAGE)────│           │           │",
        "1.500        │                              │◀┄Deliver┄┄│           │",
        "1.501        │                              │═════════SEND═════════▶│",
        "1.502        │                              │           │           │ reads",
        "",
    ];
    let expected = expected.join("\n");
    assert_eq!(short().text(), expected);
}

#[test]
fn columns_stand_as_asked_then_as_they_appear() {
    let ladder = short();
    assert_eq!(ladder.columns(), ["alice", "store", "focus", "bob"]);
    assert_eq!((ladder.len(), ladder.is_empty()), (5, false));
}

#[test]
fn arrows_are_put_in_order_of_time() {
    let ladder = Ladder::new(
        vec![arrow(2, "a", "b", Carrier::Sip, "second"), arrow(1, "b", "a", Carrier::Sip, "first")],
        &[],
    );
    let text = ladder.text();
    assert!(text.find("first").unwrap() < text.find("second").unwrap(), "{text}");
}

#[test]
fn no_label_is_wider_than_its_way_and_none_leaves_its_line() {
    let long = "x".repeat(500);
    let ladder = Ladder::new(vec![arrow(0, "a", "b", Carrier::Sip, &long)], &[]);
    let text = ladder.text();
    assert_eq!(text.lines().count(), 2);
    assert!(text.lines().all(|line| line.chars().count() < 90), "{text}");
    assert!(text.contains('…'));
}

#[test]
fn what_comes_from_outside_commands_neither_terminal_nor_markup() {
    let evil = "\x1b[2J</text><script>&\n";
    let ladder = Ladder::new(vec![arrow(0, "a<b", "c", Carrier::Sip, evil)], &[]);
    let text = ladder.text();
    assert!(!text.contains('\x1b') && text.lines().count() == 2, "{text:?}");
    let svg = ladder.svg();
    assert!(!svg.contains("<script>") && !svg.contains('\x1b'), "{svg}");
    assert!(svg.contains("&lt;script&gt;&amp;") && svg.contains(">a&lt;b<"), "{svg}");
}

#[test]
fn the_svg_is_well_formed_and_has_a_line_for_each_arrow() {
    let svg = short().svg();
    let mut reader = quick_xml::Reader::from_str(&svg);
    let (mut lines, mut titles) = (0, Vec::new());
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Empty(tag) if tag.name().as_ref() == "line" => lines += 1,
            quick_xml::events::Event::Start(tag) if tag.name().as_ref() == "title" => {
                titles.push(String::from(&*reader.read_text(tag.name()).unwrap()));
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(lines, 4 + 4, "four lifelines, four arrows; the note has none");
    assert_eq!(titles, ["MESSAGE sip:bob@example.com", "202 Accepted (MESSAGE)", "Deliver", "SEND"]);
}

#[test]
fn an_empty_ladder_is_an_empty_picture() {
    let ladder = Ladder::new(Vec::new(), &["a"]);
    assert!(ladder.is_empty() && ladder.columns().is_empty());
    assert_eq!(ladder.text(), "\n");
    assert!(ladder.svg().starts_with("<svg "));
}

#[test]
fn captions_of_what_came_and_of_what_goes_are_the_same() {
    let mut request = Request::new(Method::Subscribe, "sip:bob@example.com");
    request.headers.push(HeaderName::CallId, "x@y");
    request.headers.push(HeaderName::CSeq, "7 SUBSCRIBE");
    request.headers.push(HeaderName::Event, "message-summary;id=3");
    let came = caption_of_request(&request);
    assert_eq!(
        came.label(|uri| String::from_utf8_lossy(uri).into()),
        "SUBSCRIBE sip:bob@example.com (message-summary)"
    );
    assert_eq!(scan_sip(&request.encode()).unwrap(), came);
    let response = request.respond(StatusCode::OK);
    let came = caption_of_response(&response);
    assert_eq!(came.label(|_| unreachable!()), "200 OK (SUBSCRIBE)");
    assert_eq!(scan_sip(&response.encode()).unwrap(), came);
    assert_eq!(came.call_id, Bytes::from_static(b"x@y"));
}

#[test]
fn a_frame_is_told_without_its_body() {
    let send = b"MSRP a1 SEND\r\nTo-Path: x\r\nByte-Range: 1-3/3\r\nContent-Type: text/plain\r\n\r\nStatus: no\r\n-------a1$\r\n";
    assert_eq!(label_of_msrp(send).unwrap(), "SEND 1-3/3 text/plain");
    assert_eq!(label_of_msrp(b"MSRP a1 200 OK\r\nTo-Path: x\r\n-------a1$\r\n").unwrap(), "200 OK");
    let report = b"MSRP a2 REPORT\r\nStatus: 000 200 OK\r\n-------a2$\r\n";
    assert_eq!(label_of_msrp(report).unwrap(), "REPORT 000 200 OK");
    assert_eq!(label_of_msrp(b"more of the body"), None);
}

#[test]
fn what_is_no_message_has_no_caption_and_long_ones_are_cut() {
    assert_eq!(scan_sip(b""), None);
    assert_eq!(scan_sip(b"INVITE sip:a SIP/2.0\r\n\r\n"), None);
    assert_eq!(scan_sip(b"INVITE\r\nCall-ID: x\r\n\r\n"), None);
    assert_eq!(scan_sip(b"INVITE sip:a SIP/2.0\r\nContent-Length: 20\r\n\r\nCall-ID: in the body"), None);
    let long = format!("INVITE sip:{} SIP/2.0\r\nCall-ID: {}\r\n\r\n", "u".repeat(900), "c".repeat(900));
    let caption = scan_sip(long.as_bytes()).unwrap();
    assert_eq!((caption.uri.len(), caption.call_id.len()), (200, 200));
}
