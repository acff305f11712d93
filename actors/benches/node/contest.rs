//! Takes turns: whatever else the machine does falls on each of those compared.

use super::board::{Beside, Row};

type Turn<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// The node's own turn, and the turns of what stands beside it.
pub struct Contest<'a> {
    ours: Turn<'a>,
    others: Vec<(String, Option<f64>, Turn<'a>)>,
}

impl<'a> Contest<'a> {
    pub fn new(ours: impl FnMut() -> f64 + 'a) -> Self {
        Self { ours: Box::new(ours), others: Vec::new() }
    }

    /// Something to compare with.
    pub fn beside(mut self, name: &str, turn: impl FnMut() -> f64 + 'a) -> Self {
        self.others.push((name.to_owned(), None, Box::new(turn)));
        self
    }

    /// Something to compare with, and what the ratio of ours to it should be at least.
    pub fn at_least(mut self, ratio: f64, name: &str, turn: impl FnMut() -> f64 + 'a) -> Self {
        self.others.push((name.to_owned(), Some(ratio), Box::new(turn)));
        self
    }

    /// Medians of the turns, and of the ratios within each round.
    pub fn run(mut self, rounds: usize, what: &str, unit: &'static str) -> Row {
        let mut ours = Vec::new();
        let mut others: Vec<Vec<f64>> = self.others.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            ours.push((self.ours)());
            for (values, (_, _, turn)) in others.iter_mut().zip(&mut self.others) {
                values.push(turn());
            }
        }
        let mut row = Row::new(what, unit, &ours);
        for (values, (name, at_least, _)) in others.into_iter().zip(self.others) {
            let ratios: Vec<f64> = ours.iter().zip(&values).map(|(ours, other)| ours / other).collect();
            row.beside.push(Beside::new(name, &values, &ratios, at_least));
        }
        row
    }
}

/// The lowest, the middle and the highest.
pub fn spread(values: &[f64]) -> [f64; 3] {
    let mut all = values.to_vec();
    all.sort_by(f64::total_cmp);
    [all[0], all[all.len() / 2], all[all.len() - 1]]
}

/// The value below which this share of them lies.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).ceil() as usize]
}
