//! Streams, keep-alive, IPv6.

use crate::support::*;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

const BOB: &str = "sip:bob@example.com";

// proves RFC 5626 4.4.1: a double CRLF is answered with a single one
#[test]
fn a_keep_alive_is_answered() {
    let node = Node::start();
    let mut stream = TcpStream::connect(node.sip).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..3 {
        stream.write_all(b"\r\n\r\n").unwrap();
        let mut pong = [0; 2];
        stream.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"\r\n");
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let request = alice.request("MESSAGE", BOB).body("text/plain", "a body\r\n\r\nwith lines");
    for byte in request.encode() {
        alice.send_raw(&[byte]);
    }
    assert_eq!(alice.answer_to(&request).status(), 202);
}

#[test]
fn many_requests_may_come_at_once() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let requests: Vec<Msg> =
        (0..50).map(|index| alice.request("MESSAGE", BOB).body("text/plain", format!("{index}"))).collect();
    let mut bytes = b"\r\n".to_vec();
    for request in &requests {
        bytes.extend(request.encode());
        bytes.extend(b"\r\n");
    }
    alice.send_raw(&bytes);
    for request in &requests {
        assert_eq!(alice.answer_to(request).status(), 202);
    }
    let mut ids = fetch(&node, "bob").ids();
    let mut expected: Vec<String> = requests.iter().map(Msg::call_id).collect();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

// proves RFC 3261 18.2.2: the response MUST be sent on the connection of the request while that is open
#[test]
fn who_has_closed_his_own_side_is_answered() {
    let node = Node::start();
    let alice = Ua::tcp(&node, "sip:alice@example.org");
    for count in [1, 20] {
        let requests: Vec<Msg> =
            (0..count).map(|_| alice.request("MESSAGE", BOB).body("text/plain", "and gone")).collect();
        let mut stream = TcpStream::connect(node.sip).unwrap();
        let bytes: Vec<u8> = requests.iter().flat_map(Msg::encode).collect();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut answers, asked) = (String::new(), std::time::Instant::now());
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("SIP/2.0 202 ").count(), count, "{answers}");
        // Who owes nothing closes; it would wait five seconds for what does not come.
        assert!(asked.elapsed() < std::time::Duration::from_secs(4), "{:?}", asked.elapsed());
    }
}

#[test]
fn compact_forms_and_folded_lines_are_read() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let via = alice.via();
    let text = format!(
        "MESSAGE {BOB} SIP/2.0\r\nv:{via}\r\nmax-forwards:  70\r\nf: \"Alice\"\r\n  <sip:alice@example.org>\r\n\t;tag=9\r\n\
         t: {BOB}\r\ni: compact@h\r\ncseq: 0001\r\n  MESSAGE\r\ns: folded\r\n subject\r\nc: text/plain\r\nl: 2\r\n\r\nok"
    );
    alice.send_raw(text.as_bytes());
    let response = alice.wait("an answer", |message| message.call_id() == "compact@h").msg;
    assert_eq!(response.status(), 202, "{response}");
    let summary = fetch(&node, "bob");
    assert_eq!(summary.item("compact@h", "Subject"), Some("folded subject"));
}

#[test]
fn everything_works_over_ipv6() {
    let node = Plan::new().v6().start();
    assert!(node.sip.is_ipv6());
    let mut ids = Vec::new();
    for tcp in [false, true] {
        let mut alice = Ua::new(node.sip, "sip:alice@example.org", tcp);
        ids.push(deposit(&mut alice, BOB, "over IPv6"));
        ids.push(deposit_session(&mut alice, BOB, &["one", "two"]));
    }
    let mut bob = Ua::udp(&node, "bob");
    let dialog = subscribe(&mut bob, BOB, 600);
    assert_eq!(Summary::of(&notified(&mut bob, &dialog)).ids(), ids);
    for (offer, tcp) in [(Offer::active(), false), (Offer::passive(), true)] {
        let mut device = Ua::new(node.sip, "bob", tcp);
        let uris: Vec<String> = ids.iter().map(|id| message_uri(id)).collect();
        let mut call = Invite::list(&device, &uris, offer).call(&mut device);
        assert!(call.answer.text.contains("IN IP6 ::1"), "{}", call.answer.text);
        assert!(call.answer.path.starts_with("msrp://[::1]:"), "{}", call.answer.path);
        assert_eq!(call.finish(&mut device, 6).len(), 6);
    }
}

