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
        // The first look reads them in any case: they may have changed since they were read.
        let mut seen = Vec::new();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::TlsFiles;
    use super::*;

    fn write_pair(folder: &Path) {
        let made = rcgen::generate_simple_self_signed(["x.invalid".to_owned()]).unwrap();
        std::fs::write(folder.join("node.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("node.key"), made.signing_key.serialize_pem()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_changed_before_the_first_look_is_found_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Some(folder.path().join(name));
        write_pair(folder.path());
        let files = TlsFiles { certificate: file("node.pem"), key: file("node.key"), ..TlsFiles::default() };
        let tls = Tls::load(files).unwrap();
        let first = tls.fingerprint();
        write_pair(folder.path());
        let interval = Duration::from_secs(10);
        let _ = tokio::time::timeout(interval * 3 / 2, Arc::clone(&tls).watch(interval)).await;
        assert_ne!(tls.fingerprint(), first);
    }
}
