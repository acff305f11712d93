//! One device of one user: SIP over UDP and TCP in virtual time, with RFC 3261's retransmissions, and an
//! eye on what the node must never do, such as answering a request twice in two ways.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::asking::Asking;
use super::line::Line;
use super::net::Fabric;
use super::peer::clock::fresh;
use super::peer::sip::{Msg, parameter};
use super::world::World;

/// The way a message came, and an answer goes.
#[derive(Clone)]
pub(crate) enum Way {
    Udp(SocketAddr),
    Line(Line),
}

/// A request that came, and the way to answer it.
pub(crate) struct Incoming {
    pub(crate) msg: Msg,
    way: Way,
}

/// A request that was sent.
struct Asked {
    tell: mpsc::UnboundedSender<Msg>,
    /// Status and To of the final response.
    answer: Option<(u16, String)>,
    ack: Option<Msg>,
    over: Option<Line>,
}

/// A device; clones are the same.
#[derive(Clone)]
pub(crate) struct Ua(Rc<Inner>);

struct Inner {
    world: World,
    fabric: Fabric,
    user: String,
    aor: String,
    here: SocketAddr,
    letterbox: Arc<super::net::Letterbox>,
    line: RefCell<Option<Line>>,
    /// It has lost a connection, and what was on it: a NOTIFY perhaps.
    unlucky: Cell<bool>,
    asked: RefCell<HashMap<String, Asked>>,
    replied: RefCell<HashMap<String, Vec<u8>>>,
    calls: RefCell<HashMap<String, mpsc::UnboundedSender<Incoming>>>,
}

impl Ua {
    /// A device of `aor` at `ip`.
    pub(crate) fn new(world: &World, aor: &str, ip: IpAddr) -> Self {
        let fabric = world.fabric();
        let here = SocketAddr::new(ip, 5060);
        let letterbox = fabric.bind(here);
        let user = aor.trim_start_matches("sip:").split('@').next().unwrap().to_owned();
        let ua = Self(Rc::new(Inner {
            world: world.clone(),
            fabric,
            user,
            aor: aor.to_owned(),
            here,
            letterbox,
            line: RefCell::default(),
            unlucky: Cell::default(),
            asked: RefCell::default(),
            replied: RefCell::default(),
            calls: RefCell::default(),
        }));
        let reader = ua.clone();
        world.spawn(async move { reader.datagrams().await });
        let acceptor = ua.clone();
        world.spawn(async move {
            let hatch = acceptor.0.fabric.listen(acceptor.0.here).unwrap();
            loop {
                let line = Line::new(&acceptor.0.world, hatch.accept().await);
                acceptor.serve(line);
            }
        });
        ua
    }

    pub(crate) fn user(&self) -> &str {
        &self.0.user
    }

    /// Whether it has lost a connection.
    pub(crate) fn is_unlucky(&self) -> bool {
        self.0.unlucky.get()
    }

    pub(crate) fn aor(&self) -> &str {
        &self.0.aor
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.0.here.ip()
    }

    async fn datagrams(&self) {
        loop {
            self.0.letterbox.filled().await;
            while let Some((bytes, from)) = self.0.letterbox.take() {
                if let Some((msg, _)) = Msg::parse(&bytes) {
                    self.arrived(msg, Way::Udp(from));
                }
            }
        }
    }

    /// Reads a connection to its end.
    fn serve(&self, line: Line) {
        let ua = self.clone();
        self.0.world.spawn(async move {
            let mut buffer = Vec::new();
            while line.read(&mut buffer).await.is_some() {
                while let Some((msg, used)) = Msg::parse(&buffer) {
                    buffer.drain(..used);
                    ua.arrived(msg, Way::Line(line.clone()));
                }
            }
            ua.hung_up(&line);
        });
    }

