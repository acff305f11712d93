//! The stage: a node on free ports, and clients whose wires are watched.

use std::path::Path;
use std::sync::Arc;

use restante::ladder::{Carrier, Ladder};

use super::recording::Recording;
use crate::client::{Client, ClientConfig};
use crate::embedded::Embedded;
use crate::records;

/// The host of message URIs: the node's default.
const STORE_HOST: &str = "mailserver.example.com";

/// The node and what was recorded since the last ladder.
pub(super) struct Stage {
    node: Embedded,
    recording: Arc<Recording>,
}

impl Stage {
    /// Starts the node, its store in `folder`.
    pub(super) fn set(folder: &Path) -> anyhow::Result<Self> {
        let mut config = Embedded::example(folder);
        config.http.listen = Some(([127, 0, 0, 1], 0).into());
        Ok(Self { node: Embedded::start(config)?, recording: Arc::new(Recording::new()) })
    }

    /// A client of this name, at the node over TCP.
    pub(super) async fn client(&self, name: &'static str, account: &str) -> anyhow::Result<Client> {
        let mut config = ClientConfig::new(account.parse()?, self.node.sip().into());
        config.store_host = Some(STORE_HOST.to_owned());
        config.observer = Some(Recording::observer(&self.recording, name));
        Ok(Client::connect(config).await?)
    }

    /// Draws what was recorded since the last time: what the clients saw on their wires, and what the node
    /// tells of its own inside.
    pub(super) async fn ladder(&self, columns: &[&str]) -> anyhow::Result<Ladder> {
        let mut arrows = self.recording.take();
        let Some((first, last)) = arrows.first().zip(arrows.last()).map(|(a, b)| (a.at_us, b.at_us)) else {
            anyhow::bail!("nothing was recorded")
        };
        if let Some(http) = self.node.bound().http {
            let inside = records::ask(http, None).await?;
            arrows.extend(
                inside.into_iter().filter(|arrow| {
                    arrow.carrier == Carrier::Inside && (first..=last).contains(&arrow.at_us)
                }),
            );
        }
        Ok(Ladder::new(arrows, columns))
    }

    /// Stops the node.
    pub(super) fn strike(self) {
        self.node.stop();
    }
}
