//! What a rule answers: `strategy`, `on_conflict`, `set`, `returning`, `affected_rows`.

use super::{PROXY, mistakes};

#[test]
fn each_mistake_in_what_a_rule_answers_has_its_message_and_position() {
    let table = [
        (
            "strategy = \"rewirte\"",
            r#"5:12: strategy "rewirte" is not known; did you mean "rewrite"?"#,
        ),
        (
            "returning = \"exiting\"",
            r#"5:13: returning "exiting" is not known; did you mean "existing"?"#,
        ),
        (
            "affected_rows = 1",
            "5:17: affected_rows must be \"actual\" or \"requested\", not an integer",
        ),
        (
            "on_conflict = \"update\"",
            r#"5:15: on_conflict = "update" needs set: name the columns, or write set = "*""#,
        ),
        ("set = \"a\"", r#"5:7: set means nothing without on_conflict = "update""#),
        (
            "on_conflict = \"nothing\"\nset = [\"a\"]",
            r#"6:8: set means nothing without on_conflict = "update""#,
        ),
        (
            "on_conflict = \"update\"\nset = [\"a\", \"*\"]",
            r#"6:13: set = "*" is all there is to set; write it alone"#,
        ),
        (
            "on_conflict = \"update\"\nset = []",
            "6:7: set is empty; give it a value or leave the key out",
        ),
    ];
    for (text, expected) in table {
        let found = mistakes(&format!("{PROXY}[[rule]]\nid = \"r\"\nconstraint = \"c\"\n{text}"));
        assert_eq!(found, [expected], "{text}");
    }
}
