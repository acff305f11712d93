//! The databases that msilo keeps its messages in, each durable at commit as it comes.

use super::{Service, done, free, listens};
use crate::{machine, place};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    MariaDb,
    Postgres,
    Sqlite,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::MariaDb, Self::Postgres, Self::Sqlite];

    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "MariaDB",
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite (WAL)",
        }
    }

    /// Kamailio's module for it.
    pub fn module(self) -> &'static str {
        match self {
            Self::MariaDb => "db_mysql.so",
            Self::Postgres => "db_postgres.so",
            Self::Sqlite => "db_sqlite.so",
        }
    }

    /// Where Kamailio's package puts the statements that make its tables.
    fn tables(self) -> &'static Path {
        Path::new(match self {
            Self::MariaDb => "/usr/share/kamailio/mysql",
            Self::Postgres => "/usr/share/kamailio/postgres",
            Self::Sqlite => "/usr/share/kamailio/db_sqlite",
        })
    }
}

/// A database with msilo's tables; gone when dropped.
pub struct Database {
    /// As Kamailio wants it.
    pub url: String,
    _service: Option<Service>,
    _folder: TempDir,
}

impl Database {
    /// `None` where it is not installed, or does not start.
    pub fn start(kind: Kind) -> Option<Self> {
        let tables: String = ["standard-create.sql", "msilo-create.sql"]
            .iter()
            .map(|file| std::fs::read_to_string(kind.tables().join(file)))
            .collect::<Result<_, _>>()
            .ok()?;
        let folder = place();
        // For those that do not run as root.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        match kind {
            Kind::MariaDb => Self::mariadb(folder, &tables),
            Kind::Postgres => Self::postgres(folder, &tables),
            Kind::Sqlite => Self::sqlite(folder, &tables),
        }
    }

    fn mariadb(folder: TempDir, tables: &str) -> Option<Self> {
        let (data, addr) = (folder.path().join("data"), free());
        let user = if is_root() { vec!["--user=root"] } else { Vec::new() };
        let mut install = Command::new(machine::path("mariadb-install-db")?);
        install.arg("--no-defaults").arg(format!("--datadir={}", data.display())).args(&user);
        done(install.args(["--auth-root-authentication-method=normal", "--skip-test-db"])).then_some(())?;
        let script = folder.path().join("init.sql");
        let text = format!(
            "CREATE DATABASE IF NOT EXISTS kamailio CHARACTER SET latin1;\n\
             CREATE USER IF NOT EXISTS 'kamailio'@'%' IDENTIFIED BY 'secret';\n\
             GRANT ALL ON kamailio.* TO 'kamailio'@'%';\n\
             USE kamailio;\n{}",
            one_line_each(tables)
        );
        std::fs::write(&script, text).unwrap();
        let mut server = Command::new(machine::path("mariadbd")?);
        server.arg("--no-defaults").args(&user).args([
            format!("--datadir={}", data.display()),
            format!("--socket={}", folder.path().join("socket").display()),
            format!("--pid-file={}", folder.path().join("pid").display()),
            format!("--port={}", addr.port()),
            format!("--init-file={}", script.display()),
            "--bind-address=127.0.0.1".to_owned(),
            "--innodb-flush-log-at-trx-commit=1".to_owned(),
            "--innodb-buffer-pool-size=1G".to_owned(),
            "--innodb-log-file-size=512M".to_owned(),
            "--max-connections=500".to_owned(),
        ]);
        let service = Service::start(&mut server, || listens(addr))?;
        let url = format!("mysql://kamailio:secret@127.0.0.1:{}/kamailio", addr.port());
        Some(Self { url, _service: Some(service), _folder: folder })
    }

    fn postgres(folder: TempDir, tables: &str) -> Option<Self> {
        let (data, addr) = (folder.path().join("data"), free());
        std::fs::create_dir(&data).unwrap();
        // PostgreSQL refuses to run as root: its package's user does.
        if is_root() {
            done(Command::new("chown").arg("postgres").arg(&data)).then_some(())?;
        }
        let mut init = as_user("postgres", &postgres_program("initdb")?);
        init.args(["-A", "trust", "-U", "kamailio", "--locale=C", "-E", "UTF8", "-D"]).arg(&data);
        done(&mut init).then_some(())?;
        let mut server = as_user("postgres", &postgres_program("postgres")?);
        server.arg("-D").arg(&data).args(["-p", &addr.port().to_string(), "-k", ""]);
        server.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"]);
        server.args(["-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"]);
        let port = addr.port().to_string();
        let psql = postgres_program("psql")?;
        let ask = |arguments: &[&str]| {
            let mut command = Command::new(&psql);
            command.args(["-h", "127.0.0.1", "-p", &port, "-U", "kamailio", "-v", "ON_ERROR_STOP=1"]);
            done(command.args(arguments))
        };
        let service = Service::start(&mut server, || ask(&["-d", "postgres", "-c", "SELECT 1"]))?;
        let script = folder.path().join("init.sql");
        std::fs::write(&script, tables).unwrap();
        ask(&["-d", "postgres", "-c", "CREATE DATABASE kamailio"]).then_some(())?;
        ask(&["-d", "kamailio", "-f", script.to_str()?]).then_some(())?;
        let url = format!("postgres://kamailio:secret@127.0.0.1:{port}/kamailio");
        Some(Self { url, _service: Some(service), _folder: folder })
    }

    fn sqlite(folder: TempDir, tables: &str) -> Option<Self> {
        let (file, script) = (folder.path().join("kamailio.sqlite"), folder.path().join("init.sql"));
        std::fs::write(&script, format!("PRAGMA journal_mode=WAL;\n{tables}")).unwrap();
        let read = format!(".read {}", script.display());
        done(Command::new(machine::path("sqlite3")?).arg(&file).arg(read)).then_some(())?;
        let url = format!("sqlite://{}", file.display());
        Some(Self { url, _service: None, _folder: folder })
    }
}

fn is_root() -> bool {
    machine::said("id", &["-u"]) == "0"
}

/// A command that runs as that user where this one may change to it.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(program);
    command
}

/// A program of the newest PostgreSQL that is installed.
fn postgres_program(name: &str) -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
        .filter(|file| file.is_file())
        .collect();
    versions.sort();
    versions.pop().or_else(|| machine::path(name))
}

/// MariaDB reads a statement a line from its init file.
fn one_line_each(statements: &str) -> String {
    statements
        .split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|statement| !statement.is_empty())
        .map(|statement| {
            let statement = statement.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ");
            statement.replace("INSERT INTO ", "INSERT IGNORE INTO ") + ";\n"
        })
        .collect()
}
