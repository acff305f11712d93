//! Runs the client's commands.

use crate::support::*;
use std::process::{Command, Output, Stdio};

/// What a command printed, and how it exited.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it printed, which went well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Its lines of JSON.
    pub fn json(self) -> Vec<serde_json::Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

/// A command of `who` (`bob` of example.com, or a whole address) at a node.
pub fn command(node: &Node, who: &str, arguments: &[&str]) -> Command {
    command_at(&format!("tcp:{}", node.sip), who, arguments)
}

/// As [`command`], at whatever is called `node`.
pub fn command_at(node: &str, who: &str, arguments: &[&str]) -> Command {
    let who = if who.contains('@') { who.to_owned() } else { format!("sip:{who}@example.com") };
    let mut command = restante();
    command
        .args(arguments)
        .args(["--as", &who, "--node", node])
        .env("XDG_CONFIG_HOME", "/nowhere")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    finished(command.output().unwrap())
}

/// What came of a command that has ended.
pub fn finished(output: Output) -> Ran {
    let Output { status, stdout, stderr } = output;
    Ran {
        code: status.code().expect("it exits by itself"),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// Runs `who`'s command at a node.
pub fn client(node: &Node, who: &str, arguments: &[&str]) -> Ran {
    run(&mut command(node, who, arguments))
}

/// Leaves a text for `to` of example.com; gives the Message-ID.
pub fn leave(node: &Node, to: &str, text: &str) -> String {
    let to = format!("sip:{to}@example.com");
    client(node, "alice", &["send", &to, text]).ok().trim_end().to_owned()
}
