//! SIP over real loopback sockets, or, where time has a part in it, over a network in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::close_cause::CloseCause;
use super::msrp_limits_tests::Network;
use super::sip::FlowClosed;
use super::*;
use bytes::Bytes;
use restante::machine::sip::{Destination, Flow, TransmitId, Transport};
use restante::wire::sip::{Limits, Message, ParseError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(10);
const ID: TransmitId = TransmitId::Stateless;

struct Rig {
    transport: SipTransport,
    sender: SipSender,
    stopper: Stopper,
    udp: SocketAddr,
    tcp: SocketAddr,
    received: UnboundedReceiver<SipReceived>,
    closed: UnboundedReceiver<FlowClosed>,
    drained: UnboundedReceiver<u64>,
    failed: UnboundedReceiver<TransportFailed>,
}

impl Rig {
    fn new(limits: SipLimits, inflight: usize) -> Self {
        let stopper = Stopper::new();
        let (tell_received, received) = unbounded_channel();
        let (tell_closed, closed) = unbounded_channel();
        let (tell_failed, failed) = unbounded_channel();
        let (tell_drained, drained) = unbounded_channel();
        let ports = SipPorts {
            received: Arc::new(move |event| tell_received.send(event).unwrap_or(())),
            closed: Arc::new(move |event| tell_closed.send(event).unwrap_or(())),
            drained: Arc::new(move |link| tell_drained.send(link).unwrap_or(())),
        };
        let backlog = Backlog::new(inflight);
        let transport = SipTransport::new(
            limits,
            ports,
            backlog,
            Tls::load(TlsFiles::default()).unwrap(),
            Cores::here(),
            stopper.clone(),
        );
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let udp = transport.listen_udp(any).unwrap();
        let tcp = transport.listen(Transport::Tcp, any).unwrap();
        let sender = transport.sender(move |event| tell_failed.send(event).unwrap_or(()));
        Self { transport, sender, stopper, udp, tcp, received, closed, drained, failed }
    }

    async fn received(&mut self) -> SipReceived {
        soon(self.received.recv()).await.unwrap()
    }

    async fn quiet(&mut self) {
        let more = tokio::time::timeout(Duration::from_millis(100), self.received.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happens")
}

fn message(method: &str, call: &str, length: Option<usize>) -> String {
    let body = "hello";
    format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP client.invalid;branch=z9hG4bK{call}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: {call}\r\nCSeq: 1 {method}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        length.unwrap_or(body.len()),
    )
}

fn call_id(received: &SipReceived) -> String {
    let Ok(Message::Request(request)) = &received.message else { panic!("{received:?}") };
    String::from_utf8_lossy(&request.headers.call_id().unwrap()).into_owned()
}

async fn read_some(stream: &mut TcpStream) -> Vec<u8> {
    let mut some = vec![0_u8; 65_536];
    let count = soon(stream.read(&mut some)).await.unwrap();
    some.truncate(count);
    some
}

async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is an end, too.
    let _ = soon(stream.read_to_end(&mut all)).await;
    all
}

#[tokio::test]
async fn datagrams_come_in_and_answers_go_out_from_the_same_socket() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let other = rig.transport.listen_udp("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(message("MESSAGE", "a", None).as_bytes(), other).await.unwrap();
    let received = rig.received().await;
    assert_eq!(call_id(&received), "a");
    assert_eq!((received.flow.transport, received.flow.connection), (Transport::Udp, 0));
    assert_eq!((received.flow.local, received.flow.peer), (other, client.local_addr().unwrap()));
    rig.sender.send(&Destination::back(received.flow), Bytes::from_static(b"answer"), ID);
    let mut datagram = [0_u8; 100];
    let (size, from) = soon(client.recv_from(&mut datagram)).await.unwrap();
    assert_eq!((&datagram[..size], from), (b"answer".as_slice(), other));
}

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    for (all, asked) in [("0.0.0.0:0", "127.0.0.2"), ("0.0.0.0:0", "127.0.0.3"), ("[::]:0", "::1")] {
        let bound = rig.transport.listen_udp(all.parse().unwrap()).unwrap();
        let asked = SocketAddr::new(asked.parse().unwrap(), bound.port());
        // Bound so that the system itself would answer from another address.
        let here = if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let client = UdpSocket::bind(here).await.unwrap();
        client.connect(asked).await.unwrap();
        client.send(message("MESSAGE", "a", None).as_bytes()).await.unwrap();
        let received = rig.received().await;
        assert_eq!((received.flow.local, received.flow.peer), (asked, client.local_addr().unwrap()));
        // A connected socket hears the address only that it has asked.
        rig.sender.send(&Destination::back(received.flow), Bytes::from_static(b"answer"), ID);
        let mut datagram = [0_u8; 100];
        let size = soon(client.recv(&mut datagram)).await.unwrap();
        assert_eq!(&datagram[..size], b"answer");
    }
}

