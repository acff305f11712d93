//! The SIP parser beside `sipx-sip`: who takes a message, and whether both read the same in it.

use std::collections::BTreeMap;

use restante::entropy::Sequence;

use crate::corpus::mutated;
use crate::properties::differential::{disagreement, ours, theirs};
use crate::torture::{VERDICTS, load};

/// Torture messages of which only the other parser takes each, with our reason, which RFC 4475 gives us.
const TORTURE: &[(&str, &str)] = &[
    // RFC 4475 3.1.2.13: Contact with a URI that needs angle brackets; theirs reads Contact when it is asked to.
    ("regbadct", "400 Malformed Contact"),
    // 3.3.2, 3.3.3: the scheme is the core's affair there, and ours to refuse.
    ("unkscm", "416 Unsupported URI Scheme"),
    ("novelsc", "416 Unsupported URI Scheme"),
    // 3.3.10: a response with two Vias was not meant for us; theirs serves proxies as well.
    ("bcast", "Malformed Via: not exactly one"),
];

/// Why we refuse what the other takes: the beginning of our reason, and what it rests on.
const STRICTER: &[(&str, &str)] = &[
    ("400 Malformed Contact", "RFC 3261 8.1.1.8: a dialog is made of it; theirs reads it on demand"),
    ("400 Malformed Route", "RFC 3261 20.34: requests are routed by it; theirs reads it on demand"),
    (
        "400 Malformed Record-Route",
        "RFC 3261 12.1.1: a dialog's route is made of it; theirs reads it on demand",
    ),
    ("400 Malformed Content-Type", "RFC 3261 8.2.3: the body is judged by it; theirs reads it on demand"),
    ("400 Missing Content-Type", "RFC 3261 20.15: MUST be there with a body; theirs does not look"),
    ("400 Malformed Call-ID", "RFC 3261 25.1: one or two words; theirs takes any text"),
    ("Malformed Call-ID", "the same, in a response"),
    ("400 Malformed Via: protocol", "RFC 3261 20.42: SIP/2.0; theirs takes any protocol"),
    ("Malformed Via: protocol", "the same, in a response"),
    ("400 Malformed Via: sent-by", "RFC 3261 25.1; theirs reads the topmost Via only"),
    ("400 Malformed Via: parameters", "the same"),
    ("Malformed Via: sent-by", "the same, in a response"),
    ("Malformed Via: parameters", "the same, in a response"),
    ("Malformed Via: not exactly one", "RFC 3261 8.1.3.3: a user agent discards it; theirs serves proxies"),
    ("400 Malformed From", "RFC 3261 25.1: URI and parameters are read; theirs keeps some unread"),
    ("400 Malformed To", "the same"),
    ("400 Malformed Request-URI", "RFC 3261 25.1: a password's characters; theirs takes more"),
    ("416 Unsupported URI Scheme", "RFC 3261 8.2.2.1: what the node cannot be addressed by"),
    ("400 Malformed Path", "RFC 3327 4: a dialog's route may be made of it; theirs does not look"),
    ("400 Malformed Event", "RFC 6665 8.2.1; theirs does not look"),
    ("400 Malformed Expires", "RFC 3261 20.19; theirs does not look"),
    ("400 Repeated", "RFC 3261 7.3.1: once only; theirs counts five of the names"),
];

/// Why the other refuses what we take: the beginning of its reason, and why we do not follow.
const LOOSER: &[(&str, &str)] = &[
    (
        "[MalformedRequiredHeader(\"From\")]",
        "a response is matched by its branch; its From is only read as far as that needs",
    ),
    ("[MalformedRequiredHeader(\"To\")]", "the same"),
];

fn known(reason: &str, table: &[(&str, &str)]) -> bool {
    table.iter().any(|(begin, _)| reason.starts_with(begin))
}

#[test]
fn the_torture_messages_are_read_alike() {
    let mut only_theirs = Vec::new();
    let mut both = 0;
    for (name, _) in VERDICTS {
        let text = load(name);
        match (ours(&text), theirs(&text)) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(disagreement(&ours, &theirs), None, "{name}");
                both += 1;
            }
            (Err(reason), Ok(_)) => only_theirs.push((*name, reason)),
            (Ok(_), Err(reason)) => panic!("{name}: only we take it; theirs: {reason}"),
            (Err(_), Err(_)) => {}
        }
    }
    assert_eq!(only_theirs.len(), TORTURE.len(), "{only_theirs:?}");
    for ((name, reason), (expected, begin)) in only_theirs.iter().zip(TORTURE) {
        assert_eq!(name, expected);
        assert!(reason.starts_with(begin), "{name}: {reason}");
    }
    assert!(both >= 24, "{both} messages are taken by both");
}

#[test]
fn mutations_are_read_alike_and_every_other_verdict_has_its_reason() {
    let mut sequence = Sequence::new(3261);
    let mut strange = BTreeMap::new();
    let mut both = 0;
    for (name, _) in VERDICTS {
        let text = load(name);
        for _ in 0..150 {
            let message = mutated(&text, &mut sequence);
            match (ours(&message), theirs(&message)) {
                (Ok(ours), Ok(theirs)) => {
                    let shown = || String::from_utf8_lossy(&message).into_owned();
                    assert_eq!(disagreement(&ours, &theirs), None, "{name}: {}", shown());
                    both += 1;
                }
                (Err(reason), Ok(_)) if !known(&reason, STRICTER) => *strange.entry(reason).or_insert(0) += 1,
                (Ok(_), Err(reason)) if !known(&reason, LOOSER) => *strange.entry(reason).or_insert(0) += 1,
                _ => {}
            }
        }
    }
    assert!(strange.is_empty(), "verdicts that nobody has explained: {strange:#?}");
    assert!(both >= 500, "{both} messages are taken by both");
}
