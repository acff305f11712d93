//! Subscriptions: RFC 6665 4.1.3, 4.2.1, 4.2.2, 4.4.3.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use super::test_support::{at, bare, tcp};
use super::{Body, Flow, Notifier, NotifyOutcome, Refreshed, TerminationReason, Transport};
use crate::time::{Instant, Timestamp};
use crate::wire::sip::{HeaderName, Method, Request, StatusCode};

const SECOND: Duration = Duration::from_secs(1);

fn subscribe(cseq: u32) -> Request {
    let mut subscribe = bare(Method::Subscribe, "sub", cseq);
    subscribe.headers.push(HeaderName::Event, "message-summary;id=7");
    subscribe.headers.push(HeaderName::RecordRoute, "<sip:p.example.com;lr>");
    if cseq > 1 {
        subscribe.headers.set(HeaderName::To, "<sip:bob@example.com>;tag=b1");
    }
    subscribe
}

fn accepted(granted: u64) -> Notifier {
    let granted = Duration::from_secs(granted);
    Notifier::accept(at(0), &subscribe(1), tcp(), "b1", "<sip:store@192.0.2.2>", granted, SECOND).unwrap().0
}

/// Lets a NOTIFY go and be answered, and returns its Subscription-State.
fn exchange(notifier: &mut Notifier, now: Instant, status: u16) -> (String, NotifyOutcome) {
    assert!(notifier.due(now));
    let notify = notifier.notify(now, None);
    (state_of(&notify), notifier.handle_response(StatusCode(status)))
}

fn state_of(notify: &Request) -> String {
    String::from_utf8(notify.headers.get(&HeaderName::SubscriptionState).unwrap().to_vec()).unwrap()
}

// proves RFC 6665 4.2.1.1, 4.2.1.2, 4.2.2
#[test]
fn a_subscription_is_answered_and_notified_at_once() {
    let granted = Duration::from_secs(3600);
    let (mut notifier, response) =
        Notifier::accept(at(0), &subscribe(1), tcp(), "b1", "<sip:store@192.0.2.2>", granted, SECOND)
            .unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers.get(&HeaderName::Expires).unwrap(), "3600");
    assert_eq!(response.headers.to_tag().unwrap(), "b1");
    assert!(
        response.headers.contains(&HeaderName::RecordRoute)
            && response.headers.contains(&HeaderName::Contact)
    );
    assert_eq!(notifier.poll_timeout(), Some(at(0)));
    assert!(notifier.due(at(0)));
    assert!(!notifier.due(at(0)), "said once");
    let body = Body::new("application/simple-message-summary", "Messages-Waiting: no\r\n");
    let notify = notifier.notify(at(1500), Some(body));
    assert_eq!((notify.method.clone(), notify.uri.clone()), (Method::Notify, "sip:alice@192.0.2.1".into()));
    assert_eq!(notify.headers.get(&HeaderName::Event).unwrap(), "message-summary;id=7");
    assert_eq!(state_of(&notify), "active;expires=3598");
    assert_eq!(notify.headers.get(&HeaderName::Contact).unwrap(), "<sip:store@192.0.2.2>");
    assert_eq!(notify.headers.get(&HeaderName::Route).unwrap(), "<sip:p.example.com;lr>");
    assert_eq!(notify.headers.get(&HeaderName::ContentType).unwrap(), "application/simple-message-summary");
    assert_eq!(notifier.handle_response(StatusCode::TRYING), NotifyOutcome::Waiting);
    assert_eq!(notifier.handle_response(StatusCode::OK), NotifyOutcome::Delivered);
    assert_eq!(notifier.poll_timeout(), Some(at(3_600_000)));
}

#[test]
fn changes_are_merged_while_one_is_on_its_way_and_within_a_second() {
    let mut notifier = accepted(3600);
    assert!(notifier.due(at(0)));
    notifier.changed(at(1));
    let _ = notifier.notify(at(5), None);
    notifier.changed(at(10));
    assert!(!notifier.due(at(2000)), "one on its way");
    assert_eq!(notifier.handle_response(StatusCode::OK), NotifyOutcome::Delivered);
    assert_eq!(notifier.poll_timeout(), Some(at(1005)));
    assert!(!notifier.due(at(1004)));
    assert_eq!(
        exchange(&mut notifier, at(1005), 200),
        ("active;expires=3598".into(), NotifyOutcome::Delivered)
    );
    assert!(!notifier.due(at(9000)), "nothing new");
    notifier.changed(at(9000));
    assert!(notifier.due(at(9000)), "the last one is long ago");
}

