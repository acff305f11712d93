//! WebSocket for SIP (RFC 7118) and MSRP (RFC 7977): what a browser does.

use crate::limits;
use crate::support::tunnel::tunnel_port;
use crate::support::websocket::{WebFrame, WebSocket, encode};
use crate::support::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const BOB: &str = "sip:bob@example.com";

/// A node with `ws:` listeners, and `wss:` ones where it has a certificate.
struct WebNode {
    node: Node,
    sip: SocketAddr,
    msrp: SocketAddr,
    tls: Option<(Authority, SocketAddr, SocketAddr)>,
}

fn port() -> SocketAddr {
    let host = IpAddr::from(Ipv4Addr::LOCALHOST);
    SocketAddr::new(host, ports::free(host))
}

impl WebNode {
    fn plain(plan: Plan) -> Self {
        let [udp, tcp, sip, msrp] = std::array::from_fn(|_| port());
        let plan = plan
            .set("sip", &format!("listen = [\"udp:{udp}\", \"tcp:{udp}\", \"ws:{sip}\"]"))
            .set("msrp", &format!("listen = [\"tcp:{tcp}\", \"ws:{msrp}\"]"));
        let mut node = plan.prepare();
        node.sip = udp;
        node.launch();
        Self { node, sip, msrp, tls: None }
    }

    fn secure() -> Self {
        let [udp, tcp, sip, msrp, sips, msrps] = std::array::from_fn(|_| port());
        let authority = Authority::new();
        let plan = Plan::new()
            .set("sip", &format!("listen = [\"udp:{udp}\", \"tcp:{udp}\", \"ws:{sip}\", \"wss:{sips}\"]"))
            .set("msrp", &format!("listen = [\"tcp:{tcp}\", \"ws:{msrp}\", \"wss:{msrps}\"]"))
            .set("tls", "certificate = \"node.pem\"\nkey = \"node.key\"");
        let mut node = plan.prepare();
        node.sip = udp;
        authority.issue(&["node.example.com"]).write(node.folder());
        node.launch();
        Self { node, sip, msrp, tls: Some((authority, sips, msrps)) }
    }

    /// A connection for SIP or MSRP, by `wss:` where there is that.
    fn carrier(&self, framing: Framing) -> Carrier {
        let plain = if framing == Framing::Sip { self.sip } else { self.msrp };
        let Some((authority, sips, msrps)) = &self.tls else { return Carrier::plain(plain) };
        let addr = if framing == Framing::Sip { *sips } else { *msrps };
        Carrier::Secure(Secure::connect(addr, &tls_client(authority, None), "node.example.com").unwrap())
    }

    /// A browser's user agent.
    fn ua(&self, user: &str) -> Ua {
        let carrier = self.carrier(Framing::Sip);
        WebSocket::open(&carrier, "sip");
        let via = if self.tls.is_some() { "WSS" } else { "WS" };
        Ua::carried(tunnel_port(carrier, Framing::Sip), user, via, ";transport=ws")
    }

    fn offer(&self) -> Offer {
        let offer = Offer::active().web();
        if self.tls.is_some() { offer.secure(None) } else { offer }
    }

    /// A session of a browser, with its MSRP connection.
    fn call(&self, ua: &mut Ua, uri: &str) -> Call {
        let mut call = Invite::new(ua, uri, self.offer()).call_unbound(ua);
        assert!(call.answer.path.ends_with(";ws"), "{}", call.answer.path);
        assert_eq!(call.answer.setup.as_deref(), Some("passive"));
        let carrier = self.carrier(Framing::Msrp);
        WebSocket::open(&carrier, "msrp");
        call.join_over(tunnel(carrier, Framing::Msrp));
        call
    }
}

