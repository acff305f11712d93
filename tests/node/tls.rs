//! SIP over TLS and MSRPS (RFC 3261 26, RFC 4975 14, RFC 5922, RFC 8122).

use crate::support::pki::fingerprint;
use crate::support::tunnel::tunnel_port;
use crate::support::*;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

const HOST: &str = "mailserver.example.com";
const BOB: &str = "sip:bob@example.com";

/// A node with a `tls:` listener beside the others, for SIP and for MSRP.
pub struct SecureNode {
    pub node: Node,
    pub authority: Authority,
    pub identity: Identity,
    pub sips: SocketAddr,
    pub msrps: SocketAddr,
}

fn port() -> SocketAddr {
    let host = IpAddr::from(Ipv4Addr::LOCALHOST);
    SocketAddr::new(host, ports::free(host))
}

impl SecureNode {
    pub fn start() -> Self {
        Self::plan(Plan::new())
    }

    pub fn plan(plan: Plan) -> Self {
        Self::believing(plan, "")
    }

    /// One that believes the certificates `others` beside its authority's.
    fn believing(plan: Plan, others: &str) -> Self {
        let [sip, sips, msrp, msrps] = std::array::from_fn(|_| port());
        let plan = plan
            .set("sip", &format!("listen = [\"udp:{sip}\", \"tcp:{sip}\", \"tls:{sips}\"]"))
            .set("msrp", &format!("listen = [\"tcp:{msrp}\", \"tls:{msrps}\"]"))
            .set("tls", "certificate = \"node.pem\"\nkey = \"node.key\"\nreload = \"100ms\"")
            .set("tls", "client_ca = \"clients.pem\"\nroots = \"clients.pem\"");
        let authority = Authority::new();
        let identity = authority.issue(&[HOST, "127.0.0.1"]);
        let mut node = plan.prepare();
        (node.sip, node.msrp) = (sip, msrp);
        identity.write(node.folder());
        std::fs::write(node.folder().join("clients.pem"), authority.pem() + others).unwrap();
        node.launch();
        Self { node, authority, identity, sips, msrps }
    }

    fn dial(&self, identity: Option<&Identity>) -> std::sync::Arc<Secure> {
        Secure::connect(self.sips, &tls_client(&self.authority, identity), HOST).unwrap()
    }

    /// A user agent that speaks SIP over TLS.
    fn ua(&self, user: &str) -> Ua {
        let tunnel = tunnel_port(Carrier::Secure(self.dial(None)), Framing::Stream);
        Ua::carried(tunnel, user, "TLS", ";transport=tls")
    }

    /// An MSRPS connection, as a client with this certificate opens it.
    fn msrps(&self, identity: Option<&Identity>) -> TcpStream {
        let session = Secure::connect(self.msrps, &tls_client(&self.authority, identity), HOST).unwrap();
        tunnel(Carrier::Secure(session), Framing::Stream)
    }
}

