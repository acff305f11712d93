//! Retrievals that share a connection, whose client reads slowly: in virtual time, which it takes minutes of.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::call::{Begun, Call, Invite};
use super::overload::{booted, device};
use super::peer::frame::{Chunk, Frame, response};
use super::peer::sip::escape_user;
use super::story::simulate;
use super::ua::Ua;
use super::world::World;

/// Retrievals of the large item.
const LARGE: usize = 8;
/// Bytes that the client reads in a second.
const RATE: usize = 20_000;

async fn begun(world: &World, ua: &Ua, uri: &str) -> Call {
    match Invite::active(world, ua, uri).call(world, ua).await {
        Begun::Up(call) => *call,
        Begun::Refused(response) => panic!("{response}"),
        Begun::Silent => panic!("no answer"),
    }
}

/// Retrieves an item of that Message-ID.
async fn retrieval(world: &World, ua: &Ua, id: &str) -> Call {
    begun(world, ua, &format!("sip:{}@mailserver.example.com", escape_user(id))).await
}

/// Leaves an item of so many bytes for bob; its Message-ID.
async fn deposit(world: &World, ua: &Ua, bytes: usize) -> String {
    let mut call = begun(world, ua, "sip:bob@example.com").await;
    let mut msrp = call.join().await.unwrap();
    msrp.send(&Chunk::whole("text/plain", vec![b'x'; bytes]).range(&format!("1-*/{bytes}")));
    assert_eq!(msrp.frame(Duration::from_secs(60)).await.unwrap().status(), 200);
    assert!(call.bye().await);
    call.dialog.call_id.clone()
}

// proves RFC 4975 7.1.1: 30 seconds from when the last byte was sent, not from when it began to wait behind others' bytes
#[test]
fn what_waits_behind_others_on_a_slow_connection_is_not_given_up() {
    simulate(7, async {
        let world = booted(7).await;
        let alice = device(&world, "sip:alice@example.org", 1);
        let bob = device(&world, "sip:bob@example.com", 2);
        let (large, small) = (deposit(&world, &alice, 3_000_000).await, deposit(&world, &alice, 5).await);
        let first = retrieval(&world, &bob, &large).await;
        let line = first.join().await.unwrap().line;
        let mut others = Vec::new();
        for _ in 1..LARGE {
            let call = retrieval(&world, &bob, &large).await;
            line.write(Chunk::empty().encode(&call.remote, &call.local));
            others.push(call);
        }
        sleep(Duration::from_secs(1)).await;
        let mut call = retrieval(&world, &bob, &small).await;
        line.write(Chunk::empty().encode(&call.remote, &call.local));
        let asked = Instant::now();
        let (mut buffer, mut scanned, mut came) = (Vec::new(), 0, None);
        while came.is_none() {
            sleep(Duration::from_secs(1)).await;
            line.wire.readable().await;
            assert!(
                line.wire.try_read(RATE, |bytes| buffer.extend_from_slice(bytes)).unwrap() > 0,
                "it ends"
            );
            while let Some(frame) = Frame::take(&mut buffer, &mut scanned) {
                if frame.kind == "SEND" {
                    line.write(response(&frame, 200, "OK"));
                    came = came.or((frame.need("To-Path") == call.local).then(|| asked.elapsed()));
                }
            }
        }
        assert!(came > Some(Duration::from_secs(31)), "it came at once: {came:?}");
        assert!(call.hung_up(Duration::from_secs(60)).await);
        assert_eq!(world.counts("bob").await, (1, 1), "it was given up");
    });
}
