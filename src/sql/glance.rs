//! What a text is at a glance: looks at bytes, for what is asked of every text there is.
//!
//! Each look is sure in one of its answers and in doubt in the other. A text that is ASCII up to some
//! place is the same up to there in every client encoding, and a semicolon is always the byte `;`.

/// Whether a text can hold an INSERT at all: a scan for the word, true in doubt.
#[must_use]
pub fn may_insert(text: &[u8]) -> bool {
    holds(text, b"insert")
}

/// Whether a text may begin with COMMIT, END, PREPARE or SET: true in doubt.
///
/// Text that begins with a comment or a semicolon is in doubt.
#[must_use]
pub fn may_check_deferred(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let length = text.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
    match text.get(..length) {
        None | Some([]) => !text.is_empty() && !text.starts_with(b"("),
        Some(word) => is_one_of(word, &CHECKING),
    }
}

/// Whether a text holds a word, in capitals or not. `word` is in small letters.
pub(super) fn holds(text: &[u8], word: &[u8]) -> bool {
    let Some(&first) = word.first() else { return true };
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), text).any(|start| {
        text.get(start..start + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

fn is_one_of(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|one| word.eq_ignore_ascii_case(one.as_bytes()))
}

/// First words of statements that check deferred constraints.
const CHECKING: [&str; 4] = ["COMMIT", "END", "PREPARE", "SET"];

#[cfg(test)]
mod tests;