// proves RFC 3261 26.3.1, RFC 4975 14.2, RFC 8122 5: figure 1 with nothing in the clear
#[test]
fn deposit_summary_and_retrieval_go_over_tls() {
    let secure = SecureNode::start();
    let mut alice = secure.ua("sip:alice@example.org").sips();
    let message = alice.request("MESSAGE", "sips:bob@example.com").body("text/plain", "hello");
    assert_eq!(alice.ask(message).status(), 202);

    let own = Identity::self_signed(&["alice.invalid"]);
    let offer = Offer::active().secure(Some(own.fingerprint()));
    let mut call = Invite::new(&alice, "sips:bob@example.com", offer).call_unbound(&mut alice);
    assert!(call.ok.need("Contact").contains("<sips:"), "RFC 3261 12.1.1: {}", call.ok.need("Contact"));
    assert_eq!(call.answer.proto, "TCP/TLS/MSRP");
    assert!(call.answer.path.starts_with("msrps://"), "{}", call.answer.path);
    assert_eq!(call.answer.address(), secure.msrps);
    assert_eq!(call.answer.fingerprint, Some(secure.identity.fingerprint()));
    call.join_over(secure.msrps(Some(&own)));
    call.msrp().say("a session");
    call.bye(&mut alice);

    let mut bob = secure.ua("bob");
    let dialog = subscribe(&mut bob, BOB, 3600);
    let notify = notified(&mut bob, &dialog);
    assert_eq!(Summary::of(&notify).texts.as_deref(), Some("2/0 (0/0)"));
    assert!(notify.need("Via").starts_with("SIP/2.0/TLS "), "{}", notify.need("Via"));
    let own = Identity::self_signed(&["bob.invalid"]);
    let offer = Offer::active().secure(Some(own.fingerprint()));
    let mut call = Invite::new(&bob, BOB, offer).call_unbound(&mut bob);
    call.join_over(secure.msrps(Some(&own)));
    let delivered = call.finish(&mut bob, 2);
    let bodies: Vec<Vec<u8>> = delivered.iter().map(|it| Cpim::parse(&it.body).body).collect();
    assert_eq!(bodies, [b"hello".to_vec(), b"a session".to_vec()]);
}

// proves RFC 3261 12.1.1: whatever the INVITE came over, as from a proxy that ends TLS
#[test]
fn a_sips_dialog_that_came_in_the_clear_has_a_sips_contact() {
    let secure = SecureNode::start();
    let plain = Node::start();
    for (node, port) in [(&secure.node, secure.sips.port()), (&plain, plain.sip.port())] {
        for (mut ua, transport) in [(Ua::udp(node, "alice"), ""), (Ua::tcp(node, "alice"), ";transport=tcp")]
        {
            let named = |ua: &mut Ua, uri: &str, header: Option<(&str, &str)>| {
                let mut invite = Invite::new(ua, uri, Offer::active());
                if let Some((name, value)) = header {
                    invite.request = invite.request.with(name, value);
                }
                invite.call(ua).ok.need("Contact")
            };
            // At a listener for TLS, if there is one.
            let at = format!("@127.0.0.1:{port}");
            for (uri, header) in [
                ("sips:bob@example.com", None),
                (BOB, Some(("Contact", "<sips:alice@127.0.0.1:5>"))),
                (BOB, Some(("Record-Route", "<sips:127.0.0.1:5;lr>"))),
            ] {
                let contact = named(&mut ua, uri, header);
                assert!(
                    contact.starts_with("<sips:deposit-") && contact.contains(&at),
                    "{header:?}: {contact}"
                );
            }
            let contact = named(&mut ua, BOB, None);
            let own = format!("@127.0.0.1:{}{transport}>", node.sip.port());
            assert!(contact.starts_with("<sip:") && contact.ends_with(&own), "{contact}");
        }
    }
}

#[test]
fn a_large_session_goes_over_msrps_unharmed() {
    let secure = SecureNode::start();
    let mut alice = secure.ua("sip:alice@example.org");
    let body = noise(3 << 20);
    let mut call = Invite::new(&alice, BOB, Offer::active().secure(None)).call_unbound(&mut alice);
    call.join_over(secure.msrps(None));
    for chunk in Chunk::whole("application/octet-stream", &body).cut(100_000) {
        assert_eq!(call.msrp().send(&chunk), 200);
    }
    call.bye(&mut alice);
    let mut bob = secure.ua("bob");
    let offer = Offer::active().secure(None).accepts("*");
    let mut call = Invite::new(&bob, BOB, offer).call_unbound(&mut bob);
    call.join_over(secure.msrps(None));
    let delivered = call.finish(&mut bob, 1).remove(0);
    assert!(Cpim::parse(&delivered.body).body == body);
}

