//! A mailbox's subscriptions on a virtual clock, with a store that is a list.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::NOTIFY_BODY;
use super::super::summary::Listing;
use super::*;
use crate::machine::sip::Transport;
use crate::store::{Counts, Envelope, ItemHead, ItemKind, ItemState, MessageId};
use crate::wire::sip::Method;

fn at(milliseconds: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(milliseconds))
}

/// The same moment by the other clock.
fn wall(now: Instant) -> Timestamp {
    Timestamp(1_000_000).after(now - Instant::ZERO)
}

fn rules(listing: Listing, max_items: usize) -> Arc<SubscriptionRules> {
    Arc::new(SubscriptionRules {
        terms: SubscriptionTerms {
            media_type: message_summary::MEDIA_TYPE,
            expires: Duration::from_secs(3600),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(7200),
        },
        summary: SummaryRules { listing, fields: Vec::new(), max_items, max_body: NOTIFY_BODY },
        min_interval: Duration::from_secs(1),
        most: 2,
        agent: "store".into(),
    })
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Tcp,
        connection: 1,
        local: "192.0.2.2:5060".parse().unwrap(),
        peer: "192.0.2.1:5060".parse().unwrap(),
    }
}

fn subscribe(call_id: &str, cseq: u32, to_tag: Option<&str>, expires: &str) -> Request {
    let mut request = Request::new(Method::Subscribe, "sip:bob@example.com");
    let to = to_tag.map_or_else(String::new, |tag| format!(";tag={tag}"));
    for (name, value) in [
        (HeaderName::From, "<sip:bob@example.com>;tag=f1".to_owned()),
        (HeaderName::To, format!("<sip:bob@example.com>{to}")),
        (HeaderName::CallId, call_id.to_owned()),
        (HeaderName::CSeq, format!("{cseq} SUBSCRIBE")),
        (HeaderName::Contact, "<sip:bob@192.0.2.1>".to_owned()),
        (HeaderName::Event, "message-summary".to_owned()),
        (HeaderName::Expires, expires.to_owned()),
    ] {
        request.headers.push(name, value);
    }
    request
}

fn item(sequence: u64) -> ItemHead {
    ItemHead {
        message_id: MessageId::new(format!("m{sequence}")),
        kind: ItemKind::Pager,
        state: ItemState::New,
        sequence,
        arrived: Timestamp(0),
        ends: Timestamp(u64::MAX),
        envelope: Envelope::default(),
        messages: 1,
        bytes: 1,
    }
}

/// A mailbox, its store, and what it has said.
struct Bench {
    flow: Flow,
    machine: Subscriptions,
    /// The sequences of the new items.
    store: Vec<u64>,
    /// Whether the store fails.
    broken: bool,
    /// What was asked of it.
    asked: Vec<Option<ListQuery>>,
    /// Whose NOTIFYs are on their way, and the sequences that each lists.
    sent: Vec<(Ticket, Vec<u64>, String)>,
    written: Vec<(String, Written)>,
    /// Whether what is to be written down waits here until [`Bench::write`] is called.
    slow: bool,
    writing: Vec<Writing>,
    ended: Vec<String>,
    adopted: Vec<String>,
}

impl Bench {
    fn new(listing: Listing, max_items: usize) -> Self {
        Self {
            machine: Subscriptions::new(rules(listing, max_items)),
            flow: flow(),
            store: Vec::new(),
            broken: false,
            asked: Vec::new(),
            sent: Vec::new(),
            written: Vec::new(),
            slow: false,
            writing: Vec::new(),
            ended: Vec::new(),
            adopted: Vec::new(),
        }
    }

    fn ask(&mut self, now: Instant, request: &Request) -> u16 {
        let tag = format!("t{}", self.adopted.len());
        let flow = self.flow;
        let response =
            self.machine.handle_subscribe(now, request, flow, || tag, "<sip:summary@store>".into());
        self.run(now);
        response.status.0
    }

