//! The webhook events, and the SQL of a receiver that stores them.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::Value;

/// One event of the file.
#[derive(Debug)]
pub(super) struct Event {
    name: String,
    payload: String,
}

/// All events of the file, in its order.
pub(super) fn all() -> anyhow::Result<Vec<Event>> {
    EVENTS.lines().map(|line| event(line).context("webhook_events.jsonl")).collect()
}

fn event(line: &str) -> anyhow::Result<Event> {
    let value: Value = serde_json::from_str(line)?;
    let name = value.get("event").and_then(Value::as_str).context("a line without event")?;
    let payload = value.get("payload").context("a line without payload")?;
    Ok(Event { name: name.to_owned(), payload: payload.to_string() })
}

/// What a receiver does that gets each event once: one INSERT each, in autocommit.
///
/// The delivery id is the sender's, who repeats it with the event; the examples come without, so
/// it is made from the payload.
pub(super) fn script(events: &[Event]) -> String {
    let mut script = String::from("\\set VERBOSITY verbose\n");
    for Event { name, payload } in events {
        // Writing to a String cannot fail.
        let _ = write!(
            script,
            "\\set payload {}\n\
             INSERT INTO webhook_events (delivery_id, event, payload) \
             VALUES (md5(:'payload')::uuid, {}, :'payload');\n",
            psql_word(payload),
            literal(name),
        );
    }
    script
}

/// A text as an argument of a psql command.
fn psql_word(text: &str) -> String {
    literal(&text.replace('\\', "\\\\"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The receivers' table; the name of its key is in `rules.toml`.
pub(super) const TABLE: &str = "
CREATE TABLE webhook_events (
    delivery_id uuid CONSTRAINT webhook_events_pkey PRIMARY KEY,
    event       text,
    payload     jsonb,
    received_at timestamptz DEFAULT now()
)";

/// Rows, and different events among them.
pub(super) const COUNT: &str =
    "SELECT count(*), count(DISTINCT (event, payload)) FROM webhook_events";

/// Real ones; see NOTICE for where they are from.
const EVENTS: &str = include_str!("webhook_events.jsonl");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_survives_the_quotes_of_psql() {
        assert_eq!(psql_word(r#"{"a":"it's \"b\""}"#), r#"'{"a":"it''s \\"b\\""}'"#);
    }

    #[test]
    fn every_line_is_an_event() {
        assert_eq!(all().unwrap().len(), 51);
    }
}
