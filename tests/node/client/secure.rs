//! The commands over TLS, their sessions over MSRPS (RFC 3261 26.3, RFC 4975 14, RFC 5922, RFC 8122).

use super::program::*;
use crate::support::*;
use crate::tls::SecureNode;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A command at the `tls:` listener of a node, whose authority is believed.
fn command(secure: &SecureNode, who: &str, arguments: &[&str]) -> Command {
    let mut command = command_at(&format!("tls:{}", secure.sips), who, arguments);
    command.arg("--ca").arg(secure.node.folder().join("clients.pem"));
    command
}

fn client(secure: &SecureNode, who: &str, arguments: &[&str]) -> Ran {
    run(&mut command(secure, who, arguments))
}

/// What is said in the clear in a trace.
fn in_the_clear(trace: &str) -> Vec<&str> {
    let shown = trace.lines().filter(|line| line.starts_with('[') && line.contains(" bytes"));
    shown.filter(|line| !line.contains("SIP/TLS") && !line.contains("MSRP/TLS")).collect()
}

// proves RFC 3261 26.3.1, RFC 4975 14.2
#[test]
fn every_command_goes_over_tls() {
    let secure = SecureNode::start();
    let sent = client(&secure, "alice", &["send", "bob@example.com", "a message", "--trace"]);
    assert!(sent.stderr.contains("SIP/TLS") && in_the_clear(&sent.stderr).is_empty(), "{}", sent.stderr);
    let message = sent.ok().trim_end().to_owned();
    let large = "x".repeat(3_000_000);
    let file = secure.node.folder().join("large.txt");
    std::fs::write(&file, &large).unwrap();
    let arguments = ["send", "bob@example.com", "--file", file.to_str().unwrap(), "--trace"];
    let session = client(&secure, "alice", &arguments);
    assert!(session.stderr.contains("MSRP/TLS") && in_the_clear(&session.stderr).is_empty());
    assert!(session.stderr.contains("\nm=message ") && session.stderr.contains(" TCP/TLS/MSRP *"));
    assert!(session.stderr.contains("a=fingerprint:sha-256 "), "RFC 4975 14.4");
    let session = session.ok().trim_end().to_owned();

    let mut chat =
        command(&secure, "alice", &["chat", "bob@example.com"]).stdin(Stdio::piped()).spawn().unwrap();
    chat.stdin.take().unwrap().write_all(b"one\ntwo\n").unwrap();
    let chat = String::from_utf8(chat.wait_with_output().unwrap().stdout).unwrap().trim_end().to_owned();
    assert!(!chat.is_empty());

    let summary = client(&secure, "bob", &["summary", "--trace"]);
    assert!(in_the_clear(&summary.stderr).is_empty(), "{}", summary.stderr);
    assert_eq!(summary.ok().lines().count(), 3);
    let fetched = client(&secure, "bob", &["fetch", &chat, &message, &session, "--trace"]);
    assert!(fetched.stderr.contains("MSRP/TLS") && in_the_clear(&fetched.stderr).is_empty());
    assert_eq!(fetched.code, 0, "{}", fetched.stderr.lines().last().unwrap_or_default());
    for part in ["onetwo", "a message", large.as_str()] {
        assert!(fetched.stdout.contains(part), "{} bytes in all", fetched.stdout.len());
    }
    assert_eq!(client(&secure, "bob", &["summary"]).code, 7);
}

// proves RFC 3261 8.1.1.8, 26.2.2: a SIPS URI is reached over TLS alone, and has a SIPS Contact
#[test]
fn a_sips_address_is_never_sent_to_in_the_clear() {
    let secure = SecureNode::start();
    let sent = client(&secure, "sips:alice@example.com", &["chat", "sips:bob@example.com", "--trace"]);
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    assert!(sent.stderr.contains("Contact: <sips:alice@"), "{}", sent.stderr);
    let plain = super::program::client(&secure.node, "alice", &["send", "sips:bob@example.com", "hello"]);
    assert_eq!(plain.code, 2, "{}", plain.stderr);
    assert!(plain.stderr.contains("a sips: address is reached over TLS alone"), "{}", plain.stderr);
}

