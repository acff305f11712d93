//! One endpoint, asked: RFC 3261 8.2, 9.2, 17.2, 18.2; RFC 6026.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::test_support::*;
use super::{EndpointEvent, Terms, TransmitId};
use crate::machine::sip::{Flow, Transport};
use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

/// There is more to do than can be done.
const REFUSING: Terms = Terms { refusing: true, trusted: true };

// proves RFC 3261 17.2.2: retransmissions are answered again, not told again, until timer J
#[test]
fn a_message_is_told_once_and_answered_each_time() {
    let mut endpoint = endpoint();
    let message = incoming(Method::Message, "z9hG4bKm1");
    endpoint.handle_request(at(0), message.clone(), udp());
    endpoint.handle_request(at(100), message.clone(), udp());
    let told = events(&mut endpoint);
    assert!(matches!(&told[..], [EndpointEvent::Request { .. }]));
    let EndpointEvent::Request { txn, request, .. } = &told[0] else { panic!() };
    assert!(lines(&mut endpoint).is_empty());
    assert!(endpoint.respond(at(200), *txn, request.respond(StatusCode::ACCEPTED)));
    endpoint.handle_request(at(300), message.clone(), udp());
    assert_eq!(lines(&mut endpoint), ["202", "202"]);
    assert!(!endpoint.respond(at(300), *txn, request.respond(StatusCode::OK)), "only one final response");
    // Nothing is kept but that it was answered.
    assert_eq!((endpoint.server_transactions(), endpoint.poll_timeout()), (0, None));
    endpoint.handle_request(at(32_199), message.clone(), udp());
    assert_eq!((lines(&mut endpoint), events(&mut endpoint).len()), (vec!["202".to_owned()], 0));
    endpoint.handle_request(at(41_000), message.clone(), udp());
    assert_eq!((lines(&mut endpoint).len(), events(&mut endpoint).len()), (0, 1));
}

// proves RFC 3261 17.2.2: the response that is sent again is the same, byte by byte
#[test]
fn a_repetition_is_answered_with_the_same_bytes() {
    let mut endpoint = endpoint();
    endpoint.config.server_name = "store".into();
    let message = incoming(Method::Message, "z9hG4bKm1");
    answered(&mut endpoint, at(0), message.clone(), 202);
    let first = sent(&mut endpoint).remove(0);
    endpoint.handle_request(at(500), message.clone(), udp());
    let again = sent(&mut endpoint).remove(0);
    assert_eq!((again.bytes, again.to), (first.bytes.clone(), first.to));
    // RFC 3261 9.2: a CANCEL of it comes too late, and is answered 200 with the same To tag.
    let cancel = like(&message, Method::Cancel);
    endpoint.handle_request(at(600), cancel, udp());
    let answer = response(&sent(&mut endpoint)[0].bytes);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers.to_tag(), response(&first.bytes).headers.to_tag());
    assert!(events(&mut endpoint).is_empty());
}

// proves RFC 3261 17.2.2: what says more than the request does is kept
#[test]
fn an_answer_that_cannot_be_made_again_is_kept_until_timer_j() {
    let warned = |request: &crate::wire::sip::Request| {
        let mut response = request.respond(StatusCode::ACCEPTED);
        response.headers.push(HeaderName::Warning, "399 store \"for you\"");
        response
    };
    let named = |request: &crate::wire::sip::Request| request.respond_with(StatusCode::ACCEPTED, "Kept");
    let tagged = |request: &crate::wire::sip::Request| {
        let mut response = request.respond(StatusCode::ACCEPTED);
        response.set_to_tag("own");
        response
    };
    let refused = |request: &crate::wire::sip::Request| request.respond(StatusCode::NOT_FOUND);
    let answers: [&dyn Fn(&crate::wire::sip::Request) -> crate::wire::sip::Response; 4] =
        [&warned, &named, &tagged, &refused];
    for answer in answers {
        let mut endpoint = endpoint();
        let message = incoming(Method::Message, "z9hG4bKm1");
        endpoint.handle_request(at(0), message.clone(), udp());
        let (txn, request) = arrived(&mut endpoint);
        assert!(endpoint.respond(at(0), txn, answer(&request)));
        let first = sent(&mut endpoint).remove(0).bytes;
        endpoint.handle_request(at(31_999), message.clone(), udp());
        assert_eq!(sent(&mut endpoint).remove(0).bytes, first);
        run(&mut endpoint, at(32_000));
        assert_eq!((endpoint.server_transactions(), events(&mut endpoint).len()), (0, 0));
    }
}

