//! MSRP connections over real loopback sockets, or, where time has a part in it, over a network in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::close_cause::CloseCause;
use super::msrp_limits_tests::Network;
use super::msrp_link::LinkGone;
use super::*;
use bytes::Bytes;
use restante::machine::sip::Transport;
use restante::wire::msrp::{Continuation, Piece};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(10);

/// A transport that listens, and a way to get what sessions are told.
pub(super) struct Rig {
    pub(super) transport: MsrpTransport,
    pub(super) stopper: Stopper,
    pub(super) addr: SocketAddr,
}

pub(super) struct Session {
    pub(super) registration: Option<MsrpRegistration>,
    pub(super) told: UnboundedReceiver<MsrpEvent>,
}

impl Rig {
    pub(super) fn new(limits: MsrpLimits) -> Self {
        let stopper = Stopper::new();
        let transport = MsrpTransport::new(
            limits,
            Tls::load(TlsFiles::default()).unwrap(),
            Cores::here(),
            stopper.clone(),
        );
        let addr = transport.listen(Transport::Tcp, "127.0.0.1:0".parse().unwrap()).unwrap();
        Self { transport, stopper, addr }
    }

    pub(super) fn session(&self, id: &'static str) -> Session {
        let (tell, told) = unbounded_channel();
        let port = MsrpPort::new(move |event| drop(tell.send(event)));
        Session {
            registration: Some(self.transport.register(
                Bytes::from_static(id.as_bytes()),
                Guard::Plain,
                port,
            )),
            told,
        }
    }

    pub(super) async fn client(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }
}

impl Session {
    async fn event(&mut self) -> MsrpEvent {
        tokio::time::timeout(PATIENCE, self.told.recv()).await.expect("nothing is told").expect("port gone")
    }

    async fn frames(&mut self) -> MsrpFrames {
        match self.event().await {
            MsrpEvent::Frames(frames) => frames,
            other => panic!("{other:?}"),
        }
    }

    /// The pieces up to and with the given number of frame ends, and the link.
    pub(super) async fn pieces(&mut self, ends: usize) -> (MsrpLink, Vec<Piece>) {
        let mut pieces = Vec::new();
        loop {
            let frames = self.frames().await;
            pieces.extend(frames.pieces);
            if pieces.iter().filter(|piece| matches!(piece, Piece::End(_))).count() >= ends {
                return (frames.link, pieces);
            }
        }
    }

    pub(super) async fn closed(&mut self) -> CloseCause {
        loop {
            if let MsrpEvent::Closed(closed) = self.event().await {
                return closed.cause;
            }
        }
    }
}

fn at(addrs: Vec<SocketAddr>) -> MsrpTarget {
    MsrpTarget { addrs, secure: None }
}

fn no_tls() -> std::sync::Arc<Tls> {
    Tls::load(TlsFiles::default()).unwrap()
}

pub(super) fn frame(transaction: &str, session: &str, extra: &str, body: &str) -> String {
    format!(
        "MSRP {transaction} SEND\r\nTo-Path: msrp://127.0.0.1:2855/{session};tcp\r\n\
         From-Path: msrp://client.invalid:9/c;tcp\r\nMessage-ID: m{transaction}\r\n{extra}\
         Content-Type: text/plain\r\n\r\n{body}\r\n-------{transaction}$\r\n"
    )
}

pub(super) fn body(pieces: &[Piece]) -> Vec<u8> {
    let bodies = pieces.iter().filter_map(|piece| match piece {
        Piece::Body(bytes) => Some(bytes.as_ref()),
        _ => None,
    });
    bodies.flatten().copied().collect()
}

pub(super) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("still open").unwrap();
    all
}

/// Reads until `needle` was seen.
pub(super) async fn read_until(stream: &mut TcpStream, needle: &str) -> String {
    let mut all = Vec::new();
    let mut some = [0_u8; 4096];
    loop {
        let count =
            tokio::time::timeout(PATIENCE, stream.read(&mut some)).await.expect("nothing comes").unwrap();
        assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&some[..count]);
        let text = String::from_utf8_lossy(&all);
        if text.contains(needle) {
            return text.into_owned();
        }
    }
}

