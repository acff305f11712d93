//! Sessions that are deposited while the store hangs, or gives them up.

use std::time::Duration;

use tokio::time::timeout;

use super::call::{Begun, Call, Invite, Msrp, PATIENCE};
use super::dice::Dice;
use super::overload::{booted, device};
use super::peer::frame::Chunk;
use super::store::Disk;
use super::story::simulate;
use super::world::World;

/// A session that Alice deposits for Bob.
async fn deposit(world: &World, seed: u64) -> (Call, Msrp) {
    let alice = device(world, "sip:alice@example.org", 1);
    let invite = Invite::new(world, &alice, "sip:bob@example.com", &Dice::new(seed));
    let Begun::Up(call) = invite.call(world, &alice).await else { panic!("it is not accepted") };
    let msrp = call.join().await.expect("a connection");
    (*call, msrp)
}

/// Sends a message; the status of its answer.
async fn say(msrp: &mut Msrp, text: &str) -> u16 {
    let chunk = Chunk::whole("text/plain", text);
    msrp.send(&chunk);
    loop {
        let frame = msrp.next(PATIENCE).await.expect("an answer");
        if frame.transaction == chunk.transaction {
            return frame.status();
        }
    }
}

#[test]
fn a_sender_is_read_no_further_than_the_store_keeps_up() {
    for (seed, size) in [(11, 1), (12, 300), (13, 20_000)] {
        simulate(seed, async move {
            let world = booted(seed).await;
            let (_call, mut msrp) = deposit(&world, seed).await;
            assert_eq!(say(&mut msrp, "before").await, 200);
            world.set_disk(Disk { slow: 3_600_000, ..Disk::default() });
            let many = 4_000_000 / (size + 300);
            let wire = std::rc::Rc::clone(&msrp.line.wire);
            let mut taken = 0;
            'sending: for _ in 0..many {
                let bytes = msrp.encode(&Chunk::whole("text/plain", "x".repeat(size)));
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    match wire.try_write(rest) {
                        Ok(count) => {
                            taken += count;
                            rest = &rest[count..];
                        }
                        Err(_) if timeout(Duration::from_secs(20), wire.writable()).await.is_err() => {
                            break 'sending;
                        }
                        Err(_) => {}
                    }
                }
            }
            // What a connection may have in hand, and what its buffers hold.
            assert!((1..=1_000_000).contains(&taken), "{taken} bytes of messages of {size} were read");
        });
    }
}

#[test]
fn messages_that_are_cut_anywhere_go_on() {
    for (seed, size, chunk) in
        [(15, 1_900, 100_000), (16, 1_900, 500), (17, 30_000, 100_000), (18, 30_000, 2048)]
    {
        simulate(seed, async move {
            let world = booted(seed).await;
            let (mut call, mut msrp) = deposit(&world, seed).await;
            world.set_disk(Disk { slow: 20, ..Disk::default() });
            // Each chunk of one is followed by one of another: sixteen are not whole at a time.
            let mut last = Vec::new();
            for _ in 0..5 {
                let whole: Vec<_> =
                    (0..16).map(|_| Chunk::whole("text/plain", "x".repeat(size)).cut(chunk)).collect();
                for at in 0..whole[0].len() {
                    whole.iter().for_each(|chunks| msrp.send(&chunks[at]));
                }
                last.extend(whole.iter().map(|chunks| chunks.last().unwrap().transaction.clone()));
            }
            while !last.is_empty() {
                let frame = msrp.next(PATIENCE).await.expect("an answer");
                assert!(!frame.is_response() || frame.status() == 200);
                last.retain(|transaction| *transaction != frame.transaction);
            }
            assert!(call.bye().await);
            assert_eq!(world.items().await[0].bodies.len(), 80);
        });
    }
}

#[test]
fn a_session_that_the_store_has_given_up_goes_on_as_another_item() {
    simulate(14, async {
        let world = booted(14).await;
        let (mut call, mut msrp) = deposit(&world, 14).await;
        assert_eq!(say(&mut msrp, "one").await, 200);
        world.cut_sessions_off();
        assert_eq!(say(&mut msrp, "two").await, 408, "it may be sent again");
        assert_eq!(say(&mut msrp, "two").await, 200);
        assert_eq!(say(&mut msrp, "three").await, 200);
        assert!(call.bye().await);
        let kept: Vec<_> = world.items().await.into_iter().map(|item| (item.owner, item.bodies)).collect();
        let item = |bodies: &[&str]| {
            ("bob".to_owned(), bodies.iter().map(|body| body.as_bytes().to_vec()).collect())
        };
        assert_eq!(kept, [item(&["one"]), item(&["two", "three"])]);
    });
}
