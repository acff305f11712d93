//! A node that is asked for twice what its store can do, and a store that hangs: in virtual time, so that
//! nothing depends on the machine.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::dice::Dice;
use super::ledger::Sent;
use super::owner::Device;
use super::peer::sip::Msg;
use super::store::Disk;
use super::story::simulate;
use super::taking::Manner;
use super::ua::Ua;
use super::world::{NODE, World};
use crate::config::Config;

/// What the store takes for one operation, on the average.
const OPERATION: Duration = Duration::from_millis(2);
/// The delay that the node aims at.
const TARGET: Duration = Duration::from_millis(400);

/// A node that has begun to serve.
pub(super) async fn booted(seed: u64) -> World {
    booted_to_answer(seed, "8s").await
}

/// As [`booted`]; what the store has not served `within` that time is refused.
pub(super) async fn booted_to_answer(seed: u64, within: &str) -> World {
    let text = format!(
        "[sip]\nlisten = [\"udp:{NODE}:5060\", \"tcp:{NODE}:5060\"]\ntarget_delay = \"400ms\"\nanswer_within = \"{within}\"\n\
         [msrp]\nlisten = [\"tcp:{NODE}:2855\"]\n"
    );
    let config = Config::load_from(Some((Path::new("overload"), &text)), []).unwrap();
    let world = World::with(Dice::new(seed), config, false);
    world.spawn(world.fabric().run());
    world.boot().await;
    world
}

pub(super) fn device(world: &World, user: &str, last: u8) -> Ua {
    Ua::new(world, user, IpAddr::V4(Ipv4Addr::new(127, 0, 2, last)))
}

/// Asks while the store hangs: it is answered all the same, and told to come back.
async fn ask_a_hanging_store(world: &World, ua: &Ua, request: &Msg) {
    world.set_disk(Disk { slow: 600_000, ..Disk::default() });
    let begun = Instant::now();
    let response = ua.ask(request).await.expect("an answer");
    assert_eq!(response.status(), 503, "{response}");
    assert!(response.get("Retry-After").is_some());
    assert!((8..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

/// The store works again, and has done what it was asked for meanwhile.
async fn go_on(world: &World) {
    world.set_disk(Disk::default());
    sleep(Duration::from_secs(1_300)).await;
}

/// When a deposit was sent, when it was answered, and how.
#[derive(Clone, Debug)]
struct Answered {
    sent: Instant,
    came: Instant,
    response: Msg,
}

/// Sends deposits, one every `pace`; what becomes of them is added to `book`.
async fn flood(ua: &Ua, count: u32, pace: Duration, book: &Rc<RefCell<Vec<Answered>>>) {
    for number in 0..count {
        let request = ua
            .request("MESSAGE", &format!("sip:user{}@example.com", number % 50), false)
            .body("text/plain", "one of many");
        let (ua, book) = (ua.clone(), Rc::clone(book));
        actix::spawn(async move {
            let sent = Instant::now();
            if let Some(response) = ua.ask(&request).await {
                book.borrow_mut().push(Answered { sent, came: Instant::now(), response });
            }
        });
        sleep(pace).await;
    }
}

#[test]
fn twice_the_load_is_refused_early_and_what_is_let_in_is_served_in_time() {
    simulate(7, async {
        let world = booted(7).await;
        // 0 to 4 ms for each operation: 500 a second. The flood is twice that.
        world.set_disk(Disk { slow: 4, ..Disk::default() });
        let alice = device(&world, "sip:alice@example.org", 1);
        let bob = Device::new(device(&world, "sip:bob@example.com", 2));
        let body = b"token for bob".to_vec();
        let first = alice.request("MESSAGE", "sip:bob@example.com", false).body("text/plain", &body);
        let sent = Sent {
            owner: "bob".into(),
            body,
            call_id: first.call_id(),
            acknowledged: true,
            aborted: false,
            session: false,
            expires: false,
        };
        world.ledger(|ledger| ledger.send("token", sent));
        assert_eq!(alice.ask(&first).await.unwrap().status(), 202);

        let book = Rc::new(RefCell::new(Vec::new()));
        let fetching = actix::spawn({
            let (world, bob) = (world.clone(), bob.clone());
            async move {
                sleep(Duration::from_millis(1_500)).await;
                let begun = Instant::now();
                let fetched = bob.retrieve_all(&world, &Dice::new(1), Manner::Good).await;
                (fetched, begun.elapsed())
            }
        });
        flood(&alice, 3_000, OPERATION / 2, &book).await;
        let end = Instant::now();
        sleep(Duration::from_secs(5)).await;
        let (fetched, took) = fetching.await.unwrap();
        assert!(fetched, "who fetches his messages is served");
        assert!(took < TARGET * 12, "a retrieval took {took:?}");

        let answers = book.borrow().clone();
        assert_eq!(answers.len(), 3_000, "every request is answered");
        let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.response.status() == 202);
        assert!(refused.iter().all(|one| one.response.status() == 503));
        assert!(refused.iter().all(|one| one.response.get("Retry-After").is_some()));
        assert!(taken.len() > 1_200, "only {} were let in", taken.len());
        assert!(refused.len() > 600, "only {} were refused", refused.len());
        let slowest = taken.iter().map(|one| one.came - one.sent).max().unwrap();
        assert!(slowest < TARGET * 4, "what is let in waits no longer than {slowest:?}");
        let early = refused.iter().filter(|one| one.came - one.sent < Duration::from_millis(50)).count();
        assert!(early * 10 > refused.len() * 9, "refused at once: {early} of {}", refused.len());
        assert!(
            answers.iter().all(|one| one.came < end + Duration::from_secs(2)),
            "what is left is served soon"
        );

        // Within a second nothing is refused any more.
        let after = Rc::new(RefCell::new(Vec::new()));
        flood(&alice, 100, OPERATION * 2, &after).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(after.borrow().iter().filter(|one| one.response.status() == 202).count(), 100);
        assert_eq!(world.wrongs(), Vec::<String>::new());
    });
}

#[test]
fn a_store_that_hangs_is_not_answered_by_silence() {
    simulate(8, async {
        let world = booted(8).await;
        let alice = device(&world, "sip:alice@example.org", 1);
        let request =
            alice.request("MESSAGE", "sip:bob@example.com", false).body("text/plain", "token hangs");
        ask_a_hanging_store(&world, &alice, &request).await;
        go_on(&world).await;
        // The same again is the same deposit, whether it was stored after all or not.
        let again = request.clone().with("Via", alice.via(false));
        assert_eq!(alice.ask(&again).await.unwrap().status(), 202);
        assert_eq!(world.counts("bob").await, (1, 0));
    });
}

#[test]
fn a_subscription_is_not_granted_before_it_is_kept() {
    simulate(9, async {
        let world = booted(9).await;
        let bob = device(&world, "sip:bob@example.com", 1);
        let subscribe = || {
            let request = bob.request("SUBSCRIBE", bob.aor(), false).add("Event", "message-summary");
            request.add("Expires", "600")
        };
        let request = subscribe();
        let mut inbox = bob.expect(&request.call_id());
        ask_a_hanging_store(&world, &bob, &request).await;
        sleep(Duration::from_secs(30)).await;
        assert!(inbox.try_recv().is_err(), "no NOTIFY for what was refused");
        go_on(&world).await;
        let request = subscribe();
        let mut inbox = bob.expect(&request.call_id());
        assert_eq!(bob.ask(&request).await.unwrap().status(), 200);
        let notify = inbox.recv().await.expect("a NOTIFY");
        assert_eq!(notify.msg.method(), "NOTIFY");
    });
}
