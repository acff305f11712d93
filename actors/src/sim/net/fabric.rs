//! A network in memory and in virtual time: it delays, loses, repeats and reorders datagrams, cuts
//! streams into pieces, and can be told to break connections.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use restante::entropy::{Entropy, Sequence};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pipe::{Pipe, Wire};
use crate::sim::sabotage::{self, Sabotage};

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Datagrams lost, in percent.
    pub(crate) lost: u64,
    /// Datagrams that arrive twice, in percent.
    pub(crate) repeated: u64,
    /// The longest a datagram or piece is under way, in milliseconds; what overtakes is reordered.
    pub(crate) latency: u64,
    /// The largest piece a stream is cut into, in bytes.
    pub(crate) piece: u64,
}

impl Weather {
    /// Nothing is lost, everything is quick.
    pub(crate) const FAIR: Self = Self { lost: 0, repeated: 0, latency: 2, piece: 64 << 10 };
}

/// What happens at a time.
pub(super) enum Event {
    Datagram { to: SocketAddr, from: SocketAddr, bytes: Bytes },
    Piece(Arc<Pipe>, Bytes),
    End(Arc<Pipe>),
}

struct Due(Instant, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.1 == other.1
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// A connection as the network knows it: both addresses, both directions.
struct Cable {
    ends: [SocketAddr; 2],
    pipes: [Weak<Pipe>; 2],
}

struct Inner {
    dice: Sequence,
    weather: Weather,
    letterboxes: HashMap<SocketAddr, Arc<Letterbox>>,
    hatches: HashMap<SocketAddr, Arc<Hatch>>,
    cables: Vec<Cable>,
    due: BinaryHeap<Reverse<Due>>,
    serial: u64,
    port: u16,
}

/// The network; clones are the same.
#[derive(Clone)]
pub(crate) struct Fabric(Arc<(Mutex<Inner>, Notify)>);

thread_local! {
    static HERE: RefCell<Option<Fabric>> = const { RefCell::new(None) };
}

impl Fabric {
    /// A network without anybody, of which this thread's sockets are part from now on.
    pub(crate) fn install(seed: u64) -> Self {
        let inner = Inner {
            dice: Sequence::new(seed),
            weather: Weather::FAIR,
            letterboxes: HashMap::new(),
            hatches: HashMap::new(),
            cables: Vec::new(),
            due: BinaryHeap::new(),
            serial: 0,
            port: 20_000,
        };
        let fabric = Self(Arc::new((Mutex::new(inner), Notify::new())));
        HERE.set(Some(fabric.clone()));
        fabric
    }

    /// This thread's sockets are real again.
    pub(crate) fn remove() {
        HERE.set(None);
    }

    /// The network of this thread, if it simulates.
    pub(crate) fn here() -> Option<Self> {
        HERE.with_borrow(Clone::clone)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.inner().weather = weather;
    }

    /// Carries everything where it goes; never ends.
    pub(crate) async fn run(self) {
        loop {
            let mut told = std::pin::pin!(self.0.1.notified());
            told.as_mut().enable();
            let next = self.deliver();
            match next {
                Some(next) => {
                    tokio::select! {
                        biased;
                        () = told => {}
                        () = tokio::time::sleep_until(next) => {}
                    }
                }
                None => told.await,
            }
        }
    }

    /// Delivers what is due; when something is next.
    fn deliver(&self) -> Option<Instant> {
        loop {
            let mut inner = self.inner();
            let Reverse(Due(at, ..)) = inner.due.peek()?;
            if *at > Instant::now() {
                return Some(*at);
            }
            let Reverse(Due(_, _, event)) = inner.due.pop()?;
            match event {
                Event::Datagram { to, from, bytes } => {
                    let letterbox = inner.letterboxes.get(&to).cloned();
                    drop(inner);
                    if let Some(letterbox) = letterbox {
                        letterbox.fill(bytes, from);
                    }
                }
                Event::Piece(pipe, bytes) => {
                    drop(inner);
                    pipe.arrive(&bytes);
                }
                Event::End(pipe) => {
                    drop(inner);
                    pipe.end();
                }
            }
        }
    }

    pub(super) fn schedule(&self, at: Instant, event: Event) {
        let mut inner = self.inner();
        inner.serial += 1;
        let serial = inner.serial;
        let first = inner.due.peek().is_none_or(|Reverse(due)| due.0 > at);
        inner.due.push(Reverse(Due(at, serial, event)));
        drop(inner);
        if first {
            self.0.1.notify_waiters();
        }
    }

    /// When what is sent now arrives, not before `last`.
    pub(super) fn arrival(&self, last: Option<Instant>) -> Instant {
        let mut inner = self.inner();
        let latency = inner.weather.latency;
        let late = Duration::from_millis(inner.dice.next_u64() % (latency + 1));
        let at = Instant::now() + late;
        last.map_or(at, |last| last.max(at))
    }

    /// How many of `length` bytes travel together.
    pub(super) fn piece(&self, length: usize) -> usize {
        let mut inner = self.inner();
        let most = inner.weather.piece;
        if length as u64 > most * 8 {
            return length;
        }
        let size = usize::try_from(inner.dice.next_u64() % most + 1).unwrap_or(1);
        size.min(length)
    }

    fn post(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if sabotage::present() == Some(Sabotage::Silences) && bytes.starts_with(b"SIP/2.0 ") {
            return;
        }
        let copies = {
            let mut inner = self.inner();
            let Weather { lost, repeated, .. } = inner.weather;
            match inner.dice.next_u64() % 100 {
                drawn if drawn < lost => 0,
                drawn if drawn < lost + repeated => 2,
                _ => 1,
            }
        };
        for _ in 0..copies {
            let at = self.arrival(None);
            self.schedule(at, Event::Datagram { to, from, bytes: Bytes::copy_from_slice(bytes) });
        }
    }

    /// A socket for datagrams at `addr`, in place of an earlier one.
    pub(crate) fn bind(&self, addr: SocketAddr) -> Arc<Letterbox> {
        let letterbox = Arc::new(Letterbox {
            local: addr,
            fabric: self.clone(),
            state: Mutex::default(),
            filled: Notify::new(),
        });
        let former = self.inner().letterboxes.insert(addr, Arc::clone(&letterbox));
        if let Some(former) = former {
            former.state().gone = true;
        }
        letterbox
    }

    /// A listening socket at `addr`, in place of an earlier one.
    pub(crate) fn listen(&self, addr: SocketAddr) -> io::Result<Arc<Hatch>> {
        let hatch = Arc::new(Hatch { local: addr, waiting: Mutex::default(), knocked: Notify::new() });
        let former = self.inner().hatches.insert(addr, Arc::clone(&hatch));
        drop(former);
        Ok(hatch)
    }

    /// Opens a connection from `local` (or the node's own address) to `addr`.
    pub(crate) async fn connect(&self, local: Option<SocketAddr>, addr: SocketAddr) -> io::Result<Wire> {
        tokio::time::sleep_until(self.arrival(None)).await;
        let mut inner = self.inner();
        let hatch = inner.hatches.get(&addr).cloned().ok_or(io::ErrorKind::ConnectionRefused)?;
        inner.port += 1;
        let local = local.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let local = SocketAddr::new(local.ip(), inner.port);
        let capacities = [(); 2].map(|()| 1 << (9 + inner.dice.next_u64() % 9));
        let [there, back] = capacities.map(Pipe::new);
        let pipes = [Arc::downgrade(&there), Arc::downgrade(&back)];
        inner.cables.retain(|cable| cable.pipes.iter().any(|pipe| pipe.strong_count() > 0));
        inner.cables.push(Cable { ends: [local, addr], pipes });
        drop(inner);
        let mine = Wire {
            local,
            peer: addr,
            inward: Arc::clone(&back),
            outward: Arc::clone(&there),
            fabric: self.clone(),
        };
        let theirs = Wire { local: addr, peer: local, inward: there, outward: back, fabric: self.clone() };
        hatch.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(theirs);
        hatch.knocked.notify_one();
        Ok(mine)
    }

    /// Breaks a connection of this address, drawn by `draw` from those that live; whether there was one.
    pub(crate) fn cut_one(&self, ip: std::net::IpAddr, draw: u64) -> bool {
        let inner = self.inner();
        let living: Vec<[Arc<Pipe>; 2]> = inner
            .cables
            .iter()
            .filter(|cable| cable.ends.iter().any(|end| end.ip() == ip))
            .filter_map(|cable| Some([cable.pipes[0].upgrade()?, cable.pipes[1].upgrade()?]))
            .filter(|pipes| !pipes.iter().all(|pipe| pipe.is_over()))
            .collect();
        drop(inner);
        let Some(pipes) = (!living.is_empty()).then(|| &living[(draw % living.len() as u64) as usize]) else {
            return false;
        };
        pipes.iter().for_each(|pipe| pipe.cut());
        true
    }

    /// Takes an address off the network as a crash does: its connections break, its sockets are gone.
    pub(crate) fn crash(&self, ip: std::net::IpAddr) {
        let mut inner = self.inner();
        inner.letterboxes.retain(|addr, letterbox| {
            let stays = addr.ip() != ip;
            if !stays {
                letterbox.state().gone = true;
            }
            stays
        });
        let hatches: Vec<Arc<Hatch>> =
            inner.hatches.extract_if(|addr, _| addr.ip() == ip).map(|(_, hatch)| hatch).collect();
        let broken: Vec<Arc<Pipe>> = inner
            .cables
            .iter()
            .filter(|cable| cable.ends.iter().any(|end| end.ip() == ip))
            .flat_map(|cable| cable.pipes.iter().filter_map(Weak::upgrade))
            .collect();
        drop(inner);
        // Whoever waits there hangs up, which takes the network's lock.
        drop(hatches);
        broken.iter().for_each(|pipe| pipe.cut());
    }
}

/// A socket for datagrams.
pub(crate) struct Letterbox {
    pub(crate) local: SocketAddr,
    fabric: Fabric,
    state: Mutex<Letters>,
    filled: Notify,
}

#[derive(Default)]
struct Letters {
    waiting: VecDeque<(Bytes, SocketAddr)>,
    gone: bool,
}

impl Letterbox {
    fn state(&self) -> MutexGuard<'_, Letters> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, bytes: Bytes, from: SocketAddr) {
        self.state().waiting.push_back((bytes, from));
        self.filled.notify_waiters();
    }

    pub(crate) fn post(&self, datagram: &[u8], to: SocketAddr) {
        if !self.state().gone {
            self.fabric.post(self.local, to, datagram);
        }
    }

    pub(crate) fn take(&self) -> Option<(Bytes, SocketAddr)> {
        self.state().waiting.pop_front()
    }

    pub(crate) async fn filled(&self) {
        loop {
            let mut told = std::pin::pin!(self.filled.notified());
            told.as_mut().enable();
            if !self.state().waiting.is_empty() {
                return;
            }
            told.await;
        }
    }
}

/// A listening socket.
pub(crate) struct Hatch {
    pub(crate) local: SocketAddr,
    waiting: Mutex<VecDeque<Wire>>,
    knocked: Notify,
}

impl Hatch {
    pub(crate) async fn accept(&self) -> Wire {
        loop {
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match waiting {
                Some(wire) => return wire,
                None => self.knocked.notified().await,
            }
        }
    }
}