// proves RFC 4975 5.4: the first request binds the connection to the session its To-Path names
#[tokio::test]
async fn frames_reach_their_session_and_its_answers_come_back() {
    let rig = Rig::new(MsrpLimits::default());
    let mut session = rig.session("one");
    let mut client = rig.client().await;
    client.write_all(frame("aaaa1111", "one", "", "hello").as_bytes()).await.unwrap();
    let (link, pieces) = session.pieces(1).await;
    assert!(matches!(&pieces[0], Piece::Head(head) if head.transaction == "aaaa1111"));
    assert_eq!(body(&pieces), b"hello");
    assert!(matches!(pieces.last(), Some(Piece::End(Continuation::Complete))));
    assert_eq!(session.registration.as_ref().unwrap().link(), Some(link.id()));
    assert_eq!(link.peer(), client.local_addr().unwrap());
    link.send(Bytes::from_static(b"answer")).unwrap();
    assert_eq!(read_until(&mut client, "answer").await, "answer");
}

#[tokio::test]
async fn a_stream_cut_at_every_byte_gives_the_same_frames() {
    let rig = Rig::new(MsrpLimits::default());
    let mut session = rig.session("one");
    let mut client = rig.client().await;
    client.set_nodelay(true).unwrap();
    let text = frame("aaaa1111", "one", "", "hello\r\n-------aaaa") + &frame("bbbb2222", "one", "", "world");
    for byte in text.as_bytes() {
        client.write_all(std::slice::from_ref(byte)).await.unwrap();
        tokio::task::yield_now().await;
    }
    let (_, pieces) = session.pieces(2).await;
    assert_eq!(body(&pieces), b"hello\r\n-------aaaaworld");
    assert_eq!(pieces.iter().filter(|piece| matches!(piece, Piece::Head(_))).count(), 2);
}

// proves RFC 4975 5.4: several sessions may share a connection
#[tokio::test]
async fn two_sessions_share_a_connection() {
    let rig = Rig::new(MsrpLimits::default());
    let (mut one, mut two) = (rig.session("one"), rig.session("two"));
    let mut client = rig.client().await;
    let mut text = String::new();
    for round in 0..10 {
        text += &frame(&format!("aaaa{round:04}"), "one", "", "1");
        text += &frame(&format!("bbbb{round:04}"), "two", "", "22");
    }
    client.write_all(text.as_bytes()).await.unwrap();
    let (first, pieces) = one.pieces(10).await;
    assert_eq!(body(&pieces), b"1".repeat(10));
    let (second, pieces) = two.pieces(10).await;
    assert_eq!(body(&pieces), b"22".repeat(10));
    assert_eq!((first.id(), first.sessions()), (second.id(), 2));
    drop(client);
    assert_eq!(one.closed().await, CloseCause::Peer);
    assert_eq!(two.closed().await, CloseCause::Peer);
}

// proves RFC 4975 7.3: no such session is 481, unless no failure report is wanted
#[tokio::test]
async fn an_unknown_session_gets_481_and_the_connection_goes_on() {
    let rig = Rig::new(MsrpLimits::default());
    let mut session = rig.session("one");
    let mut client = rig.client().await;
    let mut text = frame("aaaa1111", "nobody", "Failure-Report: no\r\n", "x");
    text += &frame("bbbb2222", "nobody", "", "y");
    text += &frame("cccc3333", "one", "", "z");
    client.write_all(text.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "-------bbbb2222$\r\n").await;
    assert!(answer.starts_with("MSRP bbbb2222 481"), "{answer}");
    assert!(!answer.contains("aaaa1111"), "{answer}");
    assert_eq!(body(&session.pieces(1).await.1), b"z");
}

