//! The users file: one line for each user, hashes in place of passwords.
//!
//! ```text
//! # comment
//! alice@example.com  <SHA-256> <MD5>  <SHA-256> <MD5>  example.com
//! ```
//! The hashes are `H(A1)` of RFC 7616 3.4.2, in hexadecimal digits: two for the name as it stands, two for its
//! user part alone, since a client may send either. The rest of the line is the realm. Whoever can read the
//! file can authenticate as its users, so it is written with mode 0600.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use restante::machine::digest::{Algorithm, Secrets};

/// No users file is larger: room for about 250 000 users.
const LARGEST: u64 = 64 << 20;

const HEADER: &str = "# Users of restante, written by `restante user`: name, H(A1) by SHA-256 and MD5 for the whole name, the\n\
     # same for its user part alone, realm. Keep it secret: a hash is as good as the password.\n";

/// Why there are no users to be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read users file {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write users file {}: {cause}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// One of its lines is not good.
    #[error("users file {}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `user@domain`, the user escaped as in a SIP URI, the domain in lower case.
    pub name: String,
    /// The realm that the hashes belong to.
    pub realm: String,
    /// For the whole name.
    pub full: Secrets,
    /// For the user part alone.
    pub bare: Secrets,
}

/// The lines of a file, comments too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsersFile(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Other(String),
    Account(Box<Account>),
}

impl Account {
    /// The user `name` with a password. `None` if the name is not of the form `user@domain`.
    #[must_use]
    pub fn new(name: &str, realm: &str, password: &[u8]) -> Option<Self> {
        let name = canonical(name)?;
        let (bare, _) = name.split_once('@')?;
        let full = Secrets::new(name.as_bytes(), realm.as_bytes(), password);
        let bare = Secrets::new(bare.as_bytes(), realm.as_bytes(), password);
        Some(Self { name, realm: realm.to_owned(), full, bare })
    }

    /// The user part of the name.
    #[must_use]
    pub fn bare_name(&self) -> &str {
        self.name.split('@').next().unwrap_or_default()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let mut word = || words.next().ok_or("expected a name, four hashes and a realm");
        let (name, hashes) = (word()?, [word()?, word()?, word()?, word()?]);
        let realm = words.collect::<Vec<_>>().join(" ");
        let name = canonical(name).ok_or_else(|| {
            format!("expected a name as alice@example.com, found `{}`", name.escape_default())
        })?;
        let [full_sha, full_md5, bare_sha, bare_md5] = hashes;
        let secrets = |sha: &str, md5: &str| {
            Secrets::from_hex(sha, md5).ok_or("expected hashes of 64 and 32 hexadecimal digits")
        };
        if realm.is_empty() {
            return Err("expected a realm behind the hashes".into());
        }
        Ok(Self { full: secrets(full_sha, full_md5)?, bare: secrets(bare_sha, bare_md5)?, name, realm })
    }

    fn show(&self) -> String {
        let hash = |secrets: &Secrets, algorithm| secrets.of(algorithm).unwrap_or_default().to_owned();
        let mut text = self.name.clone();
        for secrets in [&self.full, &self.bare] {
            for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
                let _ = write!(text, " {}", hash(secrets, algorithm));
            }
        }
        let _ = write!(text, " {}", self.realm);
        text
    }
}

/// `user@domain` with the domain in lower case.
fn canonical(name: &str) -> Option<String> {
    let (user, domain) = name.split_once('@')?;
    let user_is_good =
        !user.is_empty() && user.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\<>:#".contains(&b));
    let domain_is_good =
        !domain.is_empty() && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    (user_is_good && domain_is_good).then(|| format!("{user}@{}", domain.to_ascii_lowercase()))
}

