//! The users who may authenticate: a file of hashes ([`mod@file`]), held in memory ([`Users`]), read anew when it
//! changes ([`watch`]).

pub mod file;
pub mod watch;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use restante::focus::identity;
use restante::focus::realm::Realm;
use restante::machine::digest::Secrets;
use restante::store::Owner;
use rustc_hash::FxHashMap;

use file::{FileError, UsersFile};

/// A user as he authenticates.
#[derive(Clone, Debug)]
pub struct User {
    /// His address of record.
    pub owner: Owner,
    /// What stands for his password with this name.
    pub secrets: Secrets,
}

/// User names, as they are sent, and what is known of them.
#[derive(Clone, Debug, Default)]
pub struct UserTable(FxHashMap<Vec<u8>, User>);

impl UserTable {
    /// Reads the users of `digest_realm` from a file.
    ///
    /// # Errors
    /// The file cannot be read, or one of its lines is not good.
    pub fn load(path: &Path, realm: &Realm, digest_realm: &str) -> Result<Self, FileError> {
        Self::of(&UsersFile::read(path)?, path, realm, digest_realm)
    }

    /// The names of a file's users: each by `user@domain`, and those of the first served domain by `user`
    /// alone, too.
    fn of(file: &UsersFile, path: &Path, realm: &Realm, digest_realm: &str) -> Result<Self, FileError> {
        let mut table = FxHashMap::default();
        for (line, account) in file.accounts() {
            let problem = |problem: String| FileError::Line { path: path.to_owned(), line, problem };
            if account.realm != digest_realm {
                let (found, expected) = (account.realm.escape_default(), digest_realm.escape_default());
                return Err(problem(format!("realm `{found}`, but [trust] realm is `{expected}`")));
            }
            let owner = identity::of_user(realm, account.name.as_bytes())
                .ok_or_else(|| problem(format!("`{}` is no user name", account.name.escape_default())))?;
            if realm.home() == Some(owner.domain()) {
                let user = User { owner: owner.clone(), secrets: account.bare.clone() };
                table.insert(account.bare_name().as_bytes().to_vec(), user);
            }
            table.insert(account.name.into_bytes(), User { owner, secrets: account.full });
        }
        Ok(Self(table))
    }

    /// The user of this name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&User> {
        self.0.get(name)
    }

    /// How many names there are; a user has one or two.
    #[must_use]
    pub fn names(&self) -> usize {
        self.0.len()
    }
}

/// The table in force.
#[derive(Debug, Default)]
pub struct Users(RwLock<Arc<UserTable>>);

impl Users {
    /// Begins with this table.
    #[must_use]
    pub fn new(table: UserTable) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }

    /// The present table.
    #[must_use]
    pub fn present(&self) -> Arc<UserTable> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another table in its place.
    pub fn replace(&self, table: UserTable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::file::Account;
    use super::*;
    use restante::machine::digest::Algorithm;

    fn realm() -> Realm {
        Realm::new(&["example.com".into(), "second.example".into()], "store.example.com", None)
    }

    fn table(names: &[&str], in_realm: &str) -> Result<UserTable, FileError> {
        let mut file = UsersFile::default();
        for name in names {
            file.put(Account::new(name, in_realm, b"secret").unwrap());
        }
        UserTable::of(&file, Path::new("users"), &realm(), "example.com")
    }

    #[test]
    fn a_user_of_the_first_domain_has_two_names() {
        let table = table(&["alice@example.com", "alice@second.example"], "example.com").unwrap();
        assert_eq!(table.names(), 3);
        let owner = |name: &str| table.find(name.as_bytes()).map(|user| user.owner.clone());
        assert_eq!(owner("alice"), Some(Owner::new(b"alice", "example.com")));
        assert_eq!(owner("alice@example.com"), owner("alice"));
        assert_eq!(owner("alice@second.example"), Some(Owner::new(b"alice", "second.example")));
        assert_eq!(owner("bob"), None);
        let secret = |name: &str| {
            table.find(name.as_bytes()).unwrap().secrets.of(Algorithm::Sha256).unwrap().to_owned()
        };
        assert_eq!(secret("alice"), Algorithm::Sha256.secret(b"alice", b"example.com", b"secret"));
        assert_eq!(
            secret("alice@example.com"),
            Algorithm::Sha256.secret(b"alice@example.com", b"example.com", b"secret")
        );
    }

    #[test]
    fn users_of_another_realm_could_never_authenticate() {
        let problem = table(&["alice@example.com"], "other").unwrap_err().to_string();
        assert_eq!(problem, "users file users:1: realm `other`, but [trust] realm is `example.com`");
    }
}
