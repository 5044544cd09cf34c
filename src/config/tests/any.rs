//! Whatever the text is, parsing does not panic, and points into it.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn parse_never_panics_and_points_into_the_text(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..20_usize, "\\PC{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = sample_uncommented().chars().collect();
        for (place, length, insert) in edits {
            let at = place.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(mistakes) = parse(&text) {
            prop_assert!(!mistakes.is_empty());
            let lines: Vec<_> = text.split('\n').collect();
            for Mistake { line, column, .. } in &mistakes {
                prop_assert!((1..=lines.len()).contains(line));
                prop_assert!((1..=lines[line - 1].chars().count() + 1).contains(column));
            }
        }
    }

    #[test]
    fn parse_never_panics_on_any_tokens(
        tokens in prop::collection::vec(
            prop::sample::select(&[
                "[", "]", "{", "}", "=", ".", ",", "\n", "\"", "'", "#", "rule", "proxy", "id",
                "listen", "upstream", "users", "1", "0x", "\"a:1\"", "\"\"", "\\", "é", "\0", " ",
                "2026-01-01", "inspect", "limits", "\"1MiB\"", "-", "[[rule]]\n", "[proxy]\n",
            ][..]),
            0..40,
        ),
    ) {
        let _ = parse(&tokens.concat());
    }
}
