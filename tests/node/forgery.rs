//! What a peer writes into its requests can forge no line and no field of the log.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";
const VICTIM: &str = "203.0.113.77";

/// A node that logs all it can say of itself, in this format.
fn talkative(format: &str) -> Node {
    Plan::new()
        .set("trust", "peers = []")
        .set("log", &format!("format = \"{format}\""))
        .set("log", "level = \"info,restante=trace,restante_node=trace\"")
        .set("log", "addresses = true")
        .users(&[("alice@example.com", "wonderland")])
        .start()
}

/// The filters of docs/security.md, as the lines after `failregex =`.
fn filters() -> Vec<String> {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md")).unwrap();
    let (_, rest) = guide.split_once("failregex = ").expect("the guide holds a filter");
    rest.lines()
        .take_while(|line| line.trim_start().starts_with('^'))
        .map(|line| line.trim().to_owned())
        .collect()
}

/// What fail2ban shows its filters of a line: without what the `datepattern` has found.
fn undated(line: &str) -> &str {
    let rest = line.strip_prefix("{\"timestamp\":\"").unwrap_or(line);
    let is_date = |date: &&str| {
        date.bytes()
            .zip(*b"0000-00-00T00:00:00")
            .all(|(byte, form)| if form == b'0' { byte.is_ascii_digit() } else { byte == form })
    };
    rest.get(..19).filter(is_date).map_or(line, |date| &rest[date.len()..])
}

/// The address that a filter finds in a line. The filters need no more of regular expressions than this.
fn found(filter: &str, line: &str) -> Option<String> {
    let filter = filter.strip_prefix('^').unwrap().strip_suffix('$').unwrap();
    let (mut rest, mut host) = (undated(line), None);
    let mut pieces = filter;
    while !pieces.is_empty() {
        let (taken, wanted) = if let Some(next) = pieces.strip_prefix("<HOST>") {
            let length =
                rest.find(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':').unwrap_or(rest.len());
            host = Some(rest[..length].to_owned());
            (length, next)
        } else if let Some(next) = pieces.strip_prefix("\\S+") {
            (rest.find(char::is_whitespace).unwrap_or(rest.len()), next)
        } else if let Some(next) = pieces.strip_prefix("\\s+") {
            (rest.len() - rest.trim_start().len(), next)
        } else if let Some(next) = pieces.strip_prefix("[^\"]+").or(pieces.strip_prefix("[^\"]*")) {
            (rest.find('"')?, next)
        } else {
            let (escaped, next) = match pieces.strip_prefix('\\') {
                Some(next) => (next.chars().next()?, &next[1..]),
                None => (pieces.chars().next()?, &pieces[1..]),
            };
            (usize::from(rest.starts_with(escaped)), next)
        };
        if taken == 0 && !pieces.starts_with("[^\"]*") {
            return None;
        }
        rest = &rest[taken..];
        pieces = wanted;
    }
    rest.is_empty().then_some(host).flatten()
}

fn forge(node: &Node) {
    let line = format!("2026-11-28T10:44:59.031195Z  WARN restante::auth: auth failed peer={VICTIM} cause=x");
    let json = format!(
        "{{\"timestamp\":\"x\",\"level\":\"WARN\",\"message\":\"auth failed\",\"peer\":\"{VICTIM}\",\"cause\":\"x\",\
         \"target\":\"restante::auth\"}}"
    );
    let mut ua = Ua::udp(node, "alice");
    let mut number = 0;
    for forged in [&line, &json] {
        for separator in
            [" ", "\r ", "\n ", "\u{1b}[2K\u{1b}[1G", "\u{2028}", "\u{85}", "\u{0b}", "\0", "%0d%0a"]
        {
            number += 1;
            let evil = format!("x{separator}{forged}");
            let quoted = evil.replace('"', "\\\"");
            let call_id = format!("a{number}\"peer%{VICTIM}<auth>failed@x");
            let request = ua
                .request("MESSAGE", BOB)
                .body("text/plain", "hello")
                .with("Call-ID", &call_id)
                .with("From", format!("\"{quoted}\" <sip:alice@example.com>;tag=\"{quoted}\""))
                .add("User-Agent", &evil)
                .add("Subject", &evil)
                .add("Reason", &evil);
            ua.send(&request);
            // With credentials that fail, whose user name forges as well.
            let plain = ua.request("MESSAGE", BOB).body("text/plain", "hello").with("Call-ID", &call_id);
            let challenge = Challenge::all(&ua.ask(plain.clone())).remove(0);
            let answer = challenge.answer(&quoted, "guess", "MESSAGE", BOB);
            let failing = authorized(&plain, &ua.via(), &answer.value()).add("User-Agent", &evil);
            ua.send(&failing);
            // Bytes that are no message at all, or none that is good.
            ua.send_raw(evil.as_bytes());
            ua.send_raw(format!("{evil}\r\n\r\n").as_bytes());
            let broken = ua.request("MESSAGE", BOB).with("CSeq", &evil).with("Call-ID", &evil);
            ua.send(&broken);
            let mut odd = ua.request("MESSAGE", BOB);
            odd.start = format!("{} sip:bob@example.com SIP/2.0", evil.replace([' ', '\n', '\r'], "_"));
            ua.send(&odd);
        }
    }
    let mut alice = Ua::udp(node, "alice").with_login("alice", "guess");
    assert_eq!(alice.ask_options().status(), 401);
    node.wait_log("wrong-password");
}

#[test]
fn nobody_can_have_another_address_banned() {
    let filters = filters();
    assert_eq!(filters.len(), 2, "one for each format");
    for (format, filter) in ["text", "json"].iter().zip(&filters) {
        let node = talkative(format);
        forge(&node);
        let log = node.log();
        let hosts: Vec<String> = log.lines().filter_map(|line| found(filter, line)).collect();
        assert!(hosts.contains(&"127.0.0.1".to_owned()), "{format}: the real failures are found: {log}");
        assert!(hosts.iter().all(|host| host == "127.0.0.1"), "{format}: {hosts:?}");
        for line in log.lines() {
            let begins = match *format {
                "json" => line.starts_with("{\"timestamp\":\"2") && line.ends_with('}'),
                _ => line.starts_with("20") && line.get(4..5) == Some("-"),
            };
            assert!(begins, "{format}: a line of its own: {line:?}");
            assert!(!line.contains(['\u{1b}', '\0', '\u{0b}', '\u{85}', '\u{2028}']), "{format}: {line:?}");
        }
        // Neither a line nor a field: the forged text never stands there as the node would write it.
        let field = format!(" peer={VICTIM}");
        let forged: Vec<_> = log.lines().filter(|line| line.contains(&field)).collect();
        assert!(forged.iter().all(|line| line.matches('"').count() >= 2), "{forged:?}");
    }
}

#[test]
fn the_filters_find_what_they_should_and_nothing_else() {
    let filters = filters();
    let text =
        "2026-11-28T10:44:59.031195Z  WARN restante::auth: auth failed peer=2001:db8::1 cause=not-sender";
    assert_eq!(found(&filters[0], text).as_deref(), Some("2001:db8::1"));
    assert_eq!(found(&filters[0], &format!("x {text}")), None);
    assert_eq!(found(&filters[0], &format!("{text} peer=1.2.3.4")), None);
    assert_eq!(found(&filters[0], &text.replace("restante::auth", "restante_node::shard")), None);
}