#[test]
fn a_body_that_cannot_be_composed_is_tried_again() {
    let mut notifier = accepted(3600);
    assert!(notifier.due(at(0)));
    assert_eq!(notifier.poll_timeout(), Some(at(3_600_000)), "no alarm while composing");
    notifier.defer(at(10));
    assert_eq!(notifier.poll_timeout(), Some(at(1010)));
    assert!(!notifier.due(at(1009)) && notifier.due(at(1010)));
}

// proves RFC 6665 4.2.1.4
#[test]
fn a_refresh_prolongs_and_is_notified_at_once() {
    let mut notifier = accepted(60);
    exchange(&mut notifier, at(0), 200);
    let Refreshed { response, .. } =
        notifier.handle_subscribe(at(500), &subscribe(2), tcp(), Duration::from_secs(600));
    assert_eq!((response.status, response.headers.expires().unwrap()), (StatusCode::OK, Some(600)));
    assert_eq!(exchange(&mut notifier, at(500), 200).0, "active;expires=600");
    assert_eq!(notifier.expires(), at(600_500));
    let Refreshed { response: late, .. } =
        notifier.handle_subscribe(at(600), &subscribe(2), tcp(), Duration::from_secs(600));
    assert_eq!(late.status, StatusCode::SERVER_INTERNAL_ERROR, "out of order");
    let mut other = subscribe(3);
    other.headers.set(HeaderName::Event, "message-summary;id=8");
    let Refreshed { response: other, .. } =
        notifier.handle_subscribe(at(700), &other, tcp(), Duration::from_secs(600));
    assert_eq!((other.status, other.reason), (StatusCode::FORBIDDEN, super::notifier::NO_SHARING.into()));
}

// proves RFC 6665 4.2.1.4, 4.4.3
#[test]
fn unsubscribing_and_fetching_end_with_a_last_notify() {
    let mut notifier = accepted(60);
    exchange(&mut notifier, at(0), 200);
    let Refreshed { response, .. } = notifier.handle_subscribe(at(100), &subscribe(2), tcp(), Duration::ZERO);
    assert_eq!(response.headers.get(&HeaderName::Expires).unwrap(), "0");
    let last = ("terminated;reason=timeout".to_owned(), NotifyOutcome::Ended);
    assert_eq!(exchange(&mut notifier, at(100), 200), last);
    assert!(notifier.is_ended() && notifier.poll_timeout().is_none());
    let Refreshed { response: again, .. } = notifier.handle_subscribe(at(200), &subscribe(3), tcp(), SECOND);
    assert_eq!(again.status, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);

    let mut fetch = accepted(0);
    assert!(!fetch.is_active());
    assert_eq!(exchange(&mut fetch, at(0), 200), last);
}

// proves RFC 6665 4.2.2, 4.4.3
#[test]
fn an_expired_subscription_says_so_even_with_one_on_its_way() {
    let mut notifier = accepted(60);
    assert!(notifier.due(at(0)));
    let _ = notifier.notify(at(0), None);
    notifier.handle_timeout(at(59_999));
    assert!(notifier.is_active());
    notifier.handle_timeout(at(60_000));
    assert!(!notifier.is_active() && !notifier.due(at(60_000)));
    assert_eq!(notifier.handle_response(StatusCode::OK), NotifyOutcome::Delivered);
    assert_eq!(
        exchange(&mut notifier, at(60_001), 500),
        ("terminated;reason=timeout".into(), NotifyOutcome::Ended)
    );
}

#[test]
fn an_end_while_a_body_is_composed_needs_one_notify() {
    let mut notifier = accepted(60);
    assert!(notifier.due(at(0)));
    notifier.terminate(at(1), TerminationReason::Deactivated, Some(30));
    let notify = notifier.notify(at(2), None);
    assert_eq!(state_of(&notify), "terminated;reason=deactivated;retry-after=30");
    assert!(!notifier.due(at(3)));
    assert_eq!(notifier.handle_response(StatusCode::OK), NotifyOutcome::Ended);
}

