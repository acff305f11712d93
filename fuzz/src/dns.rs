//! Locating: whatever the DNS answers, the search ends, after a bounded number of questions, with places
//! that can be used.

use std::sync::Arc;

use bytes::Bytes;
use restante::entropy::Sequence;
use restante::machine::sip::Transport;
use restante::machine::sip::locate::{Answer, Locate, LocateError, Naptr, NoAnswer, Question, Srv, Target};

use super::choices::Choices;

const URIS: &[&str] = &[
    "sip:example.com",
    "sips:example.com",
    "sip:example.com;transport=tcp",
    "sips:example.com;transport=tcp",
    "sip:example.com:5070",
    "sip:h.example.com;transport=udp",
    "sip:x;maddr=example.com",
    "sip:example.com;transport=tls",
];
const NAMES: &[&str] = &[
    "example.com",
    "a.example.com",
    "_sip._udp.example.com",
    "_sips._tcp.example.com.",
    ".",
    "",
    "192.0.2.9",
    "a..b",
];

fn naptr(choices: &mut Choices<'_>) -> Naptr {
    Naptr {
        order: u16::from(choices.byte()),
        preference: u16::from(choices.byte()),
        flags: choices.one(&[&b"s"[..], b"S", b"a", b""]).to_vec(),
        service: choices.one(&[&b"SIP+D2U"[..], b"SIP+D2T", b"SIPS+D2T", b"SIP+D2S", b"E2U+sip"]).to_vec(),
        regexp: choices.one(&[&b""[..], b"", b"!.*!x!"]).to_vec(),
        replacement: choices.one(NAMES).to_owned(),
    }
}

fn srv(choices: &mut Choices<'_>) -> Srv {
    Srv {
        priority: u16::from(choices.byte()),
        weight: u16::from(choices.byte()) << 8,
        port: u16::from(choices.byte()),
        target: choices.one(NAMES).to_owned(),
    }
}

fn answer(question: &Question, choices: &mut Choices<'_>) -> Result<Answer, NoAnswer> {
    match choices.below(6) {
        0 => return Err(NoAnswer::NotFound),
        1 => return Err(NoAnswer::Failed),
        // Somebody answers something else.
        2 => return Ok(Answer::Addresses(vec!["192.0.2.7".parse().unwrap()])),
        _ => {}
    }
    let count = choices.below(12);
    Ok(match question {
        Question::Naptr(_) => Answer::Naptr((0..count).map(|_| naptr(choices)).collect()),
        Question::Srv(_) => Answer::Srv((0..count).map(|_| srv(choices)).collect()),
        Question::Addresses(_) => Answer::Addresses(
            (0..count).map(|_| std::net::Ipv4Addr::new(192, 0, 2, choices.byte()).into()).collect(),
        ),
    })
}

/// A search.
pub fn locate(data: &[u8]) {
    let mut choices = Choices::new(data);
    let target = Target::parse(&Bytes::from_static(choices.one(URIS).as_bytes())).unwrap();
    let supported = choices.one(&[
        &[Transport::Udp, Transport::Tcp][..],
        &[Transport::Udp, Transport::Tcp, Transport::Tls],
        &[Transport::Tls],
        &[],
    ]);
    let mut locate = Locate::new(target.clone(), supported);
    let mut open: Vec<Question> = Vec::new();
    let mut asked = 0;
    loop {
        while let Some(question) = locate.poll_question() {
            asked += 1;
            assert!(!open.contains(&question), "asked twice: {question:?}");
            open.push(question);
        }
        if locate.outcome().is_some() || open.is_empty() {
            break;
        }
        let question = open.remove(choices.below(open.len()));
        let answer = answer(&question, &mut choices);
        locate.handle_answer(&question, answer, &mut Sequence::new(1));
        // What nobody asked changes nothing.
        let stray = Question::Addresses(Arc::from("stray.example"));
        locate.handle_answer(&stray, Err(NoAnswer::NotFound), &mut Sequence::new(1));
    }
    assert!(asked <= 1 + 5 + 8, "{asked} questions");
    match locate.outcome().expect("it ends") {
        Ok(places) => {
            assert!(!places.is_empty() && places.len() <= 16);
            for (at, place) in places.iter().enumerate() {
                assert!(supported.contains(&place.transport), "{place:?}");
                assert!(!target.secure || place.transport.is_secure(), "{place:?}");
                assert!(!places[..at].contains(place), "twice: {place:?}");
            }
        }
        Err(error) => assert_ne!(*error, LocateError::Malformed),
    }
}
