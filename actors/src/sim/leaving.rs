//! A client that says BYE, or is told that the node stops, while its acknowledgements are on their way by another
//! connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::call::{Begun, Call, Invite, Msrp, PATIENCE};
use super::dice::Dice;
use super::overload::{booted, device};
use super::peer::frame::Frame;
use super::store::Disk;
use super::story::simulate;
use super::ua::Ua;
use super::world::World;

const ITEMS: usize = 6;

/// Fills Bob's mailbox.
async fn deposit(world: &World) {
    let alice = device(world, "sip:alice@example.org", 1);
    for _ in 0..ITEMS {
        let message = alice.request("MESSAGE", "sip:bob@example.com", false).body("text/plain", "x");
        assert_eq!(alice.ask(&message).await.unwrap().status(), 202);
    }
}

/// A client that was sent all items, and has acknowledged none.
async fn served(world: &World, bob: &Ua) -> (Box<Call>, Msrp, Vec<Frame>) {
    deposit(world).await;
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
                sleep(Duration::from_millis(60)).await;
                msrp.respond(frame, 200);
            }
            assert_eq!(asking.finish().await.unwrap().status(), 200);
            // Who has his BYE answered may look.
            assert_eq!(world.counts("bob").await, (1, 5), "{slow}");
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
        let begun = Instant::now();
        assert!(call.bye().await);
        assert!(begun.elapsed() < Duration::from_millis(400), "before it is repeated: {:?}", begun.elapsed());
        assert_eq!(world.counts("bob").await, (ITEMS as u64, 0));
    });
}

/// Stops the node as SIGTERM does; gives how long that takes.
fn stop(world: &World) -> tokio::task::JoinHandle<Duration> {
    let world = world.clone();
    actix::spawn(async move {
        let begun = Instant::now();
        world.stop(Duration::ZERO).await;
        begun.elapsed()
    })
}

/// What a node that stops takes at most whose sessions end well.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn what_is_acknowledged_while_the_node_stops_is_old() {
    // The client answers the BYE, or never does.
    for answers in [true, false] {
        simulate(33, async move {
            let world = booted(33).await;
            let bob = device(&world, "sip:bob@example.com", 2);
            let (mut call, msrp, frames) = served(&world, &bob).await;
            let stopping = stop(&world);
            let incoming = call.inbox.recv().await.unwrap();
            assert_eq!(incoming.msg.method(), "BYE");
            msrp.respond(&frames[0], 200);
            sleep(Duration::from_millis(200)).await;
            if answers {
                bob.reply(&incoming, 200, "OK");
            }
            msrp.respond(&frames[1], 200);
            let took = stopping.await.unwrap();
            assert!(took < SOON || !answers, "{took:?}");
            assert_eq!(world.counts("bob").await, (4, 2), "{answers}");
        });
    }
}

#[test]
fn a_node_that_stops_behind_the_bye_waits_for_what_was_acknowledged() {
    for after in [10, 30, 60] {
        simulate(34, async move {
            let world = booted(34).await;
            let bob = device(&world, "sip:bob@example.com", 2);
            let (mut call, msrp, frames) = served(&world, &bob).await;
            let bye = call.dialog.request(&bob, "BYE");
            let asking = bob.begin(&bye).await.unwrap();
            sleep(Duration::from_millis(after)).await;
            let stopping = stop(&world);
            sleep(Duration::from_millis(10)).await;
            msrp.respond(&frames[0], 200);
            assert_eq!(asking.finish().await.unwrap().status(), 200);
            let took = stopping.await.unwrap();
            assert!(took < SOON, "{took:?}");
            assert_eq!(world.counts("bob").await, (5, 1), "{after}");
        });
    }
}

/// Watches the focus of a call, and answers its NOTIFYs or does not; gives the states of the subscription, with their times.
async fn watch(call: &Call, watcher: Ua, answers: bool) -> Rc<RefCell<Vec<(Instant, String)>>> {
    let request = watcher
        .request("SUBSCRIBE", &call.dialog.target, false)
        .add("Event", "conference")
        .add("Accept", "application/conference-info+xml")
        .add("Expires", "600");
    let mut notes = watcher.expect(&request.call_id());
    assert_eq!(watcher.ask(&request).await.unwrap().status(), 200);
    let told = Rc::new(RefCell::new(Vec::new()));
    let states = Rc::clone(&told);
    actix::spawn(async move {
        while let Some(incoming) = notes.recv().await {
            states.borrow_mut().push((Instant::now(), incoming.msg.need("Subscription-State")));
            if answers {
                watcher.reply(&incoming, 200, "OK");
            }
        }
    });
    told
}

#[test]
fn who_watches_is_told_soon_that_the_node_stops() {
    simulate(35, async {
        let world = booted(35).await;
        let bob = device(&world, "sip:bob@example.com", 2);
        let (mut call, _msrp, _) = served(&world, &bob).await;
        let told = watch(&call, device(&world, "sip:bob@example.com", 3), true).await;
        sleep(Duration::from_secs(2)).await;
        let begun = Instant::now();
        let stopping = stop(&world);
        // The client does not answer.
        assert_eq!(call.inbox.recv().await.unwrap().msg.method(), "BYE");
        stopping.await.unwrap();
        let last = told.borrow().last().cloned().unwrap();
        assert!(last.1.starts_with("terminated"), "{last:?}");
        assert!(last.0 - begun < SOON, "{:?}", last.0 - begun);
    });
}

#[test]
fn a_retrieval_keeps_its_seat_while_something_of_it_lives() {
    simulate(36, async {
        let world = booted(36).await;
        let bob = device(&world, "sip:bob@example.com", 2);
        deposit(&world).await;
        let watcher = device(&world, "sip:bob@example.com", 3);
        let mut refused = None;
        for count in 0..40 {
            let offer = Invite::new(&world, &bob, "sip:bob@example.com", &Dice::new(1));
            match offer.call(&world, &bob).await {
                Begun::Up(mut call) => {
                    watch(&call, watcher.clone(), false).await;
                    assert!(call.bye().await);
                }
                Begun::Refused(response) => {
                    refused.get_or_insert((count, response.status()));
                }
                Begun::Silent => panic!("no answer"),
            }
        }
        // Each waits for its watcher, who says nothing.
        assert_eq!(refused, Some((10, 480)));
        // They are given up in the end.
        sleep(Duration::from_secs(100)).await;
        let offer = Invite::new(&world, &bob, "sip:bob@example.com", &Dice::new(1));
        assert!(matches!(offer.call(&world, &bob).await, Begun::Up(_)));
    });
}
