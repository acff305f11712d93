//! The torture messages of RFC 4475, each with the verdict that it and RFC 3261 ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use restante::wire::sip::{
    Limits, Message, ParseError, Request, parse_datagram, validate, validate_response,
};

/// What becomes of a message that arrives in a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A request of this method, fit to be processed.
    Valid(&'static str),
    /// A response of this status, fit to be processed.
    Response(u16),
    /// A request that is refused with this status; the reason phrase begins like this.
    Reject(u16, &'static str),
    /// Discarded without an answer.
    Silent,
}

use Verdict::{Reject, Response, Silent, Valid};

/// File, verdict; the section of RFC 4475 behind it.
pub const VERDICTS: &[(&str, Verdict)] = &[
    ("wsinv", Valid("INVITE")),                                        // 3.1.1.1
    ("intmeth", Valid("!interesting-Method0123456789_*+`.%indeed'~")), // 3.1.1.2
    ("esc01", Valid("INVITE")),                                        // 3.1.1.3
    ("escnull", Valid("REGISTER")),                                    // 3.1.1.4
    ("esc02", Valid("RE%47IST%45R")),                                  // 3.1.1.5
    ("lwsdisp", Valid("OPTIONS")),                                     // 3.1.1.6
    ("longreq", Valid("INVITE")),                                      // 3.1.1.7
    ("dblreq", Valid("REGISTER")),                                     // 3.1.1.8
    ("semiuri", Valid("OPTIONS")),                                     // 3.1.1.9
    ("transports", Valid("OPTIONS")),                                  // 3.1.1.10
    ("mpart01", Valid("MESSAGE")),                                     // 3.1.1.11
    ("unreason", Response(200)),                                       // 3.1.1.12
    ("noreason", Response(100)),                                       // 3.1.1.13
    ("badinv01", Reject(400, "Malformed Via")),                        // 3.1.2.1
    ("clerr", Reject(400, "Malformed Content-Length")),                // 3.1.2.2
    ("ncl", Reject(400, "Malformed Content-Length")),                  // 3.1.2.3
    ("scalar02", Reject(400, "Malformed CSeq")),                       // 3.1.2.4
    ("scalarlg", Silent),                                              // 3.1.2.5
    ("quotbal", Reject(400, "Malformed To")),                          // 3.1.2.6
    ("ltgtruri", Reject(400, "Malformed Request-URI")),                // 3.1.2.7
    ("lwsruri", Reject(400, "Malformed request line")),                // 3.1.2.8
    ("lwsstart", Reject(400, "Malformed request line")),               // 3.1.2.9
    ("trws", Reject(400, "Malformed request line")),                   // 3.1.2.10
    ("escruri", Reject(400, "Malformed Request-URI: headers")),        // 3.1.2.11
    ("baddate", Valid("INVITE")),                                      // 3.1.2.12: the date is only kept
    ("regbadct", Reject(400, "Malformed Contact")),                    // 3.1.2.13
    ("badaspec", Reject(400, "Malformed To")),                         // 3.1.2.14
    ("baddn", Reject(400, "Missing empty line")),                      // 3.1.2.15: and see below
    ("badvers", Reject(505, "Version Not Supported")),                 // 3.1.2.16
    ("mismatch01", Reject(400, "Malformed CSeq")),                     // 3.1.2.17
    ("mismatch02", Reject(501, "Not Implemented")),                    // 3.1.2.18
    ("bigcode", Silent),                                               // 3.1.2.19
    ("badbranch", Valid("OPTIONS")),                                   // 3.2.1: matched as RFC 2543 did
    ("insuf", Reject(400, "Missing From")),                            // 3.3.1
    ("unkscm", Reject(416, "Unsupported URI Scheme")),                 // 3.3.2
    ("novelsc", Reject(416, "Unsupported URI Scheme")),                // 3.3.3
    ("unksm2", Valid("REGISTER")),                                     // 3.3.4
    ("bext01", Valid("OPTIONS")),                                      // 3.3.5: 420 is the core's
    ("invut", Valid("INVITE")),                                        // 3.3.6: 415 is the core's
    ("regaut01", Valid("REGISTER")),                                   // 3.3.7
    ("multi01", Reject(400, "Repeated CSeq")),                         // 3.3.8
    ("mcl01", Reject(400, "Repeated Content-Length")),                 // 3.3.9
    ("bcast", Silent),                                                 // 3.3.10
    ("zeromf", Valid("OPTIONS")),                                      // 3.3.11
    ("cparam01", Valid("REGISTER")),                                   // 3.3.12
    ("cparam02", Valid("REGISTER")),                                   // 3.3.13
    ("regescrt", Valid("REGISTER")),                                   // 3.3.14
    ("sdp01", Valid("INVITE")),                                        // 3.3.15: 406 is the core's
    ("inv2543", Valid("INVITE")),                                      // 3.4.1
    ("test", Silent),                                                  // not in the RFC; no Via, no answer
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture")
}

/// The bytes of one torture message.
pub fn load(name: &str) -> Bytes {
    Bytes::from(fs::read(directory().join(format!("{name}.dat"))).unwrap())
}

/// Runs a datagram through parsing and validation, as a node does.
pub fn receive(datagram: Bytes) -> Result<Message, ParseError> {
    match parse_datagram(datagram, &Limits::default())? {
        Message::Request(request) => match validate(&request) {
            Ok(()) => Ok(Message::Request(request)),
            Err((status, reason)) => Err(ParseError::Reject { request: Box::new(request), status, reason }),
        },
        Message::Response(response) => match validate_response(&response) {
            Ok(()) => Ok(Message::Response(response)),
            Err(error) => Err(ParseError::Silent(error.to_string())),
        },
    }
}

fn valid(name: &str) -> Request {
    match receive(load(name)) {
        Ok(Message::Request(request)) => request,
        other => panic!("{name}: {other:?}"),
    }
}

fn agrees(outcome: &Result<Message, ParseError>, verdict: &Verdict) -> bool {
    match (outcome, verdict) {
        (Ok(Message::Request(request)), Valid(method)) => request.method.as_str() == *method,
        (Ok(Message::Response(response)), Response(status)) => response.status.0 == *status,
        (Err(ParseError::Reject { status, reason, .. }), Reject(code, begin)) => {
            status.0 == *code && reason.starts_with(begin)
        }
        (Err(ParseError::Silent(_)), Silent) => true,
        _ => false,
    }
}

// proves RFC 4475 3.1.1 to 3.4.1
#[test]
fn every_message_gets_its_verdict() {
    let wrong: Vec<_> = VERDICTS
        .iter()
        .map(|(name, verdict)| (name, verdict, receive(load(name))))
        .filter(|(_, verdict, outcome)| !agrees(outcome, verdict))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_message_is_left_out() {
    let listed: BTreeSet<_> = VERDICTS.iter().map(|(name, _)| format!("{name}.dat")).collect();
    let stored: BTreeSet<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".dat"))
        .collect();
    assert_eq!(listed, stored);
    assert_eq!(listed.len(), VERDICTS.len());
}

