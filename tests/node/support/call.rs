//! An INVITE session with MSRP: the tests' side of deposits and retrievals.

use super::clock::PATIENCE;
use super::msrp::{Delivered, Msrp};
use super::ports;
use super::sdp::{Answer, Offer};
use super::sip::{Msg, escape_user};
use super::ua::{Dialog, Ua};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

pub const STORE: &str = "mailserver.example.com";

/// The message URI of a Message-ID.
pub fn message_uri(id: &str) -> String {
    format!("sip:{}@{STORE}", escape_user(id))
}

/// An INVITE that is being prepared: the request, and what the client listens with.
pub struct Invite {
    pub request: Msg,
    pub offer: Offer,
    pub local: String,
    pub listener: TcpListener,
}

impl Invite {
    pub fn new(ua: &Ua, uri: &str, offer: Offer) -> Self {
        let (_, listener) = ports::bound(ua.here.ip());
        let here = listener.local_addr().unwrap();
        let local = offer.uri(here);
        let sdp = offer.sdp(here, &local);
        let request = ua.request("INVITE", uri).body("application/sdp", sdp);
        Self { request, offer, local, listener }
    }

    /// An INVITE to the store with a URI-list beside the offer (RFC 5366 3).
    pub fn list(ua: &Ua, uris: &[String], offer: Offer) -> Self {
        let mut invite = Self::new(ua, &format!("sip:{STORE}"), offer);
        invite.request =
            with_list(invite.request, &resource_lists(uris)).add("Require", "recipient-list-invite");
        invite
    }

    pub fn here(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Sends the INVITE and waits for a response that is no 2xx.
    pub fn refused(self, ua: &mut Ua) -> Msg {
        let response = ua.ask(self.request);
        assert!(response.status() >= 300, "should be refused: {response}");
        response
    }

    /// Sends the INVITE, acknowledges its 200 and makes the MSRP connection as the answer says.
    pub fn call(self, ua: &mut Ua) -> Call {
        let mut call = self.call_unbound(ua);
        call.join();
        call
    }

    /// As [`Invite::call`], without the MSRP connection.
    pub fn call_unbound(self, ua: &mut Ua) -> Call {
        let response = ua.ask(self.request.clone());
        assert_eq!(response.status(), 200, "{response}");
        let dialog = Dialog::opened(&self.request, &response);
        ua.send(&dialog.ack(ua));
        assert_eq!(response.need("Content-Type"), "application/sdp");
        let answer = Answer::parse(&response.body);
        Call {
            dialog,
            ok: response,
            answer,
            offer: self.offer,
            local: self.local,
            listener: self.listener,
            msrp: None,
        }
    }
}

/// A session that was accepted.
pub struct Call {
    pub dialog: Dialog,
    /// The 200 to the INVITE.
    pub ok: Msg,
    pub answer: Answer,
    pub offer: Offer,
    pub local: String,
    listener: TcpListener,
    msrp: Option<Msrp>,
}

impl Call {
    /// Makes the connection: the client opens it and binds it with an empty SEND, or the node does.
    pub fn join(&mut self) {
        let msrp = if self.answer.setup.as_deref() == Some("active") {
            assert_ne!(self.offer.setup, Some("active"), "both sides active");
            Msrp::accept(&self.listener, &self.local, &self.answer.path)
        } else {
            let mut msrp = self.connect();
            msrp.bind();
            msrp
        };
        self.msrp = Some(msrp);
    }

    /// Offers anew within the dialog and acknowledges the 200; gives its description.
    pub fn reoffer(&mut self, ua: &mut Ua, offer: Offer) -> Answer {
        self.offer = offer;
        // RFC 3264 8: what changes the session has another version.
        let version = format!("28908445{}", 27 + self.dialog.cseq);
        let here = self.listener.local_addr().unwrap();
        let sdp = self.offer.sdp(here, &self.local).replace("2890844527", &version);
        let request = self.dialog.request(ua, "INVITE").body("application/sdp", sdp);
        let response = ua.ask(request);
        assert_eq!(response.status(), 200, "{response}");
        ua.send(&self.dialog.ack(ua));
        self.answer = Answer::parse(&response.body);
        self.answer.clone()
    }

