//! A simulated world: the network, the node in its present run, the store that outlives it, the book, and
//! everything that went wrong.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use restante::machine::sip::{Flow, Transport};
use restante::store::memory::Memory;
use restante::store::{ListQuery, Owner, Store};
use restante::wire::sip::{Limits, parse_datagram};
use tokio::time::Instant;

use super::dice::Dice;
use super::ledger::{Found, Ledger};
use super::net::Fabric;
use super::peer::sip::Msg;
use super::store::Weathered;
use crate::config::Config;
use crate::link::{SipReceived, Stopper};
use crate::node::Node;
use crate::supervision::Fatal;

/// The owners' domain.
const DOMAIN: &str = "example.com";
/// The users who have a mailbox.
pub(crate) const USERS: [&str; 3] = ["bob", "carol", "dave"];
/// Where the node is.
pub(crate) const NODE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// One run of the node.
struct Run {
    node: Node,
    store: Weathered,
    stopper: Stopper,
}

struct Inner {
    fabric: Fabric,
    dice: Dice,
    config: Config,
    shards: usize,
    memory: Memory,
    run: RefCell<Option<Run>>,
    ledger: RefCell<Ledger>,
    wrong: RefCell<Vec<String>>,
    trace: RefCell<Option<Vec<String>>>,
    begun: Instant,
    /// When the node last was not there, or came back.
    disturbed: Cell<Option<Instant>>,
    calm: Cell<bool>,
    port: Cell<u16>,
}

/// The world; clones are the same.
#[derive(Clone)]
pub(crate) struct World(Rc<Inner>);

