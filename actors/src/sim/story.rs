//! One story from its seed to its audit.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::System;
use tokio::time::{Instant, sleep, timeout};

use super::dice::Dice;
use super::net::{Fabric, Weather};
use super::owner::Device;
use super::peer;
use super::sabotage::{self, Sabotage};
use super::sender::sender;
use super::store::Disk;
use super::stranger::stranger;
use super::taking::Manner;
use super::ua::Ua;
use super::world::{NODE, USERS, World};
use crate::{chance, clock};

/// What a story was about, for the sum of all.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    sent: usize,
    acknowledged: usize,
    delivered: usize,
    simulated: Duration,
}

impl AddAssign for Told {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.simulated += other.simulated;
    }
}

thread_local! {
    /// Panics of this thread while it simulates.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Has panics of simulating threads written down: an actor's is swallowed by its runtime.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = PANICS.with_borrow_mut(|panics| match panics {
                Some(panics) => {
                    panics.push(format!("panicked: {info}"));
                    true
                }
                None => false,
            });
            if !ours {
                others(info);
            }
        }));
    });
}

/// Runs `what` in virtual time on this thread, with everything drawn from `seed`; its result, and what panicked.
fn run<T>(seed: u64, what: impl Future<Output = T>) -> (Option<T>, Vec<String>) {
    watch_panics();
    PANICS.set(Some(Vec::new()));
    peer::clock::begin();
    chance::seed(Some(seed));
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let told = catch_unwind(AssertUnwindSafe(|| {
        let system = System::with_tokio_rt(runtime);
        system.block_on(async {
            clock::simulated::begin(1_700_000_000_000);
            what.await
        })
    }));
    Fabric::remove();
    clock::simulated::end();
    chance::seed(None);
    (told.ok(), PANICS.take().unwrap_or_default())
}

/// Runs a test in virtual time.
pub(super) fn simulate(seed: u64, what: impl Future<Output = ()>) {
    let (_, panics) = run(seed, what);
    assert!(panics.is_empty(), "{}", panics.join("\n"));
}

/// Tells the story of `seed`; what went wrong.
fn tell(seed: u64, traced: bool) -> Result<Told, Vec<String>> {
    match run(seed, story(seed, traced)) {
        (Some((told, wrong)), panics) if wrong.is_empty() && panics.is_empty() => Ok(told),
        (Some((_, mut wrong)), panics) => {
            wrong.extend(panics);
            Err(wrong)
        }
        (None, panics) => Err(panics),
    }
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 1, last))
}

async fn story(seed: u64, traced: bool) -> (Told, Vec<String>) {
    let begun = Instant::now();
    let world = World::new(seed, traced);
    let dice = world.dice();
    world.spawn(world.fabric().run());
    world.boot().await;

    let mut roles = Vec::new();
    for number in 0..dice.between(1, 3) as u8 {
        let ua = Ua::new(&world, "sip:alice@example.org", address(10 + number));
        roles.push(actix::spawn(sender(world.clone(), ua, dice.fork())));
    }
    let mut devices = Vec::new();
    for (number, user) in (0_u8..).zip(USERS) {
        for device in 0..dice.between(0, 2) as u8 {
            let ua = Ua::new(&world, &world.aor(user), address(20 + number * 10 + device));
            let device = Device::new(ua);
            roles.push(actix::spawn(device.clone().live(world.clone(), dice.fork())));
            devices.push(device);
        }
    }
    if dice.happens(50) {
        let ua = Ua::new(&world, "sip:mallory@example.com", IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)));
        roles.push(actix::spawn(stranger(world.clone(), ua, dice.fork())));
    }
    let mischief = actix::spawn(mischief(world.clone(), dice.fork()));
    for role in roles {
        if timeout(Duration::from_secs(3600), role).await.is_err() {
            world.wrong("a client waits for something that never comes".to_owned());
        }
    }
    let _ = mischief.await;
    aftermath(&world, &dice, &devices).await;
    let [sent, acknowledged, delivered] = world.ledger(|ledger| ledger.tally());
    (Told { sent, acknowledged, delivered, simulated: begun.elapsed() }, world.wrongs())
}

/// Makes the world worse for a while, and good again.
async fn mischief(world: World, dice: Dice) {
    let kind = dice.below(100);
    if kind < 25 {
        return;
    }
    let weather = Weather {
        lost: dice.below(11),
        repeated: dice.below(11),
        latency: *dice.pick(&[2, 30, 300]),
        piece: *dice.pick(&[7, 300, 64 << 10]),
    };
    world.fabric().set_weather(weather);
    let disk = Disk {
        slow: *dice.pick(&[0, 5, 400]),
        busy: *dice.pick(&[0, 0, 10]),
        failing: *dice.pick(&[0, 0, 0, 10]),
    };
    world.set_disk(disk);
    for _ in 0..dice.below(6) {
        dice.pause(12_000).await;
        match dice.below(8) {
            0..=1 => drop(world.fabric().cut_one(NODE, dice.draw())),
            2 => clock::simulated::jump(*dice.pick(&[-86_400_000, -3_000, 3_000])),
            3 if kind > 50 => world.crash(Duration::from_millis(dice.below(3_000))).await,
            4 if kind > 50 => world.stop(Duration::from_millis(dice.below(3_000))).await,
            5 => world.set_disk(Disk { slow: 3_000, ..Disk::default() }),
            6 => world.set_disk(disk),
            _ => {}
        }
    }
    world.set_disk(Disk::default());
    world.fabric().set_weather(Weather::FAIR);
}

