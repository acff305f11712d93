//! One device of one user: SIP over UDP and TCP in virtual time, with RFC 3261's retransmissions, and an
//! eye on what the node must never do, such as answering a request twice in two ways.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::net::{Fabric, Wire};
use super::peer::clock::fresh;
use super::peer::sip::{Msg, address, parameter};
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

/// A connection that is written to by a task of its own.
#[derive(Clone)]
pub(crate) struct Line {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    pub(crate) wire: Rc<Wire>,
}

impl Line {
    pub(crate) fn new(world: &World, wire: Wire) -> Self {
        let wire = Rc::new(wire);
        let (queue, mut waiting) = mpsc::unbounded_channel::<Vec<u8>>();
        let writer = Rc::clone(&wire);
        world.spawn(async move {
            while let Some(bytes) = waiting.recv().await {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    match writer.try_write(rest) {
                        Ok(count) => rest = &rest[count..],
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            writer.writable().await;
                        }
                        Err(_) => return,
                    }
                }
            }
        });
        Self { queue, wire }
    }

    pub(crate) fn write(&self, bytes: Vec<u8>) {
        let _ = self.queue.send(bytes);
    }

    /// More bytes; `None` at the end of the connection.
    pub(crate) async fn read(&self, buffer: &mut Vec<u8>) -> Option<usize> {
        loop {
            match self.wire.try_read(16 << 10, |bytes| buffer.extend_from_slice(bytes)) {
                Ok(0) => return None,
                Ok(count) => return Some(count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.wire.readable().await,
                Err(_) => return None,
            }
        }
    }
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
        let tcp = request.need("Via").starts_with("SIP/2.0/TCP");
        let over = if tcp { Some(self.line().await?) } else { None };
        let (tell, told) = mpsc::unbounded_channel();
        let asked = Asked { tell, answer: None, ack: None, over: over.clone() };
        self.0.asked.borrow_mut().insert(transaction(request), asked);
        self.transmit(request, over.as_ref());
        Some(Asking { ua: self.clone(), request: request.clone(), told, over, begun: Instant::now() })
    }

    /// Sends the ACK to a 2xx, and again whenever that is repeated.
    pub(crate) fn acknowledge(&self, request: &Msg, ack: Msg) {
        self.transmit(&ack, None);
        if let Some(asked) = self.0.asked.borrow_mut().get_mut(&transaction(request)) {
            asked.ack = Some(ack);
        }
    }
}

/// A request under way.
pub(crate) struct Asking {
    ua: Ua,
    pub(crate) request: Msg,
    told: mpsc::UnboundedReceiver<Msg>,
    over: Option<Line>,
    begun: Instant,
}

impl Asking {
    /// Waits for the final response (RFC 3261 17.1), repeating the request over UDP.
    pub(crate) async fn finish(mut self) -> Option<Msg> {
        let invite = self.request.method() == "INVITE";
        let mut interval = Duration::from_millis(500);
        let mut limit = self.begun + Duration::from_secs(32);
        let mut proceeding = false;
        loop {
            let repeats = self.over.is_none() && !(invite && proceeding);
            let next = if repeats { limit.min(Instant::now() + interval) } else { limit };
            match tokio::time::timeout_at(next, self.told.recv()).await {
                Ok(Some(msg)) if msg.status() < 200 => {
                    proceeding = true;
                    if invite {
                        limit = Instant::now() + Duration::from_secs(120);
                    }
                }
                Ok(Some(msg)) => {
                    if invite && msg.status() >= 300 {
                        self.ua.acknowledge(&self.request, failure_ack(&self.request, &msg));
                    }
                    return Some(msg);
                }
                // The connection is gone.
                Ok(None) => return None,
                Err(_) if Instant::now() >= limit => {
                    self.ua.0.world.unanswered(self.begun, &self.request);
                    return None;
                }
                Err(_) => {
                    self.ua.transmit(&self.request, None);
                    interval *= 2;
                    if !invite {
                        interval = interval.min(Duration::from_secs(4));
                    }
                }
            }
        }
    }

