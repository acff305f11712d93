//! The users file is looked at every second and read anew when it has changed. One that is not good is
//! told in the log once, and the users of before stay.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use restante::focus::realm::Realm;

use super::{UserTable, Users};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// What tells that a file is another one: its number, size and the time of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Look {
    fn at(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { inode: found.ino(), size: found.len(), changed: (found.mtime(), found.mtime_nsec()) })
    }
}

/// A users file that is followed.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    realm: Realm,
    digest_realm: String,
    users: Arc<Users>,
    seen: Option<Look>,
}

impl Watch {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// It cannot be read, or is not good.
    pub fn begin(path: &Path, realm: Realm, digest_realm: &str) -> Result<Self, super::file::FileError> {
        let seen = Look::at(path);
        if fs::metadata(path).is_ok_and(|found| found.mode() & 0o077 != 0) {
            tracing::warn!(path = ?path, "the users file can be read by others than its owner: chmod 600");
        }
        let users = Arc::new(Users::new(UserTable::load(path, &realm, digest_realm)?));
        Ok(Self { path: path.to_owned(), realm, digest_realm: digest_realm.to_owned(), users, seen })
    }

    /// The users, always those in force.
    #[must_use]
    pub fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users)
    }

    /// Looks, and reads the file if it is another one than it was.
    fn look(&mut self) {
        let look = Look::at(&self.path);
        if look == self.seen {
            return;
        }
        self.seen = look;
        match UserTable::load(&self.path, &self.realm, &self.digest_realm) {
            Ok(table) => {
                let names = table.names();
                self.users.replace(table);
                tracing::info!(names, "users read anew");
            }
            Err(error) => tracing::error!(%error, "users not read anew; those of before stay"),
        }
    }

    /// Follows the file for as long as the node runs.
    pub async fn follow(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(watch) => self = watch,
                Err(error) => return tracing::error!(%error, "the users file is not followed any more"),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::file::{Account, UsersFile};
    use super::*;

    #[test]
    fn a_changed_file_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let realm = Realm::new(&["example.com".into()], "store.example.com", None);
        let mut file = UsersFile::default();
        file.put(Account::new("alice@example.com", "r", b"a").unwrap());
        file.write(&path).unwrap();
        let mut watch = Watch::begin(&path, realm.clone(), "r").unwrap();
        let users = watch.users();
        let knows = |name: &str| users.present().find(name.as_bytes()).is_some();
        assert!(knows("alice") && !knows("bob"));

        file.put(Account::new("bob@example.com", "r", b"b").unwrap());
        file.remove("alice@example.com");
        file.write(&path).unwrap();
        watch.look();
        assert!(knows("bob") && !knows("alice"));

        fs::write(&path, "bob@example.com broken\n").unwrap();
        watch.look();
        assert!(knows("bob"));
        fs::remove_file(&path).unwrap();
        watch.look();
        assert!(knows("bob"));
        file.remove("bob@example.com");
        file.write(&path).unwrap();
        watch.look();
        assert!(!knows("bob"), "an empty file is a good one");
        assert!(Watch::begin(&folder.path().join("absent"), realm, "r").is_err());
    }
}
