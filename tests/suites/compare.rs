//! Holds what became of each test through the proxy against what became of it directly.
//!
//! A test that ended otherwise in some way is a suspect: it runs again, three times in each way, alone
//! and one way after the other. What differs then in one of the three is a difference; a test whose
//! three direct runs do not agree is unsteady, and says nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::stage::Way;
use super::suite::Outcomes;

/// How often a suspect runs again.
pub const AGAIN: usize = 3;

/// What a suite's first runs were, by way; the direct one is among them.
pub type Runs = BTreeMap<Way, Outcomes>;

/// The tests that ended otherwise through the proxy than directly, or ran on one side only.
pub fn suspects(runs: &Runs) -> BTreeSet<String> {
    let directly = &runs[&Way::Directly];
    let names: BTreeSet<_> = runs.values().flat_map(Outcomes::keys).collect();
    let differs =
        |name: &&String| runs.values().any(|outcomes| outcomes.get(*name) != directly.get(*name));
    names.into_iter().filter(differs).cloned().collect()
}

/// What the suspects' further runs have come to.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// Way and test: how it ended directly, and there.
    pub differences: BTreeMap<(Way, String), (String, Vec<String>)>,
    /// Their direct runs do not agree.
    pub unsteady: BTreeSet<String>,
    /// They ended otherwise once, and as directly each time after that.
    pub recovered: BTreeSet<String>,
}

impl Verdict {
    /// Of the runs of each way.
    pub fn of(suspects: &BTreeSet<String>, again: &BTreeMap<Way, Vec<Outcomes>>) -> Self {
        let mut verdict = Self::default();
        for test in suspects {
            let ended = |way: &Way| -> Vec<String> {
                let of = |run: &Outcomes| run.get(test).cloned().unwrap_or_else(|| "absent".into());
                again[way].iter().map(of).collect()
            };
            let directly = ended(&Way::Directly);
            let steady = directly.windows(2).all(|pair| pair[0] == pair[1]);
            if !steady {
                verdict.unsteady.insert(test.clone());
                continue;
            }
            let mut recovered = true;
            for way in again.keys() {
                let there = ended(way);
                if there != directly {
                    recovered = false;
                    let how = (directly[0].clone(), there);
                    verdict.differences.insert((*way, test.clone()), how);
                }
            }
            if recovered {
                verdict.recovered.insert(test.clone());
            }
        }
        verdict
    }
}

/// How many tests ended in a way that starts like this.
pub fn count(outcomes: &Outcomes, outcome: &str) -> usize {
    outcomes.values().filter(|it| it.starts_with(outcome)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(list: &[(&str, &str)]) -> Outcomes {
        list.iter().map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned())).collect()
    }

    #[test]
    fn a_suspect_ended_otherwise_or_is_on_one_side_only() {
        let runs = Runs::from([
            (Way::Directly, outcomes(&[("a", "passed"), ("b", "failed"), ("gone", "passed")])),
            (Way::React, outcomes(&[("a", "passed"), ("b", "failed"), ("new", "passed")])),
            (Way::Rewrite, outcomes(&[("a", "failed"), ("b", "failed"), ("gone", "passed")])),
        ]);
        assert_eq!(Vec::from_iter(suspects(&runs)), ["a", "gone", "new"]);
    }

    #[test]
    fn only_what_is_steady_directly_can_differ() {
        let suspects = ["differs", "once", "recovered", "unsteady"].map(str::to_owned).into();
        let run = |differs, once, unsteady| {
            let list = [("differs", differs), ("once", once), ("unsteady", unsteady)];
            outcomes(&[&list[..], &[("recovered", "passed")]].concat())
        };
        let directly = vec![run("passed", "passed", "passed"), run("passed", "passed", "failed")];
        let react = vec![run("failed", "passed", "failed"), run("failed", "error", "failed")];
        let again = BTreeMap::from([(Way::Directly, directly), (Way::React, react)]);
        let verdict = Verdict::of(&suspects, &again);
        let names: Vec<_> = verdict.differences.keys().map(|(_, test)| test.as_str()).collect();
        assert_eq!(names, ["differs", "once"]);
        assert_eq!(Vec::from_iter(verdict.unsteady), ["unsteady"]);
        assert_eq!(Vec::from_iter(verdict.recovered), ["recovered"]);
    }
}
