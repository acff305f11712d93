//! The binary, started as whoever runs it would, and its store looked into when it has ended.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use restante::store::{MessageId, Owner, Store};
use restante_node::archive::Archive;
use tempfile::TempDir;

use crate::load::Outcome;

/// Users whose mailboxes are filled.
pub const MAILBOXES: u64 = 1000;

/// A node, with a folder of its own on the disk of the build.
pub struct Node {
    child: Child,
    pub sip: SocketAddr,
    data: PathBuf,
    folder: TempDir,
}

impl Node {
    pub fn start() -> Self {
        let folder = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        let held = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [sip, msrp] = [0, 1].map(|at: usize| held[at].local_addr().unwrap());
        drop(held);
        let data = folder.path().join("data");
        let text = format!(
            "[sip]\nlisten = [\"udp:{sip}\", \"tcp:{sip}\"]\n[msrp]\nlisten = [\"tcp:{msrp}\"]\n\
             [deposit]\nquota_items = 0\nquota_bytes = 0\n[store]\nurl = \"embedded:{}\"\n\
             [http]\nlisten = \"\"\n[log]\nlevel = \"warn\"\n",
            data.display()
        );
        let file = folder.path().join("node.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
        let log = File::create(folder.path().join("log")).unwrap();
        command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.env_remove("RUST_LOG").spawn().unwrap();
        let start = Instant::now();
        while TcpStream::connect(sip).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "the node does not listen");
            assert!(child.try_wait().unwrap().is_none(), "the node has ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, sip, data, folder }
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap() * 1024.0
    }

    /// What it had to say: warnings and errors.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Ends the node, and counts what it has accepted and its store does not hold.
    pub fn stop_and_count_missing(&mut self, books: &[Outcome]) -> usize {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let store = Archive::open(&self.data).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut missing = 0;
            for number in books.iter().flat_map(Outcome::numbers) {
                let owner = Owner::new(format!("user{}", number % MAILBOXES).as_bytes(), "example.com");
                let id = MessageId::new(format!("load{number}"));
                missing += usize::from(store.open(owner, id).await.unwrap().is_none());
            }
            missing
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