    fn run(&mut self, now: Instant) {
        self.machine.drive(now);
        while let Some(action) = self.machine.poll_action(now, wall(now)) {
            match action {
                Action::Adopt(tag, _) => self.adopted.push(tag),
                Action::Ask(ticket, query) => self.answer(now, ticket, query),
                Action::Notify { ticket, request, flow, .. } => {
                    let state = request.headers.get(&HeaderName::SubscriptionState).unwrap();
                    let state = String::from_utf8_lossy(state).into_owned();
                    let listed = String::from_utf8_lossy(&request.body).into_owned();
                    let listed = listed.split(' ').filter_map(|number| number.parse().ok()).collect();
                    assert!(flow.is_some() || !self.adopted.is_empty());
                    self.sent.push((ticket, listed, state));
                }
                Action::WriteDown(writing) if self.slow => self.writing.push(writing),
                Action::WriteDown(writing) => {
                    let Writing { tag, written, ends, answers } = writing;
                    self.written.push((tag.clone(), *written));
                    let stands = self.machine.handle_written(&tag, ends, answers, true);
                    assert!(stands || !answers);
                    self.machine.drive(now);
                }
                Action::Ended(tag) => self.ended.push(tag),
            }
        }
    }

    fn answer(&mut self, now: Instant, ticket: Ticket, query: Option<ListQuery>) {
        self.asked.push(query);
        let listed = query.map(|query| {
            let behind = |sequence: &&u64| query.after.is_none_or(|after| **sequence > after);
            self.store.iter().filter(behind).take(query.limit).map(|sequence| item(*sequence)).collect()
        });
        let told = Overview { counts: Counts::default(), items: listed.unwrap_or_default() };
        let told = (!self.broken).then_some(told);
        self.machine.handle_told(now, ticket, told, |_, told| {
            let listed: Vec<String> = told.items.iter().map(|item| item.sequence.to_string()).collect();
            Described { body: Bytes::from(listed.join(" ")), listed: listed.len() }
        });
    }

    /// The oldest of what waits to be written down is, or cannot be: whether its answer waited for it, and
    /// whether the subscription stands.
    fn write(&mut self, now: Instant, done: bool) -> (bool, bool) {
        let Writing { tag, ends, answers, .. } = self.writing.remove(0);
        let stands = self.machine.handle_written(&tag, ends, answers, done);
        self.run(now);
        (answers, stands)
    }

    /// The sequences of the only NOTIFY on its way, which is answered.
    fn notified(&mut self, now: Instant, status: u16) -> Vec<u64> {
        let [(ticket, listed, _)] = &self.sent[..] else { panic!("one NOTIFY, not {:?}", self.sent) };
        let (ticket, listed) = (*ticket, listed.clone());
        self.sent.clear();
        let _ = self.machine.handle_response(now, ticket, StatusCode(status));
        self.run(now);
        listed
    }

    fn change(&mut self, now: Instant, sequence: u64) {
        self.store.push(sequence);
        self.machine.changed(now);
        self.run(now);
    }
}

#[test]
fn all_that_is_new_is_listed_once() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.store = vec![1, 2];
    assert_eq!(bench.ask(at(0), &subscribe("c1", 1, None, "600")), 200);
    assert_eq!(bench.notified(at(10), 200), [1, 2]);
    bench.change(at(20), 3);
    assert!(bench.sent.is_empty(), "within a second of the last");
    assert_eq!(bench.machine.poll_timeout(), Some(at(1000)));
    bench.run(at(1000));
    assert_eq!(bench.notified(at(1010), 500), [3]);
    bench.change(at(5000), 4);
    assert_eq!(bench.notified(at(5010), 200), [3, 4], "what was not answered 200 is listed again");
    assert_eq!(bench.written.len(), 3, "when it was made, and after each that arrived");
    assert_eq!(bench.written.last().unwrap().1.listed, Some(4));
}

#[test]
fn more_than_fits_follows_in_the_next_ones() {
    let mut bench = Bench::new(Listing::Pending, 2);
    bench.store = vec![1, 2, 3, 4, 5];
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    assert_eq!(bench.notified(at(10), 200), [1, 2]);
    bench.run(at(1000));
    assert_eq!(bench.notified(at(1010), 200), [3, 4]);
    bench.run(at(2000));
    assert_eq!(bench.notified(at(2010), 200), [5]);
    bench.run(at(9000));
    assert!(bench.sent.is_empty());
}

// proves RFC 3842 3.5
#[test]
fn only_what_is_added_is_listed_where_the_rules_say_so() {
    let mut bench = Bench::new(Listing::Added, 10);
    bench.store = vec![1, 2];
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    assert_eq!(bench.notified(at(10), 200), Vec::<u64>::new());
    bench.change(at(2000), 3);
    assert_eq!(bench.notified(at(2010), 200), [3]);
    let mut none = Bench::new(Listing::None, 10);
    none.store = vec![1];
    none.ask(at(0), &subscribe("c1", 1, None, "600"));
    assert_eq!((none.notified(at(10), 200), none.asked), (vec![], vec![None]));
}