// proves RFC 5922 7.3: whom nobody vouches for, or who is somebody else, is told nothing
#[test]
fn a_node_that_proves_nothing_is_told_nothing() {
    let secure = SecureNode::start();
    let tls = format!("tls:{}", secure.sips);
    let send = ["send", "bob@example.com", "a secret"];
    let other = secure.node.folder().join("other.pem");
    std::fs::write(&other, Authority::new().pem()).unwrap();
    let refused = |command: &mut Command| {
        let refused = run(command);
        assert_eq!(refused.code, 8, "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        refused.stderr
    };
    // Nobody who is believed has signed it: neither those of the system, nor another authority.
    for ca in [None, Some(&other)] {
        let mut command = command_at(&tls, "alice", &send);
        if let Some(ca) = ca {
            command.arg("--ca").arg(ca);
        }
        let said = refused(&mut command);
        let start =
            format!("restante: {tls} is not trusted: nobody who is believed has signed its certificate");
        assert!(said.starts_with(&start) && said.contains("--ca FILE"), "{said}");
    }
    // It is certified, but for another name.
    let dns = Zone::default().address("proxy.example.com", "127.0.0.1").serve();
    let elsewhere = format!("tls:proxy.example.com:{}", secure.sips.port());
    let mut command = command_at(&elsewhere, "alice", &send);
    command.args(["--dns", &dns.addr.to_string()]).arg("--ca").arg(secure.node.folder().join("clients.pem"));
    let said = refused(&mut command);
    assert!(said.contains("its certificate is not for `proxy.example.com`"), "{said}");
    // It shows the certificate of an authority, and of one that is not believed.
    let shown = Authority::showing(&["127.0.0.1"]);
    let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let here = own.local_addr().unwrap();
    let server = std::thread::spawn(move || Secure::accept(own.accept().unwrap().0, &shown).is_err());
    let said = refused(command_at(&format!("tls:{here}"), "alice", &send).arg("--ca").arg(&other));
    assert!(said.contains("it shows the certificate of an authority as its own (--ca"), "{said}");
    server.join().unwrap();
    // It has another fingerprint than was pinned.
    let pin = Identity::self_signed(&["x.invalid"]).fingerprint();
    let said = refused(command_at(&tls, "alice", &send).args(["--pin", &pin]));
    assert!(said.contains("its certificate has another fingerprint"), "{said}");
    assert_eq!(client(&secure, "bob", &["summary"]).code, 7, "nothing of it has arrived");
    // Nor is there TLS where none is spoken.
    let plain = format!("tls:{}", secure.node.sip);
    let said = run(&mut command_at(&plain, "alice", &send));
    assert_eq!((said.code, said.stderr.lines().count()), (3, 1), "{}", said.stderr);
    assert!(said.stderr.starts_with(&format!("restante: {plain} cannot be reached: ")), "{}", said.stderr);
}

#[test]
fn a_certificate_of_the_nodes_own_is_believed_by_itself() {
    let secure = SecureNode::start();
    Authority::showing(&["127.0.0.1"]).write(secure.node.folder());
    until("it is used", || secure.node.log().contains("certificate reloaded").then_some(()));
    let mut send =
        command_at(&format!("tls:{}", secure.sips), "alice", &["send", "bob@example.com", "hello"]);
    run(send.arg("--ca").arg(secure.node.folder().join("node.pem"))).ok();
}

#[test]
fn a_pinned_certificate_needs_no_authority() {
    let secure = SecureNode::start();
    let tls = format!("tls:{}", secure.sips);
    let pin = secure.identity.fingerprint();
    for pin in [pin.clone(), pin.replace("sha-256 ", "")] {
        let mut command = command_at(&tls, "alice", &["send", "bob@example.com", "hello", "--session"]);
        run(command.args(["--pin", &pin])).ok();
    }
    let wrong = run(command_at(&tls, "alice", &["summary"]).args(["--pin", "AB:CD"]));
    assert!(wrong.code == 2 && wrong.stderr.contains("no fingerprint"), "{}", wrong.stderr);
}

// proves RFC 4975 14.4, RFC 8122 6.2: the session's peer must be who the description tells
#[test]
fn a_session_with_somebody_else_is_not_begun() {
    let secure = SecureNode::plan(Plan::new().set("msrp", "advertise = \"127.0.0.2\""));
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), secure.msrps.port())).unwrap();
    let relay = listener.local_addr().unwrap();
    let mallory = std::thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        Secure::accept(stream, &Identity::self_signed(&["127.0.0.1"]))
            .map(|session| session.read(&mut [0; 1]))
    });
    let arguments = ["send", "bob@example.com", "a secret", "--session"];
    let refused = client(&secure, "alice", &arguments);
    assert_eq!(refused.code, 8, "{}", refused.stderr);
    let said = format!("restante: msrps://{relay} is not trusted: its certificate has another fingerprint");
    assert!(refused.stderr.starts_with(&said), "{}", refused.stderr);
    let heard = mallory.join().unwrap();
    assert!(heard.is_err() || heard.unwrap().is_err(), "and hears nothing");
}

