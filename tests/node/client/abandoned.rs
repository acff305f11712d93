//! A store of somebody else that ends a retrieval before its time, and tells nothing of it: no focus, no conference state.

use super::program::*;
use crate::support::*;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;

/// A store that delivers by one MSRP connection, in a few lines.
struct Stranger {
    sip: UdpSocket,
    msrp: TcpListener,
    client: Option<SocketAddr>,
}

impl Stranger {
    fn new() -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        sip.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { sip, msrp: TcpListener::bind("127.0.0.1:0").unwrap(), client: None }
    }

    fn request(&mut self, method: &str) -> Msg {
        let mut buffer = [0; 65_536];
        loop {
            let (length, from) = self.sip.recv_from(&mut buffer).expect(method);
            self.client = Some(from);
            let message = Msg::parse(&buffer[..length]).unwrap().0;
            if message.start.starts_with(&format!("{method} ")) {
                return message;
            }
        }
    }

    fn send(&self, message: &Msg) {
        self.sip.send_to(&message.encode(), self.client.unwrap()).unwrap();
    }

    /// Accepts the next INVITE; gives it and the MSRP connection, which is bound.
    fn accept(&mut self) -> (Msg, Msrp) {
        let invite = self.request("INVITE");
        let theirs = Answer::parse(&invite.body).path;
        let here = self.msrp.local_addr().unwrap();
        let ours = format!("msrp://{here}/store;tcp");
        let offer = Offer::passive().accepts("*");
        let ok = answer(&invite).with("To", format!("{};tag=store", invite.need("To")));
        let ok = ok.add("Contact", format!("<sip:store@{}>", self.sip.local_addr().unwrap()));
        self.send(&ok.body("application/sdp", offer.sdp(here, &ours)));
        self.request("ACK");
        let mut msrp = Msrp::accept(&self.msrp, &ours, &theirs);
        let probe = msrp.next_send();
        msrp.write(&crate::support::frame::response(&probe, 200, "OK"));
        (invite, msrp)
    }

    fn bye(&mut self, invite: &Msg) {
        let here = self.sip.local_addr().unwrap();
        let bye = Msg::request("BYE", invite.need("Contact").trim_matches(['<', '>']))
            .add("Via", format!("SIP/2.0/UDP {here};branch={}", fresh("z9hG4bK")))
            .add("From", format!("{};tag=store", invite.need("To")))
            .add("To", invite.need("From"))
            .add("Call-ID", invite.call_id())
            .add("CSeq", "1 BYE")
            .add("Max-Forwards", "70")
            .add("Content-Length", "0");
        self.send(&bye);
    }
}

/// The 200 that goes with a request.
fn answer(request: &Msg) -> Msg {
    let of = |name: &str| (name.to_owned(), request.need(name).into_bytes());
    let headers = ["Via", "From", "To", "Call-ID", "CSeq"].map(of).to_vec();
    Msg { start: "SIP/2.0 200 OK".to_owned(), headers, body: Vec::new() }
}

/// Fetches the session `a@h` of a strange store into `out`.
fn fetch(node: &str, out: &Path) -> std::process::Child {
    let out = out.to_str().unwrap();
    let arguments = ["fetch", "a@h", "--store", "store.test", "--out", out];
    command_at(node, "bob", &arguments).stdout(Stdio::piped()).spawn().unwrap()
}

fn deliver(msrp: &mut Msrp, text: &str) {
    let mut chunk = Chunk::whole("text/plain", text);
    chunk.extra.push(("Deferred-Message-ID".into(), "a@h".into()));
    assert_eq!(msrp.send(&chunk), 200);
}

// A store says BYE when it is done, and when it gives up. Where its connection went before, it may be either.
#[test]
fn what_may_have_been_cut_is_fetched_again() {
    let mut store = Stranger::new();
    let node = format!("udp:{}", store.sip.local_addr().unwrap());
    let out = tempfile::tempdir().unwrap();
    for (first, code) in [(true, 3), (false, 0)] {
        let fetching = fetch(&node, out.path());
        let (invite, mut msrp) = store.accept();
        deliver(&mut msrp, "the first message");
        if first {
            // The second one never comes.
            drop(msrp);
            store.bye(&invite);
        } else {
            deliver(&mut msrp, "the second message");
            store.bye(&invite);
        }
        let ended = fetching.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    let read = |name: &str| std::fs::read_to_string(out.path().join(name)).unwrap();
    assert_eq!(read("a@h.txt"), "the first message");
    assert_eq!(read("a@h-2.txt"), "the second message");
    // It is there whole: nobody is asked.
    assert_eq!(fetch(&node, out.path()).wait().unwrap().code(), Some(0));
}