impl World {
    /// A world without a node yet. `traced`: what happens is written down.
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        let dice = Dice::new(seed);
        let config = config(&dice);
        Self::with(dice, config, traced)
    }

    /// A world for a node of this configuration.
    pub(crate) fn with(dice: Dice, config: Config, traced: bool) -> Self {
        let fabric = Fabric::install(dice.draw());
        let shards = usize::try_from(dice.between(1, 3)).unwrap();
        Self(Rc::new(Inner {
            fabric,
            dice,
            config,
            shards,
            memory: Memory::new(),
            run: RefCell::default(),
            ledger: RefCell::default(),
            wrong: RefCell::default(),
            trace: RefCell::new(traced.then(Vec::new)),
            begun: Instant::now(),
            disturbed: Cell::new(None),
            calm: Cell::new(false),
            port: Cell::new(30_000),
        }))
    }

    pub(crate) fn fabric(&self) -> Fabric {
        self.0.fabric.clone()
    }

    pub(crate) fn dice(&self) -> Dice {
        self.0.dice.fork()
    }

    /// Where the node takes SIP.
    pub(crate) fn sip(&self) -> SocketAddr {
        SocketAddr::new(NODE, 5060)
    }

    /// A port that nobody listens at.
    pub(crate) fn port(&self) -> u16 {
        self.0.port.set(self.0.port.get() + 1);
        self.0.port.get()
    }

    pub(crate) fn aor(&self, user: &str) -> String {
        format!("sip:{user}@{DOMAIN}")
    }

    /// One of the users.
    pub(crate) fn anyone(&self, dice: &Dice) -> String {
        (*dice.pick(&USERS)).to_owned()
    }

    pub(crate) fn ledger<T>(&self, with: impl FnOnce(&mut Ledger) -> T) -> T {
        with(&mut self.0.ledger.borrow_mut())
    }

    /// The Message-ID of something that is not `user`'s.
    pub(crate) fn others_id(&self, user: &str, dice: &Dice) -> Option<String> {
        let ids = self.ledger(|ledger| ledger.ids_of_others(user));
        (!ids.is_empty()).then(|| dice.pick(&ids).clone())
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        actix::spawn(task);
    }

    /// Something happened that must never happen.
    pub(crate) fn wrong(&self, what: String) {
        self.note(|| format!("WRONG: {what}"));
        self.0.wrong.borrow_mut().push(what);
    }

    /// What went wrong so far.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.0.wrong.borrow().clone()
    }

    /// Writes down what happens, where somebody wants to read it.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut *self.0.trace.borrow_mut() {
            let line = format!("{:>9.3} {}", self.0.begun.elapsed().as_secs_f64(), what());
            tracing::info!(target: "sim", "{line}");
            trace.push(line);
        }
    }

    /// No more mischief from now on.
    pub(crate) fn calm_down(&self) {
        self.0.calm.set(true);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.0.calm.get()
    }

    /// A request that was begun at `since` had no answer in all its time.
    pub(crate) fn unanswered(&self, since: Instant, request: &Msg) {
        let excused = self.0.disturbed.get().is_some_and(|at| at >= since) || self.0.run.borrow().is_none();
        if !excused {
            self.wrong(format!("never answered: {request}"));
        }
    }

    // ---- the node ----

    /// Starts the node over what the store holds.
    pub(crate) async fn boot(&self) {
        let store = Weathered::open(self.0.memory.clone(), self.0.dice.draw());
        let stopper = Stopper::new();
        let cores = vec![Arbiter::current(); self.0.shards];
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        let booted = Node::boot(
            self.0.config.clone(),
            shared,
            Arc::default(),
            cores,
            stopper.clone(),
            &Fatal::default(),
        )
        .await;
        let node = booted.unwrap_or_else(|error| panic!("the node does not boot: {error:#}"));
        node.begin().await.unwrap_or_else(|error| panic!("subscriptions are not resumed: {error:#}"));
        self.note(|| "the node is up".to_owned());
        self.0.disturbed.set(Some(Instant::now()));
        *self.0.run.borrow_mut() = Some(Run { node, store, stopper });
    }

    /// Lets the disk be bad, or good.
    pub(crate) fn set_disk(&self, disk: super::store::Disk) {
        if let Some(run) = &*self.0.run.borrow() {
            run.store.set_disk(disk);
        }
    }

    /// The store gives up the sessions under way: what it has of them becomes items.
    pub(crate) fn cut_sessions_off(&self) {
        self.0.memory.restart();
    }

    /// Kills the node and starts it again a while later.
    pub(crate) async fn crash(&self, down: Duration) {
        let Some(run) = self.0.run.borrow_mut().take() else { return };
        self.note(|| "the node is killed".to_owned());
        run.store.die();
        self.0.fabric.crash(NODE);
        drop(run);
        tokio::time::sleep(down).await;
        self.0.memory.restart();
        self.boot().await;
    }

    /// Stops the node as SIGTERM does, and starts it again.
    pub(crate) async fn stop(&self, down: Duration) {
        let Some(run) = self.0.run.borrow_mut().take() else { return };
        self.note(|| "the node is stopped".to_owned());
        let begun = Instant::now();
        run.node.drain(&run.stopper).await;
        // What its store was asked for it does before it is closed, and is waited for only so long.
        let allowed = self.0.config.node.drain + crate::link::LINGER + crate::node::STORE_END;
        if begun.elapsed() > allowed + Duration::from_secs(1) {
            self.wrong(format!("the node took {:?} to stop", begun.elapsed()));
        }
        run.store.die();
        self.0.fabric.crash(NODE);
        drop(run);
        tokio::time::sleep(down).await;
        self.0.memory.restart();
        self.boot().await;
    }

    /// Has the node take a datagram as soon as it is told to stop.
    pub(crate) fn receive_behind_the_stop(&self, request: &Msg, peer: SocketAddr) {
        let run = self.0.run.borrow();
        let flow = Flow { transport: Transport::Udp, connection: 0, local: self.sip(), peer };
        run.as_ref().unwrap().node.receive_behind_the_stop(|| SipReceived {
            flow,
            message: parse_datagram(request.encode().into(), &Limits::default()),
            since: crate::clock::now(),
            permit: None,
        });
    }

    /// What the node still holds of which nothing should be left, in words.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let observing = {
            let run = self.0.run.borrow();
            let Some(run) = &*run else { return vec!["no node".to_owned()] };
            run.node.observe()
        };
        observing.await
    }

    /// For how long the subscriptions last that are written down, in seconds from now.
    pub(crate) async fn lasting(&self) -> Vec<u64> {
        let written = self.0.memory.subscriptions(None, 1000).await.unwrap();
        let left = |ends: restante::time::Timestamp| ends.0.saturating_sub(crate::clock::wall().0) / 1000;
        written.into_iter().map(|record| left(record.expires)).collect()
    }

    /// All items of the store.
    pub(crate) async fn items(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for user in USERS {
            let owner = Owner::new(user.as_bytes(), DOMAIN);
            let heads = self.0.memory.list(owner.clone(), ListQuery::default()).await.unwrap();
            let counts = self.0.memory.counts(owner.clone()).await.unwrap();
            let new =
                heads.iter().filter(|head| head.state == restante::store::ItemState::New).count() as u64;
            let told = counts.new_items();
            let bytes: u64 = heads.iter().map(|head| head.bytes).sum();
            if (new, heads.len() as u64, bytes) != (told, counts.items, counts.bytes) {
                self.wrong(format!("the counts of {user} do not match the items: {counts:?}, {heads:?}"));
            }
            for head in heads {
                let item = self.0.memory.open(owner.clone(), head.message_id.clone()).await.unwrap().unwrap();
                let mut bodies = Vec::new();
                for message in item.messages {
                    let size = usize::try_from(message.size).unwrap();
                    bodies.push(self.0.memory.read(message.content, 0, size).await.unwrap().to_vec());
                }
                found.push(Found {
                    owner: user.to_owned(),
                    message_id: String::from_utf8_lossy(head.message_id.bytes()).into_owned(),
                    old: head.state == restante::store::ItemState::Old,
                    session: head.kind == restante::store::ItemKind::Session,
                    bodies,
                });
            }
        }
        found
    }

    /// New and old items of a user, as the store counts them.
    pub(crate) async fn counts(&self, user: &str) -> (u64, u64) {
        let counts = self.0.memory.counts(Owner::new(user.as_bytes(), DOMAIN)).await.unwrap();
        (counts.new_items(), counts.text.old + counts.multimedia.old)
    }

    /// Whether retrieved items are deleted.
    pub(crate) fn deletes(&self) -> bool {
        self.0.config.retrieval.after == crate::config::After::Delete
    }
}

/// A configuration with short times, so that what waits ends soon, and small limits, so that they are met.
fn config(dice: &Dice) -> Config {
    let text = format!(
        "[sip]\nlisten = [\"udp:{NODE}:5060\", \"tcp:{NODE}:5060\"]\nidle_timeout = \"60s\"\n\
         [msrp]\nlisten = [\"tcp:{NODE}:2855\"]\nbind_timeout = \"10s\"\nidle_timeout = \"45s\"\n\
         max_chunk = \"{} B\"\n\
         [summary]\nmin_expires = \"1s\"\nmax_items = {}\n\
         [retrieval]\nafter = \"{}\"\nwindow = \"{} B\"\n\
         [store]\ninline_limit = \"2 KiB\"\n\
         [deposit]\nquota_items = {}\n",
        dice.between(2048, 8192),
        dice.pick(&[2, 100]),
        dice.pick(&["keep", "keep", "delete"]),
        dice.between(2048, 8192),
        dice.pick(&[0, 0, 5]),
    );
    Config::load_from(Some((Path::new("simulation"), &text)), [])
        .unwrap_or_else(|error| panic!("the simulation's configuration: {error}"))
}