// proves RFC 3261 17.2.2 (timer J is zero for reliable transports), 18.2.2
#[test]
fn over_tcp_nothing_is_kept_once_it_is_answered() {
    let mut endpoint = endpoint();
    endpoint.handle_request(at(0), incoming(Method::Message, "z9hG4bKm1"), tcp());
    let (txn, request) = arrived(&mut endpoint);
    assert!(endpoint.respond(at(1), txn, request.respond(StatusCode::ACCEPTED)));
    let sent = sent(&mut endpoint);
    assert_eq!(sent[0].to.flow, Some(tcp()));
    // The connection is gone: to the address of the peer, at the port of sent-by.
    assert_eq!(sent[0].to.addr.to_string(), "192.0.2.1:5060");
    assert_eq!((endpoint.server_transactions(), endpoint.poll_timeout()), (0, None));
    assert!(response(&sent[0].bytes).headers.to_tag().unwrap().starts_with(b"s0"));
}

/// A response to `request` with a tag of the user's own.
fn tagged(request: &Request, status: StatusCode) -> Response {
    let mut response = request.respond(status);
    response.set_to_tag("mine");
    response
}

// proves RFC 3261 17.2.1: a 100 after 200 ms, the response repeated by timer G until the ACK
#[test]
fn a_refused_invite_is_repeated_until_its_ack() {
    let mut endpoint = endpoint();
    let invite = incoming(Method::Invite, "z9hG4bKi1");
    endpoint.handle_request(at(0), invite.clone(), udp());
    let (txn, request) = arrived(&mut endpoint);
    assert_eq!(run(&mut endpoint, at(900)), ["200 100"]);
    endpoint.handle_request(at(900), invite.clone(), udp());
    assert_eq!(lines(&mut endpoint), ["100"]);
    endpoint.respond(at(1000), txn, request.respond(StatusCode::BUSY_HERE));
    assert_eq!(lines(&mut endpoint), ["486"]);
    assert_eq!(run(&mut endpoint, at(9000)), ["1500 486", "2500 486", "4500 486", "8500 486"]);
    endpoint.handle_request(at(9000), like(&invite, Method::Ack), udp());
    endpoint.handle_request(at(9001), invite, udp());
    assert!(run(&mut endpoint, at(13_999)).is_empty());
    assert_eq!(endpoint.server_transactions(), 1);
    run(&mut endpoint, at(14_000));
    assert_eq!(endpoint.server_transactions(), 0);
    assert!(outcomes(&mut endpoint).is_empty(), "no ACK to a non-2xx is told");
}

// proves RFC 3261 17.2.1 (timer H)
#[test]
fn a_missing_ack_is_told() {
    let mut endpoint = endpoint();
    answered(&mut endpoint, at(0), incoming(Method::Invite, "z9hG4bKi1"), 486);
    assert_eq!(lines(&mut endpoint), ["486"]);
    let repeats = run(&mut endpoint, at(40_000));
    assert_eq!(repeats.len(), 10, "{repeats:?}");
    assert_eq!(outcomes(&mut endpoint), ["Timeout"]);
    assert_eq!(endpoint.server_transactions(), 0);
}