// proves RFC 6665 4.2.2
#[test]
fn refusals_that_speak_of_the_subscription_end_it() {
    for status in [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604] {
        let mut notifier = accepted(60);
        assert_eq!(exchange(&mut notifier, at(0), status).1, NotifyOutcome::Ended, "{status}");
        assert!(notifier.is_ended());
    }
    for status in [400, 401, 408, 486, 500, 503] {
        let mut notifier = accepted(60);
        assert_eq!(exchange(&mut notifier, at(0), status).1, NotifyOutcome::Refused, "{status}");
        assert!(notifier.is_active());
    }
    let mut notifier = accepted(60);
    assert!(notifier.due(at(0)));
    let _ = notifier.notify(at(0), None);
    notifier.handle_failed();
    assert!(notifier.is_ended());
}

#[test]
fn a_subscription_survives_a_restart() {
    let mut notifier = accepted(60);
    exchange(&mut notifier, at(0), 200);
    let record = notifier.record(at(10_000), Timestamp(1_000_000)).unwrap();
    assert_eq!(record.expires, Timestamp(1_050_000));
    let mut restored = Notifier::restore(record, at(500), Timestamp(1_020_000), SECOND);
    assert_eq!(restored.expires(), at(30_500));
    assert!(restored.due(at(500)));
    let notify = restored.notify(at(500), None);
    assert!(notify.headers.cseq().unwrap().number > notifier.dialog().local_cseq());
    assert_eq!(state_of(&notify), "active;expires=30");
    notifier.terminate(at(0), TerminationReason::NoResource, None);
    assert_eq!(notifier.record(at(0), Timestamp(0)), None);
}

// proves RFC 3261 12.2.2: only a lower number is out of order where no transaction can know a repetition
#[test]
fn a_refresh_that_was_written_down_and_not_answered_may_be_repeated_after_a_restart() {
    let mut notifier = accepted(60);
    let refresh = subscribe(2);
    assert_eq!(
        notifier.handle_subscribe(at(0), &refresh, tcp(), Duration::from_secs(60)).response.status,
        StatusCode::OK
    );
    let record = notifier.record(at(0), Timestamp(0)).unwrap();
    let mut restored = Notifier::restore(record, at(500), Timestamp(500), SECOND);
    let again = |restored: &mut Notifier, request| {
        restored.handle_subscribe(at(600), request, tcp(), Duration::from_secs(60)).response.status
    };
    assert_eq!(again(&mut restored, &refresh), StatusCode::OK);
    assert_eq!(
        again(&mut restored, &refresh),
        StatusCode::SERVER_INTERNAL_ERROR,
        "its transaction absorbs it now"
    );
}

// proves RFC 6665 4.2.2: while it waits for room it is refreshed and changes, and its next NOTIFY says what is true
#[test]
fn a_notify_without_room_waits_and_then_says_what_is_true() {
    let mut notifier = accepted(3600);
    assert!(notifier.due(at(0)) && notifier.is_composing());
    notifier.withhold(at(0));
    notifier.changed(at(1_000));
    let Refreshed { response: refreshed, .. } =
        notifier.handle_subscribe(at(2_000), &subscribe(2), tcp(), Duration::from_secs(600));
    assert_eq!(refreshed.status, StatusCode::OK, "the answer does not wait");
    assert!(!notifier.due(at(60_000)) && !notifier.is_composing());
    assert_eq!(notifier.poll_timeout(), Some(at(602_000)), "nothing but its end is waited for");
    notifier.resume();
    assert!(notifier.due(at(62_000)));
    let notify = notifier.notify(at(62_000), None);
    assert_eq!(state_of(&notify), "active;expires=540");
    assert_eq!(notifier.handle_response(StatusCode::OK), NotifyOutcome::Delivered);
    assert!(!notifier.due(at(70_000)), "told once");
}

#[test]
fn a_notify_that_was_built_and_had_no_room_is_built_anew() {
    let mut notifier = accepted(3600);
    exchange(&mut notifier, at(0), 200);
    notifier.changed(at(5_000));
    assert!(notifier.due(at(5_000)));
    let first = notifier.notify(at(5_000), None);
    notifier.withhold(at(5_000));
    assert_eq!(notifier.handle_response(StatusCode::OK), NotifyOutcome::Waiting, "nobody has answered it");
    notifier.resume();
    assert!(notifier.due(at(5_001)), "it was due before, and nothing was sent");
    let second = notifier.notify(at(5_001), None);
    let number = |request: &Request| request.headers.cseq().unwrap().number;
    assert!(number(&second) > number(&first));
}

