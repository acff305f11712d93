//! A node: the real binary, with a configuration file and a data folder of its own.

use super::clock::{Deadline, PATIENCE};
use super::ports;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use tempfile::TempDir;

/// Whether a node has said there that it is ready, in either format of its log; not whether the word stands there, which a
/// line that says the opposite has, too.
pub fn is_ready(log: &str) -> bool {
    log.contains("ready sip=") || log.contains("\"message\":\"ready\"")
}

/// What a node is to be started with.
pub struct Plan {
    lines: BTreeMap<String, Vec<String>>,
    host: IpAddr,
    users: Vec<(String, String)>,
}

impl Plan {
    pub fn new() -> Self {
        Self { lines: BTreeMap::new(), host: Ipv4Addr::LOCALHOST.into(), users: Vec::new() }
    }

    /// Adds a line to a section of the configuration file.
    pub fn set(mut self, section: &str, line: &str) -> Self {
        self.lines.entry(section.to_owned()).or_default().push(line.to_owned());
        self
    }

    /// Listens at `::1` and not at `127.0.0.1`.
    pub fn v6(mut self) -> Self {
        self.host = Ipv6Addr::LOCALHOST.into();
        self
    }

    /// Names users who may authenticate, with their passwords.
    pub fn users(mut self, users: &[(&str, &str)]) -> Self {
        self.users.extend(users.iter().map(|(name, password)| ((*name).into(), (*password).into())));
        self
    }

    /// Starts the node and waits until every listener is bound.
    pub fn start(self) -> Node {
        let mut node = self.prepare();
        node.launch();
        node
    }

    /// Writes the configuration, and starts nothing yet.
    pub fn prepare(mut self) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let [sip, msrp, http] = [0; 3].map(|_| SocketAddr::new(self.host, ports::free(self.host)));
        let data = folder.path().join("data");
        if !self.users.is_empty() {
            let users = folder.path().join("users");
            for (name, password) in &self.users {
                add_user(&users, name, password);
            }
            self = self.set("auth", &format!("users = \"{}\"", users.display()));
        }
        let defaults = [
            ("sip", format!("listen = [\"udp:{sip}\", \"tcp:{sip}\"]")),
            ("msrp", format!("listen = [\"tcp:{msrp}\"]")),
            ("http", format!("listen = \"{http}\"")),
            ("store", format!("url = \"embedded:{}\"", data.display())),
        ];
        for (section, line) in defaults {
            let lines = self.lines.entry(section.to_owned()).or_default();
            let key = line.split(' ').next().unwrap();
            if !lines.iter().any(|own| own.starts_with(key)) {
                lines.push(line);
            }
        }
        let text: String = self
            .lines
            .iter()
            .map(|(section, lines)| format!("[{section}]\n{}\n\n", lines.join("\n")))
            .collect();
        let file = folder.path().join("node.toml");
        std::fs::write(&file, text).unwrap();
        Node { sip, msrp, http, folder, file, running: None }
    }
}

struct Running {
    child: Child,
    log: Arc<Log>,
}

/// What the process has written on stderr so far.
#[derive(Default)]
struct Log {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Log {
    fn follow(self: Arc<Self>, stderr: impl std::io::Read) {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.state.lock().unwrap().0.push(text);
            self.changed.notify_all();
            line.clear();
        }
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    /// Waits until `found` says so of the lines and of whether the process has closed its stderr.
    fn wait(&self, what: &str, mut found: impl FnMut(&[String], bool) -> bool) {
        let deadline = Deadline::after(PATIENCE * 2);
        let mut state = self.state.lock().unwrap();
        while !found(&state.0, state.1) {
            let left = deadline.left().unwrap_or_else(|| panic!("{what}: log:\n{}", state.0.join("\n")));
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// A node and its folder; both are gone when it is dropped.
pub struct Node {
    pub sip: SocketAddr,
    pub msrp: SocketAddr,
    pub http: SocketAddr,
    folder: TempDir,
    file: PathBuf,
    running: Option<Running>,
}

impl Node {
    /// A node on defaults.
    pub fn start() -> Self {
        Plan::new().start()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The command that runs this node.
    pub fn command(&self) -> Command {
        let mut command = restante();
        command.args(["serve", "--config"]).arg(&self.file).current_dir(self.folder.path());
        command
    }

    /// Starts the process and waits for `ready`; after a stop, with the same ports and the same data.
    pub fn launch(&mut self) {
        self.launch_with(&[]);
    }

    /// As [`Node::launch`], with these in its environment.
    pub fn launch_with(&mut self, environment: &[(&str, &str)]) {
        assert!(self.running.is_none(), "it runs already");
        let mut command = self.command();
        let mut child = command.envs(environment.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Log::default());
        let follower = Arc::clone(&log);
        std::thread::spawn(move || follower.follow(stderr));
        log.wait("the node is ready", |lines, ended| {
            let ready = lines.iter().any(|line| is_ready(line));
            assert!(ready || !ended, "the node ended at start:\n{}", lines.join("\n"));
            ready
        });
        self.running = Some(Running { child, log });
    }

    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the node runs").child.id()
    }

    /// Asks its HTTP server; the status, and the whole answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        (text.split(' ').nth(1).unwrap().parse().unwrap(), text)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.running
            .as_ref()
            .map(|running| running.log.state.lock().unwrap().0.join("\n"))
            .unwrap_or_default()
    }

    /// Waits for a line of its log that holds `text`, and gives it.
    pub fn wait_log(&self, text: &str) -> String {
        let running = self.running.as_ref().expect("the node runs");
        let mut found = None;
        running.log.wait(text, |lines, _| {
            found = lines.iter().find(|line| line.contains(text)).cloned();
            found.is_some()
        });
        found.unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut running = self.running.take().expect("the node runs");
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }

    /// Sends a signal (`TERM`, `INT`).
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Waits until the process has ended.
    pub fn wait_exit(&mut self) -> ExitStatus {
        self.wait_end().0
    }

    /// As [`Node::wait_exit`]; gives all that it has logged, too.
    pub fn wait_end(&mut self) -> (ExitStatus, String) {
        let mut running = self.running.take().expect("the node runs");
        running.log.wait("the node ends", |_, ended| ended);
        let log = running.log.state.lock().unwrap().0.join("\n");
        (running.child.wait().unwrap(), log)
    }

    /// SIGTERM, the end, and the same node again.
    pub fn restart(&mut self) {
        self.signal("TERM");
        let status = self.wait_exit();
        assert!(status.success(), "{status}");
        self.launch();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        if std::thread::panicking() {
            let lines = running.log.state.lock().map(|state| state.0.clone()).unwrap_or_default();
            let from = lines.len().saturating_sub(40);
            eprintln!("--- log of the node ---\n{}\n---", lines[from..].join("\n"));
        }
        let _ = running.child.kill();
        let _ = running.child.wait();
    }
}

/// Adds a user by `restante user add`, the password on its stdin.
pub fn add_user(file: &Path, name: &str, password: &str) {
    let mut command = restante();
    command.args(["user", "add", name, "--file"]).arg(file).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "user add {name}");
}

/// The binary with nothing of the caller's environment that would change it.
pub fn restante() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).env_remove("RUST_LOG");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RESTANTE_") {
            command.env_remove(name);
        }
    }
    command
}
