//! A SIP user agent over UDP or TCP, which also listens on TCP at the port of its Contact.

use super::clock::{Deadline, PATIENCE, fresh};
use super::digest::{Challenge, authorized, proxy_authorized};
use super::node::Node;
use super::ports;
use super::sip::{Msg, address};
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Where a message came from, and where the answer goes.
#[derive(Clone)]
pub enum Route {
    Udp(SocketAddr),
    Tcp(Arc<TcpStream>),
    /// A connection has ended; the message is empty.
    Gone,
}

#[derive(Clone)]
pub struct Incoming {
    pub msg: Msg,
    pub route: Route,
}

impl Incoming {
    pub fn over_tcp(&self) -> bool {
        matches!(self.route, Route::Tcp(_))
    }
}

/// One device of one user.
pub struct Ua {
    /// The address of record.
    pub aor: String,
    pub here: SocketAddr,
    pub node: SocketAddr,
    udp: Arc<UdpSocket>,
    tcp: Option<Arc<TcpStream>>,
    incoming: Receiver<Incoming>,
    inbox: VecDeque<Incoming>,
    replied: HashMap<String, Vec<u8>>,
    stop: Arc<AtomicBool>,
    /// What Via and Contact say.
    words: (&'static str, &'static str),
    /// Of what scheme the Contact is.
    scheme: &'static str,
    /// The name and password that a challenge is answered with.
    pub login: Option<(String, String)>,
}

impl Ua {
    /// A user agent whose TCP connection to `tunnel` is carried to the node by another transport, as `via` and
    /// `contact` say.
    pub fn carried(tunnel: SocketAddr, user: &str, via: &'static str, contact: &'static str) -> Self {
        let mut ua = Self::new(tunnel, user, true);
        ua.words = (via, contact);
        ua
    }

    /// Asks for security on every hop: a SIPS Contact.
    pub fn sips(mut self) -> Self {
        self.scheme = "sips";
        self
    }

    /// A user agent that speaks UDP; `user` is a user of `example.com`, or a whole URI.
    pub fn udp(node: &Node, user: &str) -> Self {
        Self::new(node.sip, user, false)
    }

    /// A user agent that speaks TCP.
    pub fn tcp(node: &Node, user: &str) -> Self {
        Self::new(node.sip, user, true)
    }

    pub fn new(node: SocketAddr, user: &str, tcp: bool) -> Self {
        Self::on(node, user, tcp, ports::bound(node.ip()))
    }

    /// A user agent at a port that was chosen before.
    pub fn at(node: SocketAddr, user: &str, tcp: bool, port: u16) -> Self {
        let here = SocketAddr::new(node.ip(), port);
        Self::on(node, user, tcp, (UdpSocket::bind(here).unwrap(), TcpListener::bind(here).unwrap()))
    }

    fn on(node: SocketAddr, user: &str, tcp: bool, (udp, listener): (UdpSocket, TcpListener)) -> Self {
        let here = udp.local_addr().unwrap();
        let (sender, incoming) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let udp = Arc::new(udp);
        spawn_datagrams(Arc::clone(&udp), sender.clone(), Arc::clone(&stop));
        spawn_accept(listener, sender.clone(), Arc::clone(&stop));
        let tcp = tcp.then(|| {
            let stream = Arc::new(TcpStream::connect(node).unwrap());
            stream.set_nodelay(true).unwrap();
            spawn_stream(Arc::clone(&stream), sender);
            stream
        });
        let aor = if user.contains(':') { user.to_owned() } else { format!("sip:{user}@example.com") };
        let words = if tcp.is_some() { ("TCP", ";transport=tcp") } else { ("UDP", "") };
        let (inbox, replied) = (VecDeque::new(), HashMap::new());
        Self { aor, here, node, udp, tcp, incoming, inbox, replied, stop, words, scheme: "sip", login: None }
    }

    /// The Contact of this device.
    pub fn contact(&self) -> String {
        let user = self.aor.split(':').nth(1).and_then(|rest| rest.split('@').next()).unwrap();
        format!("<{}:{user}@{}{}>", self.scheme, self.here, self.words.1)
    }

    pub fn via(&self) -> String {
        format!("SIP/2.0/{} {};branch={}", self.words.0, self.here, fresh("z9hG4bK"))
    }

    /// A request outside any dialog with everything RFC 3261 8.1.1 wants.
    pub fn request(&self, method: &str, uri: &str) -> Msg {
        let request = Msg::request(method, uri)
            .add("Via", self.via())
            .add("Max-Forwards", "70")
            .add("From", format!("<{}>;tag={}", self.aor, fresh("f")))
            .add("To", format!("<{uri}>"))
            .add("Call-ID", format!("{}@{}", fresh("c"), self.here.ip()).replace([':', '[', ']'], "."))
            .add("CSeq", format!("1 {method}"));
        match method {
            "INVITE" | "SUBSCRIBE" => request.add("Contact", self.contact()),
            _ => request,
        }
    }

    pub fn send(&self, message: &Msg) {
        self.send_raw(&message.encode());
    }