// proves RFC 4975 8.1, RFC 3264 6: an offer of both is answered by the first that fits
#[test]
fn an_offer_is_answered_by_what_was_offered() {
    let secure = SecureNode::start();
    let mut alice = secure.ua("sip:alice@example.org");
    let plain = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    assert_eq!((plain.answer.proto.as_str(), plain.answer.address()), ("TCP/MSRP", secure.node.msrp));
    assert_eq!(plain.answer.fingerprint, None);
    // By UDP too: what protects the session is the offerer's choice.
    let mut joe = Ua::udp(&secure.node, "sip:joe@example.com");
    let call = Invite::new(&joe, BOB, Offer::active().secure(None)).call_unbound(&mut joe);
    assert_eq!((call.answer.proto.as_str(), call.answer.address()), ("TCP/TLS/MSRP", secure.msrps));
    // Without a listener for it, it is refused.
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.com");
    let response = Invite::new(&joe, BOB, Offer::active().secure(None)).refused(&mut joe);
    assert_eq!(response.status(), 488);
    assert!(response.need("Warning").contains("TCP/MSRP is needed"), "{}", response.need("Warning"));
}

// proves RFC 8122 6.2: the node as the client of the peer
#[test]
fn the_node_connects_to_the_certificate_of_the_offer() {
    let secure = SecureNode::start();
    let own = Identity::self_signed(&["alice.invalid"]);
    let mut alice = secure.ua("sip:alice@example.org");
    let offer = Offer::passive().secure(Some(own.fingerprint()));
    let mut call = Invite::new(&alice, BOB, offer).call_unbound(&mut alice);
    assert_eq!(call.answer.setup.as_deref(), Some("active"));
    call.join_accepted(|stream| {
        let session = Secure::accept(stream, &own).unwrap();
        tunnel(Carrier::Secure(session), Framing::Stream)
    });
    call.msrp().say("hello");
    call.bye(&mut alice);
    assert_eq!(fetch(&secure.node, "bob").ids().len(), 1);

    // Another certificate than that of the offer: the node turns away, and the session ends.
    let offer = Offer::passive().secure(Some(own.fingerprint()));
    let mut call = Invite::new(&alice, BOB, offer).call_unbound(&mut alice);
    let other = Identity::self_signed(&["mallory.invalid"]);
    call.turn_away(|stream| {
        // In TLS 1.3 the server learns of it only when it reads on.
        if let Ok(session) = Secure::accept(stream, &other) {
            assert!(session.read(&mut [0; 1]).is_err());
        }
    });
    call.wait_bye(&mut alice);
}

// proves RFC 8122 6.2, RFC 4975 14.4
#[test]
fn another_certificate_than_that_of_the_offer_is_refused() {
    let secure = SecureNode::start();
    let own = Identity::self_signed(&["alice.invalid"]);
    let other = Identity::self_signed(&["mallory.invalid"]);
    let mut alice = secure.ua("sip:alice@example.org");
    let offer = || Offer::active().secure(Some(own.fingerprint()));
    for shown in [Some(&other), None] {
        let call = Invite::new(&alice, BOB, offer()).call_unbound(&mut alice);
        let mut msrp = Msrp::over(secure.msrps(shown), &call.local, &call.answer.path);
        assert_eq!(msrp.send(&Chunk::whole("text/plain", "from mallory")), 403);
        assert!(msrp.is_closed(), "the connection ends");
    }
    // Nor does a plain connection carry a session that is to be secured, or the other way round.
    let call = Invite::new(&alice, BOB, offer()).call_unbound(&mut alice);
    let plain = TcpStream::connect(secure.node.msrp).unwrap();
    let mut msrp = Msrp::over(plain, &call.local, &call.answer.path);
    assert_eq!(msrp.send(&Chunk::whole("text/plain", "in the clear")), 403);
    assert!(msrp.is_closed());
    let mut right = Msrp::over(secure.msrps(Some(&own)), &call.local, &call.answer.path);
    assert_eq!(right.send(&Chunk::whole("text/plain", "from alice")), 200);
    assert_eq!(fetch(&secure.node, "bob").ids().len(), 0, "nothing of it was taken before the session ended");
    let sha1 = Offer::active().secure(Some("sha-1 4A:AD:B9:B1".to_owned()));
    let response = Invite::new(&alice, BOB, sha1).refused(&mut alice);
    assert_eq!(response.status(), 488);
}

