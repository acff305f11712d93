//! The command line of the real binary: what it prints, what it refuses, and how it exits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../text.rs"]
mod text;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use text::in_order;

/// The binary with a clean environment, in a folder of its own.
fn restante(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn folder_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

/// Runs `check` on a file of this text, which must be refused with one line on stderr; gives that line.
fn refusal(text: &str) -> String {
    let (folder, _) = folder_with(text);
    let (code, stdout, stderr) = run(&mut restante(folder.path(), &["check", "--config", "node.toml"]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{text}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr.trim_end().to_owned()
}

#[test]
fn check_says_that_a_good_file_is_good() {
    let (folder, _) = folder_with("[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[log]\nformat = \"json\"\n");
    let (code, stdout, stderr) = run(&mut restante(folder.path(), &["check", "--config", "node.toml"]));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "node.toml: good\n", ""));
}

#[test]
fn check_names_file_line_and_key_of_what_it_refuses() {
    assert!(refusal("[sip]\nlisen = []\n").starts_with("restante: node.toml:2: unknown key `sip.lisen`"));
    assert!(refusal("\n[spi]\n").starts_with("restante: node.toml:2: unknown section `spi`"));
    assert!(
        refusal("[node]\nworkers = \"two\"\n")
            .ends_with("node.workers: expected a whole number, found `two`")
    );
    let bounds = [
        ("[node]\nworkers = -1", "expected 0 to 9223372036854775807, found the number -1"),
        (
            "[sip]\nmax_connections = 18446744073709551616",
            "expected 0 to 9223372036854775807, found the number",
        ),
        ("[deposit]\nlifetime = \"99999999d\"", "expected 0s to 36500d, found `99999999d`"),
        (
            "[deposit]\nmax_body = \"17179869184GiB\"",
            "expected 0 to 9223372036854775807 bytes, found `17179869184GiB`",
        ),
    ];
    for (text, bound) in bounds {
        let line = refusal(text);
        assert!(line.contains(bound), "{line}");
    }
    assert!(
        refusal("[store]\nurl = \"postgres://u@h/d\"\n").contains("store.url: `postgres://`: PostgreSQL")
    );
    assert!(
        refusal("[sip]\nlisten = [\"tls:127.0.0.1:5061\"]\n").contains("needs tls.certificate and tls.key")
    );
    assert!(refusal("[sip\n").starts_with("restante: node.toml:1: "));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["check", "--config", "absent.toml"], ["serve", "--config", "absent.toml"]] {
        let (code, _, stderr) = run(&mut restante(folder.path(), &arguments));
        assert_eq!(code, Some(1));
        assert!(stderr.starts_with("restante: cannot read configuration file absent.toml: "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert_eq!(stderr.matches("No such file").count(), 1, "the cause is told once: {stderr}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is made before the file is read"
    );
}

#[test]
fn serve_refuses_a_bad_file_before_it_makes_anything() {
    let (folder, _) = folder_with("[store]\nurl = \"embedded:./data\"\n[http]\nport = 8080\n");
    let (code, _, stderr) = run(&mut restante(folder.path(), &["serve", "--config", "node.toml"]));
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("restante: node.toml:4: unknown key `http.port`"), "{stderr}");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn the_environment_is_checked_like_the_file() {
    let (folder, _) = folder_with("");
    let mut check = restante(folder.path(), &["check", "--config", "node.toml"]);
    let (code, _, stderr) = run(check.env("RESTANTE_SIP__LISTN", "udp:127.0.0.1:0"));
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("restante: environment variable RESTANTE_SIP__LISTN: unknown key"),
        "{stderr}"
    );
    let mut check = restante(folder.path(), &["check", "--config", "node.toml"]);
    let (code, _, stderr) = run(check.env("RESTANTE_SIP__LISTEN", "udp:127.0.0.1:0,tcp:[::1]:0"));
    assert_eq!(code, Some(0), "{stderr}");
    let mut serve = restante(folder.path(), &["serve"]);
    let (code, _, stderr) = run(serve.env("RESTANTE_STORE__URL", "mysql://h"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("RESTANTE_STORE__URL: store.url: expected embedded:"), "{stderr}");
}

#[test]
fn a_bad_rust_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("node.toml"), "").unwrap();
    for command in [&["serve"][..], &["check", "--config", "node.toml"]] {
        let (code, _, stderr) = run(restante(folder.path(), command).env("RUST_LOG", "loud"));
        assert_eq!(code, Some(1), "{command:?}");
        assert!(stderr.contains("RUST_LOG") && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn why_a_node_ends_is_told_in_the_form_of_its_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    for (format, begin) in [("json", "{"), ("text", "restante: ")] {
        let text = format!(
            "[sip]\nlisten = [\"tcp:{port}\"]\n[msrp]\nlisten = [\"tcp:127.0.0.1:0\"]\n[http]\nlisten = \"\"\n[log]\nformat = \"{format}\"\n"
        );
        let (folder, _) = folder_with(&text);
        let (code, _, stderr) = run(&mut restante(folder.path(), &["serve", "--config", "node.toml"]));
        assert_eq!(code, Some(1), "{stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(last.starts_with(begin) && last.contains(&port.to_string()), "{stderr}");
    }
}

#[test]
fn what_config_prints_is_a_good_file() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, _) = run(&mut restante(folder.path(), &["config"]));
    assert_eq!(code, Some(0));
    for section in [
        "node",
        "sip",
        "msrp",
        "deposit",
        "summary",
        "retrieval",
        "store",
        "trust",
        "auth",
        "rates",
        "http",
        "log",
    ] {
        assert!(stdout.contains(&format!("\n[{section}]\n")), "{section}");
    }
    assert!(stdout.contains("\nlisten = [\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\"]\n"));
    std::fs::write(folder.path().join("all.toml"), stdout).unwrap();
    let (code, _, stderr) = run(&mut restante(folder.path(), &["check", "--config", "all.toml"]));
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn config_prints_the_tables_of_the_guide() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, _) = run(&mut restante(folder.path(), &["config", "--markdown"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("| `max_headers` | `128` |"), "{stdout}");
}

#[test]
fn usage_errors_exit_with_two_and_help_with_zero() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&mut restante(folder.path(), &["chekc"])).0, Some(2));
    assert_eq!(run(&mut restante(folder.path(), &["check"])).0, Some(2));
    let (code, stdout, _) = run(&mut restante(folder.path(), &["--help"]));
    assert_eq!(code, Some(0));
    for subcommand in ["serve", "check", "config"] {
        assert!(stdout.contains(subcommand), "{stdout}");
    }
    let (code, stdout, _) = run(&mut restante(folder.path(), &["--version"]));
    assert_eq!((code, stdout.starts_with("restante ")), (Some(0), true));
}

