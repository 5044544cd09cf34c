//! `/status`: the page that tells how the proxy does, and what it could do, as HTML and as JSON.
//!
//! The page is whole by itself: nothing is loaded from elsewhere, and without JavaScript all of it
//! is there. Names come from outside, so each goes through the template's escaping.

mod history;
mod json;
mod page;
mod plot;
pub(super) mod reasons;
mod stub;

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};

use crate::rules::{Constraint, Rule};

use super::Shared;
use super::ruling::Suspended;

pub(super) use history::History;
use history::{Counts, Done, Memory};

/// What the page is served as.
pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// Constraints that nobody listed, on the page.
const UNLISTED_SHOWN: usize = 25;

/// How the proxy does at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    now: SystemTime,
    started: SystemTime,
    state: Readiness,
    generation: u64,
    sessions: Sessions,
    lost_lines: u64,
    /// The rules as they are written, with what they did.
    rules: Vec<RuleStanding>,
    /// The most frequent first.
    unlisted: Vec<(Constraint, Done)>,
    memory: Memory,
}

#[derive(Debug)]
enum Readiness {
    Ready,
    /// It drains or stops.
    Leaving,
    NotReady(String),
}

#[derive(Debug)]
struct Sessions {
    now: i64,
    limit: usize,
    begun: u64,
    states: Vec<(&'static str, i64)>,
    endings: Vec<(&'static str, u64)>,
}

#[derive(Debug)]
struct RuleStanding {
    rule: Rule,
    suspended: Suspended,
    done: Option<Done>,
}

impl Snapshot {
    /// What is known now; `ready` is what a client would be told that comes now.
    pub(super) fn take(shared: &Shared, ready: Result<(), String>) -> Self {
        let memory = shared.history.memory();
        let lifetimes = &shared.metrics.lifetimes;
        let rules = shared.rulings.written().into_iter().map(|(rule, suspended)| {
            let done = memory.rules.get(rule.id.as_str()).cloned();
            RuleStanding { rule, suspended, done }
        });
        let mut unlisted: Vec<_> =
            memory.unlisted.iter().map(|(name, done)| (name.clone(), done.clone())).collect();
        unlisted
            .sort_by_key(|(name, done)| (std::cmp::Reverse(total(&done.counts)), name.to_string()));
        Self {
            now: SystemTime::now(),
            started: shared.started,
            state: match ready {
                _ if shared.is_leaving.load(Ordering::Relaxed) => Readiness::Leaving,
                Ok(()) => Readiness::Ready,
                Err(why) => Readiness::NotReady(why),
            },
            generation: shared.rulings.generation(),
            sessions: Sessions {
                now: lifetimes.now(),
                limit: shared.limits.connections,
                begun: lifetimes.begun(),
                states: lifetimes.states().collect(),
                endings: lifetimes.endings().filter(|(_, count)| *count > 0).collect(),
            },
            lost_lines: shared.lost_lines.count(),
            rules: rules.collect(),
            unlisted,
            memory,
        }
    }

    /// As a page.
    pub(super) fn html(&self) -> String {
        page::page(self).into_string()
    }

    /// As JSON.
    pub(super) fn json(&self) -> String {
        json::json(self).to_string()
    }
}

impl Readiness {
    fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leaving => "draining",
            Self::NotReady(_) => "not ready",
        }
    }
}

impl RuleStanding {
    /// What it does now, and why if that is not what is written.
    fn state(&self) -> &'static str {
        match self.suspended {
            Suspended { expired: true, .. } => "expired: only observes",
            Suspended { over_limit: true, .. } => "over its limit: only observes",
            Suspended { .. } => "in force",
        }
    }
}

fn total(counts: &Counts) -> u64 {
    counts.iter().sum()
}

/// Seconds, as people say it.
fn ago(now: SystemTime, at: SystemTime) -> String {
    let seconds = now.duration_since(at).map_or(0, |since| since.as_secs());
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A moment in UTC, to the second.
fn utc(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

/// A name for people: what could be mistaken for something else, or turns the text around, is
/// shown as U+FFFD.
fn clean(name: &str) -> String {
    name.chars().map(|it| if is_deceptive(it) { char::REPLACEMENT_CHARACTER } else { it }).collect()
}

/// Whether a character is not seen itself, but may change how others are.
fn is_deceptive(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// What a browser may do with the page: show it, run the one script in it, and ask for it again.
pub(super) fn headers() -> HeaderMap {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        page::hash(page::STYLE),
        page::hash(page::SCRIPT),
    );
    let mut headers = HeaderMap::new();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}
