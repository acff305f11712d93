//! Another implementation on the other side: SIPp plays a store to the client.

use super::program::*;
use crate::support::*;
use crate::tools::{find_or_skip, repository};
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
