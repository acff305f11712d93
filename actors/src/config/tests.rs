//! Tests of the configuration as a whole: file, environment, defaults, documents.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load_from(Some((Path::new("restante.toml"), text)), environment)
}

fn problem(text: &str) -> String {
    load(text, &[]).expect_err(text).to_string()
}

#[test]
fn nothing_gives_the_defaults() {
    assert_eq!(Config::load_from(None, []).unwrap(), Config::default());
    assert_eq!(load("", &[]).unwrap(), Config::default());
}

#[test]
fn the_defaults_are_loopback_and_the_known_ports() {
    let config = Config::default();
    let shown = |listen: &[Listen]| listen.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&config.sip.listen), ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]);
    assert_eq!(shown(&config.msrp.listen), ["tcp:127.0.0.1:2855"]);
    assert_eq!(config.http.listen.unwrap().to_string(), "127.0.0.1:8080");
    assert_eq!(config.store.url.to_string(), "embedded:./restante-data");
    assert_eq!(config.node.domains.first().unwrap().as_str(), "example.com");
    assert_eq!(config.node.store_host.as_str(), "mailserver.example.com");
}

#[test]
fn what_is_described_is_the_default_configuration() {
    assert_eq!(load(&describe(), &[]).unwrap(), Config::default());
    assert!(describe().lines().all(|line| line.chars().count() <= 120), "{}", describe());
}

/// A value of every key, none the default, so that a key which is not read or not shown is found.
const OTHER: &str = r#"
[node]
domains = ["a.example", "b.example"]
store_host = "store.example"
users = ["bob", "al%40ice@a.example"]
workers = 3
drain = "3s"
[sip]
listen = ["udp:[::1]:0"]
advertise = "sip.example:5070"
max_message = "200KiB"
max_headers = 99
max_body = "100KiB"
t1 = "100ms"
t2 = "2s"
t4 = "3s"
max_connections = 11
max_connections_per_address = 12
idle_timeout = "1m"
request_timeout = "2s"
max_transactions = 1313
max_inflight = 14
target_delay = "70ms"
answer_within = "9s"
avoid_failed = "9m"
[msrp]
listen = ["tcp:0.0.0.0:2856"]
advertise = "[2001:db8::1]"
max_header = "4KiB"
max_message = "2GiB"
max_chunk = "2KiB"
max_incoming = 15
max_connections = 16
max_connections_per_address = 17
idle_timeout = "3m"
bind_timeout = "4s"
rejoin_timeout = "9s"
transaction_timeout = "5s"
[tls]
certificate = "/etc/restante/node.pem"
key = "/etc/restante/node.key"
client_ca = "/etc/restante/clients.pem"
roots = "/etc/restante/roots.pem"
reload = "1m"
handshake_timeout = "5s"
max_handshakes = 28
[websocket]
path = "/sip"
origins = ["https://www.example.com"]
ping = "20s"
max_message = "2MiB"
[deposit]
ignore_types = []
max_body = 5000
quota_items = 0
quota_bytes = 0
sender_share = 50
sender_least = 3
lifetime = "2h"
max_lifetime = "3h"
remember = "1d"
max_messages = 18
sessions_per_user = 19
sessions_total = 21
[summary]
headers = "added"
fields = ["Message-ID", "From"]
max_items = 22
max_body = "3KiB"
min_interval = "0s"
expires = "2m"
min_expires = "1s"
max_expires = "3m"
subscriptions_per_user = 23
[retrieval]
after = "delete"
max_list = 24
window = "4KiB"
sessions_per_user = 26
sessions_total = 27
[store]
url = "embedded:/var/lib/restante"
inline_limit = 0
queue = 9
batch = 8
batch_size = "1MiB"
[trust]
peers = ["10.0.0.0/8", "cert:proxy.example.com"]
from = false
realm = "a realm"
[auth]
users = "/etc/restante.users"
algorithms = ["MD5"]
nonce_lifetime = "2m"
max_failures = 7
failure_window = "3m"
block = "4m"
[rates]
requests_per_address = 31
requests_per_user = 32
deposits_per_user = 33
burst = "4s"
trusted_users = true
[dns]
servers = ["192.0.2.53:53", "[2001:db8::53]:5353"]
timeout = "2s"
[http]
records = 16
listen = ""
[log]
format = "json"
level = "warn,restante_node=debug"
addresses = true
"#;

fn shown(config: &Config) -> Vec<(String, String)> {
    config.keys().into_iter().map(|key| (format!("{}.{}", key.section, key.name), key.value)).collect()
}

