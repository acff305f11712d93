//! A node that is stopped while it works, as SIGTERM does: in virtual time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::dialog::Dialog;
use super::dice::Dice;
use super::overload::{booted, device};
use super::peer::sip::Msg;
use super::store::Disk;
use super::story::simulate;
use super::ua::Ua;
use super::world::{NODE, World};
use crate::config::Config;

#[test]
fn what_came_before_the_stop_is_answered_when_it_is_stored() {
    simulate(11, async {
        let text = format!(
            "[sip]\nlisten = [\"udp:{NODE}:5060\", \"tcp:{NODE}:5060\"]\n[msrp]\nlisten = [\"tcp:{NODE}:2855\"]\n"
        );
        let config = Config::load_from(Some((Path::new("stopping"), &text)), []).unwrap();
        let world = World::with(Dice::new(11), config, false);
        world.spawn(world.fabric().run());
        world.boot().await;
        let alice = Ua::new(&world, "sip:alice@example.org", IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1)));
        // The store takes a second or two for each.
        world.set_disk(Disk { slow: 2_000, ..Disk::default() });
        let request =
            alice.request("MESSAGE", "sip:bob@example.com", true).body("text/plain", "just in time");
        let asking = actix::spawn({
            let (alice, request) = (alice.clone(), request.clone());
            async move { alice.ask(&request).await }
        });
        sleep(Duration::from_millis(20)).await;
        world.stop(Duration::from_secs(60)).await;
        let response = asking.await.unwrap().expect("an answer, before the connection ends");
        assert_eq!(response.status(), 202, "{response}");
        assert_eq!(world.wrongs(), Vec::<String>::new());
        assert_eq!(world.items().await.len(), 1);
    });
}

// What is granted is gone on with by the next run of the node.
#[test]
fn nothing_is_granted_to_a_subscriber_when_the_node_has_begun_to_stop() {
    simulate(12, async {
        let world = booted(12).await;
        let bob = device(&world, "sip:bob@example.com", 1);
        let subscribe =
            |request: Msg, expires: &str| request.add("Event", "message-summary").add("Expires", expires);
        let request = subscribe(bob.request("SUBSCRIBE", bob.aor(), false), "600");
        let mut notes = bob.expect(&request.call_id());
        let answer = bob.ask(&request).await.unwrap();
        let mut dialog = Dialog::opened(&request, &answer);
        bob.reply(&notes.recv().await.unwrap(), 200, "OK");
        let refresh = subscribe(dialog.request(&bob, "SUBSCRIBE"), "3000");
        world.receive_behind_the_stop(&refresh, SocketAddr::new(bob.ip(), 5060));
        let answer = bob.begin(&refresh).await.unwrap().finish().await.unwrap();
        assert_eq!(answer.status(), 503, "{answer}");
        assert!(answer.get("Retry-After").is_some());
        let lasting = world.lasting().await;
        assert!(lasting.len() == 1 && (500..=600).contains(&lasting[0]), "{lasting:?}");
    });
}
