//! Several clients deliver the same events at once; what came of it.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::psql::Psql;

/// How many receivers get each event.
pub(super) const RECEIVERS: usize = 4;

/// What the receivers were told, all together, and what is in the table then.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// `INSERT 0 1`.
    pub(super) stored: usize,
    /// `INSERT 0 0`: it was there already.
    pub(super) present: usize,
    /// Errors with the SQLSTATE 23505.
    pub(super) duplicates: usize,
    /// Rows of the table.
    pub(super) rows: usize,
    /// Different events among them.
    pub(super) events: usize,
}

impl Tally {
    /// Statements that were answered.
    pub(super) fn deliveries(&self) -> usize {
        self.stored + self.present + self.duplicates
    }
}

/// What one round of deliveries left.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) tally: Tally,
    /// The first error as its receiver saw it.
    pub(super) example: Option<String>,
}

/// Lets all receivers go through the script at once; `count` is asked at the end.
pub(super) fn deliver(psql: &Psql, script: &Path, count: &str) -> anyhow::Result<Round> {
    let clients = (1..=RECEIVERS)
        .map(|number| psql.start(&format!("receiver-{number}"), script))
        .collect::<Result<Vec<_>, _>>()?;
    let mut round = Round { tally: Tally::default(), example: None };
    for client in clients {
        let output = client.finish().context("waiting for psql")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("a receiver failed ({}): {}", output.status, errors.trim_end());
        }
        round.add(&String::from_utf8_lossy(&output.stdout), &errors)?;
    }
    (round.tally.rows, round.tally.events) = pair(&psql.sql(count)?)?;
    Ok(round)
}

impl Round {
    /// Counts what one receiver was told.
    fn add(&mut self, answers: &str, errors: &str) -> anyhow::Result<()> {
        for line in answers.lines() {
            match line {
                "INSERT 0 1" => self.tally.stored += 1,
                "INSERT 0 0" => self.tally.present += 1,
                other => bail!("a receiver was told: {other}"),
            }
        }
        for line in errors.lines() {
            if line.starts_with(DUPLICATE) {
                self.tally.duplicates += 1;
            } else if !PARTS.iter().any(|part| line.starts_with(part)) {
                bail!("a receiver got another error: {line}");
            }
        }
        if self.example.is_none() && !errors.is_empty() {
            let part = |(index, line): &(usize, &str)| *index == 0 || !line.starts_with(DUPLICATE);
            let lines: Vec<_> =
                errors.lines().enumerate().take_while(part).map(|(_, line)| line).collect();
            self.example = Some(lines.join("\n"));
        }
        Ok(())
    }
}

/// Two numbers of a row.
fn pair(row: &str) -> anyhow::Result<(usize, usize)> {
    let (first, second) = row.split_once('|').with_context(|| format!("no two counts: {row}"))?;
    Ok((first.parse()?, second.parse()?))
}

const DUPLICATE: &str = "ERROR:  23505:";
/// What psql prints below such an error.
const PARTS: &[&str] =
    &["DETAIL:  ", "SCHEMA NAME:  ", "TABLE NAME:  ", "CONSTRAINT NAME:  ", "LOCATION:  "];

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: &str = "ERROR:  23505: duplicate key\nDETAIL:  Key (a)=(1) already exists.\n";

    fn round() -> Round {
        Round { tally: Tally::default(), example: None }
    }

    #[test]
    fn every_answer_is_counted() {
        let mut round = round();
        round.add("INSERT 0 1\nINSERT 0 0\nINSERT 0 0\n", &ERROR.repeat(3)).unwrap();
        let tally = Tally { stored: 1, present: 2, duplicates: 3, rows: 0, events: 0 };
        assert_eq!((round.tally.deliveries(), round.tally), (6, tally));
        assert_eq!(round.example.as_deref(), Some(ERROR.trim_end()));
    }

    #[test]
    fn another_error_is_none_to_count() {
        let error = round().add("", "FATAL:  57P01: terminating connection\n").unwrap_err();
        assert!(error.to_string().contains("57P01"), "{error}");
        assert!(round().add("UPDATE 1\n", "").is_err());
    }
}