// proves RFC 5922 7.4: a certificate stands for a password
#[test]
fn a_client_may_prove_itself_by_a_certificate() {
    let plan = Plan::new().set("trust", "peers = [\"192.0.2.0/24\", \"cert:phone.example.com\"]");
    let secure = SecureNode::plan(plan);
    let show = |identity: &Identity| {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert, &identity.certificate).unwrap();
        std::fs::write(&key, &identity.key).unwrap();
        let mut command = command(&secure, "alice", &["send", "bob@example.com", "hello", "--session"]);
        run(command.arg("--cert").arg(&cert).arg("--key").arg(&key))
    };
    show(&secure.authority.issue(&["phone.example.com"])).ok();
    let stranger = show(&secure.authority.issue(&["other.example.com"]));
    assert_eq!(stranger.code, 5, "{}", stranger.stderr);
    let forged = show(&Identity::self_signed(&["phone.example.com"]));
    assert_eq!(forged.code, 3, "{}", forged.stderr);
    assert!(forged.stderr.contains("it does not accept the certificate of the client"), "{}", forged.stderr);
    let mut half = command(&secure, "alice", &["summary"]);
    let half = run(half.arg("--cert").arg(secure.node.folder().join("node.pem")));
    assert!(
        half.code == 2 && half.stderr.contains("a certificate and its key go together"),
        "{}",
        half.stderr
    );
}

/// Passes connections on to `to` until it is told to cut those that are there.
fn relay(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (here, open) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<TcpStream>>>::default());
    let known = Arc::clone(&open);
    std::thread::spawn(move || {
        for one in listener.incoming().flatten() {
            let other = TcpStream::connect(to).unwrap();
            let pairs = [(one.try_clone().unwrap(), other.try_clone().unwrap()), (other, one)];
            for (mut from, mut to) in pairs {
                known.lock().unwrap().push(from.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (here, open)
}

// A node cannot connect to a client over TLS: what it has to tell waits for a connection of the client's.
#[test]
fn a_watch_outlives_its_connection() {
    let secure = SecureNode::start();
    let (here, open) = relay(secure.sips);
    let mut watch = command_at(&format!("tls:{here}"), "bob", &["summary", "--watch", "--json"]);
    watch.arg("--ca").arg(secure.node.folder().join("clients.pem"));
    let mut watch = watch.spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let heard = |what: &str| {
        let mut lines = std::iter::from_fn(|| told.recv_timeout(PATIENCE).ok());
        lines.find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} is told"));
    };
    heard("\"waiting\":0");
    open.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    let subscribed = || secure.node.log().matches("SUBSCRIBE answered").count();
    until("it is refreshed by a new connection", || (subscribed() == 2).then_some(()));
    client(&secure, "alice", &["send", "bob@example.com", "hello"]).ok();
    heard("\"waiting\":1");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn sessions_are_carried_as_is_wanted() {
    let secure = SecureNode::start();
    let carried = |command: &mut Command| {
        let ran = run(command.args(["--trace"]));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        (ran.stderr.contains("MSRP/TLS"), ran.stderr.contains("MSRP/TCP"))
    };
    let arguments = ["send", "bob@example.com", "hello", "--session"];
    assert_eq!(carried(command(&secure, "alice", &arguments).args(["--msrp", "tcp"])), (false, true));
    let tcp = format!("tcp:{}", secure.node.sip);
    assert_eq!(carried(command_at(&tcp, "alice", &arguments).args(["--msrp", "tls"])), (true, false));
    // A node without a listener for it says so.
    let node = Node::start();
    let tcp = format!("tcp:{}", node.sip);
    let refused = run(command_at(&tcp, "alice", &arguments).args(["--msrp", "tls"]));
    assert!(refused.code == 4 && refused.stderr.contains("488"), "{}", refused.stderr);
}