// proves RFC 5922 7.4
#[test]
fn a_peer_is_trusted_for_its_certificate() {
    let plan = Plan::new().set("trust", "peers = [\"192.0.2.0/24\", \"cert:proxy.example.com\"]");
    let secure = SecureNode::plan(plan);
    let status = |identity: Option<&Identity>| {
        let tunnel = tunnel_port(Carrier::Secure(secure.dial(identity)), Framing::Stream);
        let mut proxy = Ua::carried(tunnel, "bob", "TLS", ";transport=tls");
        let request = subscribe_request(&proxy, BOB, 0);
        proxy.ask(request).status()
    };
    assert_eq!(status(Some(&secure.authority.issue(&["sip:proxy.example.com"]))), 200);
    assert_eq!(status(Some(&secure.authority.issue(&["Proxy.example.com", "other.example.com"]))), 200);
    for stranger in [
        None,
        Some(secure.authority.issue(&["other.example.com"])),
        Some(secure.authority.issue(&["*.example.com"])),
    ] {
        assert!([401, 403].contains(&status(stranger.as_ref())), "it is a stranger");
    }
    // Signed by somebody else: there is no session at all.
    let forged = Identity::self_signed(&["proxy.example.com"]);
    let session = Secure::connect(secure.sips, &tls_client(&secure.authority, Some(&forged)), HOST);
    assert!(session.is_err() || session.unwrap().read(&mut [0; 1]).is_err());
}

/// What of Bob's NOTIFY gets through to who is at his Contact, and shows `identity`.
fn notify_to(secure: &SecureNode, identity: &Identity) -> Option<String> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut bob = Ua::udp(&secure.node, "bob");
    let contact = format!("<sips:bob@{}>", listener.local_addr().unwrap());
    let request = subscribe_request(&bob, BOB, 3600).with("Contact", &contact);
    assert_eq!(bob.ask(request).status(), 200);
    let session = Secure::accept(ports::accept(&listener), identity).ok()?;
    let mut text = vec![0; 4096];
    let count = session.read(&mut text).ok()?;
    (count > 0).then(|| String::from_utf8(text[..count].to_vec()).unwrap())
}

// proves RFC 5922 7.3: TLS for what the node sends is verified against the domain, here an address
#[test]
fn the_node_verifies_whom_it_notifies() {
    // As `openssl req -x509` makes it: nobody else has signed it, and it may sign others.
    let own = Authority::showing(&["127.0.0.1"]);
    let secure = SecureNode::believing(Plan::new(), &own.certificate);
    assert_eq!(notify_to(&secure, &Identity::self_signed(&["127.0.0.1"])), None);
    assert_eq!(notify_to(&secure, &secure.authority.issue(&["127.0.0.2"])), None);
    assert_eq!(notify_to(&secure, &Authority::showing(&["127.0.0.1"])), None);
    for good in [secure.authority.issue(&["127.0.0.1"]), own] {
        let notify = notify_to(&secure, &good).expect("the NOTIFY");
        assert!(notify.starts_with("NOTIFY sips:bob@127.0.0.1:"), "{notify}");
        assert!(notify.contains("Via: SIP/2.0/TLS "), "{notify}");
    }
}

