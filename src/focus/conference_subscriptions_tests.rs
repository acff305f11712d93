//! A focus' subscriptions on a virtual clock.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::retrieval::{Failure, Retrieval};
use super::*;
use crate::machine::sip::Transport;
use crate::store::MessageId;
use crate::wire::conference_info::{ConferenceInfo, State};
use crate::wire::sip::{HeaderName, Method};

fn at(milliseconds: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(milliseconds))
}

fn flow(transport: Transport, connection: u64) -> Flow {
    let (local, peer) = ("192.0.2.2:5060".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
    Flow { transport, connection, local, peer }
}

/// A SUBSCRIBE; from an address that only its connection leads to, where `web` says so.
fn subscribe(call_id: &str, cseq: u32, to_tag: Option<&str>, web: bool) -> Request {
    let mut request = Request::new(Method::Subscribe, "sip:f-1@192.0.2.2");
    let to = to_tag.map_or_else(String::new, |tag| format!(";tag={tag}"));
    let contact = if web { "<sip:bob@gone.invalid;transport=ws>" } else { "<sip:bob@192.0.2.1>" };
    for (name, value) in [
        (HeaderName::From, "<sip:bob@example.com>;tag=f1".to_owned()),
        (HeaderName::To, format!("<sip:f-1@192.0.2.2>{to}")),
        (HeaderName::CallId, call_id.to_owned()),
        (HeaderName::CSeq, format!("{cseq} SUBSCRIBE")),
        (HeaderName::Contact, contact.to_owned()),
        (HeaderName::Event, "conference".to_owned()),
        (HeaderName::Expires, "600".to_owned()),
    ] {
        request.headers.push(name, value);
    }
    request
}

/// What a NOTIFY tells.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    state: State,
    version: u32,
    users: usize,
    /// Of the subscription.
    ends: bool,
}

fn full(version: u32) -> Told {
    Told { state: State::Full, version, users: 3, ends: false }
}

fn partial(version: u32) -> Told {
    Told { state: State::Partial, version, users: 1, ends: false }
}

/// A focus of three messages, and what it has said.
struct Bench {
    machine: ConferenceSubscriptions,
    retrieval: Retrieval,
    flow: Flow,
    sent: Vec<(Ticket, Told)>,
    adopted: Vec<String>,
    ended: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let list = ["a", "b", "c"].map(|id| (format!("sip:{id}@store"), Some(MessageId::new(id))));
        Self {
            machine: ConferenceSubscriptions::new(NOTIFY_BODY),
            retrieval: Retrieval::new(list.into()),
            flow: flow(Transport::Tcp, 1),
            sent: Vec::new(),
            adopted: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn ask(&mut self, now: Instant, request: &Request) -> u16 {
        let focus = ("t", "<sip:f-1@192.0.2.2>;isfocus");
        let response = self.machine.handle_subscribe(now, request, self.flow, focus);
        self.run(now);
        response.status.0
    }

    fn run(&mut self, now: Instant) {
        self.machine.drive(now, self.retrieval.entries());
        while let Some(action) = self.machine.poll_action() {
            match action {
                ConferenceAction::Adopt(tag, _) => self.adopted.push(tag),
                ConferenceAction::Notify { ticket, request, .. } => {
                    let info = ConferenceInfo::parse(&request.body).unwrap();
                    let state = request.headers.get(&HeaderName::SubscriptionState).unwrap();
                    self.sent.push((
                        ticket,
                        Told {
                            state: info.state,
                            version: info.version,
                            users: info.users.len(),
                            ends: state.starts_with(b"terminated;reason=noresource"),
                        },
                    ));
                }
                ConferenceAction::Ended(tag) => self.ended.push(tag),
            }
        }
    }

    /// What the only NOTIFY on its way tells; it is answered.
    fn told(&mut self, now: Instant, status: StatusCode) -> Told {
        assert_eq!(self.sent.len(), 1, "{:?}", self.sent);
        let (ticket, told) = self.sent.remove(0);
        let response = Request::new(Method::Notify, "sip:bob@192.0.2.1").respond(status);
        self.machine.handle_response(now, ticket, &response);
        self.run(now);
        told
    }

    fn change(&mut self, now: Instant, participant: Participant) {
        self.retrieval.failed(participant, Failure::NotFound);
        self.machine.changed(now, participant);
        self.run(now);
    }

    /// Watched by one, who has been told all.
    fn watched() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.ask(at(0), &subscribe("c1", 1, None, false)), 200);
        assert_eq!(bench.adopted, ["tc1"]);
        assert_eq!(bench.told(at(10), StatusCode::OK), full(1));
        bench
    }
}