impl UsersFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line is not good.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let read = || {
            let mut text = String::new();
            File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
            if text.len() as u64 > LARGEST {
                return Err(io::Error::other("the file is larger than 64 MiB"));
            }
            Ok(text)
        };
        let text = read().map_err(|cause| FileError::Unreadable { path: path.to_owned(), cause })?;
        Self::parse(&text).map_err(|(line, problem)| FileError::Line { path: path.to_owned(), line, problem })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut lines: Vec<Line> = Vec::new();
        let mut names = std::collections::HashSet::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                lines.push(Line::Other(line.to_owned()));
                continue;
            }
            let account = Account::parse(line).map_err(|problem| (index + 1, problem))?;
            if !names.insert(account.name.clone()) {
                return Err((index + 1, format!("`{}` is there twice", account.name)));
            }
            lines.push(Line::Account(Box::new(account)));
        }
        Ok(Self(lines))
    }

    /// The users in order, each with the number of its line.
    pub fn accounts(&self) -> impl Iterator<Item = (usize, Account)> + '_ {
        self.0.iter().enumerate().filter_map(|(index, line)| match line {
            Line::Account(account) => Some((index + 1, account.as_ref().clone())),
            Line::Other(_) => None,
        })
    }

    /// Adds a user, or puts him in the place of the one of the same name; whether there was one.
    pub fn put(&mut self, account: Account) -> bool {
        let same = |line: &&mut Line| matches!(line, Line::Account(known) if known.name == account.name);
        match self.0.iter_mut().find(same) {
            Some(line) => {
                *line = Line::Account(Box::new(account));
                true
            }
            None => {
                self.0.push(Line::Account(Box::new(account)));
                false
            }
        }
    }

    /// Removes the user of this name; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        let Some(name) = canonical(name) else { return false };
        self.0.retain(|line| !matches!(line, Line::Account(known) if known.name == name));
        self.0.len() < before
    }

    /// Writes the file in one step: a reader, or a crash, meets the old one or the new one. Mode 0600; it
    /// stays with the user and group that it belonged to.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        self.write_beside(path).map_err(|cause| FileError::Unwritable { path: path.to_owned(), cause })
    }

    fn write_beside(&self, path: &Path) -> io::Result<()> {
        // A link is followed, so that the file it leads to is replaced and not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = path.file_name().ok_or_else(|| io::Error::other("not the name of a file"))?.to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = (|| {
            file.write_all(self.show().as_bytes())?;
            if let Ok(old) = fs::metadata(&path) {
                let made = file.metadata()?;
                if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
                    chown(&new, Some(old.uid()), Some(old.gid()))?;
                }
            }
            file.sync_all()?;
            fs::rename(&new, &path)?;
            match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        })();
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn show(&self) -> String {
        let mut text = String::new();
        if !matches!(self.0.first(), Some(Line::Other(_))) {
            text.push_str(HEADER);
        }
        for line in &self.0 {
            match line {
                Line::Other(other) => text.push_str(other),
                Line::Account(account) => text.push_str(&account.show()),
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn account(name: &str) -> Account {
        Account::new(name, "a realm", b"secret").unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_and_holds_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let mut file = UsersFile::parse("# mine\n\n").unwrap();
        assert!(!file.put(account("alice@EXAMPLE.com")));
        assert!(!file.put(account("b%40b@example.com")));
        file.write(&path).unwrap();
        assert_eq!(UsersFile::read(&path).unwrap(), file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n\nalice@example.com ") && !text.contains("secret"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(file.put(Account::new("alice@example.com", "a realm", b"other").unwrap()));
        assert_eq!(file.accounts().count(), 2);
        assert!(file.remove("alice@example.COM") && !file.remove("alice@example.com"));
        file.write(&path).unwrap();
        assert_eq!(UsersFile::read(&path).unwrap().accounts().count(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_new_file_says_what_it_is() {
        let mut file = UsersFile::default();
        file.put(account("alice@example.com"));
        assert!(file.show().starts_with("# Users of restante"));
        assert_eq!(UsersFile::parse(&file.show()).unwrap().accounts().next().unwrap().0, 3);
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = account("alice@example.com").show();
        for (text, line, problem) in [
            ("alice".to_owned(), 1, "expected a name, four hashes and a realm"),
            (format!("# x\n{}", good.replace("alice@example.com", "alice")), 2, "expected a name as"),
            (good.replace(" a realm", ""), 1, "expected a realm"),
            (good.replacen(' ', " 0", 1), 1, "expected hashes"),
            (format!("{good}\n\n{good}"), 3, "`alice@example.com` is there twice"),
        ] {
            let (at, found) = UsersFile::parse(&text).unwrap_err();
            assert!(at == line && found.starts_with(problem), "{at}: {found}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_had_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        let problem = UsersFile::read(&absent).unwrap_err().to_string();
        assert!(problem.starts_with(&format!("cannot read users file {}: ", absent.display())), "{problem}");
        let nowhere = folder.path().join("no/users");
        assert!(matches!(UsersFile::default().write(&nowhere), Err(FileError::Unwritable { .. })));
    }

    #[test]
    fn a_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        UsersFile::default().write(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut file = UsersFile::read(&link).unwrap();
        file.put(account("alice@example.com"));
        file.write(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(UsersFile::read(&real).unwrap(), UsersFile::read(&link).unwrap());
    }
}
