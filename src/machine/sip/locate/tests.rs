//! Targets, records and places: RFC 3263 4 and 5, RFC 2782, RFC 3403.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;

use bytes::Bytes;

use super::*;
use crate::entropy::{Entropy, Sequence};
use crate::machine::sip::Transport;
use crate::wire::sip::Via;

const ALL: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls];
const PLAIN: &[Transport] = &[Transport::Udp, Transport::Tcp];

/// A DNS in memory, and what it was asked.
#[derive(Default)]
struct Zone {
    naptr: HashMap<&'static str, Vec<Naptr>>,
    srv: HashMap<&'static str, Vec<Srv>>,
    addresses: HashMap<&'static str, &'static [&'static str]>,
    silent: &'static [&'static str],
    asked: Vec<String>,
}

fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
    let (service, replacement) = (service.as_bytes().to_vec(), replacement.to_owned());
    Naptr { order, preference, flags: b"s".to_vec(), service, regexp: Vec::new(), replacement }
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
    Srv { priority, weight, port, target: target.to_owned() }
}

impl Zone {
    /// What RFC 3263 4.1 shows, and addresses for it.
    fn example() -> Self {
        let mut zone = Self::default();
        zone.naptr.insert(
            "example.com",
            vec![
                naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com."),
                naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com."),
                naptr(100, 50, "SIP+D2U", "_sip._udp.example.com."),
            ],
        );
        zone.srv.insert("_sips._tcp.example.com", vec![srv(0, 0, 5061, "server1.example.com.")]);
        zone.srv.insert(
            "_sip._tcp.example.com",
            vec![srv(0, 0, 5060, "server1.example.com."), srv(1, 0, 5070, "server2.example.com.")],
        );
        zone.srv.insert("_sip._udp.example.com", vec![srv(0, 0, 5062, "server2.example.com.")]);
        zone.addresses.insert("server1.example.com", &["192.0.2.1", "2001:db8::1"]);
        zone.addresses.insert("server2.example.com", &["192.0.2.2"]);
        zone.addresses.insert("example.com", &["192.0.2.80"]);
        zone.srv.insert("_sip._udp.srv.example", vec![srv(0, 0, 5080, "server1.example.com")]);
        zone.srv.insert("_sip._tcp.srv.example", vec![srv(0, 0, 5090, "server2.example.com")]);
        zone.srv.insert("_sips._tcp.srv.example", vec![srv(0, 0, 5091, "server2.example.com")]);
        zone.addresses.insert("host.example", &["192.0.2.3"]);
        zone.srv.insert("_sip._udp.none.example", vec![srv(0, 0, 0, ".")]);
        zone.srv.insert("_sip._tcp.none.example", vec![srv(0, 0, 0, ".")]);
        zone.addresses.insert("none.example", &["192.0.2.4"]);
        zone
    }

    fn answer(&mut self, question: &Question) -> Result<Answer, NoAnswer> {
        let (kind, name) = match question {
            Question::Naptr(name) => ("NAPTR", name),
            Question::Srv(name) => ("SRV", name),
            Question::Addresses(name) => ("A", name),
        };
        self.asked.push(format!("{kind} {name}"));
        if self.silent.contains(&&**name) {
            return Err(NoAnswer::Failed);
        }
        let found = match question {
            Question::Naptr(name) => self.naptr.get(&**name).cloned().map(Answer::Naptr),
            Question::Srv(name) => self.srv.get(&**name).cloned().map(Answer::Srv),
            Question::Addresses(name) => self
                .addresses
                .get(&**name)
                .map(|all| Answer::Addresses(all.iter().map(|ip| ip.parse().unwrap()).collect())),
        };
        found.ok_or(NoAnswer::NotFound)
    }

    fn places(&mut self, target: Target, supported: &[Transport]) -> Result<Vec<Place>, LocateError> {
        let mut locate = Locate::new(target, supported);
        let mut questions = 0;
        while let Some(question) = locate.poll_question() {
            assert!(locate.outcome().is_none(), "{question:?} although it is done");
            questions += 1;
            assert!(questions <= 3 * 8);
            let answer = self.answer(&question);
            locate.handle_answer(&question, answer, &mut Sequence::new(3));
        }
        locate.into_outcome()
    }

    fn locate(&mut self, uri: &str, supported: &[Transport]) -> Result<Vec<String>, LocateError> {
        let target = Target::parse(&Bytes::copy_from_slice(uri.as_bytes()))?;
        let places = self.places(target, supported)?;
        Ok(places.iter().map(|place| format!("{} {}", place.transport, place.addr)).collect())
    }
}

fn locate(uri: &str, supported: &[Transport]) -> Result<Vec<String>, LocateError> {
    Zone::example().locate(uri, supported)
}

