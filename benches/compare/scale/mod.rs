//! How cost grows: with clients, rules, the depth of a pipeline and the size of a message.

mod clients;
mod depth;
mod rules;
mod size;

use crate::bench::Bench;
use crate::output::Output;
use crate::plot::{Line, Plot, Scale};
use crate::report::Table;
use crate::sample::Sample;

/// Draws each curve, and prints its figures as a table.
pub(crate) fn measure(bench: &Bench, output: &Output) -> anyhow::Result<String> {
    let mut text = format!("Medians of {} rounds (ranges).\n\n", bench.options.few_rounds());
    for measure in [clients::measure, rules::measure, depth::measure, size::measure] {
        for figure in measure(bench)? {
            text += &figure.leave(output)?;
        }
    }
    Ok(text)
}

/// One quantity, by what it may depend on.
struct Figure {
    /// The plot's file, without its ending.
    file: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    scale: Scale,
    decimals: usize,
    columns: Vec<Column>,
    /// What has to be known of it, if anything.
    note: String,
}

/// What was measured of one contender.
struct Column {
    name: String,
    samples: Vec<(u32, Sample)>,
}

impl Figure {
    /// Leaves the plot, and says how it is shown and what its figures are.
    fn leave(self, output: &Output) -> anyhow::Result<String> {
        let line = |column: &Column| Line {
            name: column.name.clone(),
            points: column
                .samples
                .iter()
                .filter_map(|(x, sample)| Some((f64::from(*x), sample.median()?)))
                .collect(),
        };
        let Self { file, title, x, y, scale, decimals, .. } = self;
        let plot = Plot { title, x, y, scale, lines: self.columns.iter().map(line).collect() };
        output.plot(file, &plot.svg()?)?;
        let heads: Vec<_> = self.columns.iter().map(|it| it.name.as_str()).collect();
        let mut table = Table::new(&[], &[&[x], &heads[..]].concat());
        let first = self.columns.first().map(|it| it.samples.as_slice()).unwrap_or_default();
        for (place, (x, _)) in first.iter().enumerate() {
            let samples = self.columns.iter().filter_map(|it| it.samples.get(place));
            let shown = samples.map(|(_, sample)| sample.show(decimals));
            table.row(&[x.to_string()].into_iter().chain(shown).collect::<Vec<_>>());
        }
        let note = if self.note.is_empty() { String::new() } else { self.note + "\n\n" };
        Ok(format!(
            "![{title}](performance/{file}.svg)\n\n{title}: {y}\n\n{}\n{note}",
            table.text()
        ))
    }
}

/// The columns of what was measured of each case, a name and an x, in the order of the cases; what is
/// not there of a case is left out.
fn columns<M>(
    cases: &[(String, u32)],
    measured: &[Vec<M>],
    quantity: impl Fn(&M) -> Option<f64>,
) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for ((name, x), all) in cases.iter().zip(measured) {
        let sample: Sample = all.iter().filter_map(&quantity).collect();
        if sample.median().is_none() {
            continue;
        }
        match columns.iter_mut().find(|it| it.name == *name) {
            Some(column) => column.samples.push((*x, sample)),
            None => columns.push(Column { name: name.clone(), samples: vec![(*x, sample)] }),
        }
    }
    columns
}