#[test]
fn every_key_is_read_from_a_file_and_shown_again() {
    let config = load(OTHER, &[]).unwrap();
    for ((key, other), (_, default)) in shown(&config).iter().zip(shown(&Config::default())) {
        assert_ne!(*other, default, "{key} is not read");
    }
    let file: String = config.keys().iter().fold(String::new(), |file, key| {
        let head = format!("[{}]\n", key.section);
        let head = if file.contains(&head) { String::new() } else { head };
        format!("{file}{head}{} = {}\n", key.name, key.value)
    });
    assert_eq!(load(&file, &[]).unwrap(), config);
}

#[test]
fn every_key_is_read_from_the_environment() {
    let config = load(OTHER, &[]).unwrap();
    let variables = config.keys().into_iter().map(|key| {
        let name = format!("RESTANTE_{}__{}", key.section.to_uppercase(), key.name.to_uppercase());
        (OsString::from(name), OsString::from(key.value))
    });
    assert_eq!(Config::load_from(None, variables).unwrap(), config);
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "[sip]\nlisten = [\"udp:127.0.0.1:5070\"]\nmax_headers = 50\n";
    let config =
        load(text, &[("RESTANTE_SIP__LISTEN", "udp:127.0.0.1:0, tcp:[::1]:0"), ("HOME", "/")]).unwrap();
    assert_eq!(config.sip.listen.len(), 2);
    assert_eq!(config.sip.max_headers, 50);
    let config = load("", &[("RESTANTE_DEPOSIT__LIFETIME", "5m"), ("RESTANTE_HTTP__LISTEN", "")]).unwrap();
    assert_eq!(config.deposit.lifetime, Duration::from_secs(300));
    assert_eq!(config.http.listen, None);
}

#[test]
fn an_unknown_key_is_refused_with_file_line_and_name() {
    let all = "; `restante config` prints every section and key";
    assert_eq!(
        problem("[sip]\n\nlisten_on = 1\n"),
        format!("restante.toml:3: unknown key `sip.listen_on`{all}")
    );
    assert_eq!(problem("# x\n[sips]\na = 1\n"), format!("restante.toml:2: unknown section `sips`{all}"));
    assert_eq!(problem("sip = 5"), "restante.toml:1: `sip` is a section: write [sip] and its keys below");
    assert_eq!(problem("sip.listne = 5"), format!("restante.toml:1: unknown key `sip.listne`{all}"));
    let variable = load("", &[("RESTANTE_SIP__LISTNE", "x")]).unwrap_err().to_string();
    assert_eq!(variable, format!("environment variable RESTANTE_SIP__LISTNE: unknown key `sip.listne`{all}"));
}

#[test]
fn a_bad_value_names_the_key_and_what_is_expected() {
    let listen = "expected a listener, as udp:127.0.0.1:5060, tls:0.0.0.0:5061 or tcp:[::1]:0, found `5060`";
    assert_eq!(problem("[sip]\nlisten = [\"5060\"]"), format!("restante.toml:2: sip.listen: {listen}"));
    assert_eq!(
        problem("[deposit]\n\nlifetime = 30"),
        "restante.toml:3: deposit.lifetime: expected a duration, as \"500ms\", \"30s\", \"5m\", \"2h\" or \"30d\", \
         found the number 30"
    );
    let variable = load("", &[("RESTANTE_TRUST__PEERS", "10.0.0.0/40")]).unwrap_err().to_string();
    assert_eq!(
        variable,
        "environment variable RESTANTE_TRUST__PEERS: trust.peers: expected a network, as 10.0.0.0/8 or ::1/128, \
         or cert: and the domain of a certificate, found `10.0.0.0/40`"
    );
    let listen = "[sip]\nlisten = [\"tls:127.0.0.1:5061\"]";
    assert!(problem(listen).contains("`tls:127.0.0.1:5061` needs tls.certificate"));
    assert!(problem("[store]\nurl = \"postgres://u:p@h/d\"").contains("PostgreSQL is not supported yet"));
}