/// It is calm: what is left is retrieved, everything ends, and the book is compared with the store.
async fn aftermath(world: &World, dice: &Dice, devices: &[Device]) {
    world.calm_down();
    world.note(|| "calm".to_owned());
    for device in devices {
        device.refresh(world).await;
    }
    // What was under way ends by its timers.
    sleep(Duration::from_secs(100)).await;
    for device in devices {
        let true_counts = world.counts(device.ua.user()).await;
        if let Some(told) = device.told()
            && told != Some(true_counts)
        {
            world.wrong(format!("{} was told {told:?}, and has {true_counts:?}", device.ua.user()));
        }
    }
    for (number, user) in (0_u8..).zip(USERS) {
        let device = Device::new(Ua::new(world, &world.aor(user), address(100 + number)));
        if !device.retrieve_all(world, dice, Manner::Good).await {
            world.wrong(format!("the rest of {user} does not come"));
        }
    }
    sleep(Duration::from_secs(1)).await;
    for user in USERS {
        let (new, _) = world.counts(user).await;
        if new > 0 {
            world.wrong(format!("{user} has taken everything, and {new} are new"));
        }
    }
    for device in devices {
        device.unsubscribe(world).await;
    }
    sleep(Duration::from_secs(250)).await;
    for leftover in world.leftovers().await {
        world.wrong(format!("left over: {leftover}"));
    }
    let items = world.items().await;
    for wrong in world.ledger(|ledger| ledger.audit(&items, world.deletes())) {
        world.wrong(wrong);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Seeds that are told where nothing else is asked for: what takes some ten seconds.
const SEEDS: u64 = if cfg!(debug_assertions) { 150 } else { 10_000 };
/// Seeds whose stories once ended badly.
const REMEMBERED: [u64; 3] = [4361, 4747, 7226];
/// After so many stories that have ended badly no more are told.
const ENOUGH: usize = 10;

/// Tells the stories of all seeds from `first` up to `end`, on every core; their sum, and what went wrong, a seed each.
fn tell_all(first: u64, end: u64) -> (Told, Vec<String>) {
    let next = AtomicU64::new(first);
    let tell_on = || {
        let (mut sum, mut bad) = (Told::default(), Vec::new());
        while bad.len() < ENOUGH {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            match tell(seed, false) {
                Ok(told) => sum += told,
                Err(wrong) => bad.push(badly(seed, &wrong)),
            }
        }
        (sum, bad)
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let results: Vec<(Told, Vec<String>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(tell_on)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (mut sum, mut bad) = (Told::default(), Vec::new());
    for (told, wrong) in results {
        sum += told;
        bad.extend(wrong);
    }
    (sum, bad)
}

/// How a story that ended badly is reported.
fn badly(seed: u64, wrong: &[String]) -> String {
    format!("SIMULATION_SEED={seed}: {}", wrong.join("\n    "))
}

#[test]
fn stories_end_well() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_test_writer().try_init();
        if let Err(wrong) = tell(seed, true) {
            panic!("{}", badly(seed, &wrong));
        }
        return;
    }
    let first = number("SIMULATION_FIRST").unwrap_or(0);
    let count = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let begun = std::time::Instant::now();
    let (mut told, mut bad) = tell_all(first, first + count);
    for seed in REMEMBERED.into_iter().filter(|seed| !(first..first + count).contains(seed)) {
        match tell(seed, false) {
            Ok(one) => told += one,
            Err(wrong) => bad.push(badly(seed, &wrong)),
        }
    }
    println!(
        "{count} stories in {:.1} s: {} messages sent, {} acknowledged, {} delivered and acknowledged back, {} s simulated",
        begun.elapsed().as_secs_f64(),
        told.sent,
        told.acknowledged,
        told.delivered,
        told.simulated.as_secs()
    );
    assert!(bad.is_empty(), "{} stories ended badly:\n{}", bad.len(), bad.join("\n"));
}

/// The simulation can fail: whichever rule is broken, some story ends badly, says so, and names its seed.
#[test]
fn a_broken_rule_is_found_and_its_seed_named() {
    let rules = [
        (Sabotage::LosesAnItem, "was acknowledged and is lost"),
        (Sabotage::LosesAMessage, "was acknowledged and is lost"),
        (Sabotage::StoresTwice, "is stored 2 times"),
        (Sabotage::Misplaces, "is in the mailbox of"),
        (Sabotage::Alters, "with another content"),
        (Sabotage::Ages, "is old, and nobody has acknowledged"),
        (Sabotage::Silences, "never answered"),
    ];
    for (rule, expected) in rules {
        sabotage::begin(Some(rule));
        let found = (0..200).find_map(|seed| {
            let wrong = tell(seed, false).err()?;
            wrong.iter().any(|what| what.contains(expected)).then(|| badly(seed, &wrong))
        });
        sabotage::begin(None);
        let found = found.unwrap_or_else(|| panic!("{rule:?} is never found out by {expected:?}"));
        assert!(found.starts_with("SIMULATION_SEED="), "{found}");
    }
}