#[test]
fn the_demonstration_plays_the_figure_and_the_selection() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) =
        run(restante(folder.path(), &["demo", "--svg", "."]).stdin(std::process::Stdio::null()));
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let (figure, selection) = stdout.split_once("both in one shot:\n\n").unwrap();
    let steps = [
        "MESSAGE sip:charlie@example.com",
        "202 Accepted (MESSAGE)",
        "INVITE sip:charlie@example.com",
        "SEND 1-26/26 text/plain",
        "BYE",
        "SUBSCRIBE sip:charlie@example.com (message-summary)",
        "NOTIFY (message-summary)",
        "INVITE sip:d0982dkjs%40Joemobile.example.net@mailserver.example.com",
        "Grant",
        "message/cpim",
        "BYE",
        "NOTIFY (message-summary)",
    ];
    assert!(in_order(figure, &steps), "{stdout}");
    let columns = ["store", "focus", "virtual UA 1", "virtual UA 2", "Charlie"];
    assert!(in_order(selection, &columns), "{stdout}");
    let steps = ["INVITE sip:mailserver.example.com", "message/cpim", "message/cpim", "message/cpim", "BYE"];
    assert!(in_order(selection, &steps), "{stdout}");
    for name in ["figure-1.svg", "selection.svg"] {
        let svg = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("virtual UA 1"), "{name}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "nothing else is left behind");
}
