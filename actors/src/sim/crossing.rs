//! An INVITE whose CANCEL comes right behind it, while it is being placed: before whoever answers it is known, or while
//! his answer is on its way. And one that is not answered: it is given up, or cancelled by another way.

use std::time::Duration;

use tokio::time::sleep;

use super::overload::{booted, booted_to_answer, device};
use super::peer::sdp::Offer;
use super::peer::sip::Msg;
use super::store::Disk;
use super::story::simulate;
use super::ua::Ua;
use super::world::World;

/// The final responses to an INVITE of `uri` and to the CANCEL that was sent along with it.
async fn cancelled_at_once(ua: &Ua, uri: &str) -> [u16; 2] {
    let here = "127.0.2.9:9".parse().unwrap();
    let sdp = Offer::active().sdp(here, &Offer::active().uri(here));
    let invite = ua.request("INVITE", uri, true).body("application/sdp", sdp);
    let cancel =
        Msg { start: invite.start.replacen("INVITE", "CANCEL", 1), body: Vec::new(), ..invite.clone() }
            .with("CSeq", "1 CANCEL")
            .without("Content-Type")
            .without("Contact");
    let [inviting, cancelling] = ua.begin_both(&invite, &cancel).await.unwrap();
    [inviting.finish().await.unwrap().status(), cancelling.finish().await.unwrap().status()]
}

async fn at(world: &World, disk: Disk, alice: &Ua, bob: &Ua) {
    world.set_disk(disk);
    for _ in 0..20 {
        // A deposit, and a retrieval.
        for ua in [alice, bob] {
            assert_eq!(cancelled_at_once(ua, "sip:bob@example.com").await, [487, 200]);
        }
    }
}

// proves RFC 3261 9.2: a CANCEL that is answered 200 ends its INVITE by a 487
#[test]
fn a_cancel_is_not_lost_while_its_invite_is_placed() {
    simulate(11, async {
        let world = booted(11).await;
        let alice = device(&world, "sip:alice@example.org", 1);
        let bob = device(&world, "sip:bob@example.com", 2);
        let message = alice.request("MESSAGE", "sip:bob@example.com", false).body("text/plain", "x");
        assert_eq!(alice.ask(&message).await.unwrap().status(), 202);
        at(&world, Disk::default(), &alice, &bob).await;
        at(&world, Disk { slow: 20, ..Disk::default() }, &alice, &bob).await;
        world.set_disk(Disk::default());
        assert_eq!(world.counts("bob").await, (1, 0));
        assert_eq!(world.wrongs(), Vec::<String>::new());
    });
}

/// A node whose store hangs for longer than an INVITE may wait for its answer.
async fn hanging(seed: u64) -> World {
    let world = booted_to_answer(seed, "600s").await;
    world.set_disk(Disk { slow: 36_000_000, ..Disk::default() });
    world
}

/// Whether there is a deposit or retrieval.
async fn serving(world: &World) -> bool {
    world.leftovers().await.iter().any(|what| what.ends_with(" in all"))
}

// proves RFC 3261 17.2.1: whoever has not answered an INVITE in time need not any more
#[test]
fn an_invite_that_is_given_up_is_served_no_further() {
    simulate(12, async {
        let world = hanging(12).await;
        for (user, number) in [("sip:alice@example.org", 1), ("sip:bob@example.com", 2)] {
            let ua = device(&world, user, number);
            let mut asking = ua.begin(&ua.request("INVITE", "sip:bob@example.com", false)).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            assert!(serving(&world).await, "{user}");
            assert_eq!(asking.next().await, Some(100));
            sleep(Duration::from_secs(180)).await;
            assert_eq!((asking.next().await, serving(&world).await), (Some(408), false), "{user}");
        }
    });
}

#[test]
fn an_invite_whose_100_is_not_sent_can_be_cancelled() {
    simulate(13, async {
        let world = hanging(13).await;
        let alice = device(&world, "sip:alice@example.org", 1);
        // Where its Via says, nobody takes a connection.
        let via = alice.via(true).replace(":5060", ":5099");
        let invite = alice.request("INVITE", "sip:bob@example.com", true).with("Via", via);
        let asking = alice.begin(&invite).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        asking.over().unwrap().wire.cut();
        sleep(Duration::from_secs(2)).await;
        assert!(serving(&world).await);
        assert_eq!(alice.ask(&asking.cancel()).await.unwrap().status(), 200);
        assert!(!serving(&world).await);
    });
}
