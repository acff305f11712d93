//! One endpoint, asking: RFC 3261 8.1, 9.1, 17.1, 18.1; RFC 6026.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::test_support::*;
use super::{ClientTxn, Destination, Endpoint, EndpointEvent, FailureCause, Flow, Transport};
use crate::entropy::Sequence;
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Method, Request, StatusCode};

fn to_peer(transport: Transport) -> Destination {
    Destination::new(transport, "192.0.2.1:5060".parse().unwrap())
}

fn send(endpoint: &mut Endpoint, now: Instant, request: Request, transport: Transport) -> ClientTxn {
    endpoint.request(now, request, to_peer(transport), &mut Sequence::new(9))
}

// proves RFC 3261 17.1.2.2: timers E, F and K
#[test]
fn a_request_is_repeated_until_it_is_answered() {
    let mut endpoint = endpoint();
    let txn = send(&mut endpoint, at(0), bare(Method::Notify, "n", 1), Transport::Udp);
    let first = sent(&mut endpoint);
    let request = request(&first[0].bytes);
    let via = request.headers.via().unwrap();
    assert!(via.branch().unwrap().starts_with(b"z9hG4bKs0") && via.params.has("rport"));
    assert_eq!(run(&mut endpoint, at(4000)), ["500 NOTIFY", "1500 NOTIFY", "3500 NOTIFY"]);
    endpoint.handle_response(at(4000), request.respond(StatusCode::TRYING), udp());
    assert_eq!(run(&mut endpoint, at(12_000)), ["7500 NOTIFY", "11500 NOTIFY"]);
    endpoint.handle_response(at(12_000), request.respond(StatusCode::OK), udp());
    endpoint.handle_response(at(12_100), request.respond(StatusCode::OK), udp());
    assert_eq!(outcomes(&mut endpoint), ["100", "200"]);
    run(&mut endpoint, at(17_000));
    assert_eq!(endpoint.client_transactions(), 0);
    endpoint.handle_response(at(17_001), request.respond(StatusCode::OK), udp());
    assert!(outcomes(&mut endpoint).is_empty(), "{txn:?} is gone");
}

// proves RFC 3261 18.2.2: who has overheard the branch answers by no transport and from no host of his own
#[test]
fn a_response_comes_by_the_transport_of_its_request_and_by_a_connection_from_its_host() {
    let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
    for (transport, from) in [(Transport::Udp, udp()), (Transport::Tcp, tcp())] {
        let mut endpoint = endpoint();
        send(&mut endpoint, at(0), bare(Method::Notify, "n", 1), transport);
        let request = request(&sent(&mut endpoint)[0].bytes);
        let other = if transport == Transport::Udp { tcp() } else { udp() };
        endpoint.handle_response(at(1), request.respond(gone), other);
        let elsewhere = Flow { peer: "203.0.113.9:40000".parse().unwrap(), connection: 9, ..tcp() };
        endpoint.handle_response(at(2), request.respond(gone), elsewhere);
        assert!(outcomes(&mut endpoint).is_empty());
        endpoint.handle_response(at(3), request.respond(StatusCode::OK), from);
        assert_eq!(outcomes(&mut endpoint), ["200"]);
    }
}

// proves RFC 3261 17.1.1.2, 17.1.2.2: timers B and F
#[test]
fn silence_is_a_timeout_after_64_t1() {
    for (method, repeats) in [(Method::Invite, 6), (Method::Message, 10)] {
        let mut endpoint = endpoint();
        send(&mut endpoint, at(0), bare(method, "n", 1), Transport::Udp);
        sent(&mut endpoint);
        let all = run(&mut endpoint, at(31_999));
        assert_eq!(all.len(), repeats, "{all:?}");
        assert!(outcomes(&mut endpoint).is_empty());
        run(&mut endpoint, at(32_000));
        assert_eq!(outcomes(&mut endpoint), ["Timeout"]);
        assert_eq!((endpoint.client_transactions(), endpoint.poll_timeout()), (0, None));
    }
}

