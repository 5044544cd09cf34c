//! How much each rule has absorbed this minute: one that goes over its limit only observes until the
//! minute is over.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::rules::Ruleset;

/// Counts what is absorbed, for the rules that have a limit.
#[derive(Debug)]
pub(super) struct Breaker {
    limits: HashMap<String, u32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since 1970, of what is counted.
    minute: u64,
    counts: HashMap<String, u32>,
    over: HashSet<String>,
}

impl Breaker {
    pub(super) fn new(rules: &Ruleset) -> Self {
        let limit = |rule: &crate::rules::Rule| {
            Some((rule.id.as_str().to_owned(), rule.max_absorbed_per_minute?))
        };
        let limits = rules.rules().iter().filter_map(limit).collect();
        Self { limits, state: Mutex::default() }
    }

    /// A rule has absorbed a duplicate; its limit, if that is more than it allows for the first time
    /// this minute.
    pub(super) fn count(&self, rule: &str, minute: u64) -> Option<u32> {
        let limit = *self.limits.get(rule)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.minute != minute && state.over.is_empty() {
            state.counts.clear();
            state.minute = minute;
        }
        let count = state.counts.entry(rule.to_owned()).or_default();
        *count += 1;
        let over = *count > limit && state.over.insert(rule.to_owned());
        over.then_some(limit)
    }

    /// Whether a rule is over its limit.
    pub(super) fn is_over(&self, rule: &str) -> bool {
        if self.limits.is_empty() {
            return false;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.over.contains(rule)
    }

    /// The time goes on: the rules that may absorb again.
    pub(super) fn turn(&self, minute: u64) -> HashSet<String> {
        if self.limits.is_empty() {
            return HashSet::new();
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.minute == minute {
            return HashSet::new();
        }
        *state = State { minute, over: std::mem::take(&mut state.over), ..State::default() };
        std::mem::take(&mut state.over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{ConstraintGlob, Rule, RuleId};

    #[test]
    fn a_rule_is_over_its_limit_until_the_minute_is() {
        let limited = Rule {
            max_absorbed_per_minute: Some(2),
            ..Rule::new(RuleId::new("r").unwrap(), ConstraintGlob::new("t_pkey").unwrap())
        };
        let free = Rule {
            id: RuleId::new("free").unwrap(),
            max_absorbed_per_minute: None,
            ..limited.clone()
        };
        let breaker = Breaker::new(&Ruleset::new(vec![limited, free]));
        let counted: Vec<_> = (0..5).map(|_| breaker.count("r", 7)).collect();
        assert_eq!(counted, [None, None, Some(2), None, None]);
        assert!((0..9).all(|_| breaker.count("free", 7).is_none()) && !breaker.is_over("free"));
        assert!(breaker.is_over("r") && breaker.turn(7).is_empty() && breaker.is_over("r"));
        // What is absorbed before the turn is known counts for the minute before.
        assert_eq!(breaker.count("r", 8), None);
        assert_eq!(breaker.turn(8), HashSet::from(["r".to_owned()]));
        assert!(!breaker.is_over("r") && breaker.turn(8).is_empty());
        assert_eq!(
            (breaker.count("r", 8), breaker.count("r", 9), breaker.count("r", 9)),
            (None, None, None)
        );
        assert_eq!(breaker.count("r", 9), Some(2));
    }
}
