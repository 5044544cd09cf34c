//! The proxy's log, read back.

use std::fmt;

use anyhow::Context as _;
use serde_json::Value;

/// One line of the log about a duplicate key.
#[derive(Debug)]
pub(super) struct Conflict(Value);

/// The lines about duplicate keys among the lines of a log.
pub(super) fn read(log: &str) -> anyhow::Result<Vec<Conflict>> {
    let line = |line| serde_json::from_str(line).map(Conflict).context("a line of the log");
    let lines = log.lines().map(line).collect::<Result<Vec<_>, _>>()?;
    Ok(lines.into_iter().filter(|it| it.field("event") == "conflict").collect())
}

impl Conflict {
    /// Whether it tells that the rule of the demo absorbed it, and nothing of the key's value.
    pub(super) fn is_absorbed(&self) -> bool {
        self.field("outcome") == "absorbed"
            && self.field("rule") == "webhook-replays"
            && self.field("constraint") == "webhook_events_pkey"
            && !self.has_key()
    }

    fn field(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or("-")
    }

    fn has_key(&self) -> bool {
        self.0.get("key").is_some_and(|key| !key.is_null())
    }
}

impl fmt::Display for Conflict {
    /// For people: the fields that tell what happened to whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.field("time");
        // Of 2026-01-31T12:00:00.123456Z the time of day, to the millisecond.
        let time = time.get(11..23).unwrap_or(time);
        let (outcome, rule) = (self.field("outcome"), self.field("rule"));
        let (constraint, client) = (self.field("constraint"), self.field("client"));
        write!(f, "{time}  {outcome}  {rule}  {constraint}  client {client}")?;
        f.write_str(if self.has_key() { "  key shown" } else { "  key hidden" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_conflicts_are_read_and_a_shown_key_is_noticed() {
        let line = r#"{"event":"conflict","outcome":"absorbed","rule":"webhook-replays","constraint":"webhook_events_pkey""#;
        let log = format!("{{\"event\":\"other\"}}\n{line}}}\n{line},\"key\":\"(1)\"}}\n");
        let absorbed: Vec<_> = read(&log).unwrap().iter().map(Conflict::is_absorbed).collect();
        assert_eq!(absorbed, [true, false]);
        assert!(read("no JSON\n").is_err());
    }
}