// proves RFC 3263 4.1, 4.2: every combination of scheme, host, port and transport
#[test]
fn every_kind_of_uri_has_its_places() {
    let table: &[(&str, &[&str])] = &[
        // numeric: UDP for sip, TLS for sips; the port of the URI, else that of the transport
        ("sip:192.0.2.7", &["UDP 192.0.2.7:5060"]),
        ("sip:bob@192.0.2.7:5080", &["UDP 192.0.2.7:5080"]),
        ("sip:bob@192.0.2.7;transport=tcp", &["TCP 192.0.2.7:5060"]),
        ("sip:bob@192.0.2.7;transport=TLS", &["TLS 192.0.2.7:5061"]),
        ("sip:bob@[2001:db8::7]:5070;transport=tcp", &["TCP [2001:db8::7]:5070"]),
        ("sips:bob@192.0.2.7", &["TLS 192.0.2.7:5061"]),
        ("sips:bob@192.0.2.7;transport=tcp", &["TLS 192.0.2.7:5061"]),
        // maddr is the TARGET
        ("sip:bob@example.org;maddr=192.0.2.9", &["UDP 192.0.2.9:5060"]),
        ("sip:bob@example.org:5065;maddr=[2001:db8::9];transport=tcp", &["TCP [2001:db8::9]:5065"]),
        ("sip:bob@192.0.2.7;maddr=HOST.example;transport=udp", &["UDP 192.0.2.3:5060"]),
        // a port: addresses, no SRV
        ("sip:bob@srv.example:5060", &[]),
        ("sip:bob@example.com:5066", &["UDP 192.0.2.80:5066"]),
        ("sips:bob@example.com:5066", &["TLS 192.0.2.80:5066"]),
        ("sip:bob@server1.example.com:7;transport=tcp", &["TCP 192.0.2.1:7", "TCP [2001:db8::1]:7"]),
        // a transport: SRV for it, `_sips` for TLS; else addresses
        (
            "sip:example.com;transport=tcp",
            &["TCP 192.0.2.1:5060", "TCP [2001:db8::1]:5060", "TCP 192.0.2.2:5070"],
        ),
        ("sip:example.com;transport=udp", &["UDP 192.0.2.2:5062"]),
        ("sip:srv.example;transport=tls", &["TLS 192.0.2.2:5091"]),
        ("sips:srv.example;transport=tcp", &["TLS 192.0.2.2:5091"]),
        ("sip:host.example;transport=tcp", &["TCP 192.0.2.3:5060"]),
        // neither: NAPTR
        ("sip:user@EXAMPLE.com", &["TLS 192.0.2.1:5061", "TLS [2001:db8::1]:5061"]),
        ("sips:user@example.com.", &["TLS 192.0.2.1:5061", "TLS [2001:db8::1]:5061"]),
        // without NAPTR: SRV of each transport; `_sips` for SIPS
        ("sip:srv.example", &["UDP 192.0.2.1:5080", "UDP [2001:db8::1]:5080", "TCP 192.0.2.2:5090"]),
        ("sips:srv.example", &["TLS 192.0.2.2:5091"]),
        // without SRV: the addresses of the domain
        ("sip:host.example", &["UDP 192.0.2.3:5060"]),
        ("sips:host.example", &["TLS 192.0.2.3:5061"]),
    ];
    for (uri, places) in table {
        let expected = if places.is_empty() { Err(LocateError::NotFound) } else { Ok(*places) };
        let found = locate(uri, ALL);
        let found: Result<Vec<&str>, _> =
            found.as_ref().map(|all| all.iter().map(String::as_str).collect()).map_err(|error| *error);
        assert_eq!(found.as_deref(), expected.as_deref(), "{uri}");
    }
}

// proves RFC 3263 4.1: the example, for a client without TLS
#[test]
fn the_most_preferred_transport_that_is_supported_is_used() {
    let mut zone = Zone::example();
    let found = zone.locate("sip:user@example.com", PLAIN).unwrap();
    assert_eq!(found, ["TCP 192.0.2.1:5060", "TCP [2001:db8::1]:5060", "TCP 192.0.2.2:5070"]);
    assert_eq!(
        zone.asked,
        ["NAPTR example.com", "SRV _sip._tcp.example.com", "A server1.example.com", "A server2.example.com"]
    );
}

// proves RFC 3263 4.1: what is not SIPS MUST be discarded for a SIPS URI
#[test]
fn a_sips_uri_takes_no_plain_service() {
    let mut zone = Zone::example();
    zone.naptr.insert("example.com", vec![naptr(1, 1, "SIP+D2T", "_sip._tcp.example.com")]);
    let found = zone.locate("sips:example.com", ALL).unwrap();
    assert_eq!(found, ["TLS 192.0.2.1:5061", "TLS [2001:db8::1]:5061"], "by the SRV records of _sips");
    assert_eq!(zone.asked[1], "SRV _sips._tcp.example.com");
}

