//! Kamailio with msilo: stores a MESSAGE in a database and answers 202; hands over on REGISTER.

use super::database::{Database, Kind};
use super::{Service, free, listens};
use crate::{machine, place};
use std::net::SocketAddr;
use std::process::Command;
use tempfile::TempDir;

/// Processes that serve requests, each with a connection to the database: what measured best here.
const CHILDREN: usize = 32;

pub struct Kamailio {
    pub kind: Kind,
    pub addr: SocketAddr,
    _service: Service,
    _database: Database,
    _folder: TempDir,
}

impl Kamailio {
    /// `None` where it or the database is not installed, or does not start. `outbound` is where it sends what
    /// it hands over.
    pub fn start(kind: Kind, outbound: SocketAddr) -> Option<Self> {
        let program = machine::path("kamailio")?;
        let database = Database::start(kind)?;
        let (folder, addr) = (place(), free());
        let modules =
            ["/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/aarch64-linux-gnu/kamailio/modules"]
                .into_iter()
                .chain(["/usr/lib64/kamailio/modules", "/usr/lib/kamailio/modules"])
                .find(|folder| std::path::Path::new(folder).join(kind.module()).is_file())?;
        let Database { url, .. } = &database;
        // SQLite lets one writer in: more of them get in each other's way.
        let children = if kind == Kind::Sqlite { 1 } else { CHILDREN };
        let journal = match kind {
            Kind::Sqlite => {
                let file = url.trim_start_matches("sqlite://");
                format!("modparam(\"db_sqlite\", \"db_set_journal_mode\", \"{file}=WAL\")\n")
            }
            _ => String::new(),
        };
        let text = format!(
            "#!KAMAILIO\ndebug=-2\nlog_stderror=yes\nfork=yes\nchildren={children}\ntcp_children={children}\n\
             listen=udp:{addr}\nlisten=tcp:{addr}\ndns=no\nrev_dns=no\ntcp_max_connections=4096\n\
             mpath=\"{modules}\"\nloadmodule \"{}\"\nloadmodule \"tm.so\"\nloadmodule \"sl.so\"\n\
             loadmodule \"pv.so\"\nloadmodule \"textops.so\"\nloadmodule \"msilo.so\"\n{journal}\
             modparam(\"msilo\", \"db_url\", \"{url}\")\n\
             modparam(\"msilo\", \"from_address\", \"sip:store@example.com\")\n\
             modparam(\"msilo\", \"outbound_proxy\", \"sip:{outbound}\")\n\
             modparam(\"msilo\", \"use_contact\", 0)\n\
             request_route {{\n  if (method == \"MESSAGE\") {{\n\
             if (m_store(\"$ru\")) {{ sl_send_reply(\"202\", \"Accepted\"); }} else {{ sl_send_reply(\"503\", \"Not Stored\"); }}\n\
             exit;\n  }}\n  if (method == \"REGISTER\") {{\n    m_dump(\"$tu\");\n    sl_send_reply(\"200\", \"OK\");\n    exit;\n  }}\n\
             sl_send_reply(\"501\", \"Not Implemented\");\n}}\n",
            kind.module()
        );
        let file = folder.path().join("kamailio.cfg");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        // In the foreground (-DD), with memory for what is in flight, and its own run folder.
        command.arg("-DD").args(["-m", "256", "-M", "16", "-f"]).arg(&file).arg("-Y").arg(folder.path());
        let service = Service::start(&mut command, || listens(addr))?;
        Some(Self { kind, addr, _service: service, _database: database, _folder: folder })
    }

    /// Every kind that is installed.
    pub fn all(outbound: SocketAddr) -> Vec<Self> {
        Kind::ALL.into_iter().filter_map(|kind| Self::start(kind, outbound)).collect()
    }

    pub fn name(&self) -> String {
        format!("Kamailio msilo, {}", self.kind.name())
    }
}
