//! Measurements and what is made of them: medians, ranges, percentiles, ratios and losses. It touches
//! nothing, and tests/it/compare.rs has its tests.

use std::fmt;

/// Measurements of one quantity, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl Sample {
    /// The middle value, or the mean of the two in the middle.
    pub(crate) fn median(&self) -> Option<f64> {
        let upper = self.0.get(self.0.len() / 2)?;
        let lower = self.0.get((self.0.len() - 1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }

    /// Median and range, for a table.
    pub(crate) fn show(&self, decimals: usize) -> String {
        match (self.median(), self.0.first(), self.0.last()) {
            (Some(median), Some(least), Some(most)) => {
                format!("{median:.decimals$} ({least:.decimals$} to {most:.decimals$})")
            }
            _ => NOTHING.to_owned(),
        }
    }
}

/// The least of the values, which are sorted, that no fewer than `percent` of a hundred do not exceed.
pub(crate) fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The places of `count` things, begun one later in each round, and backwards in every second: none
/// always comes behind the same one.
pub(crate) fn turned(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| {
        let place = (place + round) % count;
        if round.is_multiple_of(2) { place } else { count - 1 - place }
    })
}

/// How many times the reference a value is.
pub(crate) fn ratio(value: Option<f64>, reference: Option<f64>) -> Option<f64> {
    reference.filter(|reference| *reference > 0.0).zip(value).map(|(of, value)| value / of)
}

/// What a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Wanted {
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound:.2}"),
            Self::AtMost(bound) => write!(f, "at most {bound:.2}"),
        }
    }
}

/// A ratio, for a table; bold where it is not as wanted, if anything is.
pub(crate) fn mark(ratio: Option<f64>, wanted: Option<Wanted>) -> String {
    match ratio {
        Some(ratio) if wanted.is_some_and(|wanted| !wanted.is_met(ratio)) => {
            format!("**{ratio:.3}**")
        }
        Some(ratio) => format!("{ratio:.3}"),
        None => NOTHING.to_owned(),
    }
}

/// Where nothing was measured, or nothing can be.
pub(crate) const NOTHING: &str = "-";
