//! A proxy with its subscribers behind one connection, which reads slowly, not at all, or goes away.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::dice::Dice;
use super::line::Line;
use super::peer::clock::fresh;
use super::peer::sip::Msg;
use super::story::simulate;
use super::ua::Ua;
use super::world::{NODE, World};
use crate::config::Config;

const SUBSCRIBERS: usize = 400;
/// Where the proxy is, and can be reached.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 3, 1)), 5060);

async fn world(seed: u64) -> World {
    let text = format!(
        "[sip]\nlisten = [\"udp:{NODE}:5060\", \"tcp:{NODE}:5060\"]\n[msrp]\nlisten = [\"tcp:{NODE}:2855\"]\n"
    );
    let config = Config::load_from(Some((Path::new("proxy"), &text)), []).unwrap();
    let world = World::with(Dice::new(seed), config, false);
    world.spawn(world.fabric().run());
    world.boot().await;
    world
}

/// What a NOTIFY said.
struct Notified {
    state: String,
    cseq: u32,
    new: String,
}

/// The proxy's end of a connection.
struct Proxy {
    line: Line,
    buffer: Vec<u8>,
    /// The last NOTIFY of each subscription, by Call-ID, and how many there were.
    told: HashMap<String, Notified>,
    notifies: usize,
}

impl Proxy {
    async fn connect(world: &World) -> Self {
        let wire = world.fabric().connect(Some(HERE), world.sip()).await.unwrap();
        Self::over(Line::new(world, wire))
    }

    fn over(line: Line) -> Self {
        Self { line, buffer: Vec::new(), told: HashMap::new(), notifies: 0 }
    }

    fn send(&self, message: &Msg) {
        self.line.write(message.encode());
    }

    /// The next message; a NOTIFY is noted and answered. `None`: the connection has ended.
    async fn next(&mut self) -> Option<Msg> {
        loop {
            if let Some((message, used)) = Msg::parse(&self.buffer) {
                self.buffer.drain(..used);
                if message.is_request() {
                    assert_eq!(message.method(), "NOTIFY", "{message}");
                    self.send(&message.respond(200, "OK"));
                    self.note(&message);
                }
                return Some(message);
            }
            self.line.read(&mut self.buffer).await?;
        }
    }

    fn note(&mut self, notify: &Msg) {
        let cseq = notify.need("CSeq").split(' ').next().unwrap().parse().unwrap();
        let body = String::from_utf8_lossy(&notify.body).into_owned();
        let count = body.split("Text-Message: ").nth(1).and_then(|rest| rest.split('/').next());
        let new = count.unwrap_or("0").to_owned();
        let state = notify.need("Subscription-State");
        let before = self.told.insert(notify.call_id(), Notified { state, cseq, new });
        assert!(before.is_none_or(|before| before.cseq < cseq), "in order: {notify}");
        self.notifies += 1;
    }

    /// Reads until `done` says so; panics where nothing comes any more.
    async fn read_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let next = timeout(Duration::from_secs(60), self.next()).await;
            assert!(matches!(next, Ok(Some(_))), "{what}: {} NOTIFYs, {next:?}", self.notifies);
        }
    }

    /// Subscribes for everybody; gives the SUBSCRIBEs, with the To that their dialogs have.
    async fn subscribe(&mut self, count: usize) -> Vec<Msg> {
        let mut subscribed = Vec::new();
        for user in 0..count {
            let request = subscribe(user);
            self.send(&request);
            let to = loop {
                let message = self.next().await.unwrap();
                if !message.is_request() {
                    assert_eq!(message.status(), 200, "{message}");
                    break message.need("To");
                }
            };
            subscribed.push(request.with("To", to));
        }
        self.read_until("the first NOTIFYs", |proxy| proxy.told.len() == count).await;
        subscribed
    }

    fn all_have(&self, new: &str) -> bool {
        self.told.values().all(|told| told.new == new)
    }
}

fn subscribe(user: usize) -> Msg {
    let uri = format!("sip:user{user}@example.com");
    Msg::request("SUBSCRIBE", &uri)
        .add("Via", format!("SIP/2.0/TCP {HERE};branch={}", fresh("z9hG4bK")))
        .add("Max-Forwards", "70")
        .add("From", format!("<{uri}>;tag={}", fresh("f")))
        .add("To", format!("<{uri}>"))
        .add("Call-ID", fresh("call"))
        .add("CSeq", "1 SUBSCRIBE")
        .add("Contact", format!("<sip:user{user}@{HERE};transport=tcp>"))
        .add("Event", "message-summary")
        .add("Expires", "3600")
}

/// The same subscription again, for so long.
fn again(subscribed: &Msg, cseq: u32, expires: u32) -> Msg {
    let via = format!("SIP/2.0/TCP {HERE};branch={}", fresh("z9hG4bK"));
    let request = subscribed.clone().with("Via", via).with("CSeq", format!("{cseq} SUBSCRIBE"));
    request.with("Expires", expires.to_string())
}

