//! Where everything stands: a column for each who speaks, wide enough for what is said between two.

use super::arrow::Arrow;

/// The widest a label makes the way between two columns, in characters; the rest of it is cut off.
const WIDEST: usize = 72;
/// The least distance of two columns, in characters.
const LEAST: usize = 12;

/// Arrows in the order of their times, and the columns between which they go.
#[derive(Clone, Debug)]
pub struct Ladder {
    pub(super) arrows: Vec<Arrow>,
    pub(super) columns: Vec<String>,
}

/// An arrow's place: the columns it begins and ends at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Span {
    pub(super) fn left(self) -> usize {
        self.from.min(self.to)
    }

    pub(super) fn right(self) -> usize {
        self.from.max(self.to)
    }
}

impl Ladder {
    /// A ladder of these arrows. `order` names columns that come first, in this order, as far as anybody of
    /// that name speaks; the others follow as they appear.
    #[must_use]
    pub fn new(mut arrows: Vec<Arrow>, order: &[&str]) -> Self {
        // Stable: what was noted first stands first where times are equal.
        arrows.sort_by_key(|arrow| arrow.at_us);
        let speaks = |name: &&&str| arrows.iter().any(|arrow| arrow.from == **name || arrow.to == **name);
        let mut columns: Vec<String> = order.iter().filter(speaks).map(|name| (*name).to_owned()).collect();
        for arrow in &arrows {
            for name in [&arrow.from, &arrow.to] {
                if !columns.contains(name) {
                    columns.push(name.clone());
                }
            }
        }
        Self { arrows, columns }
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.arrows.is_empty()
    }

    /// How many arrows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.arrows.len()
    }

    /// The columns, from left to right.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn span(&self, arrow: &Arrow) -> Span {
        let place = |name: &String| self.columns.iter().position(|column| column == name).unwrap_or(0);
        Span { from: place(&arrow.from), to: place(&arrow.to) }
    }

    /// Seconds and milliseconds since the first arrow.
    pub(super) fn since_start(&self, arrow: &Arrow) -> String {
        let first = self.arrows.first().map_or(0, |first| first.at_us);
        let since = arrow.at_us.saturating_sub(first);
        format!("{}.{:03}", since / 1_000_000, since / 1_000 % 1_000)
    }

    /// Distance of each column from the one before it, in characters; the first from the left edge.
    pub(super) fn gaps(&self) -> Vec<usize> {
        let half = |name: &String| name.chars().count().div_ceil(2) + 1;
        let mut gaps: Vec<usize> = Vec::with_capacity(self.columns.len());
        for (at, name) in self.columns.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| self.columns.get(before));
            gaps.push(before.map_or_else(|| half(name), |before| LEAST.max(half(before) + half(name))));
        }
        // Short ways first: a long arrow over several columns takes what they have made wide already.
        let mut spans: Vec<(Span, usize)> =
            self.arrows.iter().map(|arrow| (self.span(arrow), shown(arrow))).collect();
        spans.sort_by_key(|(span, _)| span.right() - span.left());
        for (span, length) in spans {
            let between = span.left() + 1..=span.right();
            let has: usize = gaps.get(between.clone()).map_or(0, |gaps| gaps.iter().sum());
            let lacks = (length + 4).saturating_sub(has);
            let ways = span.right() - span.left();
            if ways == 0 || lacks == 0 {
                continue;
            }
            for (nth, gap) in gaps.get_mut(between).into_iter().flatten().enumerate() {
                *gap += lacks / ways + usize::from(nth < lacks % ways);
            }
        }
        gaps
    }
}

/// How much of a label is shown, in characters.
pub(super) fn shown(arrow: &Arrow) -> usize {
    arrow.label.chars().count().min(WIDEST)
}

/// A label cut to `most` characters.
pub(super) fn cut(label: &str, most: usize) -> String {
    match label.chars().count() <= most {
        true => label.to_owned(),
        false => label.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
