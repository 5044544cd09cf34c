//! What there is to say of one constraint: lines, and how much they weigh.

use std::fmt::{self, Write as _};

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Finding {
    weight: Weight,
    text: String,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// What will happen.
    Said,
    /// What one may want to know.
    Note,
    /// What one may want to do.
    Advice,
    /// The rule cannot do what it says.
    Error,
}

impl Finding {
    pub(in crate::cli) fn said(text: impl Into<String>) -> Self {
        Self { weight: Weight::Said, text: text.into() }
    }

    pub(in crate::cli) fn note(text: impl Into<String>) -> Self {
        Self { weight: Weight::Note, text: text.into() }
    }

    pub(in crate::cli) fn advice(text: impl Into<String>) -> Self {
        Self { weight: Weight::Advice, text: text.into() }
    }

    pub(in crate::cli) fn error(text: impl Into<String>) -> Self {
        Self { weight: Weight::Error, text: text.into() }
    }

    pub(in crate::cli) fn is_error(&self) -> bool {
        self.weight == Weight::Error
    }

    /// What is an error elsewhere is worth knowing here.
    pub(in crate::cli) fn soften(&mut self) {
        if self.is_error() {
            self.weight = Weight::Note;
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.weight {
            Weight::Said => "",
            Weight::Note => "note: ",
            Weight::Advice => "advice: ",
            Weight::Error => "error: ",
        })?;
        write!(f, "{}", OneLine(&self.text))
    }
}

/// One constraint that a rule lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Block {
    pub(in crate::cli) title: String,
    pub(in crate::cli) findings: Vec<Finding>,
}

impl Block {
    pub(in crate::cli) fn has_error(&self) -> bool {
        self.findings.iter().any(Finding::is_error)
    }

    /// Whether it says more than what will happen.
    pub(in crate::cli) fn needs_attention(&self) -> bool {
        let heavy = |it: &Finding| matches!(it.weight, Weight::Advice | Weight::Error);
        self.findings.iter().any(heavy)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", OneLine(&self.title))?;
        self.findings.iter().try_for_each(|finding| writeln!(f, "    {finding}"))
    }
}

/// A text on one line, whatever names it holds.
pub(in crate::cli) struct OneLine<'a>(pub(in crate::cli) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |it: char| if it.is_control() { char::REPLACEMENT_CHARACTER } else { it };
        self.0.chars().map(plain).try_for_each(|it| f.write_char(it))
    }
}

/// The first few of a list.
pub(in crate::cli) fn bounded(items: impl IntoIterator<Item = String>) -> String {
    let mut told: Vec<_> = items.into_iter().collect();
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    let told = told.join(", ");
    if more > 0 { format!("{told} and {more} more") } else { told }
}

const TOLD: usize = 5;
