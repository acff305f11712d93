//! Kamailio with the configuration of docs/examples in front of the node: who is behind it deposits, is told, and retrieves.

use crate::support::*;
use crate::tools::{find_or_skip, repository};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

const BOB: &str = "sip:bob@example.com";

/// A proxy with a folder of its own; ended when it is dropped.
struct Kamailio {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Kamailio {
    /// The file as it is, with the addresses that its `-A` options are for.
    fn start(node: &Node, test: &str) -> Option<Self> {
        let kamailio = find_or_skip("kamailio", test)?;
        let address = SocketAddr::new(node.sip.ip(), ports::free(node.sip.ip()));
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let defined = [
            format!("LISTEN_UDP=udp:{address}"),
            format!("LISTEN_TCP=tcp:{address}"),
            format!("STORE=\"sip:{};transport=tcp\"", node.sip),
            format!("STORE_IP=\"{}\"", node.sip.ip()),
        ];
        let mut command = Command::new(kamailio);
        // In the foreground, its log on stderr.
        command.args(["-DD", "-E", "-f"]).arg(repository("docs/examples/kamailio.cfg"));
        command.arg("-Y").arg(folder.path()).arg("-w").arg(folder.path());
        command.args(defined.iter().flat_map(|define| ["-A", define]));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut kamailio = Self { child, address, folder };
        until("Kamailio listens", || {
            assert!(kamailio.child.try_wait().unwrap().is_none(), "Kamailio ended:\n{}", kamailio.log());
            TcpStream::connect(address).ok()
        });
        Some(kamailio)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A user agent that knows the proxy alone.
    fn ua(&self, user: &str, tcp: bool) -> Ua {
        let password = if user == "alice" { "wonderland" } else { "builder" };
        Ua::new(self.address, user, tcp).with_login(user, password)
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of Kamailio ---\n{}\n---", self.log());
        }
        // It ends its children itself, which a kill would leave.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Registers a device, or with 0 takes it away.
fn register(ua: &mut Ua, contact: &str, expires: u32) {
    let aor = ua.aor.clone();
    let request = ua.request("REGISTER", "sip:example.com").with("To", format!("<{aor}>"));
    let request = request.add("Contact", contact).add("Expires", expires.to_string());
    assert_eq!(ua.ask(request).status(), 200);
}

fn text(delivered: &Delivered) -> Vec<u8> {
    Cpim::parse(&delivered.body).body
}

#[test]
fn who_is_behind_kamailio_deposits_is_told_and_retrieves() {
    let node = Plan::new().set("summary", "min_interval = \"10ms\"").start();
    let Some(kamailio) = Kamailio::start(&node, "deposit, summary and retrieval by Kamailio") else { return };
    for tcp in [false, true] {
        let mut alice = kamailio.ua("alice", tcp);
        let hello = deposit(&mut alice, BOB, "hello");
        let session = deposit_session(&mut alice, BOB, &["one", "two"]);
        let mut bob = kamailio.ua("bob", tcp);
        let watch = subscribe(&mut bob, BOB, 600);
        let summary = Summary::of(&notified(&mut bob, &watch));
        assert_eq!(summary.ids(), [hello.clone(), session.clone()]);
        assert_eq!(summary.item(&hello, "From"), Some("<alice@example.com>"));
        assert_eq!(text(&retrieve(&mut bob, &message_uri(&hello), 1)[0]), b"hello");
        let list = [hello, session].map(|id| message_uri(&id));
        let mut call = Invite::list(&bob, &list, Offer::active()).call(&mut bob);
        assert_eq!(call.finish(&mut bob, 3).len(), 3);
        until("all is old", || (Summary::of(&notified(&mut bob, &watch)).totals().0 == 0).then_some(()));
        // Who calls himself gets all that is new.
        deposit(&mut alice, BOB, "the last one");
        assert_eq!(text(&retrieve(&mut bob, BOB, 1)[0]), b"the last one");
    }
}

#[test]
fn the_store_answers_for_who_does_not() {
    let node = Node::start();
    let Some(kamailio) = Kamailio::start(&node, "who does not answer, by Kamailio") else { return };
    let (mut alice, mut bob) = (kamailio.ua("alice", false), kamailio.ua("bob", true));
    let contact = bob.contact();
    register(&mut bob, &contact, 600);
    for (answered, status) in [(200, 200), (480, 202)] {
        let message = alice.request("MESSAGE", BOB).body("text/plain", "hello");
        let response = std::thread::scope(|scope| {
            let asked = scope.spawn(|| alice.ask(message));
            let incoming = bob.wait("the message", |message| message.is_request());
            bob.reply(&incoming, answered, "Said");
            asked.join().unwrap()
        });
        assert_eq!(response.status(), status, "{response}");
    }
    // Nobody listens at what is his Contact then.
    register(&mut bob, &contact, 0);
    let contact = format!("<sip:bob@127.0.0.1:{};transport=tcp>", ports::free(node.sip.ip()));
    register(&mut bob, &contact, 600);
    deposit(&mut alice, BOB, "gone");
    deposit_session(&mut alice, BOB, &["gone"]);
    assert_eq!(fetch(&node, "bob").totals(), (3, 0));
}

#[test]
fn nobody_is_another_behind_kamailio() {
    let node = Node::start();
    let Some(kamailio) = Kamailio::start(&node, "identities by Kamailio") else { return };
    let mut alice = kamailio.ua("alice", false);
    let id = deposit(&mut alice, BOB, "hello");
    alice.aor = BOB.into();
    let fetch = subscribe_request(&alice, BOB, 0).add("P-Asserted-Identity", format!("<{BOB}>"));
    assert_eq!(alice.ask(fetch.clone()).status(), 403, "his From");
    alice.aor = "sip:alice@example.com".into();
    let fetch = subscribe_request(&alice, BOB, 0).add("P-Asserted-Identity", format!("<{BOB}>"));
    assert_eq!(alice.ask(fetch).status(), 403, "his identity, asserted by herself");
    assert_eq!(Invite::new(&alice, &message_uri(&id), Offer::active()).refused(&mut alice).status(), 404);
    let mut stranger = Ua::new(kamailio.address, "bob", false);
    let fetch = subscribe_request(&stranger, BOB, 0);
    assert_eq!(stranger.ask(fetch.clone()).status(), 407);
    // Nor by what looks as if it belonged to a dialog, for which nobody is asked.
    for method in ["SUBSCRIBE", "MESSAGE", "INVITE"] {
        let forged = stranger.request(method, BOB).with("To", format!("<{BOB}>;tag=made-up"));
        let forged = forged.add("Route", format!("<sip:{};lr>", kamailio.address));
        let forged = forged.add("Route", format!("<sip:{};lr>", node.sip)).add("Event", "message-summary");
        assert_eq!(stranger.ask(forged).status(), 481, "{method}");
    }
    // What an unknown user's password is in a text.
    let mut mallory = Ua::new(kamailio.address, "mallory", false).with_login("mallory", "<null>");
    let message = mallory.request("MESSAGE", BOB).body("text/plain", "x");
    assert_eq!(mallory.ask(message).status(), 407);
}

#[test]
fn the_notify_of_a_full_mailbox_gets_through_kamailio() {
    let node = Node::start();
    let Some(kamailio) = Kamailio::start(&node, "a large NOTIFY by Kamailio") else { return };
    let mut alice = Ua::tcp(&node, "alice");
    for _ in 0..40 {
        let message = alice.request("MESSAGE", BOB).add("Subject", "s".repeat(900));
        assert_eq!(alice.ask(message.body("text/plain", "x")).status(), 202);
    }
    let mut bob = kamailio.ua("bob", true);
    let watch = subscribe(&mut bob, BOB, 600);
    let summary = Summary::of(&notified(&mut bob, &watch));
    assert_eq!(summary.ids().len(), 40);
    assert!(summary.text.len() > 32 << 10, "{}", summary.text.len());
}

#[test]
fn the_configuration_of_the_node_beside_it_is_good() {
    let status =
        restante().args(["check", "--config"]).arg(repository("docs/examples/restante.toml")).status();
    assert!(status.unwrap().success());
}
