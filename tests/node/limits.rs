//! Every limit has a clear answer, those within it go on, and memory stays where it was.

use crate::support::*;
use std::io::{Read, Write};
use std::net::TcpStream;

const BOB: &str = "sip:bob@example.com";

/// Refused for now: 480, when to try again, and why.
fn assert_busy(response: &Msg) {
    assert_eq!(response.status(), 480, "{response}");
    assert!(response.need("Retry-After").parse::<u32>().unwrap() > 0, "{response}");
    assert!(response.need("Warning").contains("too many"), "{response}");
}

/// Refused because the node has enough to do: 503, and when to try again.
fn assert_overloaded(response: &Msg) {
    assert_eq!(response.status(), 503, "{response}");
    assert!(response.need("Retry-After").parse::<u32>().unwrap() > 0, "{response}");
}

/// The node's resident memory, in bytes.
pub fn resident(node: &Node) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_user_has_so_many_retrievals_at_once_and_room_comes_back() {
    let node = Plan::new().set("retrieval", "sessions_per_user = 2").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let id = deposit(&mut alice, BOB, "x");
    let mut bob = Ua::udp(&node, "bob");
    let mut open: Vec<Call> = (0..2)
        .map(|_| Invite::new(&bob, &message_uri(&id), Offer::active()).call_unbound(&mut bob))
        .collect();
    assert_busy(&Invite::new(&bob, &message_uri(&id), Offer::active()).refused(&mut bob));
    let carols = deposit(&mut alice, "sip:carol@example.com", "hers is another");
    retrieve(&mut Ua::udp(&node, "carol"), &message_uri(&carols), 1);
    open[0].bye(&mut bob);
    retrieve(&mut bob, &message_uri(&id), 1);
}

#[test]
fn a_mailbox_takes_so_many_sessions_at_once_and_room_comes_back() {
    let node = Plan::new().set("deposit", "sessions_per_user = 2").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut open: Vec<Call> =
        (0..2).map(|_| Invite::new(&joe, BOB, Offer::active()).call(&mut joe)).collect();
    assert_busy(&Invite::new(&joe, BOB, Offer::active()).refused(&mut joe));
    Invite::new(&joe, "sip:carol@example.com", Offer::active()).call(&mut joe).bye(&mut joe);
    open[0].bye(&mut joe);
    open[1].msrp().say("still here");
    deposit_session(&mut joe, BOB, &["room again"]);
}

#[test]
fn the_node_has_so_many_sessions_at_once() {
    let plan = Plan::new().set("deposit", "sessions_total = 1").set("retrieval", "sessions_total = 1");
    let node = plan.start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut deposit_call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    assert_overloaded(&Invite::new(&joe, "sip:carol@example.com", Offer::active()).refused(&mut joe));
    deposit_call.msrp().say("hello");
    deposit_call.bye(&mut joe);
    let id = deposit(&mut joe, "sip:carol@example.com", "x");
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, BOB, Offer::active()).call(&mut bob);
    let mut carol = Ua::udp(&node, "carol");
    assert_overloaded(&Invite::new(&carol, &message_uri(&id), Offer::active()).refused(&mut carol));
    call.finish(&mut bob, 1);
    until("room comes back", || {
        let invite = Invite::new(&carol, &message_uri(&id), Offer::active());
        let response = carol.ask(invite.request.clone());
        (response.status() == 200).then_some(())
    });
}

#[test]
fn a_user_has_so_many_subscriptions_and_room_comes_back() {
    let node = Plan::new().set("summary", "subscriptions_per_user = 2").start();
    let mut bob = Ua::udp(&node, "bob");
    let mut first = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &first);
    let second = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &second);
    let third = subscribe_request(&bob, BOB, 600);
    assert_busy(&bob.ask(third));
    let end = first.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "0");
    assert_eq!(bob.ask(end).status(), 200);
    notified(&mut bob, &first);
    let again = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &again);
}

#[test]
fn a_session_has_so_many_messages_and_goes_on_beyond() {
    let node = Plan::new().set("deposit", "max_messages = 2").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    call.msrp().say("one");
    call.msrp().say("two");
    for _ in 0..2 {
        assert_eq!(call.msrp().send(&Chunk::whole("text/plain", "three")), 413);
    }
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&call.dialog.call_id), 2);
    assert_eq!(Cpim::parse(&delivered[1].body).body, b"two");
}

#[test]
fn so_many_messages_arrive_at_once_in_a_session() {
    let node = Plan::new().set("msrp", "max_incoming = 2").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let begun = |text: &str| Chunk::whole("text/plain", text).range("1-5/10").flag('+');
    let (first, second, third) = (begun("first"), begun("secon"), begun("third"));
    assert_eq!((call.msrp().send(&first), call.msrp().send(&second)), (200, 200));
    assert_eq!(call.msrp().send(&third), 413);
    let rest = Chunk::whole("text/plain", " rest").id(&first.message_id).range("6-10/10");
    assert_eq!(call.msrp().send(&rest), 200);
    call.msrp().say("room again");
    call.bye(&mut joe);
}

