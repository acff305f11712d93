//! Sessions: RFC 3261 12 to 15, RFC 6026, RFC 3311, RFC 6086, seen from who was invited.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::test_support::{at, bare, tcp, udp};
use super::{Body, InviteSession, Rejection, ServerTxn, SessionAction, SessionEvent, Timers};
use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

const OPENING: ServerTxn = ServerTxn(1);
const NEXT: ServerTxn = ServerTxn(2);
const THIRD: ServerTxn = ServerTxn(3);

fn invite(body: &'static str) -> Request {
    let mut invite = bare(Method::Invite, "call", 10);
    invite.headers.push_front(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKi");
    invite.headers.push(HeaderName::RecordRoute, "<sip:p.example.com;lr>");
    with_body(invite, body)
}

fn with_body(mut request: Request, body: &'static str) -> Request {
    if !body.is_empty() {
        request.headers.push(HeaderName::ContentType, "application/sdp");
        request.body = body.into();
    }
    request
}

fn in_dialog(method: Method, cseq: u32, body: &'static str) -> Request {
    let mut request = bare(method, "call", cseq);
    request.headers.push_front(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx");
    request.headers.set(HeaderName::To, "<sip:bob@example.com>;tag=b1");
    with_body(request, body)
}

fn begun(body: &'static str) -> InviteSession {
    InviteSession::new(invite(body), OPENING, "b1", "<sip:store@192.0.2.2>", Timers::default()).unwrap()
}

/// A session whose INVITE was accepted at 0 and acknowledged.
fn established() -> InviteSession {
    let mut session = begun("offer");
    session.accept(at(0), Some(Body::sdp("answer")), Vec::new());
    session.handle_ack(&in_dialog(Method::Ack, 10, ""));
    actions(&mut session);
    events(&mut session);
    session
}

/// What the session wants done: `1 200`, `BYE`.
fn actions(session: &mut InviteSession) -> Vec<String> {
    let all = std::iter::from_fn(|| session.poll_action()).map(|action| match action {
        SessionAction::Respond(ServerTxn(txn), response) => format!("{txn} {}", response.status),
        SessionAction::Request(request) => request.method.to_string(),
    });
    all.collect()
}

fn answer(session: &mut InviteSession) -> Response {
    match session.poll_action() {
        Some(SessionAction::Respond(_, response)) => response,
        other => panic!("no response but {other:?}"),
    }
}

fn events(session: &mut InviteSession) -> Vec<String> {
    let text = |answer: Option<bytes::Bytes>| answer.map_or(String::new(), |answer| format!(" {answer:?}"));
    let all = std::iter::from_fn(|| session.poll_event()).map(|event| match event {
        SessionEvent::Confirmed { answer } => format!("confirmed{}", text(answer)),
        SessionEvent::Reconfirmed { answer } => format!("reconfirmed{}", text(answer)),
        SessionEvent::Reinvite { request } => format!("reinvite {}", request.method),
        SessionEvent::ReinviteCancelled => "reinvite cancelled".to_owned(),
        SessionEvent::Unhandled { txn: ServerTxn(txn), request } => format!("{txn} {}", request.method),
        SessionEvent::Ended { by } => format!("ended {by:?}"),
    });
    all.collect()
}

// proves RFC 3261 13.3.1.4, 12.1.1
#[test]
fn a_200_opens_the_dialog_and_is_repeated_until_its_ack() {
    let mut session = begun("offer");
    session.accept(at(0), Some(Body::sdp("answer")), vec![(HeaderName::Supported, "x".into())]);
    let ok = answer(&mut session);
    assert_eq!((ok.status, &ok.body[..]), (StatusCode::OK, &b"answer"[..]));
    assert_eq!(ok.headers.to_tag().unwrap(), "b1");
    assert_eq!(ok.headers.get(&HeaderName::Contact).unwrap(), "<sip:store@192.0.2.2>");
    assert_eq!(ok.headers.get(&HeaderName::RecordRoute).unwrap(), "<sip:p.example.com;lr>");
    assert_eq!(ok.headers.get(&HeaderName::ContentType).unwrap(), "application/sdp");
    assert_eq!(ok.headers.get(&HeaderName::Supported).unwrap(), "x");
    let mut when = Vec::new();
    while let Some(next) = session.poll_timeout().filter(|next| *next < at(9000)) {
        session.handle_timeout(next);
        when.push(next.since_origin().as_millis());
        assert_eq!(actions(&mut session), ["1 200"]);
    }
    assert_eq!(when, [500, 1500, 3500, 7500]);
    session.handle_ack(&in_dialog(Method::Ack, 9, ""));
    assert!(session.is_awaiting_ack(), "the ACK of another INVITE");
    session.handle_ack(&in_dialog(Method::Ack, 10, ""));
    session.handle_ack(&in_dialog(Method::Ack, 10, ""));
    assert_eq!(events(&mut session), ["confirmed"]);
    assert_eq!(session.poll_timeout(), None);
}

// proves RFC 3261 13.2.1: without an offer in the INVITE, the ACK bears the answer
#[test]
fn the_ack_brings_the_answer_to_our_offer() {
    let mut session = begun("");
    session.accept(at(0), Some(Body::sdp("offer")), Vec::new());
    session.handle_ack(&in_dialog(Method::Ack, 10, "answer"));
    assert_eq!(events(&mut session), ["confirmed b\"answer\""]);
}

// proves RFC 3261 12, 13.2.2.4: Call-ID and both tags are those of the dialog
#[test]
fn an_ack_that_knows_nothing_but_our_tag_is_not_taken() {
    let mut session = begun("");
    session.accept(at(0), Some(Body::sdp("offer")), Vec::new());
    for (name, value) in
        [(HeaderName::CallId, "another"), (HeaderName::From, "<sip:alice@example.org>;tag=evil")]
    {
        let mut stray = in_dialog(Method::Ack, 10, "stray");
        stray.headers.set(name, value);
        session.handle_ack(&stray);
    }
    assert!(events(&mut session).is_empty() && session.is_awaiting_ack());
    session.handle_ack(&in_dialog(Method::Ack, 10, "answer"));
    assert_eq!(events(&mut session), ["confirmed b\"answer\""]);
}

// proves RFC 3261 9.2: the CANCEL came first, and the 200 that crossed it was not sent
#[test]
fn an_answer_that_crosses_a_cancel_opens_nothing() {
    let mut session = begun("offer");
    session.accept(at(0), Some(Body::sdp("answer")), Vec::new());
    session.handle_cancelled(NEXT);
    assert_eq!(actions(&mut session), ["1 200"]);
    session.handle_cancelled(OPENING);
    assert_eq!(events(&mut session), ["ended Cancelled"]);
    assert!(session.is_ended() && actions(&mut session).is_empty(), "neither repeated nor ended by a BYE");
}

// proves RFC 3261 13.3.1.4: without an ACK for 64*T1 a BYE
#[test]
fn without_an_ack_the_session_ends_with_a_bye() {
    let mut session = begun("offer");
    session.accept(at(0), None, Vec::new());
    let mut repeats = 0;
    while let Some(next) = session.poll_timeout() {
        session.handle_timeout(next);
        repeats += 1;
    }
    let all = actions(&mut session);
    assert_eq!((repeats, all.len(), all.last().unwrap().as_str()), (11, 12, "BYE"));
    assert!(!session.is_established() && !session.is_ended());
    session.handle_response(&in_dialog(Method::Bye, 1, "").respond(StatusCode::TRYING));
    assert!(!session.is_ended());
    session.handle_failed();
    session.handle_failed();
    assert_eq!(events(&mut session), ["ended AckTimeout"]);
}

// proves RFC 3261 15: the callee MUST NOT send a BYE before the ACK
#[test]
fn a_bye_waits_for_the_ack() {
    let mut session = begun("offer");
    session.accept(at(0), None, Vec::new());
    session.bye(Some("SIP;cause=200;text=\"done\""));
    assert_eq!(actions(&mut session), ["1 200"]);
    session.handle_ack(&in_dialog(Method::Ack, 10, ""));
    let Some(SessionAction::Request(bye)) = session.poll_action() else { panic!() };
    assert_eq!(bye.headers.get(&HeaderName::Reason).unwrap(), "SIP;cause=200;text=\"done\"");
    assert_eq!(bye.headers.get(&HeaderName::Route).unwrap(), "<sip:p.example.com;lr>");
    assert_eq!(session.dialog().next_hop(), "sip:p.example.com;lr");
    session.bye(None);
    assert!(actions(&mut session).is_empty(), "one BYE only");
    session.handle_response(&bye.respond(StatusCode::OK));
    assert_eq!(events(&mut session), ["confirmed", "ended Local"]);
}

// proves RFC 3261 15.1.2
#[test]
fn a_bye_of_the_peer_ends_it_and_what_is_pending() {
    let mut session = established();
    session.handle_request(NEXT, in_dialog(Method::Invite, 11, "offer"), udp());
    session.handle_request(THIRD, in_dialog(Method::Bye, 12, ""), udp());
    assert_eq!(actions(&mut session), ["3 200", "2 487"]);
    assert_eq!(events(&mut session), ["reinvite INVITE", "ended Remote"]);
    session.handle_request(THIRD, in_dialog(Method::Info, 13, ""), udp());
    assert_eq!(actions(&mut session), ["3 481"]);
    assert!(session.is_ended() && session.poll_timeout().is_none());
}

#[test]
fn byes_that_cross_end_it_once() {
    let mut session = established();
    session.bye(None);
    session.handle_request(NEXT, in_dialog(Method::Bye, 11, ""), udp());
    session.handle_failed();
    assert_eq!(actions(&mut session), ["BYE", "2 200"]);
    assert_eq!(events(&mut session), ["ended Local"]);
}

#[test]
fn a_bye_before_the_answer_ends_an_early_session() {
    let mut session = begun("offer");
    session.handle_request(NEXT, in_dialog(Method::Bye, 11, ""), udp());
    assert_eq!(actions(&mut session), ["2 200", "1 487"]);
    assert_eq!(events(&mut session), ["ended Remote"]);
    let mut session = begun("offer");
    session.bye(None);
    assert_eq!(actions(&mut session), ["1 480"]);
    assert_eq!(events(&mut session), ["ended Rejected"]);
}

// proves RFC 3261 9.2
#[test]
fn a_cancelled_invite_gets_487() {
    let mut session = begun("offer");
    session.handle_cancelled(THIRD);
    assert!(actions(&mut session).is_empty(), "another transaction");
    session.handle_cancelled(OPENING);
    assert_eq!(actions(&mut session), ["1 487"]);
    assert_eq!(events(&mut session), ["ended Cancelled"]);
    session.accept(at(1), None, Vec::new());
    session.reject(&Rejection::from(StatusCode::BUSY_HERE));
    assert!(actions(&mut session).is_empty() && events(&mut session).is_empty());
    let mut session = established();
    session.handle_cancelled(OPENING);
    assert!(session.is_established(), "too late");
}

#[test]
fn a_rejected_invite_ends_with_its_response() {
    let mut session = begun("offer");
    let warning = (HeaderName::Warning, "304 example.com \"no MSRP\"".into());
    let reason = Some("No MSRP".into());
    session.reject(&Rejection { status: StatusCode::NOT_ACCEPTABLE_HERE, reason, headers: vec![warning] });
    let refusal = answer(&mut session);
    assert_eq!(refusal.reason, "No MSRP");
    assert_eq!((refusal.status.0, refusal.headers.to_tag().unwrap()), (488, "b1".into()));
    assert!(refusal.headers.contains(&HeaderName::Warning));
    assert_eq!(events(&mut session), ["ended Rejected"]);
}

#[test]
fn an_invite_given_up_by_the_endpoint_ends_it() {
    let mut session = begun("offer");
    session.handle_given_up(NEXT);
    assert!(!session.is_ended());
    session.handle_given_up(OPENING);
    assert_eq!(events(&mut session), ["ended Failed"]);
}

// proves RFC 3261 14.2
#[test]
fn a_reinvite_is_answered_by_the_user_and_acknowledged() {
    let mut session = established();
    let mut reinvite = in_dialog(Method::Invite, 11, "offer 2");
    reinvite.headers.set(HeaderName::Contact, "<sip:alice@192.0.2.77>");
    session.handle_request(NEXT, reinvite, tcp());
    assert_eq!((session.dialog().remote_target(), session.flow()), (&b"sip:alice@192.0.2.1"[..], None));
    session.answer_reinvite(at(1000), Ok(Some(Body::sdp("answer 2"))));
    assert_eq!(
        (session.dialog().remote_target(), session.flow()),
        (&b"sip:alice@192.0.2.77"[..], Some(tcp()))
    );
    assert_eq!(actions(&mut session), ["2 200"]);
    assert_eq!(session.poll_timeout(), Some(at(1500)));
    session.handle_ack(&in_dialog(Method::Ack, 11, ""));
    assert_eq!(events(&mut session), ["reinvite INVITE", "reconfirmed"]);
    let mut refused = in_dialog(Method::Invite, 12, "offer 3");
    refused.headers.set(HeaderName::Contact, "<sip:alice@192.0.2.78>");
    session.handle_request(THIRD, refused, udp());
    session.answer_reinvite(at(2000), Err(StatusCode::NOT_ACCEPTABLE_HERE.into()));
    assert_eq!(actions(&mut session), ["3 488"]);
    assert_eq!(session.flow(), Some(tcp()), "what is refused moves nothing");
    assert!(session.is_established());
    assert_eq!(session.dialog().remote_target(), b"sip:alice@192.0.2.77", "nothing has moved");
}

fn optional(method: Method, cseq: u32) -> Request {
    let mut request = in_dialog(method, cseq, "");
    request.headers.push(HeaderName::ContentType, "text/x-note");
    request.headers.push(HeaderName::ContentDisposition, "icon;handling=optional");
    request.body = "hello".into();
    request
}

// proves RFC 3311 5.2, RFC 3261 8.2.3: a body without a session description is no offer
#[test]
fn a_body_that_may_be_ignored_is_ignored() {
    let mut session = established();
    let mut update = optional(Method::Update, 11);
    update.headers.set(HeaderName::Contact, "<sip:alice@192.0.2.77>");
    session.handle_request(NEXT, update, tcp());
    assert_eq!(
        (session.dialog().remote_target(), session.flow()),
        (&b"sip:alice@192.0.2.77"[..], Some(tcp()))
    );
    session.handle_request(NEXT, optional(Method::Info, 12), udp());
    let mut required = in_dialog(Method::Info, 13, "");
    required.headers.push(HeaderName::ContentType, "text/x-note");
    required.body = "hello".into();
    session.handle_request(NEXT, required, udp());
    assert_eq!(actions(&mut session), ["2 200", "2 200", "2 415"]);
    assert!(events(&mut session).is_empty());

    // An INVITE without a description was answered by an offer of ours, whatever else it bore.
    let mut invite = optional(Method::Invite, 10);
    invite.headers.set(HeaderName::To, "<sip:bob@example.com>");
    let mut session =
        InviteSession::new(invite, OPENING, "b1", "<sip:store@192.0.2.2>", Timers::default()).unwrap();
    session.accept(at(0), Some(Body::sdp("offer")), Vec::new());
    session.handle_request(NEXT, in_dialog(Method::Update, 11, "offer"), udp());
    assert_eq!(actions(&mut session), ["1 200", "2 491"]);
    let mut ack = in_dialog(Method::Ack, 10, "answer");
    ack.headers.set(HeaderName::ContentType, "text/plain");
    session.handle_ack(&ack);
    assert_eq!(events(&mut session), ["confirmed"], "an answer is known by its type");
}

// proves RFC 3261 14.2: 500 with Retry-After for a second one, 491 while ours is open
#[test]
fn reinvites_that_cross_are_put_off() {
    let mut session = established();
    session.handle_request(NEXT, in_dialog(Method::Invite, 11, "offer"), udp());
    session.handle_request(THIRD, in_dialog(Method::Invite, 12, "offer"), udp());
    let refusal = answer(&mut session);
    assert_eq!(refusal.status, StatusCode::SERVER_INTERNAL_ERROR);
    let seconds = refusal.headers.get(&HeaderName::RetryAfter).unwrap();
    assert!(std::str::from_utf8(seconds).unwrap().parse::<u32>().unwrap() <= 10);
    session.handle_cancelled(NEXT);
    assert_eq!(actions(&mut session), ["2 487"]);
    assert_eq!(events(&mut session), ["reinvite INVITE", "reinvite cancelled"]);

    let mut session = begun("");
    session.accept(at(0), Some(Body::sdp("offer")), Vec::new());
    session.handle_request(NEXT, in_dialog(Method::Invite, 11, "offer"), udp());
    session.handle_request(THIRD, in_dialog(Method::Update, 12, "offer"), udp());
    assert_eq!(actions(&mut session), ["1 200", "2 491", "3 491"]);
}

#[test]
fn a_reinvite_without_an_ack_ends_the_session() {
    let mut session = established();
    session.handle_request(NEXT, in_dialog(Method::Invite, 11, "offer"), udp());
    session.answer_reinvite(at(1000), Ok(None));
    session.handle_timeout(at(33_000));
    assert_eq!(actions(&mut session), ["2 200", "BYE"]);
}

// proves RFC 3311 5.2, RFC 6086 4.2.2, RFC 3262 3, RFC 3261 12.2.2
#[test]
fn other_requests_in_the_dialog() {
    let mut session = established();
    session.handle_request(NEXT, in_dialog(Method::Update, 11, ""), udp());
    session.handle_request(NEXT, in_dialog(Method::Info, 12, ""), udp());
    session.handle_request(NEXT, in_dialog(Method::Info, 13, "dtmf"), tcp());
    assert_eq!(session.flow(), Some(udp()), "an INFO moves nothing");
    let mut package = in_dialog(Method::Info, 14, "");
    package.headers.push(HeaderName::parse(b"Info-Package"), "foo");
    session.handle_request(NEXT, package, udp());
    session.handle_request(NEXT, in_dialog(Method::Prack, 15, ""), udp());
    session.handle_request(NEXT, in_dialog(Method::Info, 15, ""), udp());
    let mut stray = in_dialog(Method::Info, 16, "");
    stray.headers.set(HeaderName::To, "<sip:bob@example.com>;tag=other");
    session.handle_request(NEXT, stray, udp());
    assert_eq!(actions(&mut session), ["2 200", "2 200", "2 415", "2 469", "2 481", "2 500", "2 481"]);
    session.handle_request(THIRD, in_dialog(Method::Options, 16, ""), udp());
    session.handle_request(NEXT, in_dialog(Method::Update, 17, "offer"), udp());
    session.answer_reinvite(at(5), Ok(Some(Body::sdp("answer"))));
    assert_eq!(actions(&mut session), ["2 200"]);
    assert_eq!(session.poll_timeout(), None, "an UPDATE has no ACK");
    assert_eq!(events(&mut session), ["3 OPTIONS", "reinvite UPDATE"]);
}

#[test]
fn an_invite_without_a_contact_opens_nothing() {
    let mut broken = invite("offer");
    broken.headers.remove(&HeaderName::Contact);
    let refused = InviteSession::new(broken, OPENING, "b1", "<sip:x>", Timers::default());
    assert_eq!(refused.unwrap_err().to_string(), "Missing Contact");
}

#[test]
fn a_session_that_is_given_up_says_so_in_every_state() {
    let mut early = begun("offer");
    early.abandon();
    assert_eq!(actions(&mut early), ["1 500"]);
    let mut session = established();
    session.handle_request(NEXT, in_dialog(Method::Invite, 11, "offer"), udp());
    session.abandon();
    assert_eq!(actions(&mut session), ["2 500", "BYE"]);
    assert!(session.is_ended());
    session.abandon();
    let mut unacknowledged = begun("");
    unacknowledged.accept(at(0), Some(Body::sdp("offer")), Vec::new());
    unacknowledged.abandon();
    assert_eq!(actions(&mut unacknowledged), ["1 200", "BYE"]);
    assert_eq!(unacknowledged.poll_timeout(), None);
}
