//! A node inside another program: [`Embedded`], on a thread of its own.
//!
//! For examples, demonstrations and tests of programs that talk to a store. The node is the one that `restante
//! serve` runs; it only takes no signals, but stops when it is told to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use actix::System;
use restante::machine::sip::Transport;
use tokio::sync::oneshot;

use crate::clock;
use crate::config::{Config, Listen, StoreUrl};
use crate::node;

pub use crate::node::Bound;

/// A running node. Dropped, it is stopped.
///
/// ```
/// # use restante_node::embedded::Embedded;
/// # fn main() -> anyhow::Result<()> {
/// let folder = tempfile::tempdir()?;
/// let node = Embedded::start(Embedded::example(folder.path()))?;
/// assert_ne!(node.sip().port(), 0);
/// node.stop();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Embedded {
    bound: Bound,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// The built-in defaults on free ports of the loopback, without HTTP, the store in `folder`.
    #[must_use]
    pub fn example(folder: &Path) -> Config {
        let any = |transport| Listen { transport, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut config = Config::default();
        config.sip.listen = vec![any(Transport::Tcp), any(Transport::Udp)];
        config.msrp.listen = vec![any(Transport::Tcp)];
        config.http.listen = None;
        config.store.url = StoreUrl::Embedded(folder.join("store"));
        config
    }

    /// Starts a node, and returns when every listener is bound.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn start(config: Config) -> anyhow::Result<Self> {
        let _origin = clock::now();
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, starting) = mpsc::channel::<anyhow::Result<Bound>>();
        let thread = std::thread::Builder::new().name("restante".to_owned()).spawn(move || {
            let ready = started.clone();
            let ended = System::new().block_on(node::serve_until(
                config,
                move |bound| {
                    let _ = ready.send(Ok(bound.clone()));
                },
                async move {
                    let _ = stopped.await;
                    "told to"
                },
            ));
            if let Err(error) = ended {
                // Where nobody waits for the start any more, the log has it.
                tracing::error!(error = format!("{error:#}"), "the embedded node ended");
                let _ = started.send(Err(error));
            }
        })?;
        let bound = starting.recv().map_err(|_| anyhow::anyhow!("the node's thread ended"))??;
        Ok(Self { bound, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The address of its first SIP listener over TCP; port 0 where it has none.
    #[must_use]
    pub fn sip(&self) -> SocketAddr {
        address(&self.bound.sip, "tcp:")
    }

    /// Stops it: sessions get a BYE, the store is closed.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.end();
    }
}

fn address(listeners: &[String], protocol: &str) -> SocketAddr {
    let found = listeners.iter().find_map(|listener| listener.strip_prefix(protocol)?.parse().ok());
    found.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
}
