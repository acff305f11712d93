//! A CANCEL that comes right behind its INVITE, while that is being placed: before whoever answers it is known, or while
//! his answer is on its way.

use super::overload::{booted, device};
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
