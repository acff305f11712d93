//! Messages that arrive: order, wrapping, and what they are told to be.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::test_support::{chunk, events, incoming_ids};
use super::*;
use crate::machine::msrp::{DropCause, Event, IncomingId};

/// What the user hears of `wire`: heads, and contents put together.
fn heard(wire: &str) -> Vec<(MessageHead, String)> {
    let mut reception = Reception::new();
    for event in events(wire.as_bytes()) {
        let _ = reception.handle_event(event);
    }
    let mut messages = Vec::new();
    let mut open: Vec<(crate::machine::msrp::IncomingId, MessageHead, String)> = Vec::new();
    while let Some(event) = reception.poll_event() {
        match event {
            ReceptionEvent::Begun { id, head } => open.push((id, *head, String::new())),
            ReceptionEvent::Data { id, bytes } => {
                let (_, _, content) = open.iter_mut().find(|(known, ..)| *known == id).unwrap();
                content.push_str(std::str::from_utf8(&bytes).unwrap());
            }
            ReceptionEvent::Complete { id } => {
                let at = open.iter().position(|(known, ..)| *known == id).unwrap();
                let (_, head, content) = open.remove(at);
                messages.push((head, content));
            }
            other => panic!("{other:?}"),
        }
    }
    messages
}

const CPIM: &str = "From: Joe <sip:Joe@example.com>\r\nTo: <sip:charlie@example.com>\r\nDateTime: 2000-07-09T21:25:12-07:00\r\n\
    Subject: HELP!\r\n\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Disposition: render\r\n\r\nSlides are on my desk.";
const HEADERS: &str = "Deferred-Message-ID: d09@Joemobile\r\nContent-Type: Message/CPIM";

// proves RFC 3862 2: what is wrapped is the content that was sent
#[test]
fn a_wrapped_message_is_unwrapped() {
    let wire = chunk(1, "m1id", HEADERS, (1, CPIM.len()), CPIM);
    let [(head, content)] = <[_; 1]>::try_from(heard(&wire)).unwrap();
    assert_eq!(content, "Slides are on my desk.");
    assert_eq!(head.item.as_deref(), Some("d09@Joemobile"));
    assert_eq!((head.message_id.as_str(), head.content_type.as_str()), ("m1id", "text/plain;charset=UTF-8"));
    assert_eq!(head.from.as_deref(), Some("Joe <sip:Joe@example.com>"));
    assert_eq!(head.to.as_deref(), Some("<sip:charlie@example.com>"));
    assert_eq!(
        (head.subject.as_deref(), head.date.as_deref()),
        (Some("HELP!"), Some("2000-07-09T21:25:12-07:00"))
    );
    assert_eq!((head.size, head.disposition.as_deref()), (Some(22), Some("render")));
}

#[test]
fn a_bare_message_and_an_empty_one_are_what_they_are() {
    let bare = chunk(1, "m1id", "Content-Type: text/html", (1, 5), "hello");
    let [(head, content)] = <[_; 1]>::try_from(heard(&bare)).unwrap();
    assert_eq!((content.as_str(), head.content_type.as_str(), head.size), ("hello", "text/html", Some(5)));
    assert_eq!((head.item, head.from), (None, None));
    let empty = chunk(2, "m2id", "Content-Type: text/plain", (1, 0), "");
    let [(head, content)] = <[_; 1]>::try_from(heard(&empty)).unwrap();
    assert_eq!((content.as_str(), head.size), ("", Some(0)));
}

#[test]
fn what_is_called_cpim_and_is_not_comes_as_it_is() {
    for broken in ["no header here\r\n\r\n\r\nx", "From: <sip:a@b>", ""] {
        let wire = chunk(1, "m1id", HEADERS, (1, broken.len()), broken);
        let [(head, content)] = <[_; 1]>::try_from(heard(&wire)).unwrap();
        assert_eq!((content.as_str(), head.content_type.as_str()), (broken, "Message/CPIM"));
    }
}

/// A message that is wrapped with this encoding told.
fn encoded(encoding: &str, content: &str) -> String {
    format!(
        "From: <sip:a@b>\r\n\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{content}"
    )
}

