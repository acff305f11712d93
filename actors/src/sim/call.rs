//! An INVITE session with MSRP, from the client's side.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::dialog::Dialog;
use super::dice::Dice;
use super::line::Line;
use super::peer::clock::fresh;
use super::peer::frame::{Chunk, Frame};
use super::peer::sdp::{Answer, Offer, uri_address};
use super::peer::sip::{Msg, parameter};
use super::ua::{Incoming, Ua};
use super::world::World;

/// How long a client waits for what should come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An INVITE that is being prepared.
pub(crate) struct Invite {
    pub(crate) request: Msg,
    local: String,
    here: SocketAddr,
}

/// How a call began.
pub(crate) enum Begun {
    /// It is there.
    Up(Box<Call>),
    /// It was refused.
    Refused(Msg),
    /// There was no answer.
    Silent,
}

impl Invite {
    /// An INVITE of `uri` with an offer drawn from `dice`.
    pub(crate) fn new(world: &World, ua: &Ua, uri: &str, dice: &Dice) -> Self {
        let here = SocketAddr::new(ua.ip(), world.port());
        let offers = [Offer::active, Offer::plain, Offer::passive, Offer::actpass];
        let mut offer = dice.pick(&offers)();
        if dice.happens(20) {
            offer = offer.accepts("text/plain");
        }
        Self::with(ua, uri, here, &offer, dice.happens(30))
    }

    /// An INVITE of `uri` by a client that opens the connection.
    pub(crate) fn active(world: &World, ua: &Ua, uri: &str) -> Self {
        Self::with(ua, uri, SocketAddr::new(ua.ip(), world.port()), &Offer::active(), true)
    }

    fn with(ua: &Ua, uri: &str, here: SocketAddr, offer: &Offer, tcp: bool) -> Self {
        let local = offer.uri(here);
        let request = ua.request("INVITE", uri, tcp).body("application/sdp", offer.sdp(here, &local));
        Self { request, local, here }
    }

    /// Sends it, and acknowledges what comes.
    pub(crate) async fn call(self, world: &World, ua: &Ua) -> Begun {
        let inbox = ua.expect(&self.request.call_id());
        let waiting = world.fabric().listen(self.here).unwrap();
        let Some(response) = ua.ask(&self.request).await else { return Begun::Silent };
        if response.status() != 200 {
            return Begun::Refused(response);
        }
        let dialog = Dialog::opened(&self.request, &response);
        ua.acknowledge(&self.request, dialog.ack(ua));
        let answer = Answer::parse(&response.body);
        let call = Call {
            world: world.clone(),
            ua: ua.clone(),
            dialog,
            inbox,
            local: self.local,
            remote: answer.path,
            node_connects: answer.setup.as_deref() == Some("active"),
            waiting,
            contact: response.need("Contact"),
        };
        Begun::Up(Box::new(call))
    }
}

/// A call that was accepted.
pub(crate) struct Call {
    world: World,
    ua: Ua,
    pub(crate) dialog: Dialog,
    pub(crate) inbox: mpsc::UnboundedReceiver<Incoming>,
    pub(crate) local: String,
    pub(crate) remote: String,
    node_connects: bool,
    waiting: std::sync::Arc<super::net::Hatch>,
    pub(crate) contact: String,
}

impl Call {
    /// Makes the MSRP connection, as was agreed, and binds it; `None` where it fails.
    pub(crate) async fn join(&self) -> Option<Msrp> {
        if self.node_connects {
            let wire = timeout(PATIENCE, self.waiting.accept()).await.ok()?;
            return Some(Msrp::new(&self.world, wire, self));
        }
        let local = Some(SocketAddr::new(self.ua.ip(), 0));
        let wire = self.world.fabric().connect(local, uri_address(&self.remote)).await.ok()?;
        let mut msrp = Msrp::new(&self.world, wire, self);
        let empty = Chunk::empty();
        msrp.send(&empty);
        loop {
            let frame = msrp.frame(PATIENCE).await?;
            if frame.is_response() && frame.transaction == empty.transaction {
                return (frame.status() == 200).then_some(msrp);
            }
            msrp.kept.push(frame);
        }
    }

