//! The binary, started as whoever runs it would.

use super::place;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary, with a folder of its own; gone when dropped.
pub struct Node {
    pub child: Child,
    pub sip: SocketAddr,
    _folder: TempDir,
}

impl Node {
    pub fn start() -> Self {
        let folder = place();
        let held = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [sip, msrp] = [0, 1].map(|at: usize| held[at].local_addr().unwrap());
        drop(held);
        let data = folder.path().join("data");
        let text = format!(
            "[sip]\nlisten = [\"tcp:{sip}\"]\n[msrp]\nlisten = [\"tcp:{msrp}\"]\nmax_connections = 20000\n\
             bind_timeout = \"10m\"\ntransaction_timeout = \"10m\"\n[retrieval]\nsessions_per_user = 20000\n\
             sessions_total = 20000\n[store]\nurl = \"embedded:{}\"\n[http]\nlisten = \"\"\n[log]\nlevel = \"error\"\n",
            data.display()
        );
        let file = folder.path().join("node.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
        command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.env_remove("RUST_LOG").spawn().unwrap();
        let start = Instant::now();
        while TcpStream::connect(sip).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "the node does not listen");
            assert!(child.try_wait().unwrap().is_none(), "the node has ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, sip, _folder: folder }
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
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