// proves RFC 3261 8.2.6: whatever is refused can be answered
#[test]
fn every_refusal_can_be_sent() {
    for (name, _) in VERDICTS {
        if let Err(ParseError::Reject { request, status, reason }) = receive(load(name)) {
            let response = request.respond_with(status, &reason);
            assert!(
                response.encode().starts_with(format!("SIP/2.0 {status} {reason}\r\n").as_bytes()),
                "{name}"
            );
        }
    }
}

// proves RFC 3261 8.2.6.2: response header fields are those of the request, byte for byte
#[test]
fn what_is_valid_survives_being_written_and_read_again() {
    for (name, _) in VERDICTS {
        let Ok(message) = receive(load(name)) else { continue };
        let again = receive(message.encode()).unwrap();
        assert_eq!(again.body(), message.body(), "{name}");
        let fields = |message: &Message| {
            let fields = message.headers().iter().filter(|h| h.name.as_str() != "Content-Length");
            fields.cloned().collect::<Vec<_>>()
        };
        assert_eq!(fields(&again), fields(&message), "{name}");
        match (&again, &message) {
            (Message::Request(a), Message::Request(b)) => {
                assert_eq!((&a.uri, &a.method), (&b.uri, &b.method), "{name}")
            }
            (Message::Response(a), Message::Response(b)) => assert_eq!(a.reason, b.reason, "{name}"),
            _ => panic!("{name} changed its kind"),
        }
    }
}