// proves RFC 3261 17.1.1.3
#[test]
fn a_refusal_is_acknowledged_each_time_and_told_once() {
    let mut endpoint = endpoint();
    let mut invite = bare(Method::Invite, "i", 7);
    invite.headers.push(HeaderName::Route, "<sip:proxy.example.com;lr>");
    send(&mut endpoint, at(0), invite, Transport::Udp);
    let invite = request(&sent(&mut endpoint)[0].bytes);
    let mut busy = invite.respond(StatusCode::BUSY_HERE);
    busy.set_to_tag("b1");
    endpoint.handle_response(at(10), busy.clone(), udp());
    endpoint.handle_response(at(20), busy.clone(), udp());
    let acks = sent(&mut endpoint);
    assert_eq!(acks.len(), 2);
    let ack = request(&acks[0].bytes);
    assert_eq!((ack.method, ack.uri), (Method::Ack, invite.uri.clone()));
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::Route] {
        assert_eq!(ack.headers.get(&name), invite.headers.get(&name), "{name}");
    }
    assert_eq!(ack.headers.get(&HeaderName::To), busy.headers.get(&HeaderName::To));
    assert_eq!(ack.headers.get(&HeaderName::CSeq).unwrap(), "7 ACK");
    assert_eq!(outcomes(&mut endpoint), ["486"]);
    run(&mut endpoint, at(40_000));
    assert_eq!(endpoint.client_transactions(), 0);
}

// proves RFC 6026 7.2
#[test]
fn each_2xx_to_an_invite_is_told() {
    let mut endpoint = endpoint();
    send(&mut endpoint, at(0), bare(Method::Invite, "i", 1), Transport::Udp);
    let invite = request(&sent(&mut endpoint)[0].bytes);
    let ok = invite.respond(StatusCode::OK);
    endpoint.handle_response(at(10), ok.clone(), udp());
    endpoint.handle_response(at(600), ok.clone(), udp());
    endpoint.handle_response(at(610), invite.respond(StatusCode::BUSY_HERE), udp());
    assert_eq!(outcomes(&mut endpoint), ["200", "200"]);
    assert!(run(&mut endpoint, at(40_000)).is_empty());
    assert_eq!(endpoint.client_transactions(), 0);
}

// proves RFC 3261 9.1
#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let mut endpoint = endpoint();
    let txn = send(&mut endpoint, at(0), bare(Method::Invite, "i", 3), Transport::Udp);
    let invite = request(&sent(&mut endpoint)[0].bytes);
    endpoint.cancel(at(10), txn);
    assert!(lines(&mut endpoint).is_empty());
    endpoint.handle_response(at(20), invite.respond(StatusCode::TRYING), udp());
    let cancel = request(&sent(&mut endpoint)[0].bytes);
    assert_eq!(cancel.method, Method::Cancel);
    assert_eq!(cancel.headers.get(&HeaderName::Via), invite.headers.get(&HeaderName::Via));
    assert_eq!(cancel.headers.get(&HeaderName::CSeq).unwrap(), "3 CANCEL");
    endpoint.cancel(at(30), txn);
    endpoint.handle_response(at(40), cancel.respond(StatusCode::OK), udp());
    endpoint.handle_response(at(50), invite.respond(StatusCode::RINGING), udp());
    assert!(lines(&mut endpoint).is_empty(), "one CANCEL only");
    endpoint.handle_response(at(60), invite.respond(StatusCode::REQUEST_TERMINATED), udp());
    assert_eq!(lines(&mut endpoint), ["ACK"]);
    assert_eq!(outcomes(&mut endpoint), ["100", "180", "487"]);
    run(&mut endpoint, at(60_000));
    assert_eq!(endpoint.client_transactions(), 0);
}

// proves RFC 3261 9.1: 64*T1 after the CANCEL
#[test]
fn a_cancelled_invite_without_an_end_is_given_up() {
    let mut endpoint = endpoint();
    let txn = send(&mut endpoint, at(0), bare(Method::Invite, "i", 3), Transport::Udp);
    let invite = request(&sent(&mut endpoint)[0].bytes);
    endpoint.handle_response(at(20), invite.respond(StatusCode::TRYING), udp());
    endpoint.cancel(at(1000), txn);
    run(&mut endpoint, at(33_000));
    assert_eq!(outcomes(&mut endpoint), ["100", "Timeout"]);
    assert_eq!(endpoint.client_transactions(), 0);
}

// proves RFC 3261 18.1.1
#[test]
fn a_large_request_goes_over_tcp_and_back_to_udp_where_that_fails() {
    let mut endpoint = endpoint();
    let mut notify = bare(Method::Notify, "n", 1);
    notify.body = vec![b'x'; 1300].into();
    send(&mut endpoint, at(0), notify.clone(), Transport::Udp);
    let first = sent(&mut endpoint);
    assert_eq!((first[0].to.transport, first[0].to.upgrade), (Transport::Tcp, true));
    assert_eq!(request(&first[0].bytes).headers.via().unwrap().transport, "TCP");
    assert!(run(&mut endpoint, at(5000)).is_empty(), "nothing is repeated over TCP");
    endpoint.handle_transport_error(at(5000), first[0].id);
    let second = sent(&mut endpoint);
    let over_udp = request(&second[0].bytes);
    assert_eq!(second[0].to.transport, Transport::Udp);
    assert_eq!(over_udp.headers.via().unwrap().transport, "UDP");
    assert_eq!(
        over_udp.headers.via().unwrap().branch(),
        request(&first[0].bytes).headers.via().unwrap().branch()
    );
    endpoint.handle_transport_error(at(5001), first[0].id);
    assert_eq!(run(&mut endpoint, at(5500)), ["5500 NOTIFY"]);
    endpoint.handle_response(at(5600), over_udp.respond(StatusCode::OK), udp());
    assert_eq!(outcomes(&mut endpoint), ["200"]);
    // Where the route does not allow another transport, UDP it is.
    let stays = Destination { upgrade: false, ..to_peer(Transport::Udp) };
    endpoint.request(at(6000), notify, stays, &mut Sequence::new(3));
    assert_eq!(sent(&mut endpoint)[0].to.transport, Transport::Udp);
}