#[test]
fn a_frame_with_an_endless_header_ends_its_connection_and_no_other() {
    let node = Plan::new().set("msrp", "max_header = \"2KiB\"").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let mut stream = TcpStream::connect(node.msrp).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let before = resident(&node);
    let _ = stream.write_all(b"MSRP abcd1234 SEND\r\n");
    for _ in 0..1_000 {
        if stream.write_all(format!("X-Filler: {}\r\n", "x".repeat(10_000)).as_bytes()).is_err() {
            break;
        }
    }
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "it is closed");
    assert!(resident(&node) < before + (8 << 20), "memory grew by {}", resident(&node) - before);
    call.msrp().say("the others go on");
    call.bye(&mut joe);
}

#[test]
fn a_strangers_address_has_so_many_connections_and_others_have_theirs() {
    let plan =
        Plan::new().set("trust", "peers = [\"127.0.0.2/32\"]").set("sip", "max_connections_per_address = 3");
    let node = plan.start();
    let answered = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ping = stream.write_all(b"\r\n\r\n").is_ok();
        let mut pong = [0; 2];
        ping && stream.read_exact(&mut pong).is_ok()
    };
    let mut open: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(node.sip).unwrap()).collect();
    assert!(open.iter_mut().all(answered), "within the limit");
    assert!(!answered(&mut TcpStream::connect(node.sip).unwrap()), "over the limit: closed");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let other: std::net::SocketAddr = "127.0.0.3:0".parse().unwrap();
    socket.bind(&other.into()).unwrap();
    socket.connect(&node.sip.into()).unwrap();
    assert!(answered(&mut TcpStream::from(socket)), "another address has its own");
    open.clear();
    until("room comes back", || answered(&mut TcpStream::connect(node.sip).unwrap()).then_some(()));
}

// proves RFC 3261 21.5.4
#[test]
fn there_are_so_many_transactions_and_what_goes_on_has_room() {
    let node = Plan::new().set("sip", "max_transactions = 32").set("node", "workers = 1").start();
    let mut bob = Ua::tcp(&node, "bob");
    let mut dialog = subscribe(&mut bob, BOB, 600);
    notified(&mut bob, &dialog);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    // A deposit that was accepted takes no room, although its repetition is recognised.
    for _ in 0..40 {
        let message = alice.request("MESSAGE", BOB).body("text/plain", "x");
        let response = alice.ask(message.clone());
        assert_eq!(response.status(), 202, "{response}");
        assert_eq!(alice.ask(message).encode(), response.encode());
    }
    // Any other transaction over UDP stays for the repetitions of its request (RFC 3261 17.2.2).
    let mut answered = 0;
    let refusal = loop {
        let response = alice.ask_options();
        if response.status() != 200 {
            break response;
        }
        answered += 1;
        assert!(answered <= 34, "no limit");
    };
    assert_overloaded(&refusal);
    let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "600");
    assert_eq!(bob.ask(refresh).status(), 200, "what is in a dialog goes on");
}

#[test]
fn a_client_that_does_not_read_costs_no_memory_and_holds_up_nobody() {
    const SIZE: usize = 40_000_000;
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let mut call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    let chunk = Chunk::whole("application/octet-stream", noise(SIZE)).range(&format!("1-*/{SIZE}"));
    assert_eq!(call.msrp().send(&chunk), 200);
    call.bye(&mut alice);
    let large = message_uri(&call.dialog.call_id);
    let mut bob = Ua::udp(&node, "bob");
    let before = resident(&node);
    // Each has been sent what the buffers take, and reads no more of it.
    let mut stalled: Vec<(Call, Msrp)> = (0..3)
        .map(|_| {
            let call = Invite::new(&bob, &large, Offer::active()).call_unbound(&mut bob);
            let mut msrp = call.connect();
            msrp.small_window();
            msrp.bind();
            msrp.next_send();
            (call, msrp)
        })
        .collect();
    let small = deposit(&mut alice, BOB, "small");
    retrieve(&mut bob, &message_uri(&small), 1);
    let delivered = retrieve(&mut bob, &large, 1);
    assert!(Cpim::parse(&delivered[0].body).body == noise(SIZE), "who reads gets all of it");
    let grown = resident(&node).saturating_sub(before);
    // Four times it was sent, and not once is it in memory. On a busy machine the allocator keeps some more.
    assert!(grown < SIZE as u64, "three who do not read, and one who does, cost {grown} bytes");
    for (call, _) in &mut stalled {
        call.bye(&mut bob);
    }
    assert_eq!(fetch(&node, "bob").totals(), (0, 2));
}

// proves RFC 3261 21.5.4
#[test]
fn an_invite_is_refused_where_there_is_no_room_for_its_msrp_connection() {
    let node = Plan::new().set("msrp", "max_connections = 1").start();
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    let mut bob = Ua::udp(&node, "bob");
    let id = deposit(&mut alice, BOB, "x");
    let mut call = Invite::new(&alice, BOB, Offer::active()).call(&mut alice);
    call.msrp().say("the only one");
    for uri in [message_uri(&id), "sip:dave@example.com".to_owned()] {
        let refused = bob.ask(Invite::new(&bob, &uri, Offer::active()).request);
        assert_eq!(refused.status(), 503, "{refused}");
        assert!(refused.get("Retry-After").is_some(), "{refused}");
    }
    call.bye(&mut alice);
    drop(call);
    until("there is room again", || {
        let mut call = Invite::new(&bob, &message_uri(&id), Offer::active());
        let answer = bob.ask(std::mem::replace(&mut call.request, Msg::request("INVITE", "sip:x")));
        (answer.status() == 200).then_some(())
    });
}
