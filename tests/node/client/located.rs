//! A node that is named by a domain: found by the DNS, and left for the next place where one fails (RFC 3263).

use super::program::*;
use crate::support::*;
use crate::tls::SecureNode;
use std::net::{TcpListener, UdpSocket};

/// Runs a command of alice's at `node`, by this DNS.
fn client(node: &str, dns: &Dns, arguments: &[&str]) -> Ran {
    run(command_at(node, "alice", arguments).args(["--dns", &dns.addr.to_string()]))
}

const SEND: [&str; 3] = ["send", "bob@example.com", "hello"];

// proves RFC 3263 4.1, 4.2, 4.3: NAPTR, SRV, A; a connection that is refused is a failure
#[test]
fn a_domain_is_looked_up_and_the_next_place_is_tried() {
    let node = Node::start();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dns = Zone::default()
        .naptr("example.com", 10, "SIP+D2T", "_sip._tcp.example.com")
        .srv("_sip._tcp.example.com", 1, closed, "one.example.com")
        .srv("_sip._tcp.example.com", 2, node.sip.port(), "two.example.com")
        .address("one.example.com", "127.0.0.1")
        .address("two.example.com", "127.0.0.1")
        .serve();
    for name in ["example.com", "sip:example.com", "tcp:example.com"] {
        let sent = client(name, &dns, &[&SEND[..], &["--trace"]].concat());
        assert_eq!(sent.code, 0, "{name}: {}", sent.stderr);
        assert!(sent.stderr.contains(&format!("--> {} SIP/TCP", node.sip)), "{}", sent.stderr);
    }
    let asked = dns.asked();
    assert_eq!(asked[0], "NAPTR example.com", "{asked:?}");
    assert!(asked.contains(&"SRV _sip._tcp.example.com".to_owned()), "{asked:?}");
    // The whole story by name: what one command learnt, its next request uses.
    let fetched =
        run(command_at("example.com", "bob", &["fetch", "--new"]).args(["--dns", &dns.addr.to_string()]));
    assert_eq!(fetched.ok(), "hellohellohello");
}

// proves RFC 3263 4.3: silence and 503 are failures
#[test]
fn a_silent_place_is_left_after_the_time_that_was_given() {
    let node = Node::start();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns = Zone::default()
        .srv("_sip._udp.example.com", 1, silent.local_addr().unwrap().port(), "one.example.com")
        .srv("_sip._udp.example.com", 2, node.sip.port(), "one.example.com")
        .address("one.example.com", "127.0.0.1")
        .serve();
    let sent = client("example.com", &dns, &[&SEND[..], &["--timeout", "1"]].concat());
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 65_536];
    let length = silent.recv(&mut buffer).expect("the first place was asked");
    assert!(buffer[..length].starts_with(b"MESSAGE sip:bob@example.com SIP/2.0\r\n"));
}

// proves RFC 3263 4.1: TLS by _sips._tcp; RFC 5922 7.3: the certificate is for the domain that was named
#[test]
fn a_secure_node_is_found_by_its_domain() {
    let secure = SecureNode::start();
    let dns = Zone::default()
        .srv("_sips._tcp.mailserver.example.com", 1, secure.sips.port(), "host.example.net")
        .address("host.example.net", "127.0.0.1")
        .serve();
    let ca = secure.node.folder().join("clients.pem");
    for name in [
        "tls:mailserver.example.com",
        "sips:mailserver.example.com",
        "sip:mailserver.example.com;transport=tls",
    ] {
        let sent = client(name, &dns, &[&SEND[..], &["--trace", "--ca", ca.to_str().unwrap()]].concat());
        assert_eq!(sent.code, 0, "{name}: {}", sent.stderr);
        assert!(sent.stderr.contains("SIP/TLS"));
    }
}

#[test]
fn a_domain_that_leads_nowhere_is_named() {
    let dns = Zone::default()
        .address("dead.example.com", "127.0.0.1")
        .srv("_sip._tcp.denied.example.com", 1, 1, ".")
        .serve();
    for (name, said) in [
        ("nobody.test", "sip:nobody.test cannot be reached: no address for the host"),
        (
            "tcp:denied.example.com",
            "tcp:denied.example.com cannot be reached: the domain does not offer the service",
        ),
        (
            "tcp:dead.example.com:1",
            "tcp:dead.example.com:1 cannot be reached: 127.0.0.1:1: Connection refused (os error 111)",
        ),
    ] {
        let lost = client(name, &dns, &SEND);
        assert_eq!((lost.code, lost.stderr), (3, format!("restante: {said}\n")), "{name}");
    }
}