    fn hung_up(&self, line: &Line) {
        if !self.0.world.is_calm() {
            self.0.unlucky.set(true);
        }
        let is_it = |other: &Line| Rc::ptr_eq(&other.wire, &line.wire);
        let mut own = self.0.line.borrow_mut();
        if own.as_ref().is_some_and(is_it) {
            *own = None;
        }
        for asked in self.0.asked.borrow_mut().values_mut() {
            if asked.over.as_ref().is_some_and(is_it) {
                // The receiver sees the end of the channel.
                asked.tell = mpsc::unbounded_channel().0;
            }
        }
    }

    fn arrived(&self, msg: Msg, way: Way) {
        self.0.world.note(|| format!("{} <- {}", self.0.here.ip(), msg.start));
        if msg.is_request() { self.request_arrived(msg, way) } else { self.response_arrived(msg) }
    }

    fn response_arrived(&self, msg: Msg) {
        let mut every = self.0.asked.borrow_mut();
        let Some(asked) = every.get_mut(&transaction(&msg)) else {
            // What only looked like a request has no branch of ours.
            if msg.branch().starts_with("z9hG4bK") {
                self.0.world.wrong(format!("a response to nothing: {msg}"));
            }
            return;
        };
        let status = msg.status();
        if status >= 200 {
            let answer = (status, msg.need("To"));
            match &asked.answer {
                Some(first) if *first != answer => {
                    self.0.world.wrong(format!("answered twice, {first:?} and then {answer:?}: {msg}"));
                }
                Some(_) => {
                    let ack = asked.ack.clone();
                    drop(every);
                    if let Some(ack) = ack {
                        self.transmit(&ack, None);
                    }
                    return;
                }
                None => asked.answer = Some(answer),
            }
        }
        let _ = asked.tell.send(msg);
    }

    fn request_arrived(&self, msg: Msg, way: Way) {
        if msg.method() == "ACK" {
            return;
        }
        let key = format!("{} {}", transaction(&msg), msg.need("CSeq"));
        if let Some(reply) = self.0.replied.borrow().get(&key) {
            if !reply.is_empty() {
                self.write(&way, reply.clone());
            }
            return;
        }
        let to_tag = parameter(&msg.need("To"), "tag");
        if to_tag.is_none() {
            self.0.world.wrong(format!("the node begins a dialog: {msg}"));
        }
        self.0.replied.borrow_mut().insert(key, Vec::new());
        let call = self.0.calls.borrow().get(&msg.call_id()).cloned();
        let incoming = Incoming { msg, way };
        let refused = match call {
            Some(call) => call.send(incoming).err().map(|unsent| unsent.0),
            None => Some(incoming),
        };
        if let Some(incoming) = refused {
            self.reply(&incoming, 481, "No Such Call");
        }
    }

    pub(crate) fn reply(&self, incoming: &Incoming, status: u16, reason: &str) {
        let bytes = incoming.msg.respond(status, reason).encode();
        let key = format!("{} {}", transaction(&incoming.msg), incoming.msg.need("CSeq"));
        self.0.replied.borrow_mut().insert(key, bytes.clone());
        self.write(&incoming.way, bytes);
    }

    fn write(&self, way: &Way, bytes: Vec<u8>) {
        match way {
            Way::Udp(to) => self.0.letterbox.post(&bytes, *to),
            Way::Line(line) => line.write(bytes),
        }
    }

    /// Requests of the dialog `call_id` come here until the receiver is dropped.
    pub(crate) fn expect(&self, call_id: &str) -> mpsc::UnboundedReceiver<Incoming> {
        let (tell, told) = mpsc::unbounded_channel();
        self.0.calls.borrow_mut().insert(call_id.to_owned(), tell);
        told
    }

    /// Requests of the dialog `call_id` are answered 481 from now on.
    pub(crate) fn forget(&self, call_id: &str) {
        self.0.calls.borrow_mut().remove(call_id);
    }

    pub(crate) fn contact(&self, tcp: bool) -> String {
        let transport = if tcp { ";transport=tcp" } else { "" };
        format!("<sip:{}@{}{transport}>", self.0.user, self.0.here)
    }

