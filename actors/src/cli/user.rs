//! `restante user`: adds, removes and lists those who may authenticate.

use crate::config::Config;
use crate::users::file::{Account, FileError, UsersFile};
use anyhow::{Context, bail};
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `restante user`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct User {
    #[command(subcommand)]
    action: Action,
}

/// What is to be done with the users.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Action {
    /// Add a user, or give one another password. It is asked for, or read as the first line of stdin.
    Add {
        /// As alice@example.com; without a domain, one of the realm's name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a user.
    Remove {
        /// As alice@example.com; without a domain, one of the realm's name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Print the names of all users, one a line.
    List {
        #[command(flatten)]
        place: Place,
    },
}

/// Where the users are, and to which realm their passwords belong.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Place {
    /// Users file; without it, the one that the configuration names.
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    file: Option<PathBuf>,
    /// Realm of the digest; without it, that of the configuration.
    #[arg(long)]
    realm: Option<String>,
    /// Configuration file of the node.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A place that is known to exist.
struct Found {
    file: PathBuf,
    realm: String,
}

impl Place {
    fn find(&self) -> anyhow::Result<Found> {
        let config = match &self.config {
            Some(path) => Config::load(Some(path))?,
            None => Config::default(),
        };
        let file = self.file.clone().or(config.auth.users);
        let file = file.context("the configuration names no users: set [auth] users, or give --file")?;
        let realm = self.realm.clone().unwrap_or(config.trust.realm);
        if realm.trim() != realm || realm.is_empty() || realm.contains(['"', '\\']) || realm.contains("  ") {
            bail!("--realm: expected text without quotes, backslashes and superfluous blanks");
        }
        Ok(Found { file, realm })
    }
}

impl User {
    /// Does it.
    ///
    /// # Errors
    /// The file cannot be read or written, or there is no such user.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Add { name, place } => add(&name, &place.find()?),
            Action::Remove { name, place } => remove(&name, &place.find()?),
            Action::List { place } => list(&place.find()?),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn add(name: &str, place: &Found) -> anyhow::Result<()> {
    let name = whole(name, place)?;
    let password = password(&name)?;
    let account = Account::new(&name, &place.realm, password.as_bytes())
        .with_context(|| format!("`{}`: expected a user as alice@example.com", name.escape_default()))?;
    let _lock = lock(&place.file)?;
    let mut users = read_or_new(&place.file)?;
    let replaced = users.put(account);
    users.write(&place.file)?;
    let done = if replaced { "has another password" } else { "added" };
    super::print(&format!("{name}: {done}\n"))
}

fn remove(name: &str, place: &Found) -> anyhow::Result<()> {
    let name = whole(name, place)?;
    let _lock = lock(&place.file)?;
    let mut users = UsersFile::read(&place.file)?;
    if !users.remove(&name) {
        bail!("{}: no user `{}`", place.file.display(), name.escape_default());
    }
    users.write(&place.file)?;
    super::print(&format!("{name}: removed\n"))
}

fn list(place: &Found) -> anyhow::Result<()> {
    let users = UsersFile::read(&place.file)?;
    super::print(&users.accounts().map(|(_, account)| format!("{}\n", account.name)).collect::<String>())
}

/// The name with its domain.
fn whole(name: &str, place: &Found) -> anyhow::Result<String> {
    let name = match name.contains('@') {
        true => name.to_owned(),
        false => format!("{name}@{}", place.realm),
    };
    // The password does not matter here.
    let Some(account) = Account::new(&name, &place.realm, b"") else {
        bail!("`{}`: expected a user as alice@example.com, escaped as in a SIP URI", name.escape_default());
    };
    Ok(account.name)
}

fn read_or_new(file: &Path) -> Result<UsersFile, FileError> {
    match UsersFile::read(file) {
        Err(FileError::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            Ok(UsersFile::default())
        }
        read => read,
    }
}

/// Keeps others who change the file waiting: its folder is locked until the value is dropped.
fn lock(file: &Path) -> anyhow::Result<File> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
    folder.lock().context("cannot lock the folder of the users file")?;
    Ok(folder)
}

/// Asks for the password twice, without echo; where stdin is no terminal, its first line is taken.
fn password(name: &str) -> anyhow::Result<String> {
    let password = if io::stdin().is_terminal() {
        let password = rpassword::prompt_password(format!("Password of {name}: "))?;
        if rpassword::prompt_password("Once more: ")? != password {
            bail!("the two passwords differ");
        }
        password
    } else {
        const LONGEST: u64 = 4096;
        let mut line = String::new();
        io::stdin().lock().take(LONGEST).read_line(&mut line).context("cannot read the password")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        bail!("the password is empty");
    }
    Ok(password)
}