// proves RFC 6665 4.2.2: the NOTIFY behind a refresh does not wait for one that was lost with its connection
#[test]
fn who_comes_back_by_another_connection_is_told_at_once() {
    let other = Flow { connection: 8, ..tcp() };
    let refresh = |notifier: &mut Notifier, cseq, flow| {
        let Refreshed { response, abandoned } =
            notifier.handle_subscribe(at(100), &subscribe(cseq), flow, SECOND * 60);
        (response.status.0, abandoned)
    };
    let mut notifier = accepted(60);
    assert!(notifier.due(at(0)));
    let _ = notifier.notify(at(0), None);
    assert_eq!(refresh(&mut notifier, 2, tcp()), (200, false));
    assert!(!notifier.due(at(100)), "by the same connection: one at a time");
    assert_eq!(refresh(&mut notifier, 2, other), (500, false));
    assert_eq!(notifier.flow(), Some(tcp()), "who is refused has not moved");
    assert_eq!(refresh(&mut notifier, 3, other), (200, true));
    assert_eq!(notifier.flow(), Some(other));
    assert!(notifier.due(at(100)));

    // What is being composed is not lost: it goes by the new one.
    assert_eq!(refresh(&mut notifier, 4, tcp()), (200, false));
    let _ = notifier.notify(at(200), None);
    assert_eq!(notifier.handle_response(StatusCode::OK), NotifyOutcome::Delivered);

    // What waits for room on a connection that was left does not wait any more.
    assert!(notifier.due(at(2_000)));
    notifier.withhold(at(2_000));
    assert_eq!(refresh(&mut notifier, 5, other), (200, true));
    assert!(notifier.due(at(2_000)));
}

// proves RFC 6665 4.2.2: the first NOTIFY of a new run goes where the subscriber was, who may not be there any more
#[test]
fn who_comes_back_after_a_restart_is_told_at_once() {
    let record = accepted(60).record(at(0), Timestamp(0)).unwrap();
    let mut restored = Notifier::restore(record, at(0), Timestamp(0), SECOND);
    assert!(restored.due(at(0)));
    let _ = restored.notify(at(0), None);
    let refreshed = restored.handle_subscribe(at(100), &subscribe(2), tcp(), SECOND * 60);
    assert!(refreshed.abandoned && restored.due(at(100)));
}

// proves RFC 6665 4.2.1.4, 4.4.3: the last NOTIFY is not lost
#[test]
fn the_last_notify_waits_for_room_too() {
    let mut expiring = accepted(60);
    assert!(expiring.due(at(0)));
    expiring.withhold(at(0));
    expiring.handle_timeout(at(60_000));
    assert!(!expiring.due(at(60_000)) && !expiring.is_ended());
    expiring.resume();
    let told = exchange(&mut expiring, at(61_000), 200);
    assert_eq!(told, ("terminated;reason=timeout".to_owned(), NotifyOutcome::Ended));

    let mut unsubscribed = accepted(60);
    exchange(&mut unsubscribed, at(0), 200);
    let _ = unsubscribed.handle_subscribe(at(1_000), &subscribe(2), tcp(), Duration::ZERO);
    assert!(unsubscribed.due(at(1_000)));
    let _ = unsubscribed.notify(at(1_000), None);
    unsubscribed.withhold(at(1_000));
    unsubscribed.resume();
    let told = exchange(&mut unsubscribed, at(2_000), 200);
    assert_eq!(told, ("terminated;reason=timeout".to_owned(), NotifyOutcome::Ended));
}

// proves RFC 6665 4.2.2
#[test]
fn a_subscription_that_has_waited_in_vain_is_over() {
    let mut notifier = accepted(3600);
    assert!(notifier.due(at(0)));
    notifier.withhold(at(0));
    notifier.handle_failed();
    assert!(notifier.is_ended());
    notifier.resume();
    assert!(!notifier.due(at(1)));
}

