//! Two endpoints on one virtual clock over a network that loses, repeats and reorders datagrams:
//! whatever it does, every request is told once and answered once, and everything ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::test_support::{at, bare, parse};
use super::{
    Body, ClientTxn, Destination, Dialog, Endpoint, EndpointConfig, EndpointEvent, Flow, InviteSession,
    ServerTxn, SessionAction, SessionEvent, Timers, Transport,
};
use crate::entropy::{Entropy, Sequence};
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Message, Method, Request, StatusCode, stamp_via};

const ADDRESSES: [&str; 2] = ["192.0.2.1:5060", "192.0.2.2:5060"];
const ALICE: usize = 0;
const STORE: usize = 1;

/// How bad the network is, in per cent.
#[derive(Clone, Copy)]
struct Weather {
    lost: u64,
    repeated: u64,
    latest: u64,
}

struct Packet {
    at: Instant,
    order: u64,
    to: usize,
    bytes: Bytes,
}

/// What came of one request of alice's.
#[derive(Debug, Default)]
struct Outcome {
    told: u32,
    finals: Vec<u16>,
    failed: u32,
}

struct World {
    now: Instant,
    weather: Weather,
    chance: Sequence,
    endpoints: [Endpoint; 2],
    packets: Vec<Packet>,
    sent: u64,
    outcomes: BTreeMap<String, Outcome>,
    /// Alice's INVITEs and BYEs, by transaction.
    asked: BTreeMap<ClientTxn, Request>,
    /// Alice's dialogs: the 2xx seen, and whether she has said BYE.
    calls: BTreeMap<String, (Dialog, bool)>,
    /// What the store answers later.
    answers: Vec<(Instant, ServerTxn, Request)>,
    sessions: BTreeMap<String, (InviteSession, Vec<ClientTxn>, u32)>,
}

fn address(side: usize) -> SocketAddr {
    ADDRESSES[side].parse().unwrap()
}

