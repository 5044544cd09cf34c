//! The differences that are known, each with its cause: `differences.json`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::stage::Way;

/// Whether what is listed has to occur.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Occurs {
    Always,
    /// It is a matter of time.
    Sometimes,
}

/// Those of one suite in these ways, by way and test.
pub fn listed(suite: &str, ways: &[Way]) -> BTreeMap<(Way, String), Occurs> {
    let of_suite = all().into_iter().filter(|it| it.suite == suite);
    let pairs = of_suite.flat_map(|it| {
        let ways: Vec<_> =
            ways.iter().filter(|way| it.ways.contains(&way.to_string())).copied().collect();
        let (tests, occurs) = (it.tests, it.occurs);
        ways.into_iter()
            .flat_map(move |way| tests.clone().into_iter().map(move |test| ((way, test), occurs)))
    });
    pairs.collect()
}

/// Tests that differ for one cause.
struct Difference {
    suite: String,
    ways: Vec<String>,
    tests: Vec<String>,
    cause: String,
    occurs: Occurs,
}

fn all() -> Vec<Difference> {
    let list: Vec<Value> = serde_json::from_str(include_str!("differences.json")).unwrap();
    let read = |value: Value| {
        let text = |key: &str| value[key].as_str().unwrap().to_owned();
        let texts = |key: &str| {
            value[key]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_str().unwrap().to_owned())
                .collect()
        };
        Difference {
            suite: text("suite"),
            ways: texts("ways"),
            tests: texts("tests"),
            cause: text("cause"),
            occurs: match text("occurs").as_str() {
                "always" => Occurs::Always,
                "sometimes" => Occurs::Sometimes,
                other => panic!("{other} is neither always nor sometimes"),
            },
        }
    };
    list.into_iter().map(read).collect()
}

#[test]
fn the_page_has_each_difference_with_its_cause() {
    let page = include_str!("../../docs/clients.md");
    for difference in all() {
        let names: Vec<_> = difference
            .tests
            .iter()
            .map(|test| format!("`{}`", test.rsplit("::").next().unwrap()))
            .collect();
        let row = format!(
            "| {} | {} | {} | {} | {} |",
            difference.suite,
            difference.ways.join(", "),
            names.join(", "),
            format!("{:?}", difference.occurs).to_lowercase(),
            difference.cause
        );
        assert!(page.contains(&row), "docs/clients.md is to have\n{row}");
    }
}