// proves RFC 6026 7.1: Accepted absorbs the INVITE, sends each 2xx of the user, tells each ACK
#[test]
fn an_accepted_invite_stays_for_64_t1() {
    let mut endpoint = endpoint();
    let invite = incoming(Method::Invite, "z9hG4bKi1");
    let txn = answered(&mut endpoint, at(0), invite.clone(), 200);
    endpoint.handle_request(at(10), invite.clone(), udp());
    assert_eq!(lines(&mut endpoint), ["200"]);
    assert!(endpoint.respond(at(500), txn, invite.respond(StatusCode::OK)));
    assert!(!endpoint.respond(at(500), txn, invite.respond(StatusCode::BUSY_HERE)));
    endpoint.handle_request(at(600), like(&invite, Method::Ack), udp());
    let mut other_branch = like(&invite, Method::Ack);
    other_branch.headers.set(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKother");
    endpoint.handle_request(at(700), other_branch, udp());
    assert_eq!(outcomes(&mut endpoint), ["ACK", "ACK"]);
    assert_eq!(lines(&mut endpoint), ["200"]);
    run(&mut endpoint, at(31_999));
    assert_eq!(endpoint.server_transactions(), 1);
    run(&mut endpoint, at(32_000));
    assert_eq!(endpoint.server_transactions(), 0);
}

// proves RFC 3261 9.2, RFC 6026 7.1: of a 2xx, which its user alone repeats, what answers a CANCEL is kept
#[test]
fn an_accepted_invite_holds_no_response_but_answers_a_cancel_alike() {
    let mut endpoint = endpoint();
    let invite = incoming(Method::Invite, "z9hG4bKi1");
    endpoint.handle_request(at(0), invite.clone(), tcp());
    let (txn, request) = arrived(&mut endpoint);
    for time in [10, 500] {
        assert!(endpoint.respond(at(time), txn, tagged(&request, StatusCode::OK)));
        let last = sent(&mut endpoint).pop().unwrap();
        assert_eq!(response(&last.bytes).status, StatusCode::OK);
        assert!(last.bytes.is_unique(), "the transaction holds the response too");
    }
    endpoint.handle_request(at(510), invite.clone(), tcp());
    assert!(sent(&mut endpoint).is_empty(), "absorbed");
    endpoint.handle_request(at(520), like(&invite, Method::Cancel), tcp());
    let answer = response(&sent(&mut endpoint)[0].bytes);
    assert_eq!((answer.status, answer.headers.to_tag().unwrap()), (StatusCode::OK, "mine".into()));
    assert!(outcomes(&mut endpoint).is_empty(), "too late to have an effect");
}

#[test]
fn an_invite_the_user_forgets_is_answered_408() {
    let mut endpoint = endpoint();
    let invite = incoming(Method::Invite, "z9hG4bKi1");
    endpoint.handle_request(at(0), invite.clone(), udp());
    let (txn, request) = arrived(&mut endpoint);
    assert!(endpoint.respond(at(0), txn, tagged(&request, StatusCode::RINGING)));
    sent(&mut endpoint);
    endpoint.handle_timeout(at(180_000));
    let sent = sent(&mut endpoint);
    let answer = response(&sent[0].bytes);
    assert_eq!((answer.status.0, &answer.reason[..]), (408, &b"Request Timeout"[..]));
    assert_eq!(answer.headers.to_tag().unwrap(), "mine");
    run(&mut endpoint, at(300_000));
    assert_eq!(outcomes(&mut endpoint), ["Timeout"]);
    assert_eq!(endpoint.server_transactions(), 0);
}

// proves RFC 4320 4.2
#[test]
fn a_message_the_user_forgets_is_dropped_in_silence() {
    let mut endpoint = endpoint();
    endpoint.handle_request(at(0), incoming(Method::Message, "z9hG4bKm1"), tcp());
    arrived(&mut endpoint);
    assert!(run(&mut endpoint, at(32_000)).is_empty());
    assert_eq!((outcomes(&mut endpoint), endpoint.server_transactions()), (vec!["Timeout".into()], 0));
}

// proves RFC 3261 9.2
#[test]
fn a_cancel_is_answered_here_and_told_once() {
    let mut endpoint = endpoint();
    let invite = incoming(Method::Invite, "z9hG4bKi1");
    endpoint.handle_request(at(0), invite.clone(), udp());
    let (txn, request) = arrived(&mut endpoint);
    endpoint.respond(at(0), txn, tagged(&request, StatusCode::RINGING));
    sent(&mut endpoint);
    let cancel = like(&invite, Method::Cancel);
    endpoint.handle_request(at(10), cancel.clone(), udp());
    endpoint.handle_request(at(20), cancel, udp());
    let sent = sent(&mut endpoint);
    assert_eq!(sent.len(), 2);
    let answer = response(&sent[0].bytes);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers.to_tag().unwrap(), "mine");
    assert_eq!(outcomes(&mut endpoint), ["cancelled"]);
}