fn figure(web: &WebNode) {
    let mut alice = web.ua("sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).body("text/plain; charset=utf-8", "Grüße");
    assert_eq!(alice.ask(message).status(), 202);
    let body = noise(300_000);
    let mut call = web.call(&mut alice, BOB);
    for chunk in Chunk::whole("application/octet-stream", &body).cut(40_000) {
        assert_eq!(call.msrp().send(&chunk), 200);
    }
    call.bye(&mut alice);

    let mut bob = web.ua("bob");
    let dialog = subscribe(&mut bob, BOB, 3600);
    let notify = notified(&mut bob, &dialog);
    assert_eq!(Summary::of(&notify).totals(), (2, 0));
    let transport = if web.tls.is_some() { "SIP/2.0/WSS " } else { "SIP/2.0/WS " };
    assert!(notify.need("Via").starts_with(transport), "{}", notify.need("Via"));
    let delivered = web.call(&mut bob, BOB).finish(&mut bob, 2);
    assert_eq!(Cpim::parse(&delivered[0].body).body, "Grüße".as_bytes());
    assert!(Cpim::parse(&delivered[1].body).body == body);
}

// proves RFC 7118 5, RFC 7977 5: deposit, summary and retrieval, both protocols
#[test]
fn deposit_summary_and_retrieval_go_over_websocket() {
    figure(&WebNode::plain(Plan::new()));
}

#[test]
fn deposit_summary_and_retrieval_go_over_secure_websocket() {
    let web = WebNode::secure();
    figure(&web);
    // A browser that cannot be secured is no less served where the node allows it.
    let mut joe = Ua::udp(&web.node, "sip:joe@example.com");
    let call = Invite::new(&joe, BOB, Offer::active().web()).call_unbound(&mut joe);
    assert_eq!((call.answer.address(), call.answer.proto.as_str()), (web.msrp, "TCP/MSRP"));
}

// proves RFC 3261 12.2.2, RFC 7118 5: what the node asks comes to where the last target refresh came from
#[test]
fn a_call_goes_on_over_the_connection_of_its_last_reinvite() {
    let web = WebNode::plain(Plan::new());
    let ua = |over_web| if over_web { web.ua("bob") } else { Ua::tcp(&web.node, "bob") };
    for (first, second) in [(true, true), (false, true), (false, false)] {
        for gone in [false, true] {
            deposit(&mut Ua::tcp(&web.node, "sip:alice@example.org"), BOB, "one");
            let mut former = ua(first);
            let mut call = Invite::new(&former, BOB, Offer::active()).call(&mut former);
            // The ACK came, which goes another way than what follows it.
            former.barrier();
            let former = (!gone).then_some(former);
            let mut bob = ua(second);
            call.reoffer(&mut bob, Offer::active());
            call.finish(&mut bob, 1);
            drop(former);
        }
    }
}

// proves RFC 7118 5: who is gone for good takes no place, though nothing changes that he could not be told
#[test]
fn a_page_that_is_loaded_anew_takes_the_place_of_the_one_before() {
    let web = WebNode::plain(Plan::new().set("summary", "subscriptions_per_user = 2"));
    for _ in 0..5 {
        let mut page = web.ua("bob");
        let dialog = until("a place", || {
            let request = subscribe_request(&page, BOB, 3600);
            let response = page.ask(request.clone());
            (response.status() == 200).then(|| Dialog::opened(&request, &response))
        });
        notified(&mut page, &dialog);
    }
}

#[test]
fn pages_that_are_gone_make_room_among_the_watchers_of_a_focus() {
    let web = WebNode::plain(Plan::new());
    let mut alice = Ua::udp(&web.node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&web.node, "bob");
    let call = Invite::list(&bob, &[message_uri(&id)], Offer::active()).call_unbound(&mut bob);
    let focus = address(&call.ok.need("Contact"));
    for _ in 0..10 {
        let mut page = web.ua("bob");
        let call_id = until("a place", || {
            let request = page.request("SUBSCRIBE", &focus).add("Event", "conference").add("Expires", "600");
            (page.ask(request.clone()).status() == 200).then(|| request.call_id())
        });
        page.wait_and_ok("NOTIFY", &call_id);
    }
}

// proves RFC 7977 5.1: WebSocket clients cannot receive connections
#[test]
fn a_websocket_client_that_waits_to_be_connected_is_refused() {
    let web = WebNode::plain(Plan::new());
    let mut alice = web.ua("sip:alice@example.org");
    let response = Invite::new(&alice, BOB, Offer::passive().web()).refused(&mut alice);
    assert_eq!(response.status(), 488);
    assert!(response.need("Warning").contains("must be active"), "{}", response.need("Warning"));
}

// proves RFC 7118 5: exactly one SIP message in a WebSocket message, Content-Length or not
#[test]
fn a_sip_message_may_do_without_content_length() {
    let web = WebNode::plain(Plan::new());
    let carrier = web.carrier(Framing::Sip);
    WebSocket::open(&carrier, "sip");
    let mut socket = WebSocket::over(carrier);
    let alice = Ua::udp(&web.node, "sip:alice@example.org");
    let request =
        alice.request("MESSAGE", BOB).with("Via", "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKabc");
    let head: String = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value)))
        .collect();
    let text = format!("{}\r\n{head}Content-Type: text/plain\r\n\r\nall of it", request.start);
    // Text and binary, whole and in fragments.
    socket.send(0x1, text.as_bytes()).unwrap();
    let response = Msg::parse(&socket.next_message().unwrap()).unwrap().0;
    assert_eq!(response.status(), 202, "{response}");
    assert_eq!(fetch(&web.node, "bob").ids(), [request.call_id()]);
    let (first, second) = text.as_bytes().split_at(100);
    let mut begun = encode(0x2, first);
    begun[0] &= 0x7F;
    socket.send_raw(&begun);
    socket.send(0x0, second).unwrap();
    assert_eq!(Msg::parse(&socket.next_message().unwrap()).unwrap().0.status(), 202);
}

