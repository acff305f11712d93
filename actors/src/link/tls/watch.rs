//! Looks whether the files of [`Tls`] have changed.

use super::Tls;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// When a file changed last and how large it is; `None`: it cannot be looked at.
type Stamp = Option<(SystemTime, u64)>;

impl Tls {
    /// Reads the files again whenever they look different, every `interval`; never ends.
    pub async fn watch(self: Arc<Self>, interval: Duration) {
        let mut seen = self.stamps();
        loop {
            tokio::time::sleep(interval).await;
            let now = self.stamps();
            if now != seen {
                self.reload();
                seen = now;
            }
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.watched().map(stamp).collect()
    }
}

fn stamp(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}