#[tokio::test]
async fn an_address_that_is_gone_keeps_no_datagram_back() {
    let rig = Rig::new(SipLimits::default(), 10);
    let bound = rig.transport.listen_udp("0.0.0.0:0".parse().unwrap()).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let gone = SocketAddr::new("192.0.2.1".parse().unwrap(), bound.port());
    let peer = client.local_addr().unwrap();
    let flow = Flow { transport: Transport::Udp, connection: 0, local: gone, peer };
    rig.sender.send(&Destination::back(flow), Bytes::from_static(b"answer"), ID);
    let mut datagram = [0_u8; 100];
    let (size, from) = soon(client.recv_from(&mut datagram)).await.unwrap();
    assert_eq!((&datagram[..size], from.port()), (b"answer".as_slice(), bound.port()));
}

#[tokio::test]
async fn datagrams_that_cannot_be_answered_are_dropped() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in [b"\r\n\r\n".as_slice(), b"\0\0\0\0", b"", b"\0\x01\0\0\x21\x12\xa4\x42", b"garbage"] {
        client.send_to(datagram, rig.udp).await.unwrap();
    }
    rig.quiet().await;
    client
        .send_to(message("MESSAGE", "a", None).replace("2.0\r\nVia", "3.0\r\nVia").as_bytes(), rig.udp)
        .await
        .unwrap();
    assert!(matches!(rig.received().await.message, Err(ParseError::Reject { .. })));
}

#[tokio::test]
async fn datagrams_beyond_the_backlog_wait_but_not_for_what_goes_on() {
    let mut rig = Rig::new(SipLimits::default(), 1);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let within = message("BYE", "w", None).replace("bob@example.com>", "bob@example.com>;tag=2");
    for text in [message("MESSAGE", "a", None), within, message("MESSAGE", "b", None)] {
        client.send_to(text.as_bytes(), rig.udp).await.unwrap();
    }
    let first = rig.received().await;
    assert_eq!(call_id(&first), "a");
    assert_eq!(call_id(&rig.received().await), "w", "what goes on is counted apart");
    client.send_to(message("MESSAGE", "c", None).as_bytes(), rig.udp).await.unwrap();
    rig.quiet().await;
    drop(first);
    for call in ["b", "c"] {
        assert_eq!(call_id(&rig.received().await), call, "none is lost");
    }
}

#[tokio::test]
async fn a_datagram_without_a_socket_fails() {
    // Who is asked for TLS here says nothing; by default he would be waited for as long as this test waits.
    let handshake = HandshakeLimits { timeout: Duration::from_millis(100), ..HandshakeLimits::default() };
    let mut rig = Rig::new(SipLimits { handshake, ..SipLimits::default() }, 10);
    let v6 = Destination::new(Transport::Udp, "[::1]:9".parse().unwrap());
    rig.sender.send(&v6, Bytes::from_static(b"x"), ID);
    let huge = Destination::new(Transport::Udp, rig.tcp);
    rig.sender.send(&huge, Bytes::from(vec![0; 70_000]), ID);
    let tls = Destination::new(Transport::Tls, rig.tcp);
    rig.sender.send(&tls, Bytes::from_static(b"x"), ID);
    for _ in 0..3 {
        assert_eq!(soon(rig.failed.recv()).await.map(|failed| failed.id), Some(ID));
    }
}

#[tokio::test]
async fn a_stream_is_framed_and_answered_on_its_own_connection() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    client.set_nodelay(true).unwrap();
    let text = message("MESSAGE", "a", None) + &message("MESSAGE", "b", None);
    for byte in text.as_bytes() {
        client.write_all(std::slice::from_ref(byte)).await.unwrap();
        tokio::task::yield_now().await;
    }
    let (first, second) = (rig.received().await, rig.received().await);
    assert_eq!((call_id(&first), call_id(&second)), ("a".into(), "b".into()));
    assert_eq!(first.flow, second.flow);
    assert_eq!((first.flow.local, first.flow.peer), (rig.tcp, client.local_addr().unwrap()));
    rig.sender.send(&Destination::back(first.flow), Bytes::from_static(b"answer"), ID);
    assert_eq!(read_some(&mut client).await, b"answer");
    // Without the flow, the open connection to that address serves.
    let by_address = Destination::new(Transport::Tcp, first.flow.peer);
    rig.sender.send(&by_address, Bytes::from_static(b"request"), ID);
    assert_eq!(read_some(&mut client).await, b"request");
    drop(client);
    let closed = soon(rig.closed.recv()).await.unwrap();
    assert_eq!((closed.flow, closed.cause), (first.flow, CloseCause::Peer));
    assert_eq!(rig.transport.connections(), 0);
}

