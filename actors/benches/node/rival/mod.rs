//! What the node's users could pick instead, run beside it with a configuration of its own in a temporary
//! folder: Kamailio's msilo on three databases, and Dovecot. Absent ones are said to be absent.

pub mod database;
pub mod dovecot;
pub mod kamailio;

use crate::machine;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that runs in the foreground until it is dropped, with what it has started.
pub struct Service(Child);

impl Service {
    /// Starts it, and waits until `ready`; `None`, with its last words, where it ends before that.
    pub fn start(command: &mut Command, mut ready: impl FnMut() -> bool) -> Option<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut service = Self(command.spawn().ok()?);
        let begun = Instant::now();
        while !ready() {
            let ended = service.0.try_wait().ok()?.is_some();
            if ended || begun.elapsed() > Duration::from_secs(30) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The servers end their own children on SIGTERM (PostgreSQL with what is connected on SIGINT).
        machine::said("kill", &["-INT", &self.0.id().to_string()]);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that is free for UDP and for TCP.
pub fn free() -> SocketAddr {
    loop {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = held.local_addr().unwrap();
        if UdpSocket::bind(addr).is_ok() {
            return addr;
        }
    }
}

/// Whether somebody listens there.
pub fn listens(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).is_ok()
}

/// Runs a command to its end; `false` where that is not possible, or not good.
pub fn done(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