fn call_id(request: &Request) -> String {
    String::from_utf8(request.headers.call_id().unwrap().to_vec()).unwrap()
}

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        let endpoint = |side: usize| {
            let mut config = EndpointConfig::new(format!("e{side}"));
            config.sent_by = vec![(Transport::Udp, address(side), ADDRESSES[side].to_owned())];
            Endpoint::new(config, &mut Sequence::new(seed + side as u64))
        };
        Self {
            now: at(0),
            weather,
            chance: Sequence::new(seed),
            endpoints: [endpoint(ALICE), endpoint(STORE)],
            packets: Vec::new(),
            sent: 0,
            outcomes: BTreeMap::new(),
            asked: BTreeMap::new(),
            calls: BTreeMap::new(),
            answers: Vec::new(),
            sessions: BTreeMap::new(),
        }
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.chance.next_u64() % 100 < chance
    }

    fn ask(&mut self, request: Request) {
        let to = Destination::new(Transport::Udp, address(STORE));
        let kept = request.clone();
        let txn = self.endpoints[ALICE].request(self.now, request, to, &mut self.chance);
        self.outcomes.entry(key(&kept)).or_default();
        self.asked.insert(txn, kept);
    }

    /// Drains every poll of everybody until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for side in [ALICE, STORE] {
                while let Some(event) = self.endpoints[side].poll_event() {
                    moved = true;
                    if side == ALICE { self.tell_alice(event) } else { self.tell_store(event) }
                }
                while let Some(transmit) = self.endpoints[side].poll_transmit() {
                    moved = true;
                    let to = ADDRESSES.iter().position(|a| *a == transmit.to.addr.to_string()).unwrap();
                    self.post(to, &transmit.bytes);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn post(&mut self, to: usize, bytes: &Bytes) {
        let copies = 1 + u64::from(self.percent(self.weather.repeated));
        for _ in 0..copies {
            if !self.percent(self.weather.lost) {
                let delay = Duration::from_millis(1 + self.chance.next_u64() % self.weather.latest);
                self.sent += 1;
                self.packets.push(Packet {
                    at: self.now + delay,
                    order: self.sent,
                    to,
                    bytes: bytes.clone(),
                });
            }
        }
    }

    fn deliver(&mut self, packet: &Packet) {
        let peer = address(1 - packet.to);
        let flow = Flow { transport: Transport::Udp, connection: 0, local: address(packet.to), peer };
        match parse(&packet.bytes) {
            Message::Request(mut request) => {
                stamp_via(&mut request, peer);
                self.endpoints[packet.to].handle_request(self.now, request, flow);
            }
            Message::Response(response) => {
                self.endpoints[packet.to].handle_response(self.now, response, flow);
            }
        }
    }

    fn tell_alice(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::Response { txn, response, .. } if response.status.is_final() => {
                let request = self.asked[&txn].clone();
                let outcome = self.outcomes.get_mut(&key(&request)).unwrap();
                if request.method == Method::Invite && response.status.is_success() {
                    let id = call_id(&request);
                    let dialog = Dialog::uac(&request, &response).unwrap();
                    let number = request.headers.cseq().unwrap().number;
                    let to = Destination::new(Transport::Udp, address(STORE));
                    self.endpoints[ALICE].send_ack(dialog.ack(number), to, &mut self.chance);
                    if self.calls.contains_key(&id) {
                        return;
                    }
                    self.calls.insert(id, (dialog, false));
                }
                outcome.finals.push(response.status.0);
            }
            EndpointEvent::Failed { txn, .. } => {
                let name = key(&self.asked[&txn]);
                self.outcomes.get_mut(&name).unwrap().failed += 1;
            }
            // The store's BYE.
            EndpointEvent::Request { txn, request, .. } => {
                self.endpoints[ALICE].respond(self.now, txn, request.respond(StatusCode::OK));
            }
            _ => {}
        }
    }

    fn tell_store(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::Request { txn, request, flow } => {
                self.outcomes.get_mut(&key(&request)).unwrap().told += 1;
                if request.method == Method::Bye {
                    match self.sessions.get_mut(&call_id(&request)) {
                        Some((session, ..)) => session.handle_request(txn, request.clone(), flow),
                        None => panic!("a BYE before its INVITE"),
                    }
                    self.run_session(&call_id(&request));
                } else {
                    let delay = Duration::from_millis(self.chance.next_u64() % 400);
                    self.answers.push((self.now + delay, txn, request));
                }
            }
            EndpointEvent::Ack { request, .. } => {
                if let Some((session, ..)) = self.sessions.get_mut(&call_id(&request)) {
                    session.handle_ack(&request);
                }
                self.run_session(&call_id(&request));
            }
            EndpointEvent::Response { txn, response, .. } => {
                let id = self.session_of(txn);
                self.sessions.get_mut(&id).unwrap().0.handle_response(&response);
                self.run_session(&id);
            }
            EndpointEvent::Failed { txn, .. } => {
                let id = self.session_of(txn);
                self.sessions.get_mut(&id).unwrap().0.handle_failed();
                self.run_session(&id);
            }
            EndpointEvent::Cancelled { .. } | EndpointEvent::Ended { .. } => {}
        }
    }

    fn session_of(&self, txn: ClientTxn) -> String {
        self.sessions.iter().find(|(_, (_, byes, _))| byes.contains(&txn)).unwrap().0.clone()
    }

    fn run_session(&mut self, id: &str) {
        let Some((mut session, mut byes, mut ended)) = self.sessions.remove(id) else { return };
        let mut moved = true;
        while std::mem::take(&mut moved) {
            while let Some(action) = session.poll_action() {
                moved = true;
                match action {
                    SessionAction::Respond(txn, response) => {
                        self.endpoints[STORE].respond(self.now, txn, response);
                    }
                    SessionAction::Request(bye) => {
                        let to = Destination::new(Transport::Udp, address(ALICE));
                        byes.push(self.endpoints[STORE].request(self.now, bye, to, &mut self.chance));
                    }
                }
            }
            while let Some(event) = session.poll_event() {
                moved = true;
                match event {
                    // Every other session is ended by the store, as soon as it is confirmed.
                    SessionEvent::Confirmed { .. } if id.ends_with(['0', '2', '4']) => session.bye(None),
                    SessionEvent::Ended { .. } => ended += 1,
                    _ => {}
                }
            }
        }
        self.sessions.insert(id.to_owned(), (session, byes, ended));
    }

    /// The store answers what has waited long enough.
    fn answer(&mut self) {
        let now = self.now;
        let due = self.answers.extract_if(.., |(at, ..)| *at <= now).collect::<Vec<_>>();
        for (_, txn, request) in due {
            let id = call_id(&request);
            match &request.method {
                Method::Invite if id.starts_with("accept") => {
                    let timers = Timers::default();
                    let contact = "<sip:store@192.0.2.2>";
                    let mut session = InviteSession::new(request, txn, &id, contact, timers).unwrap();
                    session.accept(now, Some(Body::sdp("answer")), Vec::new());
                    self.sessions.insert(id.clone(), (session, Vec::new(), 0));
                    self.run_session(&id);
                }
                Method::Invite => {
                    self.endpoints[STORE].respond(now, txn, request.respond(StatusCode::BUSY_HERE));
                }
                _ => {
                    self.endpoints[STORE].respond(now, txn, request.respond(StatusCode::ACCEPTED));
                }
            }
        }
    }

    /// Alice ends the calls the store does not, a second after they began.
    fn hang_up(&mut self) {
        let ids: Vec<String> =
            self.calls.iter().filter(|(_, call)| !call.1).map(|(id, _)| id.clone()).collect();
        for id in ids {
            if id.ends_with(['1', '3', '5']) {
                let call = self.calls.get_mut(&id).unwrap();
                call.1 = true;
                let bye = call.0.request(Method::Bye, None);
                self.ask(bye);
            }
        }
    }

    /// Goes on to the next moment at which something happens; `false` when nothing ever will.
    fn step(&mut self) -> bool {
        let timers = self.endpoints.iter().filter_map(Endpoint::poll_timeout);
        let packets = self.packets.iter().map(|packet| packet.at);
        let answers = self.answers.iter().map(|(at, ..)| *at);
        let sessions = self.sessions.values().filter_map(|(session, ..)| session.poll_timeout());
        let Some(next) = timers.chain(packets).chain(answers).chain(sessions).min() else { return false };
        self.now = self.now.max(next);
        let now = self.now;
        let mut arrived = self.packets.extract_if(.., |packet| packet.at <= now).collect::<Vec<_>>();
        arrived.sort_by_key(|packet| (packet.at, packet.order));
        for packet in arrived {
            self.deliver(&packet);
            self.settle();
        }
        for endpoint in &mut self.endpoints {
            endpoint.handle_timeout(now);
        }
        self.settle();
        let ids: Vec<String> = self.sessions.keys().cloned().collect();
        for id in ids {
            self.sessions.get_mut(&id).unwrap().0.handle_timeout(now);
            self.run_session(&id);
        }
        self.answer();
        self.hang_up();
        self.settle();
        true
    }

    fn run(seed: u64, weather: Weather) -> Self {
        let mut world = Self::new(seed, weather);
        for n in 0..6 {
            let mut invite = bare(Method::Invite, &format!("accept{n}"), 1);
            invite.body = "offer".into();
            invite.headers.push(HeaderName::ContentType, "application/sdp");
            world.ask(invite);
            world.ask(bare(Method::Invite, &format!("refuse{n}"), 1));
            world.ask(bare(Method::Message, &format!("message{n}"), 1));
            world.ask(bare(Method::Options, &format!("options{n}"), 1));
        }
        world.settle();
        let mut steps = 0;
        while world.step() {
            steps += 1;
            assert!(steps < 100_000, "it does not end");
        }
        world
    }

    fn check(&self, seed: u64) -> u32 {
        let mut failures = 0;
        for (name, outcome) in &self.outcomes {
            assert_eq!(outcome.finals.len() as u32 + outcome.failed, 1, "seed {seed}: {name} {outcome:?}");
            assert!(outcome.told <= 1, "seed {seed}: {name} {outcome:?}");
            assert!(outcome.told == 1 || outcome.failed == 1, "seed {seed}: {name} {outcome:?}");
            failures += outcome.failed;
        }
        for (id, (session, _, ended)) in &self.sessions {
            assert!(session.is_ended() && *ended == 1, "seed {seed}: {id} {session:?}");
        }
        for endpoint in &self.endpoints {
            assert_eq!(
                (endpoint.server_transactions(), endpoint.client_transactions()),
                (0, 0),
                "seed {seed}"
            );
            assert_eq!(endpoint.poll_timeout(), None);
        }
        failures
    }
}

fn key(request: &Request) -> String {
    format!("{} {}", request.method, call_id(request))
}

// proves RFC 3261 17: reliability is the transactions' affair
#[test]
fn every_request_is_told_and_answered_once_in_any_weather() {
    let bad = Weather { lost: 20, repeated: 20, latest: 900 };
    let failures: u32 = (0..100).map(|seed| World::run(seed, bad).check(seed)).sum();
    // 100 * 27 requests; a few may lose all of their copies.
    assert!(failures < 30, "{failures}");
}

#[test]
fn nothing_fails_in_fair_weather_or_when_it_only_rains_copies() {
    for weather in
        [Weather { lost: 0, repeated: 0, latest: 20 }, Weather { lost: 0, repeated: 60, latest: 1500 }]
    {
        let failures: u32 = (0..30).map(|seed| World::run(seed, weather).check(seed)).sum();
        assert_eq!(failures, 0);
    }
}

#[test]
fn everything_ends_when_the_network_is_dead() {
    for seed in 0..5 {
        let failures = World::run(seed, Weather { lost: 100, repeated: 0, latest: 10 }).check(seed);
        assert_eq!(failures, 24);
    }
}