// proves RFC 3403 4.1, RFC 3263 4.1
#[test]
fn naptr_records_are_taken_by_order_and_preference_and_only_those_that_fit() {
    let mut odd = naptr(1, 1, "SIP+D2U", "_sip._udp.odd.example");
    odd.regexp = b"!.*!x!".to_vec();
    let mut terminal = naptr(1, 1, "SIP+D2U", "_sip._udp.odd.example");
    terminal.flags = b"u".to_vec();
    let mut zone = Zone::example();
    zone.naptr.insert(
        "many.example",
        vec![
            naptr(20, 1, "SIP+D2U", "_sip._udp.later.example"),
            naptr(10, 2, "sip+d2t", "_sip._tcp.srv.example"),
            naptr(10, 1, "SIP+D2U", "_sip._udp.srv.example"),
            naptr(1, 1, "SIP+D2S", "_sip._sctp.srv.example"),
            naptr(1, 1, "E2U+sip", "_sip._udp.odd.example"),
            odd,
            terminal,
        ],
    );
    let found = zone.locate("sip:many.example", PLAIN).unwrap();
    assert_eq!(found, ["UDP 192.0.2.1:5080", "UDP [2001:db8::1]:5080", "TCP 192.0.2.2:5090"]);
    assert!(
        !zone.asked.iter().any(|asked| asked.contains("odd") || asked.contains("later")),
        "{:?}",
        zone.asked
    );
}

// proves RFC 2782: a target of "."
#[test]
fn a_service_that_is_denied_is_not_sought_elsewhere() {
    assert_eq!(locate("sip:none.example", PLAIN), Err(LocateError::NotOffered));
    assert_eq!(locate("sip:none.example;transport=tcp", PLAIN), Err(LocateError::NotOffered));
    assert_eq!(locate("sip:none.example:5060", PLAIN).unwrap(), ["UDP 192.0.2.4:5060"]);
}

#[test]
fn says_why_a_uri_leads_nowhere() {
    let table = [
        ("tel:+1", LocateError::Malformed),
        ("sip:a..b.example", LocateError::Malformed),
        ("sip:b@192.0.2.7;transport=carrier-pigeon", LocateError::Transport),
        ("sip:b@192.0.2.7;transport=ws", LocateError::Transport),
        ("sips:b@192.0.2.7;transport=udp", LocateError::Transport),
        ("sip:nobody.invalid", LocateError::NotFound),
    ];
    for (uri, error) in table {
        assert_eq!(locate(uri, ALL), Err(error), "{uri}");
    }
    for uri in
        ["sips:b@192.0.2.7", "sips:example.com", "sip:example.com;transport=tls", "sips:host.example:1"]
    {
        assert_eq!(locate(uri, PLAIN), Err(LocateError::Transport), "{uri}");
    }
    let long = format!("sip:{}.example", "a".repeat(64));
    assert_eq!(locate(&long, ALL), Err(LocateError::Malformed));
}

#[test]
fn what_goes_unanswered_is_done_without() {
    let mut zone = Zone { silent: &["example.com"], ..Zone::example() };
    let found = zone.locate("sip:example.com", PLAIN).unwrap();
    assert_eq!(found[0], "UDP 192.0.2.2:5062", "no NAPTR: the SRV records of each transport");
    let mut zone = Zone { silent: &["server1.example.com"], ..Zone::example() };
    assert_eq!(zone.locate("sip:example.com;transport=tcp", PLAIN).unwrap(), ["TCP 192.0.2.2:5070"]);
    let mut zone = Zone { silent: &["host.example"], ..Zone::example() };
    assert_eq!(zone.locate("sip:host.example", PLAIN), Err(LocateError::Timeout));
}

#[test]
fn a_large_answer_is_cut() {
    let mut zone = Zone::example();
    zone.srv.insert("_sip._udp.big.example", (0..500).map(|n| srv(n, 0, 1, "server1.example.com")).collect());
    let found = zone.locate("sip:big.example;transport=udp", PLAIN).unwrap();
    assert_eq!(
        found,
        ["UDP 192.0.2.1:1", "UDP [2001:db8::1]:1"],
        "one host, asked for once, each place once"
    );
    let hosts: Vec<Srv> = (0..500).map(|n| srv(n, 0, 1, &format!("h{n}.example"))).collect();
    zone.srv.insert("_sip._udp.big.example", hosts);
    assert_eq!(zone.locate("sip:big.example;transport=udp", PLAIN), Err(LocateError::NotFound));
    assert_eq!(zone.asked.iter().filter(|asked| asked.starts_with("A h")).count(), 8);
}

