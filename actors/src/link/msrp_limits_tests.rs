//! What ends or refuses an MSRP connection: what time has a part in, over a network in memory, the rest over real loopback
//! sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::close_cause::CloseCause;
use super::msrp_tests::{Rig, body, frame, read_to_end};
use super::*;
use crate::sim::net::{Fabric, Wire};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// A network in memory, of which this thread's links are part until it is dropped. Time has to be paused.
pub(super) struct Network(Fabric);

impl Network {
    pub(super) fn new() -> Self {
        let fabric = Fabric::install(4975);
        tokio::spawn(fabric.clone().run());
        Self(fabric)
    }

    pub(super) async fn connect(&self, addr: SocketAddr) -> Peer {
        Peer(self.0.connect(None, addr).await.unwrap())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        Fabric::remove();
    }
}

/// The other end of a connection.
pub(super) struct Peer(Wire);

impl Peer {
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            self.0.writable().await;
            match self.0.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes one byte each 20 ms, until it is closed.
    pub(super) async fn drip(self, text: String) {
        for byte in text.bytes() {
            if self.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("all of it was taken");
    }

    pub(super) async fn read_to_end(&self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            self.0.readable().await;
            if self.0.try_read(usize::MAX, |bytes| all.extend_from_slice(bytes)).unwrap() == 0 {
                return all;
            }
        }
    }

    /// Reads until `needle` was seen.
    async fn read_until(&self, needle: &str) {
        let mut all = Vec::new();
        while !String::from_utf8_lossy(&all).contains(needle) {
            self.0.readable().await;
            let count = self.0.try_read(usize::MAX, |bytes| all.extend_from_slice(bytes)).unwrap();
            assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&all));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connections_without_a_session_end() {
    let network = Network::new();
    let limits = MsrpLimits { bind_timeout: Duration::from_millis(100), ..MsrpLimits::default() };
    let rig = Rig::new(limits);
    let begun = tokio::time::Instant::now();
    assert!(network.connect(rig.addr).await.read_to_end().await.is_empty());
    assert!((100..120).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    let mut session = rig.session("one");
    let client = network.connect(rig.addr).await;
    client.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    session.pieces(1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.write_all(frame("bbbb2222", "one", "", "y").as_bytes()).await.unwrap();
    session.pieces(1).await;
    session.registration = None;
    assert!(client.read_to_end().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_and_dripped_headers_end() {
    let network = Network::new();
    let limits = MsrpLimits {
        header_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(600),
        ..MsrpLimits::default()
    };
    let rig = Rig::new(limits);
    let (mut one, mut two) = (rig.session("one"), rig.session("two"));
    let (idle, dripping) = (network.connect(rig.addr).await, network.connect(rig.addr).await);
    idle.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    dripping.write_all(frame("aaaa1111", "two", "", "x").as_bytes()).await.unwrap();
    let drip = tokio::spawn(dripping.drip(frame("bbbb2222", "two", "", "y")));
    assert_eq!(two.closed().await, CloseCause::SlowSender);
    assert_eq!(one.closed().await, CloseCause::Idle);
    drip.await.unwrap();
}

#[tokio::test]
async fn what_is_no_msrp_is_closed() {
    let rig = Rig::new(MsrpLimits::default());
    let mut session = rig.session("one");
    let mut client = rig.client().await;
    let text = frame("aaaa1111", "one", "", "x") + "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(body(&session.pieces(1).await.1), b"x");
    assert_eq!(session.closed().await, CloseCause::Broken);
    assert!(read_to_end(&mut client).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let network = Network::new();
    let connections = ConnectionLimits { per_address: 2, ..ConnectionLimits::default() };
    let rig = Rig::new(MsrpLimits { connections, ..MsrpLimits::default() });
    let mut session = rig.session("one");
    let first = network.connect(rig.addr).await;
    first.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    session.pieces(1).await;
    let _second = network.connect(rig.addr).await;
    assert!(network.connect(rig.addr).await.read_to_end().await.is_empty());
    drop(first);
    assert_eq!(session.closed().await, CloseCause::Peer);
    // The seat is free a moment after the close was told.
    loop {
        let next = network.connect(rig.addr).await;
        next.write_all(frame("bbbb2222", "one", "", "y").as_bytes()).await.unwrap();
        if let Ok(Some(MsrpEvent::Frames(_))) =
            tokio::time::timeout(Duration::from_millis(100), session.told.recv()).await
        {
            break;
        }
    }
}

// proves RFC 4975 14.4: what was not agreed upon for a session does not carry it; others that share the connection go on
#[tokio::test(start_paused = true)]
async fn a_frame_for_a_session_of_another_carriage_ends_no_other_session() {
    let network = Network::new();
    let limits = MsrpLimits { header_timeout: Duration::from_millis(100), ..MsrpLimits::default() };
    let rig = Rig::new(limits);
    let mut plain = rig.session("plain");
    let mut secure = rig.session("secure");
    secure.registration.as_ref().unwrap().guard(Guard::Secure(Vec::new()));
    let client = network.connect(rig.addr).await;
    client.write_all(frame("aaaa1111", "plain", "", "x").as_bytes()).await.unwrap();
    assert_eq!(body(&plain.pieces(1).await.1), b"x");
    let (strange, next) = (frame("bbbb2222", "secure", "", "y"), frame("cccc3333", "plain", "", "z"));
    client.write_all((strange + &next).as_bytes()).await.unwrap();
    assert_eq!(body(&plain.pieces(1).await.1), b"z");
    client.read_until("MSRP bbbb2222 403 Forbidden\r\n").await;
    assert!(secure.told.try_recv().is_err());
    // It stays, also longer than a header may take.
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.write_all(frame("dddd4444", "plain", "", "w").as_bytes()).await.unwrap();
    assert_eq!(body(&plain.pieces(1).await.1), b"w");
    // Where no other session is, it is closed.
    plain.registration = None;
    client.write_all(frame("eeee5555", "secure", "", "y").as_bytes()).await.unwrap();
    let last = String::from_utf8(client.read_to_end().await).unwrap();
    assert!(last.contains("MSRP eeee5555 403 Forbidden\r\n"), "{last}");
}