#[test]
fn a_changed_certificate_is_used_without_dropping_a_connection() {
    let secure = SecureNode::start();
    let mut alice = secure.ua("sip:alice@example.org");
    let deposit = |alice: &mut Ua| {
        let message = alice.request("MESSAGE", BOB).body("text/plain", "hello");
        assert_eq!(alice.ask(message).status(), 202);
    };
    deposit(&mut alice);
    let shown = || fingerprint(&secure.dial(None).peer());
    assert_eq!(shown(), secure.identity.fingerprint());

    // A broken pair is told in one line, and what was there stays.
    let next = secure.authority.issue(&[HOST]);
    std::fs::write(secure.node.folder().join("node.key"), "no key\n").unwrap();
    let refusals = |node: &Node| node.log().matches("certificate not reloaded").count();
    until("the broken key is told", || (refusals(&secure.node) == 1).then_some(()));
    secure.node.signal("HUP");
    until("SIGHUP is heard", || secure.node.log().contains("SIGHUP").then_some(()));
    assert_eq!((refusals(&secure.node), shown()), (1, secure.identity.fingerprint()));

    next.write(secure.node.folder());
    until("the new certificate is used", || (shown() == next.fingerprint()).then_some(()));
    deposit(&mut alice);
    let call = Invite::new(&alice, BOB, Offer::active().secure(None)).call_unbound(&mut alice);
    assert_eq!(call.answer.fingerprint, Some(next.fingerprint()));
}

// proves RFC 5246 7.2.1: each party is required to send a close_notify before closing
#[test]
fn a_connection_that_is_not_used_is_closed_as_tls_wants_it() {
    let secure = SecureNode::plan(Plan::new().set("msrp", "bind_timeout = \"100ms\""));
    let idle = Secure::connect(secure.msrps, &tls_client(&secure.authority, None), HOST).unwrap();
    // Without close_notify it would be an unexpected end.
    assert_eq!(idle.read(&mut [0; 9]).unwrap(), 0);
    let log = secure.node.wait_log("no session");
    assert!(!log.contains("connection broken"), "{log}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_at_start() {
    let start = |write: &dyn Fn(&Path)| {
        let plan = Plan::new()
            .set("sip", &format!("listen = [\"tls:{}\"]", port()))
            .set("tls", "certificate = \"node.pem\"\nkey = \"node.key\"");
        let node = plan.prepare();
        write(node.folder());
        let output = node.command().output().unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        let line = text.lines().find(|line| line.contains("[tls]")).unwrap_or_else(|| panic!("{text}"));
        line.to_owned()
    };
    let (one, other) = (Identity::self_signed(&[HOST]), Identity::self_signed(&[HOST]));
    assert!(start(&|_| {}).contains("node.pem"));
    let mixed = start(&|folder| {
        one.write(folder);
        std::fs::write(folder.join("node.key"), &other.key).unwrap();
    });
    assert!(mixed.contains("node.key"), "{mixed}");
}

#[test]
fn what_is_no_tls_ends_without_harm() {
    let plan = Plan::new().set("tls", "handshake_timeout = \"1s\"\nmax_handshakes = 3");
    let secure = SecureNode::plan(plan);
    let ends = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("a clean end");
        rest
    };
    // Plain text gets an alert and an orderly end, and one line in the log.
    for addr in [secure.sips, secure.msrps] {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"OPTIONS sip:mailserver.example.com SIP/2.0\r\n\r\n").unwrap();
        ends(stream);
    }
    until("it is told", || (secure.node.log().matches("not TLS").count() == 2).then_some(()));
    // Half-open, and slow: each is given up in time; meanwhile others are served.
    let silent = TcpStream::connect(secure.sips).unwrap();
    let mut slow = TcpStream::connect(secure.sips).unwrap();
    slow.write_all(&[0x16, 3, 1, 1, 0]).unwrap();
    let mut alice = secure.ua("sip:alice@example.org");
    let message = alice.request("MESSAGE", BOB).body("text/plain", "hello");
    assert_eq!(alice.ask(message).status(), 202);
    // More at once than may be are closed at once.
    let third = TcpStream::connect(secure.sips).unwrap();
    let fourth = TcpStream::connect(secure.sips).unwrap();
    ends(fourth);
    secure.node.wait_log("too many handshakes at once");
    for stream in [silent, slow, third] {
        ends(stream);
    }
    secure.node.wait_log("not completed in time");
    assert_eq!(secure.ua("bob").ask_options().status(), 200, "the places are free again");
}
