//! Dovecot: takes messages by LMTP, gives them by IMAP.

use super::{Service, free, listens};
use crate::client::imap::Lmtp;
use crate::{machine, place};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tempfile::TempDir;

pub struct Dovecot {
    pub imap: SocketAddr,
    pub lmtp: SocketAddr,
    _service: Service,
    _folder: TempDir,
}

impl Dovecot {
    /// `None` where it is not installed, or does not start (only root may start it).
    pub fn start() -> Option<Self> {
        let program = machine::path("dovecot")?;
        let folder = place();
        let path = folder.path().display().to_string();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let (imap, lmtp) = (free(), free());
        let text = format!(
            "base_dir = {path}/run\nstate_dir = {path}/state\nlog_path = {path}/log\nprotocols = imap lmtp\n\
             listen = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
             mail_uid = mail\nmail_gid = mail\nmail_home = {path}/mail/%u\nmail_location = sdbox:~/sdbox\n\
             mail_fsync = optimized\nauth_mechanisms = plain\nmail_max_userip_connections = 1000\n\
             passdb {{\n  driver = static\n  args = nopassword=y\n}}\n\
             userdb {{\n  driver = static\n  args = uid=mail gid=mail home={path}/mail/%u allow_all_users=yes\n}}\n\
             service imap-login {{\n  inet_listener imap {{\n    address = 127.0.0.1\n    port = {}\n  }}\n\
             inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
             service lmtp {{\n  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {}\n  }}\n  client_limit = 1\n\
             process_limit = 200\n}}\n\
             service stats {{\n  unix_listener stats-writer {{\n    mode = 0666\n  }}\n}}\n",
            imap.port(),
            lmtp.port()
        );
        for name in ["mail", "run", "state"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::set_permissions(folder.path().join("mail"), PermissionsExt::from_mode(0o777)).unwrap();
        let file = folder.path().join("dovecot.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        let service =
            Service::start(command.arg("-F").arg("-c").arg(&file), || listens(imap) && listens(lmtp))?;
        Some(Self { imap, lmtp, _service: service, _folder: folder })
    }

    /// Delivers `count` messages of `bytes` to `user`, in lines as mail has them.
    pub fn stock(&self, user: &str, count: usize, bytes: usize) {
        let body = lines(bytes);
        let mut lmtp = Lmtp::connect(self.lmtp);
        (0..count).for_each(|_| lmtp.deliver(user, &body));
    }
}

/// So many bytes in lines of 72.
pub fn lines(bytes: usize) -> String {
    let line = "x".repeat(70) + "\r\n";
    let mut text = line.repeat(bytes / line.len());
    text.push_str(&"x".repeat(bytes - text.len()));
    text
}
