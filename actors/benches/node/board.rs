//! What was measured: rows of a table, kept as JSON, printed, and written as Markdown and plots.

use super::{contest, machine, plot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One thing that was measured.
#[derive(Clone, Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    pub unit: String,
    pub value: f64,
    pub low: f64,
    pub high: f64,
    /// What it should be at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
}

/// What stands beside it, measured in the same rounds.
#[derive(Clone, Serialize, Deserialize)]
pub struct Beside {
    pub name: String,
    pub value: f64,
    /// The node's value in relation to this: the median of the rounds' ratios, the lowest and the highest.
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
    /// What the ratio should be at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
}

impl Row {
    pub fn new(what: &str, unit: &str, values: &[f64]) -> Self {
        let [low, value, high] = contest::spread(values);
        Self { what: what.into(), unit: unit.into(), value, low, high, at_most: None, beside: Vec::new() }
    }

    pub fn at_most(mut self, most: f64) -> Self {
        self.at_most = Some(most);
        self
    }

    /// How far from its aims it is, in words.
    fn verdict(&self) -> String {
        let met = |met: bool| if met { "met" } else { "MISSED" };
        self.at_most
            .map(|most| format!("at most {}: {}", figure(most), met(self.value <= most)))
            .unwrap_or_default()
    }
}

impl Beside {
    pub fn new(name: String, values: &[f64], ratios: &[f64], at_least: Option<f64>) -> Self {
        let ([_, value, _], [low, ratio, high]) = (contest::spread(values), contest::spread(ratios));
        Self { name, value, ratio, low, high, at_least }
    }

    fn verdict(&self) -> String {
        let met = |aim: f64| if self.ratio >= aim { "met" } else { "MISSED" };
        self.at_least.map(|aim| format!("at least {aim}: {}", met(aim))).unwrap_or_default()
    }
}

/// The rows of one group, and the run that they come from.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Measured {
    pub when: String,
    pub commit: String,
    pub seconds: f64,
    pub rows: Vec<Row>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
pub struct Results {
    pub machine: String,
    pub groups: BTreeMap<String, Measured>,
}

pub struct Board {
    folder: PathBuf,
    results: Results,
    group: String,
    began: Instant,
    now: Measured,
}

impl Board {
    /// The table as the last run left it.
    pub fn open(quick: bool) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = root.join(if quick { "target/benchmarks" } else { "docs/benchmarks" });
        std::fs::create_dir_all(&folder).unwrap();
        let text = std::fs::read_to_string(folder.join("results.json")).ok();
        let results = text.map(|text| serde_json::from_str(&text).expect("results.json can be read"));
        let now = Measured::default();
        let results = results.unwrap_or_default();
        Self { folder, results, group: String::new(), began: Instant::now(), now }
    }

    pub fn place(&self) -> &Path {
        &self.folder
    }

    pub fn begin(&mut self, group: &str) {
        println!("\n{group}");
        (self.group, self.began, self.now) = (group.to_owned(), Instant::now(), Measured::default());
    }

    pub fn row(&mut self, row: Row) {
        let range = if row.low == row.high {
            String::new()
        } else {
            format!(" ({} to {})", figure(row.low), figure(row.high))
        };
        println!("  {:<62} {:>10} {:<12}{range} {}", row.what, figure(row.value), row.unit, row.verdict());
        for beside in &row.beside {
            let Beside { name, value, ratio, low, high, .. } = beside;
            let value = figure(*value);
            println!(
                "    {name:<60} {value:>10} ratio {ratio:.2} ({low:.2} to {high:.2}) {}",
                beside.verdict()
            );
        }
        self.now.rows.push(row);
    }

    /// Something that cannot be measured here, or that explains a row.
    pub fn note(&mut self, note: &str) {
        println!("  {note}");
        self.now.notes.push(note.to_owned());
    }

    pub fn end(&mut self) {
        self.now.when = machine::said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]);
        self.now.commit = machine::said("git", &["rev-parse", "--short", "HEAD"]);
        self.now.seconds = self.began.elapsed().as_secs_f64().round();
        let group = std::mem::take(&mut self.group);
        plot::write(&self.folder.join(format!("{group}.svg")), &group, &self.now.rows);
        self.results.groups.insert(group, std::mem::take(&mut self.now));
        self.results.machine = format!(
            "{} cores, {}, Linux {}; {}",
            machine::cores(),
            machine::processor(),
            machine::said("uname", &["-r"]),
            machine::said("rustc", &["--version"])
        );
        let text = serde_json::to_string_pretty(&self.results).unwrap();
        std::fs::write(self.folder.join("results.json"), text + "\n").unwrap();
        std::fs::write(self.folder.join("README.md"), self.markdown()).unwrap();
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "# Figures of the last run\n\nWritten by `cargo bench -p restante-node --bench node`; what they mean stands in \
             [../benchmarks.md](../benchmarks.md).\nMedians; the range of the rounds, or of their ratios, in brackets.\n\n\
             Machine: {}.\n",
            self.results.machine
        );
        for (group, measured) in &self.results.groups {
            let Measured { when, commit, seconds, .. } = measured;
            write!(text, "\n## {group}\n\n{when}, commit {commit}, {seconds} s. ![{group}]({group}.svg)\n\n")
                .unwrap();
            text.push_str("| what | value | beside | ratio | aim |\n|---|---|---|---|---|\n");
            for row in &measured.rows {
                let range = if row.low == row.high {
                    String::new()
                } else {
                    format!(" ({} to {})", figure(row.low), figure(row.high))
                };
                let (value, verdict) = (figure(row.value), row.verdict());
                writeln!(text, "| {} | {value} {}{range} | | | {verdict} |", row.what, row.unit).unwrap();
                for beside in &row.beside {
                    let Beside { name, value, ratio, low, high, .. } = beside;
                    let (value, verdict) = (figure(*value), beside.verdict());
                    writeln!(
                        text,
                        "| | | {name}: {value} | {ratio:.2} ({low:.2} to {high:.2}) | {verdict} |"
                    )
                    .unwrap();
                }
            }
            measured.notes.iter().for_each(|note| write!(text, "\n{note}\n").unwrap());
        }
        text
    }
}

/// A number as people write it: three digits and more, groups of thousands.
pub fn figure(value: f64) -> String {
    if value.abs() < 100.0 {
        let digits = if value.abs() < 10.0 { 2 } else { 1 };
        let text = format!("{value:.digits$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
