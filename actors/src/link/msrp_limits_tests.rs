//! What ends or refuses an MSRP connection, over real loopback sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::close_cause::CloseCause;
use super::msrp_tests::{Rig, body, frame, read_to_end, read_until};
use super::*;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn connections_without_a_session_end() {
    let limits = MsrpLimits { bind_timeout: Duration::from_millis(100), ..MsrpLimits::default() };
    let rig = Rig::new(limits);
    let mut never = rig.client().await;
    assert!(read_to_end(&mut never).await.is_empty());
    let mut session = rig.session("one");
    let mut client = rig.client().await;
    client.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    session.pieces(1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.write_all(frame("bbbb2222", "one", "", "y").as_bytes()).await.unwrap();
    session.pieces(1).await;
    session.registration = None;
    assert!(read_to_end(&mut client).await.is_empty());
}

#[tokio::test]
async fn idle_connections_and_dripped_headers_end() {
    let limits = MsrpLimits {
        header_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(600),
        ..MsrpLimits::default()
    };
    let rig = Rig::new(limits);
    let (mut one, mut two) = (rig.session("one"), rig.session("two"));
    let (mut idle, mut dripping) = (rig.client().await, rig.client().await);
    idle.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    dripping.write_all(frame("aaaa1111", "two", "", "x").as_bytes()).await.unwrap();
    let drip = tokio::spawn(async move {
        for byte in frame("bbbb2222", "two", "", "y").bytes() {
            if dripping.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(two.closed().await, CloseCause::SlowSender);
    assert_eq!(one.closed().await, CloseCause::Idle);
    drip.abort();
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

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let connections = ConnectionLimits { per_address: 2, ..ConnectionLimits::default() };
    let rig = Rig::new(MsrpLimits { connections, ..MsrpLimits::default() });
    let mut session = rig.session("one");
    let mut first = rig.client().await;
    first.write_all(frame("aaaa1111", "one", "", "x").as_bytes()).await.unwrap();
    session.pieces(1).await;
    let _second = rig.client().await;
    let mut third = rig.client().await;
    assert!(read_to_end(&mut third).await.is_empty());
    drop(first);
    assert_eq!(session.closed().await, CloseCause::Peer);
    // The seat is free a moment after the close was told.
    loop {
        let mut next = rig.client().await;
        next.write_all(frame("bbbb2222", "one", "", "y").as_bytes()).await.unwrap();
        if let Ok(Some(MsrpEvent::Frames(_))) =
            tokio::time::timeout(Duration::from_millis(100), session.told.recv()).await
        {
            break;
        }
    }
}

// proves RFC 4975 14.4: what was not agreed upon for a session does not carry it; others that share the connection go on
#[tokio::test]
async fn a_frame_for_a_session_of_another_carriage_ends_no_other_session() {
    let limits = MsrpLimits { header_timeout: Duration::from_millis(100), ..MsrpLimits::default() };
    let rig = Rig::new(limits);
    let mut plain = rig.session("plain");
    let mut secure = rig.session("secure");
    secure.registration.as_ref().unwrap().guard(Guard::Secure(Vec::new()));
    let mut client = rig.client().await;
    client.write_all(frame("aaaa1111", "plain", "", "x").as_bytes()).await.unwrap();
    assert_eq!(body(&plain.pieces(1).await.1), b"x");
    let (strange, next) = (frame("bbbb2222", "secure", "", "y"), frame("cccc3333", "plain", "", "z"));
    client.write_all((strange + &next).as_bytes()).await.unwrap();
    assert_eq!(body(&plain.pieces(1).await.1), b"z");
    read_until(&mut client, "MSRP bbbb2222 403 Forbidden\r\n").await;
    assert!(secure.told.try_recv().is_err());
    // It stays, also longer than a header may take.
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.write_all(frame("dddd4444", "plain", "", "w").as_bytes()).await.unwrap();
    assert_eq!(body(&plain.pieces(1).await.1), b"w");
    // Where no other session is, it is closed.
    plain.registration = None;
    client.write_all(frame("eeee5555", "secure", "", "y").as_bytes()).await.unwrap();
    let last = String::from_utf8(read_to_end(&mut client).await).unwrap();
    assert!(last.contains("MSRP eeee5555 403 Forbidden\r\n"), "{last}");
}
