//! Wireshark, another reader of all these protocols, finds nothing malformed in a capture of figure 1.

use crate::figure1;
use crate::skipped::skipped;
use crate::support::*;
use crate::tools::find_or_skip;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A capture under way; each packet sends a line.
struct Capture {
    child: Child,
    packets: Receiver<String>,
}

impl Capture {
    /// Starts to capture on loopback what this filter names; `None`, with a word, where that is not allowed.
    fn start(tshark: &Path, filter: &str, file: &Path, poke: impl FnMut()) -> Option<Self> {
        let mut child = Command::new(tshark)
            .args(["-i", "lo", "-f", filter, "-l", "-P", "-w"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let stdout = child.stdout.take()?;
        let (sender, packets) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut capture = Self { child, packets };
        if capture.wait_first(poke) {
            return Some(capture);
        }
        let _ = capture.child.kill();
        let _ = capture.child.wait();
        skipped("the capture of figure 1", "tshark may not capture on lo");
        None
    }

    /// Pokes until a packet is seen: then it captures. It does not, if it has ended.
    fn wait_first(&mut self, mut poke: impl FnMut()) -> bool {
        let deadline = Deadline::after(PATIENCE);
        while deadline.left().is_some() && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            poke();
            if self.packets.recv_timeout(Duration::from_millis(300)).is_ok() {
                return true;
            }
        }
        false
    }

    /// Waits until a packet that holds `word` was seen, then ends the capture.
    fn stop(mut self, word: &str, mut poke: impl FnMut()) {
        let deadline = Deadline::after(PATIENCE);
        poke();
        loop {
            let left = deadline.left().expect("the last packet is captured");
            if self.packets.recv_timeout(left).is_ok_and(|line| line.contains(word)) {
                break;
            }
        }
        let _ = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
        self.child.wait().unwrap();
    }
}

#[test]
fn nothing_in_the_figure_is_malformed() {
    let Some(tshark) = find_or_skip("tshark", "the capture of figure 1") else { return };
    let node = Node::start();
    let file = node.folder().join("figure1.pcapng");
    let filter = format!("port {} or port {}", node.sip.port(), node.msrp.port());
    let mut probe = Ua::udp(&node, "sip:probe@example.org");
    let Some(capture) = Capture::start(&tshark, &filter, &file, || probe.barrier()) else { return };
    figure1::play(&node);
    capture.stop("LASTWORD", || {
        let last = probe.request("OPTIONS", "sip:LASTWORD@mailserver.example.com");
        probe.ask(last);
    });
    let read = |display: &str| {
        let output = Command::new(&tshark)
            .arg("-r")
            .arg(&file)
            .args(["-d", &format!("udp.port=={},sip", node.sip.port())])
            .args(["-d", &format!("tcp.port=={},sip", node.sip.port())])
            .args(["-d", &format!("tcp.port=={},msrp", node.msrp.port())])
            .args(["-Y", display])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(read("sip").lines().count() > 15, "SIP was seen");
    assert!(read("msrp").lines().count() >= 4, "MSRP was seen");
    assert!(read("sip.Method == \"NOTIFY\"").contains("NOTIFY"));
    let malformed = read("_ws.malformed");
    assert!(malformed.is_empty(), "{malformed}");
}