// proves RFC 4975 5.4: a session in use on another connection is 506
#[tokio::test]
async fn a_second_connection_for_a_session_gets_506() {
    let rig = Rig::new(MsrpLimits::default());
    let mut session = rig.session("one");
    let (mut first, mut second) = (rig.client().await, rig.client().await);
    first.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    session.pieces(1).await;
    second.write_all(frame("bbbb2222", "one", "", "y").as_bytes()).await.unwrap();
    let answer = read_until(&mut second, "-------bbbb2222$\r\n").await;
    assert!(answer.starts_with("MSRP bbbb2222 506"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_session_stalls_the_sender_and_memory_stays_bounded() {
    const FRAMES: usize = 64;
    let network = Network::new();
    let limits = MsrpLimits { batch: 64 << 10, credit: 128 << 10, ..MsrpLimits::default() };
    let credit = limits.credit;
    let rig = Rig::new(limits);
    let mut session = rig.session("one");
    let client = network.connect(rig.addr).await;
    let chunk = "x".repeat(64 << 10);
    let sender = tokio::spawn(async move {
        for number in 0..FRAMES {
            client.write_all(frame(&format!("aaaa{number:04}"), "one", "", &chunk).as_bytes()).await.unwrap();
        }
        client
    });
    // All that the session may hold is delivered, and then nothing more for a minute: the permits are kept.
    let mut held = vec![session.frames().await];
    while let Ok(Some(MsrpEvent::Frames(frames))) =
        tokio::time::timeout(Duration::from_secs(60), session.told.recv()).await
    {
        held.push(frames);
    }
    let delivered: usize = held.iter().map(|frames| body(&frames.pieces).len()).sum();
    assert!(delivered <= credit, "{delivered} bytes on a credit of {credit}");
    assert!(!sender.is_finished(), "the sender was not held up");
    // Given back, the credit lets everything through.
    let mut total = delivered;
    held.clear();
    while total < FRAMES << 16 {
        total += body(&session.frames().await.pieces).len();
    }
    assert_eq!(total, FRAMES << 16);
    sender.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let rig = Rig::new(MsrpLimits::default());
    let mut session = rig.session("one");
    let mut client = rig.client().await;
    client.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    let (link, _) = session.pieces(1).await;
    let chunk = Bytes::from(vec![0_u8; 256 << 10]);
    let mut taken = 0;
    while link.send(chunk.clone()).is_ok() {
        taken += chunk.len();
        assert!(link.outbox().queued() <= OutboxLimits::default().max);
        tokio::task::yield_now().await;
    }
    let max = OutboxLimits::default().max;
    assert!(taken >= max);
    assert!(
        taken <= max + (1 << 20),
        "the system took {}: all that is said later waits behind it",
        taken - max
    );
    assert!(!link.is_open());
    assert_eq!(session.closed().await, CloseCause::SlowReader);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_for_too_long_is_given_up() {
    let network = Network::new();
    let stall = Duration::from_millis(100);
    let outbox = Arc::new(OutboxLimits { max: 64 << 20, stall, ..OutboxLimits::default() });
    let rig = Rig::new(MsrpLimits { outbox, ..MsrpLimits::default() });
    let mut session = rig.session("one");
    let client = network.connect(rig.addr).await;
    client.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    let (link, _) = session.pieces(1).await;
    link.send(Bytes::from(vec![0_u8; 32 << 20])).unwrap();
    assert_eq!(session.closed().await, CloseCause::SlowReader);
}

#[tokio::test]
async fn a_sender_with_a_backlog_hears_when_there_is_room() {
    let rig = Rig::new(MsrpLimits::default());
    let mut session = rig.session("one");
    let mut client = rig.client().await;
    client.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    let (link, _) = session.pieces(1).await;
    let limits = OutboxLimits::default();
    link.send(Bytes::from(vec![b'x'; limits.high])).unwrap();
    assert_eq!(link.turn(b"one"), 0);
    assert_eq!(link.outbox().queued(), limits.high);
    let mut all = vec![0_u8; limits.high];
    client.read_exact(&mut all).await.unwrap();
    match session.event().await {
        MsrpEvent::Drained => {}
        other => panic!("{other:?}"),
    }
    assert!(link.has_room() && link.outbox().queued() <= limits.low);
}

#[tokio::test]
async fn closing_writes_first_what_is_queued() {
    let rig = Rig::new(MsrpLimits::default());
    let mut session = rig.session("one");
    let mut client = rig.client().await;
    client.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    let (link, _) = session.pieces(1).await;
    for _ in 0..10 {
        link.send(Bytes::from(vec![b'x'; 100_000])).unwrap();
    }
    link.outbox().close(CloseCause::Local);
    assert_eq!(link.send(Bytes::from_static(b"late")), Err(LinkGone));
    assert_eq!(read_to_end(&mut client).await.len(), 1_000_000);
    assert_eq!(session.closed().await, CloseCause::Local);
    assert_eq!(session.registration.as_ref().unwrap().link(), None);
}

#[tokio::test]
async fn the_node_opens_a_connection_for_a_session() {
    let rig = Rig::new(MsrpLimits::default());
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = peer.local_addr().unwrap();
    let connecting = {
        let session = rig.session("one");
        rig.transport.connect(session.registration.as_ref().unwrap(), at(vec![addr]))
    };
    assert_eq!(connecting.await.err(), Some(MsrpConnectError::NoSession));
    let mut session = rig.session("one");
    let registration = session.registration.as_ref().unwrap();
    let connect = |addrs: &[SocketAddr]| rig.transport.connect(registration, at(addrs.to_vec()));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = connect(&[closed]).await;
    assert_eq!(refused.err(), Some(MsrpConnectError::Refused(std::io::ErrorKind::ConnectionRefused)));
    // The peer has told another path before it is open.
    let late = connect(&[addr]);
    registration.leave(Guard::Plain, &[]);
    assert_eq!((late.await.err(), registration.link()), (Some(MsrpConnectError::Bound), None));
    let link = connect(&[closed, addr]).await.unwrap();
    assert_eq!(connect(&[addr]).await.err(), Some(MsrpConnectError::Bound));
    for _given_up in 0..2 {
        peer.accept().await.unwrap();
    }
    let (mut accepted, _) = peer.accept().await.unwrap();
    assert_eq!(link.peer(), addr);
    link.send(Bytes::from_static(b"probe")).unwrap();
    assert_eq!(read_until(&mut accepted, "probe").await, "probe");
    accepted.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    assert_eq!(session.pieces(1).await.0.id(), link.id());
    drop(accepted);
    assert_eq!(session.closed().await, CloseCause::Peer);
}

#[tokio::test]
async fn the_stop_ends_every_task_even_a_stalled_one() {
    let rig = Rig::new(MsrpLimits { batch: 4096, credit: 4096, ..MsrpLimits::default() });
    let mut session = rig.session("one");
    let (mut busy, mut idle) = (rig.client().await, rig.client().await);
    busy.write_all(frame("aaaa1111", "one", "", &"x".repeat(60_000)).as_bytes()).await.unwrap();
    let _held = session.frames().await;
    rig.stopper.stop();
    assert_eq!(session.closed().await, CloseCause::Stopped);
    assert!(read_to_end(&mut idle).await.is_empty());
    drop((busy, idle));
    tokio::time::timeout(PATIENCE, rig.stopper.ended()).await.expect("a task goes on");
    assert!(TcpStream::connect(rig.addr).await.is_err());
}

mod cores {
    use super::*;
    use std::thread::{self, ThreadId};

    /// From its first frame on, whatever core accepted it; what is known of the first frame too.
    #[test]
    fn a_connection_is_served_on_the_core_of_its_session() {
        actix::System::new().block_on(served_at_home());
    }

    async fn served_at_home() {
        let arbiters = [actix::Arbiter::new(), actix::Arbiter::new()];
        let handles = arbiters.each_ref().map(actix::Arbiter::handle);
        let cores = Cores::of_arbiters(&handles).await.unwrap();
        let stopper = Stopper::new();
        let transport = MsrpTransport::new(MsrpLimits::default(), no_tls(), cores.clone(), stopper.clone());
        // The first core in turn listens, and the second one accepts.
        let addr = transport.listen(Transport::Tcp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let (tell, mut told) = unbounded_channel::<(ThreadId, MsrpEvent)>();
        let port = MsrpPort::new(move |event| drop(tell.send((thread::current().id(), event))));
        let register = async move {
            (thread::current().id(), transport.register(Bytes::from_static(b"one"), Guard::Plain, port))
        };
        let (at_home, registration) = cores.get(0).unwrap().spawn(register).await.unwrap();
        let mut client = TcpStream::connect(addr).await.unwrap();
        // More than one read takes, and another frame behind it.
        let long = "x".repeat(100_000);
        let text = frame("aaaa1111", "one", "", &long) + &frame("bbbb2222", "one", "", "hello");
        client.write_all(text.as_bytes()).await.unwrap();
        let (mut pieces, mut link) = (Vec::new(), None);
        while pieces.iter().filter(|piece| matches!(piece, Piece::End(_))).count() < 2 {
            let (thread, event) = told.recv().await.unwrap();
            let MsrpEvent::Frames(frames) = event else { panic!("{event:?}") };
            assert_eq!(thread, at_home);
            pieces.extend(frames.pieces);
            link = Some(frames.link);
        }
        assert_eq!(body(&pieces), (long + "hello").as_bytes());
        let link = link.unwrap();
        assert_eq!(registration.link(), Some(link.id()));
        link.send(Bytes::from_static(b"heard")).unwrap();
        assert_eq!(read_until(&mut client, "heard").await, "heard");
        drop(client);
        let (thread, event) = told.recv().await.unwrap();
        assert!(matches!(event, MsrpEvent::Closed(closed) if closed.cause == CloseCause::Peer), "{event:?}");
        assert_eq!(thread, at_home);
        stopper.stop();
        stopper.ended().await;
    }
}
