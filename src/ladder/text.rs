//! A ladder as text: lifelines of `│`, arrows of `─` with their labels in them.

use std::fmt;

use super::arrow::Carrier;
use super::layout::{Ladder, Span, cut};

/// Width of the column of times.
const TIMES: usize = 9;

impl Ladder {
    /// The diagram as lines of text, each of which ends with a line feed. What comes from outside is shown
    /// without control characters: a terminal obeys nothing that stands in it.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }

    /// Where each column stands, in characters from the left edge.
    fn places(&self) -> Vec<usize> {
        self.gaps()
            .into_iter()
            .scan(TIMES, |at, gap| {
                *at += gap;
                Some(*at)
            })
            .collect()
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places();
        let width = places.last().map_or(0, |last| last + 1);
        let mut heads = vec![' '; width];
        for (name, at) in self.columns.iter().zip(&places) {
            write_at(&mut heads, at.saturating_sub(name.chars().count() / 2), name);
        }
        line(f, heads)?;
        for arrow in &self.arrows {
            let mut row = vec![' '; width];
            write_at(&mut row, 0, &self.since_start(arrow));
            for at in &places {
                write_at(&mut row, *at, "│");
            }
            draw(&mut row, &places, self.span(arrow), &arrow.label, arrow.carrier);
            line(f, row)?;
        }
        Ok(())
    }
}

fn draw(row: &mut Vec<char>, places: &[usize], span: Span, label: &str, carrier: Carrier) {
    let (Some(left), Some(right)) = (places.get(span.left()), places.get(span.right())) else { return };
    if left == right {
        return write_at(row, left + 2, label);
    }
    let stroke = match carrier {
        Carrier::Sip => '─',
        Carrier::Msrp => '═',
        Carrier::Inside => '┄',
    };
    let inner = right - left - 1;
    let mut shaft: Vec<char> = vec![stroke; inner];
    let label = cut(label, inner.saturating_sub(3));
    let begin = (inner - label.chars().count()) / 2;
    write_at(&mut shaft, begin, &label);
    if span.from < span.to {
        shaft.splice(inner - 1.., ['▶']);
    } else {
        shaft.splice(..1, ['◀']);
    }
    write_at(row, left + 1, &shaft.into_iter().collect::<String>());
}

/// Writes `text` over what stands at `at`, and beyond the end where need be.
fn write_at(row: &mut Vec<char>, at: usize, text: &str) {
    for (place, letter) in (at..).zip(text.chars()) {
        let letter = if letter.is_control() { '?' } else { letter };
        match row.get_mut(place) {
            Some(cell) => *cell = letter,
            None => {
                row.resize(place, ' ');
                row.push(letter);
            }
        }
    }
}

fn line(f: &mut fmt::Formatter<'_>, row: Vec<char>) -> fmt::Result {
    let text: String = row.into_iter().collect();
    writeln!(f, "{}", text.trim_end())
}