// proves RFC 3261 21.5.1, 21.5.4, 20.33
#[test]
fn a_notify_that_is_refused_for_a_while_is_sent_again() {
    let refused = |status, retry_after: Option<&'static str>| {
        let mut notifier = accepted(60);
        assert!(notifier.due(at(0)));
        let notify = notifier.notify(at(0), None);
        notifier.changed(at(5));
        let mut response = notify.respond(StatusCode(status));
        retry_after.into_iter().for_each(|value| response.headers.push(HeaderName::RetryAfter, value));
        assert_eq!(notifier.handle_response(response.status), NotifyOutcome::Refused);
        let after = notifier.retry(at(10), &response);
        (notifier, after.map(|after| after.as_secs()))
    };
    for status in [500, 503] {
        let (mut notifier, after) = refused(status, Some("5 (I am busy)"));
        assert_eq!((after, notifier.poll_timeout()), (Some(5), Some(at(5010))));
        notifier.changed(at(1500));
        assert!(!notifier.due(at(5009)), "no change is told before");
        assert_eq!(exchange(&mut notifier, at(5010), 200).1, NotifyOutcome::Delivered);
        assert!(!notifier.due(at(9000)), "all is told");
        let (mut notifier, _) = refused(status, Some("30"));
        let _ = notifier.handle_subscribe(at(2000), &subscribe(2), tcp(), Duration::from_secs(60));
        assert!(notifier.due(at(2000)), "RFC 6665 4.2.2: at once after a refresh");
    }
    let mut refreshed = accepted(60);
    assert!(refreshed.due(at(0)));
    let mut response = refreshed.notify(at(0), None).respond(StatusCode(503));
    response.headers.push(HeaderName::RetryAfter, "30");
    let _ = refreshed.handle_subscribe(at(5), &subscribe(2), tcp(), Duration::from_secs(60));
    assert_eq!(refreshed.handle_response(response.status), NotifyOutcome::Refused);
    assert_eq!(refreshed.retry(at(10), &response), None);
    assert!(refreshed.due(at(10)), "also where that came while this one was on its way");
    assert_eq!(refused(503, Some("0")).1, Some(1), "nobody is asked without a pause");
    let (mut notifier, after) = refused(500, Some("99999999999999999999999999999"));
    assert_eq!(after, None, "that is no number");
    assert!(notifier.due(at(1000)), "the change is told");
    let (mut notifier, after) = refused(500, Some("18446744073709551615"));
    assert_eq!((after, notifier.poll_timeout()), (Some(59), Some(at(60_000))), "not beyond its end");
    notifier.handle_timeout(at(60_000));
    assert_eq!(exchange(&mut notifier, at(60_000), 503).0, "terminated;reason=timeout");
    assert!(notifier.is_ended());
    for (status, retry_after) in [(500, None), (503, None), (486, Some("5"))] {
        assert_eq!(refused(status, retry_after).1, None, "{status}");
    }
}

/// What came of a NOTIFY that is due now and that the DNS has no way for, in seconds.
fn unresolved(notifier: &mut Notifier, now: Instant) -> Option<u64> {
    assert!(notifier.due(now));
    let _ = notifier.notify(now, None);
    notifier.handle_unresolved(now).map(|after| after.as_secs())
}

// proves RFC 6665 4.2.2: a subscription is removed for a NOTIFY that fails, and none has been sent
#[test]
fn a_notify_that_has_no_way_for_now_is_sent_later_and_later() {
    let mut notifier = accepted(3600);
    let (mut now, mut pauses) = (0, Vec::new());
    for _ in 0..9 {
        let after = unresolved(&mut notifier, at(now * 1000)).unwrap();
        notifier.changed(at(now * 1000 + 10));
        now += after;
        assert_eq!(notifier.poll_timeout(), Some(at(now * 1000)), "no change is told before");
        pauses.push(after);
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 320, 320]);
    assert_eq!(exchange(&mut notifier, at(now * 1000), 200).1, NotifyOutcome::Delivered);
    now += 100;
    notifier.changed(at(now * 1000));
    assert_eq!(unresolved(&mut notifier, at(now * 1000)), Some(5), "from the beginning");
    let _ = notifier.handle_subscribe(at(now * 1000 + 1), &subscribe(2), tcp(), Duration::from_secs(60));
    assert!(notifier.due(at(now * 1000 + 1)), "RFC 6665 4.2.2: at once after a refresh");
    notifier.withhold(at(now * 1000 + 1));
    assert_eq!(notifier.handle_unresolved(at(now * 1000 + 2)), None, "of one that is not on its way");
}