// proves RFC 5626 4.4.1: the double CRLF is answered by a single one
#[tokio::test]
async fn keep_alives_are_answered() {
    let rig = Rig::new(SipLimits::default(), 10);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    client.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_some(&mut client).await, b"\r\n");
}

#[tokio::test]
async fn a_stream_waits_for_room_in_the_backlog() {
    let mut rig = Rig::new(SipLimits::default(), 1);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    let text: String = ["a", "b", "c"].map(|call| message("MESSAGE", call, None)).concat();
    client.write_all(text.as_bytes()).await.unwrap();
    for call in ["a", "b", "c"] {
        let received = rig.received().await;
        assert_eq!(call_id(&received), call);
        rig.quiet().await;
    }
}

#[tokio::test]
async fn broken_streams_are_answered_and_closed() {
    let limits =
        SipLimits { message: Limits { message: 2000, headers: 50, body: 1000 }, ..SipLimits::default() };
    let mut rig = Rig::new(limits, 10);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    let endless = message("MESSAGE", "a", None)
        .replace("Max-Forwards", &format!("X: {}\r\nMax-Forwards", "x".repeat(3000)));
    client.write_all(endless.as_bytes()).await.unwrap();
    let received = rig.received().await;
    assert!(matches!(received.message, Err(ParseError::Reject { .. })), "{received:?}");
    rig.sender.send(&Destination::back(received.flow), Bytes::from_static(b"SIP/2.0 513"), ID);
    assert_eq!(read_to_end(&mut client).await, b"SIP/2.0 513");
    assert_eq!(soon(rig.closed.recv()).await.unwrap().cause, CloseCause::Broken);
}

#[tokio::test(start_paused = true)]
async fn idle_and_dripping_connections_end() {
    let network = Network::new();
    let limits = SipLimits {
        idle_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(150),
        ..SipLimits::default()
    };
    let mut rig = Rig::new(limits, 10);
    let _idle = network.connect(rig.tcp).await;
    let drip = tokio::spawn(network.connect(rig.tcp).await.drip(message("MESSAGE", "a", None)));
    assert_eq!(soon(rig.closed.recv()).await.unwrap().cause, CloseCause::SlowSender);
    assert_eq!(soon(rig.closed.recv()).await.unwrap().cause, CloseCause::Idle);
    drip.await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let connections = ConnectionLimits { total: 1, ..ConnectionLimits::default() };
    let mut rig = Rig::new(SipLimits { connections, ..SipLimits::default() }, 10);
    let mut first = TcpStream::connect(rig.tcp).await.unwrap();
    first.write_all(message("MESSAGE", "a", None).as_bytes()).await.unwrap();
    rig.received().await;
    let mut second = TcpStream::connect(rig.tcp).await.unwrap();
    assert!(read_to_end(&mut second).await.is_empty());
    // Nor does the node open one itself.
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Destination::new(Transport::Tcp, peer.local_addr().unwrap());
    rig.sender.send(&to, Bytes::from_static(b"x"), ID);
    assert_eq!(soon(rig.failed.recv()).await.map(|failed| failed.id), Some(ID));
    assert_eq!(rig.transport.connections(), 1);
}

#[tokio::test]
async fn one_connection_is_opened_for_all_that_waits_and_kept() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Destination::new(Transport::Tcp, peer.local_addr().unwrap());
    for part in ["one ", "two ", "three"] {
        rig.sender.send(&to, Bytes::from_static(part.as_bytes()), ID);
    }
    let (mut accepted, from) = soon(peer.accept()).await.unwrap();
    let mut all = [0_u8; 13];
    soon(accepted.read_exact(&mut all)).await.unwrap();
    assert_eq!(&all, b"one two three");
    accepted.write_all(message("MESSAGE", "a", None).as_bytes()).await.unwrap();
    let received = rig.received().await;
    assert_eq!((received.flow.local, received.flow.peer), (from, to.addr));
    rig.sender.send(&to, Bytes::from_static(b"four"), ID);
    assert_eq!(read_some(&mut accepted).await, b"four");
    assert_eq!(rig.transport.connections(), 1);
}