// proves RFC 3581 4, RFC 4975 8.2: an answer comes from the address that was asked, and names where sessions are accepted
#[test]
fn who_asks_one_of_all_addresses_is_told_that_one() {
    for (all, asked) in [("0.0.0.0", "127.0.0.2"), ("[::]", "::1")] {
        let asked: IpAddr = asked.parse().unwrap();
        let [sip, msrp] = [0; 2].map(|_| ports::free(asked));
        let _node = Plan::new()
            .set("sip", &format!("listen = [\"udp:{all}:{sip}\", \"tcp:{all}:{sip}\"]"))
            .set("msrp", &format!("listen = [\"tcp:{all}:{msrp}\"]"))
            .set("trust", "peers = [\"127.0.0.0/8\", \"::1/128\"]")
            .start();
        let [sip, msrp] = [sip, msrp].map(|port| SocketAddr::new(asked, port));
        for tcp in [false, true] {
            let mut alice = Ua::new(sip, "sip:alice@example.org", tcp);
            let mut call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
            assert!(call.answer.path.starts_with(&format!("msrp://{msrp}/")), "{}", call.answer.path);
            assert!(call.answer.text.contains(&format!(" {asked}\r\n")), "{}", call.answer.text);
            assert!(call.ok.need("Contact").contains(&format!("@{sip}")), "{}", call.ok.need("Contact"));
            call.bye(&mut alice);
        }
        let mut bob = Ua::new(sip, "bob", false);
        let mut dialog = subscribe(&mut bob, BOB, 600);
        let notify = notified(&mut bob, &dialog);
        assert!(notify.need("Contact").contains(&format!("@{sip}")), "{}", notify.need("Contact"));
        let end = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "0");
        assert_eq!(bob.ask(end).status(), 200);
    }
}

// proves RFC 4975 8.2: the path names where connections are accepted, which whoever invites must be able to reach
#[test]
fn a_session_is_offered_at_the_address_that_was_asked() {
    let addresses: Vec<IpAddr> = ["127.0.0.1", "127.0.0.2"].map(|it| it.parse().unwrap()).into();
    let [sip, msrp] = [0; 2].map(|_| ports::free(addresses[0]));
    let listen = |transport: &str, port: u16| {
        addresses.iter().map(|ip| format!("\"{transport}:{ip}:{port}\"")).collect::<Vec<_>>().join(", ")
    };
    let _node = Plan::new()
        .set("sip", &format!("listen = [{}, {}]", listen("udp", sip), listen("tcp", sip)))
        .set("msrp", &format!("listen = [{}]", listen("tcp", msrp)))
        .start();
    for ip in &addresses {
        let mut alice = Ua::new(SocketAddr::new(*ip, sip), "sip:alice@example.org", false);
        let mut call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
        assert!(call.answer.path.starts_with(&format!("msrp://{ip}:{msrp}/")), "{}", call.answer.path);
        call.bye(&mut alice);
    }
}

#[test]
fn an_answer_over_tcp_comes_back_on_the_connection() {
    let node = Node::start();
    let mut stream = TcpStream::connect(node.sip).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = Msg::request("MESSAGE", BOB)
        .add("Via", format!("SIP/2.0/TCP unreachable.invalid:9;branch={}", fresh("z9hG4bK")))
        .add("Max-Forwards", "70")
        .add("From", "<sip:alice@example.org>;tag=1")
        .add("To", "<sip:bob@example.com>")
        .add("Call-ID", "on-this-connection")
        .add("CSeq", "1 MESSAGE")
        .body("text/plain", "x");
    stream.write_all(&request.encode()).unwrap();
    let mut buffer = vec![0; 4_096];
    let length = stream.read(&mut buffer).unwrap();
    assert!(buffer[..length].starts_with(b"SIP/2.0 202 "), "{}", String::from_utf8_lossy(&buffer[..length]));
}