#[test]
fn broken_toml_is_refused_in_one_line_with_its_place() {
    for (text, line) in [("[sip\n", 1), ("[sip]\nlisten = [\n", 2), ("[sip]\nt1 = \"1s\"\nt1 = \"2s\"\n", 3)]
    {
        let problem = problem(text);
        assert_eq!(problem.lines().count(), 1, "{problem}");
        assert!(problem.starts_with("restante.toml:"), "{problem}");
        let named: usize = problem.split(':').nth(1).unwrap().parse().unwrap();
        assert!(named.abs_diff(line) <= 1, "{problem}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let cases = [
        ("[node]\ndomains = []", "node.domains: name at least one domain"),
        ("[node]\ndomains = [\"a.b\", \"A.B\"]", "`a.b` is named twice"),
        ("[node]\nstore_host = \"example.com\"", "node.store_host: `example.com` is one of node.domains"),
        ("[node]\nworkers = 1000", "node.workers: expected a number from 0 to 256"),
        ("[sip]\nlisten = []", "sip.listen: name at least one listener"),
        ("[msrp]\nlisten = [\"udp:127.0.0.1:2855\"]", "MSRP does not run over udp"),
        ("[msrp]\nlisten = [\"tcp:0.0.0.0:5060\"]", "overlaps sip.listen `tcp:127.0.0.1:5060`"),
        ("[http]\nlisten = \"127.0.0.1:2855\"", "overlaps msrp.listen `tcp:127.0.0.1:2855`"),
        ("[sip]\nmax_headers = 1", "sip.max_headers: expected a number from 16"),
        (
            "[sip]\nmax_message = \"8KiB\"",
            "sip.max_message: sip.max_body (256KiB) is more than sip.max_message (8KiB)",
        ),
        ("[summary]\nmax_body = 1000", "summary.max_body: expected a size from 1KiB to 48KiB, found 1000"),
        (
            "[summary]\nmax_body = \"64KiB\"",
            "summary.max_body: expected a size from 1KiB to 48KiB, found 64KiB",
        ),
        (
            "[store]\ninline_limit = \"33KiB\"",
            "store.inline_limit: expected a size from 0 to 32KiB, found 33KiB",
        ),
        ("[deposit]\nmax_body = \"1MiB\"", "deposit.max_body (1MiB) is more than sip.max_body (256KiB)"),
        ("[sip]\nt1 = \"5s\"", "sip.t1: sip.t1 is longer than sip.t2"),
        ("[sip]\nt1 = \"0s\"", "sip.t1: expected a duration longer than 0s"),
        ("[summary]\nmax_expires = \"30m\"", "summary.expires is longer than summary.max_expires"),
        ("[deposit]\nignore_types = [\"text\"]", "deposit.ignore_types: expected a media type"),
        ("[tls]\ncertificate = \"a.pem\"", "tls.certificate and tls.key go together"),
        ("[tls]\nclient_ca = \"a.pem\"", "tls.client_ca: client certificates are asked for only where"),
        ("[trust]\npeers = [\"cert:a.example\"]", "trust.peers: certificates are believed only where"),
        ("[msrp]\nlisten = [\"wss:127.0.0.1:0\"]", "`wss:127.0.0.1:0` needs tls.certificate and tls.key"),
        ("[websocket]\npath = \"ws\"", "websocket.path: expected a path"),
        ("[auth]\nalgorithms = []", "auth.algorithms: name at least one algorithm"),
        ("[auth]\nalgorithms = [\"MD5\", \"md5\"]", "auth.algorithms: `MD5` is named twice"),
        ("[auth]\nalgorithms = [\"SHA-1\"]", "auth.algorithms: expected SHA-256 or MD5, found `SHA-1`"),
        ("[trust]\nrealm = 'a\"b'", "trust.realm: expected text without quotes"),
    ];
    for (text, expected) in cases {
        let problem = problem(text);
        assert!(problem.contains(expected), "{text}: {problem}");
        assert!(problem.starts_with("restante.toml:2: "), "{problem}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.toml");
    let problem = Config::load(Some(&absent)).unwrap_err().to_string();
    assert!(
        problem.starts_with(&format!("cannot read configuration file {}", absent.display())),
        "{problem}"
    );
    assert!(matches!(Config::load(Some(folder.path())), Err(ConfigError::Unreadable { .. })));
    let endless = folder.path().join("large.toml");
    std::fs::write(&endless, "# \n".repeat(400_000)).unwrap();
    let cause = std::error::Error::source(&Config::load(Some(&endless)).unwrap_err()).unwrap().to_string();
    assert!(cause.contains("larger than 1 MiB"), "{cause}");
}

#[test]
fn the_operations_guide_holds_the_table_of_keys() {
    let guide = include_str!("../../../docs/operations.md");
    let (_, rest) = guide.split_once("<!-- keys: begin -->\n").expect("the beginning of the table is marked");
    let (table, _) = rest.split_once("<!-- keys: end -->").expect("the end of the table is marked");
    assert_eq!(table.trim(), markdown().trim(), "renew the table with `restante config --markdown`");
}
