//! Sessions, and messages of sessions, that are refused.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// An INVITE with this session description, which must be refused.
fn refused(node: &Node, sdp: &str) -> Msg {
    let mut joe = Ua::udp(node, "sip:joe@example.net");
    let request = joe.request("INVITE", BOB).body("application/sdp", sdp);
    let response = joe.ask(request);
    assert!(response.status() >= 300, "{response}");
    response
}

fn description(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{media}")
}

#[test]
fn an_offer_without_msrp_is_not_acceptable() {
    let node = Node::start();
    let path = "a=accept-types:*\r\na=path:msrp://127.0.0.1:9/x;tcp\r\n";
    let offers = [
        description("m=audio 20000 RTP/AVP 0\r\n"),
        description("m=message 9 TCP/MSRP *\r\na=accept-types:*\r\n"),
        description(&format!("m=message 0 TCP/MSRP *\r\n{path}")),
        description(&format!("m=application 9 TCP/MSRP *\r\n{path}")),
        description(&format!("m=message 9 UDP/MSRP *\r\n{path}")),
        description(""),
    ];
    for sdp in offers {
        let response = refused(&node, &sdp);
        assert_eq!(response.status(), 488, "{sdp}");
        let warning = response.need("Warning");
        assert!(warning.starts_with('3'), "RFC 3261 20.43: {warning}");
    }
}

#[test]
fn a_broken_description_is_refused() {
    let node = Node::start();
    for sdp in ["", "this is no SDP", "v=0\r\nm=message", "v=1\r\n\r\n", "\0\u{ff}\r\n"] {
        let mut joe = Ua::udp(&node, "sip:joe@example.net");
        let request = joe.request("INVITE", BOB).body("application/sdp", sdp);
        if sdp.is_empty() {
            continue;
        }
        let status = joe.ask(request).status();
        assert!([400, 488].contains(&status), "{sdp:?}: {status}");
    }
}

#[test]
fn other_media_beside_msrp_are_declined() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut invite = Invite::new(&joe, BOB, Offer::active());
    let sdp = String::from_utf8(invite.request.body.clone()).unwrap();
    let sdp = sdp.replace("m=message", "m=audio 20000 RTP/AVP 0\r\na=sendrecv\r\nm=message");
    invite.request = invite.request.body("application/sdp", sdp);
    let response = joe.ask(invite.request.clone());
    assert_eq!(response.status(), 200, "{response}");
    let mut dialog = Dialog::opened(&invite.request, &response);
    joe.send(&dialog.ack(&joe));
    let text = String::from_utf8(response.body).unwrap();
    let media: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
    // RFC 3264 6: as many m= lines as offered, in the same order, a refused one with port 0.
    assert_eq!(media.len(), 2, "{text}");
    assert!(media[0].starts_with("m=audio 0 RTP/AVP"), "{text}");
    assert!(media[1].starts_with("m=message ") && !media[1].starts_with("m=message 0 "), "{text}");
    let bye = dialog.request(&joe, "BYE");
    assert_eq!(joe.ask(bye).status(), 200);
}

#[test]
fn a_message_over_the_limit_is_refused_and_the_session_goes_on() {
    let node = Plan::new().set("msrp", "max_message = 10000").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    assert_eq!(call.answer.max_size, Some(10_000), "RFC 4975 8.6: the limit is told");
    call.msrp().say("before");
    let declared = Chunk::whole("application/octet-stream", noise(20_000)).range("1-*/20000");
    assert_eq!(call.msrp().send(&declared), 413);
    let undeclared = Chunk::whole("application/octet-stream", noise(12_000));
    let statuses: Vec<u16> = undeclared
        .cut(2_000)
        .iter()
        .map(|chunk| {
            let range = chunk.range.as_ref().unwrap().replace("/12000", "/*");
            call.msrp().send(&chunk.clone().range(&range))
        })
        .collect();
    assert!(statuses[..5].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(statuses[5], 413);
    assert_eq!(
        call.msrp().send(&Chunk::whole("application/octet-stream", noise(10_000)).range("1-*/10000")),
        200
    );
    call.msrp().say("after");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let kept = retrieve(&mut bob, &message_uri(&call.dialog.call_id), 3);
    let bodies: Vec<Vec<u8>> = kept.iter().map(|message| Cpim::parse(&message.body).body).collect();
    assert!(bodies[0] == b"before" && bodies[1] == noise(10_000) && bodies[2] == b"after");
}

#[test]
fn a_message_that_is_described_at_length_is_refused_and_the_session_goes_on() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let long = "q".repeat(5_000);
    let typed = Chunk::whole(&format!("text/plain;x=\"{long}\""), "1");
    assert_eq!(call.msrp().send(&typed), 413);
    let mut disposed = Chunk::whole("text/plain", "2");
    disposed.extra.push(("Content-Disposition".into(), format!("attachment; filename=\"{long}\"")));
    assert_eq!(call.msrp().send(&disposed), 413);
    // Told by the first chunk, which comes behind another.
    let mut cut = Chunk::whole("text/plain", noise(4_000)).cut(2_000);
    cut[0].extra.push(("Content-ID".into(), long));
    assert_eq!(call.msrp().send(&cut[1]), 200);
    assert_eq!(call.msrp().send(&cut[0]), 413);
    call.msrp().say("after");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let kept = retrieve(&mut bob, &message_uri(&call.dialog.call_id), 1);
    assert_eq!(Cpim::parse(&kept[0].body).body, b"after");
}

// proves RFC 4975 7.2, 10.2: what cannot be read is answered 400, also where it does not say for whom it is
#[test]
fn a_request_without_a_good_to_path_is_answered_where_one_session_can_be_meant() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let (path, store) = (call.msrp().local.clone(), call.msrp().remote.clone());
    for (transaction, to) in
        [("t0path01", format!("To-Path: {}\r\n", store.replace(";tcp", ""))), ("t0path02", String::new())]
    {
        call.msrp().write(
            format!("MSRP {transaction} SEND\r\n{to}From-Path: {path}\r\nMessage-ID: m1234\r\n-------{transaction}$\r\n").as_bytes(),
        );
        assert_eq!(call.msrp().response_to(transaction), 400, "{to}");
    }
    call.msrp().say("after");
    call.bye(&mut joe);
}

#[test]
fn a_message_that_does_not_fit_the_mailbox_is_refused() {
    let node = Plan::new().set("deposit", "quota_bytes = 5000").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    assert_eq!(call.msrp().send(&Chunk::whole("text/plain", noise(2_000))), 200);
    let status = call.msrp().send(&Chunk::whole("text/plain", noise(4_000)).range("1-*/4000"));
    assert!((400..500).contains(&status), "{status}");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    retrieve(&mut bob, &message_uri(&call.dialog.call_id), 1);
}

#[test]
fn msrp_garbage_ends_a_connection_and_nothing_else() {
    let node = Node::start();
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"MSRP \r\n\r\n-------$\r\n",
        b"\0\0\0\0\r\n\r\n\r\n",
        b"MSRP abcd SEND\r\nTo-Path: x\r\nFrom-Path: y\r\n\r\n-------abcd$\r\n",
        &[b'x'; 100_000],
    ];
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    for bytes in garbage {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(node.msrp).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    call.msrp().say("unharmed");
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}