    /// Cancels the INVITE after a while; where its 200 was quicker, the call is ended.
    pub(crate) async fn regret(mut self, after: Duration) {
        // RFC 3261 9.1: not before a provisional response.
        match timeout(Duration::from_secs(5), self.told.recv()).await {
            Ok(Some(first)) if first.status() < 200 => {}
            Ok(Some(first)) => return self.conclude(&first).await,
            Ok(None) | Err(_) => {}
        }
        tokio::time::sleep(after).await;
        let ua = self.ua.clone();
        let cancel = self.cancel();
        actix::spawn(async move { ua.ask(&cancel).await });
        let (ua, request) = (self.ua.clone(), self.request.clone());
        if let Some(response) = self.finish().await {
            conclude(&ua, &request, &response).await;
        }
    }

    async fn conclude(&self, response: &Msg) {
        if response.status() >= 300 {
            self.ua.acknowledge(&self.request, failure_ack(&self.request, response));
        }
        conclude(&self.ua, &self.request, response).await;
    }

    /// The CANCEL of the INVITE.
    fn cancel(&self) -> Msg {
        let number = cseq(&self.request);
        let cancel =
            Msg { start: self.request.start.replacen("INVITE", "CANCEL", 1), ..self.request.clone() }
                .with("CSeq", format!("{number} CANCEL"))
                .without("Content-Type")
                .without("Require")
                .without("Contact");
        Msg { body: Vec::new(), ..cancel }
    }
}

/// Ends a call that nobody wants any more.
async fn conclude(ua: &Ua, request: &Msg, response: &Msg) {
    if response.status() == 200 {
        let mut dialog = Dialog::opened(request, response);
        ua.acknowledge(request, dialog.ack(ua));
        ua.ask(&dialog.request(ua, "BYE")).await;
    }
}

fn transaction(msg: &Msg) -> String {
    format!("{} {}", msg.method(), msg.branch())
}

fn cseq(msg: &Msg) -> u32 {
    msg.need("CSeq").split(' ').next().unwrap().parse().unwrap()
}

/// The ACK to a response that is no 2xx (RFC 3261 17.1.1.3).
fn failure_ack(request: &Msg, response: &Msg) -> Msg {
    Msg::request("ACK", request.uri())
        .add("Via", &request.headers[0].1)
        .add("Max-Forwards", "70")
        .add("From", request.need("From"))
        .add("To", response.need("To"))
        .add("Call-ID", request.need("Call-ID"))
        .add("CSeq", format!("{} ACK", cseq(request)))
}

/// A dialog as its client keeps it (RFC 3261 12).
#[derive(Clone)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    local: String,
    remote: String,
    pub(crate) target: String,
    cseq: u32,
    tcp: bool,
}

impl Dialog {
    /// The dialog that a 2xx opens.
    pub(crate) fn opened(request: &Msg, response: &Msg) -> Self {
        Self {
            call_id: request.call_id(),
            local: request.need("From"),
            remote: response.need("To"),
            target: address(&response.need("Contact")),
            cseq: cseq(request),
            tcp: request.need("Via").starts_with("SIP/2.0/TCP"),
        }
    }

    fn compose(&self, ua: &Ua, method: &str) -> Msg {
        let request = Msg::request(method, &self.target)
            .add("Via", ua.via(self.tcp))
            .add("Max-Forwards", "70")
            .add("From", &self.local)
            .add("To", &self.remote)
            .add("Call-ID", &self.call_id)
            .add("CSeq", format!("{} {method}", self.cseq));
        match method {
            "INVITE" | "SUBSCRIBE" => request.add("Contact", ua.contact(self.tcp)),
            _ => request,
        }
    }

    /// The next request within the dialog.
    pub(crate) fn request(&mut self, ua: &Ua, method: &str) -> Msg {
        self.cseq += 1;
        self.compose(ua, method)
    }

    /// The ACK to the 2xx of the latest INVITE.
    pub(crate) fn ack(&self, ua: &Ua) -> Msg {
        self.compose(ua, "ACK")
    }
}
