//! What is told of several measurements of one thing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The middle of some numbers, and their ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let median = f64::midpoint(numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some(Self { median, min, max })
    }

    /// The spread of the numbers in another unit, which must not turn their order round.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { median: self.median * factor, min: self.min * factor, max: self.max * factor }
    }
}

impl fmt::Display for Spread {
    /// "median (min to max)", in the precision that is asked for, or 2 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self { median, min, max } = self;
        let text = format!("{median:.digits$} ({min:.digits$} to {max:.digits$})");
        f.pad_integral(true, "", &text)
    }
}

/// Of numbers that were drawn by chance: between these two lies the median of all that might have been drawn, with a certainty
/// of nine in ten, or as much as so few numbers give. Whatever their distribution: of n numbers, k or fewer lie below that median as
/// often as n tosses of a coin show k heads or fewer. `None` of nothing.
pub fn median_bounds(numbers: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let (mut left_out, mut ways, mut chance) = (0, 1.0, 0.5_f64.powi(n as i32));
    while 2 * (left_out + 1) < n {
        ways *= (n - left_out) as f64 / (left_out + 1) as f64;
        chance += ways * 0.5_f64.powi(n as i32);
        if chance > UNCERTAIN / 2.0 {
            break;
        }
        left_out += 1;
    }
    Some((*sorted.get(left_out)?, *sorted.get(n - 1 - left_out)?))
}

/// How often the median may lie elsewhere.
const UNCERTAIN: f64 = 0.1;

/// The smallest of the numbers that at least this share of them does not exceed; `None` of nothing.
pub fn quantile(numbers: &[f64], share: f64) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}
