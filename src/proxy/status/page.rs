//! The page: what an operator looks at first, in the order of the questions.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::proxy::log::reason;
use crate::proxy::metrics::VERSION;
use crate::rules::Constraint;

use super::history::{Counts, Done, OUTCOMES, Seen};
use super::{
    Readiness, RuleStanding, Snapshot, UNLISTED_SHOWN, ago, clean, plot, reasons, stub, total, utc,
};

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");

/// What a policy says of a script or style that is in the page.
pub(super) fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// All of it.
pub(super) fn page(status: &Snapshot) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "pgabsorb: " (status.state.word()) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(status))
                    (plot_section(status))
                    (rules(&status.rules, status))
                    (latest(status))
                    (unlisted(status))
                    (sessions(status))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn head(status: &Snapshot) -> Markup {
    let sessions = &status.sessions;
    let class = status.state.word().replace(' ', "-");
    html! {
        header {
            h1 { "pgabsorb" }
            p #state .state .(class) { (status.state.word()) }
            p .asof {
                "as of " time datetime=(utc(status.now)) { (clock(status)) }
                " " a #refresh href="/status" { "Refresh" }
            }
        }
        @if let Readiness::NotReady(why) = &status.state {
            p .notice role="status" { (clean(why)) }
        }
        @if let Some(error) = status.memory.reload.as_ref().and_then(|it| it.error.as_ref()) {
            div .notice role="status" {
                p { strong { "The rules file was not taken over; those of before are in force." } }
                pre { (clean_lines(error)) }
            }
        }
        @if status.lost_lines > 0 {
            p .notice role="status" {
                (status.lost_lines) " log lines were lost: nobody read the log, or it could not be \
                written."
            }
        }
        dl .facts {
            div { dt { "Version" } dd { (VERSION) } }
            div { dt { "Up for" } dd { (ago(status.now, status.started)) } }
            div { dt { "Sessions" } dd { (sessions.now) " of " (sessions.limit) } }
            div { dt { "Rules" } dd { (status.rules.len()) " " small { "generation " (status.generation) } } }
            div { dt { "Last reload" } dd { (reload(status)) } }
        }
    }
}

fn clock(status: &Snapshot) -> String {
    utc(status.now).get(11..19).unwrap_or_default().to_owned() + " UTC"
}

fn reload(status: &Snapshot) -> String {
    match &status.memory.reload {
        None => "none yet".to_owned(),
        Some(it) => {
            let result = if it.error.is_some() { "failed" } else { "ok" };
            format!("{result}, {} ago", ago(status.now, it.at))
        }
    }
}

fn plot_section(status: &Snapshot) -> Markup {
    html! {
        section aria-labelledby="hour" {
            h2 #hour { "The last hour" }
            ul .legend {
                @for name in OUTCOMES {
                    li { span .swatch .(name) {} (words(name)) }
                }
            }
            (plot::plot(status))
        }
    }
}

fn rules(rules: &[RuleStanding], status: &Snapshot) -> Markup {
    html! {
        section aria-labelledby="rules" {
            h2 #rules { "Rules" }
            @if rules.is_empty() {
                p .empty { "No rule is in force: every error is shown." }
            } @else {
                div .scroll tabindex="0" role="region" aria-labelledby="rules" {
                    table {
                        thead { tr {
                            th scope="col" { "Rule" }
                            th scope="col" { "Action" }
                            @for name in OUTCOMES { th .number scope="col" { (words(name)) } }
                            th scope="col" { "Last hit" }
                            th scope="col" { "Expires" }
                            th scope="col" { "State" }
                        } }
                        tbody { @for rule in rules { (rule_row(rule, status)) } }
                    }
                }
            }
        }
    }
}

fn rule_row(standing: &RuleStanding, status: &Snapshot) -> Markup {
    let RuleStanding { rule, suspended, done } = standing;
    let counts = done.as_ref().map(|it| it.counts).unwrap_or_default();
    let holds = !suspended.expired && !suspended.over_limit;
    html! {
        tr data-rule=(rule.id) {
            th scope="row" { (rule.id) }
            td { (rule.action.as_str()) }
            @for (name, count) in OUTCOMES.iter().zip(counts) {
                td .number .zero[count == 0] data-outcome=(name) { (count) }
            }
            td { @match done { Some(done) => (moment(status, done)), None => span .zero { "never" } } }
            td { @match rule.expires { Some(date) => (date.to_string()), None => span .zero { "never" } } }
            td .warn[!holds] { (standing.state()) }
        }
    }
}

fn moment(status: &Snapshot, done: &Done) -> Markup {
    html! { time datetime=(utc(done.last)) { (ago(status.now, done.last)) " ago" } }
}

