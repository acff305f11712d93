//! Other implementations: SIPp plays a store to the client, baresip leaves what the client fetches.

use super::program::*;
use crate::skipped::skipped;
use crate::support::*;
use crate::tools::{find_or_skip, repository};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// SIPp with a scenario, at a port of its own; killed when it is dropped.
struct Sipp(Child, u16);

impl Sipp {
    fn play(scenario: &str) -> Option<Self> {
        let sipp = find_or_skip("sipp", scenario)?;
        let port = ports::free(std::net::Ipv4Addr::LOCALHOST.into());
        let child = Command::new(sipp)
            .arg("-sf")
            .arg(repository("tests/sipp").join(scenario))
            .args(["-t", "u1", "-i", "127.0.0.1", "-p", &port.to_string(), "-m", "1", "-nostdin", "-nd"])
            .current_dir(std::env::temp_dir())
            .env("TERM", "dumb")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self(child, port))
    }

    /// Runs a command of Bob's at it.
    fn client(&self, arguments: &[&str]) -> Ran {
        let mut command = restante();
        let node = format!("udp:127.0.0.1:{}", self.1);
        command.args(arguments).args(["--as", "bob@example.com", "--node", &node, "--timeout", "30"]);
        run(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sipp_takes_a_message() {
    let Some(sipp) = Sipp::play("take_message.xml") else { return };
    let sent = sipp.client(&["send", "alice@example.org", "hello", "--subject", "to a stranger"]);
    assert!(!sent.ok().trim_end().is_empty());
}

#[test]
fn sipp_tells_a_summary() {
    let Some(sipp) = Sipp::play("tell_summary.xml") else { return };
    let told = sipp.client(&["summary"]).ok();
    assert_eq!(told, "1@store.example.net\turgent\t<alice@example.org>\tfrom a stranger\t\n");
}

#[test]
fn sipp_refuses() {
    let Some(sipp) = Sipp::play("refuse_message.xml") else { return };
    let refused = sipp.client(&["send", "alice@example.org", "hello"]);
    let said = "restante: refused: 480 Temporarily Unavailable (mailbox full), to be tried again in 30 s\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (4, said));
}

/// A softphone with a configuration of its own; killed when it is dropped.
struct Baresip {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Baresip {
    /// Alice's, whose only contact is `contact`, and which sends by `node`; does what `commands` say.
    fn start(node: &Node, contact: &str, commands: &[&str]) -> Option<Self> {
        let baresip = find_or_skip("baresip", "baresip leaves a message")?;
        let usual = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(|lib| format!("{lib}/baresip/modules"));
        let Some(modules) = usual.iter().find(|path| std::path::Path::new(path).is_dir()) else {
            skipped("baresip leaves a message", &format!("its modules are in none of {usual:?}"));
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        let port = ports::free(std::net::Ipv4Addr::LOCALHOST.into());
        let loaded =
            ["g711", "menu", "account", "contact"].map(|name| format!("module {name}.so\n")).concat();
        write("config", format!("sip_listen 127.0.0.1:{port}\nmodule_path {modules}\n{loaded}"));
        let outbound = format!("outbound=\"sip:{};transport=udp\"", node.sip);
        write("accounts", format!("<sip:alice@example.com;transport=udp>;regint=0;{outbound}\n"));
        write("contacts", format!("{contact}\n"));
        let mut command = Command::new(baresip);
        command.arg("-f").arg(folder.path()).args(commands.iter().flat_map(|command| ["-e", command]));
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Some(Self { child: command.spawn().unwrap(), _folder: folder })
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn baresip_leaves_a_message() {
    let node = Node::start();
    // `>` chooses the first contact.
    let commands = [">", "/message hello from a softphone"];
    let Some(_phone) = Baresip::start(&node, "\"Bob\" <sip:bob@example.com>", &commands) else { return };
    // The watch tells every change, each on a line.
    let mut watch = command(&node, "bob", &["summary", "--watch", "--json"]).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = tell.send(serde_json::from_str::<serde_json::Value>(&line).unwrap());
        }
    });
    let waiting = std::iter::from_fn(|| told.recv_timeout(PATIENCE).ok()).find(|line| line["waiting"] == 1);
    let waiting = waiting.expect("the message is told of");
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(waiting["items"][0]["from"], "<alice@example.com>");
    assert_eq!(client(&node, "bob", &["fetch", "--new"]).ok(), "hello from a softphone");
}
