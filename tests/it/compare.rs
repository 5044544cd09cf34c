//! The comparison of proxies judges what it has measured rightly, and fills its page.

#[path = "../../benches/compare/output.rs"]
mod output;
#[path = "../../benches/compare/sample.rs"]
mod sample;

use std::fs;
use std::path::PathBuf;

use output::{Output, filled};
use sample::{NOTHING, Sample, Wanted, mark, percentile, ratio, turned};

#[test]
fn a_median_is_the_middle_or_between_the_two_that_are() {
    let median = |values: &[f64]| values.iter().copied().collect::<Sample>().median();
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    let shown = [3.0, 1.0, 2.0].into_iter().collect::<Sample>().show(1);
    assert_eq!(shown, "2.0 (1.0 to 3.0)");
    assert_eq!(Sample::default().show(1), NOTHING);
}

#[test]
fn a_percentile_is_one_of_the_values() {
    let hundred: Vec<_> = (1..=100).collect();
    assert_eq!(percentile(&hundred, 50), Some(50));
    assert_eq!(percentile(&hundred, 99), Some(99));
    assert_eq!(percentile(&[7], 50), Some(7));
    assert_eq!(percentile(&[1, 2, 3], 99), Some(3));
    assert_eq!(percentile(&[], 50), None);
}

#[test]
fn nothing_always_comes_behind_the_same() {
    let round = |number| turned(3, number).collect::<Vec<_>>();
    assert_eq!([round(0), round(1), round(2)], [[0, 1, 2], [1, 0, 2], [2, 0, 1]]);
    let before = |number, place| {
        let order = round(number);
        let at = order.iter().position(|it| *it == place)?;
        Some(order[at.checked_sub(1)?])
    };
    for place in 0..3 {
        assert_ne!(before(0, place), before(1, place));
    }
}

#[test]
fn a_loss_is_bold() {
    let (more, less) = (Some(Wanted::AtLeast(1.0)), Some(Wanted::AtMost(1.0)));
    assert_eq!(mark(ratio(Some(1.0), Some(2.0)), more), "**0.500**");
    assert_eq!(mark(ratio(Some(1.0), Some(2.0)), less), "0.500");
    assert_eq!(mark(ratio(Some(2.0), Some(1.0)), less), "**2.000**");
    assert_eq!(mark(ratio(Some(2.0), Some(1.0)), None), "2.000");
    assert_eq!(mark(Some(1.0), more), "1.000");
    // What is not reached is not, also where it looks so in three digits.
    assert_eq!(mark(Some(0.9999), more), "**1.000**");
    assert_eq!(Wanted::AtLeast(0.98).to_string(), "at least 0.98");
    assert_eq!(Wanted::AtMost(1.0).to_string(), "at most 1.00");
    assert_eq!(mark(ratio(None, Some(1.0)), more), NOTHING);
    assert_eq!(mark(ratio(Some(1.0), Some(0.0)), more), NOTHING);
}

#[test]
fn a_text_replaces_the_last_one_of_its_part_alone() {
    let page = "a\n<!-- load: begin -->\nold\n<!-- load: end -->\nb\n<!-- bulk: begin -->\n<!-- bulk: end -->\n";
    let once = filled(page, "load", "new\n").unwrap();
    assert_eq!(
        once,
        "a\n<!-- load: begin -->\n\nnew\n\n<!-- load: end -->\nb\n<!-- bulk: begin -->\n<!-- bulk: end -->\n"
    );
    assert_eq!(filled(&once, "load", "new").unwrap(), once);
    assert!(filled(page, "memory", "new").is_err());
}

#[test]
fn the_page_has_a_place_for_each_part() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/performance.md")).unwrap();
    for part in PARTS {
        filled(&page, part, "new").unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(page.matches(": begin -->").count(), PARTS.len());
}

#[test]
fn texts_and_plots_are_left_in_both_places() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.md");
    fs::write(&page, "<!-- load: begin -->\n<!-- load: end -->\n").unwrap();
    let output = Output::new(&directory.path().join("left"), Some(page.clone()));
    assert!(output.check(&["load".to_owned(), "bulk".to_owned()]).is_err());
    output.check(&["load".to_owned()]).unwrap();
    output.text("load", "new").unwrap();
    output.plot("curve", "<svg/>").unwrap();
    assert!(fs::read_to_string(page).unwrap().contains("\nnew\n"));
    for place in ["left/load.md", "left/curve.svg", "page/curve.svg"] {
        assert!(directory.path().join(place).exists(), "{place}");
    }
}

/// The names of the command line.
const PARTS: [&str; 9] = [
    "load",
    "memory",
    "connections",
    "transfer",
    "insert",
    "transaction",
    "bulk",
    "classify",
    "scale",
];