    pub fn send_raw(&self, bytes: &[u8]) {
        match &self.tcp {
            Some(stream) => stream.as_ref().write_all(bytes).unwrap(),
            None => assert_eq!(self.udp.send_to(bytes, self.node).unwrap(), bytes.len()),
        }
    }

    /// Sends over a connection that may be gone; whether it was there.
    pub fn try_send(&self, message: &Msg) -> bool {
        let stream = self.tcp.as_ref().expect("a user agent over TCP");
        stream.as_ref().write_all(&message.encode()).is_ok()
    }

    /// The next final response; `None` once the connection to the node is gone.
    pub fn try_wait(&mut self) -> Option<Msg> {
        loop {
            match self.incoming.recv_timeout(PATIENCE) {
                Ok(Incoming { route: Route::Gone, .. }) => return None,
                Ok(incoming) if !incoming.msg.is_request() && incoming.msg.status() >= 200 => {
                    return Some(incoming.msg);
                }
                Ok(_) => {}
                Err(_) => panic!("neither an answer nor the end of the connection"),
            }
        }
    }

    /// The same user agent with a name and password, by which [`Ua::ask`] answers challenges.
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Sends a request and waits for its final response; an INVITE that fails is acknowledged. With a login, a
    /// challenge is answered.
    pub fn ask(&mut self, request: Msg) -> Msg {
        self.send(&request);
        let response = self.answer_to(&request);
        let Some((user, password)) = self.login.clone() else { return response };
        let answer = |challenge: &Challenge| {
            challenge.answer(&user, &password, &request.method(), request.uri()).value()
        };
        let request = match response.status() {
            401 => authorized(&request, &self.via(), &answer(&Challenge::all(&response)[0])),
            407 => proxy_authorized(&request, &self.via(), &answer(&Challenge::of_proxy(&response))),
            _ => return response,
        };
        self.send(&request);
        self.answer_to(&request)
    }

    /// Waits for the final response to a request that was sent, and repeats it over UDP meanwhile.
    pub fn answer_to(&mut self, request: &Msg) -> Msg {
        let deadline = Deadline::after(PATIENCE);
        let mut interval = if self.tcp.is_some() { PATIENCE } else { Duration::from_millis(500) };
        loop {
            let left = deadline.left().unwrap_or_else(|| panic!("no answer to {request}"));
            match self.take(interval.min(left), |message| message.answers(request)) {
                Some(found) if found.msg.status() < 200 => interval = PATIENCE,
                Some(found) => {
                    if request.method() == "INVITE" && found.msg.status() >= 300 {
                        self.send(&failure_ack(request, &found.msg));
                    }
                    return found.msg;
                }
                None if self.tcp.is_none() => {
                    self.send(request);
                    interval = (interval * 2).min(Duration::from_secs(4));
                }
                None => {}
            }
        }
    }

    /// The first message that `wanted` names, in order of arrival; others are kept. `None` when `span` is over.
    pub fn take(&mut self, span: Duration, wanted: impl Fn(&Msg) -> bool) -> Option<Incoming> {
        // A retransmission that came before its original was answered is no news.
        let replied = &self.replied;
        self.inbox
            .retain(|incoming| !incoming.msg.is_request() || !replied.contains_key(&key(&incoming.msg)));
        if let Some(at) = self.inbox.iter().position(|incoming| wanted(&incoming.msg)) {
            return self.inbox.remove(at);
        }
        let deadline = Deadline::after(span);
        loop {
            let incoming = self.incoming.recv_timeout(deadline.left()?).ok()?;
            if matches!(incoming.route, Route::Gone) {
                continue;
            }
            if self.repeat_reply(&incoming) {
                continue;
            }
            if wanted(&incoming.msg) {
                return Some(incoming);
            }
            self.inbox.push_back(incoming);
        }
    }

    /// Answers a request again that was answered already.
    fn repeat_reply(&self, incoming: &Incoming) -> bool {
        let reply = incoming.msg.is_request().then(|| self.replied.get(&key(&incoming.msg))).flatten();
        if let Some(bytes) = reply {
            self.write(&incoming.route, bytes);
        }
        reply.is_some()
    }