// proves RFC 4575 3.9 and 4.4: all at first, then what has changed, at most once a second
#[test]
fn all_is_told_at_first_and_then_what_has_changed() {
    let mut bench = Bench::watched();
    bench.change(at(20), 0);
    assert_eq!(bench.sent, [], "within a second of the last");
    assert_eq!(bench.machine.poll_timeout(), Some(at(1000)));
    bench.run(at(1000));
    assert_eq!(bench.told(at(1010), StatusCode::OK), partial(2));
    assert_eq!(bench.ask(at(3000), &subscribe("c1", 2, Some("tc1"), false)), 200);
    assert_eq!(bench.told(at(3010), StatusCode::OK), full(3), "a refresh has all told anew");
}

#[test]
fn a_refresh_that_is_refused_has_nothing_told_anew() {
    let mut bench = Bench::watched();
    let another = subscribe("c1", 2, Some("tc1"), false);
    let mut of_another_event = another.clone();
    of_another_event.headers.set(HeaderName::Event, "conference;id=7");
    assert_eq!(bench.ask(at(100), &of_another_event), 403);
    bench.change(at(2000), 1);
    assert_eq!(bench.told(at(2010), StatusCode::OK), partial(2));
    assert_eq!(bench.ask(at(3000), &subscribe("c1", 2, Some("tc2"), false)), 481, "nobody's");
}

#[test]
fn what_could_not_be_told_is_told_wholly() {
    let mut bench = Bench::watched();
    bench.change(at(2000), 0);
    let (ticket, told) = bench.sent.remove(0);
    assert_eq!(told, partial(2));
    bench.machine.handle_crowded(at(2000), ticket);
    bench.change(at(9000), 1);
    assert_eq!(bench.sent, [], "there is no room");
    bench.machine.handle_room(ticket);
    bench.run(at(9500));
    assert_eq!(bench.told(at(9510), StatusCode::OK), full(3));
    assert!(bench.machine.knows(ticket) && !bench.machine.knows(0) && !bench.machine.knows(ticket + 1));
    bench.machine.handle_failed(ticket);
    bench.run(at(9600));
    assert_eq!((bench.machine.is_empty(), &bench.ended[..]), (true, &["tc1".to_owned()][..]));
}

#[test]
fn what_the_dns_gave_no_way_for_is_told_wholly_and_so_is_the_end() {
    let mut bench = Bench::watched();
    bench.change(at(2000), 0);
    let (ticket, told) = bench.sent.remove(0);
    assert_eq!(told, partial(2));
    assert_eq!(bench.machine.handle_unresolved(at(7000), ticket), Some(Duration::from_secs(5)));
    bench.change(at(9000), 1);
    assert_eq!((&bench.sent[..], bench.machine.poll_timeout()), (&[][..], Some(at(12_000))));
    bench.run(at(12_000));
    let (ticket, told) = bench.sent.remove(0);
    assert_eq!(told, full(3));
    bench.machine.end(at(12_500));
    assert_eq!(bench.machine.handle_unresolved(at(17_000), ticket), Some(Duration::from_secs(10)));
    bench.run(at(17_000));
    assert_eq!(bench.sent, [], "not without a pause");
    bench.run(at(27_000));
    assert_eq!(bench.told(at(27_010), StatusCode::OK), Told { ends: true, ..full(4) });
    assert_eq!((bench.machine.is_empty(), bench.ended.len()), (true, 1));
}

// proves RFC 6665 4.2.2: what is over says so, once all is told
#[test]
fn the_end_is_told_at_once_and_there_is_nothing_to_subscribe_to_any_more() {
    let mut bench = Bench::watched();
    bench.change(at(20), 0);
    bench.machine.end(at(30));
    bench.run(at(30));
    assert_eq!(bench.ask(at(40), &subscribe("c1", 2, Some("tc1"), false)), 481);
    assert_eq!(bench.ask(at(40), &subscribe("c2", 1, None, false)), 480);
    assert_eq!(bench.told(at(50), StatusCode::OK), Told { ends: true, ..partial(2) });
    assert!(bench.machine.is_empty());
    assert_eq!((bench.ended.len(), bench.machine.poll_timeout()), (1, None));
}

#[test]
fn who_was_cut_off_makes_room_for_another() {
    let mut bench = Bench::new();
    for number in 0..MOST as u64 {
        bench.flow = flow(Transport::Ws, number);
        assert_eq!(bench.ask(at(0), &subscribe(&format!("c{number}"), 1, None, true)), 200);
    }
    bench.flow = flow(Transport::Ws, 99);
    assert_eq!(bench.ask(at(10), &subscribe("another", 1, None, true)), 480);
    for (now, connection) in [(at(20), 4), (at(30), 2)] {
        bench.machine.handle_connection_lost(now, connection);
        bench.run(now);
    }
    assert_eq!(bench.ask(at(40), &subscribe("another", 1, None, true)), 200);
    assert_eq!((&bench.ended[..], bench.machine.len()), (&["tc5".to_owned()][..], MOST));
}