// proves RFC 3261 17.1.4
#[test]
fn a_request_that_cannot_be_sent_has_failed() {
    let mut client = endpoint();
    send(&mut client, at(0), bare(Method::Bye, "b", 1), Transport::Tcp);
    let id = sent(&mut client)[0].id;
    client.handle_transport_error(at(1), id);
    client.handle_transport_error(at(1), id);
    assert_eq!((outcomes(&mut client), client.client_transactions()), (vec!["Transport".into()], 0));
}

#[test]
fn the_via_names_the_socket_the_flow_came_to_though_it_be_bound_to_all_addresses() {
    let mut endpoint = endpoint();
    let listener = |address: &str, name: &str| (Transport::Udp, address.parse().unwrap(), name.to_owned());
    endpoint.config.sent_by = vec![
        listener("[::]:5070", "store.example.com:5070"),
        listener("192.0.2.9:5060", "192.0.2.9:5060"),
        listener("0.0.0.0:5070", "store.example.com:5070"),
        listener("0.0.0.0:5080", "store.example.com:5080"),
    ];
    for (local, sent_by) in [
        ("192.0.2.9:5060", "192.0.2.9:5060"),
        ("192.0.2.2:5080", "store.example.com:5080"),
        ("192.0.2.2:5070", "store.example.com:5070"),
        ("[2001:db8::1]:5070", "store.example.com:5070"),
    ] {
        let flow = Flow { local: local.parse().unwrap(), ..udp() };
        let (mut sent, mut to) = (bare(Method::Bye, "b", 1), Destination::back(flow));
        let (bytes, _) = endpoint.address(&mut sent, &mut to, "z9hG4bKa").unwrap();
        let via = request(&bytes).headers.get(&HeaderName::Via).unwrap().to_vec();
        assert_eq!(String::from_utf8(via).unwrap(), format!("SIP/2.0/UDP {sent_by};branch=z9hG4bKa;rport"));
    }
}

#[test]
fn without_an_address_to_send_from_a_request_fails() {
    let mut endpoint = endpoint();
    endpoint.config.sent_by.clear();
    let txn = send(&mut endpoint, at(0), bare(Method::Bye, "b", 1), Transport::Udp);
    let told = events(&mut endpoint);
    assert!(
        matches!(told[..], [EndpointEvent::Failed { txn: failed, cause: FailureCause::Transport }] if failed == txn)
    );
    assert_eq!((lines(&mut endpoint).len(), endpoint.client_transactions()), (0, 0));
}

// proves RFC 3261 18.1.2, 8.1.3.3, 17.1.3
#[test]
fn responses_that_are_not_ours_are_dropped() {
    let mut endpoint = endpoint();
    send(&mut endpoint, at(0), bare(Method::Bye, "b", 1), Transport::Udp);
    let bye = request(&sent(&mut endpoint)[0].bytes);
    let via = String::from_utf8(bye.headers.get(&HeaderName::Via).unwrap().to_vec()).unwrap();
    let mut elsewhere = bye.respond(StatusCode::OK);
    elsewhere.headers.set(HeaderName::Via, via.replace("192.0.2.2:5060", "192.0.2.3:5060"));
    let mut misrouted = bye.respond(StatusCode::OK);
    misrouted.headers.push(HeaderName::Via, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx");
    let mut other_method = bye.respond(StatusCode::OK);
    other_method.headers.set(HeaderName::CSeq, "1 MESSAGE");
    let mut other_branch = bye.respond(StatusCode::OK);
    other_branch.headers.set(HeaderName::Via, "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKnone");
    for stray in [elsewhere, misrouted, other_method, other_branch] {
        endpoint.handle_response(at(1), stray, udp());
    }
    assert!(outcomes(&mut endpoint).is_empty());
    endpoint.handle_response(at(2), bye.respond(StatusCode::OK), udp());
    assert_eq!(outcomes(&mut endpoint), ["200"]);
}
