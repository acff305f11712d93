//! The machine that it runs on: what it is, and what it lets a process do.

use std::process::{Command, Stdio};

/// Where a program is: in PATH, or where Debian puts what only root runs, or a server's own folder.
pub fn path(program: &str) -> Option<std::path::PathBuf> {
    let paths = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/local/sbin";
    paths.split(':').map(|folder| std::path::Path::new(folder).join(program)).find(|file| file.is_file())
}

/// Raises this process's limit of open files as far as it may; what it starts inherits that.
pub fn allow_many_files() {
    let Some(hard) = open_files(5) else { return };
    let limit = format!("--nofile={hard}:{hard}");
    let _ = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &limit]).status();
}

/// How many files a process may have open.
pub fn most_files() -> usize {
    open_files(4).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

/// A word of the line `Max open files` in `/proc/self/limits`: 4 is the soft limit, 5 the hard one.
fn open_files(word: usize) -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(word - 1).map(str::to_owned)
}

/// Lets this process, or another, run on these cores alone (`"0"`, `"0,1"`); `false` where that is not possible.
pub fn pin(process: u32, cores: &str) -> bool {
    let mut command = Command::new("taskset");
    command.args(["-a", "-p", "-c", cores, &process.to_string()]).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The model of the processor.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    line.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned())
}

/// The first line that a program prints.
pub fn said(program: &str, arguments: &[&str]) -> String {
    let output = path(program).and_then(|path| Command::new(path).args(arguments).output().ok());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
