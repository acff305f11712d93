//! The binary, started as whoever runs it would.

use super::{machine, place};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a node is to be started with, beyond what every node here has.
pub struct Plan {
    keys: BTreeMap<(&'static str, &'static str), String>,
    cores: Option<&'static str>,
}

impl Plan {
    pub fn new() -> Self {
        let mut plan = Self { keys: BTreeMap::new(), cores: None };
        for (section, key, value) in [
            // Few, for together they take as many files as the process may open.
            ("sip", "max_connections", "200"),
            ("msrp", "max_connections", "40000"),
            ("msrp", "bind_timeout", "\"10m\""),
            ("msrp", "transaction_timeout", "\"10m\""),
            ("retrieval", "sessions_per_user", "40000"),
            ("retrieval", "sessions_total", "40000"),
            ("deposit", "quota_items", "0"),
            ("deposit", "quota_bytes", "0"),
            ("http", "listen", "\"\""),
            ("log", "level", "\"error\""),
        ] {
            plan = plan.key(section, key, value);
        }
        plan
    }

    pub fn key(mut self, section: &'static str, key: &'static str, value: &str) -> Self {
        self.keys.insert((section, key), value.to_owned());
        self
    }

    /// Runs on these cores alone.
    pub fn cores(mut self, cores: &'static str) -> Self {
        self.cores = Some(cores);
        self
    }

    /// In a folder of its own.
    pub fn start(self) -> Node {
        let folder = place();
        self.start_in(folder)
    }

    /// With the data that is in `folder`.
    pub fn start_in(mut self, folder: TempDir) -> Node {
        let held = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [sip, msrp] = [0, 1].map(|at: usize| held[at].local_addr().unwrap());
        drop(held);
        self = self
            .key("sip", "listen", &format!("[\"tcp:{sip}\", \"udp:{sip}\"]"))
            .key("msrp", "listen", &format!("[\"tcp:{msrp}\"]"))
            .key("store", "url", &format!("\"embedded:{}\"", folder.path().join("data").display()));
        let mut text = String::new();
        let mut within = "";
        for ((section, key), value) in &self.keys {
            if *section != within {
                writeln!(text, "[{section}]").unwrap();
                within = section;
            }
            writeln!(text, "{key} = {value}").unwrap();
        }
        let file = folder.path().join("node.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = match self.cores {
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cores, env!("CARGO_BIN_EXE_restante")]);
                command
            }
            None => Command::new(env!("CARGO_BIN_EXE_restante")),
        };
        command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let begun = Instant::now();
        let mut child = command.env_remove("RUST_LOG").spawn().unwrap();
        // The SIP listeners are bound when the store is open, and are the last to be.
        while TcpStream::connect(sip).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the node does not listen");
            assert!(child.try_wait().unwrap().is_none(), "the node has ended");
            std::thread::sleep(Duration::from_millis(2));
        }
        Node { child, sip, started: begun.elapsed(), folder: Some(folder) }
    }
}

/// The binary, with a folder of its own; gone when dropped.
pub struct Node {
    pub child: Child,
    pub sip: SocketAddr,
    /// How long it took until it listened.
    pub started: Duration,
    folder: Option<TempDir>,
}

impl Node {
    pub fn start() -> Self {
        Plan::new().start()
    }

    /// A line of its `/proc/PID/status`, in bytes.
    pub fn memory(&self, name: &str) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kilobytes = line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
        kilobytes * 1024.0
    }

    /// Makes what is resident now the high-water mark.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Seconds that its threads have been on a core so far.
    pub fn busy(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        ticks(&text)
    }

    /// Seconds that its threads whose names hold `name` have been on a core so far.
    pub fn busy_threads(&self, name: &str) -> f64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let texts =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        let named = texts.filter(|text| text.split(')').next().is_some_and(|head| head.contains(name)));
        named.map(|text| ticks(&text)).sum()
    }

    /// `kill -9`; gives the folder with what it has stored.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder.take().unwrap()
    }

    /// SIGTERM, and the end; gives the folder with what it has stored.
    pub fn stop(mut self) -> TempDir {
        machine::said("kill", &["-TERM", &self.child.id().to_string()]);
        self.child.wait().unwrap();
        self.folder.take().unwrap()
    }
}

/// Seconds in user and in system mode, of a line of `/proc/.../stat`.
fn ticks(text: &str) -> f64 {
    let after = &text[text.rfind(')').unwrap() + 2..];
    let words: Vec<f64> = after.split(' ').skip(11).take(2).map(|word| word.parse().unwrap()).collect();
    // In hundredths on every Linux: USER_HZ.
    words.iter().sum::<f64>() / 100.0
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
