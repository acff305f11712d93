//! A group's rows as an SVG of horizontal bars: the node's, and what stands beside it, on one scale per row.

use super::board::{Row, figure};
use std::fmt::Write as _;
use std::path::Path;

const WIDTH: usize = 960;
const NAMES: usize = 430;
const LINE: usize = 18;
/// The longest bar; its figure is written behind it.
const LONGEST: f64 = 400.0;
const OURS: &str = "#2f6f9f";
const OTHERS: &str = "#b9b9b9";

pub fn write(file: &Path, title: &str, rows: &[Row]) {
    std::fs::write(file, draw(title, rows)).unwrap();
}

fn draw(title: &str, rows: &[Row]) -> String {
    let lines: usize = rows.iter().map(|row| 1 + row.beside.len()).sum();
    let height = 44 + lines * LINE + rows.len() * 8;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"16\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    let mut y = 36;
    for row in rows {
        let largest = row.beside.iter().map(|beside| beside.value).fold(row.value, f64::max);
        bar(&mut svg, y, &row.what, row.value, largest, OURS, &row.unit);
        for beside in &row.beside {
            y += LINE;
            bar(&mut svg, y, &beside.name, beside.value, largest, OTHERS, &row.unit);
        }
        y += LINE + 8;
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, y: usize, name: &str, value: f64, largest: f64, colour: &str, unit: &str) {
    let length = if largest > 0.0 { (value.max(0.0) / largest * LONGEST).max(1.0) } else { 1.0 };
    let (text, end) = (y + 12, NAMES as f64 + 14.0 + length);
    writeln!(
        svg,
        "<text x=\"{NAMES}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{}\" y=\"{y}\" width=\"{length:.0}\" height=\"14\" fill=\"{colour}\"/>\
         <text x=\"{end:.0}\" y=\"{text}\">{} {}</text>",
        escaped(name),
        NAMES + 8,
        figure(value),
        escaped(unit)
    )
    .unwrap();
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
