//! A client that says BYE, or is told that the node stops, while its acknowledgements are on their way by another
//! connection.

use std::time::Duration;

use tokio::time::sleep;

use super::call::{Begun, Call, Invite, Msrp, PATIENCE};
use super::dice::Dice;
use super::overload::{booted, device};
use super::peer::frame::Frame;
use super::store::Disk;
use super::story::simulate;
use super::ua::Ua;
use super::world::World;

const ITEMS: usize = 3;

/// A client that was sent all items, and has acknowledged none.
async fn served(world: &World, bob: &Ua) -> (Box<Call>, Msrp, Vec<Frame>) {
    let alice = device(world, "sip:alice@example.org", 1);
    for _ in 0..ITEMS {
        let message = alice.request("MESSAGE", "sip:bob@example.com", false).body("text/plain", "x");
        assert_eq!(alice.ask(&message).await.unwrap().status(), 202);
    }
    let Begun::Up(call) =
        Invite::new(world, bob, "sip:bob@example.com", &Dice::new(1)).call(world, bob).await
    else {
        panic!("not accepted");
    };
    let mut msrp = call.join().await.unwrap();
    let mut frames = Vec::new();
    while frames.len() < ITEMS {
        frames.push(msrp.next(PATIENCE).await.unwrap());
        if frames.last().is_some_and(Frame::is_response) {
            frames.pop();
        }
    }
    (call, msrp, frames)
}

#[test]
fn what_was_acknowledged_before_the_bye_is_old() {
    for slow in [0, 200] {
        simulate(31, async move {
            let world = booted(31).await;
            let bob = device(&world, "sip:bob@example.com", 2);
            let (mut call, msrp, frames) = served(&world, &bob).await;
            world.set_disk(Disk { slow, ..Disk::default() });
            let bye = call.dialog.request(&bob, "BYE");
            let asking = bob.begin(&bye).await.unwrap();
            // The BYE was read, and what was said before it comes behind.
            for frame in frames.iter().skip(1) {
                sleep(Duration::from_millis(40)).await;
                msrp.respond(frame, 200);
            }
            assert_eq!(asking.finish().await.unwrap().status(), 200);
            // Who has his BYE answered may look.
            assert_eq!(world.counts("bob").await, (1, 2), "{slow}");
            assert_eq!(world.wrongs(), Vec::<String>::new());
        });
    }
}

#[test]
fn a_bye_is_answered_soon_where_nothing_is_acknowledged() {
    simulate(32, async {
        let world = booted(32).await;
        let bob = device(&world, "sip:bob@example.com", 2);
        let (mut call, _msrp, _) = served(&world, &bob).await;
        let begun = tokio::time::Instant::now();
        assert!(call.bye().await);
        assert!(begun.elapsed() < Duration::from_millis(400), "before it is repeated: {:?}", begun.elapsed());
        assert_eq!(world.counts("bob").await, (ITEMS as u64, 0));
    });
}

#[test]
fn what_is_acknowledged_while_the_node_stops_is_old() {
    simulate(33, async {
        let world = booted(33).await;
        let bob = device(&world, "sip:bob@example.com", 2);
        let (mut call, msrp, frames) = served(&world, &bob).await;
        let stopping = actix::spawn({
            let world = world.clone();
            async move { world.stop(Duration::from_secs(60)).await }
        });
        let incoming = call.inbox.recv().await.unwrap();
        assert_eq!(incoming.msg.method(), "BYE");
        msrp.respond(&frames[0], 200);
        sleep(Duration::from_millis(200)).await;
        bob.reply(&incoming, 200, "OK");
        msrp.respond(&frames[1], 200);
        stopping.await.unwrap();
        assert_eq!(world.counts("bob").await, (1, 2));
    });
}