#[test]
fn the_last_notify_is_tried_for_a_while_where_it_has_no_way() {
    let mut expiring = accepted(12);
    assert_eq!(unresolved(&mut expiring, at(0)), Some(5));
    assert_eq!(unresolved(&mut expiring, at(5000)), Some(7), "not beyond its end");
    expiring.handle_timeout(at(12_000));
    for (now, after) in [(12_000, 5), (17_000, 10), (27_000, 20)] {
        assert_eq!(unresolved(&mut expiring, at(now)), Some(after), "as often as if it were the first");
    }
    assert_eq!(exchange(&mut expiring, at(47_000), 200).0, "terminated;reason=timeout");
    assert!(expiring.is_ended());

    let mut fetch = accepted(0);
    for (now, after) in [(0, 5), (5000, 10), (15_000, 20)] {
        assert_eq!(unresolved(&mut fetch, at(now)), Some(after));
        fetch.hasten(at(now));
    }
    assert_eq!((unresolved(&mut fetch, at(35_000)), fetch.is_ended()), (None, true));
    assert_eq!(fetch.poll_timeout(), None);
}

fn web(connection: u64) -> Flow {
    Flow { transport: Transport::Wss, connection, ..tcp() }
}

/// A subscription of an hour that came by connection 7 and this Contact, and was told its state.
fn by_web(contact: &str, route: Option<&str>) -> Notifier {
    let mut subscribe = bare(Method::Subscribe, "sub", 1);
    subscribe.headers.push(HeaderName::Event, "message-summary;id=7");
    subscribe.headers.set(HeaderName::Contact, contact.to_owned());
    if let Some(route) = route {
        subscribe.headers.push(HeaderName::RecordRoute, route.to_owned());
    }
    let (ours, hour) = ("<sip:store@192.0.2.2>", Duration::from_secs(3600));
    let mut notifier = Notifier::accept(at(0), &subscribe, web(7), "b1", ours, hour, SECOND).unwrap().0;
    exchange(&mut notifier, at(0), 200);
    notifier
}

// proves RFC 7118 5: nobody connects to a WebSocket client
#[test]
fn a_websocket_subscriber_whose_connection_is_gone_has_a_while_to_come_back() {
    let contact = "<sip:alice@df7jal23ls0d.invalid;transport=ws>";
    let mut gone = by_web(contact, None);
    gone.handle_connection_lost(at(1000), 8);
    assert_eq!(gone.lost(), None, "another one");
    gone.handle_connection_lost(at(1000), 7);
    gone.handle_connection_lost(at(2000), 7);
    assert_eq!((gone.lost(), gone.poll_timeout()), (Some(at(31_000)), Some(at(31_000))));
    gone.handle_timeout(at(30_999));
    assert!(gone.is_active());
    gone.handle_timeout(at(31_000));
    assert!(gone.is_ended() && !gone.due(at(31_000)), "nobody is told");
    assert_eq!(gone.poll_timeout(), None);

    let mut back = by_web(contact, None);
    back.handle_connection_lost(at(1000), 7);
    let mut refresh = subscribe(2);
    refresh.headers.set(HeaderName::Contact, contact);
    let refreshed = back.handle_subscribe(at(2000), &refresh, web(9), Duration::from_secs(600));
    assert_eq!((refreshed.response.status, back.lost()), (StatusCode::OK, None));
    back.handle_connection_lost(at(2000), 7);
    back.handle_timeout(at(40_000));
    assert!(back.is_active());
    back.handle_connection_lost(at(50_000), 9);
    assert_eq!(back.lost(), Some(at(80_000)));

    for (contact, route) in [
        ("<sip:alice@192.0.2.1>", None),
        ("<sip:alice@phone.example.com;transport=tcp>", None),
        (contact, Some("<sip:edge.example.com;lr>")),
    ] {
        let mut reached = by_web(contact, route);
        reached.handle_connection_lost(at(1000), 7);
        assert_eq!(reached.lost(), None, "{contact} {route:?}");
    }
    let mut over_tcp = accepted(3600);
    over_tcp.handle_connection_lost(at(1000), 7);
    assert_eq!(over_tcp.lost(), None);
}