// proves RFC 2045 6: what is wrapped may be encoded, and is decoded for the user
#[test]
fn what_is_wrapped_in_a_transfer_encoding_is_decoded() {
    for (encoding, content, decoded) in [
        ("base64", "aGVs\r\nbG8=", "hello"),
        ("Quoted-Printable", "h=65llo=\r\n", "hello"),
        ("base64", "", ""),
        ("8bit", "hello", "hello"),
    ] {
        let cpim = encoded(encoding, content);
        for cut in 1..cpim.len() {
            let (begin, rest) = cpim.split_at(cut);
            let wire = [
                chunk(1, "m1id", HEADERS, (1, cpim.len()), begin),
                chunk(2, "m1id", HEADERS, (cut + 1, cpim.len()), rest),
            ];
            let [(head, content)] = <[_; 1]>::try_from(heard(&wire.concat())).unwrap();
            assert_eq!((content.as_str(), head.size), (decoded, Some(decoded.len() as u64)), "{encoding}");
            assert_eq!((head.content_type.as_str(), head.transfer_encoding), ("image/png", None));
        }
    }
}

#[test]
fn what_cannot_be_decoded_comes_as_it_is_and_says_so() {
    let long = "aGVsbG8h".repeat(1 << 18);
    for (encoding, content) in
        [("base64", "v=0"), ("X-Own", "aGVs"), ("quoted-printable", "=XY"), ("base64", &long)]
    {
        let cpim = encoded(encoding, content);
        let wire = chunk(1, "m1id", HEADERS, (1, cpim.len()), &cpim);
        let [(head, told)] = <[_; 1]>::try_from(heard(&wire)).unwrap();
        assert!(told == content, "{encoding}");
        assert_eq!(head.transfer_encoding, Some(encoding.to_ascii_lowercase()));
        assert_eq!(head.size, Some(content.len() as u64));
    }
}

// proves RFC 4975 7.3.1: the chunk with "$" defines the total length
#[test]
fn what_is_behind_the_end_is_not_decoded() {
    let cpim = encoded("base64", "aGVsbG8=");
    let long = chunk(1, "m1id", HEADERS, (1, cpim.len() + 9), &format!("{cpim}aGVsbG8="));
    let last = chunk(2, "m1id", HEADERS, (cpim.len(), cpim.len()), "=");
    let [(_, content)] = <[_; 1]>::try_from(heard(&format!("{long}{last}"))).unwrap();
    assert_eq!(content, "hello");
}

#[test]
fn headers_without_an_end_are_not_waited_for() {
    let long = format!("From: <sip:a@b>\r\nX: {}", "y".repeat(70 * 1024));
    let wire = chunk(1, "m1id", HEADERS, (1, long.len() + 1), &long);
    let mut reception = Reception::new();
    for event in events(wire.as_bytes()) {
        let _ = reception.handle_event(event);
    }
    assert!(matches!(reception.poll_event(), Some(ReceptionEvent::Begun { .. })), "before it is whole");
}

/// A text begins, of which nothing is known.
fn started(id: IncomingId) -> Event {
    Event::Started {
        id,
        message_id: "m1".into(),
        content_type: Some("text/plain".into()),
        headers: vec![],
        total: None,
        answered: true,
    }
}

#[test]
fn what_comes_too_far_ahead_is_not_wanted() {
    let [id, ..] = incoming_ids();
    let mut reception = Reception::new();
    let _ = reception.handle_event(started(id));
    for number in 1..=17_u64 {
        let bytes = bytes::Bytes::from(vec![0; 64 * 1024]);
        let _ = reception.handle_event(Event::Data { id, offset: number << 16, bytes });
    }
    assert_eq!(reception.poll_event(), Some(ReceptionEvent::Unwanted { id }));
    let _ = reception.handle_event(Event::Dropped { id, cause: DropCause::Closed });
    assert_eq!(reception.poll_event(), None, "it was told of before");
}

// proves RFC 4975 7.3.1: the chunk with "$" defines the total length
#[test]
fn what_is_behind_the_end_is_not_part_of_a_message() {
    let shrinks = |headers: &str| {
        let long = chunk(1, "m1id", headers, (1, 10), "0123456789").replace("tid00001$", "tid00001+");
        let mut reception = Reception::new();
        for event in events(format!("{long}{}", chunk(2, "m1id", headers, (1, 5), "abcde")).as_bytes()) {
            let _ = reception.handle_event(event);
        }
        std::iter::from_fn(move || reception.poll_event()).collect::<Vec<_>>()
    };
    // Told of already: it cannot be taken back.
    let seen = shrinks("Content-Type: text/plain");
    assert!(matches!(seen.last(), Some(ReceptionEvent::Unwanted { .. })), "{seen:?}");
    // Held back for its headers.
    let seen = shrinks(HEADERS);
    let told: Vec<&[u8]> = seen
        .iter()
        .filter_map(
            |event| if let ReceptionEvent::Data { bytes, .. } = event { Some(&bytes[..]) } else { None },
        )
        .collect();
    assert_eq!(told, [b"01234"]);
    assert!(matches!(seen.last(), Some(ReceptionEvent::Complete { .. })));
}