    /// Ends the call; whether the node confirmed that.
    pub(crate) async fn bye(&mut self) -> bool {
        let bye = self.dialog.request(&self.ua, "BYE");
        self.ua.ask(&bye).await.is_some_and(|response| response.status() == 200)
    }

    /// Answers the next request within the call; its method.
    pub(crate) async fn attend(&mut self) -> Option<String> {
        let incoming = self.inbox.recv().await?;
        self.ua.reply(&incoming, 200, "OK");
        Some(incoming.msg.method())
    }

    /// Waits for the node's BYE.
    pub(crate) async fn hung_up(&mut self, span: Duration) -> bool {
        let bye = async {
            loop {
                match self.attend().await {
                    Some(method) if method == "BYE" => return true,
                    Some(_) => {}
                    None => return false,
                }
            }
        };
        timeout(span, bye).await.unwrap_or(false)
    }

    /// Describes the session again; the status of the answer.
    pub(crate) async fn reinvite(&mut self) -> Option<u16> {
        let sdp = Offer::plain().sdp(self.waiting.local, &self.local);
        let request = self.dialog.request(&self.ua, "INVITE").body("application/sdp", sdp);
        let response = self.ua.ask(&request).await?;
        if response.status() == 200 {
            self.ua.acknowledge(&request, self.dialog.ack(&self.ua));
        }
        Some(response.status())
    }

    /// Whether the dialog is a focus'.
    pub(crate) fn is_focus(&self) -> bool {
        parameter(&self.contact, "isfocus").is_some()
    }
}

/// The client's end of an MSRP connection.
pub(crate) struct Msrp {
    pub(crate) line: Line,
    buffer: Vec<u8>,
    scanned: usize,
    pub(crate) kept: Vec<Frame>,
    local: String,
    remote: String,
}

impl Msrp {
    fn new(world: &World, wire: super::net::Wire, call: &Call) -> Self {
        Self {
            line: Line::new(world, wire),
            buffer: Vec::new(),
            scanned: 0,
            kept: Vec::new(),
            local: call.local.clone(),
            remote: call.remote.clone(),
        }
    }

    pub(crate) fn send(&self, chunk: &Chunk) {
        self.line.write(self.encode(chunk));
    }

    pub(crate) fn encode(&self, chunk: &Chunk) -> Vec<u8> {
        chunk.encode(&self.remote, &self.local)
    }

    /// The next frame; `None` when none comes in time, or the connection has ended.
    pub(crate) async fn frame(&mut self, span: Duration) -> Option<Frame> {
        let reading = async {
            loop {
                if let Some(frame) = Frame::take(&mut self.buffer, &mut self.scanned) {
                    assert_eq!(frame.need("To-Path"), self.local, "a frame of another session");
                    assert_eq!(frame.need("From-Path"), self.remote, "a frame from elsewhere");
                    return Some(frame);
                }
                self.line.read(&mut self.buffer).await?;
            }
        };
        timeout(span, reading).await.ok().flatten()
    }

    /// As [`Self::frame`], frames first that came before they were wanted.
    pub(crate) async fn next(&mut self, span: Duration) -> Option<Frame> {
        if self.kept.is_empty() { self.frame(span).await } else { Some(self.kept.remove(0)) }
    }

    /// Answers a SEND.
    pub(crate) fn respond(&self, frame: &Frame, status: u16) {
        let response = format!(
            "MSRP {0} {status} Said\r\nTo-Path: {1}\r\nFrom-Path: {2}\r\n-------{0}$\r\n",
            frame.transaction, self.remote, self.local
        );
        self.line.write(response.into_bytes());
    }

    /// Says that a whole message has come (RFC 4975 7.1.2).
    pub(crate) fn report(&self, frame: &Frame, size: usize) {
        let transaction = fresh("rp");
        let report = format!(
            "MSRP {transaction} REPORT\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: {}\r\n\
             Byte-Range: 1-{size}/{size}\r\nStatus: 000 200 OK\r\n-------{transaction}$\r\n",
            self.remote,
            self.local,
            frame.need("Message-ID")
        );
        self.line.write(report.into_bytes());
    }

    /// Reads nothing for a while.
    pub(crate) async fn stall(&self, span: Duration) {
        sleep(span).await;
    }
}
