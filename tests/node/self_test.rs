//! The peer against itself: a fault of the tests' own SIP and MSRP code shows here and not as one of the node.

use crate::support::frame::{response, success_report};
use crate::support::*;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

#[test]
fn a_sip_message_is_read_as_it_was_written() {
    let message = Msg::request("MESSAGE", "sip:bob%40h@example.com")
        .add("Via", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx")
        .add("From", "\"A <b>\" <sip:a@h>;tag=1")
        .add("To", "<sip:b@h>")
        .add("Call-ID", "id")
        .add("CSeq", "1 MESSAGE")
        .body("text/plain", "\r\n\r\nbody");
    let mut bytes = message.encode();
    let length = bytes.len();
    bytes.extend(b"SIP/2.0 ");
    let (read, used) = Msg::parse(&bytes).unwrap();
    assert_eq!((used, &read.body, read.uri()), (length, &message.body, "sip:bob%40h@example.com"));
    assert_eq!(read.clone().without("Content-Length"), message);
    for end in 0..length {
        assert!(Msg::parse(&bytes[..end]).is_none(), "cut at {end}");
    }
    assert_eq!(parameter(&read.need("from"), "tag").as_deref(), Some("1"));
    assert_eq!(address(&read.need("f")), "sip:a@h");
    let response = read.respond(202, "Accepted");
    assert!(response.answers(&read) && !read.answers(&response));
    assert_eq!(
        (response.status(), response.reason(), response.method()),
        (202, "Accepted", "MESSAGE".into())
    );
}

#[test]
fn compact_and_folded_headers_are_read() {
    let (message, _) =
        Msg::parse(b"OPTIONS sip:x SIP/2.0\r\ni: a\r\nt: one\r\n two\r\n\tthree\r\nl: 0\r\n\r\n").unwrap();
    assert_eq!((message.call_id().as_str(), message.need("To").as_str()), ("a", "one two three"));
}

#[test]
fn user_parts_are_escaped_as_rfc_3261_allows() {
    assert_eq!(
        message_uri("d0982dkjs@Joemobile.example.net"),
        "sip:d0982dkjs%40Joemobile.example.net@mailserver.example.com"
    );
    assert_eq!(escape_user("a%40b<>[]:\"\\ ~/?;&=+$,"), "a%2540b%3C%3E%5B%5D%3A%22%5C%20~/?;&=+$,");
}

#[test]
fn two_agents_talk_over_udp_and_tcp() {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let mut server = Ua::new(nobody, "bob", false);
    for tcp in [false, true] {
        let mut client = Ua::new(server.here, "alice", tcp);
        let request = client.request("MESSAGE", "sip:bob@example.com").body("text/plain", noise(5_000));
        client.send(&request);
        let incoming = server.wait_request("MESSAGE", &request.call_id());
        assert_eq!((incoming.over_tcp(), &incoming.msg.body), (tcp, &request.body));
        server.reply(&incoming, 202, "Accepted");
        assert_eq!(client.answer_to(&request).status(), 202);
        client.send(&request);
        server.quiet(Duration::from_millis(100), |_| true);
        assert_eq!(client.answer_to(&request).status(), 202, "the repetition was answered without a word");
    }
}

/// Two ends of one MSRP connection.
fn pair() -> (Msrp, Msrp) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let (client, server) = ("msrp://127.0.0.1:9/client;tcp", format!("msrp://{here}/server;tcp"));
    let left = Msrp::connect(client, &server);
    let right = Msrp::accept(&listener, &server, client);
    (left, right)
}

#[test]
fn chunks_of_any_content_come_through() {
    let (mut left, mut right) = pair();
    let bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"x".to_vec(),
        b"-------".to_vec(),
        b"\r\n-------tr".to_vec(),
        vec![b'-'; 1_000],
        noise(700_000),
    ];
    for body in bodies {
        let chunk = Chunk { range: Some(format!("1-*/{}", body.len())), ..Chunk::whole("text/plain", &body) };
        let sent = std::thread::scope(|scope| {
            let sender = scope.spawn(|| left.send(&chunk));
            let delivered = right.receive(1).remove(0);
            assert_eq!((delivered.message_id.as_str(), delivered.chunks), (chunk.message_id.as_str(), 1));
            assert!(delivered.body == body);
            sender.join().unwrap()
        });
        assert_eq!(sent, 200);
    }
}

#[test]
fn chunks_are_put_together_and_reports_are_told_apart() {
    let (mut left, mut right) = pair();
    let message = Chunk::whole("text/plain", noise(5_000)).success("yes");
    for chunk in message.cut(2_000) {
        left.post(&chunk);
    }
    let delivered = right.receive(1).remove(0);
    assert!(delivered.body == message.body && delivered.chunks == 3);
    let report = left.report_on(&message.message_id);
    assert_eq!(report.range(), Some((1, Some(5_000), Some(5_000))));
    assert_eq!(report.need("Status"), "000 200 OK");
}

#[test]
fn frames_are_read_at_every_cut() {
    let chunk = Chunk::whole("text/plain", "a\r\n-------b\r\n--------------c");
    let mut bytes = chunk.encode("msrp://h:1/s;tcp", "msrp://h:2/c;tcp");
    bytes.extend(Chunk::empty().encode("msrp://h:1/s;tcp", "msrp://h:2/c;tcp"));
    let (mut buffer, mut scanned, mut frames) = (Vec::new(), 0, Vec::new());
    for byte in bytes {
        buffer.push(byte);
        frames.extend(Frame::take(&mut buffer, &mut scanned));
    }
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].body.as_deref(), Some(&chunk.body[..]));
    assert_eq!((frames[1].body.as_deref(), frames[1].flag), (None, '$'));
    for frame in [response(&frames[0], 413, "Too large"), success_report(&frames[0], 3)] {
        let mut buffer = frame;
        assert!(Frame::take(&mut buffer, &mut 0).is_some() && buffer.is_empty());
    }
}

#[test]
fn a_summary_is_read_as_the_figure_is_written() {
    let text = "Messages-Waiting: yes\r\nMessage-Account: sip:c@h\r\nText-Message: 2/1 (1/0)\r\n\
        Multimedia-Message: 1/0 (0/0)\r\n\r\nTo: <c@h>\r\nMessage-ID: a\r\n\r\nMessage-ID: b\r\n";
    let summary = Summary::parse(text);
    assert_eq!(
        (summary.waiting, summary.totals(), summary.ids()),
        (true, (3, 1), vec!["a".into(), "b".into()])
    );
    assert_eq!((summary.item("a", "To"), summary.item("b", "To")), (Some("<c@h>"), None));
}

#[test]
fn dates_are_compared_as_moments() {
    assert_eq!(rfc3339("1970-01-01T00:00:00Z"), 0);
    assert_eq!(rfc3339("2000-07-09T21:25:12-07:00"), 963_203_112);
    assert_eq!(rfc3339("2000-07-10T04:25:12.250Z"), 963_203_112);
    assert_eq!(rfc3339("2024-02-29T12:00:00+05:30"), 1_709_188_200);
}