// proves RFC 4975 7.3.1: chunks may overlap, come in any order and more than once
#[test]
fn an_early_chunk_that_is_repeated_shorter_loses_nothing() {
    let headers = "Content-Type: text/plain";
    let open = |number: usize, from: usize, text: &str| {
        chunk(number, "m1id", headers, (from, 12), text)
            .replace(&format!("tid{number:05}$"), &format!("tid{number:05}+"))
    };
    for repeated in [(6, "56"), (6, "56789"), (7, "67"), (8, "7")] {
        let wire = [
            open(1, 6, "56789"),
            open(2, repeated.0, repeated.1),
            open(3, 1, "01234"),
            chunk(4, "m1id", headers, (11, 12), "ab"),
        ];
        let [(_, content)] = <[_; 1]>::try_from(heard(&wire.concat())).unwrap();
        assert_eq!(content, "0123456789ab", "{repeated:?}");
    }
}

// What is told to be whole is whole, whatever the session has counted.
#[test]
fn what_is_shorter_than_its_size_is_not_complete() {
    for content_type in ["text/plain", "message/cpim"] {
        let [id, ..] = incoming_ids();
        let mut reception = Reception::new();
        let _ = reception.handle_event(Event::Started {
            id,
            message_id: "m1".into(),
            content_type: Some(content_type.into()),
            headers: vec![],
            total: None,
            answered: true,
        });
        let _ = reception.handle_event(Event::Data { id, offset: 0, bytes: "01234".into() });
        let _ = reception.handle_event(Event::Complete { id, size: 6 });
        let seen: Vec<_> = std::iter::from_fn(|| reception.poll_event()).collect();
        assert_eq!(seen.last(), Some(&ReceptionEvent::Unwanted { id }), "{content_type}: {seen:?}");
    }
}

#[test]
fn what_is_repeated_ahead_is_kept_once() {
    let [id, ..] = incoming_ids();
    let mut reception = Reception::new();
    let _ = reception.handle_event(started(id));
    for _ in 0..40 {
        let bytes = bytes::Bytes::from(vec![0; 64 * 1024]);
        let _ = reception.handle_event(Event::Data { id, offset: 5, bytes });
    }
    assert_eq!(reception.poll_event(), None);
}

// proves RFC 4975 7.3.1: chunks may come in any order
#[test]
fn the_first_chunk_says_what_the_message_is() {
    let wire = [
        chunk(1, "m1id", "Content-Type: text/plain", (6, 10), "56789"),
        chunk(2, "m1id", "Content-Type: text/html\r\nContent-Disposition: attachment", (1, 10), "01234"),
    ];
    let [(head, content)] = <[_; 1]>::try_from(heard(&wire.concat())).unwrap();
    assert_eq!((content.as_str(), head.content_type.as_str()), ("0123456789", "text/html"));
    assert_eq!(head.disposition.as_deref(), Some("attachment"));
}

#[test]
fn what_is_not_about_received_messages_is_given_back() {
    let mut reception = Reception::new();
    assert_eq!(reception.handle_event(Event::Bound), Some(Event::Bound));
}

proptest! {
    // proves RFC 4975 7.3.1: chunks may come in any order, and more than once
    #[test]
    fn chunks_in_any_order_give_the_same(
        sizes in proptest::collection::vec(1..40_usize, 1..20),
        order in proptest::collection::vec(any::<u16>(), 20),
        repeats in proptest::collection::vec(any::<bool>(), 20),
    ) {
        let mut cuts = Vec::new();
        let mut start = 0;
        for size in sizes.into_iter().cycle() {
            let end = (start + size).min(CPIM.len());
            cuts.push((start, end));
            start = end;
            if end == CPIM.len() { break; }
        }
        let mut shuffled: Vec<_> = cuts.iter().copied().enumerate().collect();
        shuffled.sort_by_key(|(index, _)| order[index % order.len()]);
        let mut wire = String::new();
        for (number, (index, (start, end))) in shuffled.iter().enumerate() {
            let piece = chunk(number, "m1id", HEADERS, (start + 1, CPIM.len()), &CPIM[*start..*end]);
            wire.push_str(&piece);
            if repeats[index % repeats.len()] && number + 1 < shuffled.len() && *end < CPIM.len() {
                wire.push_str(&piece.replace("tid", "rep"));
            }
        }
        let [(head, content)] = <[_; 1]>::try_from(heard(&wire)).unwrap();
        prop_assert_eq!(content, "Slides are on my desk.");
        prop_assert_eq!(head.subject.as_deref(), Some("HELP!"));
    }
}
