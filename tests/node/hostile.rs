//! Hostile input: answered or dropped, never a crash, and nobody else suffers.

use crate::support::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const BOB: &str = "sip:bob@example.com";

/// The node still takes a message over both transports.
fn assert_alive(node: &Node) {
    for tcp in [false, true] {
        let mut ua = Ua::new(node.sip, "sip:alice@example.org", tcp);
        deposit(&mut ua, BOB, "alive");
    }
}

#[test]
fn garbage_in_datagrams_is_survived() {
    let node = Node::start();
    let ua = Ua::udp(&node, "sip:alice@example.org");
    ua.send_raw(b"");
    ua.send_raw(b"\r\n\r\n");
    ua.send_raw(b"\0");
    for length in [1, 10, 100, 1_000, 60_000] {
        ua.send_raw(&noise(length));
    }
    let good = ua.request("MESSAGE", BOB).body("text/plain", "cut").encode();
    for end in 0..good.len() {
        ua.send_raw(&good[..end]);
    }
    for at in 0..good.len() {
        let mut bent = good.clone();
        bent[at] ^= 0x80;
        ua.send_raw(&bent);
    }
    assert_alive(&node);
}

#[test]
fn a_flood_of_malformed_requests_is_a_few_lines_a_second() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    let lines = || node.log().matches("malformed request refused").count();
    let begun = Instant::now();
    for _ in 0..300 {
        let request = ua.request("MESSAGE", BOB).with("CSeq", "x");
        ua.send(&request);
        ua.wait("400", |message| !message.is_request() && message.status() == 400);
    }
    let most = 10 * (begun.elapsed().as_secs() as usize + 2);
    assert!((1..=most).contains(&lines()), "{} of 300, and {most} are allowed", lines());
    until("those left out are counted", || {
        let request = ua.request("MESSAGE", BOB).with("CSeq", "x");
        ua.send(&request);
        let counted = |line: &str| line.contains("malformed") && !line.contains("left_out=0");
        node.log().lines().any(counted).then_some(())
    });
}

#[test]
fn garbage_on_connections_is_survived() {
    let node = Node::start();
    for length in [1, 100, 100_000, 3_000_000] {
        let mut stream = TcpStream::connect(node.sip).unwrap();
        let _ = stream.write_all(&noise(length));
        let _ = stream.shutdown(Shutdown::Write);
    }
    for text in ["GET / HTTP/1.1\r\n\r\n", "MESSAGE\r\n\r\n", ": : :\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"] {
        let mut stream = TcpStream::connect(node.sip).unwrap();
        let _ = stream.write_all(text.as_bytes());
    }
    assert_alive(&node);
}

#[test]
fn a_request_without_end_is_cut_off() {
    let node = Node::start();
    let mut stream = TcpStream::connect(node.sip).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let via = format!("Via: SIP/2.0/TCP 127.0.0.1:9;branch={}\r\n", fresh("z9hG4bK"));
    let names =
        "From: <sip:a@h>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: endless\r\nCSeq: 1 MESSAGE\r\n";
    let head = format!("MESSAGE {BOB} SIP/2.0\r\n{via}{names}");
    let line = format!("X-Filler: {}\r\n", "x".repeat(60_000));
    let begun = Instant::now();
    let mut written = stream.write_all(head.as_bytes());
    while written.is_ok() {
        written = stream.write_all(line.as_bytes());
        assert!(begun.elapsed() < PATIENCE, "a header without end is still taken");
    }
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "it is closed");
    // Where it was reset, because so much was never read, the answer may be lost with it.
    assert!(
        ended.is_err()
            || [&b"SIP/2.0 413 "[..], b"SIP/2.0 513 "].iter().any(|status| answer.starts_with(status))
    );
    assert_alive(&node);
}