#[test]
fn a_store_that_fails_is_asked_again() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.broken = true;
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    assert!(bench.sent.is_empty());
    let again = bench.machine.poll_timeout().unwrap();
    assert!(again <= at(1000), "{again:?}");
    bench.broken = false;
    bench.run(again);
    assert_eq!(bench.notified(again, 200), Vec::<u64>::new());
}

// proves RFC 6665 4.2.1.4, 4.4.1, 4.2.2
#[test]
fn what_ends_is_let_go_whatever_ends_it() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.ask(at(0), &subscribe("fetch", 1, None, "0"));
    assert!(bench.sent[0].2.starts_with("terminated;reason=timeout"));
    assert_eq!(bench.written.len(), 0, "a fetch is not written down");
    bench.notified(at(10), 200);
    assert_eq!((bench.ended.clone(), bench.machine.is_empty()), (vec!["t0".to_owned()], true));

    bench.ask(at(20), &subscribe("refused", 1, None, "600"));
    bench.notified(at(30), 481);
    bench.ask(at(40), &subscribe("silent", 1, None, "600"));
    let ticket = bench.sent.remove(0).0;
    bench.machine.handle_failed(ticket);
    bench.run(at(50));
    bench.ask(at(60), &subscribe("expires", 1, None, "60"));
    bench.notified(at(70), 200);
    let end = bench.machine.poll_timeout().unwrap();
    assert_eq!(end, at(60_060));
    bench.run(end);
    assert!(bench.sent[0].2.starts_with("terminated;reason=timeout"));
    bench.notified(at(60_100), 200);
    assert_eq!(bench.ended, ["t0", "t1", "t2", "t3"]);
    assert!(bench.machine.is_empty() && bench.machine.poll_timeout().is_none());
    assert_eq!(bench.machine.handle_response(at(60_200), ticket, StatusCode::OK), NotifyOutcome::Waiting);
}

// proves RFC 6665 4.2.2: the NOTIFY behind a refresh does not wait for one that was lost with its connection
#[test]
fn who_comes_back_by_another_connection_is_told_at_once() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.store = vec![1];
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    let (lost, ..) = bench.sent.remove(0);
    bench.change(at(100), 2);
    assert_eq!(bench.ask(at(2000), &subscribe("c1", 2, Some("t0"), "600")), 200);
    assert!(bench.sent.is_empty(), "by the same connection: one at a time");
    bench.flow.connection = 2;
    assert_eq!(bench.ask(at(3000), &subscribe("c1", 3, Some("t0"), "600")), 200);
    assert_eq!(bench.sent[0].1, [1, 2], "what was not answered 200 is listed again");
    // What becomes of the lost one is nobody's affair.
    assert_eq!(bench.machine.handle_response(at(3010), lost, StatusCode(481)), NotifyOutcome::Waiting);
    bench.machine.handle_failed(lost);
    assert_eq!(bench.notified(at(3020), 200), [1, 2]);
    bench.change(at(5000), 3);
    assert_eq!(bench.notified(at(5010), 200), [3]);
    assert!(bench.ended.is_empty());
}

#[test]
fn a_refresh_and_its_refusals() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    bench.notified(at(10), 200);
    assert_eq!(bench.ask(at(20), &subscribe("c1", 2, Some("t0"), "10")), 423);
    assert_eq!(bench.ask(at(20), &subscribe("c1", 2, Some("other"), "600")), 481);
    let mut demanding = subscribe("c1", 2, Some("t0"), "600");
    demanding.headers.push(HeaderName::Require, "eventlist");
    assert_eq!(bench.ask(at(20), &demanding), 420, "RFC 3261 8.2.2.3");
    assert!(bench.sent.is_empty());
    assert_eq!(bench.ask(at(20), &subscribe("c1", 2, Some("t0"), "7000")), 200);
    assert_eq!(bench.sent[0].2, "active;expires=7000", "at once, and for longer");
    bench.notified(at(30), 200);
    assert_eq!(bench.ask(at(40), &subscribe("c2", 1, None, "600")), 200);
    assert_eq!(bench.ask(at(40), &subscribe("c3", 1, None, "600")), 480, "two at most");
    assert_eq!((bench.machine.len(), bench.machine.tags().collect::<Vec<_>>()), (2, vec!["t0", "t1"]));
}