    /// As [`Ua::take`], with patience, and a failure where nothing comes.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Msg) -> bool) -> Incoming {
        self.take(PATIENCE, wanted).unwrap_or_else(|| {
            let others: Vec<_> = self.inbox.iter().map(|other| other.msg.start.clone()).collect();
            panic!("{what} did not come; what came: {others:?}")
        })
    }

    /// Waits for a request of a dialog.
    pub fn wait_request(&mut self, method: &str, call_id: &str) -> Incoming {
        self.wait(method, |message| {
            message.is_request() && message.method() == method && message.call_id() == call_id
        })
    }

    /// Waits for a request of a dialog and answers it 200.
    pub fn wait_and_ok(&mut self, method: &str, call_id: &str) -> Incoming {
        let incoming = self.wait_request(method, call_id);
        self.reply(&incoming, 200, "OK");
        incoming
    }

    /// Asserts that for `span` no message comes that `unwanted` names.
    pub fn quiet(&mut self, span: Duration, unwanted: impl Fn(&Msg) -> bool) {
        if let Some(found) = self.take(span, unwanted) {
            panic!("this should not have come: {}", found.msg);
        }
    }

    pub fn reply(&mut self, incoming: &Incoming, status: u16, reason: &str) {
        self.reply_with(incoming, &incoming.msg.respond(status, reason));
    }

    pub fn reply_with(&mut self, incoming: &Incoming, response: &Msg) {
        let bytes = response.encode();
        self.write(&incoming.route, &bytes);
        self.replied.insert(key(&incoming.msg), bytes);
    }

    fn write(&self, route: &Route, bytes: &[u8]) {
        match route {
            Route::Udp(peer) => drop(self.udp.send_to(bytes, peer)),
            Route::Tcp(stream) => drop(stream.as_ref().write_all(bytes)),
            Route::Gone => {}
        }
    }

    /// Asks what the node can do.
    pub fn ask_options(&mut self) -> Msg {
        let options = self.request("OPTIONS", "sip:mailserver.example.com");
        self.ask(options)
    }

    /// Asks for something else, so that all that was sent before has been handled when it returns.
    pub fn barrier(&mut self) {
        let options = self.request("OPTIONS", "sip:mailserver.example.com");
        self.ask(options);
    }
}

impl Drop for Ua {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.udp.send_to(b"", self.here);
        let _ = TcpStream::connect(self.here);
        if let Some(stream) = &self.tcp {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// What names a transaction.
fn key(message: &Msg) -> String {
    format!("{} {} {}", message.method(), message.branch(), message.need("CSeq"))
}

/// The ACK to a response that is no 2xx (RFC 3261 17.1.1.3).
pub fn failure_ack(request: &Msg, response: &Msg) -> Msg {
    let number = request.need("CSeq").split(' ').next().unwrap().to_owned();
    let mut ack = Msg::request("ACK", request.uri()).add("Via", &request.headers[0].1);
    for route in request.all("Route") {
        ack = ack.add("Route", route);
    }
    ack.add("Max-Forwards", "70")
        .add("From", request.need("From"))
        .add("To", response.need("To"))
        .add("Call-ID", request.need("Call-ID"))
        .add("CSeq", format!("{number} ACK"))
}

/// A dialog as the tests' side keeps it (RFC 3261 12).
#[derive(Clone, Debug)]
pub struct Dialog {
    pub call_id: String,
    pub local: String,
    pub remote: String,
    pub target: String,
    pub routes: Vec<String>,
    pub cseq: u32,
}

impl Dialog {
    /// The dialog that a 2xx to `request` opens.
    pub fn opened(request: &Msg, response: &Msg) -> Self {
        assert_eq!(response.status() / 100, 2, "no dialog: {response}");
        let mut routes = response.all("Record-Route");
        routes.reverse();
        Self {
            call_id: request.call_id(),
            local: request.need("From"),
            remote: response.need("To"),
            target: address(&response.need("Contact")),
            routes,
            // That of the request which was answered in the end: after a challenge it is a higher one.
            cseq: response.need("CSeq").split(' ').next().unwrap().parse().unwrap(),
        }
    }

    fn compose(&self, ua: &Ua, method: &str) -> Msg {
        let mut request = Msg::request(method, &self.target).add("Via", ua.via()).add("Max-Forwards", "70");
        for route in &self.routes {
            request = request.add("Route", route);
        }
        let request = request
            .add("From", &self.local)
            .add("To", &self.remote)
            .add("Call-ID", &self.call_id)
            .add("CSeq", format!("{} {method}", self.cseq));
        if ["INVITE", "SUBSCRIBE"].contains(&method) { request.add("Contact", ua.contact()) } else { request }
    }

    /// The next request within the dialog.
    pub fn request(&mut self, ua: &Ua, method: &str) -> Msg {
        self.cseq += 1;
        self.compose(ua, method)
    }

    /// The ACK to the 2xx of the latest INVITE.
    pub fn ack(&self, ua: &Ua) -> Msg {
        self.compose(ua, "ACK")
    }
}

fn spawn_datagrams(socket: Arc<UdpSocket>, sender: Sender<Incoming>, stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            if let Some((msg, _)) = Msg::parse(&buffer[..length]) {
                let _ = sender.send(Incoming { msg, route: Route::Udp(peer) });
            }
        }
    });
}

fn spawn_accept(listener: TcpListener, sender: Sender<Incoming>, stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            spawn_stream(Arc::new(stream), sender.clone());
        }
    });
}

fn spawn_stream(stream: Arc<TcpStream>, sender: Sender<Incoming>) {
    std::thread::spawn(move || {
        let mut buffer = Vec::new();
        let mut scratch = vec![0; 65_536];
        while let Ok(length @ 1..) = stream.as_ref().read(&mut scratch) {
            buffer.extend_from_slice(&scratch[..length]);
            loop {
                let blank = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                buffer.drain(..blank);
                let Some((msg, used)) = Msg::parse(&buffer) else { break };
                buffer.drain(..used);
                let _ = sender.send(Incoming { msg, route: Route::Tcp(Arc::clone(&stream)) });
            }
        }
        let _ = sender.send(Incoming { msg: Msg::request("", ""), route: Route::Gone });
    });
}