    pub(crate) fn via(&self, tcp: bool) -> String {
        let transport = if tcp { "TCP" } else { "UDP" };
        format!("SIP/2.0/{transport} {};rport;branch={}", self.0.here, fresh("z9hG4bK"))
    }

    /// A request outside of dialogs.
    pub(crate) fn request(&self, method: &str, uri: &str, tcp: bool) -> Msg {
        let request = Msg::request(method, uri)
            .add("Via", self.via(tcp))
            .add("Max-Forwards", "70")
            .add("From", format!("<{}>;tag={}", self.0.aor, fresh("f")))
            .add("To", format!("<{uri}>"))
            .add("Call-ID", fresh("call"))
            .add("CSeq", format!("1 {method}"));
        match method {
            "INVITE" | "SUBSCRIBE" => request.add("Contact", self.contact(tcp)),
            _ => request,
        }
    }

    /// The connection to the node.
    async fn line(&self) -> Option<Line> {
        if let Some(line) = self.0.line.borrow().clone() {
            return Some(line);
        }
        let wire = self.0.fabric.connect(Some(self.0.here), self.0.world.sip()).await.ok()?;
        let line = Line::new(&self.0.world, wire);
        self.serve(line.clone());
        *self.0.line.borrow_mut() = Some(line.clone());
        Some(line)
    }

    /// Sends a request once, by its Via's transport.
    pub(crate) fn transmit(&self, request: &Msg, over: Option<&Line>) {
        self.0.world.note(|| format!("{} -> {}", self.0.here.ip(), request.start));
        let line = over.cloned().or_else(|| {
            let tcp = request.need("Via").starts_with("SIP/2.0/TCP");
            self.0.line.borrow().clone().filter(|_| tcp)
        });
        match line {
            Some(line) => line.write(request.encode()),
            None => self.0.letterbox.post(&request.encode(), self.0.world.sip()),
        }
    }

    /// Sends bytes that are perhaps no message.
    pub(crate) fn babble(&self, bytes: &[u8]) {
        self.0.letterbox.post(bytes, self.0.world.sip());
    }

    /// Sends a request, and waits for its final response; `None` where there is none.
    pub(crate) async fn ask(&self, request: &Msg) -> Option<Msg> {
        self.begin(request).await?.finish().await
    }

    /// Sends a request whose answer is waited for later.
    pub(crate) async fn begin(&self, request: &Msg) -> Option<Asking> {
        let asking = self.prepare(request).await?;
        self.transmit(request, asking.over());
        Some(asking)
    }

    /// Sends two requests in one segment.
    pub(crate) async fn begin_both(&self, first: &Msg, second: &Msg) -> Option<[Asking; 2]> {
        let both = [self.prepare(first).await?, self.prepare(second).await?];
        self.line().await?.write([first.encode(), second.encode()].concat());
        Some(both)
    }

    async fn prepare(&self, request: &Msg) -> Option<Asking> {
        let tcp = request.need("Via").starts_with("SIP/2.0/TCP");
        let over = if tcp { Some(self.line().await?) } else { None };
        let (tell, told) = mpsc::unbounded_channel();
        let asked = Asked { tell, answer: None, ack: None, over: over.clone() };
        self.0.asked.borrow_mut().insert(transaction(request), asked);
        Some(Asking::new(self.clone(), request.clone(), told, over))
    }

    /// Notes that a request of which `begun` is the beginning had no final response in time.
    pub(super) fn unanswered(&self, begun: Instant, request: &Msg) {
        self.0.world.unanswered(begun, request);
    }

    /// Sends the ACK to a 2xx, and again whenever that is repeated.
    pub(crate) fn acknowledge(&self, request: &Msg, ack: Msg) {
        self.transmit(&ack, None);
        if let Some(asked) = self.0.asked.borrow_mut().get_mut(&transaction(request)) {
            asked.ack = Some(ack);
        }
    }
}

fn transaction(msg: &Msg) -> String {
    format!("{} {}", msg.method(), msg.branch())
}