fn latest(status: &Snapshot) -> Markup {
    let memory = &status.memory;
    html! {
        section aria-labelledby="latest" {
            h2 #latest { "Latest conflicts" }
            @if memory.latest.is_empty() {
                p .empty { "None since the start." }
            } @else {
                div .scroll tabindex="0" role="region" aria-labelledby="latest" {
                    table {
                        thead { tr {
                            th scope="col" { "When" }
                            th scope="col" { "Outcome" }
                            th scope="col" { "Constraint" }
                            th scope="col" { "Client" }
                            th scope="col" { "Why" }
                        } }
                        tbody { @for seen in &memory.latest { (seen_row(seen, status)) } }
                    }
                }
            }
        }
    }
}

fn seen_row(seen: &Seen, status: &Snapshot) -> Markup {
    html! {
        tr {
            td .when { time datetime=(utc(seen.at)) { (ago(status.now, seen.at)) " ago" } }
            td .outcome { span .swatch .(seen.outcome.name()) {} (words(seen.outcome.name())) }
            td .what {
                @match &seen.constraint {
                    Some(constraint) => (name(constraint)),
                    None => span .zero { "not named" },
                }
                @if let Some(rule) = &seen.rule { " " small { "rule " (rule) } }
                @if let Some(key) = &seen.key { br; code { (clean(key)) } }
            }
            td .client {
                bdi { (clean(&seen.database)) } " as " bdi { (clean(&seen.user)) }
                @if !seen.application_name.is_empty() { ", " bdi { (clean(&seen.application_name)) } }
                " " small { "session " (seen.session) }
            }
            td .why {
                @if let Some(reason) = reason(seen.outcome) { code { (reason) } " " }
                (reasons::explain(seen.outcome))
            }
        }
    }
}

/// A constraint by its names, the table in front.
fn name(constraint: &Constraint) -> Markup {
    html! {
        bdi .name { (clean(&constraint.name)) }
        " " small { "on " bdi { (clean(&constraint.schema)) "." (clean(&constraint.table)) } }
    }
}

fn unlisted(status: &Snapshot) -> Markup {
    let hidden = status.unlisted.len().saturating_sub(UNLISTED_SHOWN);
    let taken: HashSet<_> = status.rules.iter().map(|it| it.rule.id.as_str()).collect();
    html! {
        section aria-labelledby="unlisted" {
            h2 #unlisted { "Constraints that no rule lists" }
            @if status.unlisted.is_empty() {
                p .empty { "None was hit since the start." }
            }
            ol .unlisted {
                @for (constraint, done) in status.unlisted.iter().take(UNLISTED_SHOWN) {
                    li { (unlisted_row(constraint, done, status, &taken)) }
                }
            }
            @if hidden > 0 || status.memory.unlisted_others > 0 {
                p .empty {
                    (hidden) " more are in /status.json; " (status.memory.unlisted_others)
                    " conflicts were of others still."
                }
            }
        }
    }
}

fn unlisted_row(
    constraint: &Constraint,
    done: &Done,
    status: &Snapshot,
    taken: &HashSet<&str>,
) -> Markup {
    let text = stub::stub(constraint, taken);
    // Equal for equal names, so that what is open stays open.
    let id = format!("u-{:.16}", hex::encode(Sha256::digest(constraint.to_string())));
    html! {
        p { (name(constraint)) " " strong .count { (sum(&done.counts)) } " times, last "
            time datetime=(utc(done.last)) { (ago(status.now, done.last)) " ago" } }
        @if let Some(text) = text {
            details id=(id) {
                summary { "A rule for it" }
                pre tabindex="0" { (text) }
            }
        } @else {
            p .empty { "No rule can name it." }
        }
    }
}

fn sum(counts: &Counts) -> u64 {
    total(counts)
}

fn sessions(status: &Snapshot) -> Markup {
    let sessions = &status.sessions;
    html! {
        section aria-labelledby="sessions" {
            h2 #sessions { "Sessions" }
            div .columns {
                table {
                    caption { "Now, by where they stand" }
                    tbody { @for (name, count) in &sessions.states {
                        tr data-state=(name) { th scope="row" { (name) } td .number .zero[*count == 0] { (count) } }
                    } }
                }
                table {
                    caption { (sessions.begun) " since the start; how those ended that are over" }
                    tbody {
                        @for (name, count) in &sessions.endings {
                            tr data-ending=(name) { th scope="row" { (words(name)) } td .number { (count) } }
                        }
                        @if sessions.endings.is_empty() { tr { td .zero { "none yet" } } }
                    }
                }
            }
        }
    }
}

/// A name of ours, as people write it.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// Text of several lines, each of them clean.
fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}