// proves RFC 4475 3.1.1.1: folds, blanks around separators, compact and odd-cased names
#[test]
fn a_short_tortuous_invite_is_understood() {
    let headers = valid("wsinv").headers;
    assert_eq!(headers.to_tag().unwrap(), "1918181833n");
    assert_eq!(headers.from_tag().unwrap(), "98asjd8");
    assert_eq!(headers.from().unwrap().display.unwrap(), "J Rosenberg \\\"");
    assert_eq!(headers.max_forwards().unwrap(), Some(68));
    assert_eq!(headers.cseq().unwrap().number, 9);
    let vias = headers.vias().unwrap();
    let hosts: Vec<_> = vias.iter().map(|via| via.host.to_string()).collect();
    assert_eq!(hosts, ["192.0.2.2", "spindle.example.com", "192.168.255.111"]);
    assert_eq!(vias[0].branch().unwrap(), "390skdjuw");
    assert_eq!(vias[2].branch().unwrap(), "z9hG4bK30239");
    assert_eq!(headers.contact().unwrap().unwrap().params.value("q").unwrap(), "0.33");
}

// proves RFC 4475 3.1.1.2, 3.1.1.3, 3.1.1.9: URIs are kept as they came
#[test]
fn odd_uris_are_kept_and_understood() {
    use restante::wire::sip::SipUri;
    let escaped = valid("esc01");
    assert_eq!(escaped.uri, "sip:sips%3Auser%40example.com@example.net");
    assert_eq!(SipUri::parse(&escaped.uri).unwrap().user_unescaped(), b"sips:user@example.com");
    assert_eq!(escaped.headers.to().unwrap().uri, "sip:%75se%72@example.com");
    let contact = escaped.headers.contact().unwrap().unwrap();
    let contact = SipUri::parse(&contact.uri).unwrap();
    assert_eq!(contact.params.value("n%61me").unwrap(), "v%61lue%25%34%31");
    let semicolon = SipUri::parse(&valid("semiuri").uri).unwrap();
    assert_eq!(semicolon.user_unescaped(), b"user;par=u@example.net");
    let interesting = valid("intmeth");
    assert_eq!(interesting.headers.from_tag().unwrap(), "_token~1'+`*%!-.");
    assert_eq!(interesting.headers.to().unwrap().display.unwrap().as_ref(), b"BEL:\x07 NUL:\x00 DEL:\x7f");
    let nulls = valid("escnull");
    assert_eq!(nulls.headers.contacts().unwrap().len(), 2);
    assert_eq!(SipUri::parse(&nulls.headers.to().unwrap().uri).unwrap().user_unescaped(), b"null-\0-null");
}

// proves RFC 4475 3.1.1.5: an escaped header name is another header
#[test]
fn an_escaped_name_is_not_unescaped() {
    let request = valid("esc02");
    assert_eq!(request.headers.contacts().unwrap().len(), 2);
    assert!(!request.method.is_known());
}

// proves RFC 4475 3.1.1.7
#[test]
fn a_long_request_is_read_whole() {
    let headers = valid("longreq").headers;
    assert_eq!(headers.vias().unwrap().len(), 34);
    assert!(headers.to().unwrap().uri.len() > 300);
}

// proves RFC 4475 3.1.1.8: what follows the body in a datagram is ignored
#[test]
fn extra_octets_are_ignored() {
    assert!(valid("dblreq").body.is_empty());
}

// proves RFC 4475 3.1.1.11: a binary body is framed with care
#[test]
fn a_binary_body_is_kept() {
    let request = valid("mpart01");
    assert_eq!(request.body.len(), 553);
    assert!(request.body.contains(&0));
    assert_eq!(
        request.headers.content_type().unwrap().unwrap().params.value("boundary").unwrap(),
        "7a9cbec02ceef655"
    );
}

// proves RFC 4475 3.1.2.15: beside the missing empty line, the display names are malformed
#[test]
fn bare_commas_in_display_names_are_refused() {
    let ended = Bytes::from([load("baddn").as_ref(), b"\r\n"].concat());
    assert!(agrees(&receive(ended), &Reject(400, "Malformed From")));
}

// proves RFC 4475 3.2.1: a cookie with nothing behind it identifies no transaction
#[test]
fn a_bare_cookie_falls_back_to_rfc_2543() {
    let via = valid("badbranch").headers.via().unwrap();
    assert_eq!(via.branch().unwrap(), "z9hG4bK");
    assert_eq!(via.unique_branch(), None);
}

// proves RFC 4475 3.3.12, 3.3.13, 3.3.14: parameters of the field and of the URI are not mixed up
#[test]
fn contact_and_uri_parameters_are_told_apart() {
    let contact = |name| valid(name).headers.contact().unwrap().unwrap();
    assert!(contact("cparam01").params.has("unknownparam"));
    assert!(contact("cparam02").params.is_empty());
    assert!(contact("cparam02").uri.ends_with(b";unknownparam"));
    assert_eq!(contact("regescrt").uri, "sip:user@example.com?Route=%3Csip:sip.example.com%3E");
}