#[test]
fn who_is_cut_off_makes_room_for_who_comes() {
    let mut bench = Bench::new(Listing::Pending, 10);
    let by = |bench: &mut Bench, connection: u64, now: u64| {
        bench.flow = Flow { transport: Transport::Ws, connection, ..flow() };
        let mut request = subscribe(&format!("c{connection}"), 1, None, "600");
        request.headers.set(HeaderName::Contact, "<sip:bob@x.invalid;transport=ws>");
        bench.ask(at(now), &request)
    };
    assert_eq!((by(&mut bench, 1, 0), by(&mut bench, 2, 10)), (200, 200));
    assert_eq!(by(&mut bench, 3, 20), 480, "two at most");
    bench.machine.handle_connection_lost(at(1000), 2);
    bench.machine.handle_connection_lost(at(1001), 1);
    assert_eq!(by(&mut bench, 4, 2000), 200);
    assert_eq!(
        (&bench.ended[..], bench.machine.len()),
        (&["t1".to_owned()][..], 2),
        "the first that was cut off"
    );
    assert_eq!(by(&mut bench, 5, 2000), 200);
    assert_eq!(by(&mut bench, 6, 2000), 480);
    bench.machine.handle_connection_lost(at(3000), 4);
    bench.run(at(33_000));
    assert_eq!(bench.ended, ["t1", "t0", "t2"], "whoever comes or not");
    assert_eq!(by(&mut bench, 7, 33_000), 200);
}

#[test]
fn a_subscription_goes_on_from_what_was_written_down() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.store = vec![1, 2];
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    bench.notified(at(10), 200);
    let (tag, written) = bench.written.pop().unwrap();
    let mut next = Bench::new(Listing::Pending, 10);
    next.store = vec![1, 2, 3];
    // The next run has a clock of its own; ten seconds have passed.
    next.machine.restore(at(0), wall(at(10_000)), tag.clone(), written.clone());
    next.run(at(0));
    next.machine.restore(at(0), wall(at(10_000)), tag.clone(), written);
    next.run(at(0));
    assert_eq!(
        (next.adopted.clone(), next.machine.len()),
        (vec![tag], 1),
        "once, however often it is resumed"
    );
    assert_eq!(next.sent[0].2, "active;expires=590");
    assert_eq!(next.notified(at(10), 200), [3]);
}

// proves RFC 6665 4.2.1.2: the NOTIFY follows the 200, which follows the store
#[test]
fn a_subscription_that_is_not_written_down_yet_is_not_notified_and_holds_up_no_other() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.ask(at(0), &subscribe("phone", 1, None, "600"));
    bench.notified(at(10), 200);
    bench.slow = true;
    bench.ask(at(20), &subscribe("desk", 1, None, "600"));
    assert!(bench.sent.is_empty(), "its 200 waits: {:?}", bench.sent);
    bench.change(at(2000), 1);
    assert_eq!(bench.notified(at(2010), 200), [1], "the phone knows nothing of the desk");
    assert_eq!(bench.machine.poll_timeout(), Some(at(600_000)), "nobody is waked for what is held");
    assert_eq!(bench.write(at(2020), true), (true, true));
    assert_eq!(bench.notified(at(2030), 200), [1], "to the desk, as soon as it has its 200");
    assert_eq!(bench.write(at(2040), true), (false, true), "what the phone was told");
}

// proves RFC 6665 4.1.2.3: a refused refresh leaves the subscription as it was
#[test]
fn what_cannot_be_written_down_is_not_granted() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.slow = true;
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    assert_eq!(bench.write(at(10), false), (true, false));
    assert_eq!((bench.ended.clone(), bench.machine.is_empty()), (vec!["t0".to_owned()], true));
    assert!(bench.sent.is_empty(), "there never was one");

    bench.ask(at(20), &subscribe("c2", 1, None, "600"));
    assert_eq!(bench.write(at(30), true), (true, true));
    bench.notified(at(40), 200);
    assert_eq!(bench.write(at(50), false), (false, false), "of no consequence: the next NOTIFY tries again");
    bench.ask(at(60), &subscribe("c2", 2, Some("t1"), "7000"));
    assert_eq!(bench.write(at(70), false), (true, false));
    assert_eq!(bench.sent[0].2, "active;expires=599", "as long as the first SUBSCRIBE was granted");
    bench.notified(at(80), 200);
    assert_eq!(bench.machine.len(), 1);
}

