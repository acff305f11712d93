//! What the commands of the client have in common: who asks, whom, and how it is told.

use std::io::{IsTerminal as _, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use console::style;
use restante::machine::digest::Login;
use serde::Deserialize;

use super::outcome::{Outcome, Trouble};
use crate::client::{Account, Client, ClientConfig, Fingerprint, NodeAddress, Observer, Seen, TlsSettings};
use crate::config::CLIENT_PASSWORD;

/// A file of credentials or of an account is not larger.
const LARGEST_FILE: u64 = 64 * 1024;
/// Where requests go, if nothing says otherwise.
const NODE: &str = "tcp:127.0.0.1:5060";

/// Who you are, and where your messages are kept. Flags come before the environment, the environment before the
/// account file.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Account")]
pub struct Access {
    /// Your address of record, as sip:bob@example.com
    #[arg(long = "as", value_name = "ADDRESS", env = "RESTANTE_CLIENT_ADDRESS", hide_env_values = true)]
    pub address: Option<String>,

    /// Where requests go: a domain, or tcp:, tls:, udp: or sips: and a HOST or HOST:PORT
    /// [default: tcp:127.0.0.1:5060]
    #[arg(long, value_name = "NODE", env = "RESTANTE_CLIENT_NODE", hide_env_values = true)]
    pub node: Option<String>,

    /// The name to answer a challenge with [default: the user of your address]
    #[arg(long, value_name = "NAME", env = "RESTANTE_CLIENT_USER", hide_env_values = true)]
    pub user: Option<String>,

    /// A file whose first line is your password; RESTANTE_CLIENT_PASSWORD is the other way to tell it
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// The host of message URIs [default: what the summary tells]
    #[arg(long, value_name = "HOST", env = "RESTANTE_CLIENT_STORE", hide_env_values = true)]
    pub store: Option<String>,

    /// Authorities (PEM) that may certify a node over TLS [default: those of the system]
    #[arg(long, value_name = "FILE", env = "RESTANTE_CLIENT_CA", hide_env_values = true)]
    pub ca: Option<PathBuf>,

    /// The fingerprint that the node's certificate must have, whoever has signed it
    #[arg(long, value_name = "FINGERPRINT", env = "RESTANTE_CLIENT_PIN", hide_env_values = true)]
    pub pin: Option<String>,

    /// Your certificate (PEM), for a node that asks for one
    #[arg(long, value_name = "FILE", env = "RESTANTE_CLIENT_CERT", hide_env_values = true)]
    pub cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", env = "RESTANTE_CLIENT_KEY", hide_env_values = true)]
    pub key: Option<PathBuf>,

    /// How sessions are carried [default: by TLS where requests are]
    #[arg(long, value_name = "HOW", env = "RESTANTE_CLIENT_MSRP", hide_env_values = true, value_parser = ["tcp", "tls"])]
    pub msrp: Option<String>,

    /// A DNS server to ask [default: those of the system]
    #[arg(long, value_name = "ADDRESS:PORT", env = "RESTANTE_CLIENT_DNS", hide_env_values = true)]
    pub dns: Option<SocketAddr>,

    /// A TOML file with any of address, node, user, password, password_file, store, ca, pin, cert, key, msrp, dns
    /// [default: restante/account.toml in the user's configuration folder, if it is there]
    #[arg(long, value_name = "FILE", env = "RESTANTE_CLIENT_ACCOUNT", hide_env_values = true)]
    pub account: Option<PathBuf>,

    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,

    /// Show every SIP message and MSRP frame on stderr, credentials masked
    #[arg(long)]
    pub trace: bool,

    /// Tell results as JSON
    #[arg(long)]
    pub json: bool,
}

/// The account file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountFile {
    address: Option<String>,
    node: Option<String>,
    user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    store: Option<String>,
    ca: Option<PathBuf>,
    pin: Option<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    msrp: Option<String>,
    dns: Option<SocketAddr>,
}

