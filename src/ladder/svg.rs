//! A ladder as SVG: one file, no script, no font of its own; readable on light and dark ground.

use std::fmt::Write;

use super::arrow::{Arrow, Carrier};
use super::layout::{Ladder, cut, shown};

/// Pixels of one character of a label, of a row, of the head, and of the column of times.
const CHARACTER: usize = 7;
const ROW: usize = 26;
const HEAD: usize = 40;
const TIMES: usize = 64;

const STYLE: &str = "\
  <style>\n    \
    text { font: 12px ui-monospace, monospace; fill: #24292f }\n    \
    .who { font-weight: bold; text-anchor: middle }\n    \
    .says { text-anchor: middle }\n    \
    .life { stroke: #8c959f; stroke-dasharray: 2 3 }\n    \
    .sip { stroke: #0969da } .msrp { stroke: #1a7f37 } .inside { stroke: #9a6700; stroke-dasharray: 5 3 }\n    \
    .time { fill: #6e7781 }\n  \
  </style>\n  \
  <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"#57606a\"/></marker></defs>\n";

impl Ladder {
    /// The diagram as an SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let places: Vec<usize> = self
            .gaps()
            .into_iter()
            .scan(TIMES, |at, gap| {
                *at += gap * CHARACTER;
                Some(*at)
            })
            .collect();
        let width = places.last().map_or(TIMES, |last| last + self.overhang());
        let height = HEAD + ROW * self.arrows.len() + ROW / 2;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"call flow\">\n{STYLE}  \
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        for (name, at) in self.columns.iter().zip(&places) {
            let name = escape(name);
            push(&mut svg, format_args!("  <text class=\"who\" x=\"{at}\" y=\"18\">{name}</text>\n"));
            push(
                &mut svg,
                format_args!(
                    "  <line class=\"life\" x1=\"{at}\" y1=\"26\" x2=\"{at}\" y2=\"{}\"/>\n",
                    height - 6
                ),
            );
        }
        for (row, arrow) in self.arrows.iter().enumerate() {
            self.row(&mut svg, arrow, HEAD + ROW * row + ROW / 2, &places);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Room to the right of the last column: for half its name, or for a note at it.
    fn overhang(&self) -> usize {
        let last = self.columns.len().saturating_sub(1);
        let name = self.columns.last().map_or(0, |name| name.chars().count().div_ceil(2));
        let at_last = |arrow: &&Arrow| self.span(arrow).left() == last;
        let note = self.arrows.iter().filter(at_last).map(shown).max().unwrap_or(0);
        (name.max(note) + 2) * CHARACTER
    }

    fn row(&self, svg: &mut String, arrow: &Arrow, y: usize, places: &[usize]) {
        let span = self.span(arrow);
        let (Some(from), Some(to)) = (places.get(span.from), places.get(span.to)) else { return };
        let time = self.since_start(arrow);
        push(svg, format_args!("  <text class=\"time\" x=\"4\" y=\"{y}\">{time}</text>\n"));
        let room = from.abs_diff(*to) / CHARACTER;
        if from == to {
            let label = escape(&cut(&arrow.label, shown(arrow)));
            return push(svg, format_args!("  <text x=\"{}\" y=\"{y}\">{label}</text>\n", from + CHARACTER));
        }
        let label = escape(&cut(&arrow.label, room.saturating_sub(1)));
        let (class, middle) = (class(arrow.carrier), usize::midpoint(*from, *to));
        push(
            svg,
            format_args!(
                "  <g><title>{}</title><line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" \
                 marker-end=\"url(#tip)\"/><text class=\"says\" x=\"{middle}\" y=\"{}\">{label}</text></g>\n",
                escape(&arrow.label),
                y - 4
            ),
        );
    }
}

const fn class(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Sip => "sip",
        Carrier::Msrp => "msrp",
        Carrier::Inside => "inside",
    }
}

fn push(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = svg.write_fmt(what);
}

/// Text as XML takes it: markup escaped, control characters left out (they are no XML characters).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