#[test]
fn what_is_no_handshake_is_answered_by_http() {
    let origins = "origins = [\"https://www.example.com\"]";
    let web = WebNode::plain(Plan::new().set("websocket", origins));
    let ask = |addr: SocketAddr, path: &str, headers: &str| {
        let response = WebSocket::ask(&Carrier::plain(addr), path, headers);
        response.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let sip = "Sec-WebSocket-Protocol: sip\r\n";
    assert_eq!(ask(web.sip, "/", sip), "101");
    assert_eq!(ask(web.msrp, "/", "Sec-WebSocket-Protocol: chat, msrp\r\n"), "101");
    assert_eq!(ask(web.sip, "/", "Sec-WebSocket-Protocol: msrp\r\n"), "400");
    assert_eq!(ask(web.sip, "/", ""), "400");
    assert_eq!(ask(web.sip, "/elsewhere", sip), "404");
    assert_eq!(ask(web.sip, "/", &format!("{sip}Origin: https://www.example.com\r\n")), "101");
    assert_eq!(ask(web.sip, "/", &format!("{sip}Origin: https://evil.example\r\n")), "403");
    let plain = Carrier::plain(web.sip);
    plain.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut response = [0; 4096];
    let count = plain.read(&mut response).unwrap();
    assert!(response[..count].starts_with(b"HTTP/1.1 426 "));
    until("it is told", || web.node.log().contains("this origin is not allowed").then_some(()));
}

#[test]
fn a_silent_client_is_pinged_and_given_up() {
    let web = WebNode::plain(Plan::new().set("websocket", "ping = \"100ms\""));
    let carrier = web.carrier(Framing::Sip);
    WebSocket::open(&carrier, "sip");
    let mut socket = WebSocket::over(carrier);
    for _ in 0..5 {
        let ping = socket.next_frame().unwrap();
        assert_eq!(ping.opcode, 0x9);
        socket.send(0xA, &ping.payload).unwrap();
    }
    socket.send(0x9, b"are you there").unwrap();
    let answered = std::iter::from_fn(|| socket.next_frame()).find(|frame| frame.opcode == 0xA);
    assert_eq!(answered.unwrap().payload, b"are you there");
    // From now on it is silent.
    let last = std::iter::from_fn(|| socket.next_frame()).last().unwrap();
    assert_eq!(last.opcode, 0x8, "a close frame ends it");
}

#[test]
fn what_breaks_the_rules_is_told_by_a_close_frame() {
    let web = WebNode::plain(Plan::new().set("websocket", "max_message = \"4KiB\""));
    let closed_by = |framing: Framing, protocol: &str, bytes: &[u8]| {
        let carrier = web.carrier(framing);
        WebSocket::open(&carrier, protocol);
        let _ = carrier.write(bytes);
        let mut socket = WebSocket::over(carrier);
        let frame = std::iter::from_fn(|| socket.next_frame()).last();
        frame.filter(|it| it.opcode == 0x8).map(|WebFrame { payload, .. }| {
            payload.get(..2).map_or(0, |code| u16::from_be_bytes(code.try_into().unwrap()))
        })
    };
    let large = encode(0x2, &vec![b'x'; 5000]);
    assert_eq!(closed_by(Framing::Msrp, "msrp", &large), Some(1009));
    let unmasked = [0x82, 2, b'h', b'i'];
    assert_eq!(closed_by(Framing::Sip, "sip", &unmasked), Some(1002));
    assert_eq!(closed_by(Framing::Sip, "sip", &encode(0x1, &[0xFF, 0xFE])), Some(1007));
    // RFC 7977 5.1: each chunk within a single message. Half of one ends the connection.
    let half = encode(0x1, b"MSRP a786hjs2 SEND\r\nTo-Path: msrp://a:1/x;ws\r\n");
    assert!(closed_by(Framing::Msrp, "msrp", &half).is_some());
    let mut alice = web.ua("sip:alice@example.org");
    assert_eq!(alice.ask_options().status(), 200, "others are served");
}

/// A client that somebody else has written.
#[test]
fn a_foreign_client_is_understood() {
    use tungstenite::client::IntoClientRequest;
    let web = WebNode::plain(Plan::new());
    let mut request = format!("ws://{}/", web.sip).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    let tcp = std::net::TcpStream::connect(web.sip).unwrap();
    let (mut socket, response) = tungstenite::client(request, tcp).unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
    let alice = Ua::udp(&web.node, "sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "hello");
    let text = String::from_utf8(message.encode()).unwrap();
    socket.send(tungstenite::Message::text(text)).unwrap();
    let answer = socket.read().unwrap();
    assert!(answer.is_text());
    assert_eq!(Msg::parse(answer.to_text().unwrap().as_bytes()).unwrap().0.status(), 202);
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    assert_eq!(fetch(&web.node, "bob").ids(), [message.call_id()]);
}

#[test]
fn pings_of_who_does_not_read_take_no_memory() {
    let web = WebNode::plain(Plan::new());
    // What the first one costs is not what the flood does.
    assert_eq!(web.ua("bob").ask_options().status(), 200);
    let before = limits::resident(&web.node);
    let pings: Vec<u8> = (0..500).flat_map(|_| encode(9, &[b'p'; 125])).collect();
    for framing in [Framing::Sip, Framing::Msrp] {
        let carrier = web.carrier(framing);
        WebSocket::open(&carrier, if framing == Framing::Sip { "sip" } else { "msrp" });
        let flood = WebSocket::over(carrier);
        for _ in 0..(24 << 20) / pings.len() {
            flood.send_raw(&pings);
        }
        // One that is read has its answer behind them all: the last pings were read, too.
        let mut other = web.ua("bob");
        assert_eq!(other.ask_options().status(), 200);
        let grown = limits::resident(&web.node).saturating_sub(before);
        // All of them would be 24 MiB and more.
        assert!(grown < (16 << 20), "memory grew by {grown}");
    }
}

#[test]
fn a_message_in_pieces_must_be_complete_in_time() {
    let web = WebNode::plain(Plan::new().set("sip", "request_timeout = \"1s\""));
    let carrier = web.carrier(Framing::Sip);
    WebSocket::open(&carrier, "sip");
    let mut slow = WebSocket::over(carrier);
    let mut first = encode(1, b"MESSAGE sip:bob@exam");
    // RFC 6455 5.4: the FIN bit is that of the last fragment.
    first[0] &= 0x7f;
    slow.send_raw(&first);
    while let Some(frame) = slow.next_frame() {
        assert_ne!(frame.opcode, 1, "no message is answered");
    }
    web.node.wait_log("a message was not completed in time");
}
