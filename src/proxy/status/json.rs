//! The page's numbers for programs.

use serde_json::{Map, Value, json};

use crate::proxy::log::reason;
use crate::proxy::metrics::VERSION;
use crate::rules::Constraint;

use super::history::{Counts, OUTCOMES, Seen};
use super::{Readiness, RuleStanding, Snapshot, utc};

/// All of it.
pub(super) fn json(status: &Snapshot) -> Value {
    let why = match &status.state {
        Readiness::NotReady(why) => Some(why),
        _ => None,
    };
    let sessions = &status.sessions;
    json!({
        "version": VERSION,
        "time": utc(status.now),
        "started": utc(status.started),
        "state": status.state.word(),
        "why": why,
        "generation": status.generation,
        "reload": status.memory.reload.as_ref().map(|it| json!({"time": utc(it.at), "error": it.error})),
        "log_lines_dropped": status.lost_lines,
        "sessions": {
            "now": sessions.now,
            "limit": sessions.limit,
            "total": sessions.begun,
            "states": map(sessions.states.iter().copied()),
            "ended": map(sessions.endings.iter().copied()),
        },
        "rules": status.rules.iter().map(rule).collect::<Vec<_>>(),
        "minutes": status.memory.minutes.iter()
            .map(|(at, counts)| json!({"minute": at, "conflicts": numbers(counts)}))
            .collect::<Vec<_>>(),
        "latest": status.memory.latest.iter().map(seen).collect::<Vec<_>>(),
        "unlisted": status.unlisted.iter()
            .map(|(constraint, done)| json!({
                "constraint": names(constraint),
                "count": super::total(&done.counts),
                "last": utc(done.last),
            }))
            .collect::<Vec<_>>(),
        "unlisted_others": status.memory.unlisted_others,
    })
}

fn rule(standing: &RuleStanding) -> Value {
    let RuleStanding { rule, suspended, done } = standing;
    json!({
        "id": rule.id.as_str(),
        "action": rule.action.as_str(),
        "strategy": rule.strategy.as_str(),
        "expires": rule.expires.map(|it| it.to_string()),
        "expired": suspended.expired,
        "over_limit": suspended.over_limit,
        "conflicts": numbers(&done.as_ref().map(|it| it.counts).unwrap_or_default()),
        "last_hit": done.as_ref().map(|it| utc(it.last)),
    })
}

fn seen(seen: &Seen) -> Value {
    json!({
        "time": utc(seen.at),
        "outcome": seen.outcome.name(),
        "reason": reason(seen.outcome),
        "rule": seen.rule,
        "constraint": seen.constraint.as_ref().map(names),
        "columns": seen.columns,
        "key": seen.key,
        "database": seen.database,
        "user": seen.user,
        "application_name": seen.application_name,
        "session": seen.session,
    })
}

fn names(constraint: &Constraint) -> Value {
    let Constraint { schema, table, name } = constraint;
    json!({"schema": schema, "table": table, "name": name})
}

fn numbers(counts: &Counts) -> Value {
    map(OUTCOMES.into_iter().zip(*counts))
}

fn map<N: Into<Value>>(numbers: impl Iterator<Item = (&'static str, N)>) -> Value {
    numbers.map(|(name, number)| (name.to_owned(), number.into())).collect::<Map<_, _>>().into()
}