    /// Takes another MSRP URI for the offers to come; gives the connection of the former one.
    pub fn move_on(&mut self) -> Option<Msrp> {
        self.local = self.offer.uri(self.listener.local_addr().unwrap());
        self.msrp.take()
    }

    /// Binds a connection that was made in another way.
    pub fn join_over(&mut self, stream: TcpStream) {
        let mut msrp = Msrp::over(stream, &self.local, &self.answer.path);
        msrp.bind();
        self.msrp = Some(msrp);
    }

    /// The connection that the node opens, secured as the function does it.
    pub fn join_accepted(&mut self, secure: impl FnOnce(TcpStream) -> TcpStream) {
        let stream = ports::accept(&self.listener);
        self.msrp = Some(Msrp::over(secure(stream), &self.local, &self.answer.path));
    }

    /// Takes the connection that the node opens, for something else than MSRP.
    pub fn turn_away(&mut self, with: impl FnOnce(TcpStream)) {
        with(ports::accept(&self.listener));
    }

    /// Opens a connection and sends nothing.
    pub fn connect(&self) -> Msrp {
        Msrp::connect(&self.local, &self.answer.path)
    }

    pub fn msrp(&mut self) -> &mut Msrp {
        self.msrp.as_mut().expect("the call is joined")
    }

    /// Ends the session by BYE.
    pub fn bye(&mut self, ua: &mut Ua) {
        let bye = self.dialog.request(ua, "BYE");
        let response = ua.ask(bye);
        assert_eq!(response.status(), 200, "{response}");
    }

    /// Waits for the node's BYE and answers it.
    pub fn wait_bye(&self, ua: &mut Ua) -> Msg {
        let bye = ua.wait_and_ok("BYE", &self.dialog.call_id).msg;
        assert_eq!(bye.need("From"), self.dialog.remote);
        assert_eq!(bye.need("To"), self.dialog.local);
        bye
    }

    /// Receives `count` messages, then the BYE; nothing more may come in between.
    pub fn finish(&mut self, ua: &mut Ua, count: usize) -> Vec<Delivered> {
        let delivered = self.msrp().receive(count);
        self.wait_bye(ua);
        assert_eq!(self.msrp().arriving(), [], "nothing is left midway");
        delivered
    }
}

/// Retrieves what a URI names: INVITE, messages, BYE.
pub fn retrieve(ua: &mut Ua, uri: &str, count: usize) -> Vec<Delivered> {
    Invite::new(ua, uri, Offer::active()).call(ua).finish(ua, count)
}

/// A URI-list (RFC 4826).
pub fn resource_lists(uris: &[String]) -> String {
    let escape = |uri: &String| uri.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let entries: String =
        uris.iter().map(|uri| format!("    <entry uri=\"{}\"/>\r\n", escape(uri))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">\r\n  <list>\r\n{entries}  </list>\r\n\
         </resource-lists>\r\n"
    )
}

/// Puts a URI-list beside the offer of an INVITE.
pub fn with_list(request: Msg, xml: &str) -> Msg {
    let sdp = String::from_utf8(request.body.clone()).unwrap();
    let body = format!(
        "--boundary1\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--boundary1\r\n\
         Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n{xml}\r\n\
         --boundary1--\r\n"
    );
    request.body("multipart/mixed;boundary=\"boundary1\"", body)
}

/// Deposits a session of these texts for a user; gives its Message-ID.
pub fn deposit_session(ua: &mut Ua, to: &str, texts: &[&str]) -> String {
    let mut call = Invite::new(ua, to, Offer::active()).call(ua);
    for text in texts {
        call.msrp().say(text);
    }
    call.bye(ua);
    call.dialog.call_id
}

/// How long [`until`] leaves the processor to whom it waits for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Waits until `done` says so of another process, which tells nobody that it has changed; looks again and again.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = super::clock::Deadline::after(PATIENCE);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(deadline.left().is_some(), "{what}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}