#[test]
fn an_srv_target_that_is_an_address_is_used_as_it_is() {
    let mut zone = Zone::example();
    zone.srv.insert("_sip._udp.lazy.example", vec![srv(0, 0, 5064, "192.0.2.44")]);
    assert_eq!(zone.locate("sip:lazy.example;transport=udp", PLAIN).unwrap(), ["UDP 192.0.2.44:5064"]);
}

// proves RFC 5922 7.3, RFC 3263 4.1: a certificate is to name the domain that was looked for
#[test]
fn the_domain_goes_along_with_each_place() {
    let domain = |uri: &'static str| {
        let target = Target::parse(&Bytes::from_static(uri.as_bytes())).unwrap();
        Zone::example().places(target, ALL).unwrap().pop().unwrap().domain
    };
    assert_eq!(domain("sips:EXAMPLE.com").as_deref(), Some("example.com"), "not server1.example.com");
    assert_eq!(domain("sips:bob@192.0.2.7"), None);
}

// proves RFC 3261 18.1.1, RFC 3263 4.1: a large request may go over TCP unless UDP was named
#[test]
fn only_where_udp_was_not_named_a_request_may_be_upgraded() {
    let upgrade = |uri: &'static str| {
        let target = Target::parse(&Bytes::from_static(uri.as_bytes())).unwrap();
        Zone::example().places(target, PLAIN).unwrap()[0].upgrade
    };
    assert!(upgrade("sip:192.0.2.7") && upgrade("sip:host.example"));
    assert!(!upgrade("sip:192.0.2.7;transport=udp") && !upgrade("sip:192.0.2.7;transport=tcp"));
}

/// Draws what it is told.
struct Drawn(Vec<u64>);

impl Entropy for Drawn {
    fn next_u64(&mut self) -> u64 {
        self.0.remove(0)
    }
}

// proves RFC 2782, usage rules: the running sum, with weight 0 first
#[test]
fn srv_records_are_drawn_by_weight_within_their_priority() {
    let records = || vec![srv(1, 5, 0, "last"), srv(0, 3, 0, "a"), srv(0, 0, 0, "zero"), srv(0, 1, 0, "b")];
    let order = |draws: &[u64]| {
        let ordered = super::records::srv_order(records(), &mut Drawn(draws.to_vec()));
        ordered.iter().map(|record| record.target.clone()).collect::<Vec<_>>().join(" ")
    };
    // Of zero (0), a (3), b (4): 0 takes zero, 1 to 3 take a, 4 takes b.
    assert_eq!(order(&[0, 4, 0, 0]), "zero b a last");
    assert_eq!(order(&[3, 1, 0, 5]), "a b zero last");
    assert_eq!(order(&[4, 0, 1, 1]), "b zero a last");
}

// proves RFC 2782: the share is that of the weight
#[test]
fn weights_are_shares() {
    let mut entropy = Sequence::new(11);
    let mut first = 0;
    for _ in 0..10_000 {
        let ordered =
            super::records::srv_order(vec![srv(0, 1, 0, "one"), srv(0, 3, 0, "three")], &mut entropy);
        first += u32::from(ordered[0].target == "three");
    }
    // Inclusive of 0, as RFC 2782 says: 0 and 1 take `one`, 2 to 4 `three`.
    assert!((5_800..=6_200).contains(&first), "{first}");
}

fn behind(via: &'static str) -> Result<Vec<String>, LocateError> {
    let via = Via::parse(&Bytes::from_static(via.as_bytes())).unwrap();
    let places = Zone::example().places(Target::of_via(&via)?, ALL)?;
    Ok(places.iter().map(|place| format!("{} {}", place.transport, place.addr)).collect())
}

// proves RFC 3263 5
#[test]
fn a_response_goes_where_its_via_stands_for() {
    assert_eq!(behind("SIP/2.0/TCP 192.0.2.5;branch=z").unwrap(), ["TCP 192.0.2.5:5060"]);
    assert_eq!(behind("SIP/2.0/TLS 192.0.2.5:77;branch=z").unwrap(), ["TLS 192.0.2.5:77"]);
    assert_eq!(behind("SIP/2.0/UDP host.example:5099;branch=z").unwrap(), ["UDP 192.0.2.3:5099"]);
    assert_eq!(behind("SIP/2.0/TCP srv.example;branch=z").unwrap(), ["TCP 192.0.2.2:5090"]);
    assert_eq!(behind("SIP/2.0/TLS srv.example;branch=z").unwrap(), ["TLS 192.0.2.2:5091"]);
    assert_eq!(behind("SIP/2.0/TCP host.example;branch=z").unwrap(), ["TCP 192.0.2.3:5060"]);
    assert_eq!(behind("SIP/2.0/SCTP host.example;branch=z"), Err(LocateError::Transport));
}