#[test]
fn an_answer_that_waits_is_given_whatever_becomes_of_its_subscription() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    let ticket = bench.sent.remove(0).0;
    bench.slow = true;
    bench.ask(at(10), &subscribe("c1", 2, Some("t0"), "7000"));
    bench.machine.handle_failed(ticket);
    bench.run(at(20));
    assert_eq!((bench.machine.len(), bench.ended.len()), (1, 0), "somebody waits for an answer");
    assert_eq!(bench.write(at(30), true), (true, false), "which says that it is gone");
    assert_eq!((bench.machine.len(), bench.ended.len()), (0, 1));

    bench.ask(at(40), &subscribe("c2", 1, None, "600"));
    bench.ask(at(50), &subscribe("c2", 2, Some("t1"), "0"));
    assert!(bench.sent.is_empty(), "the first 200 is still to come");
    assert_eq!(bench.write(at(60), true), (true, true));
    assert!(bench.sent[0].2.starts_with("terminated;reason=timeout"));
}

#[test]
fn what_changes_while_a_notify_waits_for_room_is_told_by_it() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.store = vec![1];
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    let (ticket, ..) = bench.sent.remove(0);
    bench.machine.handle_crowded(at(0), ticket);
    bench.change(at(10), 2);
    bench.change(at(5_000), 3);
    assert!(bench.sent.is_empty() && bench.asked.len() == 1, "nothing is asked of the store for it");
    assert_eq!(bench.ask(at(6_000), &subscribe("c1", 2, Some("t0"), "0")), 200);
    assert!(bench.sent.is_empty() && bench.ended.is_empty());
    bench.machine.handle_room(ticket);
    bench.run(at(7_000));
    assert_eq!(bench.sent[0].2, "terminated;reason=timeout");
    assert_eq!(bench.notified(at(7_010), 200), [1, 2, 3]);
    assert_eq!(bench.ended, ["t0"]);
}

#[test]
fn who_waits_for_room_holds_up_no_other() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    let (first, ..) = bench.sent.remove(0);
    bench.machine.handle_crowded(at(0), first);
    assert_eq!(bench.machine.flow(first), Some(flow()));
    bench.ask(at(0), &subscribe("c2", 1, None, "600"));
    bench.notified(at(10), 200);
    bench.change(at(2_000), 1);
    assert_eq!(bench.notified(at(2_010), 200), [1]);
    bench.machine.handle_failed(first);
    bench.run(at(3_000));
    assert_eq!((bench.ended.len(), bench.machine.len()), (1, 1), "it has waited in vain");
}

#[test]
fn what_was_not_sent_for_the_dns_did_not_answer_is_told_later() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.store = vec![1];
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    let (first, ..) = bench.sent.remove(0);
    assert_eq!(bench.machine.handle_unresolved(at(5000), first), Some(Duration::from_secs(5)));
    bench.run(at(5000));
    bench.change(at(6000), 2);
    assert!(bench.sent.is_empty() && bench.ended.is_empty());
    assert_eq!(bench.machine.poll_timeout(), Some(at(10_000)));
    bench.run(at(10_000));
    let (again, listed, _) = bench.sent.remove(0);
    assert_eq!((again, listed), (first, vec![1, 2]), "what was offered, too");
    assert_eq!(bench.machine.handle_unresolved(at(15_000), again), Some(Duration::from_secs(10)));
    bench.run(at(25_000));
    assert_eq!(bench.notified(at(25_010), 200), [1, 2]);
    bench.change(at(30_000), 3);
    assert_eq!(bench.notified(at(30_010), 200), [3]);
    // One that has ended meanwhile, and a fetch.
    assert_eq!(bench.machine.handle_unresolved(at(30_020), 99), None);
    bench.ask(at(30_030), &subscribe("fetch", 1, None, "0"));
    let mut now = 30_030;
    while let Some((ticket, ..)) = bench.sent.pop() {
        let after = bench.machine.handle_unresolved(at(now), ticket);
        now += after.map_or(0, |after| after.as_secs() * 1000);
        bench.run(at(now));
    }
    assert_eq!((now, &bench.ended[..], bench.machine.len()), (65_030, &["t1".to_owned()][..], 1));
}

#[test]
fn a_wall_clock_that_was_put_back_prolongs_no_subscription_beyond_what_is_granted() {
    let mut bench = Bench::new(Listing::Pending, 10);
    bench.ask(at(0), &subscribe("c1", 1, None, "600"));
    let (tag, mut written) = bench.written.remove(0);
    written.notifier.expires = written.notifier.expires.after(Duration::from_secs(86_400));
    let mut next = Bench::new(Listing::Pending, 10);
    next.machine.restore(at(0), wall(at(0)), tag, written);
    next.run(at(0));
    assert_eq!(next.sent[0].2, "active;expires=7200");
}