/// Deposits a message for everybody.
async fn deposit(world: &World, alice: &Ua, count: usize) {
    for user in 0..count {
        let request = alice.request("MESSAGE", &format!("sip:user{user}@example.com"), false);
        let request = request.body("text/plain", "x").add("Subject", "s".repeat(6_000));
        assert_eq!(alice.ask(&request).await.unwrap().status(), 202);
    }
    // What is due is sent, or waits.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.wrongs(), Vec::<String>::new());
}

fn alice(world: &World) -> Ua {
    Ua::new(world, "sip:alice@example.org", IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1)))
}

async fn waiting(world: &World) -> bool {
    world.leftovers().await.iter().any(|what| what.contains("wait for room"))
}

#[test]
fn subscribers_behind_a_proxy_that_pauses_are_all_told_what_is_true_then() {
    simulate(21, async {
        let world = world(21).await;
        let mut proxy = Proxy::connect(&world).await;
        proxy.subscribe(SUBSCRIBERS).await;
        let before = proxy.notifies;
        let alice = alice(&world);
        let begun = Instant::now();
        deposit(&world, &alice, SUBSCRIBERS).await;
        deposit(&world, &alice, SUBSCRIBERS).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert!(waiting(&world).await, "more than the connection takes");
        proxy.read_until("all are told", |proxy| proxy.all_have("2")).await;
        let notifies = proxy.notifies - before;
        assert!(notifies < SUBSCRIBERS * 3 / 2, "{notifies}: who waited was told once of both");
        assert!(!waiting(&world).await);
        // It is well from then on.
        deposit(&world, &alice, 3).await;
        proxy
            .read_until("a change", |proxy| proxy.told.values().filter(|told| told.new == "3").count() == 3)
            .await;
    });
}

// proves RFC 6665 4.2.1.2, 4.2.1.4, 4.2.2: where the NOTIFYs wait, the answers do not
#[test]
fn who_waits_may_refresh_and_unsubscribe() {
    simulate(22, async {
        let world = world(22).await;
        let mut proxy = Proxy::connect(&world).await;
        let subscribed = proxy.subscribe(SUBSCRIBERS).await;
        deposit(&world, &alice(&world), SUBSCRIBERS).await;
        assert!(waiting(&world).await);
        let (refreshing, leaving) = (&subscribed[SUBSCRIBERS - 1], &subscribed[SUBSCRIBERS - 2]);
        proxy.send(&again(refreshing, 2, 1800));
        proxy.send(&again(leaving, 2, 0));
        sleep(Duration::from_secs(5)).await;
        let mut answers = 0;
        while answers < 2 {
            let message = proxy.next().await.unwrap();
            if !message.is_request() {
                assert_eq!(message.status(), 200, "{message}");
                answers += 1;
            }
        }
        let last = |proxy: &Proxy, of: &Msg| {
            let told = &proxy.told[&of.call_id()];
            (told.new.clone(), told.state.clone())
        };
        let over = || ("1".to_owned(), "terminated;reason=timeout".to_owned());
        proxy.read_until("the end of one", |proxy| last(proxy, leaving) == over()).await;
        proxy
            .read_until("the refreshed one", |proxy| {
                let (new, state) = last(proxy, refreshing);
                new == "1" && state.starts_with("active;expires=17")
            })
            .await;
        proxy.read_until("all others", |proxy| proxy.all_have("1")).await;
    });
}

// proves RFC 6665 4.2.2: NOTIFYs that cannot be delivered time out, and end their subscriptions
#[test]
fn a_proxy_that_never_reads_again_loses_its_subscriptions_and_its_connection() {
    simulate(23, async {
        let world = world(23).await;
        let mut proxy = Proxy::connect(&world).await;
        proxy.subscribe(SUBSCRIBERS).await;
        deposit(&world, &alice(&world), SUBSCRIBERS).await;
        assert!(waiting(&world).await);
        // 64*T1, and the while until the connection is given up.
        sleep(Duration::from_secs(100)).await;
        assert_eq!(world.leftovers().await, Vec::<String>::new());
    });
}

#[test]
fn what_waits_for_a_connection_that_ends_goes_by_a_new_one() {
    simulate(24, async {
        let world = world(24).await;
        let mut proxy = Proxy::connect(&world).await;
        proxy.subscribe(SUBSCRIBERS).await;
        deposit(&world, &alice(&world), SUBSCRIBERS).await;
        assert!(waiting(&world).await);
        let hatch = world.fabric().listen(HERE).unwrap();
        let told = std::mem::take(&mut proxy.told);
        drop(proxy);
        let mut proxy = Proxy::over(Line::new(&world, hatch.accept().await));
        proxy.told = told;
        proxy.read_until("all are told", |proxy| proxy.all_have("1")).await;
    });
}
