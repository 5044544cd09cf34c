//! What the demo does, step by step, and what it says.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cli::throwaway::{Options, Throwaway};

use super::Halt;
use super::conflicts::{self, Conflict};
use super::deliveries::{self, RECEIVERS, Round, Tally};
use super::events::{self, COUNT, TABLE};
use super::psql::Psql;
use super::stand::Stand;

/// Tells the whole story; fails if anything is not as it should be.
pub(super) fn tell(psql: &Path, halt: &Halt, out: &mut impl Write) -> anyhow::Result<()> {
    let events = events::all()?;
    let expected = Expected::of(events.len());
    introduce(out, events.len())?;

    let server = Throwaway::start(&Options::default())?;
    halt.check()?;
    let script = server.socket_directory().join("deliveries.sql");
    fs::write(&script, events::script(&events)).context("writing the receivers' statements")?;
    let direct = Psql::new(psql, server.address());
    direct.sql(TABLE)?;
    let stand = Stand::start(server.address(), &server.socket_directory().join("pgabsorb.log"))?;
    introduce_both(out, &server, &stand, &direct)?;

    halt.check()?;
    let bare = deliveries::deliver(&direct, &script, COUNT)?;
    show_errors(out, &bare)?;
    direct.sql("TRUNCATE webhook_events")?;

    halt.check()?;
    let proxied = deliveries::deliver(&Psql::new(psql, stand.address()), &script, COUNT)?;
    show_success(out, &bare.tally, &proxied.tally)?;
    let conflicts = conflicts::read(&stand.stop()?)?;
    show_log(out, &conflicts)?;

    halt.check()?;
    drop(server);
    expected.verify(&bare.tally, &proxied.tally, &conflicts)?;
    conclude(out)
}

/// What has to come out.
struct Expected {
    bare: Tally,
    proxied: Tally,
}

impl Expected {
    fn of(events: usize) -> Self {
        let again = events * (RECEIVERS - 1);
        let tally = |present, duplicates| Tally {
            stored: events,
            present,
            duplicates,
            rows: events,
            events,
        };
        Self { bare: tally(0, again), proxied: tally(again, 0) }
    }

    fn verify(&self, bare: &Tally, proxied: &Tally, log: &[Conflict]) -> anyhow::Result<()> {
        let absorbed = log.iter().filter(|it| it.is_absorbed()).count();
        let mut wrong = Vec::new();
        if *bare != self.bare {
            wrong.push(format!("straight at the server: {bare:?}, expected {:?}", self.bare));
        }
        if *proxied != self.proxied {
            wrong.push(format!("at pgabsorb: {proxied:?}, expected {:?}", self.proxied));
        }
        if (absorbed, log.len()) != (self.proxied.present, self.proxied.present) {
            wrong.push(format!(
                "the log has {} conflicts, {absorbed} of them absorbed with the key hidden; \
                 expected {}",
                log.len(),
                self.proxied.present
            ));
        }
        if !wrong.is_empty() {
            bail!("the demo did not go as it should:\n{}", wrong.join("\n"));
        }
        Ok(())
    }
}

fn introduce(out: &mut impl Write, events: usize) -> anyhow::Result<()> {
    write!(
        out,
        "A sender of webhooks repeats an event until it is acknowledged, so its receivers get some\n\
         events more than once. Here {RECEIVERS} receivers at once insert the same {events} real \
         events; the primary\n\
         key of their table is the delivery id, which the sender repeats with the event.\n\
         \n\
         Starting a PostgreSQL and pgabsorb, for this demo only.\n",
    )?;
    Ok(out.flush()?)
}

fn introduce_both(
    out: &mut impl Write,
    server: &Throwaway,
    stand: &Stand,
    psql: &Psql,
) -> anyhow::Result<()> {
    let version = psql.sql("SHOW server_version")?;
    let version = version.split_whitespace().next().unwrap_or_default();
    write!(
        out,
        "  PostgreSQL {version} on {}\n\
         \x20 pgabsorb on {}, with the repository's rules.toml\n\
         \n",
        server.address(),
        stand.address(),
    )?;
    Ok(out.flush()?)
}

fn show_errors(out: &mut impl Write, bare: &Round) -> anyhow::Result<()> {
    let count = bare.tally.duplicates;
    writeln!(
        out,
        "1. Straight at the server: {count} errors. The first, as its receiver saw it:\n"
    )?;
    for line in bare.example.as_deref().unwrap_or("(none)").lines() {
        writeln!(out, "     {line}")?;
    }
    writeln!(out)?;
    Ok(out.flush()?)
}

fn show_success(out: &mut impl Write, bare: &Tally, proxied: &Tally) -> anyhow::Result<()> {
    write!(
        out,
        "2. The same statements at pgabsorb: {} errors. A receiver that is not the first sees \
         success:\n\
         \n\
         \x20    INSERT 0 0\n\
         \n",
        proxied.duplicates,
    )?;
    let line = |name: &str, it: &Tally| {
        format!(
            "{name:<24}{:>10}{:>12}{:>12}{:>14}{:>8}\n",
            it.deliveries(),
            it.stored,
            it.present,
            it.duplicates,
            it.rows
        )
    };
    let (name, deliveries) = ("", "deliveries");
    writeln!(
        out,
        "{name:<24}{deliveries:>10}{:>12}{:>12}{:>14}{:>8}",
        "INSERT 0 1", "INSERT 0 0", "errors 23505", "rows"
    )?;
    write!(out, "{}{}", line("straight at the server", bare), line("at pgabsorb", proxied))?;
    writeln!(out)?;
    Ok(out.flush()?)
}

fn show_log(out: &mut impl Write, conflicts: &[Conflict]) -> anyhow::Result<()> {
    let absorbed = conflicts.iter().filter(|it| it.is_absorbed()).count();
    writeln!(
        out,
        "pgabsorb has logged {absorbed} absorbed conflicts, with outcome, rule, constraint and \
         client.\nThe first {SHOWN}:\n"
    )?;
    for conflict in conflicts.iter().take(SHOWN) {
        writeln!(out, "  {conflict}")?;
    }
    writeln!(out)?;
    Ok(out.flush()?)
}

fn conclude(out: &mut impl Write) -> anyhow::Result<()> {
    Ok(out.write_all(NEXT.as_bytes())?)
}

/// Lines of the log that are shown.
const SHOWN: usize = 3;

/// How to go on.
const NEXT: &str = "\
All counts are as they should be; the PostgreSQL of the demo is gone again.

Next: list a constraint of your own in rules.toml (docs/rules.md), then
  pgabsorb check --config rules.toml
  pgabsorb run --config rules.toml --upstream localhost:5432
and let your application connect to port 7432 instead of 5432.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_that_absorbs_nothing_fails_and_says_what() {
        let expected = Expected::of(2);
        let error = expected.verify(&expected.bare, &expected.bare, &[]).unwrap_err().to_string();
        assert!(!error.contains("straight at the server"), "{error}");
        assert!(error.contains("at pgabsorb: Tally { stored: 2, present: 0"), "{error}");
        assert!(error.contains("the log has 0 conflicts"), "{error}");
    }
}