impl Access {
    /// Connects, does what is asked, closes, and says how the process exits. Ctrl-C ends it in good order.
    ///
    /// # Errors
    /// The account is not understood.
    pub(super) fn run(
        &self,
        act: impl AsyncFnOnce(Client) -> Result<Outcome, Trouble>,
    ) -> anyhow::Result<ExitCode> {
        let config = match self.config() {
            Ok(config) => config,
            Err(error) => return Ok(Trouble::Usage(format!("{error:#}")).tell()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = runtime.block_on(async {
            let client = Client::connect(config).await?;
            let outcome = tokio::select! {
                outcome = act(client.clone()) => outcome,
                _ = tokio::signal::ctrl_c() => Err(Trouble::Interrupted),
            };
            client.close().await;
            outcome
        });
        // Somebody may still wait for a line on stdin.
        runtime.shutdown_background();
        Ok(match done {
            Ok(outcome) => outcome.into(),
            Err(trouble) => trouble.tell(),
        })
    }

    fn config(&self) -> anyhow::Result<ClientConfig> {
        let mut file = self.file()?;
        let tls = self.tls(&mut file)?;
        let msrp = self.msrp.clone().or(file.msrp);
        let secure_sessions = match msrp.as_deref() {
            None => None,
            Some("tls") => Some(true),
            Some("tcp") => Some(false),
            Some(other) => anyhow::bail!("msrp: expected tcp or tls, found `{other}`"),
        };
        let address = self.address.clone().or(file.address);
        let address = address.context("who are you? Give --as ADDRESS, or an account file")?;
        let account = Account::parse(&address)?;
        let node = self.node.clone().or(file.node).unwrap_or_else(|| NODE.to_owned());
        let node: NodeAddress = node.parse()?;
        let password = match (&self.password_file, std::env::var(CLIENT_PASSWORD), file.password) {
            (Some(path), ..) => Some(first_line(path)?),
            (None, Ok(password), _) => Some(password),
            (None, Err(_), Some(password)) => Some(password),
            (None, Err(_), None) => file.password_file.as_deref().map(first_line).transpose()?,
        };
        let user = self.user.clone().or(file.user).unwrap_or_else(|| account.user().to_owned());
        Ok(ClientConfig {
            login: password.map(|password| Login::new(user, password)),
            store_host: self.store.clone().or(file.store),
            tls,
            secure_sessions,
            dns: self.dns.or(file.dns).into_iter().collect(),
            patience: Duration::from_secs(self.timeout),
            observer: self.trace.then(tracer),
            ..ClientConfig::new(account, node)
        })
    }

    fn tls(&self, file: &mut AccountFile) -> anyhow::Result<TlsSettings> {
        let pin = self.pin.clone().or(file.pin.take());
        let (certificate, key) = match (&self.cert, &self.key) {
            (None, None) => (file.cert.take(), file.key.take()),
            (cert, key) => (cert.clone(), key.clone()),
        };
        Ok(TlsSettings {
            ca: self.ca.clone().or(file.ca.take()),
            certificate,
            key,
            pins: pin.as_deref().map(fingerprint).transpose()?.into_iter().collect(),
        })
    }

    fn file(&self) -> anyhow::Result<AccountFile> {
        let path = match &self.account {
            Some(path) => path.clone(),
            None => match usual_place().filter(|path| path.exists()) {
                Some(path) => path,
                None => return Ok(AccountFile::default()),
            },
        };
        let text = read(&path)?;
        let file: AccountFile =
            toml::from_str(&text).with_context(|| format!("account file {}", path.display()))?;
        if file.password.is_some() && is_open(&path) {
            eprintln!(
                "{}: {} holds a password and can be read by others: chmod 600",
                style("warning").yellow().for_stderr(),
                path.display()
            );
        }
        Ok(file)
    }
}

/// A fingerprint as RFC 8122 writes it, or as `openssl x509 -fingerprint -sha256` does.
fn fingerprint(text: &str) -> anyhow::Result<Fingerprint> {
    let digits = text.trim().rsplit(['=', ' ']).next().unwrap_or_default();
    let named = match text.trim().split_once(' ') {
        Some((name, _)) if !text.contains('=') => format!("{name} {digits}"),
        _ => format!("sha-256 {digits}"),
    };
    Fingerprint::parse(&named)
        .with_context(|| format!("pin: `{text}` is no fingerprint like sha-256 12:34:...:EF with 32 octets"))
}

/// Shows everything on stderr.
fn tracer() -> Observer {
    Arc::new(|seen: &Seen| eprintln!("{seen}\n"))
}

/// Whether somebody sits before both ends.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

fn usual_place() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("restante").join("account.toml"))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let read = || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(LARGEST_FILE).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

fn first_line(path: &Path) -> anyhow::Result<String> {
    Ok(read(path)?.lines().next().unwrap_or_default().to_owned())
}

/// Whether others than its owner may read a file.
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_they_are_printed() {
        let digits = ["AB"; 32].join(":");
        let expected = Fingerprint::parse(&format!("sha-256 {digits}")).unwrap();
        for text in [
            digits.clone(),
            format!("sha-256 {digits}"),
            format!("SHA-256 {}", digits.to_ascii_lowercase()),
            format!("sha256 Fingerprint={digits}\n"),
        ] {
            assert_eq!(fingerprint(&text).unwrap(), expected, "{text}");
        }
        for text in ["", "AB:CD", "sha-1 AB", &format!("md5 {digits}")] {
            assert!(fingerprint(text).is_err(), "{text}");
        }
    }
}