// proves RFC 3261 18.2.2: a response whose connection is gone goes to the address, by a new one
#[tokio::test]
async fn a_flow_that_is_gone_is_replaced() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    client.write_all(message("MESSAGE", "a", None).as_bytes()).await.unwrap();
    let flow = rig.received().await.flow;
    drop(client);
    soon(rig.closed.recv()).await.unwrap();
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Destination { addr: peer.local_addr().unwrap(), ..Destination::back(flow) };
    rig.sender.send(&to, Bytes::from_static(b"response"), ID);
    let (mut accepted, _) = soon(peer.accept()).await.unwrap();
    assert_eq!(read_some(&mut accepted).await, b"response");
}

#[tokio::test]
async fn all_that_waits_for_a_connection_that_cannot_be_opened_fails() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let to = Destination::new(Transport::Tcp, closed);
    for _ in 0..3 {
        rig.sender.send(&to, Bytes::from_static(b"x"), ID);
    }
    for _ in 0..3 {
        assert_eq!(soon(rig.failed.recv()).await.map(|failed| failed.id), Some(ID));
    }
    assert_eq!(rig.transport.connections(), 0);
}

/// Sends to a peer that does not read until its connection is crowded; gives how much.
async fn crowd(rig: &mut Rig, client: &mut TcpStream) -> (Destination, u64, usize) {
    client.write_all(message("MESSAGE", "a", None).as_bytes()).await.unwrap();
    let to = Destination::back(rig.received().await.flow);
    let notify = Bytes::from(vec![b'x'; 4 << 10]);
    let mut sent = 0;
    loop {
        let line = rig.sender.line(&to).unwrap();
        if line.crowded {
            return (to, line.link, sent);
        }
        rig.sender.send(&to, notify.clone(), ID);
        sent += notify.len();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_was_crowded_says_when_it_has_drained() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    let (to, link, sent) = crowd(&mut rig, &mut client).await;
    assert!(rig.sender.is_crowded(link) && rig.drained.try_recv().is_err());
    // What cannot wait is taken all the same.
    rig.sender.send(&to, Bytes::from_static(b"response"), ID);
    let mut all = vec![0; sent + "response".len()];
    soon(client.read_exact(&mut all)).await.unwrap();
    assert_eq!(soon(rig.drained.recv()).await, Some(link));
    assert!(!rig.sender.is_crowded(link) && !rig.sender.line(&to).unwrap().crowded);
    assert!(rig.failed.try_recv().is_err() && rig.closed.try_recv().is_err(), "nothing is lost");
}

#[tokio::test]
async fn a_connection_that_was_crowded_says_that_it_is_gone() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    let (to, link, _) = crowd(&mut rig, &mut client).await;
    drop(client);
    assert_eq!(soon(rig.drained.recv()).await, Some(link));
    assert!(!rig.sender.is_crowded(link) && rig.sender.line(&to).is_none());
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up_and_what_it_missed_fails() {
    let mut rig = Rig::new(SipLimits::default(), 10);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    client.write_all(message("MESSAGE", "a", None).as_bytes()).await.unwrap();
    let flow = rig.received().await.flow;
    let chunk = Bytes::from(vec![b'x'; 256 << 10]);
    let failed = loop {
        // The address stands for a client that listens nowhere.
        rig.sender.send(&Destination::back(flow), chunk.clone(), ID);
        tokio::task::yield_now().await;
        if let Ok(failed) = rig.failed.try_recv() {
            break failed;
        }
    };
    assert_eq!((failed.id, failed.bytes), (ID, chunk));
    assert_eq!(soon(rig.closed.recv()).await.unwrap().cause, CloseCause::SlowReader);
}

#[tokio::test]
async fn the_stop_ends_every_task() {
    let mut rig = Rig::new(SipLimits::default(), 1);
    let mut client = TcpStream::connect(rig.tcp).await.unwrap();
    let text: String = ["a", "b", "c"].map(|call| message("MESSAGE", call, None)).concat();
    client.write_all(text.as_bytes()).await.unwrap();
    let held = rig.received().await;
    rig.sender.send(&Destination::back(held.flow), Bytes::from_static(b"last words"), ID);
    rig.stopper.stop();
    assert_eq!(read_to_end(&mut client).await, b"last words");
    assert_eq!(soon(rig.closed.recv()).await.unwrap().cause, CloseCause::Stopped);
    drop(client);
    soon(rig.stopper.ended()).await;
    assert!(TcpStream::connect(rig.tcp).await.is_err());
}