// proves RFC 3261 9.2: without effect on what is answered or no INVITE; 481 where nothing matches
#[test]
fn a_cancel_too_late_or_astray_is_not_told() {
    let mut endpoint = endpoint();
    let invite = incoming(Method::Invite, "z9hG4bKi1");
    answered(&mut endpoint, at(0), invite.clone(), 486);
    endpoint.handle_request(at(1), incoming(Method::Message, "z9hG4bKm1"), udp());
    arrived(&mut endpoint);
    sent(&mut endpoint);
    endpoint.handle_request(at(2), like(&invite, Method::Cancel), udp());
    endpoint.handle_request(at(2), incoming(Method::Cancel, "z9hG4bKm1"), udp());
    endpoint.handle_request(at(2), incoming(Method::Cancel, "z9hG4bKnone"), udp());
    assert_eq!(lines(&mut endpoint), ["200", "200", "481"]);
    assert!(outcomes(&mut endpoint).is_empty());
}

// proves RFC 3261 8.2.2.2
#[test]
fn the_same_request_by_another_way_is_merged() {
    let mut endpoint = endpoint();
    let invite = incoming(Method::Invite, "z9hG4bKi1");
    let mut other_way = invite.clone();
    other_way.headers.set(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKi2");
    endpoint.handle_request(at(0), invite, udp());
    endpoint.handle_request(at(1), other_way.clone(), udp());
    assert_eq!(outcomes(&mut endpoint), ["INVITE"]);
    let sent = sent(&mut endpoint);
    assert_eq!(response(&sent[0].bytes).status, StatusCode::LOOP_DETECTED);
    endpoint.handle_request(at(2), like(&other_way, Method::Ack), udp());
    assert!(outcomes(&mut endpoint).is_empty());
    // So is a SUBSCRIBE that was forked (RFC 3842 3.10).
    let subscribe = incoming(Method::Subscribe, "z9hG4bKs1");
    let mut other_way = subscribe.clone();
    other_way.headers.set(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKs2");
    endpoint.handle_request(at(2), subscribe, udp());
    endpoint.handle_request(at(2), other_way, udp());
    assert_eq!(outcomes(&mut endpoint), ["SUBSCRIBE"]);
    // A MESSAGE is idempotent: its user sees it by every way.
    let message = incoming(Method::Message, "z9hG4bKm1");
    let mut other_way = message.clone();
    other_way.headers.set(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKm2");
    endpoint.handle_request(at(3), message, udp());
    endpoint.handle_request(at(3), other_way, udp());
    assert_eq!(outcomes(&mut endpoint), ["MESSAGE", "MESSAGE"]);
}

// proves RFC 3261 17.2.3, RFC 6026 8.7: by the To tag the ACK of an old client is found to be that of a 2xx, and told
#[test]
fn the_acks_of_an_old_client_to_a_2xx_are_told() {
    let mut endpoint = endpoint();
    let mut invite = bare(Method::Invite, "old", 1);
    invite.headers.push_front(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060");
    let mut ack = like(&invite, Method::Ack);
    answered(&mut endpoint, at(0), invite, 200);
    let tag = response(&sent(&mut endpoint)[0].bytes).headers.to_tag().unwrap();
    let to = format!("<sip:bob@example.com>;tag={}", String::from_utf8_lossy(&tag));
    ack.headers.set(HeaderName::To, to);
    for time in [2, 3] {
        endpoint.handle_request(at(time), ack.clone(), udp());
        assert_eq!(outcomes(&mut endpoint), ["ACK"]);
    }
}

// proves RFC 3261 17.2.3: without the cookie, the fields of RFC 2543 are compared
#[test]
fn old_clients_are_matched_by_their_fields() {
    for branch in ["", ";branch=1", ";branch=z9hG4bK"] {
        let mut endpoint = endpoint();
        let with_via = |method| {
            let mut request = bare(method, "old", 1);
            request.headers.push_front(HeaderName::Via, format!("SIP/2.0/UDP 192.0.2.1:5060{branch}"));
            request
        };
        let invite = with_via(Method::Invite);
        endpoint.handle_request(at(0), invite.clone(), udp());
        endpoint.handle_request(at(1), invite.clone(), udp());
        let (txn, request) = arrived(&mut endpoint);
        assert_eq!(lines(&mut endpoint), ["100"]);
        endpoint.respond(at(2), txn, request.respond(StatusCode::BUSY_HERE));
        let tag = response(&sent(&mut endpoint)[0].bytes).headers.to_tag().unwrap();
        let mut ack = like(&invite, Method::Ack);
        ack.headers.set(HeaderName::To, "<sip:bob@example.com>;tag=other");
        endpoint.handle_request(at(3), ack.clone(), udp());
        assert_eq!(outcomes(&mut endpoint), ["ACK"], "the tag of another response");
        let to = format!("<sip:bob@example.com>;tag={}", String::from_utf8_lossy(&tag));
        ack.headers.set(HeaderName::To, to);
        endpoint.handle_request(at(4), ack, udp());
        assert!(outcomes(&mut endpoint).is_empty());
        assert!(run(&mut endpoint, at(3000)).is_empty(), "confirmed: timer G is stopped");
        // Another Request-URI, another transaction.
        let mut other = with_via(Method::Message);
        endpoint.handle_request(at(5), other.clone(), udp());
        other.uri = "sip:carol@example.com".into();
        endpoint.handle_request(at(5), other, udp());
        assert_eq!(outcomes(&mut endpoint), ["MESSAGE", "MESSAGE"]);
    }
}

// proves RFC 3261 17.2.3: the sent-by and the method are part of the match
#[test]
fn equal_branches_of_different_senders_are_different() {
    let mut endpoint = endpoint();
    let message = incoming(Method::Message, "z9hG4bKsame");
    let mut elsewhere = message.clone();
    elsewhere.headers.set(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bKsame");
    endpoint.handle_request(at(0), message, udp());
    endpoint.handle_request(at(0), elsewhere, udp());
    endpoint.handle_request(at(0), incoming(Method::Options, "z9hG4bKsame"), udp());
    assert_eq!(outcomes(&mut endpoint), ["MESSAGE", "MESSAGE", "OPTIONS"]);
}

#[test]
fn a_branch_that_is_used_again_makes_no_other_request_a_repetition() {
    let mut endpoint = endpoint();
    let first = incoming(Method::Message, "z9hG4bKsame");
    answered(&mut endpoint, at(0), first.clone(), 202);
    sent(&mut endpoint);
    let with = |name: HeaderName, value: &'static str| {
        let mut other = first.clone();
        other.headers.set(name, value);
        other
    };
    let mut elsewhere = first.clone();
    elsewhere.uri = "sip:carol@example.com".into();
    for other in [
        with(HeaderName::CallId, "another"),
        with(HeaderName::CSeq, "2 MESSAGE"),
        with(HeaderName::From, "<sip:alice@example.org>;tag=a2"),
        elsewhere,
    ] {
        endpoint.handle_request(at(1), other, udp());
        assert_eq!(outcomes(&mut endpoint), ["MESSAGE"]);
        assert_eq!(lines(&mut endpoint), [""; 0]);
    }
    // The first itself is one, and a CANCEL still finds it.
    endpoint.handle_request(at(2), first.clone(), udp());
    assert_eq!((outcomes(&mut endpoint), lines(&mut endpoint)), (vec![], vec!["202".to_owned()]));
    endpoint.handle_request(at(3), like(&first, Method::Cancel), udp());
    assert_eq!(lines(&mut endpoint), ["200"]);
}

// proves RFC 3261 17.2.3, 9.1, 20.16: the sequence number of an INVITE, an ACK and a CANCEL is compared as a number
#[test]
fn a_sequence_number_may_have_zeros_in_front() {
    let mut endpoint = endpoint();
    let mut invite = incoming(Method::Invite, "z9hG4bKzeros");
    invite.headers.set(HeaderName::CSeq, "0001 INVITE");
    endpoint.handle_request(at(0), invite.clone(), udp());
    let Some(EndpointEvent::Request { txn, request, .. }) = endpoint.poll_event() else {
        panic!("a request")
    };
    endpoint.handle_request(at(1), like(&invite, Method::Cancel), udp());
    assert_eq!(
        (outcomes(&mut endpoint), lines(&mut endpoint)),
        (vec!["cancelled".into()], vec!["200".into()])
    );
    endpoint.respond(at(2), txn, request.respond(StatusCode::REQUEST_TERMINATED));
    assert_eq!(lines(&mut endpoint), ["487"]);
    endpoint.handle_request(at(3), like(&invite, Method::Ack), udp());
    run(&mut endpoint, at(3_000));
    assert!(outcomes(&mut endpoint).is_empty(), "the ACK was absorbed, and the 487 is not repeated");
}

#[test]
fn a_repetition_on_another_connection_is_answered_there() {
    for answered_before in [true, false] {
        let mut endpoint = endpoint();
        let first = incoming(Method::Options, "z9hG4bKagain");
        endpoint.handle_request(at(0), first.clone(), udp());
        let Some(EndpointEvent::Request { txn, request, .. }) = endpoint.poll_event() else {
            panic!("a request")
        };
        let response = tagged(&request, StatusCode::OK);
        if answered_before {
            endpoint.respond(at(1), txn, response.clone());
            sent(&mut endpoint);
        }
        endpoint.handle_request(at(2), first, tcp());
        if !answered_before {
            endpoint.respond(at(3), txn, response);
        }
        let to: Vec<_> = sent(&mut endpoint).into_iter().map(|transmit| transmit.to.flow).collect();
        assert_eq!(to, [Some(tcp())], "{answered_before}");
    }
}

#[test]
fn a_repetition_from_elsewhere_has_no_answer_sent_there() {
    let secure = Flow { transport: Transport::Tls, ..tcp() };
    let elsewhere = |flow: Flow| Flow { peer: "192.0.2.66:40000".parse().unwrap(), ..flow };
    let port = Flow { peer: "192.0.2.1:6666".parse().unwrap(), ..udp() };
    for (first, again) in
        [(udp(), elsewhere(udp())), (udp(), port), (tcp(), udp()), (tcp(), elsewhere(tcp())), (secure, tcp())]
    {
        let mut endpoint = endpoint();
        let invite = incoming(Method::Invite, "z9hG4bKforged");
        endpoint.handle_request(at(0), invite.clone(), first);
        let Some(EndpointEvent::Request { txn, request, .. }) = endpoint.poll_event() else {
            panic!("a request")
        };
        endpoint.handle_request(at(1), invite, again);
        endpoint.respond(at(2), txn, tagged(&request, StatusCode::OK));
        for transmit in sent(&mut endpoint) {
            assert_eq!(transmit.to.flow, Some(first), "{again:?}");
        }
    }
}

// proves RFC 3261 21.5.4, 8.2.7: refused without a transaction, a repetition is refused as well
#[test]
fn an_endpoint_that_refuses_new_work_goes_on_with_what_it_has() {
    let mut endpoint = endpoint();
    let known = incoming(Method::Message, "z9hG4bKknown");
    let txn = answered(&mut endpoint, at(0), known.clone(), 202);
    sent(&mut endpoint);
    endpoint.handle_request_on(at(1), known, udp(), REFUSING);
    assert_eq!(lines(&mut endpoint), ["202"], "{txn:?}");
    let fresh = incoming(Method::Message, "z9hG4bKfresh");
    endpoint.handle_request_on(at(2), fresh.clone(), udp(), REFUSING);
    let refusal = response(&sent(&mut endpoint)[0].bytes);
    assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refusal.headers.get(&HeaderName::RetryAfter).unwrap(), "5");
    let mut within = incoming(Method::Subscribe, "z9hG4bKwithin");
    within.headers.set(HeaderName::To, "<sip:bob@example.com>;tag=s0x");
    endpoint.handle_request_on(at(3), within, udp(), REFUSING);
    assert_eq!(outcomes(&mut endpoint), ["SUBSCRIBE"]);
    // There is room again, but this one has had its answer; another branch has not.
    endpoint.handle_request(at(500), fresh, udp());
    assert_eq!(lines(&mut endpoint), ["503"]);
    endpoint.handle_request(at(600), incoming(Method::Message, "z9hG4bKother"), udp());
    assert_eq!(outcomes(&mut endpoint), ["MESSAGE"]);
    // No longer than it may be repeated, and no more of them than fit.
    for n in 0..70_000 {
        endpoint.handle_request_on(
            at(700),
            incoming(Method::Message, &format!("z9hG4bKx{n}")),
            udp(),
            REFUSING,
        );
        endpoint.poll_transmit();
    }
    assert!(endpoint.refused.len() <= 2 * 32_768, "{}", endpoint.refused.len());
    assert_eq!(endpoint.server_transactions(), 2);
}

// proves RFC 3261 21.5.4, 8.2.7
#[test]
fn beyond_the_limit_requests_get_503_and_nothing_is_kept() {
    let mut endpoint = endpoint();
    endpoint.config.max_transactions = 8;
    for n in 0..8 {
        endpoint.handle_request(at(0), incoming(Method::Message, &format!("z9hG4bKm{n}")), udp());
    }
    assert_eq!(outcomes(&mut endpoint).len(), 8);
    endpoint.handle_request(at(0), incoming(Method::Message, "z9hG4bKm8"), udp());
    assert_eq!(lines(&mut endpoint), ["503"]);
    let invite = incoming(Method::Invite, "z9hG4bKi");
    endpoint.handle_request(at(0), invite.clone(), udp());
    let refusal = response(&sent(&mut endpoint)[0].bytes);
    assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refusal.headers.get(&HeaderName::RetryAfter).unwrap(), "5");
    // The ACK to it belongs to nobody and is not told.
    let mut ack = like(&invite, Method::Ack);
    ack.headers.set(HeaderName::To, refusal.headers.get(&HeaderName::To).unwrap().clone());
    endpoint.handle_request(at(1), ack, udp());
    assert_eq!((endpoint.server_transactions(), outcomes(&mut endpoint)), (8, vec![]));
    // What is in a dialog may still come in.
    let mut bye = incoming(Method::Bye, "z9hG4bKb");
    bye.headers.set(HeaderName::To, "<sip:bob@example.com>;tag=s0x");
    endpoint.handle_request(at(2), bye, udp());
    assert_eq!(outcomes(&mut endpoint), ["BYE"]);
}

// proves RFC 6026 8.8
#[test]
fn a_response_that_cannot_be_sent_is_told_once_and_kept() {
    let mut server = endpoint();
    let txn = answered(&mut server, at(0), incoming(Method::Message, "z9hG4bKm1"), 404);
    server.handle_transport_error(at(1), TransmitId::Server(txn));
    server.handle_transport_error(at(2), TransmitId::Server(txn));
    assert_eq!((outcomes(&mut server), server.server_transactions()), (vec!["Transport".into()], 1));
}

#[test]
fn one_hundred_thousand_transactions_are_small_and_end() {
    assert_eq!(size_of::<super::reply::Sent>(), size_of::<bytes::Bytes>());
    assert!(size_of::<super::server::Server>() <= 400, "{}", size_of::<super::server::Server>());
    assert!(size_of::<EndpointEvent>() <= 360, "{}", size_of::<EndpointEvent>());
    let mut endpoint = endpoint();
    for n in 0..100_000_u64 {
        answered(&mut endpoint, at(n / 10), incoming(Method::Message, &format!("z9hG4bK{n}")), 404);
        endpoint.poll_transmit();
    }
    assert_eq!(endpoint.server_transactions(), 100_000);
    endpoint.handle_timeout(at(60_000));
    assert_eq!((endpoint.server_transactions(), endpoint.poll_timeout()), (0, None));
}

// proves RFC 3261 8.2.7: nothing is kept of a challenge, nothing sent twice, and the tag stays the same
#[test]
fn a_challenge_is_forgotten_once_it_is_sent() {
    let mut endpoint = endpoint();
    for method in [Method::Invite, Method::Message] {
        let asked = incoming(method.clone(), "z9hG4bKc1");
        let mut tags = Vec::new();
        for round in 0..2 {
            endpoint.handle_request(at(round * 1000), asked.clone(), udp());
            let (txn, request) = arrived(&mut endpoint);
            assert!(endpoint.respond_and_forget(txn, request.respond(StatusCode::UNAUTHORIZED)));
            let sent = sent(&mut endpoint);
            assert_eq!(sent.len(), 1);
            assert_eq!(sent[0].id, TransmitId::Stateless);
            tags.push(response(&sent[0].bytes).headers.to_tag().unwrap());
            assert_eq!(endpoint.server_transactions(), 0);
            assert!(!endpoint.respond_and_forget(txn, request.respond(StatusCode::UNAUTHORIZED)));
            assert!(run(&mut endpoint, at(round * 1000 + 900)).is_empty());
        }
        assert_eq!(tags[0], tags[1]);
        if method == Method::Invite {
            let mut ack = like(&asked, Method::Ack);
            let to = format!("<sip:bob@example.com>;tag={}", String::from_utf8_lossy(&tags[0]));
            ack.headers.set(HeaderName::To, to);
            endpoint.handle_request(at(2000), ack, udp());
            assert!(events(&mut endpoint).is_empty(), "its ACK is absorbed");
        }
    }
    run(&mut endpoint, at(100_000));
    assert_eq!((endpoint.server_transactions(), endpoint.poll_timeout()), (0, None));
}

// proves: a flood of deposits over datagrams takes no transaction's room, and nobody else's
#[test]
fn deposits_that_were_accepted_do_not_keep_others_out() {
    let mut endpoint = endpoint();
    endpoint.config.max_transactions = 16;
    for n in 0..1000 {
        answered(&mut endpoint, at(n), incoming(Method::Message, &format!("z9hG4bKm{n}")), 202);
    }
    sent(&mut endpoint);
    endpoint.handle_request(at(1000), incoming(Method::Invite, "z9hG4bKi"), udp());
    assert_eq!(outcomes(&mut endpoint), ["INVITE"]);
    // Those in work do, up to a number; there is still room for who comes to fetch.
    for n in 0..20 {
        endpoint.handle_request(at(1001), incoming(Method::Message, &format!("z9hG4bKw{n}")), udp());
    }
    assert_eq!((endpoint.server_transactions(), lines(&mut endpoint).len()), (16, 5));
    endpoint.handle_request(at(1002), incoming(Method::Subscribe, "z9hG4bKs"), udp());
    assert_eq!(endpoint.server_transactions(), 17);
}