#[test]
fn too_many_headers_are_refused() {
    let node = Node::start();
    for tcp in [false, true] {
        let mut ua = Ua::new(node.sip, "sip:alice@example.org", tcp);
        let mut request = ua.request("MESSAGE", BOB).body("text/plain", "x");
        for _ in 0..1_000 {
            request = request.add("X-One-More", "x");
        }
        let response = ua.ask(request);
        assert!([400, 413, 431, 513].contains(&response.status()), "{response}");
    }
    assert_alive(&node);
    assert_eq!(fetch(&node, "bob").totals(), (2, 0));
}

// proves RFC 3261 18.3: a datagram shorter than its Content-Length is answered 400
#[test]
fn a_datagram_shorter_than_it_says_is_bad() {
    let node = Node::start();
    let mut ua = Ua::udp(&node, "sip:alice@example.org");
    let request = ua.request("MESSAGE", BOB).add("Content-Length", "100").body("text/plain", "short");
    ua.send(&request);
    let branch = request.branch();
    let response = ua.wait("an answer", |message| message.branch() == branch).msg;
    assert_eq!(response.status(), 400, "{response}");
    let longer = ua.request("MESSAGE", BOB).add("Content-Length", "5").body("text/plain", "short and more");
    let id = longer.call_id();
    assert_eq!(ua.ask(longer).status(), 202);
    let mut bob = Ua::udp(&node, "bob");
    assert_eq!(Cpim::parse(&retrieve(&mut bob, &message_uri(&id), 1)[0].body).body, b"short");
}

#[test]
fn the_torture_messages_are_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/torture");
    let node = Node::start();
    let ua = Ua::udp(&node, "sip:alice@example.org");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "dat") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        ua.send_raw(&bytes);
        let mut stream = TcpStream::connect(node.sip).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        count += 1;
    }
    assert!(count >= 49, "{count} of the 49 messages of RFC 4475");
    assert_alive(&node);
}

#[test]
fn idle_and_half_open_connections_do_not_hold_up_others() {
    let node = Node::start();
    let idle: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(node.sip).unwrap()).collect();
    let half: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(node.msrp).unwrap();
            stream.write_all(b"MSRP abcd SE").unwrap();
            stream
        })
        .collect();
    assert_alive(&node);
    drop((idle, half));
}

// proves RFC 3261 21.5.4
#[test]
fn connections_beyond_the_limit_are_told_so_and_room_comes_back() {
    let node = Plan::new().set("sip", "max_connections = 4").start();
    let mut open: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(node.sip).unwrap()).collect();
    let alice = Ua::udp(&node, "sip:alice@example.org");
    let status = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = alice.request("OPTIONS", "sip:mailserver.example.com");
        let via = request.need("Via").replace("UDP", "TCP");
        stream.write_all(&request.with("Via", via).encode()).unwrap();
        let mut line = [0; 11];
        stream.read_exact(&mut line).unwrap();
        String::from_utf8_lossy(&line[8..]).into_owned()
    };
    for stream in &mut open {
        assert_eq!(status(stream), "200", "within the limit");
    }
    let mut over = TcpStream::connect(node.sip).unwrap();
    assert_eq!(status(&mut over), "503", "over the limit");
    let mut rest = String::new();
    over.read_to_string(&mut rest).unwrap();
    assert!(
        rest.contains("\r\nRetry-After: ") && rest.contains("\r\nTo: <sip:mailserver.example.com>;tag="),
        "{rest}"
    );
    open.clear();
    until("room comes back", || {
        let mut stream = TcpStream::connect(node.sip).unwrap();
        (status(&mut stream) == "200").then_some(())
    });
}

#[test]
fn a_slow_writer_is_cut_off_in_the_end() {
    let node = Plan::new().set("sip", "request_timeout = \"1s\"").start();
    let mut stream = TcpStream::connect(node.sip).unwrap();
    stream.write_all(format!("MESSAGE {BOB} SIP/2.0\r\nVia: ").as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the connection is closed in time");
}
