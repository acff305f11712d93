//! The subscriber half of a subscription: NOTIFY before and after the 2xx, refresh, end from either side.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use super::test_support::{account, answer, at, request, transactions, within};
use super::*;
use crate::machine::sip::{FailureCause, Timers};
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

const HOUR: Duration = Duration::from_secs(3600);

fn subscribing(wanted: Duration) -> (Subscription, Request) {
    let mut subscribe = request(Method::Subscribe, "sip:charlie@example.com");
    subscribe.headers.remove(&HeaderName::Contact);
    subscribe.headers.push(HeaderName::Event, "message-summary");
    let mut subscription =
        Subscription::new(at(0), subscribe, "<sip:charlie@192.0.2.9>", wanted, Timers::default());
    let subscribe = sent(&mut subscription);
    (subscription, subscribe)
}

/// The SUBSCRIBE that it wants to be sent.
fn sent(subscription: &mut Subscription) -> Request {
    match subscription.poll_action() {
        Some(SubscriptionAction::Subscribe(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn ok(subscribe: &Request, expires: &'static str) -> Response {
    let mut response = answer(subscribe, StatusCode::OK, "s1");
    response.headers.push(HeaderName::Expires, expires);
    response
}

fn notify(subscribe: &Request, cseq: u32, state: &'static str, body: &'static str) -> Request {
    let mut notify = within(subscribe, Method::Notify, cseq, "s1");
    notify.headers.push(HeaderName::Event, "message-summary");
    notify.headers.push(HeaderName::SubscriptionState, state);
    notify.headers.push(HeaderName::ContentType, "text/x");
    notify.body = body.into();
    notify
}

/// Hands it a NOTIFY; gives the status of the answer.
fn notified(subscription: &mut Subscription, now: Instant, notify: &Request) -> u16 {
    let [txn, _] = transactions();
    subscription.handle_request(now, txn, notify);
    match subscription.poll_action() {
        Some(SubscriptionAction::Respond(_, response)) => response.status.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lost_connection_is_replaced_by_a_refresh_but_not_without_pause() {
    let (mut subscription, subscribe) = subscribing(HOUR);
    subscription.handle_response(at(0), &ok(&subscribe, "3600"));
    subscription.handle_connection_lost(at(60_000));
    assert_eq!(subscription.poll_timeout(), Some(at(32_000)), "no NOTIFY has come: that is told first");
    assert_eq!(
        notified(&mut subscription, at(60_000), &notify(&subscribe, 1, "active;expires=3600", "a")),
        200
    );
    subscription.handle_connection_lost(at(60_000));
    assert_eq!(subscription.poll_timeout(), Some(at(60_000)));
    subscription.handle_timeout(at(60_000));
    let again = sent(&mut subscription);
    assert!(again.headers.to_tag().is_some(), "within the dialog");
    subscription.handle_response(at(60_000), &ok(&again, "3600"));
    assert_eq!(
        notified(&mut subscription, at(60_000), &notify(&subscribe, 2, "active;expires=3600", "b")),
        200
    );
    subscription.handle_connection_lost(at(61_000));
    assert_eq!(subscription.poll_timeout(), Some(at(65_000)));
    subscription.unsubscribe(at(62_000));
    let _ = sent(&mut subscription);
    subscription.handle_connection_lost(at(63_000));
    subscription.handle_timeout(at(66_000));
    assert!(subscription.poll_action().is_none(), "one that ends is not refreshed");
}

fn told(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.poll_event())
        .map(|event| match event {
            SubscriptionEvent::Accepted(granted) => format!("accepted {}", granted.as_secs()),
            SubscriptionEvent::Notified(body) => String::from_utf8(body.bytes.to_vec()).unwrap(),
            SubscriptionEvent::Interrupted(SubscriptionEnd::Refused(refusal)) => {
                format!("interrupted {}", refusal.status)
            }
            SubscriptionEvent::Interrupted(end) => format!("interrupted {end:?}"),
            SubscriptionEvent::Ended(SubscriptionEnd::Refused(refusal)) => {
                format!("refused {}", refusal.status)
            }
            SubscriptionEvent::Ended(end) => format!("{end:?}"),
        })
        .collect()
}

// proves RFC 6665 4.1.2.1, 4.1.2.2
#[test]
fn it_is_refreshed_before_it_ends() {
    let (mut subscription, subscribe) = subscribing(HOUR);
    assert_eq!(subscribe.headers.expires().unwrap(), Some(3600));
    subscription.handle_response(at(10), &ok(&subscribe, "1000"));
    assert_eq!(told(&mut subscription), ["accepted 1000"]);
    assert_eq!(
        notified(&mut subscription, at(20), &notify(&subscribe, 1, "active;expires=1000", "one")),
        200
    );
    assert_eq!(told(&mut subscription), ["one"]);
    assert_eq!(subscription.poll_timeout(), Some(at(750_020)));
    subscription.handle_timeout(at(750_020));
    let refresh = sent(&mut subscription);
    assert_eq!(
        (refresh.uri.as_ref(), refresh.headers.cseq().unwrap().number),
        (&b"sip:focus@192.0.2.2:5060"[..], 2)
    );
    assert_eq!(refresh.headers.get(&HeaderName::Event).unwrap(), "message-summary");
    assert_eq!(refresh.headers.get(&HeaderName::Contact).unwrap(), "<sip:charlie@192.0.2.9>");
    subscription.handle_response(at(750_030), &ok(&refresh, "100"));
    assert_eq!(told(&mut subscription), [""; 0], "told once");
    assert_eq!(subscription.poll_timeout(), Some(at(782_020)), "until the NOTIFY comes: Timer N");
    assert_eq!(
        notified(&mut subscription, at(750_040), &notify(&subscribe, 2, "active;expires=100", "")),
        200
    );
    assert_eq!(subscription.poll_timeout(), Some(at(825_040)));
}

// proves RFC 6665 4.1.2.4, 4.4.1: a NOTIFY may come before the 2xx, and makes the dialog
#[test]
fn a_notify_before_the_answer_makes_the_dialog() {
    let (mut subscription, subscribe) = subscribing(HOUR);
    let first = notify(&subscribe, 5, "active;expires=3600", "one");
    assert!(subscription.matches(&first));
    assert_eq!(notified(&mut subscription, at(1), &first), 200);
    assert_eq!(told(&mut subscription), ["one", "accepted 3600"]);
    subscription.handle_response(at(2), &ok(&subscribe, "3600"));
    assert_eq!(told(&mut subscription), [""; 0]);
    assert!(!subscription.matches(&within(&subscribe, Method::Notify, 6, "fork")), "another branch's");
    subscription.unsubscribe(at(3));
    let end = sent(&mut subscription);
    assert_eq!((end.headers.cseq().unwrap().number, end.headers.expires().unwrap()), (2, Some(0)));
}

// proves RFC 6665 4.1.2.3
#[test]
fn it_is_unsubscribed() {
    let (mut subscription, subscribe) = subscribing(HOUR);
    subscription.handle_response(at(0), &ok(&subscribe, "3600"));
    let _ = told(&mut subscription);
    subscription.unsubscribe(at(1));
    subscription.unsubscribe(at(1));
    let end = sent(&mut subscription);
    assert!(subscription.poll_action().is_none(), "once");
    subscription.handle_response(at(2), &ok(&end, "0"));
    assert!(!subscription.is_ended(), "the last NOTIFY is awaited");
    let last = notify(&subscribe, 1, "terminated;reason=timeout", "last");
    assert_eq!(notified(&mut subscription, at(3), &last), 200);
    assert_eq!(told(&mut subscription), ["last", "Done"]);
    assert_eq!(subscription.poll_timeout(), None);
    assert_eq!(notified(&mut subscription, at(4), &notify(&subscribe, 2, "active", "")), 481);
}

// proves RFC 6665 4.4.3: the state is fetched by an Expires of 0
#[test]
fn the_state_is_fetched_once() {
    let (mut subscription, subscribe) = subscribing(Duration::ZERO);
    assert_eq!(subscribe.headers.expires().unwrap(), Some(0));
    subscription.handle_response(at(0), &ok(&subscribe, "0"));
    let only = notify(&subscribe, 1, "terminated;reason=timeout", "state");
    assert_eq!(notified(&mut subscription, at(1), &only), 200);
    assert_eq!(told(&mut subscription), ["state", "Done"]);
}

#[test]
fn refusal_silence_and_a_lost_notify_end_it() {
    let (mut subscription, subscribe) = subscribing(HOUR);
    subscription.handle_response(at(0), &answer(&subscribe, StatusCode::FORBIDDEN, "s1"));
    assert_eq!(told(&mut subscription), ["refused 403"]);
    let (mut subscription, _) = subscribing(HOUR);
    subscription.handle_failed(at(0), FailureCause::Transport);
    assert_eq!(told(&mut subscription), ["Failed(Transport)"]);
    // RFC 6665 4.1.2.1: Timer N
    let (mut subscription, subscribe) = subscribing(HOUR);
    subscription.handle_response(at(0), &ok(&subscribe, "3600"));
    let _ = told(&mut subscription);
    assert_eq!(subscription.poll_timeout(), Some(at(32_000)));
    subscription.handle_timeout(at(32_000));
    assert_eq!(told(&mut subscription), ["Failed(Timeout)"]);
}

// proves RFC 6665 4.1.2.1: 423 names the least that is granted
#[test]
fn too_short_an_interval_is_asked_for_again() {
    let (mut subscription, subscribe) = subscribing(Duration::from_secs(1));
    let mut brief = answer(&subscribe, StatusCode::INTERVAL_TOO_BRIEF, "s1");
    brief.headers.push(HeaderName::MinExpires, "60");
    subscription.handle_response(at(0), &brief);
    let again = sent(&mut subscription);
    assert_eq!((again.headers.expires().unwrap(), again.headers.cseq().unwrap().number), (Some(60), 2));
    subscription.handle_response(at(0), &brief);
    assert_eq!(told(&mut subscription), ["refused 423"], "not for ever");
}

// proves RFC 6665 4.1.3
#[test]
fn the_notifiers_end_is_told_with_its_reason() {
    let (mut subscription, subscribe) = subscribing(HOUR);
    subscription.handle_response(at(0), &ok(&subscribe, "3600"));
    let _ = told(&mut subscription);
    let last = notify(&subscribe, 1, "terminated;reason=noresource;retry-after=30", "");
    assert_eq!(notified(&mut subscription, at(1), &last), 200);
    assert_eq!(told(&mut subscription), ["Terminated { reason: \"noresource\", retry_after: Some(30s) }"]);
}

// proves RFC 6665 4.1.3, RFC 3261 12.2.2
#[test]
fn what_is_out_of_order_or_no_notify_is_refused() {
    let (mut subscription, subscribe) = subscribing(HOUR);
    subscription.handle_response(at(0), &ok(&subscribe, "3600"));
    let _ = told(&mut subscription);
    assert_eq!(notified(&mut subscription, at(1), &notify(&subscribe, 5, "active", "new")), 200);
    assert_eq!(notified(&mut subscription, at(1), &notify(&subscribe, 4, "active", "old")), 500);
    let mut other = notify(&subscribe, 6, "active", "other");
    other.headers.set(HeaderName::Event, "presence");
    assert_eq!(notified(&mut subscription, at(1), &other), 481);
    let mut stateless = notify(&subscribe, 7, "active", "stateless");
    stateless.headers.remove(&HeaderName::SubscriptionState);
    assert_eq!(notified(&mut subscription, at(1), &stateless), 400);
    assert_eq!(told(&mut subscription), ["new"]);
}

/// A subscription of an hour that was accepted and told its state at the origin.
fn subscribed() -> (Subscription, Request) {
    let (mut subscription, subscribe) = subscribing(HOUR);
    subscription.handle_response(at(0), &ok(&subscribe, "3600"));
    let state = notify(&subscribe, 1, "active;expires=3600", "state");
    assert_eq!(notified(&mut subscription, at(0), &state), 200);
    let _ = told(&mut subscription);
    (subscription, subscribe)
}

/// Has it subscribe anew; gives the SUBSCRIBE.
fn anew(subscription: &mut Subscription, now: Instant) -> Request {
    assert!(matches!(subscription.poll_action(), Some(SubscriptionAction::Anew)));
    let opening = Opening { call_id: "other@192.0.2.9".to_owned(), tag: "c2".to_owned() };
    subscription.anew(now, &opening, &account());
    sent(subscription)
}

/// Lets the time come at which it asks again.
fn due(subscription: &mut Subscription, now: Instant) {
    assert_eq!(subscription.poll_timeout(), Some(now));
    subscription.handle_timeout(now);
}

#[test]
fn a_refresh_that_cannot_be_sent_is_sent_again_as_long_as_there_is_something_to_refresh() {
    let (mut subscription, _) = subscribed();
    subscription.handle_connection_lost(at(60_000));
    due(&mut subscription, at(60_000));
    let mut now = 60_000;
    while now < 3_600_000 {
        assert!(sent(&mut subscription).headers.to_tag().is_some(), "within the dialog");
        subscription.handle_failed(at(now), FailureCause::Transport);
        now += 5_000;
        due(&mut subscription, at(now));
    }
    assert_eq!(told(&mut subscription), ["interrupted Failed(Transport)"], "once");
    let subscribe = anew(&mut subscription, at(now));
    let headers = &subscribe.headers;
    assert_eq!((headers.to_tag(), headers.from_tag().unwrap().as_ref()), (None, &b"c2"[..]));
    assert_eq!(headers.get(&HeaderName::CallId).unwrap(), "other@192.0.2.9");
    assert_eq!((headers.cseq().unwrap().number, headers.expires().unwrap()), (1, Some(3600)));
    subscription.handle_failed(at(now), FailureCause::Transport);
    due(&mut subscription, at(now + 5_000));
    let subscribe = anew(&mut subscription, at(now + 5_000));
    subscription.handle_response(at(now + 5_000), &ok(&subscribe, "3600"));
    let state = notify(&subscribe, 1, "active;expires=3600", "new");
    assert_eq!(notified(&mut subscription, at(now + 5_000), &state), 200);
    assert_eq!(told(&mut subscription), ["accepted 3600", "new"]);
    subscription.unsubscribe(at(now + 6_000));
    let end = sent(&mut subscription);
    assert_eq!((end.headers.to_tag().is_some(), end.headers.expires().unwrap()), (true, Some(0)));
}

#[test]
fn each_interruption_is_told_once() {
    let (mut subscription, subscribe) = subscribed();
    for round in [1, 2] {
        let now = u64::from(round) * 60_000;
        subscription.handle_connection_lost(at(now));
        due(&mut subscription, at(now));
        let _ = sent(&mut subscription);
        subscription.handle_failed(at(now), FailureCause::Transport);
        assert_eq!(told(&mut subscription), ["interrupted Failed(Transport)"]);
        due(&mut subscription, at(now + 5_000));
        let refresh = sent(&mut subscription);
        subscription.handle_response(at(now + 5_000), &ok(&refresh, "3600"));
        let state = notify(&subscribe, 1 + round, "active;expires=3600", "again");
        assert_eq!(notified(&mut subscription, at(now + 5_000), &state), 200);
        assert_eq!(told(&mut subscription), ["again"]);
    }
}

// proves RFC 6665 4.1.2.2, RFC 5057 5.1, RFC 3261 12.2.1.2
#[test]
fn a_refusal_of_the_moment_is_asked_about_again_and_a_lost_dialog_is_replaced() {
    for (status, is_lost) in [(480, true), (481, true), (408, true), (503, false), (500, false)] {
        let (mut subscription, subscribe) = subscribed();
        due(&mut subscription, at(2_700_000));
        let _ = sent(&mut subscription);
        let mut refusal = answer(&subscribe, StatusCode(status), "s1");
        refusal.headers.push(HeaderName::RetryAfter, "20");
        subscription.handle_response(at(2_700_000), &refusal);
        assert_eq!(told(&mut subscription), [format!("interrupted {status}")]);
        due(&mut subscription, at(2_720_000));
        let again = if is_lost { anew(&mut subscription, at(2_720_000)) } else { sent(&mut subscription) };
        assert_eq!(again.headers.to_tag().is_some(), !is_lost);
    }
    let (mut subscription, subscribe) = subscribed();
    due(&mut subscription, at(2_700_000));
    let _ = sent(&mut subscription);
    subscription.handle_response(at(2_700_000), &answer(&subscribe, StatusCode::FORBIDDEN, "s1"));
    assert_eq!(told(&mut subscription), ["refused 403"], "time does not change that");
    // A refresh of which nothing is heard.
    let (mut subscription, _) = subscribed();
    due(&mut subscription, at(2_700_000));
    let _ = sent(&mut subscription);
    due(&mut subscription, at(2_732_000));
    subscription.handle_failed(at(2_732_000), FailureCause::Timeout);
    due(&mut subscription, at(2_732_000));
    let _ = anew(&mut subscription, at(2_732_000));
    assert_eq!(told(&mut subscription), ["interrupted Failed(Timeout)"]);
}

// proves RFC 6665 4.1.3: what each reason lets a subscriber do
#[test]
fn what_the_notifier_ends_for_now_is_subscribed_to_anew() {
    let cases = [
        ("terminated;reason=deactivated", 60_000),
        ("terminated;reason=timeout", 60_000),
        ("terminated", 60_000),
        ("terminated;reason=probation;retry-after=30", 90_000),
        ("terminated;reason=giveup;retry-after=99999999999", 3_660_000),
    ];
    for (state, again) in cases {
        let (mut subscription, subscribe) = subscribed();
        assert_eq!(notified(&mut subscription, at(60_000), &notify(&subscribe, 2, state, "")), 200);
        due(&mut subscription, at(again));
        let _ = anew(&mut subscription, at(again));
        assert!(!subscription.is_ended());
    }
    for reason in
        ["terminated;reason=rejected", "terminated;reason=noresource", "terminated;reason=invariant"]
    {
        let (mut subscription, subscribe) = subscribed();
        assert_eq!(notified(&mut subscription, at(60_000), &notify(&subscribe, 2, reason, "")), 200);
        assert!(subscription.is_ended());
    }
}
