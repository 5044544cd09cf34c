//! A handful of measurements of one quantity.

/// Measurements, in no order.
#[derive(Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn push(&mut self, value: f64) {
        let place = self.0.partition_point(|it| *it < value);
        self.0.insert(place, value);
    }

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
            _ => "-".to_owned(),
        }
    }
}
