//! Every key with its default and meaning, for people: as a TOML file, and as a table of `docs/operations.md`.

use super::Config;
use std::fmt::Write;

/// Comment lines are no wider.
const WIDTH: usize = 110;

/// A configuration file that holds every key at its default, with its meaning as a comment.
pub fn describe() -> String {
    let mut text = String::from(
        "# Every key of restante with its default. A file needs only what differs.\n\
         # RESTANTE_<SECTION>__<KEY> in the environment overrides the file: RESTANTE_SIP__LISTEN=udp:127.0.0.1:5070\n",
    );
    let mut section = "";
    for key in Config::default().keys() {
        if key.section != section {
            section = key.section;
            let _ = write!(text, "\n# {}\n[{section}]\n", joined(key.about));
        }
        for line in wrapped(&joined(key.meaning), WIDTH - 2) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "{} = {}", key.name, key.value);
    }
    text
}

/// The same as Markdown, a table for each section.
pub fn markdown() -> String {
    let mut text = String::new();
    let mut section = "";
    for key in Config::default().keys() {
        if key.section != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            section = key.section;
            let _ = write!(text, "{gap}### `[{section}]`\n\n{}\n\n", joined(key.about));
            text.push_str("| key | default | meaning |\n|---|---|---|\n");
        }
        let meaning = cell(&joined(key.meaning));
        let _ = writeln!(text, "| `{}` | `{}` | {meaning} |", key.name, cell(&key.value));
    }
    text
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Escapes what would end a cell, or be taken for markup outside of code.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Breaks `text` at spaces into lines of at most `width` characters, longer words excepted.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
